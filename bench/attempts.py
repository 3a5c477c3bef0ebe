"""What `chaos.py` kills: processes of three companies, and how far they were when one was struck.

A lender and two feature parties hold a generated table with categories and missing values.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from companies import start_serving, write_company

from parties.certificates import create_certificate
from secureboost.gbdt.checkpoint import load_checkpoint

LENDER, PARTIES = "lender", ("bureau", "telco")
PHASES = ("starting", "in a round", "keeping a round", "finishing", "scoring and writing")
"""Keeping a round: from its metrics over the feature parties' files to the label party's."""
KILLED, GONE = -9, 5
"""Exit codes of a killed process, and of `train` whose partner is gone."""
POLL_SECONDS = 0.002
ROWS = 600
TRAIN = """\
out = "run"
test_size = 0.25
[data]
file = "lender.parquet"
id = "id"
target = "default"
[model]
n_estimators = 80
early_stopping_rounds = 10
learning_rate = 0.1
max_depth = 3
max_bin = 16
subsample = 0.7
colsample_bynode = 0.7
random_state = 11
[tls]
certificate = "lender.crt"
key = "lender.key"
"""


def make_tables(rows: int) -> dict[str, pd.DataFrame]:
    """Each party's table; the signal lies in all of them."""
    rng = np.random.default_rng(0)
    index = pd.Index([f"C{i:06d}" for i in range(rows)], name="id")
    kinds = {LENDER: 6, "bureau": 12, "telco": 5}
    score, tables = rng.normal(scale=0.7, size=rows), {}
    for party, n_kinds in kinds.items():
        numbers = rng.normal(size=(rows, 3))
        kind = rng.integers(n_kinds, size=rows)
        score += numbers[:, 0] + 0.5 * numbers[:, 1] + rng.normal(size=n_kinds)[kind]
        numbers[rng.random(numbers.shape) < 0.1] = np.nan
        table = pd.DataFrame(numbers, index=index, columns=[f"{party}_{i}" for i in range(3)])
        tables[party] = table.assign(**{f"{party}_kind": [f"kind {k}" for k in kind]})
    tables[LENDER].insert(0, "default", (score > 0.5).astype(int))
    return tables


class Companies:
    """The folders of all parties, and the feature parties' processes.

    Parameters
    ----------
    folder : Path
    tables : dict of str to DataFrame
        Of each party, indexed by id; the lender's has the target.
    """

    def __init__(self, folder: Path, tables: dict[str, pd.DataFrame]) -> None:
        self.folder = folder
        create_certificate(LENDER, folder / "lender.crt", folder / "lender.key")
        tables[LENDER].reset_index().to_parquet(folder / "lender.parquet")
        partners = ""
        for name in PARTIES:
            write_company(name, tables[name], folder)
            partners += (
                f'[party.{name}]\naddress = "127.0.0.1:1"\ncertificate = "{name}/party.crt"\n'
            )
        (folder / "train.toml").write_text(TRAIN + partners)
        self._serving: dict[str, tuple[subprocess.Popen[str], str]] = {}

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Serve until the block ends."""
        try:
            for name in PARTIES:
                self.serve(name)
            yield
        finally:
            for name in self._serving:
                self.kill(name)

    def serve(self, name: str) -> None:
        """Start a feature party; when it is started again it has the same address."""
        process, address = start_serving(self.folder / name)
        self._serving[name] = process, address
        config = self.folder / name / "serve.toml"
        config.write_text(config.read_text().replace("127.0.0.1:0", address))

    def kill(self, name: str) -> None:
        """Kill a feature party."""
        process, _ = self._serving[name]
        process.kill()
        process.wait()

    def train(self, out: Path, *more: str) -> subprocess.Popen[bytes]:
        """Start the label party; what it says goes into ``<out>.txt``."""
        return self.start("train", out, "--set", f"out='{out}'", *more)

    def start(self, command: str, out: Path, *more: str) -> subprocess.Popen[bytes]:
        """Start a command of the label party; what it says goes into ``<out>.txt``."""
        words = [sys.executable, "-m", "secureboost", command, str(self.folder / "train.toml")]
        for name, (_, at) in self._serving.items():
            words += ["--set", f"party.{name}.address='{at}'"]
        with out.with_suffix(".txt").open("wb") as said:
            return subprocess.Popen(
                [*words, *more],
                stdout=said,
                stderr=subprocess.STDOUT,
                env=os.environ | {"SECUREBOOST_RUNS": "off"},
            )

    def log_sizes(self) -> dict[str, int]:
        """How long each feature party's log is."""
        return {name: (self.folder / name / "serve.log").stat().st_size for name in PARTIES}

    def said_since(self, sizes: dict[str, int]) -> str:
        """What the feature parties have logged since."""
        texts = [(self.folder / name / "serve.log").read_bytes() for name in PARTIES]
        return "".join(t[sizes[name] :].decode() for name, t in zip(PARTIES, texts, strict=True))

    def splits_kept(self, model_id: str) -> list[int]:
        """How many splits each feature party has kept of a model in training."""
        kept = []
        for name in PARTIES:
            path = self.folder / name / "models" / "unfinished" / f"{model_id}.json"
            kept.append(
                len(json.loads(path.read_bytes())["half"]["splits"]) if path.exists() else 0
            )
        return kept


def events(out: Path) -> list[dict[str, Any]]:
    """What the label party has logged so far."""
    path = out / "log.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line) for line in lines]


def seconds_of(event: dict[str, Any]) -> float:
    """When an event was, in seconds since the epoch."""
    return datetime.fromisoformat(event["time"]).timestamp()


def checkpoint_file(out: Path) -> Path:
    """Where a run's checkpoint is until all of its files are written."""
    return out / "checkpoint.bin"


@dataclass(frozen=True)
class Kill:
    """A party that was killed.

    Attributes
    ----------
    victim : str
    phase : str
        One of `PHASES`.
    rounds : int
        Rounds that had been trained.
    at, back : float
        When it was killed, and when it could be talked to again: seconds since the epoch. The
        label party is started again by the next attempt, so for it both are the same.
    """

    victim: str
    phase: str
    rounds: int
    at: float
    back: float


class Attempt:
    """A process of the label party that trains, perhaps until somebody is killed.

    Parameters
    ----------
    companies : Companies
    out : Path
        Folder of the run.
    resume : bool
    """

    def __init__(self, companies: Companies, out: Path, *, resume: bool) -> None:
        self._companies, self._out = companies, out
        self._n_events, self._logs = len(events(out)), companies.log_sizes()
        self._began = time.time()
        self.process = companies.train(out, *["--resume"][: int(resume)])

    def strike(self, victim: str, rounds: int, delay: float) -> Kill | None:
        """Kill a party so long after the end of a round; None if all was over before.

        Parameters
        ----------
        victim : str
        rounds : int
            Rounds that have been trained then; 0: after the tables were read.
        delay : float
            Seconds after that.
        """
        while self.process.poll() is None and not self._has_trained(rounds):
            time.sleep(POLL_SECONDS)
        try:
            self.process.wait(delay)
        except subprocess.TimeoutExpired:
            pass
        else:
            return None
        at = back = time.time()
        if victim == LENDER:
            self.process.kill()
            if self.process.wait() != KILLED:
                return None
        else:
            self._companies.kill(victim)
        phase, rounds = self._phase(), [e["rounds"] for e in events(self._out) if "rounds" in e]
        if victim != LENDER:
            self._companies.serve(victim)
            back = time.time()
        return Kill(victim, phase, max(rounds, default=0), at, back)

    def end(self, expected: Sequence[int]) -> None:
        """Wait for the end.

        Raises
        ------
        RuntimeError
            If the exit code is none of the expected ones.
        """
        code = self.process.wait()
        if code not in expected:
            said = self._out.with_suffix(".txt").read_text()
            raise RuntimeError(f"train ended with {code}, not with one of {expected}:\n{said}")

    def _has_trained(self, rounds: int) -> bool:
        """Whether this process has got so far."""
        new = events(self._out)[self._n_events :]
        return bool(new) and (rounds == 0 or new[-1].get("rounds", 0) >= rounds)

    def _phase(self) -> str:
        """How far it has come, by what there is on the disks."""
        new = [event for event in events(self._out)[self._n_events :] if event["event"] == "round"]
        said = self._companies.said_since(self._logs)
        if not new and "tree " not in said and "training ends" not in said:
            return "starting"
        model = self._out / "model" / "label.json"
        if model.exists() and model.stat().st_mtime > self._began:
            return "scoring and writing"
        checkpoint = load_checkpoint(checkpoint_file(self._out))
        if checkpoint.finished:
            return "finishing"
        kept = self._companies.splits_kept(checkpoint.model_id)
        measured = new[-1]["rounds"] if new else 0
        if measured > checkpoint.boosted.rounds or kept != checkpoint.boosted.n_splits[1:]:
            return "keeping a round"
        return "in a round"
