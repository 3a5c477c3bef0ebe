"""What `label_party_trees` and `max_shared_purity` cost, and what they keep from a partner.

    python bench/protection.py          # ten random splits of the credit table, no encryption
    python bench/protection.py --cpu    # and CPU seconds of one run of each at 2048 bits

Both parties live in this process and talk as over a network. *Nodes told of* is the share of the
nodes that were searched for a cut of whose rows the partner was told. *Guessed* is how many
training rows a partner would get right that gives every row the label of most rows in the smallest
group it knows in the first tree that it has a part in: nodes that it was told of, and both sides of
its own splits. It is told these labels, so this bounds what the groups of one tree show.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from data import Vertical, credit
from measure import machine
from show import Grid, publish
from sklearn.metrics import roc_auc_score

from secureboost import FeatureParty, SecureBoostClassifier, joined_trees
from secureboost.partner import LABEL_PARTY

COMMON: dict[str, Any] = {"n_estimators": 50, "max_depth": 5, "max_bin": 32, "random_state": 0}
TRAINING_ROWS = 24_000


@dataclass(frozen=True)
class Setting:
    """A line of the table; without `parameters` own columns alone."""

    name: str
    parameters: dict[str, Any] | None = field(default_factory=dict)


SETTINGS = (
    Setting("neither"),
    Setting("label_party_trees=1", {"label_party_trees": 1}),
    Setting("label_party_trees=5", {"label_party_trees": 5}),
    Setting("max_shared_purity=0.95", {"max_shared_purity": 0.95}),
    Setting("max_shared_purity=0.9", {"max_shared_purity": 0.9}),
    Setting("max_shared_purity=0.8", {"max_shared_purity": 0.8}),
    Setting("both, 5 and 0.9", {"label_party_trees": 5, "max_shared_purity": 0.9}),
    Setting("own columns only", None),
)


def measured(data: Vertical, setting: Setting, scheme: str) -> dict[str, float]:
    """AUC, share of nodes told of, share of rows guessed and CPU seconds of one run."""
    parameters = COMMON | {"scheme": scheme} | (setting.parameters or {})
    model = SecureBoostClassifier(**parameters)
    (table,) = data.features.values()
    party = FeatureParty("partner", table)
    parties = [] if setting.parameters is None else [party]
    own, y = data.label.iloc[data.train], data.y[data.train]
    began = time.process_time()
    model.fit(own, y, parties=parties)
    cpu = time.process_time() - began
    scores = model.predict_proba(data.label.iloc[data.test])[:, 1]
    result = {"auc": roc_auc_score(data.y[data.test], scores), "cpu": cpu, "told": 0.0}
    result["guessed"] = max(y.mean(), 1 - y.mean())
    if parties:
        shared = COMMON["n_estimators"] - parameters.get("label_party_trees", 0)
        # all that was given out but the set-up: of each tree the root and one of two siblings
        asked = party._table.budget.spent.node_histograms - 1
        searched = model.times_[LABEL_PARTY].phases["split"].operations
        result["told"] = (2 * asked - shared) / searched
        result["guessed"] = guessed(model, party, data)
    return result


def guessed(model: SecureBoostClassifier, party: FeatureParty, data: Vertical) -> float:
    """Share of training rows with the label of most rows in their group."""
    half = party.half(model.label_half_.model_id)
    (table,) = data.features.values()
    columns = {"": data.label.iloc[data.train], "partner": table.iloc[data.train]}
    y = data.y[data.train].astype(int)
    tree = joined_trees(model.label_half_, [half])[model.label_party_trees]
    groups = known_groups(tree, 0, np.arange(len(y)), 1, columns, y, model.max_shared_purity)
    return sum(np.bincount(y[rows]).max() for rows in groups) / len(y)


def known_groups(
    tree: np.ndarray,
    node: int,
    rows: np.ndarray,
    depth: int,
    columns: dict[str, Any],
    y: np.ndarray,
    limit: float,
) -> Iterator[np.ndarray]:
    """The smallest groups of rows that the partner knows below a node that it knows."""
    at = tree[node]
    if at["left"] < 0:
        yield rows
        return
    values = columns[at["party"]][at["column"]].to_numpy(np.float32)[rows]
    left = np.where(np.isnan(values), at["missing_left"], values <= at["threshold"])
    sides = rows[left], rows[~left]
    pure = any(max(y[side].mean(), 1 - y[side].mean()) > limit for side in sides)
    told = depth < COMMON["max_depth"] and not pure
    if at["party"] != "partner" and not told:
        yield rows
        return
    for child, side in zip((at["left"], at["right"]), sides, strict=True):
        if told:
            yield from known_groups(tree, child, side, depth + 1, columns, y, limit)
        else:
            yield side


def split_at_random(data: Vertical, seed: int) -> Vertical:
    """The same table with other rows held out; seed 0 is the usual split."""
    order = np.random.RandomState(seed).permutation(len(data.y))
    train, test = order[:TRAINING_ROWS], order[TRAINING_ROWS:]
    return Vertical(data.name, data.label, data.features, data.y, train, test)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--data", type=Path, help="folder of the credit table")
    parser.add_argument("--cpu", action="store_true", help="measure CPU seconds at 2048 bits too")
    args = parser.parse_args()
    where, data = machine(), credit(args.data)
    runs = {
        setting.name: [
            measured(split_at_random(data, seed), setting, "plain") for seed in range(args.splits)
        ]
        for setting in SETTINGS
    }
    first = np.array([run["auc"] for run in runs[SETTINGS[0].name]])
    rows, results = [], {}
    for setting in SETTINGS:
        auc, told, right = (
            np.array([run[what] for run in runs[setting.name]])
            for what in ("auc", "told", "guessed")
        )
        paillier = args.cpu and setting.parameters is not None
        cpu = measured(data, setting, "paillier")["cpu"] if paillier else None
        results[setting.name] = {"runs": runs[setting.name], "paillier_cpu": cpu}
        spread = f" ± {(auc - first).std(ddof=1):.4f}" if setting is not SETTINGS[0] else ""
        rows.append(
            (
                setting.name,
                f"{auc.mean():.4f}{spread}",
                f"{told.mean():.0%}",
                f"{right.mean():.1%}",
                "-" if cpu is None else f"{cpu:.1f}",
            )
        )
    grid = Grid(
        f"{data.name}, {TRAINING_ROWS:,} x (13 + 10), 50 trees of depth 5, 32 bins",
        ("setting", "test AUC", "nodes told of", "guessed", "CPU s"),
        tuple(rows),
        f"Means of {args.splits} random splits; ± is the standard deviation of the difference from "
        "the first line. CPU seconds: both parties, 2048 bits, one run.",
    )
    publish("protection", where, vars(args), results, [grid])


if __name__ == "__main__":
    main()
