import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from secureboost.binning import (
    BinMapper,
    assign_bins,
    assign_codes,
    bin_edges,
    equal_rows,
    frequent_codes,
)

columns = hnp.arrays(
    np.float32,
    st.integers(1, 200),
    elements=st.one_of(
        st.floats(allow_nan=True, allow_infinity=False, width=32),
        st.integers(-5, 5).map(float),
    ),
)
max_bins = st.sampled_from([2, 3, 8, 255])
coded_columns = hnp.arrays(
    np.float32,
    st.integers(1, 200),
    elements=st.one_of(st.just(np.nan), st.integers(0, 20).map(float)),
)


@settings(deadline=None)
@given(columns, max_bins)
def test_edges_separate_distinct_values(column, max_bin):
    edges = bin_edges(column, max_bin)
    assert edges.dtype == np.float32
    assert len(edges) <= max_bin - 1
    distinct = np.unique(column[~np.isnan(column)])
    below = np.searchsorted(distinct, edges, side="right")
    # every edge lies between two different neighbours, lower <= edge < upper
    assert np.all(below >= 1)
    assert np.all(below < len(distinct))
    assert np.all(np.diff(below) > 0)
    if 0 < len(distinct) <= max_bin:
        assert len(edges) == len(distinct) - 1


@settings(deadline=None)
@given(columns, max_bins)
def test_transform_keeps_order_and_missing(column, max_bin):
    X = column[:, None]
    mapper = BinMapper.fit(X, max_bin)
    bins = mapper.transform(X)[0]
    missing = np.isnan(column)
    assert np.all(bins[missing] == max_bin)
    assert np.all(bins[~missing] < mapper.n_bins[0])
    for cut in range(mapper.n_bins[0]):
        goes_left = column[~missing] <= np.float32(mapper.threshold(0, cut))
        np.testing.assert_array_equal(goes_left, bins[~missing] <= cut)
    if not missing.all():
        assert set(range(mapper.n_bins[0])) == set(bins[~missing].tolist())  # no empty bin


@settings(deadline=None)
@given(columns, max_bins, st.randoms(use_true_random=False))
def test_edges_do_not_depend_on_row_order(column, max_bin, random):
    shuffled = column.copy()
    order = list(range(len(column)))
    random.shuffle(order)
    np.testing.assert_array_equal(bin_edges(column, max_bin), bin_edges(shuffled[order], max_bin))


def test_neighbouring_floats_are_separated():
    lower = np.float32(1.0)
    upper = np.nextafter(lower, np.float32(2.0))
    (edge,) = bin_edges(np.array([lower, upper], dtype=np.float32), 2)
    assert lower <= edge < upper


def test_bins_of_continuous_values_hold_equally_many_rows():
    column = np.random.default_rng(0).normal(size=6400).astype(np.float32)
    bins = BinMapper.fit(column[:, None], 64).transform(column[:, None])[0]
    assert set(np.bincount(bins).tolist()) == {100}


def test_a_mostly_constant_column_still_gets_its_bins():
    rng = np.random.default_rng(0)
    column = np.where(rng.random(5000) < 0.9, 0.0, rng.normal(size=5000)).astype(np.float32)
    bins = BinMapper.fit(column[:, None], 16).transform(column[:, None])[0]
    counts = np.bincount(bins)
    assert len(counts) == 16
    assert counts.max() == (column == 0).sum()
    assert np.sort(counts)[:-1].max() < 60
    assert counts.min() > 5


def test_a_column_without_values_has_one_bin():
    X = np.full((4, 2), np.nan, dtype=np.float32)
    X[:, 1] = 5.0
    mapper = BinMapper.fit(X, 8)
    assert mapper.n_bins.tolist() == [1, 1]
    assert mapper.transform(X).tolist() == [[8] * 4, [0] * 4]
    assert mapper.threshold(1, 0) == np.inf


def test_threads_and_layout_change_nothing():
    X = np.random.default_rng(1).normal(size=(500, 7)).astype(np.float32)
    one, two = BinMapper.fit(X, 16), BinMapper.fit(np.asfortranarray(X), 16, n_jobs=2)
    for a, b in zip(one.edges, two.edges, strict=True):
        np.testing.assert_array_equal(a, b)
    binned = two.transform(np.asfortranarray(X), n_jobs=2)
    np.testing.assert_array_equal(one.transform(X), binned)
    assert binned.flags.c_contiguous
    assert binned.dtype == np.uint8


@settings(deadline=None)
@given(coded_columns, max_bins)
def test_the_most_frequent_categories_have_bins(column, max_bin):
    codes = frequent_codes(column, max_bin)
    counts = {code: int((column == code).sum()) for code in range(21) if (column == code).any()}
    by_rank = sorted(counts, key=lambda code: (-counts[code], code))
    assert codes.dtype == np.int32
    assert codes.tolist() == sorted(by_rank[:max_bin])


@settings(deadline=None)
@given(coded_columns, coded_columns, max_bins)
def test_rare_and_unseen_categories_lie_in_the_missing_bin(column, others, max_bin):
    mapper = BinMapper.fit(column[:, None], max_bin, categorical=np.array([True]))
    kept = mapper.codes[0].tolist()
    assert len(mapper.edges[0]) == 0
    assert mapper.n_bins.tolist() == [max(1, len(kept))]
    for values in (column, others):
        bins = mapper.transform(values[:, None])[0].tolist()
        twin = [kept.index(code) if code in kept else max_bin for code in values]
        assert bins == twin


def test_numbers_are_cut_as_if_no_categories_were_there():
    rng = np.random.default_rng(3)
    X = np.asfortranarray(rng.integers(0, 30, (400, 4)), dtype=np.float32)
    X[::9] = np.nan
    mask = np.array([False, True, False, True])
    alone = BinMapper.fit(X, 16)
    for n_jobs in (1, 2):
        mixed = BinMapper.fit(X, 16, categorical=mask, n_jobs=n_jobs)
        assert mixed.categorical.tolist() == mask.tolist()
        assert [len(codes) for codes in mixed.codes] == [0, 16, 0, 16]
        for f in (0, 2):
            np.testing.assert_array_equal(mixed.edges[f], alone.edges[f])
        binned = mixed.transform(X, n_jobs=n_jobs)
        np.testing.assert_array_equal(binned[~mask], alone.transform(X)[~mask])
        assert np.all(binned[:, ::9] == 16)
    assert not alone.categorical.any()
    assert all(len(codes) == 0 for codes in alone.codes)


def test_names_of_kept_categories_are_in_the_order_of_bins():
    names = ("clerk", "driver", "nurse", "pilot")
    X = np.array([[3, 0, 3, 2, 0, 1, np.nan]], dtype=np.float32).T
    mapper = BinMapper.fit(X, 2, categorical=np.array([True]))
    assert mapper.kept_names(0, names) == ("clerk", "pilot")
    assert mapper.transform(X)[0].tolist() == [1, 0, 1, 2, 0, 2, 2]
    empty = BinMapper.fit(X[-1:], 2, categorical=np.array([True]))
    assert empty.kept_names(0, names) == ()
    assert empty.n_bins.tolist() == [1]
    assert empty.transform(X)[0].tolist() == [2] * 7


def test_all_255_bins_can_be_categories():
    X = np.arange(300, dtype=np.float32)[:, None]
    mapper = BinMapper.fit(X, 255, categorical=np.array([True]))
    assert mapper.n_bins.tolist() == [255]
    assert mapper.transform(X)[0].tolist() == [*range(255), *[255] * 45]


def test_refusals():
    X = np.zeros((3, 2), dtype=np.float32)
    for max_bin in (1, 256):
        with pytest.raises(ValueError, match=f"max_bin={max_bin} is outside 2 to 255"):
            BinMapper.fit(X, max_bin)
    with pytest.raises(ValueError, match="X has 1 columns, the bins were cut on 2"):
        BinMapper.fit(X, 8).transform(X[:, :1])
    with pytest.raises(ValueError, match="categorical has 1 entries, X has 2 columns"):
        BinMapper.fit(X, 8, categorical=np.array([True]))


@pytest.mark.kernels
def test_assign_bins_against_twin():
    rng = np.random.default_rng(2)
    column = rng.integers(0, 30, 300).astype(np.float32)
    column[::7] = np.nan
    edges = np.unique(rng.integers(0, 29, 12)).astype(np.float32)
    out = np.empty(300, dtype=np.uint8)
    assign_bins(column, edges, 64, out)
    twin = [64 if np.isnan(x) else sum(x > edge for edge in edges) for x in column]
    assert out.tolist() == twin


@pytest.mark.kernels
def test_assign_codes_against_twin():
    rng = np.random.default_rng(4)
    column = rng.integers(-1, 12, 300).astype(np.float32)  # -1 and 9 to 11 are not in the table
    column[::7] = np.nan
    bin_of_code = rng.integers(0, 9, 9).astype(np.uint8)
    for table in (bin_of_code, bin_of_code[:0]):
        out = np.empty(300, dtype=np.uint8)
        assign_codes(column, table, 64, out)
        known = range(len(table))
        twin = [int(table[int(x)]) if x in known else 64 for x in column]
        assert out.tolist() == twin


@pytest.mark.kernels
@pytest.mark.parametrize("max_bin", [2, 5, 20])
def test_equal_rows_against_twin(max_bin):
    counts = (np.random.default_rng(max_bin).pareto(0.7, 60) + 1).astype(np.int64)

    total = counts.sum()
    heavy = [count * max_bin >= total for count in counts]
    bins, rest = max_bin - sum(heavy), [c for c, h in zip(counts, heavy, strict=True) if not h]
    groups, group = [], []
    for i in range(len(counts)):
        group.append(i)
        if not heavy[i]:
            light = sum(counts[j] for j in group)
            before_heavy = i + 1 < len(counts) and heavy[i + 1]
            if light < sum(rest) / bins and not (before_heavy and bins > 1):
                continue
            bins -= 1
        del rest[: sum(not heavy[j] for j in group)]
        groups, group = [*groups, group], []
    if group:
        groups.append(group)
    assert len(groups) <= max_bin
    assert equal_rows(counts, max_bin).tolist() == [group[-1] for group in groups[:-1]]
