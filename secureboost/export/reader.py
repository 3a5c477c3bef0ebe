"""A second reader of exported models: rows go down the JSON as XGBoost would send them.

It knows nothing of our trees, and it takes a file's `base_score` for a raw score of 0, as it is in
every file of ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, repr=False)
class Walked:
    """What rows do in a model.

    Attributes
    ----------
    leaves : array of shape (n_rows, n_trees), int32
        Node numbers of the file.
    margins : array of shape (n_rows, n_outputs), float64
        Raw scores.
    """

    leaves: NDArray[np.int32]
    margins: NDArray[np.float64]


@dataclass(frozen=True, repr=False)
class LeafSums:
    """Leaf values added up for rows, each an array of shape (n_rows, n_outputs), float64.

    Attributes
    ----------
    exact : array
        In double precision.
    single : array
        In single precision, tree after tree as XGBoost adds.
    magnitude : array
        Of the absolute values.
    """

    exact: NDArray[np.float64]
    single: NDArray[np.float64]
    magnitude: NDArray[np.float64]


def walk_document(document: Mapping[str, Any], values: NDArray[np.float32]) -> Walked:
    """Send rows down the trees of a file.

    Parameters
    ----------
    document : mapping
        The parsed JSON.
    values : array of shape (n_rows, n_columns), float32
        NaN is missing; categories are codes.
    """
    trees = document["learner"]["gradient_booster"]["model"]["trees"]
    leaves = np.column_stack([_leaves_of(tree, values) for tree in trees])
    return Walked(leaves, sum_leaves(document, leaves).exact)


def sum_leaves(document: Mapping[str, Any], leaves: NDArray[np.int32]) -> LeafSums:
    """Add up the values of the leaves that rows reach; `leaves` as in `Walked`."""
    model = document["learner"]["gradient_booster"]["model"]
    shape = (len(leaves), max(model["tree_info"]) + 1)
    exact, magnitude = np.zeros(shape), np.zeros(shape)
    single = np.zeros(shape, np.float32)
    for number, (tree, output) in enumerate(zip(model["trees"], model["tree_info"], strict=True)):
        value = _float32(tree["split_conditions"])[leaves[:, number]]
        single[:, output] += value
        exact[:, output] += value
        magnitude[:, output] += np.abs(value)
    return LeafSums(exact, single.astype(np.float64), magnitude)


def _leaves_of(tree: Mapping[str, Any], values: NDArray[np.float32]) -> NDArray[np.int32]:
    left = np.array(tree["left_children"], np.int32)
    column = np.array(tree["split_indices"], np.int32)
    condition = _float32(tree["split_conditions"])
    default_left = np.array(tree["default_left"], np.bool_)
    by_code = np.array(tree["split_type"], np.bool_)
    first, size = tree["categories_segments"], tree["categories_sizes"]
    listed = {
        node: tree["categories"][start : start + count]
        for node, start, count in zip(tree["categories_nodes"], first, size, strict=True)
    }
    at = np.zeros(len(values), np.int32)
    while (inner := np.flatnonzero(left[at] >= 0)).size:
        nodes = at[inner]
        value = values[inner, column[nodes]]
        goes_left = value < condition[nodes]
        for node in np.unique(nodes[by_code[nodes]]).tolist():
            here = nodes == node
            goes_left[here] = ~np.isin(value[here], listed[node])
        goes_left = np.where(np.isnan(value), default_left[nodes], goes_left)
        at[inner] = left[nodes] + ~goes_left
    return at


def _float32(numbers: list[float]) -> NDArray[np.float32]:
    return np.array(numbers, np.float64).astype(np.float32)
