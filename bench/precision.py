"""What rounding gradients to integers changes, against training in float64; and what bits cost.

    python bench/precision.py
    python bench/precision.py --bits 16 30 --trees 20

Both are trained on the pooled columns of the credit data (made-up columns where it is absent), on
the same bins, with the same limits and order of candidates. *Rounded* is the product: the trees
that a federated run has, bit for bit. *Float64* is `float64.py`: gradients, histograms and gains
are float64 from beginning to end, and gains that differ by less than 1e-12 of the scores they come
from count as equal. The line *float64, ties as they fall* is the same without that rule.
"""

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
import plots
from data import Vertical, credit, made_up
from measure import machine, timed
from rounding import (
    Problem,
    compare_choices,
    compare_runs,
    compare_values,
    make_problem,
    train_float64,
    train_rounded,
)
from show import Grid, publish

from crypto.fixed_point import FixedPoint
from crypto.packing import GradientPacking
from crypto.paillier import PaillierScheme
from crypto.paillier_private import PaillierPrivateKey
from secureboost.gbdt.params import BoosterParams
from secureboost.gbdt.precision import ROUNDING_ERROR, SCORE_ERROR

BITS = [8, 10, 12, 16, 20, 22, 24, 28, 30, 40]


def read_data() -> Vertical:
    """Read the credit data, or draw columns of its size."""
    try:
        return credit()
    except FileNotFoundError:
        return made_up(30_000, 13, 10)


def measure(
    problem: Problem, all_bits: list[int], cost: Callable[[int], dict[str, Any]]
) -> dict[str, Any]:
    """Results in float64, in float64 without a rule for ties, and by number of bits."""
    reference = train_float64(problem)
    noisy = train_float64(problem, tie=0.0)
    rounded = {}
    for bits in all_bits:
        run = train_rounded(problem, bits)
        rounded[bits] = {
            **compare_runs(run, reference),
            **compare_choices(problem, run),
            **compare_values(problem, run, bits),
            **cost(bits),
            "auc": problem.auc(run.trees),
        }
    return {
        "float64": {"auc": problem.auc(reference.trees)},
        "by_noise": {
            **compare_runs(noisy, reference),
            **compare_choices(problem, noisy),
            "auc": problem.auc(noisy.trees),
        },
        "rounded": rounded,
    }


def measure_cost(
    key: PaillierPrivateKey, n_rows: int, n_cells: int, bits: int, repeats: int
) -> dict[str, Any]:
    """CPU seconds that a tree's cells take to pack, re-randomise and decrypt, on one thread."""
    packing = GradientPacking(n_rows, 1 << bits, 1 << bits >> 2)
    slots = packing.cells_per_ciphertext(key.public_key.plaintext_bits)
    row = key.encrypt(packing.pack(np.array([[1 << bits, 1 << bits >> 2]])))
    cells = np.repeat(row, n_cells, axis=0)
    packed = key.public_key.pack(cells, packing.cell_bits, slots)

    def least(work: Callable[[], Any]) -> float:
        return min(timed(work)[2] for _ in range(repeats))

    return {
        "cell_bits": packing.cell_bits,
        "cells": slots,
        "ciphertexts": len(packed),
        "pack": least(lambda: key.public_key.pack(cells, packing.cell_bits, slots)),
        "rerandomise": least(lambda: key.public_key.rerandomise(packed)),
        "decrypt": least(lambda: key.decrypt(packed)),
    }


def named(rounded: dict[int, dict[str, Any]], chosen: int) -> dict[str, dict[str, Any]]:
    """Results under the names of their lines in the tables."""
    return {f"{bits} *" if bits == chosen else str(bits): r for bits, r in rounded.items()}


def power(value: float | None) -> str:
    """An error in two digits; - where there was nothing to compare."""
    return "-" if value is None else "0" if value == 0 else f"{value:.1e}"


def trees_grid(title: str, rows: dict[str, dict[str, Any]], auc: float) -> Grid:
    """Which trees and splits are others than in float64."""

    def line(name: str, r: dict[str, Any]) -> tuple[str, ...]:
        first = r["first_other_tree"]
        return (
            name,
            str(r["identical_trees"]),
            "none" if first is None else str(first + 1),
            f"{r['other_splits']:,}",
            f"{r['other_choices']:,}",
            power(r["gain_lost"]),
            f"{r['auc']:.5f}",
        )

    splits = next(iter(rows.values()))["splits"]
    return Grid(
        title,
        (
            "fraction bits",
            "trees identical",
            "first other tree",
            "other splits, whole run",
            "other splits, same scores",
            "gain lost",
            "AUC",
        ),
        tuple(line(name, r) for name, r in rows.items()),
        f"The line with * is the product. Against float64 with {splits:,} splits and AUC "
        f"{auc:.5f}. Same scores: each tree against the float64 tree for the scores that its run "
        "had before it. Gain lost: by the worst of these other splits, as a share of the best "
        "gain.",
    )


def scores_grid(title: str, rows: dict[str, dict[str, Any]]) -> Grid:
    """How far leaf values and scores are from those of float64."""
    return Grid(
        title,
        (
            "fraction bits",
            "leaf value",
            "its bound",
            "score before the first other tree",
            "score, same trees",
            "its bound",
        ),
        tuple(
            (
                name,
                power(r["leaf_error"]),
                power(r["leaf_bound"]),
                power(r["score_difference_before"]),
                power(r["score_error"]),
                power(r["score_bound"]),
            )
            for name, r in rows.items()
        ),
        "Largest differences from float64 over all rows and trees. Leaf value: before the learning "
        "rate, at the same scores. Same trees: all trees of the rounded run with leaves filled in "
        "float64 from first to last. The bound of scores is the sum of the bounds of a row's "
        "leaves.",
    )


def costs_grid(title: str, rows: dict[str, dict[str, Any]]) -> Grid:
    """What cells of that width cost."""
    return Grid(
        title,
        (
            "fraction bits",
            "bits of a cell",
            "cells in a ciphertext",
            "ciphertexts",
            "pack ms",
            "re-randomise ms",
            "decrypt ms",
        ),
        tuple(
            (
                name,
                *(str(r[key]) for key in ("cell_bits", "cells", "ciphertexts")),
                *(f"{r[key] * 1e3:.1f}" for key in ("pack", "rerandomise", "decrypt")),
            )
            for name, r in rows.items()
        ),
        "A tree's cells, one thread, CPU time, least of the repeats.",
    )


def plot(rows: dict[int, dict[str, Any]], chosen: int) -> None:
    """Errors with their bounds, splits, and cost, against bits."""
    bits = list(rows)

    def series(name: str) -> list[Any]:
        return [r[name] for r in rows.values()]

    with plots.figure("precision", (1, 3), (12, 3.6)) as axes:
        if axes is None:
            return
        errors, splits, cost = axes
        for name, colour, label in (
            ("leaf", plots.ORANGE, "leaf value"),
            ("score", plots.BLUE, "score, same trees"),
        ):
            errors.plot(bits, series(f"{name}_error"), "o-", color=colour, label=label)
            errors.plot(bits, series(f"{name}_bound"), "--", color=colour, label="its bound")
        errors.axhline(SCORE_ERROR, color=plots.GREY, lw=1)
        errors.set_yscale("log")
        errors.set_title("Largest difference from float64")
        errors.legend(fontsize=8)
        splits.plot(bits, series("other_choices"), "o-", color=plots.BLUE)
        splits.set_title(f"Splits decided otherwise, of {max(series('choices')):,}")
        splits.set_ylim(bottom=0)
        parts = [[1e3 * s for s in series(name)] for name in ("pack", "rerandomise", "decrypt")]
        colours = [plots.PHASES[name] for name in ("pack", "rerandomise", "decrypt")]
        cost.stackplot(bits, parts, labels=["pack", "re-randomise", "decrypt"], colors=colours)
        cost.set_title("CPU milliseconds a tree")
        cost.legend(fontsize=8, loc="upper left")
        for ax in axes:
            ax.axvline(chosen, color=plots.GREY, lw=1, ls=":")
            ax.set_xlabel("fraction bits")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bits", type=int, nargs="+", default=BITS)
    parser.add_argument("--trees", type=int, default=100)
    parser.add_argument("--depth", type=int, default=5)
    parser.add_argument("--bins", type=int, default=32)
    parser.add_argument("--rate", type=float, default=0.3)
    parser.add_argument("--key-bits", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=5, help="of the cost; the least counts")
    args = parser.parse_args()
    where = machine()
    data = read_data()
    params = BoosterParams(
        n_estimators=args.trees,
        max_depth=args.depth,
        max_bin=args.bins,
        learning_rate=args.rate,
    )
    problem = make_problem(data, params)
    n_rows, partner = len(problem.y), sum(table.shape[1] for table in data.features.values())
    n_cells = 2 ** (args.depth - 1) * int((problem.n_bins[-partner:] + 1).sum())
    chosen = FixedPoint.for_bound(1.0, n_rows, ROUNDING_ERROR).fraction_bits
    key = PaillierScheme().generate(args.key_bits)
    results = measure(
        problem,
        sorted({*args.bits, chosen}),
        lambda bits: measure_cost(key, n_rows, n_cells, bits, args.repeats),
    )
    title = f"{data.name}, {n_rows:,} training rows, {args.trees} trees of depth {args.depth}"
    rows = named(results["rounded"], chosen)
    with_noise = rows | {"float64, ties as they fall": results["by_noise"]}
    grids = [
        trees_grid(f"Trees: {title}", with_noise, results["float64"]["auc"]),
        scores_grid(f"Differences from float64: {title}", rows),
        costs_grid(f"What a tree's {n_cells:,} cells cost at {args.key_bits} bits", rows),
    ]
    publish("precision", where, vars(args) | {"chosen": chosen}, results, grids)
    plot(results["rounded"], chosen)


if __name__ == "__main__":
    main()
