"""What a run tells about itself: the report's contents, and where the time went."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from secureboost.kinds import kind_of
from secureboost.kinds.base import TimeRow
from secureboost.kinds.trees import trees_a_round
from secureboost.outcome import RunData, RunResult
from secureboost.planning import Link, Plan, Rates, Shape, predict
from secureboost.planning.compare import Compared, compare
from secureboost.report import ModelResult, Report
from secureboost.tables import JoinCounts


def make_report(title: str, data: RunData, result: RunResult, **more: Any) -> Report:
    """Make the report of a run with one model; `more` replaces or adds fields of `Report`."""
    half = result.model.label_half_
    shown = data.folds[result.shown_fold]
    fold = "held-out" if result.shown_fold == "test" else "training"
    n_rounds = result.rounds_kept
    fields: dict[str, Any] = {
        "labels": data.targets[shown],
        "objective": data.objective,
        "classes": [str(name) for name in result.names],
        "models": [
            ModelResult(
                "federated" if half.partners else "label party alone",
                result.scores[shown],
                result.seconds["train"],
                result.bytes_sent,
                result.bytes_received,
            )
        ],
        "facts": [
            ("parties", ", ".join(["label party", *(p.name for p in half.partners)])),
            *([] if data.joined is None else [("common", rows_text(data.joined))]),
            ("scored rows", f"{len(shown):,} {fold} of {len(data.y):,}"),
            *kind_of(result.model).facts(result, n_rounds),
            ("model", half.model_id),
        ],
        "times": report_times(result) if half.partners else (),
        "curves": curves(result),
        "rounds_kept": None if n_rounds == result.rounds else n_rounds,
        "learned": what_each_learned(data, result),
    }
    return Report(title=title, **(fields | more))


def curves(result: RunResult) -> dict[str, dict[str, list[float]]]:
    """The history by metric and fold, without metrics that were infinite in some round."""
    by_metric: dict[str, dict[str, list[float]]] = {}
    for fold, by_name in result.history.items():
        for name, values in by_name.items():
            by_metric.setdefault(name, {})[fold] = values
    return {
        name: folds
        for name, folds in by_metric.items()
        if all(np.isfinite(values).all() for values in folds.values())
    }


def rows_text(joined: JoinCounts) -> str:
    """Say how many rows are common, and of how many."""
    partners = (f"{rows:,} of {name}" for name, rows in joined.partner_rows)
    of_parties = ", ".join([f"{joined.label_rows:,} of the label party", *partners])
    return f"{joined.common:,} rows among {of_parties}"


def what_each_learned(data: RunData, result: RunResult) -> list[tuple[str, list[str]]]:
    """List per party what the run told it; `SECURITY.md` says what follows from it."""
    if not result.model.label_half_.partners:
        return []
    found: list[str] = []
    told: list[str] = []
    if data.joined is not None:
        found = [
            f"{name}: that it has {rows:,} rows, and which of ours"
            for name, rows in data.joined.partner_rows
        ]
        told = [
            f"that the label party has {data.joined.label_rows:,} rows, and which of its own are "
            "used"
        ]
    of_training = kind_of(result.model).learned(data, result)
    return [
        (party, [*(told if number else found), *what])
        for number, (party, what) in enumerate(of_training)
    ]


def time_rows(result: RunResult) -> list[TimeRow]:
    """Party, phase, wall seconds and what was done, for every phase of training."""
    return kind_of(result.model).time_rows(result.model)


def plan_of_run(data: RunData, result: RunResult, rates: Rates, link: Link) -> Plan:
    """Plan a training that has ended, as one would have before: nothing measured in it is used.

    Parameters
    ----------
    data : RunData
    result : RunResult
        Its parameters count, the rounds that were trained, and the bins that the partners named.
    rates : Rates
        Measured before the run.
    link : Link
    """
    n_training = len(data.folds["train"])
    model: Any = result.model
    each_round = trees_a_round(data, result)
    shape = Shape(
        rows=n_training,
        own_columns=data.X.shape[1],
        partner_bins=tuple(model.partner_bins_.values()),
        bins=model.max_bin,
        depth=model.max_depth,
        trees=(result.rounds - result.first_round) * each_round,
        key_bits=model.key_bits,
        min_child_samples=model.min_child_samples,
        subsample=model.subsample,
        colsample_bytree=model.colsample_bytree,
        eval_rows=len(data.y) - n_training,
        outputs=data.objective.n_outputs // each_round,
    )
    return predict(shape, rates, link)


def plan_and_truth(plan: Plan, result: RunResult) -> list[Compared]:
    """Put a plan beside the run that it was made for."""
    model: Any = result.model
    return compare(
        plan,
        model.times_,
        result.seconds["train"],
        result.bytes_sent,
        result.bytes_received,
    )


def report_times(result: RunResult) -> Sequence[tuple[str, float]]:
    """Phases of all parties for the report, the longest first."""
    rows = [(f"{party}: {name}", seconds) for party, name, seconds, _ in time_rows(result)]
    return sorted(rows, key=lambda row: -row[1])
