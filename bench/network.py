"""Training over slower lines than loopback: what distance and bandwidth cost.

    python bench/network.py
    python bench/network.py --data made-up --rows 100000 --trees 2

Where the kernel can (root, iproute2, the netem module), all processes run in a network namespace
whose loopback is shaped by ``tc netem``: real TCP, real congestion control. Elsewhere a transport
in the label party's process delays each frame by a token bucket and half a round trip, which has
neither slow start nor loss; the output names which of them it was.
"""

import argparse
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import plots
from companies import Outcome, federated
from data import Vertical, credit, made_up
from measure import machine
from show import Grid, publish

NAMESPACE = f"secureboost-bench-{os.getpid()}"
NETEM = "a network namespace whose loopback is shaped by tc netem"
DELAYING = "a delaying transport (token bucket and half a round trip for each frame)"


@dataclass(frozen=True)
class Scenario:
    """A line; without a rate, loopback as it is.

    Attributes
    ----------
    name : str
    mbit : float or None
        10^6 bits per second in each direction.
    round_trip_ms : float
    """

    name: str
    mbit: float | None
    round_trip_ms: float


SCENARIOS = (
    Scenario("loopback", None, 0),
    Scenario("LAN, 1 Gb/s, 1 ms", 1000, 1),
    Scenario("WAN, 100 Mb/s, 20 ms", 100, 20),
    Scenario("WAN, 100 Mb/s, 50 ms", 100, 50),
    Scenario("WAN, 10 Mb/s, 20 ms", 10, 20),
    Scenario("WAN, 10 Mb/s, 50 ms", 10, 50),
)


def run_tool(*command: str) -> bool:
    """Run one of iproute2's commands; tell whether it did its work."""
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@contextmanager
def shaped_namespace(scenario: Scenario) -> Iterator[tuple[str, ...] | None]:
    """Make a namespace with such a loopback.

    Yields
    ------
    tuple of str or None
        What to put before a command line to run it there; None where this machine cannot.
    """
    inside = ("ip", "netns", "exec", NAMESPACE)
    # the delay counts once in each direction
    shape = ("rate", f"{scenario.mbit:g}mbit", "delay", f"{scenario.round_trip_ms / 2:g}ms")
    made = run_tool("ip", "netns", "add", NAMESPACE)
    try:
        can = (
            made
            and run_tool(*inside, "ip", "link", "set", "lo", "up")
            and run_tool(*inside, "tc", "qdisc", "add", "dev", "lo", "root", "netem", *shape)
        )
        yield inside if can else None
    finally:
        if made:
            run_tool("ip", "netns", "del", NAMESPACE)


def measure(
    data: Vertical, parameters: dict[str, Any], scenario: Scenario, repeats: int
) -> tuple[Outcome, str]:
    """Train over a line; also how the line was made."""
    if scenario.mbit is None:
        return federated(data, parameters, repeats=repeats), "none"
    with shaped_namespace(scenario) as prefix:
        if prefix is not None:
            return federated(data, parameters, repeats=repeats, prefix=prefix), NETEM
    line = {"mbit": scenario.mbit, "round_trip_ms": scenario.round_trip_ms}
    return federated(data, parameters, repeats=repeats, line=line), DELAYING


def summary(outcome: Outcome) -> dict[str, Any]:
    """Seconds a tree of the label party, by kind of work."""
    work = outcome.phases_per_tree("label-party")
    wall = outcome.per_tree("wall")
    busy = outcome.phases_per_tree("partner")
    return {
        "wall": wall,
        "cpu": outcome.cpu_per_tree,
        "mb": outcome.mb_per_tree(),
        "messages": outcome.result["messages"] / outcome.result["n_trees"],
        "phases": work | {"other": max(0.0, wall - sum(work.values()))},
        "partner_busy": sum(busy.values()),
    }


def grid(title: str, results: dict[str, dict[str, Any]], how: str) -> Grid:
    """One row per line."""
    shown = ("encrypt", "send", "wait", "decrypt", "divide")
    rows = tuple(
        (
            name,
            f"{result['wall']:.2f}",
            f"{result['mb']:.1f}",
            f"{result['messages']:.0f}",
            *(f"{result['phases'].get(kind, 0.0):.2f}" for kind in shown),
            f"{result['partner_busy']:.2f}",
        )
        for name, result in results.items()
    )
    return Grid(
        title,
        ("line", "wall s", "MB", "asks", *shown, "partner"),
        rows,
        f"Per tree. The line is made by {how}. Encrypt to divide: wall seconds of the label "
        "party; send is waiting for the line, wait is line and feature party together. Partner: "
        "wall seconds in which the feature party works.",
    )


def plot(title: str, results: dict[str, dict[str, Any]]) -> None:
    """Where the seconds of a tree go on each line."""
    with plots.figure("network", (1, 1), (8, 3.6)) as axes:
        if axes is None:
            return
        plots.stacks(axes[0], {name: result["phases"] for name, result in results.items()})
        axes[0].set_title(title)
        axes[0].set_xlabel("wall seconds a tree, label party")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", choices=["credit", "made-up"], default="credit")
    parser.add_argument("--rows", type=int, default=30_000, help="made-up rows")
    parser.add_argument("--trees", type=int, default=3, help="at least 2")
    parser.add_argument("--repeats", type=int, default=1, help="the least counts")
    parser.add_argument("--depth", type=int, default=5)
    parser.add_argument("--bins", type=int, default=32)
    parser.add_argument("--key-bits", type=int, default=2048)
    args = parser.parse_args()
    where = machine()
    data = (credit() if args.data == "credit" else made_up(args.rows, 13, 10)).trained_on_all()
    parameters = {
        "n_estimators": args.trees,
        "max_depth": args.depth,
        "max_bin": args.bins,
        "key_bits": args.key_bits,
    }
    results = {}
    for scenario in SCENARIOS:
        outcome, how = measure(data, parameters, scenario, args.repeats)
        results[scenario.name] = summary(outcome)
        print(f"  {scenario.name}: {results[scenario.name]['wall']:.2f} s a tree", flush=True)
    title = f"{data.name}, {len(data.train):,} rows, depth {args.depth}, {args.key_bits} bits"
    settings = vars(args) | {"line_made_by": how}
    publish("network", where, settings, results, [grid(title, results, how)])
    plot(title, results)


if __name__ == "__main__":
    main()
