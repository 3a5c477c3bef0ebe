"""What encryption costs: federated training against plaintext boosters, in one run.

    python bench/train_vs_plaintext.py --data credit --key-bits 2048 3072
    python bench/train_vs_plaintext.py --rows 300000 --own 20 --partner 20 --trees 3

The federated runs are two processes over mutual TLS on loopback, as two companies run them. CPU
seconds are those of both processes together, memory is the peak of each. *Set-up* is what a run
costs once: imports, loading compiled kernels, key generation, encryption tables, the first
connection, and cutting columns into bins; no number per tree contains it. All rows train and are
scored unless ``--holdout`` keeps a part for the AUC.
"""

import argparse
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
import plots
from companies import federated
from data import Vertical, credit, made_up
from measure import machine, timed
from show import Grid, publish
from sklearn.metrics import roc_auc_score

from secureboost import FeatureParty, SecureBoostClassifier

TWIN, PLAIN = "pooled twin", "federated, plain cipher"
EXTRA_TREES = 20
"""A plaintext tree takes milliseconds: it is measured as the difference that so many more make."""
PATIENCE = 6.0
"""Seconds to repeat a short run for. Boosters whose threads spin while they wait take many times
as long whenever somebody else uses a core; the least of many runs is one that nobody disturbed."""


def plaintext(
    make: Callable[[int], Any], X: Any, y: np.ndarray, trees: int, repeats: int, **fit: Any
) -> tuple[Any, dict[str, float]]:
    """Train with `trees` trees and with `EXTRA_TREES` more, in turn; the least of the repeats.

    Parameters
    ----------
    make : callable
        Makes a classifier with a number of trees.
    X, y : table and labels
    trees, repeats : int
    **fit : anything
        More arguments of `fit`.

    Returns
    -------
    model : fitted classifier
        With `trees` trees.
    cost : dict
        ``cpu`` and ``wall`` seconds a tree, ``setup`` CPU seconds.
    """
    make(1).fit(X[:500], y[:500], **fit)
    few, many, began = [], [], time.perf_counter()
    while len(few) < repeats or time.perf_counter() < began + PATIENCE:
        few.append(timed(lambda: make(trees).fit(X, y, **fit)))
        many.append(timed(lambda: make(trees + EXTRA_TREES).fit(X, y, **fit)))
    wall, cpu = (
        (min(run[which] for run in many) - min(run[which] for run in few)) / EXTRA_TREES
        for which in (1, 2)
    )
    once = min(run[2] for run in few) - trees * cpu
    return few[0][0], {"cpu": cpu, "wall": wall, "setup": max(0.0, once)}


def scored(data: Vertical, scores: np.ndarray, cost: dict[str, Any]) -> dict[str, Any]:
    """A result: what it cost, and how good and what the scores are."""
    return cost | {"auc": float(roc_auc_score(data.y[data.test], scores)), "scores": scores}


def over_network(data: Vertical, parameters: dict[str, Any], repeats: int) -> dict[str, Any]:
    """Train between processes under Paillier."""
    outcome = federated(data, parameters, repeats=repeats)
    cost = {
        "cpu": outcome.cpu_per_tree,
        "wall": outcome.per_tree("wall"),
        "setup": outcome.setup_cpu,
        "mb": outcome.mb_per_tree(),
        "peak_mb": {party: m["peak_mb"] for party, m in outcome.result["memory"].items()},
        "cpu_of": {party: outcome.per_tree(party) for party in outcome.parties},
        "phases": {party: outcome.phases_per_tree(party) for party in outcome.parties},
        "setup_of": outcome.result["setup"],
    }
    return scored(data, outcome.scores, cost)


def ours(trees: int, parameters: dict[str, Any], **more: Any) -> SecureBoostClassifier:
    return SecureBoostClassifier(**parameters | {"n_estimators": trees} | more)


def in_process(data: Vertical, parameters: dict[str, Any], repeats: int) -> dict[str, Any]:
    """Train with the plain cipher in one process: what the framework itself costs."""
    parties = [FeatureParty(name, table) for name, table in data.features.items()]
    model, cost = plaintext(
        lambda trees: ours(trees, parameters, scheme="plain"),
        data.label.iloc[data.train],
        data.y[data.train],
        parameters["n_estimators"],
        repeats,
        parties=parties,
    )
    return scored(data, model.predict_proba(data.label.iloc[data.test])[:, 1], cost)


def pooled(
    data: Vertical, parameters: dict[str, Any], make: Callable[[int], Any], repeats: int
) -> dict[str, Any]:
    """Train any scikit-learn classifier on everybody's columns."""
    table = data.pooled()
    model, cost = plaintext(
        make, table.iloc[data.train], data.y[data.train], parameters["n_estimators"], repeats
    )
    return scored(data, model.predict_proba(table.iloc[data.test])[:, 1], cost)


def others(parameters: dict[str, Any]) -> dict[str, Callable[[int], Any]]:
    """Plaintext boosters with the same settings; those that are installed."""
    depth, bins = parameters["max_depth"], parameters["max_bin"]
    rate = parameters["learning_rate"]
    makers: dict[str, Callable[[int], Any]] = {}
    if find_spec("xgboost"):
        from xgboost import XGBClassifier

        makers["XGBoost"] = lambda trees: XGBClassifier(
            n_estimators=trees,
            max_depth=depth,
            max_bin=bins,
            learning_rate=rate,
            tree_method="hist",
        )
    if find_spec("lightgbm"):
        from lightgbm import LGBMClassifier

        makers["LightGBM"] = lambda trees: LGBMClassifier(
            n_estimators=trees,
            max_depth=depth,
            num_leaves=2**depth,
            max_bin=bins,
            learning_rate=rate,
            reg_lambda=1.0,
            verbose=-1,
        )
    from sklearn.ensemble import HistGradientBoostingClassifier

    makers["scikit-learn"] = lambda trees: HistGradientBoostingClassifier(
        max_iter=trees,
        max_depth=depth,
        max_bins=bins,
        learning_rate=rate,
        l2_regularization=1.0,
        min_samples_leaf=1,
        max_leaf_nodes=None,
        early_stopping=False,
    )
    return makers


def measure(
    data: Vertical, parameters: dict[str, Any], key_bits: list[int], repeats: int
) -> dict[str, dict[str, Any]]:
    """Results by system."""
    results = {
        f"federated, Paillier {bits}": over_network(data, parameters | {"key_bits": bits}, repeats)
        for bits in key_bits
    }
    results[PLAIN] = in_process(data, parameters, repeats)
    results[TWIN] = pooled(data, parameters, lambda n: ours(n, parameters), repeats)
    for name, make in others(parameters).items():
        results[name] = pooled(data, parameters, make, repeats)
    twin = results[TWIN]["scores"]
    for name, result in results.items():
        if name.startswith("federated"):
            result["equals_twin"] = bool((result["scores"] == twin).all())
    for result in results.values():
        del result["scores"]
    return results


def costs_grid(title: str, results: dict[str, dict[str, Any]]) -> Grid:
    """One row per system."""
    rows = []
    for name, result in results.items():
        peak_label, *peaks = result.get("peak_mb", {"": None}).values()
        equal = result.get("equals_twin")
        rows.append(
            (
                name,
                f"{result['cpu']:.3f}",
                f"{result['wall']:.3f}",
                f"{result['setup']:.2f}",
                f"{result['mb']:.1f}" if "mb" in result else "-",
                f"{peak_label:.0f}" if peak_label else "-",
                f"{max(peaks):.0f}" if peaks else "-",
                f"{result['auc']:.4f}",
                "-" if equal is None else "yes" if equal else "NO",
            )
        )
    return Grid(
        title,
        (
            "system",
            "CPU s a tree",
            "wall s a tree",
            "set-up CPU s",
            "MB a tree",
            "label MB",
            "feature MB",
            "AUC",
            "= twin",
        ),
        tuple(rows),
        "CPU seconds of all parties together. Set-up (imports, kernels, key, encryption tables, "
        "binning) is paid once a run and is in no number per tree. Label MB, feature MB: peak "
        "resident memory of each party's process during training.",
    )


def phases_grid(title: str, results: dict[str, dict[str, Any]]) -> Grid:
    """One row per kind of work, one column per federated run and party."""
    parties = {
        f"{name.removeprefix('federated, Paillier ')} bits, {party}": (result, party)
        for name, result in results.items()
        if "phases" in result
        for party in result["phases"]
    }
    rows = [("CPU", *(f"{result['cpu_of'][party]:.2f}" for result, party in parties.values()))]
    for kind in plots.PHASES:
        seconds = [result["phases"][party].get(kind) for result, party in parties.values()]
        if any(seconds):
            rows.append((kind, *("-" if s is None else f"{s:.3f}" for s in seconds)))
    return Grid(
        f"Where a tree's seconds go: {title}",
        ("kind of work", *parties),
        tuple(rows),
        "Wall seconds in each kind of work, two threads each; CPU is that of the party's process. "
        "While the label party waits, the feature party plans, sums, packs and re-randomises.",
    )


def plot(name: str, title: str, results: dict[str, dict[str, Any]]) -> None:
    """Cost of each system, and where the time of the encrypted runs goes."""
    runs = {system: result for system, result in results.items() if "phases" in result}
    stacks = {
        f"{system.removeprefix('federated, Paillier ')} bits\n{party}": work
        for system, result in runs.items()
        for party, work in result["phases"].items()
    }
    height = 0.9 + 0.3 * len(results)
    with plots.figure(name, (1, 2), (11, max(3.2, height))) as axes:
        if axes is None:
            return
        colours = [plots.BLUE if s.startswith("federated") else plots.GREY for s in results]
        plots.bars(axes[0], list(results), [r["cpu"] for r in results.values()], colours)
        axes[0].set_title("Cost")
        axes[0].figure.suptitle(title, fontsize=10, x=0.01, ha="left")
        axes[0].set_xlabel("CPU seconds a tree, all parties together (log)")
        plots.stacks(axes[1], stacks)
        axes[1].set_title("Where the time goes")
        axes[1].set_xlabel("wall seconds a tree")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", choices=["credit", "made-up"], default="made-up")
    parser.add_argument("--rows", type=int, default=30_000, help="made-up rows")
    parser.add_argument("--own", type=int, default=13, help="made-up columns: label party")
    parser.add_argument("--partner", type=int, default=10, help="made-up columns: feature party")
    parser.add_argument("--holdout", action="store_true", help="keep a fifth of the rows for AUC")
    parser.add_argument("--trees", type=int, default=5, help="at least 2")
    parser.add_argument("--depth", type=int, default=5)
    parser.add_argument("--bins", type=int, default=32)
    parser.add_argument("--rate", type=float, default=0.3)
    parser.add_argument("--key-bits", type=int, nargs="*", default=[2048])
    parser.add_argument("--repeats", type=int, default=1, help="the least counts")
    parser.add_argument("--name", default="train_vs_plaintext", help="of the files in results/")
    args = parser.parse_args()
    where = machine()
    data = credit() if args.data == "credit" else made_up(args.rows, args.own, args.partner)
    if not args.holdout:
        data = data.trained_on_all()
    parameters = {
        "n_estimators": args.trees,
        "max_depth": args.depth,
        "max_bin": args.bins,
        "learning_rate": args.rate,
    }
    results = measure(data, parameters, args.key_bits, args.repeats)
    title = f"{data.name}, {len(data.train):,} training rows, depth {args.depth}, {args.bins} bins"
    grids = [costs_grid(title, results), phases_grid(title, results)]
    publish(args.name, where, vars(args), results, grids)
    plot(args.name, title, results)


if __name__ == "__main__":
    main()
