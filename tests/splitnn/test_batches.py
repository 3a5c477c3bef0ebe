"""Batches: every row once an epoch, evenly, the same on both sides for good."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secureboost.splitnn.batches import Batches
from secureboost.splitnn.randomness import BATCHES, derive


@given(st.integers(1, 300), st.integers(1, 400), st.integers(0, 2**53), st.integers(0, 3))
def test_every_row_once_an_epoch_and_evenly(n_training, batch_size, seed, epoch):
    batches = Batches(n_training, batch_size, seed)
    numbers = range(epoch * batches.per_epoch, (epoch + 1) * batches.per_epoch)
    parts = [batches.rows(number) for number in numbers]
    assert sorted(np.concatenate(parts).tolist()) == list(range(n_training))
    sizes = [len(part) for part in parts]
    assert max(sizes) <= batch_size
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) == batches.smallest
    assert sizes == [batches.n_rows(number) for number in numbers]
    assert {batches.epoch_of(number) for number in numbers} == {epoch}
    assert [batches.begins_epoch(number) for number in numbers] == [
        number == numbers[0] for number in numbers
    ]


def test_epochs_and_seeds_have_other_orders():
    batches = Batches(100, 100, 1)
    orders = [batches.rows(0), batches.rows(1), Batches(100, 100, 2).rows(0)]
    assert len({order.tobytes() for order in orders}) == 3
    assert np.array_equal(batches.rows(0), orders[0])  # also after another epoch


def test_the_order_is_fixed_for_good():
    """Two companies may have different versions of numpy; these numbers must never change."""
    assert Batches(10, 4, 7).rows(0).tolist() == [4, 5, 9]
    assert Batches(10, 4, 7).digest().hex()[:16] == "98551f67d06059b6"
    assert derive(5, BATCHES) == 2870917127380106


def test_digests_tell_orders_and_cuts_apart():
    digests = {Batches(*of).digest() for of in ((50, 10, 1), (50, 10, 2), (50, 13, 1), (51, 10, 1))}
    assert len(digests) == 4


def test_a_million_rows():
    batches = Batches(1_000_000, 1024, 0)
    assert batches.per_epoch == 977
    assert len(batches.rows(5)) in (1023, 1024)


@pytest.mark.parametrize("seed", [0, 1])
def test_derived_seeds_fit_into_53_bits(seed):
    seeds = {derive(seed, stream, part) for stream in range(50) for part in range(4)}
    assert len(seeds) == 200
    assert all(0 <= value < 2**53 for value in seeds)
