"""A lender and a bureau train trees and a neural network on the same customers, and compare them.

Run it with ``python examples/trees_and_net.py``; it needs torch (`pip install 'secureboost[nn]'`).
Their tables have different customers in different orders. The common ones are found once, by the
messages of an alignment; both models are then trained on that agreement, trees under encryption and
the network in the clear at the cut. One table and one chart say what either reaches, costs and
tells.

`CUSTOMERS`, `ROUNDS` and `EPOCHS` in the environment make it smaller or larger; the chart goes to
the folder `TREES_AND_NET_OUT`.
"""

import os
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pandas as pd

from secureboost import FeatureParty, SecureBoostClassifier, SplitNNClassifier, align_tables
from secureboost.metrics import evaluate
from secureboost.portfolio import make_raw_portfolio

CUSTOMERS = int(os.environ.get("CUSTOMERS", "12000"))
ROUNDS = int(os.environ.get("ROUNDS", "30"))
EPOCHS = int(os.environ.get("EPOCHS", "40"))
OUT = Path(os.environ.get("TREES_AND_NET_OUT") or mkdtemp(prefix="trees-and-net-"))

STOPPED = {"eval_metric": "auc", "early_stopping_rounds": 8, "random_state": 0}
TREES = {"n_estimators": ROUNDS, "max_depth": 4, "max_bin": 32, "learning_rate": 0.15} | STOPPED
NET = {"n_epochs": EPOCHS, "batch_size": 256, "cut_width": 16, "in_flight": 2} | STOPPED
OF_LENDER = ["employment", "purpose"]
TELLS_LENDER = {
    "trees": "sums of gradients by bin, the side of each split",
    "network": f"{NET['cut_width']} numbers for each customer",
}
TELLS_BUREAU = {
    "trees": "which customers share a node (gradients are encrypted)",
    "network": "a gradient for each customer: it tells the label, unless protected",
}


@dataclass(frozen=True)
class Result:
    """What a model reached on test customers, and what it cost.

    Attributes
    ----------
    auc, ks, seconds : float
    megabytes : float
        10^6 bytes that crossed in training, both ways.
    history : list of float
        AUC on the customers that stop training, after each round or epoch.
    """

    auc: float
    ks: float
    seconds: float
    megabytes: float
    history: list[float]


@dataclass(frozen=True)
class Customers:
    """The common customers: the lender's columns, the label, and who is for what."""

    own: pd.DataFrame
    defaulted: pd.Series
    train: np.ndarray
    stop: np.ndarray
    test: np.ndarray


def fit(model: Any, customers: Customers, parties: list[FeatureParty]) -> Result:
    """Train a model of either kind: the class is the only difference."""
    own, defaulted = customers.own, customers.defaulted
    began = time.perf_counter()
    model.fit(
        own.iloc[customers.train],
        defaulted.iloc[customers.train],
        parties=parties,
        eval_set=[(own.iloc[customers.stop], defaulted.iloc[customers.stop])],
    )
    seconds = time.perf_counter() - began
    crossed = sum(
        count.bytes_sent + count.bytes_received
        for requests in model.traffic_.values()
        for count in requests.values()
    )
    scores = model.predict_proba(own.iloc[customers.test])[:, 1]
    metrics = evaluate(defaulted.iloc[customers.test].to_numpy(), scores)
    history = model.evals_result_["validation_0"]["auc"]
    return Result(metrics.auc, metrics.ks, seconds, crossed / 1e6, history)


def show(results: dict[str, Result]) -> pd.DataFrame:
    """Everything in one table."""
    rows = {
        name: {
            "AUC": f"{result.auc:.4f}",
            "KS": f"{result.ks:.4f}",
            "seconds": f"{result.seconds:.1f}",
            "MB": f"{result.megabytes:.1f}" if result.megabytes else "-",
            "the lender learns": TELLS_LENDER.get(name, "-"),
            "the bureau learns": TELLS_BUREAU.get(name, "-"),
        }
        for name, result in results.items()
    }
    return pd.DataFrame(rows).T


def draw(results: dict[str, Result]) -> None:
    """How AUC grows, and with how many bytes it was reached."""
    if find_spec("matplotlib") is None:
        print("no chart: pip install matplotlib")
        return
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
    for name, result in results.items():
        style = ":" if name.endswith("alone") else "-"
        colour = "tab:blue" if name.startswith("trees") else "tab:orange"
        rounds = np.arange(1, len(result.history) + 1)
        left.plot(rounds, result.history, style, color=colour, label=name)
        if result.megabytes:
            right.scatter(result.megabytes, result.auc, color=colour)
            right.annotate(f"{name}, {result.seconds:.0f} s", (result.megabytes, result.auc))
    left.set(xlabel="round of trees, epoch of the network", ylabel="AUC while training")
    left.legend(frameon=False)
    right.set(xlabel="MB that crossed", ylabel="AUC on test customers")
    right.margins(0.3)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    OUT.mkdir(parents=True, exist_ok=True)
    figure.savefig(OUT / "trees_and_net.png", dpi=120)
    print(f"chart: {OUT / 'trees_and_net.png'}")


def main() -> None:
    """Align once, train twice with the bureau and twice without, compare."""
    portfolio = make_raw_portfolio(CUSTOMERS)
    bureau = FeatureParty("bureau", portfolio.bureau, categorical=["region_risk"], align=True)
    aligned = align_tables(portfolio.lender, [bureau])
    print(aligned)

    own = portfolio.lender.loc[aligned.index]
    defaulted = own.pop("default").astype(int)
    order = np.random.default_rng(1).permutation(len(own))
    parts = np.split(order, [len(own) * 6 // 10, len(own) * 8 // 10])
    customers = Customers(own, defaulted, *parts)

    results = {
        "trees": fit(
            SecureBoostClassifier(**TREES, categorical_features=OF_LENDER), customers, [bureau]
        ),
        "network": fit(
            SplitNNClassifier(**NET, categorical_features=OF_LENDER), customers, [bureau]
        ),
        "trees, lender alone": fit(
            SecureBoostClassifier(**TREES, categorical_features=OF_LENDER), customers, []
        ),
        "network, lender alone": fit(
            SplitNNClassifier(**NET, categorical_features=OF_LENDER), customers, []
        ),
    }
    print(f"{len(customers.test)} test customers of both companies")
    print(show(results).to_string())
    print(
        "what can be read out of either: SECURITY.md, and `secureboost audit` for your own tables"
    )
    draw(results)


if __name__ == "__main__":
    main()
