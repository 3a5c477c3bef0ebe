"""Our trees as XGBoost's: the same leaf for every row.

===================  ============================  ================================================
of a split           here                          in XGBoost
===================  ============================  ================================================
numbers              ``x <= t`` goes left          ``x < c`` goes left, in float32: c is the next
                                                   float32 above t
missing apart        t infinite: all present       the children change places and c is the lowest
                     values go left                float32, so that all present values go right and
                                                   the file needs no infinity, which is not JSON
categories           listed codes go left          listed codes go right, and a code that is not
                                                   listed goes left
missing              the side learnt               the same, ``default_left``
unknown category     as missing                    as a code that is not listed: so the codes of the
                                                   *other* side than missing are listed
children             anywhere                      the right child directly follows the left one
===================  ============================  ================================================

XGBoost has one value a leaf here: a tree with several outputs becomes one for each.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secureboost.errors import ModelError
from secureboost.export.whole import Whole
from secureboost.gbdt.model import PartnerSplit, TreeArrays

_LARGEST = np.finfo(np.float32).max
_ROOT_PARENT = 2**31 - 1
_LEAF = -1


@dataclass(frozen=True)
class Cut:
    """A split as XGBoost has it.

    Attributes
    ----------
    condition : float32
        Numbers below it go left.
    listed : tuple of int
        Split by categories: the codes that go right, ascending; empty in a split of numbers.
    default_left : bool
        Where missing values go.
    swapped : bool
        XGBoost's left child is our right one.
    """

    condition: np.float32
    listed: tuple[int, ...]
    default_left: bool
    swapped: bool


@dataclass(frozen=True)
class ExportedTree:
    """A tree of the file.

    Attributes
    ----------
    fields : dict
        As they stand in the file.
    numbers : array of shape (n_nodes,), int32
        The number in the file of each of our nodes.
    """

    fields: dict[str, Any]
    numbers: NDArray[np.int32]


def make_cut(split: PartnerSplit, categories: tuple[str, ...] | None) -> Cut:
    """Translate a split; the module's table says how.

    Parameters
    ----------
    split : PartnerSplit
    categories : tuple of str, or None
        Names of the column's codes.
    """
    if split.codes is None or categories is None:
        threshold = np.float32(_LARGEST if split.threshold is None else split.threshold)
        if threshold == _LARGEST:
            return Cut(-_LARGEST, (), not split.missing_left, swapped=True)
        return Cut(np.nextafter(threshold, np.float32(np.inf)), (), split.missing_left, False)
    if not split.missing_left:
        return Cut(np.float32(0.0), split.codes, default_left=True, swapped=True)
    others = tuple(code for code in range(len(categories)) if code not in set(split.codes))
    if not others:  # everything goes left, and a list of categories must not be empty
        return Cut(_LARGEST, (), default_left=True, swapped=False)
    return Cut(np.float32(0.0), others, default_left=True, swapped=False)


def export_trees(whole: Whole, *, include_cover: bool) -> Iterator[ExportedTree]:
    """All trees in the order of the file: round by round, and there output by output.

    The base score is added to the leaves of each output's first tree; a model without trees gets
    one leaf for each output.

    Parameters
    ----------
    whole : Whole
    include_cover : bool
        Give the sums of hessians and the gains; else zeros.

    Raises
    ------
    secureboost.errors.ModelError
        If a leaf value is beyond the range of float32.
    """
    n_outputs = whole.ensemble.n_outputs
    number = 0
    for tree in whole.label.trees or [_single_leaf(output) for output in range(n_outputs)]:
        outputs = range(n_outputs) if tree.output == -1 else [tree.output]
        values = np.reshape(tree.value, (len(tree.owner), -1))
        for position, output in enumerate(outputs):
            base = whole.label.base_score[output] if number < n_outputs else 0.0
            yield _export_tree(
                whole,
                tree,
                values[:, position] + base,
                number,
                include_cover=include_cover,
            )
            number += 1


def _export_tree(
    whole: Whole,
    tree: TreeArrays,
    value: NDArray[np.float64],
    number: int,
    *,
    include_cover: bool,
) -> ExportedTree:
    cuts = {
        node: (column, make_cut(split, whole.columns[column].categories))
        for node, column, split in whole.splits(tree)
    }
    swapped = np.zeros(len(tree.owner), np.bool_)
    for node, (_, cut) in cuts.items():
        swapped[node] = cut.swapped
    if (np.abs(value) > _LARGEST).any():
        raise ModelError(
            f"Tree {number} has a leaf value beyond the range of 32-bit floats (about 3.4e38), and "
            "XGBoost has no others. Scale the label and train again."
        )
    order, left, parent = _layout(tree, swapped)
    n = len(order)
    conditions = value.astype(np.float32)[order]  # a leaf keeps its value there
    default_left, split_type = np.zeros(n, np.int32), np.zeros(n, np.int32)
    columns = np.zeros(n, np.int32)
    nodes: list[int] = []  # that are split by categories
    sizes: list[int] = []
    listed: list[int] = []
    for i, node in enumerate(order.tolist()):
        if node not in cuts:
            continue
        columns[i], cut = cuts[node]
        conditions[i], default_left[i] = cut.condition, cut.default_left
        if cut.listed:
            split_type[i] = 1
            nodes.append(i)
            sizes.append(len(cut.listed))
            listed += cut.listed
    is_leaf = left == _LEAF
    told = np.float64(include_cover)
    fields = {
        "base_weights": _numbers(np.where(is_leaf, conditions, np.float32(0.0))),
        "categories": listed,
        "categories_nodes": nodes,
        "categories_segments": np.cumsum([0, *sizes])[:-1].tolist(),
        "categories_sizes": sizes,
        "default_left": default_left.tolist(),
        "id": number,
        "left_children": left.tolist(),
        "loss_changes": _numbers((told * np.array(tree.gain))[order]),
        "parents": parent.tolist(),
        "right_children": np.where(is_leaf, _LEAF, left + 1).tolist(),
        "split_conditions": _numbers(conditions),
        "split_indices": columns.tolist(),
        "split_type": split_type.tolist(),
        "sum_hessian": _numbers((told * np.array(tree.cover))[order]),
        "tree_param": {
            "num_deleted": "0",
            "num_feature": str(len(whole.columns)),
            "num_nodes": str(n),
            "size_leaf_vector": "1",
        },
    }
    numbers = np.empty(n, np.int32)
    numbers[order] = np.arange(n, dtype=np.int32)
    return ExportedTree(fields, numbers)


def _layout(
    tree: TreeArrays, swapped: NDArray[np.bool_]
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """Number the nodes level by level, so that the right child follows the left one.

    Returns
    -------
    order : array of shape (n_nodes,), int32
        Our node at each place of the file.
    left, parent : arrays of shape (n_nodes,), int32
        Places of the left child, -1 for a leaf, and of the parent.
    """
    order, left, parent = [0], [], [_ROOT_PARENT]
    for place, node in enumerate(order):  # it grows on the way
        children = [tree.left[node], tree.right[node]]
        if children[0] < 0:
            left.append(_LEAF)
            continue
        left.append(len(order))
        order += reversed(children) if swapped[node] else children
        parent += [place, place]
    return np.array(order, np.int32), np.array(left, np.int32), np.array(parent, np.int32)


def _single_leaf(output: int) -> TreeArrays:
    return TreeArrays(
        owner=(-1,),
        split=(-1,),
        threshold=(None,),
        bin=(-1,),
        codes=(None,),
        missing_left=(False,),
        left=(-1,),
        right=(-1,),
        value=(0.0,),
        gain=(0.0,),
        cover=(0.0,),
        output=output,
    )


def _numbers(values: NDArray[np.floating[Any]]) -> list[float]:
    """Numbers whose shortest text is that of the float32: ``0.1``, not ``0.10000000149011612``.

    Either text is read as the same float32. What is beyond its range (gains may be) becomes its
    largest number.
    """
    values = np.clip(values, -_LARGEST, _LARGEST)
    return values.astype(np.float32).astype(str).astype(np.float64).tolist()  # type: ignore[no-any-return]
