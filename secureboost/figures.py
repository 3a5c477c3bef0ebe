"""The charts of a report: what is drawn of predictions, by what was learnt, and of training."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_curve

from secureboost.charts import Chart, line_chart
from secureboost.quality import mean_by_group

_CURVE_POINTS = 200
_BARS = 25
_GROUPS = 10
_LEAST_ROUNDS = 4
MAX_LINES = 4
"""Lines that can be told apart in one chart."""

Floats = NDArray[np.float64]


def roc_chart(curves: Sequence[tuple[str, NDArray[np.bool_], Floats]], title: str = "ROC") -> Chart:
    """ROC curves, each of a name, which rows are positive, and scores."""
    lines = []
    for name, positive, scores in curves:
        false_rate, true_rate, _ = roc_curve(positive, scores)
        shown = _thinned(len(false_rate))
        lines.append((name, false_rate[shown], true_rate[shown]))
    return line_chart(
        title,
        "false positive rate",
        "true positive rate",
        lines,
        x_range=(0, 1),
        y_range=(0, 1),
        guide=((0, 1), (0, 1)),
    )


def score_charts(labels: Floats, scores: Floats, model: str) -> tuple[Chart, Chart]:
    """Both classes' scores: the distributions, and the cumulative ones with the widest gap."""
    highest = max(float(scores.max()), 1e-6)
    edges = np.linspace(0.0, highest, _BARS + 1)
    cuts = np.unique(scores)
    shares, cumulated, gaps = [], [], []
    for name, chosen in (("class 0", labels == 0), ("class 1", labels == 1)):
        shares.append((name, *_steps(scores[chosen], edges)))
        below = np.searchsorted(np.sort(scores[chosen]), cuts, side="right") / chosen.sum()
        shown = _thinned(len(cuts))
        cumulated.append((name, cuts[shown], below[shown]))
        gaps.append(below)
    widest = int(np.argmax(np.abs(gaps[0] - gaps[1])))
    distribution = line_chart(
        f"Scores: {model}",
        "probability of class 1",
        "share of the class",
        shares,
        x_range=(0, highest),
        y_range=(0, _tallest(shares)),
    )
    gap = line_chart(
        f"Kolmogorov-Smirnov: {model}",
        "probability of class 1",
        "share of the class with this score or less",
        cumulated,
        x_range=(0, highest),
        y_range=(0, 1),
        guide=((cuts[widest], cuts[widest]), (gaps[0][widest], gaps[1][widest])),
        note=f"The widest gap, {abs(gaps[0][widest] - gaps[1][widest]):.4f}, is at a score of "
        f"{cuts[widest]:.3f}.",
    )
    return distribution, gap


def class_chart(labels: Floats, scores: Floats, classes: Sequence[str], model: str) -> Chart:
    """ROC of each class against the rest, of the classes with the most rows."""
    counts = np.bincount(labels.astype(np.intp), minlength=len(classes))
    largest = [int(k) for k in np.argsort(-counts, kind="stable") if 0 < counts[k] < len(labels)]
    return roc_chart(
        [(classes[k], labels == k, scores[:, k]) for k in largest[:MAX_LINES]],
        f"ROC, each class against the rest: {model}",
    )


def labels_chart(labels: Floats, scores: Floats, names: Sequence[str], model: str) -> Chart:
    """ROC of each of several labels, of the first ones where there are many."""
    curves = [(name, labels[:, k] == 1, scores[:, k]) for k, name in enumerate(names)]
    return roc_chart(curves[:MAX_LINES], f"ROC of each label: {model}")


def number_charts(labels: Floats, predicted: Floats, model: str) -> tuple[Chart, Chart]:
    """Whether predictions are right on average, and how they are distributed."""
    groups = np.array(mean_by_group(labels, predicted, _GROUPS))
    low, high = _widened(float(groups.min()), float(groups.max()))
    calibration = line_chart(
        f"Calibration: {model}",
        "mean prediction",
        "mean label",
        [("groups of rows", groups[:, 0], groups[:, 1])],
        x_range=(low, high),
        y_range=(low, high),
        guide=((low, high), (low, high)),
        note=f"Rows in {len(groups)} groups of one size, ordered by prediction; on the dotted line "
        "predictions are right on average.",
    )
    both = np.concatenate([labels, predicted])
    low, high = _widened(*np.quantile(both, (0.01, 0.99)).tolist())
    edges = np.linspace(low, high, _BARS + 1)
    shares = [(name, *_steps(values, edges)) for name, values in _named(labels, predicted)]
    distribution = line_chart(
        f"Distribution: {model}",
        "value",
        "share of the rows",
        shares,
        x_range=(low, high),
        y_range=(0, _tallest(shares)),
        note="The outermost hundredth on either side is left out.",
    )
    return calibration, distribution


def training_chart(
    metric: str, by_fold: Mapping[str, Sequence[float]], kept: int | None
) -> Chart | None:
    """A metric after each round, a line for each fold; None for a few rounds.

    Parameters
    ----------
    metric : str
    by_fold : mapping of str to sequence of float
        Finite values.
    kept : int, optional
        How many rounds the model has, where early stopping dropped some.
    """
    rounds = max(map(len, by_fold.values()))
    if rounds < _LEAST_ROUNDS:
        return None
    values = np.concatenate([np.asarray(v, dtype=np.float64) for v in by_fold.values()])
    low, high = _widened(float(values.min()), float(values.max()))
    return line_chart(
        f"Training: {metric}",
        "rounds",
        metric,
        [(fold, np.arange(1.0, len(v) + 1), np.asarray(v)) for fold, v in by_fold.items()],
        x_range=(1, rounds),
        y_range=(low, high),
        guide=((), ()) if kept is None else ((kept, kept), (low, high)),
        note="" if kept is None else f"Early stopping kept {kept} rounds.",
    )


def _named(labels: Floats, predicted: Floats) -> tuple[tuple[str, Floats], ...]:
    return ("label", labels), ("prediction", predicted)


def _steps(values: Floats, edges: Floats) -> tuple[Floats, Floats]:
    """Outline of a histogram: shares of all values."""
    share = np.histogram(values, edges)[0] / len(values)
    return np.repeat(edges, 2)[1:-1], np.repeat(share, 2)


def _tallest(shares: Sequence[tuple[str, Floats, Floats]]) -> float:
    return 1.05 * max(float(y.max()) for _, _, y in shares) or 1.0


def _widened(low: float, high: float) -> tuple[float, float]:
    """A range with some room on both sides."""
    margin = max(0.08 * (high - low), 1e-3 * max(1.0, abs(high)))
    return low - margin, high + margin


def _thinned(count: int) -> NDArray[np.int64]:
    """Positions of at most `_CURVE_POINTS` of `count` points, both ends among them."""
    return np.unique(np.linspace(0, count - 1, min(count, _CURVE_POINTS)).astype(np.int64))
