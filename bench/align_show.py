"""Tables, targets and plots of `align.py`."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import plots
from align_commands import Command
from align_companies import Outcome
from align_party import FEATURE, LABEL
from align_plain import Plain
from align_plan import CORES, LINE_MBIT, SIZES, Costs, estimate, plan_grid
from align_stream import A_SECOND
from show import Grid

FAST, SODIUM, P256 = "ristretto255, vectors", "ristretto255, libsodium", "P-256"
RSA = "RSA 2048"
SIDES = (LABEL, FEATURE)
MEMORY_MB = 600
STEADY_MB = 50
"""What a stream's memory may differ by, whatever its length."""
LARGE = 1_000_000


@dataclass(frozen=True)
class Measured:
    """Everything that was measured.

    Attributes
    ----------
    aligned : list of (str, Outcome)
        By method, the first one with most sizes.
    joins : dict of str to Outcome
    streams : dict of int to dict
        By events of each stream, see `align_stream.join`.
    commands : dict of int to (float, dict of str to Command)
        By ids of each side, see `align_commands.measure_commands`.
    plain : Plain
    costs : Costs
    """

    aligned: list[tuple[str, Outcome]]
    joins: dict[str, Outcome]
    streams: dict[int, dict[str, Any]]
    commands: dict[int, tuple[float, dict[str, Command]]]
    plain: Plain
    costs: Costs

    @property
    def first(self) -> str:
        """The method that was measured most."""
        return self.aligned[0][0]

    def half_common(self, name: str, cores: int = 2) -> dict[int, Outcome]:
        """See `half_common`."""
        return half_common(self.aligned, name, cores)

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "aligned": [{"name": name} | outcome.record() for name, outcome in self.aligned],
            "joins": {name: outcome.record() for name, outcome in self.joins.items()},
            "streams": self.streams,
            "commands": {
                rows: {"wall": wall} | {side: asdict(each) for side, each in used.items()}
                for rows, (wall, used) in self.commands.items()
            },
            "plain": asdict(self.plain),
            "costs": asdict(self.costs),
        }


def half_common(
    aligned: list[tuple[str, Outcome]], name: str, cores: int = 2
) -> dict[int, Outcome]:
    """A method's outcomes where half of the ids are common, by ids of each side."""
    return {
        outcome.job.rows: outcome
        for method, outcome in aligned
        if (method, outcome.job.cores, outcome.job.share) == (name, cores, 0.5)
    }


def grids(measured: Measured) -> list[Grid]:
    """All tables."""
    largest = list(measured.half_common(measured.first).values())[-1]
    tables = [
        aligned_grid(measured),
        commands_grid(measured.commands),
        joins_grid(measured.joins, measured.streams),
        plan_grid(measured.costs, largest),
    ]
    rows = tuple(target.row() for target in targets(measured))
    if rows:
        title = "Targets, both sides on two cores"
        tables.append(Grid(title, ("target", "limit", "found", "met"), rows, TARGETS_NOTE))
    return tables


TARGETS_NOTE = (
    "ECDH: reading the label party's ids included. Memory: the largest of both processes and of "
    "both commands. At sizes that this run has measured."
)


def aligned_rows(measured: list[tuple[str, Outcome]]) -> Iterator[tuple[str, ...]]:
    """Lines of the table: with RSA one for signatures, and one for look-ups."""
    for name, outcome in measured:
        if name != RSA:
            yield aligned_row(name, outcome)
            continue
        yield aligned_row(f"{name}, first run", replace(outcome, runs=outcome.runs[:1]))
        yield aligned_row(f"{name}, look-ups", replace(outcome, runs=outcome.runs[1:]))


def aligned_row(name: str, outcome: Outcome) -> tuple[str, ...]:
    """One line."""
    job = outcome.job
    return (
        name,
        f"{job.rows:,}",
        f"{job.share:.0%}",
        str(job.cores),
        f"{outcome.best['wall']:.2f}",
        " + ".join(f"{outcome.cpu(side):.1f}" for side in SIDES),
        f"{outcome.ids_a_second:,.0f}",
        f"{outcome.bytes_an_id:.0f}",
        ", ".join(f"{outcome.peak_mb[side]:.0f}" for side in SIDES),
    )


def aligned_grid(measured: Measured) -> Grid:
    """Method by method."""
    plain = measured.plain
    line = (
        *("plain libsodium loop", f"{plain.rows:,}", "50%", "2", f"{plain.wall:.2f}"),
        *(f"{plain.cpu:.1f}", f"{2 * plain.rows / plain.wall:,.0f}", "-", "-"),
    )
    return Grid(
        "Common ids of two companies",
        ("method", "ids each", "same", "cores", "wall s", "CPU s", "ids/s", "B an id", "MB"),
        (*aligned_rows(measured.aligned), line),
        "Vectors: multiplied eight at a time. Same: share of the ids that both have. Wall: both "
        "sides on so many cores together, from the connection to the alignment that both have on "
        "the disk, with all that is kept meanwhile to go on after a crash; ids/s: those of both "
        "sides in a second of it. CPU s, MB: label party and feature party; MB is the most "
        "resident memory of the process, with imports, reading and compiled kernels. Bytes both "
        "ways. Least of the repeats. With RSA the feature party has signed its own ids ahead. The "
        "plain loop hides no order, checks nothing and keeps nothing.",
    )


def commands_grid(commands: dict[int, tuple[float, dict[str, Command]]]) -> Grid:
    """The commands as a whole."""
    return Grid(
        "secureboost align on both sides, from start to end",
        ("ids each", "wall s", "CPU s", "MB"),
        tuple(
            (
                f"{rows:,}",
                f"{wall:.1f}",
                " + ".join(f"{used[side].cpu:.1f}" for side in SIDES),
                ", ".join(f"{used[side].peak_mb:.0f}" for side in SIDES),
            )
            for rows, (wall, used) in commands.items()
        ),
        "Label party and feature party. The start of Python, imports and the reading of both "
        "tables are part of all numbers; wall time is the label party's.",
    )


def joins_grid(joins: dict[str, Outcome], streams: dict[int, dict[str, Any]]) -> Grid:
    """Joins by time."""
    between = [
        (
            f"{name}, between companies",
            f"{outcome.job.rows:,}",
            f"{outcome.best['wall']:.2f}",
            f"{outcome.ids_a_second:,.0f}",
            f"{outcome.bytes_an_id:.0f}",
            f"{outcome.peak_mb[LABEL]:.0f}, {outcome.peak_mb[FEATURE]:.0f}",
        )
        for name, outcome in joins.items()
    ]
    alone = [
        (
            "stream, one process",
            f"{events:,}",
            f"{stream['wall']:.2f}",
            f"{stream['events_a_second']:,.0f}",
            "-",
            f"{stream['peak_mb']:.0f} (before: {stream['before_mb']:.0f})",
        )
        for events, stream in streams.items()
    ]
    return Grid(
        "Joins by time",
        ("join", "rows each", "wall s", "rows/s", "B a row", "MB"),
        (*between, *alone),
        "After the customers were matched; five rows of a customer on each side. Between companies "
        "both tables lie in memory. The stream alone makes its events as it reads them (which its "
        f"seconds include), {A_SECOND} of each side in a second of their time, window one hour, a "
        "minute late at most: what it holds does not grow with the stream.",
    )


@dataclass(frozen=True)
class Target:
    """A limit and what was measured against it.

    Attributes
    ----------
    name : str
    limit : str
    found : str
    met : bool
    """

    name: str
    limit: str
    found: str
    met: bool

    def row(self) -> tuple[str, ...]:
        """Of the table."""
        return self.name, self.limit, self.found, "yes" if self.met else "NO"


def below(name: str, limit: float, found: float, unit: str = "s") -> Target:
    """A target for which less is better."""
    return Target(name, f"{limit:g} {unit}", f"{found:.3g} {unit}", found <= limit)


def targets(measured: Measured) -> Iterator[Target]:
    """What was measured, against the targets, at the sizes that they are for."""
    first = measured.half_common(measured.first)
    for rows, limit in ((100_000, 30), (LARGE, 300)):
        if rows in first:
            seconds = first[rows].keys_seconds + first[rows].best["wall"]
            yield below(f"ECDH, {rows:,} each", limit, seconds)
    if LARGE in first:
        peaks = [*first[LARGE].peak_mb.values()]
        peaks += [used.peak_mb for used in measured.commands[LARGE][1].values()]
        yield below(f"ECDH, {LARGE:,} each, memory of a party", MEMORY_MB, max(peaks), "MB")
    if rsa := measured.half_common(RSA).get(100_000):
        yield below("RSA, 100,000 blind signatures", 45, rsa.runs[0]["wall"])
        looked_up = min(run["wall"] for run in rsa.runs[1:])
        yield below("RSA, 100,000 look-ups against stored signatures", 1, looked_up)
    if measured.joins["as-of"].job.rows == LARGE:
        seconds = measured.joins["as-of"].best["wall"]
        yield below("as-of join, 1,000,000 x 1,000,000", 10, seconds)
    if max(measured.streams) >= LARGE:
        yield streaming(measured.streams, measured.joins["window"])


def streaming(streams: dict[int, dict[str, Any]], between: Outcome) -> Target:
    """The target of the streaming join."""
    peaks = [stream["peak_mb"] for stream in streams.values()]
    grown, longer = max(peaks) - min(peaks), max(streams) // min(streams)
    slowest = min(stream["events_a_second"] for stream in streams.values())
    slowest = min(slowest, between.ids_a_second)
    return Target(
        f"streaming join, memory bounded ({grown:.0f} MB more for {longer} times the events)",
        "200,000 events/s",
        f"{slowest:,.0f} events/s",
        slowest >= 200_000 and grown < STEADY_MB,
    )


def draw(measured: Measured, name: str) -> None:
    """Pace by method; seconds and memory by size."""
    with plots.figure(name, (1, 3), (12, 3.2)) as axes:
        if axes is None:
            return
        draw_paces(axes[0], measured)
        draw_seconds(axes[1], measured)
        draw_memory(axes[2], measured)
        for ax in axes[1:]:
            ax.set_xscale("log")
            ax.set_xlabel("ids on each side")
            ax.legend(fontsize=8)


def draw_paces(ax: Any, measured: Measured) -> None:
    """Ids a second of each method, at its largest size."""
    paces: dict[str, float] = {}
    for name in dict.fromkeys(name for name, _ in measured.aligned):
        outcome = list(measured.half_common(name).values())[-1]
        wall = outcome.runs[0]["wall"] if name == RSA else outcome.best["wall"]
        paces[f"{name}, {outcome.job.rows:,}"] = 2 * outcome.job.rows / wall
    plain = measured.plain
    paces[f"plain libsodium loop, {plain.rows:,}"] = 2 * plain.rows / plain.wall
    colours = [plots.BLUE] * (len(paces) - 1) + [plots.GREY]
    plots.bars(ax, list(paces), [pace / 1000 for pace in paces.values()], colours)
    ax.set_title("thousand ids a second, both sides on 2 cores")


def draw_seconds(ax: Any, measured: Measured) -> None:
    """Seconds by size, as measured and as planned."""
    for cores, colour in ((1, plots.BLUE), (2, plots.ORANGE)):
        own = measured.half_common(measured.first, cores)
        label = f"{cores} core{'s'[: cores - 1]}"
        ax.plot(list(own), [o.best["wall"] for o in own.values()], "o-", color=colour, label=label)
    plans = [estimate(measured.costs, rows, CORES, LINE_MBIT) for rows in (LARGE, *SIZES)]
    ax.plot(
        [plan.rows for plan in plans],
        [plan.wall for plan in plans],
        "--",
        color=plots.GREY,
        label=f"plan, {CORES} cores",
    )
    ax.set_yscale("log")
    ax.set_title("seconds, both sides together")


def draw_memory(ax: Any, measured: Measured) -> None:
    """Peak memory of each process by size."""
    own = measured.half_common(measured.first)
    for side, name, colour in zip(
        SIDES, ("label party", "feature party"), (plots.BLUE, plots.ORANGE), strict=True
    ):
        ax.plot(list(own), [o.peak_mb[side] for o in own.values()], "o-", color=colour, label=name)
    ax.axhline(MEMORY_MB, color=plots.GREY, linestyle=":", label=f"target for {LARGE:,}")
    ax.set_ylim(0)
    ax.set_title("peak MB of a process")
