"""What `chaos.py alignment` kills: companies that look for their common customers.

A lender and two feature parties, whose tables overlap partly and come in different orders, align
by `secureboost align` and two times `secureboost serve`.
"""

import os
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from attempts import KILLED, LENDER, PARTIES, POLL_SECONDS, Companies

from secureboost.align.options import AlignOptions
from secureboost.alignment import SUFFIX, read_alignment

ROWS = 80_000
FIRST = {LENDER: 0, "bureau": 20_000, "telco": 9_000}
"""Number of the first customer of each party; each has `ROWS`."""
PIECES = 2 * len(PARTIES) * -(-ROWS // AlignOptions.chunk)
"""Chunks that the lender keeps: its own and those of each other party, for each."""
WRITTEN = PIECES + 1
"""Stands for: they are deleted again, since all is agreed on."""
PHASES = ("starting", "sending", "fetching", "telling", "writing")
CHANGING = "made"
"""Of an alignment's details the moment at which it was made."""


def make_tables(rows: int = ROWS) -> dict[str, pd.DataFrame]:
    """Each party's table, in an order of its own."""
    rng = np.random.default_rng(0)
    tables = {}
    for party, first in FIRST.items():
        ids = [f"C{number:07d}" for number in first * rows // ROWS + rng.permutation(rows)]
        index = pd.Index(ids, name="id")
        tables[party] = pd.DataFrame({f"{party}_0": rng.normal(size=rows)}, index=index)
    tables[LENDER].insert(0, "default", 0)
    return tables


@dataclass(frozen=True)
class Kill:
    """A party that was killed.

    Attributes
    ----------
    victim : str
    phase : str
        One of `PHASES`.
    pieces : int
        Chunks that the lender had kept.
    """

    victim: str
    phase: str
    pieces: int


class Attempt:
    """A process of the lender that aligns, perhaps until somebody is killed.

    Parameters
    ----------
    companies : Companies
    out : Path
    more : sequence of str
        Further options of the command.
    """

    def __init__(self, companies: Companies, out: Path, more: Sequence[str]) -> None:
        self._companies, self._out = companies, out
        self._before = kept(out)
        self._most = len(self._before)
        self.began = time.time()
        self.process = companies.start("align", out, "--out", str(out), *more)

    @property
    def seconds(self) -> float:
        """Since it was started."""
        return time.time() - self.began

    def strike(self, victim: str, pieces: int, delay: float) -> Kill | None:
        """Kill a party so long after so many pieces are kept; None if all was over before.

        Parameters
        ----------
        victim : str
        pieces : int
            0: after the start; `WRITTEN`: once they are deleted again, since all is agreed on.
        delay : float
            Seconds.
        """
        while self.process.poll() is None and not self._has_kept(pieces):
            time.sleep(POLL_SECONDS)
        try:
            self.process.wait(delay)
        except subprocess.TimeoutExpired:
            pass
        else:
            return None
        there = kept(self._out)
        kill = Kill(victim, self._phase(there), len(there))
        if victim == LENDER:
            self.process.kill()
            return kill if self.process.wait() == KILLED else None
        self._companies.kill(victim)
        self._companies.serve(victim)
        return kill

    def end(self, expected: Sequence[int]) -> int:
        """Wait for the end; its exit code.

        Raises
        ------
        RuntimeError
            If it is none of the expected ones.
        """
        code = self.process.wait()
        if code not in expected:
            said = self._out.with_suffix(".txt").read_text()
            raise RuntimeError(f"align ended with {code}, not with one of {expected}:\n{said}")
        return code

    def _has_kept(self, pieces: int) -> bool:
        """Whether it has got so far."""
        there = len(kept(self._out))
        self._most = max(self._most, there)
        return self._most == PIECES and not there if pieces == WRITTEN else there >= pieces

    def _phase(self, there: set[str]) -> str:
        """How far it has come, by what there is on the disk."""
        if self._most == PIECES and not there:
            return "writing"
        if there == self._before:
            return "starting"
        if len(there) == PIECES:
            return "telling"
        return "fetching" if any("theirs" in name for name in there) else "sending"


def kept(out: Path) -> set[str]:
    """The chunks that the lender has kept of an alignment under way."""
    found = set()
    for party in PARTIES:
        with suppress(FileNotFoundError):  # not yet, or no more
            names = os.listdir(out / "interrupted" / "parties" / party)
            found.update(
                f"{party}/{name}" for name in names if name.startswith(("own-", "theirs-"))
            )
    return found


def go_on(out: Path) -> list[str]:
    """With which option the command is started again."""
    if (out / "interrupted").is_dir():
        return ["--resume"]
    return ["--force"] if list(out.glob(f"*{SUFFIX}")) else []


def complete(out: Path) -> bool:
    """Whether the alignment with every party is there."""
    return all((out / f"{name}{SUFFIX}").exists() for name in PARTIES)


def content(companies: Companies, tables: dict[str, pd.DataFrame], out: Path) -> tuple[Any, ...]:
    """What an alignment has left at all parties, as far as chance does not decide it.

    The order of the agreed rows is random. So the ids of each agreed row at all parties are put
    side by side and then sorted; a row that is one customer here and another there would show.
    """
    mine = {name: read_alignment(out / f"{name}{SUFFIX}") for name in PARTIES}
    theirs = {
        name: read_alignment(alignments_of(companies, name) / f"{alignment.id.hex()}{SUFFIX}")
        for name, alignment in mine.items()
    }
    agreed = pd.DataFrame(
        {
            **{f"{LENDER} {name}": tables[LENDER].index[a.rows] for name, a in mine.items()},
            **{name: tables[name].index[a.rows] for name, a in theirs.items()},
        }
    )
    details = [
        {name: value for name, value in a.details.items() if name != CHANGING}
        for a in (*mine.values(), *theirs.values())
    ]
    interrupted = [alignments_of(companies, name) / "interrupted" for name in PARTIES]
    left = [path.name for folder in interrupted if folder.exists() for path in folder.iterdir()]
    # a process that is killed while it writes a file leaves what it had of it under a hidden name
    files = sorted(path.name for path in out.iterdir() if not path.name.startswith("."))
    return sorted(agreed.itertuples(index=False, name=None)), details, files, left


def alignments_of(companies: Companies, name: str) -> Path:
    """Where a feature party keeps what was agreed on."""
    return companies.folder / name / "models" / "alignments"
