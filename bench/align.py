"""Finding common customers: ids a second, bytes and memory, by method, cores, size and overlap.

    python bench/align.py            # up to 100,000 ids on each side
    python bench/align.py --full     # up to a million, and joins of a million rows

Two companies are two processes that speak over mutual TLS on loopback. What was agreed on is
compared with the plain intersection each time, joins with pandas. The plan for more rows and cores
is a model of what was measured (`align_plan`).
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from align_commands import measure_commands
from align_companies import measure
from align_party import FEATURE, ID, LABEL
from align_plain import measure_plain
from align_plan import fit, products_us
from align_show import FAST, LARGE, P256, RSA, SODIUM, Measured, draw, grids, half_common
from align_stream import measure_stream
from align_tables import DAY, SPREAD, Job, make_tables
from measure import machine
from show import publish

from crypto.groups import get_group
from crypto.groups.ristretto import Ristretto255

METHODS: dict[str, dict[str, Any]] = {
    FAST: {"group": "ristretto255", "vectors": True},
    SODIUM: {"group": "ristretto255", "vectors": False},
    P256: {"group": "p256"},
    RSA: {"method": "rsa", "group": None},
}
JOINS: tuple[dict[str, Any], ...] = (
    {"kind": "as-of", "window": 365 * DAY},
    {"kind": "window", "before": 3600, "after": 0, "lateness": 2 * SPREAD, "match": "last"},
)
SHARES = (0.01, 1.0)
REPEATS = 3


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Attributes
    ----------
    fast : tuple of int
        Ids of each side for the fastest method, ascending.
    others : tuple of int
        For the other methods.
    plain : int
        For the plain protocol.
    joined : int
        Rows of each side.
    streamed : tuple of int
        Events of each stream.
    """

    fast: tuple[int, ...]
    others: tuple[int, ...]
    plain: int
    joined: int
    streamed: tuple[int, ...]


QUICK = Sizes((10_000, 100_000), (10_000,), 10_000, 100_000, (1_000_000, 4_000_000))
FULL = Sizes(
    (10_000, 100_000, LARGE), (10_000, 100_000), 100_000, LARGE, (LARGE, 4 * LARGE, 16 * LARGE)
)


def usable_methods() -> dict[str, dict[str, Any]]:
    """The methods that this machine can run."""
    if Ristretto255().vectors:
        return METHODS
    return {name: settings for name, settings in METHODS.items() if name != FAST}


def jobs_of(sizes: Sizes) -> Iterator[tuple[str, Job]]:
    """Every method with every size on one core and two, and the overlaps of the first."""
    methods = usable_methods()
    first = next(iter(methods))
    for name, settings in methods.items():
        for rows in sizes.fast if name == first else sizes.others:
            repeats = REPEATS if rows < LARGE else 1
            for cores in (1, 2):
                yield name, Job(rows, cores=cores, repeats=repeats, **settings)
    for share in SHARES:
        rows = sizes.fast[1]
        yield first, Job(rows, share=share, repeats=REPEATS, **methods[first])


def measure_all(sizes: Sizes) -> Measured:
    """Measure everything, one after the other."""
    aligned = []
    for name, job in jobs_of(sizes):
        aligned.append((name, measure(job)))
        wall = aligned[-1][1].best["wall"]
        print(f"{name}, {job.rows:,} ids, cores: {job.cores}: {wall:.2f} s", flush=True)
    tables = make_tables(Job(sizes.plain))
    two_sizes = list(half_common(aligned, aligned[0][0]).values())[-2:]
    return Measured(
        aligned=aligned,
        joins={
            join["kind"]: measure(Job(sizes.joined, repeats=REPEATS, join=join)) for join in JOINS
        },
        streams={events: measure_stream(events) for events in sizes.streamed},
        commands={rows: measure_commands(rows) for rows in sizes.fast[1:]},
        plain=measure_plain(tables[LABEL][ID], tables[FEATURE][ID]),
        costs=fit(*two_sizes, products_us(get_group("ristretto255"))),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="up to a million ids and rows")
    args = parser.parse_args()
    where = machine()
    measured = measure_all(FULL if args.full else QUICK)
    publish("align", where, vars(args), measured.record(), grids(measured))
    draw(measured, "align")


if __name__ == "__main__":
    main()
