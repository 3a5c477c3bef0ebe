import re
from dataclasses import replace

import numpy as np
import pytest
from support.pages import check_balanced

from secureboost.charts import line_chart
from secureboost.errors import DataError
from secureboost.objectives import make_objective
from secureboost.report import ModelResult, Report, render_report, write_report

LABELS = np.asarray([0, 1] * 150)
SCORES = np.clip(0.3 * LABELS + np.linspace(0, 0.6, 300), 0, 1)


@pytest.fixture
def report():
    return Report(
        "A <b>run</b>",
        LABELS,
        [
            ModelResult("lender & co", np.full(300, 0.5), 0.5),
            ModelResult("federated", SCORES, 93.0, 41_200_000, 12_900_000),
        ],
        main_model=1,
        facts=[("key", "2048 bits")],
        verdict="Federated equals pooled exactly.",
        curves={
            "auc": {"train": [0.8, 0.85, 0.9, 0.91], "test": [0.7, 0.75, 0.76, 0.76]},
            "logloss": {"train": [0.5, 0.4, 0.3, 0.2], "test": [0.5, 0.45, 0.42, 0.43]},
        },
        rounds_kept=3,
        times=[("encrypting", 41.2), ("summing", 0.0)],
        learned=[("<bureau>", ["which rows share a node"])],
    )


def test_report_shows_what_it_was_given_and_escapes_it(report):
    html = render_report(report)
    for text in (
        "A &lt;b&gt;run&lt;/b&gt;",
        "lender &amp; co",
        "41.2 MB",
        "12.9 MB",
        "1 min 33 s",
        "2048 bits",
        "Federated equals pooled exactly.",
        "&lt;bureau&gt;",
        "which rows share a node",
        "300 test rows, 50.0 % of class 1",
        "The widest gap, ",
        "<h3>Training: auc</h3>",
        "<h3>Training: logloss</h3>",
        "</svg>train</li>",
        "</svg>test</li>",
        "Early stopping kept 3 rounds.",
    ):
        assert text in html
    assert "<b>run" not in html
    check_balanced(html)


def test_report_needs_no_other_resource(report):
    html = render_report(report)
    assert not re.search(r"<script|<link|<img|@import|url\(|https?://|src=", html)
    assert "nan" not in html


def test_empty_parts_are_left_out():
    html = render_report(Report("run", LABELS, [ModelResult("local", SCORES)]))
    for text in ("Where the time went", "What each party learned", "Training", "None"):
        assert text not in html


def test_curves_of_few_rounds_are_left_out(report):
    assert "Training: auc" not in render_report(replace(report, curves={"auc": {"t": [1, 2, 3]}}))


def test_report_of_several_classes():
    draws = np.random.default_rng(0)
    scores = draws.dirichlet([1] * 5, 200)
    labels = np.array([draws.choice(5, p=row) for row in scores])
    objective = make_objective("multi:softprob", n_classes=5)
    names = ["a", "b", "c", "<d>", "never"]
    labels[labels == 4] = 0  # a class without test rows
    html = render_report(
        Report("run", labels, [ModelResult("all", scores)], objective=objective, classes=names)
    )
    for text in (
        "200 test rows, 5 classes",
        "accuracy",
        "precision",
        "&lt;d&gt;",
        "ROC, each class",
    ):
        assert text in html, text
    rows = re.findall(r"<tr><td>(\S+)</td>\s*<td>([\d,]+)</td>", html)
    assert rows == [
        (name.replace("<", "&lt;").replace(">", "&gt;"), str((labels == k).sum()))
        for k, name in enumerate(names)
    ]
    assert html.count('class="c c') == 4 + 4  # a curve and its legend, of the four largest classes
    assert "Kolmogorov" not in html
    assert "nan" not in html


def test_report_of_numbers():
    draws = np.random.default_rng(0)
    predicted = draws.uniform(1_000, 90_000, 300)
    labels = predicted * draws.gamma(20, 1 / 20, 300)
    html = render_report(
        Report(
            "run", labels, [ModelResult("all", predicted)], objective=make_objective("reg:gamma")
        )
    )
    for text in ("RMSE", "MAE", "R2", "gamma-deviance", "Calibration: all", "Distribution: all"):
        assert text in html, text
    assert "Rows in 10 groups of one size" in html
    assert "ROC" not in html
    constant = Report(
        "run", np.ones(9), [ModelResult("all", np.ones(9))], objective=make_objective("reg:gamma")
    )
    assert "nan" not in render_report(constant)


def test_bad_reports_write_nothing(report, tmp_path):
    for change, message in (
        ({"models": []}, "a report shows 1 to 4 models, not 0"),
        ({"main_model": 2}, "main_model=2 is none of 2 models"),
        (
            {"curves": {"auc": {"test": [0.5, float("nan")]}}},
            "a training curve has a value that is infinite",
        ),
        ({"labels": np.zeros(300)}, "metrics need both classes"),
    ):
        with pytest.raises(DataError, match=message):
            write_report(replace(report, **change), tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()
    write_report(report, tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_chart_places_points_and_round_ticks():
    chart = line_chart(
        "t", "x", "y", [("a", np.asarray([0.0, 1.0]), np.asarray([0.0, 1.0]))],
        x_range=(0, 1), y_range=(0, 1),
    )  # fmt: skip
    assert chart.lines[0].points == "58.0,284.0 446.0,12.0"
    assert [text for _, text in chart.x_ticks] == ["0", "0.2", "0.4", "0.6", "0.8", "1"]
    assert chart.guide == ""
