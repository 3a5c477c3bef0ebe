"""Kills parties at random moments, goes on, and compares with a run that was left alone.

    python bench/chaos.py                  # 50 kills in training
    python bench/chaos.py alignment        # 30 kills while common customers are looked for
    python bench/chaos.py --kills 10 --seed 3

Training: a lender and two feature parties train with categories, missing values, sampled rows and
columns, held-out rows and early stopping, as processes that speak over mutual TLS. `kill -9`
strikes one of them; then it is started again, and so is `secureboost train`, with `--resume`. Each
run is struck several times, and must leave the trees, scores and metrics of the undisturbed run,
with `==`.

Alignment: the tables of three parties overlap partly. Each `secureboost align` that was struck goes
on with `--resume`, and must agree on the rows of the undisturbed one; see `chaos_align`.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
from attempts import (
    GONE,
    KILLED,
    LENDER,
    PARTIES,
    PHASES,
    ROWS,
    Attempt,
    Companies,
    Kill,
    checkpoint_file,
    events,
    make_tables,
    seconds_of,
)
from chaos_align import strike_alignments
from measure import machine
from show import Grid, publish

from secureboost import joined_trees
from secureboost.gbdt.checkpoint import load_checkpoint
from secureboost.gbdt.model import LabelHalf, PartyHalf, load_half

KILLS_A_RUN = 5
WRITING = 0.03
"""Seconds after the metrics of a round in which the parties write their files."""
METRICS = ("best_iteration", "folds", "history", "hold_out", "parameters", "parties", "rounds")


@dataclass(frozen=True)
class Timeline:
    """How long a run takes that is left alone, in seconds.

    Attributes
    ----------
    start : float
        From its tables being read to the end of its first round.
    a_round, end : float
        Each other round; all that follows the last one.
    rounds : int
    """

    start: float
    a_round: float
    end: float
    rounds: int

    @property
    def whole(self) -> float:
        """All of it."""
        return self.start + (self.rounds - 1) * self.a_round + self.end

    def draw(self, rng: np.random.Generator, rounds: int) -> tuple[int, float]:
        """Draw a moment from what is left after so many rounds: a round, and seconds after it.

        Half of the moments are drawn evenly. The other half lies within `WRITING` seconds of the
        end of a round, when every party writes.
        """
        if rounds == self.rounds:
            return 0, rng.uniform(0.0, self.start + self.end)
        if rng.random() < 0.5:
            return int(rng.integers(rounds + 1, self.rounds + 1)), rng.uniform(0.0, WRITING)
        middle = (self.rounds - 1 - rounds) * self.a_round
        seconds = rng.uniform(0.0, self.start + middle + self.end)
        if seconds < self.start:
            return 0, seconds
        more = min(int((seconds - self.start) / self.a_round), self.rounds - 1 - rounds)
        return rounds + 1 + more, seconds - self.start - more * self.a_round


def timeline_of(out: Path) -> Timeline:
    """Measure a run from its log."""
    logged = events(out)
    rounds = [seconds_of(event) for event in logged if event["event"] == "round"]
    return Timeline(
        rounds[0] - seconds_of(logged[0]),
        mean(np.diff(rounds)),
        seconds_of(logged[-1]) - rounds[-1],
        len(rounds),
    )


@dataclass
class Run:
    """A run that was struck, perhaps several times.

    Attributes
    ----------
    out : Path
    kills : list of Kill
    resumes : int
    anew : int
        Starts after a kill that left no checkpoint.
    """

    out: Path
    kills: list[Kill]
    resumes: int = 0
    anew: int = 0

    def seconds_lost(self) -> list[float]:
        """Of each kill, until a round was trained with the party that is back, or the next kill.

        0 where the label party needed the killed one no more.
        """
        done = [seconds_of(e) for e in events(self.out) if e["event"] in ("round", "trained")]
        lost = []
        for number, kill in enumerate(self.kills):
            ends = [moment for moment in done if moment > kill.back]
            ends += [later.at for later in self.kills[number + 1 :]]
            lost.append(min(ends, default=kill.at) - kill.at)
        return lost


def struck_run(
    companies: Companies, out: Path, kills: int, timeline: Timeline, rng: np.random.Generator
) -> Run:
    """Train to the end, however often somebody is killed.

    Moments are drawn from what is left of the run, so later ones come closer to its end.
    """
    run, resume = Run(out, []), False
    while True:
        rounds = load_checkpoint(checkpoint_file(out)).boosted.rounds if resume else 0
        attempt = Attempt(companies, out, resume=resume)
        victim = str(rng.choice([LENDER, *PARTIES]))
        moment = timeline.draw(rng, rounds)
        kill = attempt.strike(victim, *moment) if len(run.kills) < kills else None
        if kill is not None:
            run.kills.append(kill)
        attempt.end([0] if kill is None else [0, KILLED if victim == LENDER else GONE])
        resume = checkpoint_file(out).exists()
        if not resume and (out / "metrics.json").exists():
            return run
        run.resumes += resume
        run.anew += not resume


def content(companies: Companies, out: Path) -> tuple[Any, ...]:
    """What a run has left, everywhere."""
    half = load_half(out / "model" / "label.json", LabelHalf)
    halves = [
        load_half(companies.folder / name / "models" / f"{half.model_id}.json", PartyHalf)
        for name in PARTIES
    ]
    metrics = json.loads((out / "metrics.json").read_text())
    return (
        [tree.tolist() for tree in joined_trees(half, halves)],
        (out / "scores.csv").read_bytes(),
        {name: metrics[name] for name in METRICS},
        sorted(str(path.relative_to(out)) for path in out.rglob("*")),
        companies.splits_kept(half.model_id),
    )


def undisturbed(companies: Companies) -> tuple[Timeline, tuple[Any, ...]]:
    """Train once for the kernels' sake, and once to measure."""
    for name, settings in (("warm", ("--set", "model.n_estimators=1")), ("whole", ())):
        out = companies.folder / name
        process = companies.train(out, *settings)
        if process.wait():
            raise RuntimeError(f"train failed:\n{out.with_suffix('.txt').read_text()}")
    return timeline_of(out), content(companies, out)


def grids(
    runs: Sequence[Run], equal: int, timeline: Timeline, expected: tuple[Any, ...]
) -> list[Grid]:
    """The tables."""
    kills = [kill for run in runs for kill in run.kills]
    hits = Counter((kill.phase, kill.victim) for kill in kills)
    lost = [seconds for run in runs for seconds in run.seconds_lost()]
    victims = (LENDER, *PARTIES)

    def row(name: str, phases: Sequence[str]) -> tuple[str, ...]:
        counts = [sum(hits[phase, victim] for phase in phases) for victim in victims]
        return (name, *map(str, counts), str(sum(counts)))

    metrics = expected[2]
    values = (
        ("runs", f"{len(runs)}"),
        ("kills", f"{len(kills)}"),
        ("times gone on with --resume", f"{sum(run.resumes for run in runs)}"),
        ("times begun anew, before a first checkpoint", f"{sum(run.anew for run in runs)}"),
        ("runs whose trees, scores and metrics == the undisturbed", f"{equal}"),
        ("all equal", "yes" if equal == len(runs) else "NO"),
        (
            "rounds of a run, kept by early stopping",
            f"{metrics['rounds']}, {metrics['best_iteration'] + 1}",
        ),
        ("seconds of a run left alone", f"{timeline.whole:.1f}"),
        ("seconds lost by a kill: median", f"{median(lost):.1f}"),
        ("seconds lost by a kill: most", f"{max(lost):.1f}"),
    )
    size = f"{ROWS} rows, three parties, 2048 bits"
    return [
        Grid(
            f"{len(kills)} x kill -9: who was hit, and when ({size})",
            ("phase", *victims, "all"),
            (*(row(phase, [phase]) for phase in PHASES), row("all", PHASES)),
            "Starting: before the first round of a process. Keeping a round: from its metrics over "
            "the feature parties' files to the label party's. Told by what was on the disks.",
        ),
        Grid(
            "What came of it",
            ("quantity", "value"),
            values,
            "Lost: from the kill to the end of the next round that is trained with the party that "
            "is back, or to the next kill. Most of it is the start of Python, which reads compiled "
            "kernels.",
        ),
    ]


def strike_trainings(kills: int, seed: int) -> str:
    """Kill in training; says where files are kept if something differs."""
    where, rng = machine(), np.random.default_rng(seed)
    folder = Path(tempfile.mkdtemp(prefix="secureboost-chaos-"))
    companies = Companies(folder, make_tables(ROWS))
    runs: list[Run] = []
    equal = 0
    with companies.serving():
        timeline, expected = undisturbed(companies)
        while (left := kills - sum(len(run.kills) for run in runs)) > 0:
            out = folder / f"run-{len(runs)}"
            run = struck_run(companies, out, min(left, KILLS_A_RUN), timeline, rng)
            same = content(companies, run.out) == expected
            equal += same
            runs.append(run)
            hits = ", ".join(f"{k.victim} {k.phase} ({k.rounds})" for k in run.kills)
            print(f"{run.out.name}: {'equal' if same else 'NOT EQUAL'}; {hits}", flush=True)
    results = {
        "equal": equal,
        "runs": len(runs),
        "timeline": asdict(timeline),
        "kills": [
            {
                "run": run.out.name,
                "victim": kill.victim,
                "phase": kill.phase,
                "rounds": kill.rounds,
                "seconds_lost": lost,
            }
            for run in runs
            for kill, lost in zip(run.kills, run.seconds_lost(), strict=True)
        ],
    }
    settings = {"kills": kills, "seed": seed}
    publish("chaos", where, settings, results, grids(runs, equal, timeline, expected))
    if equal < len(runs):
        return f"some runs differ from {folder / 'whole'}; all files are kept there"
    shutil.rmtree(folder)
    return ""


KINDS = {"training": (50, strike_trainings), "alignment": (30, strike_alignments)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="?", choices=KINDS, default="training")
    parser.add_argument("--kills", type=int, help="50 in training, 30 in alignments")
    parser.add_argument("--seed", type=int, default=0, help="of the moments and the victims")
    args = parser.parse_args()
    kills, strike = KINDS[args.what]
    sys.exit(strike(args.kills or kills, args.seed) or 0)


if __name__ == "__main__":
    main()
