"""Kills companies that look for their common customers, and compares; see `chaos`."""

import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
from align_attempts import (
    PHASES,
    PIECES,
    ROWS,
    WRITTEN,
    Attempt,
    Kill,
    complete,
    content,
    go_on,
    kept,
    make_tables,
)
from attempts import GONE, KILLED, LENDER, PARTIES, Companies
from measure import machine
from show import Grid, publish

KILLS_A_RUN = 5
WRITING = 0.03
"""Seconds after a chunk was kept, in which the next message is made or worked on."""


@dataclass
class Run:
    """An alignment that was struck, perhaps several times.

    Attributes
    ----------
    out : Path
    kills : list of Kill
    resumes, anew : int
        Starts after a kill: with ``--resume``, and where nothing was left to go on with.
    seconds : float
        Of all attempts together.
    """

    out: Path
    kills: list[Kill] = field(default_factory=list)
    resumes: int = 0
    anew: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Undisturbed:
    """A run that was left alone.

    Attributes
    ----------
    seconds : float
    content : tuple
        See `content`.
    """

    seconds: float
    content: tuple[Any, ...]


def struck_run(
    companies: Companies, out: Path, kills: int, alone: Undisturbed, rng: np.random.Generator
) -> Run:
    """Align to the end, however often somebody is killed."""
    run, more = Run(out), []
    while True:
        attempt = Attempt(companies, out, more)
        victim = str(rng.choice([LENDER, *PARTIES]))
        moment = draw(rng, len(kept(out)), alone.seconds)
        kill = attempt.strike(victim, *moment) if len(run.kills) < kills else None
        if kill is not None:
            run.kills.append(kill)
        attempt.end([0] if kill is None else [0, KILLED if victim == LENDER else GONE])
        run.seconds += attempt.seconds
        more = go_on(out)
        if complete(out) and more != ["--resume"]:
            return run
        run.resumes += more == ["--resume"]
        run.anew += more != ["--resume"]


def draw(rng: np.random.Generator, pieces: int, seconds: float) -> tuple[int, float]:
    """Draw a moment from what is left after so many chunks: chunks that are kept, seconds after it.

    Half of the moments lie anywhere between the start of a process and its end; three eighths
    within `WRITING` seconds after a chunk was kept, one eighth after all is agreed on.
    """
    kind = rng.random()
    if kind < 0.5:
        return 0, rng.uniform(0.0, seconds)
    if kind < 0.875 and pieces < PIECES:
        return int(rng.integers(pieces, PIECES)) + 1, rng.uniform(0.0, WRITING)
    return WRITTEN, rng.uniform(0.0, WRITING)


def undisturbed(companies: Companies, tables: dict[str, pd.DataFrame]) -> Undisturbed:
    """Align once for the kernels' sake, and once to measure; compare with the plain intersection.

    Raises
    ------
    RuntimeError
        If it differs.
    """
    for name in ("warm", "whole"):
        out = companies.folder / name
        attempt = Attempt(companies, out, [])
        attempt.end([0])
        seconds = attempt.seconds
    found = content(companies, tables, out)
    common = set.intersection(*(set(table.index) for table in tables.values()))
    if found[0] != sorted((name,) * (2 * len(PARTIES)) for name in common):
        raise RuntimeError(f"{out}: what was agreed on is not what is common")
    return Undisturbed(seconds, found)


def grids(runs: Sequence[Run], equal: int, alone: Undisturbed) -> list[Grid]:
    """The tables."""
    kills = [kill for run in runs for kill in run.kills]
    hits = Counter((kill.phase, kill.victim) for kill in kills)
    victims = (LENDER, *PARTIES)

    def row(name: str, phases: Sequence[str]) -> tuple[str, ...]:
        counts = [sum(hits[phase, victim] for phase in phases) for victim in victims]
        return (name, *map(str, counts), str(sum(counts)))

    more = [(run.seconds - alone.seconds) / max(len(run.kills), 1) for run in runs]
    values = (
        ("alignments", f"{len(runs)}"),
        ("kills", f"{len(kills)}"),
        ("times gone on with --resume", f"{sum(run.resumes for run in runs)}"),
        ("times begun anew", f"{sum(run.anew for run in runs)}"),
        ("alignments with the rows of the undisturbed", f"{equal}"),
        ("all equal", "yes" if equal == len(runs) else "NO"),
        ("common rows", f"{len(alone.content[0]):,}"),
        ("seconds of an alignment left alone", f"{alone.seconds:.1f}"),
        ("seconds more for each kill: median", f"{median(more):.1f}"),
    )
    return [
        Grid(
            f"{len(kills)} x kill -9 in an alignment: who was hit, and when "
            f"({ROWS:,} ids each, three parties)",
            ("phase", *victims, "all"),
            (*(row(phase, [phase]) for phase in PHASES), row("all", PHASES)),
            "Starting: before the first chunk of a process. Sending, fetching: the lender's own "
            "keys, those of the others. Telling: sizes, order, agreed rows. Writing: the lender's "
            "files. Told by what was on the lender's disk.",
        ),
        Grid(
            "What came of it",
            ("quantity", "value"),
            values,
            "Compared are the ids of each agreed row at all parties, what is kept about it, and "
            "which files there are; the order of agreed rows is random. The undisturbed one is "
            "compared with the plain intersection. Begun anew: killed before a first chunk, or "
            "after the last.",
        ),
    ]


def strike_alignments(kills: int, seed: int) -> str:
    """Kill in alignments; says where files are kept if something differs."""
    where, rng = machine(), np.random.default_rng(seed)
    folder = Path(tempfile.mkdtemp(prefix="secureboost-chaos-"))
    tables = make_tables()
    companies = Companies(folder, tables)
    runs: list[Run] = []
    equal = 0
    with companies.serving():
        alone = undisturbed(companies, tables)
        while (left := kills - sum(len(run.kills) for run in runs)) > 0:
            out = folder / f"run-{len(runs)}"
            run = struck_run(companies, out, min(left, KILLS_A_RUN), alone, rng)
            same = content(companies, tables, out) == alone.content
            equal += same
            runs.append(run)
            hits = ", ".join(f"{k.victim} {k.phase} ({k.pieces})" for k in run.kills)
            print(f"{run.out.name}: {'equal' if same else 'NOT EQUAL'}; {hits}", flush=True)
    results = {
        "equal": equal,
        "runs": len(runs),
        "seconds_alone": alone.seconds,
        "kills": [{"run": run.out.name} | asdict(kill) for run in runs for kill in run.kills],
    }
    settings = {"kills": kills, "seed": seed}
    publish("chaos-align", where, settings, results, grids(runs, equal, alone))
    if equal < len(runs):
        return f"some alignments differ from {folder / 'whole'}; all files are kept there"
    shutil.rmtree(folder)
    return ""
