"""The report of a run: one HTML file that needs nothing else, for the label party's own eyes.

It shows aggregates of the label party's rows (ROC curves, score distributions), so it belongs to
the label party like the model does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import roc_curve

from secureboost._version import __version__
from secureboost.charts import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Chart, line_chart
from secureboost.errors import DataError
from secureboost.metrics import evaluate
from secureboost.units import format_bytes, format_seconds

MAX_MODELS = 4
_CURVE_POINTS = 200
_SCORE_BINS = 25


@dataclass(frozen=True, repr=False)
class ModelResult:
    """One model on the test rows.

    Attributes
    ----------
    name : str
        ``"lender alone"``.
    scores : array of shape (n_rows,)
        Probabilities of class 1.
    seconds : float, optional
        Wall time of the training.
    bytes_sent, bytes_received : int, optional
        Traffic of the label party.
    """

    name: str
    scores: ArrayLike
    seconds: float | None = None
    bytes_sent: int | None = None
    bytes_received: int | None = None


@dataclass(frozen=True, repr=False)
class Report:
    """What a report shows; empty parts are left out.

    Attributes
    ----------
    title : str
    labels : array of shape (n_rows,)
        Labels of the test rows, 0 or 1.
    models : sequence of ModelResult
        One to four, in the order of the table; score distributions are drawn for `main_model`.
    main_model : int
        Position of the model that the run is about.
    facts : sequence of (str, str)
        Settings and circumstances: ``("key", "2048 bits")``.
    verdict : str
        A sentence under the table: whether federated equals pooled.
    curve_name : str
        What `curve` measures, ``"AUC on test rows"``.
    curve : sequence of float
        The metric after each tree; drawn from four trees on.
    times : sequence of (str, float)
        Seconds by kind of work.
    learned : sequence of (str, sequence of str)
        Per party, what it learned.
    """

    title: str
    labels: ArrayLike
    models: Sequence[ModelResult]
    main_model: int = 0
    facts: Sequence[tuple[str, str]] = ()
    verdict: str = ""
    curve_name: str = ""
    curve: Sequence[float] = ()
    times: Sequence[tuple[str, float]] = ()
    learned: Sequence[tuple[str, Sequence[str]]] = ()


def render_report(report: Report) -> str:
    """Return a report as HTML.

    Raises
    ------
    DataError
        If there are no models or more than four, `main_model` is none of them, the curve is not
        finite, or scores and labels do not suit `metrics.evaluate`.
    """
    if not 1 <= len(report.models) <= MAX_MODELS:
        raise DataError(f"a report shows 1 to {MAX_MODELS} models, not {len(report.models)}")
    if not 0 <= report.main_model < len(report.models):
        raise DataError(f"main_model={report.main_model} is none of {len(report.models)} models")
    if not np.isfinite(report.curve).all():
        raise DataError("the training curve has a value that is infinite or missing")
    labels = np.asarray(report.labels)
    metrics = [evaluate(labels, model.scores) for model in report.models]
    main = report.models[report.main_model]
    charts = [_roc_chart(labels, report.models), *_score_charts(labels, main)]
    if len(report.curve) > 3:
        charts.append(_training_chart(report))
    page = Environment(
        loader=PackageLoader("secureboost"), autoescape=True, undefined=StrictUndefined
    )
    page.filters.update(bytes=format_bytes, seconds=format_seconds)
    return page.get_template("report.html").render(
        report=report,
        rows=list(zip(report.models, metrics, strict=True)),
        n_rows=len(labels),
        default_rate=float(labels.mean()),
        charts=charts,
        total_seconds=sum(seconds for _, seconds in report.times),
        size=(WIDTH, HEIGHT),
        plot=(LEFT, TOP, WIDTH - RIGHT, HEIGHT - BOTTOM),
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        version=__version__,
    )


def write_report(report: Report, path: str | Path) -> None:
    """Write a report as HTML; errors as in `render_report`, before anything is written."""
    html = render_report(report)
    Path(path).write_text(html, encoding="utf-8")


def _roc_chart(labels: NDArray[np.int64], models: Sequence[ModelResult]) -> Chart:
    curves = []
    for model in models:
        false_rate, true_rate, _ = roc_curve(labels, np.asarray(model.scores))
        shown = _thinned(len(false_rate))
        curves.append((model.name, false_rate[shown], true_rate[shown]))
    return line_chart(
        "ROC",
        "false positive rate",
        "true positive rate",
        curves,
        x_range=(0, 1),
        y_range=(0, 1),
        guide=((0, 1), (0, 1)),
    )


def _score_charts(labels: NDArray[np.int64], model: ModelResult) -> tuple[Chart, Chart]:
    """Both classes' scores: the distributions, and the cumulative ones with the widest gap."""
    scores = np.asarray(model.scores, dtype=np.float64)
    highest = max(float(scores.max()), 1e-6)
    edges = np.linspace(0.0, highest, _SCORE_BINS + 1)
    cuts = np.unique(scores)
    shares, cumulated, gaps = [], [], []
    for name, chosen in (("class 0", labels == 0), ("class 1", labels == 1)):
        share = np.histogram(scores[chosen], edges)[0] / chosen.sum()
        shares.append((name, np.repeat(edges, 2)[1:-1], np.repeat(share, 2)))
        below = np.searchsorted(np.sort(scores[chosen]), cuts, side="right") / chosen.sum()
        shown = _thinned(len(cuts))
        cumulated.append((name, cuts[shown], below[shown]))
        gaps.append(below)
    widest = int(np.argmax(np.abs(gaps[0] - gaps[1])))
    tallest = max(float(y.max()) for _, _, y in shares)
    distribution = line_chart(
        f"Scores: {model.name}",
        "probability of class 1",
        "share of the class",
        shares,
        x_range=(0, highest),
        y_range=(0, tallest * 1.05),
    )
    gap = line_chart(
        f"Kolmogorov-Smirnov: {model.name}",
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


def _training_chart(report: Report) -> Chart:
    values = np.asarray(report.curve, dtype=np.float64)
    margin = max(0.08 * float(np.ptp(values)), 1e-3)
    return line_chart(
        "Training",
        "trees",
        report.curve_name,
        [(report.curve_name, np.arange(1.0, len(values) + 1), values)],
        x_range=(1, len(values)),
        y_range=(float(values.min()) - margin, float(values.max()) + margin),
    )


def _thinned(count: int) -> NDArray[np.int64]:
    """Positions of at most `_CURVE_POINTS` of `count` points, both ends among them."""
    return np.unique(np.linspace(0, count - 1, min(count, _CURVE_POINTS)).astype(np.int64))
