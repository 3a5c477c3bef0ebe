"""What an alignment is put together from: elements in bulk, orders, lists, state, budgets."""

import itertools
import stat

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.aligning import keys_of

from secureboost.align.chunking import Chunks
from secureboost.align.elements import ascends, find, sorting
from secureboost.align.listing import Pairs, common_to_all, list_rows
from secureboost.align.permutation import permutation
from secureboost.align.policy import AlignPolicy, kept_align_budget
from secureboost.align.rows import has_one_row_each, rows_of
from secureboost.align.state import State
from secureboost.errors import AlignmentError, ConfigError

# few different bytes, zeros and 0xff among them: long common beginnings and zeros at the end
ROWS = st.lists(
    st.lists(st.sampled_from([0, 1, 127, 128, 255]), min_size=3, max_size=3), max_size=12
)


def elements(rows):
    return np.array(rows, np.uint8).reshape(-1, 3)


@given(ROWS)
def test_elements_are_sorted_as_bytes(rows):
    array = elements(rows)
    order = sorting(array)
    assert order.dtype == np.int32
    assert [bytes(row) for row in array[order]] == sorted(map(bytes, rows))


@given(ROWS, st.integers(0, 12))
def test_ascending_means_strictly_and_across_chunks(rows, cut):
    array, texts = elements(rows), list(map(bytes, rows))
    expected = all(a < b for a, b in itertools.pairwise(texts))
    assert ascends(array) == expected
    in_two = ascends(array[:cut]) and ascends(array[cut:], array[:cut])
    assert in_two == expected


@given(ROWS, ROWS)
def test_elements_are_found_where_they_are(rows, wanted):
    there = elements(sorted(set(map(tuple, rows))))
    places = find(there, elements(wanted))
    assert places.dtype == np.int32
    for place, row in zip(places, wanted, strict=True):
        if row in rows:
            assert there[place].tolist() == row
        else:
            assert place == -1


@pytest.mark.parametrize(("n", "size", "lengths"), [(0, 3, []), (3, 3, [3]), (7, 3, [3, 3, 1])])
def test_chunks(n, size, lengths):
    chunks = Chunks(n, size)
    assert [chunks.length(chunk) for chunk in range(len(chunks))] == lengths
    covered = [i for chunk in range(len(chunks)) for i in range(n)[chunks.bounds(chunk)]]
    assert covered == list(range(n))


def test_keys_become_rows():
    keys = keys_of(["a", None, "b", "c"])
    assert has_one_row_each(keys)
    assert rows_of(keys, np.array([2, -1, 0, 1], np.int32)).tolist() == [3, -1, 0, 2]
    assert not has_one_row_each(keys_of(["a", "b", "a"], duplicates="all"))


def test_what_is_common_to_all():
    pairs = [
        Pairs(np.array(mine, np.int32), np.arange(len(mine), dtype=np.int32), 9)
        for mine in ([4, 0, 2], [2, 4, 1], [4, 3, 2])
    ]
    assert common_to_all(pairs, 5).tolist() == [2, 4]


def test_listing_without_anything_in_common():
    empty = np.zeros(0, np.int32)
    listing = list_rows([Pairs(empty, empty, 3)], empty, 2, [3], b"s" * 32)
    assert listing.mine.tolist() == [-1, -1, -1]
    assert sorted(listing.theirs[0].tolist()) == [0, 1, 2]


@pytest.mark.parametrize("n", [0, 1, 2, 100])
def test_permutations_are_orders_and_depend_on_seed_and_purpose(n):
    seeds = [(b"a" * 32, "x"), (b"b" * 32, "x"), (b"a" * 32, "y")]
    orders = [permutation(*seed, n).tolist() for seed in seeds]
    assert all(sorted(order) == list(range(n)) for order in orders)
    assert orders[0] == permutation(*seeds[0], n).tolist()
    if n == 100:
        assert len({tuple(order) for order in orders}) == 3


def test_permutations_are_uniform():
    counts = np.zeros((5, 5))
    for number in range(2000):
        order = permutation(number.to_bytes(32, "big"), "test", 5)
        counts[np.arange(5), order] += 1
    assert np.abs(counts - 400).max() < 90  # five standard deviations


def test_state_is_kept_privately_and_goes_whole(tmp_path):
    state = State(tmp_path / "new" / "state")
    inner = state.part("parties").part("bureau")
    assert inner.get("piece") is None
    inner.put("piece", b"content")
    assert inner.get("piece") == b"content"
    for path in (tmp_path / "new").rglob("*"):
        wanted = 0o600 if path.is_file() else 0o700
        assert stat.S_IMODE(path.stat().st_mode) == wanted
    state.clear()
    assert not list((tmp_path / "new").iterdir())
    state.clear()  # nothing to do
    assert State(None).part("x").get("piece") is None
    State(None).put("piece", b"goes nowhere")
    State(None).clear()


def test_what_a_crash_left_of_clearing_goes_too(tmp_path):
    state = State(tmp_path / "state")
    state.put("piece", b"content")
    (tmp_path / ".state.deleted").mkdir()
    (tmp_path / ".state.deleted" / "secrets").write_bytes(b"old")
    state.clear()
    assert not list(tmp_path.iterdir())


def test_damaged_pieces_are_named(tmp_path):
    state = State(tmp_path / "state")
    state.put("piece", b"content")
    whole = (tmp_path / "state" / "piece").read_bytes()
    for damaged in (b"", whole[:20], whole[:-1], whole + b"x"):
        (tmp_path / "state" / "piece").write_bytes(damaged)
        with pytest.raises(AlignmentError, match=r"piece is damaged. Delete the folder"):
            state.get("piece")


def test_the_budget_outlives_the_process_and_is_one_per_table(tmp_path):
    path, policy = tmp_path / "budget.json", AlignPolicy(max_probed_keys=10)
    assert kept_align_budget(policy, path, "table 1").spend_keys(7)
    again = kept_align_budget(policy, path, "table 1")
    assert again.spent.probed_keys == 7
    assert not again.spend_keys(4)
    assert again.spend_keys(3)
    assert kept_align_budget(policy, path, "table 2").spend_keys(10)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text("{")
    with pytest.raises(ConfigError, match=r"store: .*budget.json is damaged"):
        kept_align_budget(policy, path, "table 1")


def test_a_budget_without_a_limit_still_counts(tmp_path):
    budget = kept_align_budget(AlignPolicy(), tmp_path / "budget.json", "t")
    assert budget.spend_keys(2**40)
    assert budget.spent.probed_keys == 2**40


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"min_size": 0}, "policy.min_size: 0 is not allowed; give a whole number from 1 to"),
        ({"max_rows": 2**31}, "policy.max_rows: 2147483648 is not allowed"),
        ({"max_rows": None}, "policy.max_rows: None is not allowed"),
        ({"max_probed_keys": 0}, "policy.max_probed_keys: 0 is not allowed"),
        ({"max_probed_keys": 1.5}, "policy.max_probed_keys: 1.5 is not allowed"),
    ],
)
def test_policies_are_checked_by_name(changes, text):
    with pytest.raises(ConfigError, match=text):
        AlignPolicy(**changes)
