"""What a run tells about itself: the report's contents, and where the time went."""

from collections.abc import Sequence
from typing import Any

from secureboost.api import SecureBoostClassifier
from secureboost.gbdt.partner import LABEL_PARTY
from secureboost.report import ModelResult, Report
from secureboost.run import RunData, RunResult
from secureboost.units import format_seconds

COUNTED = {
    "bin": "values",
    "encrypt": "rows",
    "send": "blocks",
    "histogram": "values added",
    "wait": "answers",
    "decrypt": "ciphertexts",
    "split": "nodes",
    "divide": "nodes",
    "check": "ciphertexts",
    "plan": "",
    "sum": "additions",
    "pack": "cells",
    "rerandomise": "ciphertexts",
}
"""What the operations of a phase are."""


def make_report(title: str, data: RunData, result: RunResult, **more: Any) -> Report:
    """Make the report of a run with one model; `more` replaces or adds fields of `Report`."""
    half = result.model.label_half_
    shown = result.folds.get("test", result.folds["train"])
    fold = "held-out" if "test" in result.folds else "training"
    fields: dict[str, Any] = {
        "labels": data.y[shown],
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
            ("scored rows", f"{len(shown):,} {fold} of {len(data.y):,}"),
            ("trees", f"{len(half.trees)}, depth at most {half.parameters['max_depth']}"),
            ("encryption", describe_encryption(result.model)),
            ("model", half.model_id),
        ],
        "times": report_times(result) if half.partners else (),
        "curve_name": "AUC on training rows",
        "curve": result.curve,
        "learned": what_each_learned(result),
    }
    return Report(title=title, **(fields | more))


def describe_encryption(model: SecureBoostClassifier) -> str:
    """Say in a few words what protected the gradients."""
    if not model.label_half_.partners:
        return "none needed: one party"
    if model.scheme == "plain":
        return "none (scheme 'plain', for tests in one process)"
    return f"{model.scheme.capitalize()}, {model.key_bits} bits"


def what_each_learned(result: RunResult) -> list[tuple[str, list[str]]]:
    """List per party what the run told it; `SECURITY.md` says what follows from it."""
    half = result.model.label_half_
    if not half.partners:
        return []
    n_rows, n_trees = len(result.folds["train"]), len(half.trees)
    learned = [
        (
            "label party",
            [
                f"{p.name}: {p.n_features} anonymous columns with their numbers of bins, sums of "
                f"gradients per bin in every asked node, and the side of each row at {p.n_splits} "
                "splits"
                for p in half.partners
            ],
        )
    ]
    return learned + [
        (
            partner.name,
            [
                f"which of {n_rows:,} rows share a node, in {n_trees} trees",
                f"which {partner.n_splits} of its cuts became splits",
                "gradients and hessians under encryption only",
            ],
        )
        for partner in half.partners
    ]


def time_rows(result: RunResult) -> list[tuple[str, str, float, str]]:
    """Party, phase, wall seconds and what was done, for every phase of training."""
    rows = []
    for party, times in result.model.times_.items():
        for name, phase in times.phases.items():
            done = f"{phase.operations:,} {COUNTED.get(name, '')}" if phase.operations else ""
            rows.append((_shown(party), name, phase.seconds, done))
    return rows


def busy_text(result: RunResult) -> str:
    """Say how much processor time each party used while training ran."""
    wall = result.seconds["train"]
    parts = [
        f"{_shown(party)} {format_seconds(times.cpu_seconds)} "
        f"({times.cpu_seconds / wall:.2f} cores)"
        for party, times in result.model.times_.items()
    ]
    return f"processor time in {format_seconds(wall)} of training: {', '.join(parts)}"


def report_times(result: RunResult) -> Sequence[tuple[str, float]]:
    """Phases of all parties for the report, the longest first."""
    rows = [(f"{party}: {name}", seconds) for party, name, seconds, _ in time_rows(result)]
    return sorted(rows, key=lambda row: -row[1])


def _shown(party: str) -> str:
    return "label party" if party == LABEL_PARTY else party
