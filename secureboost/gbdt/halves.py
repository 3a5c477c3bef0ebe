"""From a grown ensemble to the label party's half, and back to something that predicts."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secureboost.dictionary import Categories
from secureboost.gbdt.codes import code_set, codes_in
from secureboost.gbdt.model import LabelHalf, PartnerSummary, TreeArrays
from secureboost.gbdt.tree import Ensemble, Tree, node_dtype


def make_label_half(
    ensemble: Ensemble,
    *,
    model_id: str,
    objective: str,
    objective_parameters: Mapping[str, float],
    feature_names: tuple[str, ...],
    categories: Categories,
    named: bool,
    n_features: tuple[int, ...],
    classes: tuple[bool | int | float | str, ...],
    parameters: dict[str, Any],
    best_iteration: int | None = None,
    digests: Mapping[str, str] | None = None,
) -> LabelHalf:
    """Keep what the label party may keep of a grown ensemble.

    Parameters
    ----------
    ensemble : Ensemble
        With features of every owner and thresholds of owner 0.
    model_id, objective : str
    objective_parameters : mapping of str to float
    feature_names : tuple of str
        Own columns.
    categories : tuple of (tuple of str, or None)
        Names of the own columns' codes.
    named : bool
        The names are the table's own.
    n_features : tuple of int
        Columns of each owner, the label party first.
    classes : tuple
        The classes in the order of the outputs; empty for a regression.
    parameters : dict
        Constructor parameters of the estimator.
    best_iteration : int, optional
        Where early stopping chose the last round.
    digests : mapping of str to str, optional
        `model.half_digest` of the partners' halves by name, in hexadecimal.
    """
    gains, counts = _totals(ensemble, n_features)
    return LabelHalf(
        model_id=model_id,
        objective=objective,
        objective_parameters=dict(objective_parameters),
        base_score=ensemble.base_score,
        best_iteration=best_iteration,
        feature_names=feature_names,
        categories=categories,
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
                digest=(digests or {}).get(name, ""),
            )
            for owner, name in enumerate(ensemble.owners)
            if owner > 0
        ),
        classes=classes,
        parameters=parameters,
        trees=tuple(map(_to_arrays, ensemble.trees, ensemble.outputs)),
    )


def make_ensemble(half: LabelHalf) -> Ensemble:
    """Rebuild the ensemble that predicts from a label half."""
    return Ensemble(
        tuple(_from_arrays(tree) for tree in half.trees),
        half.base_score,
        ("", *(partner.name for partner in half.partners)),
        tuple(tree.output for tree in half.trees),
    )


def _totals(
    ensemble: Ensemble, n_features: tuple[int, ...]
) -> tuple[list[NDArray[np.float64]], list[NDArray[np.int64]]]:
    """Total gain and number of splits of each owner's columns."""
    gains = [np.zeros(n) for n in n_features]
    counts = [np.zeros(n, np.int64) for n in n_features]
    for tree in ensemble.trees:
        inner = tree[tree["left"] >= 0]
        for owner in range(len(n_features)):
            own = inner[inner["owner"] == owner]
            np.add.at(gains[owner], own["feature"], own["gain"])
            np.add.at(counts[owner], own["feature"], 1)
    return gains, counts


def _to_arrays(tree: Tree, output: int) -> TreeArrays:
    own, leaf = tree["owner"] == 0, tree["left"] < 0
    by_codes = own & tree["codes"].any(axis=1)
    return TreeArrays(
        owner=tuple(np.where(leaf, -1, tree["owner"]).tolist()),
        split=tuple(np.where(own, tree["feature"], tree["split_id"]).tolist()),
        threshold=tuple(
            float(value) if mine and np.isfinite(value) else None
            for mine, value in zip(own, tree["threshold"], strict=True)
        ),
        bin=tuple(np.where(own, tree["bin"], -1).tolist()),
        codes=tuple(
            codes_in(words) if mine else None
            for mine, words in zip(by_codes, tree["codes"], strict=True)
        ),
        missing_left=tuple((~leaf & tree["missing_left"]).tolist()),
        left=tuple(tree["left"].tolist()),
        right=tuple(tree["right"].tolist()),
        value=tuple(tree["value"].ravel().tolist()),
        # what a partner's split gained would tell which of its columns it used: see `gains`
        gain=tuple(np.where(tree["owner"] > 0, 0.0, tree["gain"]).tolist()),
        cover=tuple(tree["sum_hessian"].tolist()),
        output=output,
    )


def _from_arrays(arrays: TreeArrays) -> Tree:
    n = len(arrays.owner)
    tree = np.zeros(n, dtype=node_dtype(len(arrays.value) // n))
    tree["owner"] = arrays.owner
    own, foreign = tree["owner"] == 0, tree["owner"] > 0
    split = np.array(arrays.split)
    tree["feature"] = np.where(own, split, -1)
    tree["split_id"] = np.where(foreign, split, -1)
    for node, codes in enumerate(arrays.codes):
        if codes is not None:
            tree["codes"][node] = code_set(codes)
    thresholds = [np.inf if value is None else value for value in arrays.threshold]
    by_number = own & ~tree["codes"].any(axis=1)
    tree["threshold"] = np.where(by_number, thresholds, np.nan)
    tree["bin"], tree["missing_left"] = arrays.bin, arrays.missing_left
    tree["left"], tree["right"] = arrays.left, arrays.right
    tree["value"] = np.reshape(arrays.value, tree["value"].shape)
    tree["gain"], tree["sum_hessian"] = arrays.gain, arrays.cover
    return tree
