"""Two companies' folders, and commands in processes of their own."""

import os
import queue
import re
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from parties.certificates import create_certificate

SECONDS = 60.0

TRAIN = """\
out = "run"
test_size = 0.2
[data]
file = "lender.csv"
id = "id"
target = "bad"
[model]
n_estimators = 2
max_depth = 2
max_bin = 8
[tls]
certificate = "lender.crt"
key = "lender.key"
[party.bureau]
address = "127.0.0.1:1"
certificate = "../bureau/bureau.crt"
"""
SERVE = """\
listen = "127.0.0.1:0"
store = "models"
[data]
file = "bureau.csv"
id = "id"
[tls]
certificate = "bureau.crt"
key = "bureau.key"
[label_party]
certificate = "../lender/lender.crt"
"""


class Process:
    """A command in a process of its own, whose lines can be waited for; killed with its block."""

    def __init__(self, *arguments: object, **environment: str) -> None:
        self._lines: list[str] = []
        self._new: queue.Queue[str | None] = queue.Queue()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "secureboost", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | environment,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self._process.stdout:
            self._new.put(line.rstrip("\n"))
        self._new.put(None)

    def wait_line(self, pattern: str) -> re.Match[str]:
        """Wait for a new line in which `pattern` is found."""
        deadline = time.monotonic() + SECONDS
        while (line := self._new.get(timeout=max(0.1, deadline - time.monotonic()))) is not None:
            self._lines.append(line)
            if found := re.search(pattern, line):
                return found
        raise AssertionError(f"no line with {pattern!r} in:\n{self.text}")

    def end(self, signal_number: int | None = None, within: float = SECONDS) -> int:
        """Send a signal, if one is given, and wait for the exit code."""
        if signal_number is not None:
            self._process.send_signal(signal_number)
        code = self._process.wait(within)
        while (line := self._new.get(timeout=SECONDS)) is not None:
            self._lines.append(line)
        return code

    @property
    def text(self) -> str:
        """All lines that were read so far, of stdout and stderr."""
        return "\n".join(self._lines)

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_error: object) -> None:
        self._process.kill()
        self._process.wait(SECONDS)
        self._process.stdout.close()


@dataclass(frozen=True)
class Companies:
    """A lender's and a bureau's folder, as two companies would write them."""

    folder: Path

    @property
    def lender(self) -> Path:
        return self.folder / "lender"

    @property
    def bureau(self) -> Path:
        return self.folder / "bureau"

    @property
    def train_toml(self) -> Path:
        return self.lender / "train.toml"

    @property
    def serve_toml(self) -> Path:
        return self.bureau / "serve.toml"

    @property
    def out(self) -> Path:
        return self.lender / "run"

    def serve(self, *settings: str, once: bool = False) -> Process:
        """Start `serve` with these settings."""
        return Process("serve", self.serve_toml, *sets(settings), *["--once"][: int(once)])

    def train(self, *settings: str, resume: bool = False) -> Process:
        """Start `train` with these settings."""
        return Process("train", self.train_toml, *sets(settings), *["--resume"][: int(resume)])

    def left(self) -> set[str]:
        """Names of what a run has left."""
        return {path.name for path in self.out.rglob("*")}


def address(served: Process) -> str:
    """The setting with which the lender finds a bureau's process."""
    port = served.wait_line(r"listening on 127\.0\.0\.1:(\d+)$")[1]
    return f"party.bureau.address='127.0.0.1:{port}'"


def sets(settings: tuple[str, ...]) -> list[str]:
    """Write settings as ``--set`` options."""
    return [word for setting in settings for word in ("--set", setting)]


def two_tables(rows: int, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Make a lender's table (label in ``bad``) and a bureau's; the signal lies on both sides."""
    draws = np.random.default_rng(seed)
    ids = pd.Index([f"C{number:05d}" for number in range(rows)], name="id")
    own, other = draws.normal(size=(rows, 2)), draws.normal(size=(rows, 3))
    bad = (own[:, 0] + 2 * other[:, 0] + draws.normal(size=rows) > 0).astype(int)
    lender = pd.DataFrame({"bad": bad, "income": own[:, 0], "age": own[:, 1]}, index=ids)
    bureau = pd.DataFrame(other, columns=["late", "loans", "limit"], index=ids)
    return lender, bureau


def make_companies(folder: Path, rows: int = 60) -> Companies:
    """Write both folders: tables, certificates, configurations."""
    companies = Companies(folder)
    for name, table in zip(("lender", "bureau"), two_tables(rows), strict=True):
        (folder / name).mkdir(parents=True)
        create_certificate(name, folder / name / f"{name}.crt", folder / name / f"{name}.key")
        table.to_csv(folder / name / f"{name}.csv")
    companies.train_toml.write_text(TRAIN)
    companies.serve_toml.write_text(SERVE)
    return companies
