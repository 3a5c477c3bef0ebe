"""How the cost of a tree grows with rows, columns, bins, depth and the number of feature parties.

    python bench/scaling.py --quick        # a minute or two
    python bench/scaling.py

Each quantity is varied around one base point; everything runs as two or more processes over mutual
TLS. The memory that a row takes is the growth of a process's peak in training between the two
largest tables, so that neither interpreter nor libraries are in it.
"""

import argparse
from dataclasses import asdict, dataclass, replace
from typing import Any

import plots
from companies import Outcome, federated
from data import made_up
from measure import machine
from show import Grid, publish


@dataclass(frozen=True)
class Point:
    """What is trained; `columns` are those of each feature party, the label party has ten."""

    rows: int = 30_000
    columns: int = 10
    bins: int = 32
    depth: int = 5
    parties: int = 1


FULL = {
    "rows": (10_000, 30_000, 100_000, 300_000),
    "columns": (5, 10, 20, 40),
    "bins": (8, 16, 32, 64, 128),
    "depth": (3, 4, 5, 6, 7),
    "parties": (1, 2, 3),
}
QUICK = {
    "rows": (5_000, 10_000, 20_000),
    "columns": (10, 20),
    "bins": (16, 32),
    "depth": (4, 5),
    "parties": (1, 2),
}
OWN_COLUMNS = 10
LINES = {
    "cpu_label": ("label party", plots.BLUE),
    "cpu_feature": ("each feature party", plots.ORANGE),
}
UNITS = {
    "rows": "rows",
    "columns": "columns of a feature party",
    "bins": "bins",
    "depth": "depth",
    "parties": "feature parties",
}


def measure(point: Point, trees: int, repeats: int, key_bits: int) -> dict[str, float]:
    """Cost of a tree, and memory, at one point."""
    data = made_up(point.rows, OWN_COLUMNS, point.columns, parties=point.parties)
    outcome: Outcome = federated(
        data.trained_on_all(),
        {
            "n_estimators": trees,
            "max_depth": point.depth,
            "max_bin": point.bins,
            "key_bits": key_bits,
        },
        repeats=repeats,
    )
    label, *features = outcome.parties
    memory = outcome.result["memory"]
    return {
        "cpu_label": outcome.per_tree(label),
        "cpu_feature": sum(map(outcome.per_tree, features)) / len(features),
        "cpu": outcome.cpu_per_tree,
        "wall": outcome.per_tree("wall"),
        "mb": outcome.mb_per_tree(),
        "before_mb_feature": memory[features[0]]["before_mb"],
        "peak_mb_feature": memory[features[0]]["peak_mb"],
        "before_mb_label": memory[label]["before_mb"],
        "peak_mb_label": memory[label]["peak_mb"],
    }


def sweep(
    base: Point, values: dict[str, tuple[int, ...]], trees: int, repeats: int, key_bits: int
) -> Any:
    """Results by quantity and value; the base point is measured once."""
    known: dict[Point, dict[str, float]] = {}
    results: dict[str, dict[int, dict[str, float]]] = {}
    for quantity, steps in values.items():
        results[quantity] = {}
        for step in steps:
            point = replace(base, **{quantity: step})
            if point not in known:
                known[point] = measure(point, trees, repeats, key_bits)
                print(f"  {point}: {known[point]['cpu']:.2f} CPU s a tree", flush=True)
            results[quantity][step] = known[point]
    return results


def costs_grid(title: str, base: Point, results: Any) -> Grid:
    """One row per point."""
    rows = []
    for quantity, by_value in results.items():
        for value, cost in by_value.items():
            mark = " *" if value == getattr(base, quantity) else ""
            rows.append(
                (
                    f"{UNITS[quantity]}: {value:,}{mark}",
                    f"{cost['cpu_label']:.2f}",
                    f"{cost['cpu_feature']:.2f}",
                    f"{cost['cpu']:.2f}",
                    f"{cost['wall']:.2f}",
                    f"{cost['mb']:.1f}",
                    f"{cost['peak_mb_label']:.0f}",
                    f"{cost['peak_mb_feature']:.0f}",
                )
            )
    return Grid(
        title,
        (
            "varied",
            "CPU s label",
            "CPU s feature",
            "CPU s all",
            "wall s",
            "MB",
            "peak MB label",
            "peak MB feature",
        ),
        tuple(rows),
        "All per tree but the peaks; feature: of each feature party. * is the base point.",
    )


def memory_per_row(by_rows: dict[int, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Bytes a row, by party, between the two largest tables.

    Returns
    -------
    dict
        For each party ``training``: growth of the peak in training over what the process held
        before it; ``table``: growth of what it held before (the table and the row ids).
    """
    (low, less), (high, more) = sorted(by_rows.items())[-2:]

    def growth(key: str, party: str) -> float:
        return (more[f"{key}_mb_{party}"] - less[f"{key}_mb_{party}"]) * 1e6 / (high - low)

    return {
        party: {
            "training": growth("peak", party) - growth("before", party),
            "table": growth("before", party),
        }
        for party in ("label", "feature")
    }


def memory_grid(base: Point, rows: list[int], memory: dict[str, dict[str, float]]) -> Grid:
    """Bytes a row of both parties."""
    low, high = sorted(rows)[-2:]
    return Grid(
        f"Memory a row, between {low:,} and {high:,} rows",
        ("party", "training, B", "table and ids, B", "together, B"),
        tuple(
            (
                f"{party} party",
                f"{parts['training']:.0f}",
                f"{parts['table']:.0f}",
                f"{sum(parts.values()):.0f}",
            )
            for party, parts in memory.items()
        ),
        f"{OWN_COLUMNS} columns of the label party, {base.columns} of the feature party. Training: "
        "peak above what the process held before it (ciphertexts, bins, indices, everything "
        "else). Table and ids: as loaded, float32 columns and ids as text.",
    )


def plot(title: str, results: Any) -> None:
    """Small multiples: CPU seconds against each quantity."""
    with plots.figure("scaling", (1, len(results)), (2.6 * len(results), 3.0)) as axes:
        if axes is None:
            return
        for ax, (quantity, by_value) in zip(axes, results.items(), strict=True):
            values = list(by_value)
            for key, (name, colour) in LINES.items():
                seconds = [cost[key] for cost in by_value.values()]
                ax.plot(values, seconds, marker="o", markersize=4, color=colour, label=name)
            ax.set_xlabel(UNITS[quantity])
            if max(values) >= 10_000:
                ax.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:g}k")
            else:
                ax.set_xticks([value for value in values if value > 0.1 * max(values)])
            ax.set_ylim(0, 1.1 * max(c[k] for c in by_value.values() for k in LINES))
        axes[0].set_ylabel("CPU seconds a tree")
        axes[0].legend(fontsize=8)
        axes[0].figure.suptitle(title, fontsize=10, x=0.01, ha="left")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer and smaller points")
    parser.add_argument("--trees", type=int, default=3, help="at least 2")
    parser.add_argument("--repeats", type=int, default=1, help="the least counts")
    parser.add_argument("--key-bits", type=int, default=2048)
    args = parser.parse_args()
    where = machine()
    base = Point(rows=10_000) if args.quick else Point()
    results = sweep(base, QUICK if args.quick else FULL, args.trees, args.repeats, args.key_bits)
    memory = memory_per_row(results["rows"])
    title = (
        f"Around {base.rows:,} rows x ({OWN_COLUMNS} + {base.columns}), {base.bins} bins, depth "
        f"{base.depth}, {args.key_bits} bits"
    )
    grids = [
        costs_grid(title, base, results),
        memory_grid(base, list(results["rows"]), memory),
    ]
    settings = vars(args) | {"base": asdict(base)}
    publish("scaling", where, settings, {"points": results, "bytes_per_row": memory}, grids)
    plot(title, results)


if __name__ == "__main__":
    main()
