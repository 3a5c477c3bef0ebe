"""Prediction by two parties on loopback: seconds and bytes for many rows and trees.

    python bench/predict.py                 # 1,000,000 rows x 100 trees
    python bench/predict.py --rows 100000

The model is trained in this process without encryption, which gives the same halves as under
encryption, and each party gets its own. Then two processes over mutual TLS score all rows.
"""

import argparse
import shutil
from typing import Any

import numpy as np
from companies import Outcome, company_folder, feature_parties, run_label_party
from data import Vertical, made_up
from measure import machine
from show import Grid, publish

from secureboost import FeatureParty, SecureBoostClassifier

TRAINING_ROWS = 20_000
CHECKED_ROWS = 20_000


def trained(data: Vertical, trees: int, depth: int) -> SecureBoostClassifier:
    """Train on the first rows."""
    parties = [
        FeatureParty(name, table.iloc[:TRAINING_ROWS]) for name, table in data.features.items()
    ]
    model = SecureBoostClassifier(
        n_estimators=trees, max_depth=depth, max_bin=64, learning_rate=0.1, scheme="plain"
    )
    rows = slice(0, TRAINING_ROWS)
    return model.fit(data.label.iloc[rows], data.y[rows], parties=parties)


def score(data: Vertical, model: SecureBoostClassifier, repeats: int) -> Outcome:
    """Give each party its half of the model, and score all rows."""
    with company_folder(data) as folder, feature_parties(data, folder) as served:
        model.save(folder / "saved")
        (folder / "model").mkdir()
        shutil.move(folder / "saved" / "label.json", folder / "model" / "label.json")
        for party in served:
            half = folder / "saved" / f"{party.name}.json"
            shutil.move(half, folder / party.name / "models" / f"{model.label_half_.model_id}.json")
        job = {"task": "predict", "line": None, "repeats": repeats}
        return run_label_party(folder, job, served)


def equal_to_own(data: Vertical, model: SecureBoostClassifier, scores: np.ndarray) -> bool:
    """Compare the first scores with those of the parties in this process."""
    rows = slice(0, CHECKED_ROWS)
    parties = [FeatureParty(name, table.iloc[rows]) for name, table in data.features.items()]
    for party in parties:
        half = model._local_halves()[party.name]
        party.store.save(half)
    own = model.predict_proba(data.label.iloc[rows], parties=parties)[:, 1]
    return bool((own == scores[rows]).all())


def summary(outcome: Outcome, equal: bool) -> dict[str, Any]:
    """The least of the runs, and what crossed."""
    best = outcome.result["least"]
    return {
        "wall": best["wall"],
        "cpu_of": {party: best[party] for party in outcome.parties},
        "mb_sent": outcome.result["bytes_sent"] / 1e6,
        "mb_received": outcome.result["bytes_received"] / 1e6,
        "memory": outcome.result["memory"],
        "equal": equal,
    }


def grid(title: str, result: dict[str, Any]) -> Grid:
    """Totals of one prediction of all rows."""
    rows = [
        ("wall seconds", f"{result['wall']:.1f}"),
        *((f"CPU seconds, {party}", f"{cpu:.1f}") for party, cpu in result["cpu_of"].items()),
        ("MB sent by the label party", f"{result['mb_sent']:.1f}"),
        ("MB received by the label party", f"{result['mb_received']:.1f}"),
        *(
            (f"peak MB, {party} (before: {memory['before_mb']:.0f})", f"{memory['peak_mb']:.0f}")
            for party, memory in result["memory"].items()
        ),
        ("scores equal those of one process", "yes" if result["equal"] else "NO"),
    ]
    return Grid(
        title,
        ("quantity", "value"),
        tuple(rows),
        "From two tables with ids to probabilities, the comparison of both sides' ids included. "
        "Least of the repeats.",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--trees", type=int, default=100)
    parser.add_argument("--depth", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=2)
    args = parser.parse_args()
    where = machine()
    data = made_up(args.rows, 10, 10)
    model = trained(data, args.trees, args.depth)
    splits = sum(partner.n_splits for partner in model.label_half_.partners)
    outcome = score(data, model, args.repeats)
    result = summary(outcome, equal_to_own(data, model, outcome.scores))
    title = (
        f"{args.rows:,} rows x {args.trees} trees of depth {args.depth}, {splits:,} splits of the "
        "feature party"
    )
    publish("predict", where, vars(args), result, [grid(title, result)])


if __name__ == "__main__":
    main()
