"""The two halves of a trained model, and what they are joined into when their owners meet.

Neither half means anything alone. The label party keeps the shape of the trees, the leaf values and
the thresholds of its *own* columns; where a partner's column won it keeps a split number. The
feature party keeps the table split number -> (column, threshold). A half is JSON with a schema
and a version; its numbers survive the round trip bit for bit.
"""

import re
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from secureboost.errors import ModelError
from secureboost.files import write_atomically

VERSION = 1
_MODEL_ID = re.compile(r"[0-9a-f]{32}")


def new_model_id() -> str:
    """A random name that ties the halves together: 32 hexadecimal digits."""
    return secrets.token_hex(16)


def is_model_id(text: str) -> bool:
    """Whether `text` has the form of a model id (it becomes part of a file name)."""
    return _MODEL_ID.fullmatch(text) is not None


class PartnerSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What the label half remembers of a feature party.

    Attributes
    ----------
    name : str
    n_features : int
        Number of its (anonymous) columns.
    n_splits : int
        Split numbers ``0 .. n_splits - 1`` were given out to it.
    gains : tuple of float
        Total gain of each of its columns over the whole model. Aggregated on purpose: which split
        used which column is not kept.
    split_counts : tuple of int
        How many splits each of its columns won.
    """

    name: str
    n_features: int
    n_splits: int
    gains: tuple[float, ...]
    split_counts: tuple[int, ...]


class TreeArrays(msgspec.Struct, frozen=True, kw_only=True):
    """One tree as parallel columns, a node per position; the root is node 0.

    Attributes
    ----------
    owner : tuple of int
        -1 for a leaf, 0 for a split on an own column, ``k`` for partner ``k - 1``.
    split : tuple of int
        The own column, or the partner's split number; -1 for a leaf.
    threshold : tuple of (float or None)
        Own splits only: values at most this go left (float32 values).
    bin : tuple of int
        Own splits only: the bin whose upper edge the threshold is; -1 otherwise.
    missing_left, left, right, value
        Where rows without a value go (own splits), children, leaf value (log odds).
    """

    owner: tuple[int, ...]
    split: tuple[int, ...]
    threshold: tuple[float | None, ...]
    bin: tuple[int, ...]
    missing_left: tuple[bool, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]
    value: tuple[float, ...]


class LabelHalf(msgspec.Struct, frozen=True, kw_only=True, tag="secureboost.label"):
    """The label party's half: everything but the partners' columns and thresholds.

    Attributes
    ----------
    version : int
    model_id : str
    objective : str
        Its registered name, e.g. ``binary:logistic``.
    base_score : float
        Raw score (log odds) of every row before the first tree.
    feature_names : tuple of str
        Own columns in training order.
    named : bool
        The names are the table's own, not made up for an array.
    gains : tuple of float
        Total gain of each own column.
    split_counts : tuple of int
        How many splits each own column won.
    partners : tuple of PartnerSummary
    classes : tuple
        The two classes, the positive one last.
    parameters : dict
        The constructor parameters of the estimator that trained it.
    trees : tuple of TreeArrays
    """

    version: int = VERSION
    model_id: str
    objective: str
    base_score: float
    feature_names: tuple[str, ...]
    named: bool
    gains: tuple[float, ...]
    split_counts: tuple[int, ...]
    partners: tuple[PartnerSummary, ...]
    classes: tuple[bool | int | float | str, ...]
    parameters: dict[str, Any]
    trees: tuple[TreeArrays, ...]


class PartnerSplit(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the feature party's table; its split number is its position.

    Attributes
    ----------
    feature : int
    bin : int
    threshold : float or None
        Values at most this go left; None where the cut separates missing from present values.
    missing_left : bool
    """

    feature: int
    bin: int
    threshold: float | None
    missing_left: bool


class PartyHalf(msgspec.Struct, frozen=True, kw_only=True, tag="secureboost.party"):
    """A feature party's half.

    Attributes
    ----------
    version : int
    model_id : str
    party : str
    feature_names : tuple of str
    splits : tuple of PartnerSplit
    """

    version: int = VERSION
    model_id: str
    party: str
    feature_names: tuple[str, ...]
    splits: tuple[PartnerSplit, ...]


Half = TypeVar("Half", LabelHalf, PartyHalf)


def save_half(half: LabelHalf | PartyHalf, path: Path) -> None:
    """Write a half as JSON, readable by its owner alone; the file is whole or absent."""
    write_atomically(path, msgspec.json.format(msgspec.json.encode(half), indent=1), mode=0o600)


def load_half(path: Path, kind: type[Half]) -> Half:
    """Read a half and check that it is one.

    Raises
    ------
    secureboost.errors.ModelError
        If the file is absent, not JSON, another kind of half, of a later version or inconsistent.
    """
    try:
        half = msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        raise ModelError(
            f"{path}: no such file. The {_KINDS[kind]} lies in the folder given to save() or --out."
        ) from None
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}).") from error
    except msgspec.DecodeError as error:
        raise ModelError(f"{path} is not a {_KINDS[kind]}: {error}.") from error
    if half.version != VERSION:
        raise ModelError(
            f"{path}: model version {half.version}, and this release reads version {VERSION}. "
            "Install the release that wrote it."
        )
    if not is_model_id(half.model_id):
        raise ModelError(f"{path}: the model id is not 32 hexadecimal digits.")
    if isinstance(half, LabelHalf):
        for number, tree in enumerate(half.trees):
            _check_tree(tree, half, f"{path}, tree {number}")
    elif any(not 0 <= s.feature < len(half.feature_names) for s in half.splits):
        raise ModelError(f"{path}: a split names a column that the half does not have.")
    return half


_KINDS: dict[type, str] = {
    LabelHalf: "label party's half of a model",
    PartyHalf: "feature party's half of a model",
}


def _check_tree(tree: TreeArrays, half: LabelHalf, where: str) -> None:
    """Refuse a tree whose walk could leave it: children come after their parent, splits exist."""
    n = len(tree.owner)
    if n == 0 or any(len(column) != n for column in msgspec.structs.astuple(tree)):
        raise ModelError(f"{where}: the node columns differ in length.")
    limits = [len(half.feature_names), *(p.n_splits for p in half.partners)]
    for node, owner in enumerate(tree.owner):
        if owner == -1:
            continue
        if not 0 <= owner < len(limits) or not 0 <= tree.split[node] < limits[owner]:
            raise ModelError(f"{where}: node {node} names a split that does not exist.")
        if not (node < tree.left[node] < n and node < tree.right[node] < n):
            raise ModelError(f"{where}: node {node} has children out of order.")


JOINED_NODE = np.dtype(
    [
        ("party", "U64"),
        ("column", "U128"),
        ("bin", np.int32),
        ("threshold", np.float64),
        ("missing_left", np.bool_),
        ("left", np.int32),
        ("right", np.int32),
        ("value", np.float64),
    ]
)
"""A node of a joined tree; ``party`` is empty for the label party, ``column`` empty for a leaf."""


def joined_trees(
    label_half: LabelHalf,
    party_halves: Mapping[str, PartyHalf] | Sequence[PartyHalf] = (),
    *,
    column_owner: Mapping[str, Sequence[str]] | None = None,
) -> list[NDArray[np.void]]:
    """Put the halves together: what their owners would see if they shared everything.

    Parameters
    ----------
    label_half : LabelHalf
    party_halves : mapping of name to PartyHalf, or a sequence of them
        The half of every partner that the label half names.
    column_owner : mapping of party name to column names, optional
        For a model trained on pooled columns: who would own which. The named columns then
        appear under their party, so that the result can be compared with a federated model.

    Returns
    -------
    list of record arrays with dtype `JOINED_NODE`
        One per tree. A federated model and its pooled twin give arrays equal with ``==``
        (thresholds of leaves and of missing-value cuts are 0).

    Raises
    ------
    secureboost.errors.ModelError
        If a partner's half is absent, belongs to another model or lacks a split.
    """
    halves = _halves_of(label_half, party_halves)
    owners = {
        column: party for party, columns in (column_owner or {}).items() for column in columns
    }
    trees = []
    for tree in label_half.trees:
        nodes = np.zeros(len(tree.owner), dtype=JOINED_NODE)
        nodes["bin"] = -1
        nodes["left"], nodes["right"], nodes["value"] = tree.left, tree.right, tree.value
        for i, owner in enumerate(tree.owner):
            if owner == -1:
                continue
            if owner == 0:
                column = label_half.feature_names[tree.split[i]]
                party = owners.get(column, "")
                split = PartnerSplit(
                    feature=tree.split[i],
                    bin=tree.bin[i],
                    threshold=tree.threshold[i],
                    missing_left=tree.missing_left[i],
                )
            else:
                half = halves[owner - 1]
                split = half.splits[tree.split[i]]
                party, column = half.party, half.feature_names[split.feature]
            nodes["party"][i], nodes["column"][i] = party, column
            nodes["bin"][i], nodes["missing_left"][i] = split.bin, split.missing_left
            nodes["threshold"][i] = 0.0 if split.threshold is None else split.threshold
        trees.append(nodes)
    return trees


def _halves_of(
    label_half: LabelHalf, party_halves: Mapping[str, PartyHalf] | Sequence[PartyHalf]
) -> list[PartyHalf]:
    given = party_halves.values() if isinstance(party_halves, Mapping) else party_halves
    by_name = {half.party: half for half in given}
    halves = []
    for partner in label_half.partners:
        half = by_name.get(partner.name)
        if half is None:
            raise ModelError(f"The half of party {partner.name!r} is missing.")
        check_party_half(label_half, partner, half)
        halves.append(half)
    return halves


def check_party_half(label_half: LabelHalf, partner: PartnerSummary, half: PartyHalf) -> None:
    """Refuse a half that is not the one that `label_half` was trained with.

    Raises
    ------
    secureboost.errors.ModelError
    """
    if half.party != partner.name:
        raise ModelError(f"The half of party {half.party!r} was given for {partner.name!r}.")
    if half.model_id != label_half.model_id:
        raise ModelError(
            f"The half of party {partner.name!r} belongs to model {half.model_id}, the label "
            f"party's to model {label_half.model_id}. Use the halves of one training run."
        )
    if len(half.splits) != partner.n_splits or len(half.feature_names) != partner.n_features:
        raise ModelError(
            f"The half of party {partner.name!r} has {len(half.splits)} splits over "
            f"{len(half.feature_names)} columns; the label party's half expects "
            f"{partner.n_splits} over {partner.n_features}."
        )
