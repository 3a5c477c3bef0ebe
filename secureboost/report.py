"""The report of a run: one HTML file that needs nothing else, for the label party's own eyes.

It shows aggregates of the label party's rows (ROC curves, score distributions), so it belongs to
the label party like the model does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import roc_auc_score

from secureboost.charts import Chart
from secureboost.errors import DataError
from secureboost.figures import (
    MAX_LINES,
    class_chart,
    labels_chart,
    number_charts,
    roc_chart,
    score_charts,
    training_chart,
)
from secureboost.objectives import Objective, make_objective
from secureboost.pages import render_page
from secureboost.quality import heading, measure

MAX_MODELS = MAX_LINES


@dataclass(frozen=True, repr=False)
class ModelResult:
    """One model on the test rows.

    Attributes
    ----------
    name : str
        ``"lender alone"``.
    scores : array of shape (n_rows,) or (n_rows, n_classes)
        Probabilities of class 1 or of all classes, or predicted numbers.
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
    labels : array of shape (n_rows,) or (n_rows, n_labels)
        Labels of the test rows: 0 or 1, numbers of classes, or numbers.
    models : sequence of ModelResult
        One to four, in the order of the table; score distributions are drawn for `main_model`.
    main_model : int
        Position of the model that the run is about.
    facts : sequence of (str, str)
        Settings and circumstances: ``("key", "2048 bits")``.
    verdict : str
        A sentence under the table: whether federated equals pooled.
    objective : Objective
        What was learnt; decides which numbers and charts are shown. Two classes by default.
    classes : sequence of str
        Names of the classes, or of the labels, where there are several.
    curves : mapping of str to mapping of str to sequence of float
        By metric and fold the value after each round; drawn from four rounds on.
    rounds_kept : int, optional
        How many rounds the model has, where early stopping dropped some.
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
    objective: Objective = field(default_factory=lambda: make_objective("binary:logistic"))
    classes: Sequence[str] = ()
    curves: Mapping[str, Mapping[str, Sequence[float]]] = field(default_factory=dict)
    rounds_kept: int | None = None
    times: Sequence[tuple[str, float]] = ()
    learned: Sequence[tuple[str, Sequence[str]]] = ()


def render_report(report: Report) -> str:
    """Return a report as HTML.

    Raises
    ------
    DataError
        If there are no models or more than four, `main_model` is none of them, a curve is not
        finite, or scores and labels do not suit `quality.measure`.
    """
    if not 1 <= len(report.models) <= MAX_MODELS:
        raise DataError(f"a report shows 1 to {MAX_MODELS} models, not {len(report.models)}")
    if not 0 <= report.main_model < len(report.models):
        raise DataError(f"main_model={report.main_model} is none of {len(report.models)} models")
    curves = [values for by_fold in report.curves.values() for values in by_fold.values()]
    if not all(np.isfinite(values).all() for values in curves):
        raise DataError("a training curve has a value that is infinite or missing")
    labels = np.asarray(report.labels, dtype=np.float64)
    found = [
        measure(report.objective, labels, np.asarray(model.scores, dtype=np.float64))
        for model in report.models
    ]
    names = list(dict.fromkeys(name for quality in found for name in quality.values))
    return render_page(
        "report.html",
        report=report,
        heads=[heading(name) for name in names],
        rows=[
            (model, [quality.values.get(name) for name in names])
            for model, quality in zip(report.models, found, strict=True)
        ],
        scored=_describe_rows(report, labels),
        by_class=_class_rows(report, labels),
        charts=_charts(report, labels),
        total_seconds=sum(seconds for _, seconds in report.times),
    )


def write_report(report: Report, path: str | Path) -> None:
    """Write a report as HTML; errors as in `render_report`, before anything is written."""
    html = render_report(report)
    Path(path).write_text(html, encoding="utf-8")


def _describe_rows(report: Report, labels: NDArray[np.float64]) -> str:
    """Say how many rows were scored, and what they are like."""
    like = {
        "binary": f"{', '.join(_shares(report, labels))} % of class 1",
        "multiclass": f"{len(report.classes)} classes",
        "regression": f"{labels.mean():.4g} on average",
    }
    return f"{len(labels):,} test rows, {like[report.objective.task]}"


def _shares(report: Report, labels: NDArray[np.float64]) -> list[str]:
    """Percentages of ones, of each label."""
    if labels.ndim == 1:
        return [f"{100 * labels.mean():.1f}"]
    shares = 100 * labels.mean(axis=0)
    return [f"{name} {share:.1f}" for name, share in zip(report.classes, shares, strict=True)]


def _charts(report: Report, labels: NDArray[np.float64]) -> list[Chart]:
    """Charts of predictions, then of training."""
    main = report.models[report.main_model]
    scores = np.asarray(main.scores, dtype=np.float64)
    charts: list[Chart]
    if labels.ndim == 2:
        charts = [labels_chart(labels, scores, report.classes, main.name)]
    elif report.objective.task == "binary":
        positive = labels == 1
        curves = [(model.name, positive, np.asarray(model.scores)) for model in report.models]
        charts = [roc_chart(curves), *score_charts(labels, scores, main.name)]
    elif report.objective.task == "multiclass":
        charts = [class_chart(labels, scores, report.classes, main.name)]
    else:
        charts = [*number_charts(labels, scores, main.name)]
    drawn = (
        training_chart(name, folds, report.rounds_kept) for name, folds in report.curves.items()
    )
    return charts + [chart for chart in drawn if chart is not None]


def _class_rows(
    report: Report, labels: NDArray[np.float64]
) -> list[tuple[str, int, float | None, float | None, float | None]]:
    """Of each class its name and rows; precision, recall and AUC of the main model.

    Empty unless there are several classes; None where a number is not defined.
    """
    if report.objective.task != "multiclass":
        return []
    scores = np.asarray(report.models[report.main_model].scores, dtype=np.float64)
    chosen = scores.argmax(axis=1)
    rows: list[tuple[str, int, float | None, float | None, float | None]] = []
    for k, name in enumerate(report.classes):
        actual, predicted = labels == k, chosen == k
        hits, both = int((actual & predicted).sum()), 0 < actual.sum() < len(labels)
        rows.append(
            (
                name,
                int(actual.sum()),
                hits / int(predicted.sum()) if predicted.any() else None,
                hits / int(actual.sum()) if actual.any() else None,
                float(roc_auc_score(actual, scores[:, k])) if both else None,
            )
        )
    return rows
