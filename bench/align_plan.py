"""What alignments would take that are too large to measure here, from measured costs.

The model is a sum. For each pair of keys, one of each side, both sides hash and multiply once and
multiply once more; that work is dealt out to all cores. Everything else of a side's CPU time runs
on one core: reading keys, the codec and TLS, hashes, sorting, looking up, files. Nothing is taken
to overlap: not the two sides, not work and line. So it holds for two machines of so many cores
each, and for one that both share.
"""

from dataclasses import dataclass

from align_companies import Outcome
from align_party import FEATURE, LABEL
from measure import timed
from show import Grid

from crypto.groups.base import Group

SAMPLE = 1 << 15
CORES = 32
EFFICIENCY = 0.8
"""Of `CORES` threads, against as many times one: clocks fall under AVX-512, memory is shared."""
LINE_MBIT = 1000.0
SIZES = (10_000_000, 100_000_000)


@dataclass(frozen=True)
class Costs:
    """What each key more costs, both sides having as many.

    Attributes
    ----------
    products_us : float
        CPU microseconds of hashing and multiplying, both sides together.
    other_us : float
        All other CPU microseconds, both sides together, and the label party's reading.
    line_bytes : float
        Both ways.
    memory_bytes : dict of str to float
        Of each side.
    base_mb : dict of str to float
        Memory of each side without keys, in 10^6 bytes.
    """

    products_us: float
    other_us: float
    line_bytes: float
    memory_bytes: dict[str, float]
    base_mb: dict[str, float]


@dataclass(frozen=True)
class Estimate:
    """What so many keys would take, in seconds and 10^6 bytes.

    Attributes
    ----------
    rows, cores : int
    products, other, line : float
    memory : dict of str to float
    sent : float
    """

    rows: int
    cores: int
    products: float
    other: float
    line: float
    memory: dict[str, float]
    sent: float

    @property
    def wall(self) -> float:
        """Seconds altogether."""
        return self.products + self.other + self.line


def products_us(group: Group) -> float:
    """CPU microseconds of all that both sides do in the group for a key of each, on one thread."""
    data = [number.to_bytes(12, "big") for number in range(SAMPLE)]
    scalar = group.random_scalar()
    group.multiply(group.blind(data[:64], scalar, tag=b"load"), scalar)
    (blinded, _, hashing) = timed(lambda: group.blind(data, scalar, tag=b"measure"))
    (_, _, multiplying) = timed(lambda: group.multiply(blinded, scalar))
    return 2e6 * (hashing + multiplying) / SAMPLE


def fit(small: Outcome, large: Outcome, products: float) -> Costs:
    """What each key more costs, between two sizes."""
    more = large.job.rows - small.job.rows
    cpu = sum(large.cpu(side) - small.cpu(side) for side in (LABEL, FEATURE))
    reading = large.keys_seconds - small.keys_seconds
    memory = {
        side: 1e6 * (large.peak_mb[side] - small.peak_mb[side]) / more for side in (LABEL, FEATURE)
    }
    return Costs(
        products_us=products,
        other_us=max(1e6 * (cpu + reading) / more - products, 0.0),
        line_bytes=2 * large.bytes_an_id,
        memory_bytes=memory,
        base_mb={
            side: large.peak_mb[side] - memory[side] * large.job.rows / 1e6 for side in memory
        },
    )


def estimate(costs: Costs, rows: int, cores: int, mbit: float | None) -> Estimate:
    """Put the costs of so many keys on each side together; no line is loopback."""
    sent = rows * costs.line_bytes
    threads = 1.0 if cores == 1 else cores * (EFFICIENCY if cores == CORES else 1.0)
    return Estimate(
        rows=rows,
        cores=cores,
        products=rows * costs.products_us / 1e6 / threads,
        other=rows * costs.other_us / 1e6,
        line=0.0 if mbit is None else sent * 8 / (mbit * 1e6),
        memory={
            side: costs.base_mb[side] + rows * each / 1e6
            for side, each in costs.memory_bytes.items()
        },
        sent=sent / 1e6,
    )


def plan_grid(costs: Costs, measured: Outcome) -> Grid:
    """The table, with what the model says of the largest size that was measured."""
    rows = measured.job.rows
    here = estimate(costs, rows, measured.job.cores, None)
    plans = [estimate(costs, size, CORES, LINE_MBIT) for size in SIZES]
    whole = measured.keys_seconds + measured.best["wall"]
    return Grid(
        f"The plan for {CORES} cores and a line of {LINE_MBIT / 1000:g} Gb/s",
        ("ids each", "cores", "group s", "other s", "line s", "all s", "GB sent", "GB memory"),
        tuple(_row(each) for each in (here, *plans)),
        f"Group: hashing and multiplying, {costs.products_us:.1f} us of CPU for a key more on both "
        f"sides, dealt out to all cores ({EFFICIENCY:.0%} of {CORES} times one). Other: "
        f"{costs.other_us:.1f} us on one core. Line: {costs.line_bytes:.0f} bytes. All: nothing "
        f"overlaps; on {measured.job.cores} cores {rows:,} ids were measured at {whole:.1f} s. "
        "Memory: label party, feature party.",
    )


def _row(plan: Estimate) -> tuple[str, ...]:
    return (
        f"{plan.rows:,}",
        str(plan.cores),
        f"{plan.products:.0f}",
        f"{plan.other:.0f}",
        f"{plan.line:.0f}",
        f"{plan.wall:.0f}",
        f"{plan.sent / 1000:.1f}",
        ", ".join(f"{plan.memory[side] / 1000:.1f}" for side in (LABEL, FEATURE)),
    )
