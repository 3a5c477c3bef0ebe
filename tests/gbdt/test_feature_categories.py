"""Splits by categories at a feature party: what it tells, what it refuses, which rows go left."""

import msgspec
import numpy as np
import pytest
from support.asking import (
    COLOURS,
    MIXED,
    MODEL,
    Conversation,
    N,
    assert_refused,
    bits_of,
    block,
    divide,
    divide_by,
    finish,
    histograms_of,
)

from parties.messages import Ack
from secureboost.gbdt.protocol import Finished, Histograms


def replace(request, **changes):
    return msgspec.structs.replace(request, **changes)


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        (divide(features=(1,)), "column 1 is split by at least one category and by bin -1"),
        (divide_by(), "column 1 is split by at least one category and by bin -1"),
        (replace(divide_by(2), bins=np.zeros(1, np.int32)), "by at least one category and by bin"),
        (replace(divide_by(2), bins=np.full(1, -2, np.int32)), "by at least one category and by"),
        (divide_by(3), "column 1 has no category 3"),
        (divide_by(0, 255), "column 1 has no category 255"),
        (divide_by(2, feature=0), "column 0 has no categories to be split by"),
        (divide_by(1), "that goes left has fewer than 3 rows in node 0"),
        (divide_by(1, 2), "that goes left has fewer than 3 rows in node 0"),
        (divide_by(0, 2), "no category of column 1 with 3 rows in node 0 stays"),
        (divide_by(2, feature=2), "column 2 does not take part in this tree"),
        (replace(divide_by(2), codes=np.ones((1, 3), np.uint64)), "has 4 words, not 3"),
        (replace(divide_by(2), codes=np.ones((1, 5), np.uint64)), "has 4 words, not 5"),
        (replace(divide_by(2), codes=np.ones((2, 4), np.uint64)), "differ in length"),
    ],
)
def test_refusals_of_splits_by_categories(request_, text):
    talk = Conversation(MIXED.assign(flat=1.0)).loaded()
    assert isinstance(talk.ask(histograms_of(features=(0, 1))), Histograms)
    assert_refused(talk.ask(request_), "split_refused", text)
    assert bits_of(talk.ask(divide_by(2))) == [int(colour == "red") for colour in COLOURS]
    assert isinstance(talk.ask(finish(1)), Finished)
    (split,) = talk.table.store.load(MODEL).splits
    assert (split.feature, split.bin, split.threshold, split.codes) == (1, -1, None, (2,))


def test_categories_are_counted_among_active_rows_of_the_node():
    talk = Conversation(MIXED).set_up(min_child_samples=1, min_group=2)
    assert talk.ask(block([0, *range(5, 11)])) == Ack()  # one red row, the blue and the green ones
    allowed = talk.ask(histograms_of(features=(0, 1))).allowed
    bits = np.unpackbits(allowed, count=2 * 8 * 2, bitorder="little").reshape(2, 8, 2)
    assert bits[0].all()  # with min_child_samples=1 nothing is told of cuts
    assert bits[1].tolist() == [[1, 1], [1, 1], *[[0, 0]] * 6]
    assert_refused(talk.ask(divide_by(2)), "split_refused", "fewer than 2 rows")
    assert_refused(talk.ask(divide_by(0, 1)), "split_refused", "2 rows in node 0 stays")
    placed = [0 if colour == "green" else 1 for colour in COLOURS]
    nodes = histograms_of((1, 2), (0,), placed, features=(0, 1))
    assert isinstance(talk.ask(nodes), Histograms)
    refused = talk.ask(divide_by(1, node=2))
    assert_refused(refused, "split_refused", "fewer than 2 rows in node 2")
    refused = talk.ask(divide_by(1, node=1))
    assert_refused(refused, "split_refused", "with 2 rows in node 1 stays")


def test_a_tree_without_categories_has_no_mask_where_every_cut_is_allowed():
    talk = Conversation(MIXED).loaded(min_child_samples=1)
    assert len(talk.ask(histograms_of(features=(0,))).allowed) == 0


@pytest.mark.parametrize("missing_left", [0, 1])
def test_rows_without_a_category_go_the_missing_side(missing_left):
    talk = Conversation(MIXED).growing()
    sides = bits_of(talk.ask(divide_by(0, missing_left=missing_left)))
    chosen = ("blue", None) if missing_left else ("blue",)
    assert sides == [int(colour in chosen) for colour in COLOURS]


def test_numbers_and_categories_are_divided_together_or_not_at_all():
    talk = Conversation(MIXED).growing(min_group=2, max_bin=N)
    placed = [0] * 7 + [1] * 5
    assert isinstance(talk.ask(histograms_of((1, 2), (0,), placed, features=(0, 1))), Histograms)
    both = divide((1, 2), (1, 0), (-1, 8), (1, 0), codes=[(0,), ()])  # blue left; up <= 8 left
    below = replace(both, bins=np.array([-1, 7], np.int32))
    assert_refused(talk.ask(below), "nodes_refused", "node 2 or a side of its split has fewer")
    assert bits_of(talk.ask(both)) == [0] * 5 + [1] * 4 + [0] * 3
    assert isinstance(talk.ask(finish(2)), Finished)
    assert [split.bin for split in talk.table.store.load(MODEL).splits] == [-1, 8]
