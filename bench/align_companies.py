"""Two companies that look for their common customers: two processes, and what they measured."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from align_party import FEATURE, LABEL
from align_tables import Job, check, make_tables

from parties.certificates import create_certificate

PARTY = Path(__file__).with_name("align_party.py")
LOG_BYTES = 3000


@dataclass(frozen=True)
class Outcome:
    """What was measured.

    Attributes
    ----------
    job : Job
    keys_seconds : float
        Wall seconds in which the label party read its keys.
    runs : list of dict
        See `align_party.Label.measured`.
    peak_mb : dict of str to float
        Most resident memory of each process, in 10^6 bytes, imports and reading included.
    ahead : dict of str to float
        With method ``"rsa"`` wall and CPU seconds in which the feature party signed its own keys.
    """

    job: Job
    keys_seconds: float
    runs: list[dict[str, Any]]
    peak_mb: dict[str, float]
    ahead: dict[str, float]

    @property
    def best(self) -> dict[str, Any]:
        """The run that took least wall time."""
        return min(self.runs, key=lambda run: run["wall"])

    def cpu(self, party: str) -> float:
        """Least CPU seconds of a party."""
        return min(run["cpu"][party] for run in self.runs)

    @property
    def ids_a_second(self) -> float:
        """Ids of both parties, or events, in a second of wall time."""
        return 2 * self.job.rows / self.best["wall"]

    @property
    def bytes_an_id(self) -> float:
        """Bytes that cross for each id, both ways."""
        run = self.best
        return (run["bytes_sent"] + run["bytes_received"]) / (2 * self.job.rows)

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def measure(job: Job) -> Outcome:
    """Do a job between two processes, and check what came out.

    Raises
    ------
    RuntimeError
        If a process fails, or what was agreed on is wrong.
    """
    with tempfile.TemporaryDirectory(prefix="secureboost-bench-") as name:
        folder = Path(name)
        tables = write_companies(folder, job)
        with feature_party(folder, job) as served:
            run_label(folder, job, served)
        check(tables, folder, job)
        result = json.loads((folder / "result.json").read_text())
        ahead = folder / FEATURE / "ahead.json"
        signed = json.loads(ahead.read_text()) if ahead.exists() else {}
        return Outcome(job, result["keys_seconds"], result["runs"], result["peak_mb"], signed)


def write_companies(folder: Path, job: Job) -> dict[str, pd.DataFrame]:
    """Write certificates, tables and the job."""
    home = folder / FEATURE
    home.mkdir()
    create_certificate(LABEL, folder / "lender.crt", folder / "lender.key")
    create_certificate(FEATURE, home / "party.crt", home / "party.key")
    tables = make_tables(job)
    tables[LABEL].to_parquet(folder / "lender.parquet")
    tables[FEATURE].to_parquet(home / "table.parquet")
    (folder / "job.json").write_text(json.dumps(asdict(job)))
    return tables


@contextmanager
def feature_party(folder: Path, job: Job) -> Iterator[tuple[str, int]]:
    """Run the feature party until the block ends; gives its address and its process."""
    with (folder / "feature.log").open("w") as log:
        process = subprocess.Popen(
            command(folder, "feature"), stdout=subprocess.PIPE, stderr=log, text=True
        )
    try:
        said = process.stdout.readline() if process.stdout else ""
        address = said.removeprefix("listening on ").strip()
        if not address:
            raise RuntimeError(f"{FEATURE} does not listen:\n{end_of(folder / 'feature.log')}")
        yield address, process.pid
    finally:
        process.kill()
        process.wait()


def run_label(folder: Path, job: Job, served: tuple[str, int]) -> None:
    """Run the label party's process to its end."""
    address, pid = served
    (folder / "job.json").write_text(json.dumps(asdict(job) | {"address": address, "pid": pid}))
    done = subprocess.run(command(folder, "label"), capture_output=True, text=True, check=False)
    if done.returncode:
        log = end_of(folder / "feature.log")
        raise RuntimeError(f"the label party failed:\n{done.stderr[-LOG_BYTES:]}\n{log}")


def command(folder: Path, role: str) -> list[str]:
    """How a party is started."""
    return [sys.executable, str(PARTY), str(folder), role]


def end_of(path: Path) -> str:
    """What a process said last."""
    return path.read_text()[-LOG_BYTES:]
