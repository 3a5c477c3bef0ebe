"""Training on rounded gradients, and three ways to compare it with training in float64.

After the first split that is decided otherwise two runs go their own ways, so whole runs say little
(`compare_runs`). `compare_choices` takes each rounded tree with the float64 tree for the same
scores, `compare_values` the scores of the rounded run with those that the same trees get when their
leaves are filled in float64.
"""

from dataclasses import dataclass
from typing import Any

import float64
import numpy as np
from data import Vertical
from float64 import Cuts, gradients, leaf_of_row, leaf_values
from sklearn.metrics import roc_auc_score

from crypto.fixed_point import FixedPoint
from secureboost.binning import BinMapper
from secureboost.gbdt.booster import Booster
from secureboost.gbdt.local import LocalColumns
from secureboost.gbdt.params import BoosterParams
from secureboost.gbdt.rules import Rules
from secureboost.objectives import BinaryLogistic

LINKS = ("feature", "bin", "left", "right")
"""What two equal trees have in common; leaf values differ by rounding."""


@dataclass(frozen=True, repr=False)
class Problem:
    """A binned table to train on.

    Attributes
    ----------
    params : BoosterParams
    binned, binned_test : arrays of shape (n_features, n_rows), uint8
    n_bins : array of shape (n_features,), int32
    y, y_test : arrays of shape (n_rows,), float64
    """

    params: BoosterParams
    binned: np.ndarray
    binned_test: np.ndarray
    n_bins: np.ndarray
    y: np.ndarray
    y_test: np.ndarray

    @property
    def base_score(self) -> float:
        """Raw score before the first tree."""
        return float(BinaryLogistic().base_score(self.y, np.ones(len(self.y)))[0])

    def auc(self, trees: list[np.ndarray]) -> float:
        """Area under the curve over the rows held out."""
        raw = sum(tree["value"][leaf_of_row(tree, self.binned_test)] for tree in trees)
        return float(roc_auc_score(self.y_test, raw))


@dataclass(frozen=True, repr=False)
class Run:
    """A trained ensemble: its trees, and the rows' scores after each of them."""

    trees: list[np.ndarray]
    raw: np.ndarray


def make_problem(data: Vertical, params: BoosterParams) -> Problem:
    """Cut the pooled columns into bins.

    Raises
    ------
    SystemExit
        If a value is missing, which `float64.py` does not handle.
    """
    X = data.pooled().to_numpy(np.float32)
    if np.isnan(X).any():
        raise SystemExit(f"{data.name} has missing values; float64.py does not handle them")
    mapper = BinMapper.fit(X[data.train], params.max_bin)
    train, test = (mapper.transform(X[rows]) for rows in (data.train, data.test))
    y, y_test = (data.y[rows].astype(np.float64) for rows in (data.train, data.test))
    return Problem(params, train, test, mapper.n_bins, y, y_test)


def train_float64(problem: Problem, **cuts: float) -> Run:
    """Train in float64; see `float64.Cuts` for more arguments."""
    candidates = Cuts(problem.binned, problem.params, **cuts)
    return Run(*float64.train(candidates, problem.y, problem.base_score))


def train_rounded(problem: Problem, bits: int) -> Run:
    """Train as the product does, with so many fraction bits in every round."""
    params, raw = problem.params, []
    own = LocalColumns("", problem.binned, problem.n_bins, params.max_bin)
    weight, scale = np.ones(len(problem.y)), FixedPoint(bits)

    def quantise(values: np.ndarray) -> tuple[np.ndarray, int]:
        return scale.encode(values), bits

    booster = Booster(params, BinaryLogistic(), (quantise, quantise), seed=0)
    model = booster.begin(problem.y, weight, len(problem.y), 1)
    booster.fit(
        [own],
        problem.y,
        weight,
        model,
        rules=Rules(np.ones(len(problem.n_bins), dtype=np.bool_)),
        on_round=lambda so_far: raw.append(so_far.raw.copy()),
    )
    return Run(model.trees, np.stack(raw))


def same_place(a: np.ndarray, b: np.ndarray) -> int:
    """How many splits of tree `a` tree `b` has in the same place."""
    waiting, same = [(0, 0)], 0
    while waiting:
        i, j = waiting.pop()
        if a["left"][i] >= 0 and all(a[name][i] == b[name][j] for name in ("feature", "bin")):
            same += 1
            waiting += [(a[side][i], b[side][j]) for side in ("left", "right")]
    return same


def compare_runs(run: Run, other: Run) -> dict[str, Any]:
    """Two whole runs: what is equal, and how far scores are apart before it is not."""
    equal = [
        len(a) == len(b) and all((a[name] == b[name]).all() for name in LINKS)
        for a, b in zip(run.trees, other.trees, strict=True)
    ]
    first = equal.index(False) if False in equal else len(equal)
    apart = np.abs(run.raw[:first] - other.raw[:first])
    splits = sum(int((tree["left"] >= 0).sum()) for tree in other.trees)
    same = sum(same_place(b, a) for a, b in zip(run.trees, other.trees, strict=True))
    return {
        "identical_trees": sum(equal),
        "first_other_tree": first if first < len(equal) else None,
        "splits": splits,
        "other_splits": splits - same,
        "score_difference_before": float(apart.max(initial=0.0)) if first else None,
    }


def compare_choices(problem: Problem, run: Run) -> dict[str, Any]:
    """Each tree with the float64 tree for the same scores.

    A split that is decided otherwise counts once: what lies below it divides other rows. What it
    loses is measured in float64, as a share of the best gain; a cut that float64 bars, because a
    child's hessian is below the limit, may well have more.
    """
    cuts, n_splits, lost = Cuts(problem.binned, problem.params), 0, []
    before = np.full(len(problem.y), problem.base_score)
    for tree, after in zip(run.trees, run.raw, strict=True):
        gh = gradients(before, problem.y)
        best = cuts.grow(gh)
        waiting = [(0, 0, np.arange(len(gh)))]
        while waiting:
            i, j, rows = waiting.pop()
            chosen = (int(tree["feature"][i]), int(tree["bin"][i]))
            wanted = (int(best["feature"][j]), int(best["bin"][j]))
            n_splits += best["left"][j] >= 0
            if chosen != wanted:
                gains, _ = cuts.gains(rows, gh)
                taken, best_gain = (gains[cut] if cut[0] >= 0 else 0.0 for cut in (chosen, wanted))
                lost.append(1.0 - taken / best_gain if best_gain > 0 else 0.0)
            elif wanted[0] >= 0:
                left = problem.binned[wanted[0], rows] <= wanted[1]
                for side, own in (("left", rows[left]), ("right", rows[~left])):
                    waiting.append((tree[side][i], best[side][j], own))
        before = after
    return {
        "choices": int(n_splits),
        "other_choices": len(lost),
        "gain_lost": float(max([0.0, *lost])),
    }


def exact_values(
    problem: Problem, tree: np.ndarray, leaf_of: np.ndarray, raw: np.ndarray
) -> np.ndarray:
    """Values that the leaves of a tree get for these scores in float64; 0 for its inner nodes."""
    gh = gradients(raw, problem.y)
    sums = np.stack([np.bincount(leaf_of, part, len(tree)) for part in gh.T], axis=1)
    return np.where(tree["left"] < 0, leaf_values(sums, problem.params), 0.0)


def compare_values(problem: Problem, run: Run, bits: int) -> dict[str, Any]:
    """Leaf values, and scores of the whole run, with those of float64 in the same trees.

    Bounds are those of `secureboost.gbdt.precision`; that of scores is the sum of a row's leaves'.
    """
    rate, half_unit = problem.params.learning_rate, 2.0 ** -(bits + 1)
    rounded = exact = np.full(len(problem.y), problem.base_score)
    score_bound, leaves = np.zeros(len(problem.y)), []
    for tree, after in zip(run.trees, run.raw, strict=True):
        leaf_of = leaf_of_row(tree, problem.binned)
        values = exact_values(problem, tree, leaf_of, rounded)
        rows = np.bincount(leaf_of, minlength=len(tree))
        hessian = tree["sum_hessian"] + problem.params.reg_lambda
        bound = half_unit * (rate + abs(values)) * rows / hessian
        leaves.append((abs(tree["value"] - values).max() / rate, bound.max() / rate))
        score_bound += bound[leaf_of]
        exact = exact + exact_values(problem, tree, leaf_of, exact)[leaf_of]
        rounded = after
    leaf_error, leaf_bound = np.max(leaves, axis=0).tolist()
    return {
        "leaf_error": leaf_error,
        "leaf_bound": leaf_bound,
        "score_error": float(abs(rounded - exact).max()),
        "score_bound": float(score_bound.max()),
    }
