"""Two or more companies on this machine: `secureboost serve` processes and a label party's process.

They speak over mutual TLS on loopback as companies do over a network.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from data import Vertical

from parties.certificates import create_certificate

LABEL_PARTY = Path(__file__).with_name("label_party.py")
LOG_BYTES = 3000


@dataclass(frozen=True)
class Served:
    """A feature party's process.

    Attributes
    ----------
    name, address : str
    pid : int
    """

    name: str
    address: str
    pid: int


@dataclass(frozen=True)
class Outcome:
    """What the label party's process measured.

    Attributes
    ----------
    result : dict
        See `label_party.train` and `label_party.predict`.
    scores : array of shape (n_rows,)
        Probabilities of the rows that were to be scored.
    """

    result: dict[str, Any]
    scores: np.ndarray

    def per_tree(self, name: str) -> float:
        """Seconds of a tree: ``"wall"``, or CPU of a party."""
        return self.result["tree"][name]

    @property
    def parties(self) -> list[str]:
        """The label party and the feature parties."""
        return list(self.result["memory"])

    @property
    def cpu_per_tree(self) -> float:
        """CPU seconds of all parties together."""
        return sum(self.per_tree(party) for party in self.parties)

    @property
    def setup_cpu(self) -> float:
        """CPU seconds of all parties that a run costs once."""
        return sum(part[party] for part in self.result["setup"].values() for party in self.parties)

    def mb_per_tree(self) -> float:
        """10^6 bytes that cross for a tree, both ways."""
        total = self.result["bytes_sent"] + self.result["bytes_received"]
        return total / self.result["n_trees"] / 1e6

    def phases_per_tree(self, party: str) -> dict[str, float]:
        """Wall seconds of each kind of work in a tree; binning, done once, is left out."""
        return {
            name: phase["seconds"] / self.result["n_trees"]
            for name, phase in self.result["phases"][party].items()
            if name != "bin"
        }


def federated(
    data: Vertical,
    parameters: dict[str, Any],
    *,
    repeats: int = 1,
    line: dict[str, float] | None = None,
    prefix: Sequence[str] = (),
) -> Outcome:
    """Train between processes.

    Parameters
    ----------
    data : Vertical
    parameters : dict
        Of `SecureBoostClassifier`, ``key_bits`` and at least two trees among them.
    repeats : int
        The least of each number counts.
    line : dict, optional
        Arguments of `link.Line`.
    prefix : sequence of str
        Put before the command lines of all processes.
    """
    if parameters["n_estimators"] < 2:
        raise ValueError(
            f"n_estimators={parameters['n_estimators']}: one tree cannot be told from what a run "
            "costs once; measure at least 2"
        )
    job = {"task": "train", "parameters": parameters, "line": line, "repeats": repeats}
    with company_folder(data) as folder, feature_parties(data, folder, prefix) as served:
        return run_label_party(folder, job, served, prefix)


@contextmanager
def company_folder(data: Vertical) -> Iterator[Path]:
    """A temporary folder with the label party's certificate and tables."""
    with tempfile.TemporaryDirectory(prefix="secureboost-bench-") as name:
        folder = Path(name)
        create_certificate("lender", folder / "lender.crt", folder / "lender.key")
        data.label.to_parquet(folder / "lender.parquet")
        for part in ("y", "train", "test"):
            np.save(folder / f"{part}.npy", getattr(data, part))
        yield folder


@contextmanager
def feature_parties(
    data: Vertical, folder: Path, prefix: Sequence[str] = ()
) -> Iterator[list[Served]]:
    """Serve every feature party's table from a process of its own."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(serve(name, table, folder, prefix))
            for name, table in data.features.items()
        ]


@contextmanager
def serve(
    name: str, table: pd.DataFrame, folder: Path, prefix: Sequence[str] = ()
) -> Iterator[Served]:
    """Run `secureboost serve` until the block ends; its files lie in ``folder / name``."""
    home = write_company(name, table, folder)
    process, address = start_serving(home, prefix)
    try:
        yield Served(name, address, process.pid)
    finally:
        process.terminate()
        process.wait()


def write_company(name: str, table: pd.DataFrame, folder: Path) -> Path:
    """Write a feature party's certificate, table and configuration; returns their folder."""
    home = folder / name
    home.mkdir()
    create_certificate(name, home / "party.crt", home / "party.key")
    table.rename_axis("id").reset_index().to_parquet(home / "table.parquet")
    (home / "serve.toml").write_text(
        'listen = "127.0.0.1:0"\nstore = "models"\n'
        '[data]\nfile = "table.parquet"\nid = "id"\n'
        '[tls]\ncertificate = "party.crt"\nkey = "party.key"\n'
        '[label_party]\ncertificate = "../lender.crt"\n'
    )
    return home


def start_serving(home: Path, prefix: Sequence[str] = ()) -> tuple[subprocess.Popen[str], str]:
    """Run `secureboost serve` in a party's folder; returns the process and its address."""
    serving = ("-m", "secureboost", "serve", str(home / "serve.toml"))
    return start_listening([*prefix, sys.executable, *serving], home)


def start_listening(command: Sequence[str], home: Path) -> tuple[subprocess.Popen[str], str]:
    """Run a party's process until it says where it listens; returns both.

    What else it says is added to ``serve.log`` in its folder.
    """
    with (home / "serve.log").open("a") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    said = process.stdout.readline() if process.stdout else ""
    address = said.removeprefix("listening on ").strip()
    if not address:
        process.wait()
        raise RuntimeError(
            f"{home.name} does not listen:\n{(home / 'serve.log').read_text()[-LOG_BYTES:]}"
        )
    return process, address


def run_label_party(
    folder: Path, job: dict[str, Any], served: Sequence[Served], prefix: Sequence[str] = ()
) -> Outcome:
    """Run the label party's process to its end.

    Raises
    ------
    RuntimeError
        If it fails; the text has the end of what it said.
    """
    whole = job | {"served": [asdict(party) for party in served]}
    (folder / "job.json").write_text(json.dumps(whole))
    command = [*prefix, sys.executable, str(LABEL_PARTY), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the label party failed:\n{done.stderr[-LOG_BYTES:]}")
    return Outcome(json.loads((folder / "result.json").read_text()), np.load(folder / "scores.npy"))
