"""How good split networks are on real tables, whatever they are told and whichever way they travel.

Each setting is trained over several random splits of the rows: 70 % train, 10 % stop the training,
20 % test. The parties are in this process; frames cross as bytes all the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from data import Vertical
from joblib import Parallel, delayed
from net_speed import NET
from sklearn.metrics import roc_auc_score

from secureboost import (
    FeatureParty,
    SecureBoostClassifier,
    SplitNNClassifier,
    pool_tables,
)

STOPPED = {"eval_metric": ["auc", "logloss"], "early_stopping_rounds": 10}
LEARNT = STOPPED | {"learning_rate": 0.0005}
TREES = {
    "n_estimators": 150,
    "max_depth": 4,
    "learning_rate": 0.1,
    "scheme": "plain",
} | STOPPED


@dataclass(frozen=True)
class Setting:
    """What is trained.

    Attributes
    ----------
    name : str
    kind : str
        ``"split"``, ``"pooled"`` (the twin), ``"joint"`` (one bottom over all columns), ``"trees"``
        (SecureBoost), ``"own net"`` or ``"own trees"`` (the label party alone).
    parameters : dict
        Of the network, over the usual ones.
    """

    name: str
    kind: str = "split"
    parameters: tuple[tuple[str, Any], ...] = ()


PLAIN = Setting("split network")
KINDS = (
    PLAIN,
    Setting("pooled twin", "pooled"),
    Setting("one network, one bottom", "joint"),
    Setting("SecureBoost", "trees"),
    Setting("label party alone, network", "own net"),
    Setting("label party alone, trees", "own trees"),
)
CODECS = tuple(
    Setting(codec, parameters=(("codec", codec),))
    for codec in (
        *("float16", "bfloat16", "fp8", "fp8:e5m2", "int8", "int8:4"),
        *("topk:0.25", "topk:0.1", "randtopk:0.25", "randtopk:0.1"),
        *("topk:0.25+int8", "topk:0.1+int8"),
    )
)
FLIGHTS = tuple(
    Setting(f"{in_flight} in flight", parameters=(("in_flight", in_flight),))
    for in_flight in (2, 4, 8)
)
STEPS = tuple(
    Setting(f"{steps} local steps", parameters=(("local_steps", steps),)) for steps in (2, 4)
)
SETTINGS = (*KINDS, *CODECS, *FLIGHTS, *STEPS)


@dataclass(frozen=True)
class Trained:
    """One training.

    Attributes
    ----------
    auc : float
        Of the test rows.
    epochs : int
        After how many the best weights were found; of trees, rounds.
    n_rows : int
        That it was trained on.
    bytes_a_row : float
        That cross for a training row in an epoch, both ways; 0 if nothing does.
    """

    auc: float
    epochs: int
    n_rows: int
    bytes_a_row: float


def measure_quality(
    tables: Sequence[Vertical], settings: Sequence[Setting], splits: int, epochs: int
) -> dict[str, dict[str, list[Trained]]]:
    """Train every setting on every split of every table; by table and setting."""
    jobs = [
        (table, setting, seed, epochs)
        for table in tables
        for setting in settings
        for seed in range(splits)
    ]
    done = Parallel(n_jobs=-1)(delayed(trained)(*job) for job in jobs)
    results: dict[str, dict[str, list[Trained]]] = {}
    for (table, setting, *_), result in zip(jobs, done, strict=True):
        results.setdefault(table.name, {}).setdefault(setting.name, []).append(result)
    return results


def trained(data: Vertical, setting: Setting, seed: int, epochs: int) -> Trained:
    """Train once."""
    rows = np.random.RandomState(seed).permutation(len(data.y))
    train, stop, test = np.split(rows, [len(rows) * 7 // 10, len(rows) * 8 // 10])
    of_trees = setting.kind in ("trees", "own trees")
    if of_trees:
        model: Any = SecureBoostClassifier(**TREES, random_state=seed)
    else:
        told = NET | LEARNT | {"n_epochs": epochs, "random_state": seed}
        model = SplitNNClassifier(**told | dict(setting.parameters))
    X, options = data.label, {}
    if setting.kind == "split":
        ((name, table),) = data.features.items()
        options["parties"] = [FeatureParty(name, table)]
    elif setting.kind in ("pooled", "joint", "trees"):
        X, owner = pool_tables(data.label, data.features)
        if setting.kind == "pooled":
            options["column_owner"] = owner
    model.fit(
        X.iloc[train],
        data.y[train],
        eval_set=[(X.iloc[stop], data.y[stop])],
        **options,
    )
    crossed = 0
    if setting.kind == "split":
        (traffic,) = model.traffic_.values()
        crossed = traffic["Exchange"].bytes_sent + traffic["Exchange"].bytes_received
    n_epochs = len(model.evals_result_["validation_0"]["auc"])
    return Trained(
        auc=float(roc_auc_score(data.y[test], model.predict_proba(X.iloc[test])[:, 1])),
        epochs=model.best_iteration_ + 1,
        n_rows=len(train),
        bytes_a_row=crossed / (len(train) * n_epochs),
    )


def aucs(runs: Sequence[Trained]) -> np.ndarray:
    """AUC of each split."""
    return np.array([run.auc for run in runs])


def difference(runs: Sequence[Trained], reference: Sequence[Trained]) -> tuple[float, float]:
    """Mean and standard error of the differences in AUC, split by split."""
    between = aucs(runs) - aucs(reference)
    if len(between) < 2:
        return float(between.mean()), float("nan")
    return float(between.mean()), float(between.std(ddof=1) / np.sqrt(len(between)))
