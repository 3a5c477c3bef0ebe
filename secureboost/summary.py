"""What a run tells about itself: the report's contents, and where the time went."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from secureboost.clock import COUNTED
from secureboost.errors import ConfigError
from secureboost.estimator import SecureBoostModel
from secureboost.outcome import RunData, RunResult
from secureboost.partner import LABEL_PARTY
from secureboost.planning import Link, Plan, Rates, Shape, predict
from secureboost.planning.compare import Compared, compare
from secureboost.report import ModelResult, Report
from secureboost.tables import JoinCounts
from secureboost.units import format_seconds


def make_report(title: str, data: RunData, result: RunResult, **more: Any) -> Report:
    """Make the report of a run with one model; `more` replaces or adds fields of `Report`."""
    half = result.model.label_half_
    shown = data.folds[result.shown_fold]
    fold = "held-out" if result.shown_fold == "test" else "training"
    n_rounds = result.rounds if half.best_iteration is None else half.best_iteration + 1
    fields: dict[str, Any] = {
        "labels": data.targets[shown],
        "objective": data.objective,
        "classes": [str(name) for name in result.classes],
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
            ("trees", f"{len(half.trees):,} in {n_rounds:,} rounds"),
            ("objective", half.objective),
            ("encryption", describe_encryption(result.model)),
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


def describe_encryption(model: SecureBoostModel) -> str:
    """Say in a few words what protected the gradients."""
    if not model.label_half_.partners:
        return "none needed: one party"
    if model.scheme == "plain":
        return "none (scheme 'plain', for tests in one process)"
    return f"{model.scheme.capitalize()}, {model.key_bits} bits"


def what_each_learned(data: RunData, result: RunResult) -> list[tuple[str, list[str]]]:
    """List per party what the run told it; `SECURITY.md` says what follows from it."""
    half = result.model.label_half_
    if not half.partners:
        return []
    n_rows, n_trees = len(data.y), result.rounds * _trees_a_round(data, result)
    joined = data.joined
    found = (
        []
        if joined is None
        else [
            f"{name}: that it has {rows:,} rows, and which of ours"
            for name, rows in joined.partner_rows
        ]
    )
    told = (
        []
        if joined is None
        else [f"that the label party has {joined.label_rows:,} rows, and which of its own are used"]
    )
    learned = [
        (
            "label party",
            found
            + [
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
                *told,
                f"which of {n_rows:,} rows share a node, in {n_trees:,} trees, and which of them "
                "are not trained on",
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


def check_plannable(model: SecureBoostModel) -> None:
    """Refuse to plan what `secureboost.planning` knows nothing of.

    Raises
    ------
    ConfigError
    """
    problem = ""
    if model.scheme != "paillier":
        problem = f"scheme={model.scheme!r}: only 'paillier' is timed"
    elif model.grow_policy != "depthwise" or model.max_leaves or not model.max_depth:
        problem = (
            f"grow_policy={model.grow_policy!r}, max_leaves={model.max_leaves}, max_depth="
            f"{model.max_depth}: only trees that grow level by level to a depth are planned"
        )
    elif model.sampling_method != "uniform":
        problem = f"sampling_method={model.sampling_method!r}: only 'uniform' is planned"
    elif model.label_party_trees or model.max_shared_purity != 1.0:
        problem = (
            f"label_party_trees={model.label_party_trees}, max_shared_purity="
            f"{model.max_shared_purity}: only trees that all parties share are planned"
        )
    if problem:
        raise ConfigError(f"{problem}; leave it out", "--plan")


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
    model, n_training = result.model, len(data.folds["train"])
    trees_a_round = _trees_a_round(data, result)
    shape = Shape(
        rows=n_training,
        own_columns=data.X.shape[1],
        partner_bins=tuple(model.partner_bins_.values()),
        bins=model.max_bin,
        depth=model.max_depth,
        trees=(result.rounds - result.first_round) * trees_a_round,
        key_bits=model.key_bits,
        min_child_samples=model.min_child_samples,
        subsample=model.subsample,
        colsample_bytree=model.colsample_bytree,
        eval_rows=len(data.y) - n_training,
        outputs=data.objective.n_outputs // trees_a_round,
    )
    return predict(shape, rates, link)


def plan_and_truth(plan: Plan, result: RunResult) -> list[Compared]:
    """Put a plan beside the run that it was made for."""
    return compare(
        plan,
        result.model.times_,
        result.seconds["train"],
        result.bytes_sent,
        result.bytes_received,
    )


def _trees_a_round(data: RunData, result: RunResult) -> int:
    """One for each output, unless a tree has them all."""
    together = result.model.multi_strategy == "multi_output_tree"
    return 1 if together else data.objective.n_outputs


def report_times(result: RunResult) -> Sequence[tuple[str, float]]:
    """Phases of all parties for the report, the longest first."""
    rows = [(f"{party}: {name}", seconds) for party, name, seconds, _ in time_rows(result)]
    return sorted(rows, key=lambda row: -row[1])


def _shown(party: str) -> str:
    return "label party" if party == LABEL_PARTY else party
