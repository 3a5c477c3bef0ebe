"""What each thing that a model can be told costs under encryption.

    python bench/additions.py                # 20,000 rows x (10 + 10), 2048 bits
    python bench/additions.py --rows 5000 --only classes

Both parties live in this process and talk as over a network; CPU seconds a round are those of both
together, as the difference that more rounds make. Every line is compared with the plain model that
stands first in its group.
"""

import argparse
import time
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from measure import machine
from show import Grid, publish

from secureboost import FeatureParty, SecureBoostClassifier, SecureBoostRegressor

ROUNDS = (1, 3)
"""The cost of a round is the difference of these, by their number."""
WARM_UP = 1_000
"""Rows of the runs before anything is timed."""
COMMON = {"max_depth": 5, "max_bin": 32, "random_state": 1}
MUST = 0.35
"""A multi-output tree for ten classes may cost so much of ten trees."""


@dataclass(frozen=True)
class Addition:
    """A line of the table.

    Attributes
    ----------
    name : str
    parameters : dict
        Of the estimator.
    target : str
        "default", "classes" or "amount".
    table : str
        "numbers" or "categories": what the partner's columns are.
    eval_share : float
        Share of the rows that are only evaluated.
    checkpoint : bool
        Keep every round.
    """

    name: str
    parameters: dict[str, Any] = field(default_factory=dict)
    target: str = "default"
    table: str = "numbers"
    eval_share: float = 0.0
    checkpoint: bool = False


SINGLE = (
    Addition("plain model, one output"),
    Addition("a quarter of the rows only evaluated", eval_share=0.25),
    Addition("checkpoint after every round", checkpoint=True),
    Addition("monotone constraints on 4 columns", {"monotone_constraints": "four"}),
    Addition("interaction constraints", {"interaction_constraints": [["label-party"], ["bureau"]]}),
    Addition("colsample_bylevel, bynode 0.5", {"colsample_bylevel": 0.5, "colsample_bynode": 0.5}),
    Addition("min_child_samples 20", {"min_child_samples": 20}),
    Addition("GOSS 0.2 / 0.1", {"sampling_method": "goss"}),
    Addition("GOSS, rows hidden", {"sampling_method": "goss", "goss_hide_rows": True}),
    Addition("subsample 0.3", {"subsample": 0.3}),
    Addition("max_shared_purity 0.9", {"max_shared_purity": 0.9}),
    Addition("partner's columns are categories", table="categories"),
    Addition("regression, squared error", target="amount"),
)
CLASSES = (
    Addition("10 classes, one tree each", target="classes"),
    Addition("10 classes, multi-output", {"multi_strategy": "multi_output_tree"}, "classes"),
)


@dataclass(frozen=True, repr=False)
class Tables:
    """Generated data: a label party's table, a partner's in two kinds, three targets."""

    own: pd.DataFrame
    partner: dict[str, pd.DataFrame]
    target: dict[str, np.ndarray]


def generated(rows: int) -> Tables:
    """Ten columns a party, with signal in both."""
    rng = np.random.default_rng(0)
    ids = [f"C{i:07d}" for i in range(rows)]
    own = pd.DataFrame(
        rng.normal(size=(rows, 10)), index=ids, columns=[f"own{i}" for i in range(10)]
    )
    numbers = pd.DataFrame(
        rng.normal(size=(rows, 10)), index=ids, columns=[f"theirs{i}" for i in range(10)]
    )
    letters = np.array([f"type {i:02d}" for i in range(30)])
    categories = numbers.apply(
        lambda column: letters[np.clip((column * 7 + 15).astype(int), 0, 29)]
    )
    score = own.to_numpy()[:, :4].sum(axis=1) + numbers.to_numpy()[:, :4].sum(axis=1)
    noisy = score + rng.normal(size=rows)
    cuts = np.quantile(noisy, np.linspace(0, 1, 11)[1:-1])
    return Tables(
        own,
        {"numbers": numbers, "categories": categories},
        {
            "default": (noisy > 1.5).astype(int),
            "classes": np.digitize(noisy, cuts),
            "amount": noisy,
        },
    )


def cost(tables: Tables, addition: Addition, rounds: int, folder: Path) -> tuple[float, float]:
    """CPU seconds of a training of so many rounds, and MB that cross in it."""
    parameters = COMMON | addition.parameters | {"n_estimators": rounds}
    declared = None
    if parameters.get("monotone_constraints") == "four":
        declared = {"theirs0": 1, "theirs1": 1}
        parameters["monotone_constraints"] = {"own0": 1, "own1": 1, "bureau/0": 1, "bureau/1": 1}
    bureau = FeatureParty("bureau", tables.partner[addition.table], monotone=declared)
    kind = SecureBoostRegressor if addition.target == "amount" else SecureBoostClassifier
    y = tables.target[addition.target]
    n = int(len(y) * (1 - addition.eval_share))
    fit: dict[str, Any] = {"parties": [bureau]}
    if n < len(y):
        fit["eval_set"] = [(tables.own.iloc[n:], y[n:])]
    if addition.checkpoint:
        fit["checkpoint"] = folder / f"{rounds}.bin"
    began = time.process_time()
    model = kind(**parameters).fit(tables.own.iloc[:n], y[:n], **fit)
    seconds = time.process_time() - began
    crossed = sum(t.bytes_sent + t.bytes_received for t in model.traffic_["bureau"].values())
    return seconds, crossed / 1e6


def measured(rows: int, additions: tuple[Addition, ...], repeats: int) -> list[dict[str, Any]]:
    """What a round of each costs, and its ratio to the first."""
    few, many = ROUNDS
    tables, warm_up = generated(rows), generated(WARM_UP)
    costs: dict[tuple[str, int], list[tuple[float, float]]] = {}
    with TemporaryDirectory() as folder:
        for addition in additions:  # or the first run would pay for compiling
            cost(warm_up, addition, few, Path(folder))
        for _ in range(repeats):
            for addition in additions:
                for rounds in ROUNDS:
                    of_run = cost(tables, addition, rounds, Path(folder))
                    costs.setdefault((addition.name, rounds), []).append(of_run)
    lines: list[dict[str, Any]] = []
    for addition in additions:
        (cpu, mb), (more_cpu, more_mb) = (min(costs[addition.name, rounds]) for rounds in ROUNDS)
        lines.append(
            {
                "name": addition.name,
                "cpu": (more_cpu - cpu) / (many - few),
                "mb": (more_mb - mb) / (many - few),
            }
        )
    return [line | {"ratio": line["cpu"] / lines[0]["cpu"]} for line in lines]


def grid(title: str, lines: list[dict[str, Any]], note: str) -> Grid:
    """A table of one group."""
    return Grid(
        title,
        ("what the model was told", "CPU s a round", "of the first", "MB a round"),
        tuple(
            (line["name"], f"{line['cpu']:.2f}", f"{line['ratio']:.2f}", f"{line['mb']:.1f}")
            for line in lines
        ),
        note,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--only", choices=("single", "classes"))
    args = parser.parse_args()
    where = machine()
    results, grids = {}, []
    size = f"{args.rows:,} rows x (10 + 10), depth 5, 32 bins, 2048 bits"
    if args.only != "classes":
        results["single"] = measured(args.rows, SINGLE, args.repeats)
        grids.append(grid(f"One output: {size}", results["single"], ""))
    if args.only != "single":
        results["classes"] = measured(args.rows, CLASSES, args.repeats)
        note = f"Must: the multi-output tree at most {MUST:g} of a tree for each class."
        grids.append(grid(f"Ten classes: {size}", results["classes"], note))
    publish("additions", where, vars(args), results, grids)


if __name__ == "__main__":
    main()
