"""The label party's process of a benchmark: trains or predicts once, and measures all companies.

    python bench/label_party.py FOLDER      (started by `companies.run_label_party`)

It is a process of its own so that its memory and its processor time are those of a label party and
of nothing else. `FOLDER` has ``job.json`` and the tables; ``result.json`` and ``scores.npy`` are
written there.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from link import Line, ShapedParty
from measure import memory_mb, process_cpu, reset_peak

from crypto.paillier import PaillierScheme
from parties.certificates import TLS
from parties.peer import Peer
from secureboost import RemoteParty, SecureBoostClassifier
from secureboost.estimator import Federation
from secureboost.party import Party

OF_A_TREE = ("GradientBlock", "HistogramsOf", "Divide")
"""Requests that are asked for every tree; the others open or close a run."""


class Companies:
    """The processes of all parties, this one among them.

    Parameters
    ----------
    pids : dict of str to int
        By party.
    """

    def __init__(self, pids: dict[str, int]) -> None:
        self.pids = {"label-party": os.getpid(), **pids}

    def seconds(self) -> dict[str, float]:
        """Wall clock, and CPU seconds of each party so far."""
        used = {name: process_cpu(pid) for name, pid in self.pids.items()}
        return {"wall": time.perf_counter(), **used}

    def spent(self, work: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
        """Result, and the seconds that it took, as `seconds`."""
        before = self.seconds()
        result = work()
        return result, minus(self.seconds(), before)

    def memory(self) -> dict[str, dict[str, float]]:
        """`measure.memory_mb` of each party."""
        return {name: memory_mb(pid) for name, pid in self.pids.items()}

    def reset_peaks(self) -> None:
        """`measure.reset_peak` of each party."""
        for pid in self.pids.values():
            reset_peak(pid)


def minus(later: dict[str, float], earlier: dict[str, float]) -> dict[str, float]:
    """Differences by name."""
    return {name: later[name] - earlier[name] for name in later}


def least(runs: list[dict[str, float]]) -> dict[str, float]:
    """The least of each, since whatever disturbs a run only adds to it."""
    return {name: min(run[name] for run in runs) for name in runs[0]}


def make_party(folder: Path, served: dict[str, Any], index: pd.Index, line: Line | None) -> Party:
    """The feature party as we reach it: over loopback, perhaps slowed down."""
    name, address = served["name"], served["address"]
    tls = TLS(folder / "lender.crt", folder / "lender.key", folder / name / "party.crt")
    if line is not None:
        return ShapedParty(name, address, tls, index, line)
    return RemoteParty(name, address, tls=tls, index=index)


def train(
    job: dict[str, Any], table: pd.DataFrame, folder: Path, parties: list[Party], all_of: Companies
) -> dict[str, Any]:
    """Train with a key made before, after a run over few rows that loads kernels on all sides.

    A tree is measured as what a run of many trees costs above a run of one. (From the end of one
    tree to the end of the next would be wrong: randomness is made ahead, so a tree uses what was
    paid for earlier.)
    """
    y, rows, test = (np.load(folder / f"{name}.npy") for name in ("y", "train", "test"))
    parameters, n_trees = job["parameters"], job["parameters"]["n_estimators"]
    setup = {"imports": all_of.seconds() | {"wall": 0.0}}
    scheme = PaillierScheme()
    key, setup["key"] = all_of.spent(lambda: scheme.generate(parameters["key_bits"]))
    _, setup["tables"] = all_of.spent(key.prepare)

    def fit(rows: np.ndarray, **more: int) -> SecureBoostClassifier:
        model = SecureBoostClassifier(**parameters | more)
        federation = Federation(make_key=lambda: key)
        return model._fit(table.iloc[rows], y[rows], federation, parties=parties)

    few = np.concatenate([np.flatnonzero(y == label)[:100] for label in (0, 1)])
    _, setup["kernels"] = all_of.spent(lambda: fit(few, n_estimators=1, max_depth=2))
    before = all_of.memory()
    all_of.reset_peaks()
    model, first = all_of.spent(lambda: fit(rows))
    peak = all_of.memory()
    runs = [(model, first), *(all_of.spent(lambda: fit(rows)) for _ in range(job["repeats"] - 1))]
    whole = least([spent for _, spent in runs])
    one = least([all_of.spent(lambda: fit(rows, n_estimators=1))[1] for _ in runs])
    model, _ = min(runs, key=lambda run: run[1]["wall"])
    tree = {name: (whole[name] - one[name]) / (n_trees - 1) for name in one}
    setup["session"] = minus(one, tree)
    np.save(folder / "scores.npy", model.predict_proba(table.iloc[test])[:, 1])
    traffic = [
        t for party in model.traffic_.values() for kind, t in party.items() if kind in OF_A_TREE
    ]
    return {
        "setup": setup,
        "tree": tree,
        "n_trees": n_trees,
        "bytes_sent": sum(t.bytes_sent for t in traffic),
        "bytes_received": sum(t.bytes_received for t in traffic),
        "messages": sum(t.messages for t in traffic),
        "phases": {
            party: {name: asdict(phase) for name, phase in times.phases.items()}
            for party, times in model.times_.items()
        },
        "memory": memory_growth(before, peak),
    }


def predict(
    job: dict[str, Any], table: pd.DataFrame, folder: Path, parties: list[Party], all_of: Companies
) -> dict[str, Any]:
    """Score all rows with a model of which all sides have their halves."""
    model = SecureBoostClassifier.load(folder / "model")

    def score(X: pd.DataFrame) -> np.ndarray:
        return model.predict_proba(X, parties=parties)[:, 1]

    _, setup = all_of.spent(lambda: score(table.iloc[:1000]))
    before = all_of.memory()
    all_of.reset_peaks()
    runs = []
    for _ in range(job["repeats"]):
        scores, spent = all_of.spent(lambda: score(table))
        runs.append(spent)
    np.save(folder / "scores.npy", scores)
    peers = [party.peer for party in parties if isinstance(party.peer, Peer)]
    traffic = [t for peer in peers for t in peer.traffic.values()]
    return {
        "setup": {"kernels": setup},
        "least": least(runs),
        "bytes_sent": sum(t.bytes_sent for t in traffic),
        "bytes_received": sum(t.bytes_received for t in traffic),
        "memory": memory_growth(before, all_of.memory()),
    }


def memory_growth(
    before: dict[str, dict[str, float]], after: dict[str, dict[str, float]]
) -> dict[str, dict[str, float]]:
    """Resident 10^6 bytes of each party: before the work, and the peak during it."""
    return {
        name: {"before_mb": before[name]["now"], "peak_mb": after[name]["peak"]} for name in before
    }


def main() -> None:
    folder = Path(sys.argv[1])
    job = json.loads((folder / "job.json").read_text())
    table = pd.read_parquet(folder / "lender.parquet")
    line = None if job["line"] is None else Line(**job["line"])
    parties = [make_party(folder, served, table.index, line) for served in job["served"]]
    all_of = Companies({served["name"]: served["pid"] for served in job["served"]})
    task = {"train": train, "predict": predict}[job["task"]]
    result = task(job, table, folder, parties, all_of)
    (folder / "result.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main()
