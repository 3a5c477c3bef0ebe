"""From a grown ensemble to the label party's half, and back to something that predicts."""

from typing import Any

import numpy as np

from secureboost.gbdt.model import LabelHalf, PartnerSummary, TreeArrays
from secureboost.gbdt.tree import NODE, Ensemble, Tree


def make_label_half(
    ensemble: Ensemble,
    *,
    model_id: str,
    objective: str,
    feature_names: tuple[str, ...],
    named: bool,
    n_features: tuple[int, ...],
    classes: tuple[bool | int | float | str, ...],
    parameters: dict[str, Any],
) -> LabelHalf:
    """Keep what the label party may keep of a grown ensemble.

    Parameters
    ----------
    ensemble : Ensemble
        With features of every owner and thresholds of owner 0.
    model_id, objective : str
    feature_names : tuple of str
        Own columns.
    named : bool
        The names are the table's own.
    n_features : tuple of int
        Columns of each owner, the label party first.
    classes : tuple
        The two classes, the positive one last.
    parameters : dict
        Constructor parameters of the estimator.
    """
    gains = [np.zeros(n) for n in n_features]
    counts = [np.zeros(n, np.int64) for n in n_features]
    for tree in ensemble.trees:
        inner = tree[tree["left"] >= 0]
        for owner in range(len(n_features)):
            own = inner[inner["owner"] == owner]
            np.add.at(gains[owner], own["feature"], own["gain"])
            np.add.at(counts[owner], own["feature"], 1)
    return LabelHalf(
        model_id=model_id,
        objective=objective,
        base_score=ensemble.base_score,
        feature_names=feature_names,
        named=named,
        gains=tuple(gains[0].tolist()),
        split_counts=tuple(counts[0].tolist()),
        partners=tuple(
            PartnerSummary(
                name=name,
                n_features=n_features[owner],
                n_splits=ensemble.n_splits[owner],
                gains=tuple(gains[owner].tolist()),
                split_counts=tuple(counts[owner].tolist()),
            )
            for owner, name in enumerate(ensemble.owners)
            if owner > 0
        ),
        classes=classes,
        parameters=parameters,
        trees=tuple(_to_arrays(tree) for tree in ensemble.trees),
    )


def make_ensemble(half: LabelHalf) -> Ensemble:
    """Rebuild the ensemble that predicts from a label half; gains are not in it."""
    owners = ("", *(partner.name for partner in half.partners))
    return Ensemble(tuple(_from_arrays(tree) for tree in half.trees), half.base_score, owners)


def _to_arrays(tree: Tree) -> TreeArrays:
    own, leaf = tree["owner"] == 0, tree["left"] < 0
    threshold = [
        float(value) if mine and np.isfinite(value) else None
        for mine, value in zip(own, tree["threshold"], strict=True)
    ]
    return TreeArrays(
        owner=tuple(np.where(leaf, -1, tree["owner"]).tolist()),
        split=tuple(np.where(own, tree["feature"], tree["split_id"]).tolist()),
        threshold=tuple(threshold),
        bin=tuple(np.where(own, tree["bin"], -1).tolist()),
        missing_left=tuple((own & tree["missing_left"]).tolist()),
        left=tuple(tree["left"].tolist()),
        right=tuple(tree["right"].tolist()),
        value=tuple(tree["value"].tolist()),
    )


def _from_arrays(arrays: TreeArrays) -> Tree:
    tree = np.zeros(len(arrays.owner), dtype=NODE)
    tree["owner"] = arrays.owner
    own, foreign = tree["owner"] == 0, tree["owner"] > 0
    split = np.array(arrays.split)
    tree["feature"] = np.where(own, split, -1)
    tree["split_id"] = np.where(foreign, split, -1)
    thresholds = [np.inf if value is None else value for value in arrays.threshold]
    tree["threshold"] = np.where(own, thresholds, np.nan)
    tree["bin"], tree["missing_left"] = arrays.bin, arrays.missing_left
    tree["left"], tree["right"], tree["value"] = arrays.left, arrays.right, arrays.value
    return tree
