"""What must hold between the fields of a half that comes from a file.

Reading the file has checked types and the form of each field. Prediction walks trees without
looking, so nothing here may be left to trust: children, columns, split numbers, codes, lengths.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from secureboost.dictionary import Categories
from secureboost.errors import ModelError
from secureboost.gbdt.succession import MAX_CODES

if TYPE_CHECKING:
    from secureboost.gbdt.model import LabelHalf, PartyHalf, TreeArrays

_LARGEST = float(np.finfo(np.float32).max)
_MAX_CUT = 254  # a column has at most 255 bins
_NOT_OWN = (None, None, -1)  # threshold, codes and bin of what is no own split


def check_split_table(half: "PartyHalf", where: str) -> None:
    """Refuse a feature party's half with a split that its columns do not have.

    Raises
    ------
    secureboost.errors.ModelError
        Its text begins with `where`.
    """
    _check_columns(half.feature_names, half.categories, where)
    for number, split in enumerate(half.splits):
        if not 0 <= split.feature < len(half.feature_names):
            raise ModelError(f"{where}: split {number} names a column that the half does not have.")
        names = half.categories[split.feature]
        if not _fits(names, split.threshold, split.codes, split.bin):
            raise ModelError(f"{where}: split {number} does not fit its column.")


def check_label_half(half: "LabelHalf", where: str) -> None:
    """Refuse a label party's half whose fields contradict each other.

    Raises
    ------
    secureboost.errors.ModelError
        Its text begins with `where`.
    """
    _check_columns(half.feature_names, half.categories, where)
    _check_totals(half, where)
    _check_rounds(half, where)
    next_splits = [0] * len(half.partners)
    for number, tree in enumerate(half.trees):
        at = f"{where}, tree {number}"
        _check_shape(tree, len(half.base_score), at)
        if any(not -1 <= owner <= len(half.partners) for owner in tree.owner):
            raise ModelError(f"{at}: a node has an owner that does not exist.")
        _check_own_splits(tree, half, at)
        for k in range(len(half.partners)):
            next_splits[k] += _count_splits(tree, k, next_splits[k], at)
    for partner, n_splits in zip(half.partners, next_splits, strict=True):
        if partner.n_splits != n_splits:
            raise ModelError(
                f"{where}: the trees have {n_splits} splits of party {partner.name!r}, whose "
                f"n_splits is {partner.n_splits}."
            )


def _check_columns(names: Sequence[str], categories: Categories, where: str) -> None:
    if len(categories) != len(names):
        raise ModelError(
            f"{where}: {len(categories)} lists of categories for {len(names)} columns; a column of "
            "numbers has null."
        )
    for column, own in enumerate(categories):
        if own is not None and len(set(own)) < len(own):
            raise ModelError(f"{where}: column {column} has the same category twice.")
        if own is not None and len(own) > MAX_CODES:
            raise ModelError(
                f"{where}: column {column} has {len(own)} categories, more than {MAX_CODES}."
            )


def _check_totals(half: "LabelHalf", where: str) -> None:
    if not len(half.gains) == len(half.split_counts) == len(half.feature_names):
        raise ModelError(f"{where}: gains and split_counts must be one of each own column.")
    for partner in half.partners:
        if not len(partner.gains) == len(partner.split_counts) == partner.n_features:
            raise ModelError(
                f"{where}: gains and split_counts of party {partner.name!r} must be one of each of "
                "its columns."
            )
    names = [partner.name for partner in half.partners]
    if len(set(names)) < len(names):
        raise ModelError(f"{where}: two partners have the same name.")


def _check_rounds(half: "LabelHalf", where: str) -> None:
    """Each round has one tree for all outputs, or one for each in turn."""
    n_outputs, n_trees = len(half.base_score), len(half.trees)
    outputs = [tree.output for tree in half.trees]
    for_all = outputs == [-1] * n_trees
    if not for_all and outputs != [i % n_outputs for i in range(n_trees)]:
        raise ModelError(f"{where}: the trees' outputs are not those of {n_outputs} in turn.")
    n_rounds = n_trees if for_all else n_trees // n_outputs
    if half.best_iteration is not None and not 0 <= half.best_iteration < n_rounds:
        raise ModelError(
            f"{where}: best_iteration is {half.best_iteration}, and there are {n_rounds} rounds."
        )


def _check_shape(tree: "TreeArrays", n_outputs: int, where: str) -> None:
    """Refuse what is no tree: every node but the root must have one parent, which comes before."""
    n = len(tree.owner)
    n_values = n_outputs if tree.output == -1 else 1
    numbers = (tree.split, tree.bin, tree.left, tree.right, tree.gain, tree.cover)
    lengths = {len(c) for c in (*numbers, tree.threshold, tree.codes, tree.missing_left)}
    if n == 0 or lengths != {n} or len(tree.value) != n * n_values:
        raise ModelError(f"{where}: the node columns differ in length.")
    children = []
    for node, (owner, *below) in enumerate(zip(tree.owner, tree.left, tree.right, strict=True)):
        if owner == -1 and below != [-1, -1]:
            raise ModelError(f"{where}: node {node} is a leaf with children.")
        if owner != -1 and not all(node < child < n for child in below):
            raise ModelError(f"{where}: node {node} has children out of order.")
        children += below if owner != -1 else []
    if sorted(children) != list(range(1, n)):
        raise ModelError(f"{where}: a node has no parent, or two.")


def _check_own_splits(tree: "TreeArrays", half: "LabelHalf", where: str) -> None:
    content = zip(tree.threshold, tree.codes, tree.bin, strict=True)
    for node, (owner, split, own) in enumerate(zip(tree.owner, tree.split, content, strict=True)):
        if owner != 0:
            is_leaf = owner == -1
            if own != _NOT_OWN or (is_leaf and (split != -1 or tree.missing_left[node])):
                raise ModelError(f"{where}: node {node} is no own split and has parts of one.")
            continue
        if not 0 <= split < len(half.feature_names):
            raise ModelError(f"{where}: node {node} names a column that does not exist.")
        threshold, codes, cut = own
        if not _fits(half.categories[split], threshold, codes, cut):
            raise ModelError(f"{where}: node {node} does not fit its column.")


def _count_splits(tree: "TreeArrays", partner: int, first: int, where: str) -> int:
    """How many splits of a partner a tree has; they must be numbered `first` and on."""
    pairs = zip(tree.owner, tree.split, strict=True)
    numbers = sorted(split for owner, split in pairs if owner == partner + 1)
    if numbers != list(range(first, first + len(numbers))):
        raise ModelError(
            f"{where}: its splits of partner {partner} are not numbered on from {first}."
        )
    return len(numbers)


def _fits(
    categories: tuple[str, ...] | None,
    threshold: float | None,
    codes: tuple[int, ...] | None,
    cut: int,
) -> bool:
    """Whether a split is one by number on a column of numbers, or one by codes that exist."""
    if categories is None:
        return codes is None and 0 <= cut <= _MAX_CUT and _is_float32(threshold)
    if not codes or threshold is not None or cut != -1:
        return False
    return (
        codes[0] >= 0
        and codes[-1] < len(categories)
        and all(code < after for code, after in pairwise(codes))
    )


def _is_float32(number: float | None) -> bool:
    """None stands for infinity; JSON has no other number that is not finite."""
    if number is None:
        return True
    return abs(number) <= _LARGEST and float(np.float32(number)) == number
