"""Naive search for the best cut, in plain Python, over the rows of random nodes."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from secureboost.gbdt.params import BoosterParams
from secureboost.gbdt.splitter import TreeColumns

SCALES = (2.0**-3, 2.0**-2)  # of gradients and hessians
FREE = (-np.inf, np.inf)


@dataclass(frozen=True, eq=False)
class Node:
    """The rows of a node.

    Attributes
    ----------
    bins : array of shape (f, n_rows), int64
        `max_bin` is missing.
    values : array of shape (n_rows, 2 * n_outputs), int64
        Gradients and hessians.
    columns : TreeColumns
    max_bin : int
    """

    bins: NDArray[np.int64]
    values: NDArray[np.int64]
    columns: TreeColumns
    max_bin: int

    @property
    def totals(self) -> NDArray[np.int64]:
        return self.values.sum(axis=0)

    def sums(self) -> NDArray[np.int64]:
        """Sums by column and bin."""
        sums = np.zeros((len(self.bins), self.max_bin + 1, self.values.shape[1]), dtype=np.int64)
        for f, column in enumerate(self.bins):
            np.add.at(sums[f], column, self.values)
        return sums

    def allowed(self, params: BoosterParams) -> NDArray[np.bool_]:
        """The mask that whoever has the rows makes (`columns.NodeHistograms`)."""
        mask = np.zeros((len(self.bins), self.max_bin, 2), dtype=np.bool_)
        for f, column in enumerate(self.bins):
            for b in range(self.max_bin):
                if self.columns.categorical[f]:
                    alone = self.columns.n_bins[f] <= params.max_cat_to_onehot
                    least = params.min_child_samples if alone else params.least_group
                    mask[f, b] = (column == b).sum() >= least
                    continue
                for side in (0, 1):
                    left = (column <= b) | ((column == self.max_bin) & bool(side))
                    mask[f, b, side] = min(left.sum(), (~left).sum()) >= params.min_child_samples
        return mask

    def goes_left(self, record: np.void, codes: tuple[int, ...]) -> NDArray[np.bool_]:
        """Which rows go left by this cut."""
        column = self.bins[record["feature"]]
        present = np.isin(column, codes) if codes else column <= record["bin"]
        return present | ((column == self.max_bin) & bool(record["missing_left"]))


@st.composite
def tables(draw, *, outputs=(1, 2, 3), kinds=(0, 1), signs=(0,)) -> Node:
    """A node of few rows, small integers and so many ties.

    `kinds` are those of the columns: 0 numbers, 1 categories; `signs` those of numbers.
    """
    n_rows = draw(st.integers(2, 60))
    n_bins = draw(st.lists(st.integers(1, 7), min_size=1, max_size=4))
    categorical = np.array([draw(st.sampled_from(kinds)) for _ in n_bins], dtype=np.bool_)
    monotone = np.array(
        [0 if category else draw(st.sampled_from(signs)) for category in categorical], dtype=np.int8
    )
    n_outputs = draw(st.sampled_from(outputs))
    missing = draw(st.sampled_from([0.0, 0.3]))
    size = draw(st.sampled_from([2, 200]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    max_bin = max(n_bins) + 1
    bins = np.stack([rng.integers(0, bins, n_rows) for bins in n_bins])
    bins[rng.random(bins.shape) < missing] = max_bin
    values = np.empty((n_rows, 2 * n_outputs), dtype=np.int64)
    values[:, 0::2] = rng.integers(-size, size + 1, (n_rows, n_outputs))
    values[:, 1::2] = rng.integers(0, size + 1, (n_rows, n_outputs))
    columns = TreeColumns(np.array(n_bins, dtype=np.int32), categorical, monotone)
    return Node(bins, values, columns, max_bin)


LIMITS = st.builds(
    BoosterParams,
    reg_lambda=st.sampled_from([0.0, 0.5, 1.0]),
    reg_alpha=st.sampled_from([0.0, 0.0, 0.3]),
    max_delta_step=st.sampled_from([0.0, 0.0, 0.3]),
    min_child_weight=st.sampled_from([0.0, 0.0, 1.0]),
    gamma=st.sampled_from([0.0, 0.0, 0.1]),
    min_child_samples=st.sampled_from([1, 3]),
    max_cat_to_onehot=st.sampled_from([1, 4]),
    max_cat_threshold=st.sampled_from([1, 2, 32]),
    cat_smooth=st.sampled_from([0.0, 1.0, 10.0]),
    cat_l2=st.sampled_from([0.0, 2.0]),
    min_data_per_group=st.sampled_from([1, 1, 4]),
)


def naive_weight(g: float, h: float, reg_lambda: float, bounds, params: BoosterParams) -> float:
    value = -max(abs(g) - params.reg_alpha, 0.0) * (1 if g > 0 else -1) / (h + reg_lambda)
    if params.max_delta_step:
        value = min(max(value, -params.max_delta_step), params.max_delta_step)
    return min(max(value, bounds[0]), bounds[1])


def naive_score(sums, reg_lambda: float, bounds, params: BoosterParams) -> float:
    """Sum of the outputs' scores; without bounds (None) by the formula of equation 6."""
    total = 0.0
    for g, h in zip(*naive_reals(sums), strict=True):
        if h <= 0:
            continue
        if bounds is None and not params.max_delta_step:
            total += max(abs(g) - params.reg_alpha, 0.0) ** 2 / (h + reg_lambda)
        else:
            w = naive_weight(g, h, reg_lambda, bounds or FREE, params)
            total += -(2.0 * g * w + (h + reg_lambda) * w * w)
    return total


def naive_reals(sums) -> tuple[list[float], list[float]]:
    return [int(s) * SCALES[0] for s in sums[0::2]], [int(s) * SCALES[1] for s in sums[1::2]]


def naive_cuts(node: Node, f: int, allowed, params: BoosterParams) -> Iterator[tuple]:
    """The cuts of a column in the order in which they are tried: bin, codes, side, L2."""
    sums, n_bins = node.sums()[f], int(node.columns.n_bins[f])
    if not node.columns.categorical[f]:
        for b in range(n_bins):
            for side in (0, 1):
                if allowed is None or allowed[f, b, side]:
                    yield b, (), side, 0.0
        return
    present = sums[:, 1::2].sum(axis=1) > 0
    eligible = [c for c in range(n_bins) if (present[c] if allowed is None else allowed[f, c, 0])]
    if n_bins <= params.max_cat_to_onehot:
        sets, more = [(code,) for code in eligible] if len(eligible) > 1 else [], 0.0
    else:
        sets, more = [], params.cat_l2
        for output in np.flatnonzero(node.totals[1::2]):

            def place(code, output=output):
                g, h = (reals[output] for reals in naive_reals(sums[code]))
                return (g / (h + params.cat_smooth) if h + params.cat_smooth > 0 else 0.0, code)

            for order in (sorted(eligible, key=place), sorted(eligible, key=place)[::-1]):
                for n_left in range(1, min(params.max_cat_threshold, len(eligible) - 1) + 1):
                    sets.append(tuple(sorted(order[:n_left])))
    for codes in sets:
        for side in (0, 1):
            yield -1, codes, side, more


def naive_best(node: Node, allowed, candidates, bounds, params: BoosterParams) -> tuple:
    """The best cut: gain, column, bin, missing left, codes, both weights, sums on the left.

    `bounds` is None in a tree without monotone columns.
    """
    sums, total = node.sums(), node.totals
    single = len(total) == 2
    found = (0.0, -1, 0, 0, (), 0.0, 0.0, [0] * len(total))
    parent = naive_score(total, params.reg_lambda, bounds, params)
    for f in range(len(node.bins)):
        if candidates is not None and not candidates[f]:
            continue
        for b, codes, side, more in naive_cuts(node, f, allowed, params):
            left = sums[f, list(codes) if codes else slice(b + 1)].sum(axis=0)
            left = left + side * sums[f, node.max_bin]
            right = total - left
            least = min(sum(naive_reals(left)[1]), sum(naive_reals(right)[1]))
            if least <= 0 or least < params.min_child_weight:
                continue
            weights = [0.0, 0.0]
            if single:
                weights = [
                    naive_weight(
                        *np.ravel(naive_reals(s)), params.reg_lambda, bounds or FREE, params
                    )
                    for s in (left, right)
                ]
                above = b + 1 < node.columns.n_bins[f]  # bins on the right: not only missing
                if above and node.columns.monotone[f] * (weights[1] - weights[0]) < 0:
                    continue
            gain = naive_score(left, params.reg_lambda + more, bounds, params)
            gain += naive_score(right, params.reg_lambda + more, bounds, params)
            gain -= parent
            if gain > 1e-6 and gain >= params.gamma and gain > found[0]:
                found = (gain, f, b, side, codes, *weights, left.tolist())
    return found
