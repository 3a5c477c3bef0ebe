"""One side of a split network between companies.

    python bench/net_party.py FOLDER label|feature    (started by `net_companies`)

It is a process of its own so that its memory and its processor time are those of one party and of
nothing else. `FOLDER` has ``job.json`` and the tables. The feature party says where it listens and
answers until it is terminated; the label party trains every network of the job and writes
``result.json``.
"""

import json
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from label_party import Companies, make_party, memory_growth, minus
from link import Line

from parties.answerer import Answerer
from parties.certificates import TLS
from parties.grpc_server import listen
from parties.link import Link, serve_link
from parties.messages import Hello
from parties.service import Service
from secureboost import SplitNNClassifier, TrainingCallback
from secureboost._version import __version__
from secureboost.gbdt.feature_table import FeatureTable
from secureboost.party import Party, feature_table
from secureboost.trainers import NET_TRAINER

FEATURE = "partner"
OF_A_BATCH = ("Exchange",)
"""Requests that are asked for every batch; the others open or close a run, or evaluate."""


class EpochEnds(TrainingCallback):
    """When each epoch ended, and what every process had used by then."""

    def __init__(self, companies: Companies | None = None) -> None:
        self._companies = companies or Companies({})
        self._seconds: list[dict[str, float]] = []

    def after_iteration(self, model: object, epoch: int, evals_log: object) -> bool:
        """Take down the clocks; training goes on."""
        self._seconds.append(self._companies.seconds())
        return False

    @property
    def n_epochs(self) -> int:
        """Epochs that count: the first one does not, since all buffers are made in it."""
        return len(self._seconds) - 1

    @property
    def spent(self) -> dict[str, float]:
        """Seconds of these epochs, see `label_party.Companies.seconds`."""
        return minus(self._seconds[-1], self._seconds[0])


def answer(table: FeatureTable, link: Link) -> None:
    """Answer one session."""

    def open_session(_hello: Hello) -> Service:
        return NET_TRAINER.open_session(table)

    trainers = {NET_TRAINER.name: open_session}
    serve_link(link, Answerer(FEATURE, NET_TRAINER.codec(), trainers, software_version=__version__))


def run_feature(folder: Path) -> None:
    """Serve until somebody ends the process."""
    home = folder / FEATURE
    table = feature_table(FEATURE, pd.read_parquet(home / "table.parquet").set_index("id"))
    tls = TLS(home / "party.crt", home / "party.key", folder / "lender.crt")
    with listen("127.0.0.1:0", tls, partial(answer, table)) as server:
        print(f"listening on 127.0.0.1:{server.port}", flush=True)
        server.wait()


class Label:
    """The label party, which measures both.

    Parameters
    ----------
    folder : Path
    job : dict
    """

    def __init__(self, folder: Path, job: dict[str, Any]) -> None:
        self.folder, self.served = folder, job["served"]
        self.table = pd.read_parquet(folder / "lender.parquet")
        self.y, self.rows = (np.load(folder / f"{name}.npy") for name in ("y", "train"))
        self.companies = Companies({FEATURE: self.served["pid"]})

    def run(self, line: dict[str, float] | None, parameters: dict[str, Any]) -> dict[str, Any]:
        """Train one network; what was measured."""
        party = self.party(None if line is None else Line(**line))
        ends = EpochEnds(self.companies)
        model = SplitNNClassifier(**parameters, callbacks=[ends])
        before = self.companies.memory()
        self.companies.reset_peaks()
        began = time.perf_counter()
        model.fit(self.table.iloc[self.rows], self.y[self.rows], parties=[party])
        wall = time.perf_counter() - began
        spent, n_rows = ends.spent, len(self.rows) * ends.n_epochs
        traffic = [model.traffic_[FEATURE][kind] for kind in OF_A_BATCH]
        return {
            "rows_a_second": n_rows / spent["wall"],
            "cpu_a_million_rows": {
                name: 1e6 * spent[name] / n_rows for name in self.companies.pids
            },
            "rows": len(self.rows) * parameters["n_epochs"],
            "wall": wall,
            "partner_seconds": model.seconds_[FEATURE],
            "bytes_sent": sum(t.bytes_sent for t in traffic),
            "bytes_received": sum(t.bytes_received for t in traffic),
            "memory": memory_growth(before, self.companies.memory()),
        }

    def party(self, line: Line | None) -> Party:
        """The feature party as we reach it."""
        return make_party(self.folder, self.served, self.table.index, line)


def main() -> None:
    folder, role = Path(sys.argv[1]), sys.argv[2]
    if role == "feature":
        run_feature(folder)
        return
    job = json.loads((folder / "job.json").read_text())
    label = Label(folder, job)
    results = [label.run(run["line"], run["parameters"]) for run in job["runs"]]
    (folder / "result.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main()
