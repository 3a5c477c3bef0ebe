"""Sums of ciphertexts by cell: however the work is cut, the sums are those of the plain way."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.keys import insecure_key

from crypto import wide
from secureboost.clock import Clock
from secureboost.gbdt import feature_sums
from secureboost.gbdt.cells import CellLayout
from secureboost.gbdt.feature_sums import SEGMENT, node_batches, segment_chunks, sum_nodes

SMALL = settings(max_examples=30, deadline=None)


@pytest.mark.parametrize("batch_rows", [1, 40, 10**6])
@pytest.mark.parametrize("chunk", [1, 2000, 10**6])
@pytest.mark.parametrize(("scheme", "key_bits"), [("plain", 0), ("paillier", 256)])
def test_batches_and_chunks_do_not_change_the_sums(
    scheme, key_bits, chunk, batch_rows, monkeypatch
):
    monkeypatch.setattr(feature_sums, "BATCH_ROWS", batch_rows)
    monkeypatch.setattr(feature_sums, "CHUNK", chunk)
    rng = np.random.default_rng(0)
    n_rows, n_bins, max_bin = 400, [100, 3, 90, 3], 120
    binned = np.stack([rng.integers(0, bins, n_rows) for bins in n_bins]).astype(np.uint8)
    binned[2, rng.random(n_rows) < 0.8] = max_bin  # had as the rest
    nodes = [rows.astype(np.int32) for rows in np.split(np.arange(n_rows), [10, 300])]
    features, layout = np.arange(4, dtype=np.int32), CellLayout(np.array(n_bins, np.int32), max_bin)
    key = insecure_key(scheme, key_bits)
    values = rng.integers(-1000, 1000, n_rows).tolist()
    words = wide.words_for(key.public_key.plaintext_bits + 1)
    ciphertexts = key.encrypt(wide.from_integers(values, words, signed=True))
    clock = Clock()
    sums, twice = sum_nodes(
        key.public_key,
        [
            ciphertexts,
            key.public_key.sum_by_segment(
                ciphertexts, np.repeat(np.arange(n_rows), 2), 2 * np.arange(n_rows + 1)
            ),
        ],
        binned,
        nodes,
        features,
        layout,
        clock=clock,
        n_jobs=2,
    )
    expected = [
        sum(values[row] for row in rows if binned[feature, row] == cell)
        for rows in nodes
        for feature, bins in enumerate(n_bins)
        for cell in [*range(bins), max_bin]
    ]
    assert wide.to_integers(key.decrypt(sums), signed=True) == expected
    assert wide.to_integers(key.decrypt(twice), signed=True) == [2 * value for value in expected]
    assert clock.phases["sum"].operations > n_rows


@SMALL
@given(st.lists(st.integers(0, 9), max_size=12), st.integers(1, 20))
def test_node_batches(sizes, most):
    batches = list(node_batches(sizes, most))
    assert [node for batch in batches for node in range(len(sizes))[batch]] == [*range(len(sizes))]
    for batch in batches:
        assert batch.stop - batch.start == 1 or sum(sizes[batch]) <= most
    for one, other in pairwise(batches):  # none could be joined
        assert sum(sizes[one]) + sizes[other.start] > most


@SMALL
@given(st.lists(st.integers(0, 900), max_size=12), st.integers(1, 3000))
def test_segment_chunks(sizes, most):
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    chunks = list(segment_chunks(starts, most))
    assert [s for chunk in chunks for s in range(len(sizes))[chunk]] == [*range(len(sizes))]
    taken = [sum(size + SEGMENT for size in sizes[chunk]) for chunk in chunks]
    assert all(
        chunk.stop - chunk.start == 1 or total <= most
        for chunk, total in zip(chunks, taken, strict=True)
    )
    for chunk, total in zip(chunks[1:], taken, strict=False):
        assert total + sizes[chunk.start] + SEGMENT > most
