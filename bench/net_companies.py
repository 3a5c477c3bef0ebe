"""Two companies that train split networks: two processes, and what they measured."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from companies import LOG_BYTES, Served, company_folder, start_listening, write_company
from data import Vertical
from net_party import FEATURE

PARTY = Path(__file__).with_name("net_party.py")


@dataclass(frozen=True)
class Run:
    """One training.

    Attributes
    ----------
    parameters : dict
        Of `SplitNNClassifier`; at least two epochs, since the first is not counted.
    line : dict, optional
        Arguments of `link.Line`; by default loopback as it is.
    """

    parameters: dict[str, Any]
    line: dict[str, float] | None = None


def measure(data: Vertical, runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Train networks between two processes, one after the other.

    Parameters
    ----------
    data : Vertical
        Of one feature party.
    runs : sequence of Run

    Returns
    -------
    list of dict
        See `net_party.Label.run`.

    Raises
    ------
    RuntimeError
        If a process fails; the text has the end of what it said.
    """
    with company_folder(data) as folder, feature_party(data, folder) as served:
        job = {"served": asdict(served), "runs": [asdict(run) for run in runs]}
        (folder / "job.json").write_text(json.dumps(job))
        done = subprocess.run(command(folder, "label"), capture_output=True, text=True, check=False)
        if done.returncode:
            log = (folder / FEATURE / "serve.log").read_text()[-LOG_BYTES:]
            raise RuntimeError(f"the label party failed:\n{done.stderr[-LOG_BYTES:]}\n{log}")
        return json.loads((folder / "result.json").read_text())


@contextmanager
def feature_party(data: Vertical, folder: Path) -> Iterator[Served]:
    """Serve the feature party's table until the block ends."""
    home = write_company(FEATURE, data.features[FEATURE], folder)
    process, address = start_listening(command(folder, "feature"), home)
    try:
        yield Served(FEATURE, address, process.pid)
    finally:
        process.terminate()
        process.wait()


def command(folder: Path, role: str) -> list[str]:
    """How a party is started."""
    return [sys.executable, str(PARTY), str(folder), role]
