"""The two halves of a trained model, and the files they are kept in.

Neither half means anything alone. The label party keeps the shape of the trees, the leaf values and
the splits of its *own* columns; where a partner's column won it keeps a split number. The feature
party keeps the table split number -> (column, threshold or categories). A half is JSON with a
schema (`half_schema`) and a version; its numbers survive the round trip bit for bit. The label
party's half holds a hash of each partner's, which ties them together.
"""

import hashlib
import re
import secrets
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from secureboost.dictionary import Categories
from secureboost.errors import ModelError
from secureboost.files import write_atomically
from secureboost.gbdt.model_checks import check_label_half, check_split_table

VERSION = 2
"""A change of the fields below needs another one: their JSON is what `half_digest` hashes."""

_READ = (1, VERSION)
"""Versions that are read. In 1 a partner's split does not say where rows go that it lacks."""

# Forms that reading a file checks, and that its schema shows.
Id = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}$", max_length=32)]
Digest = Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?$", max_length=64)]
Count = Annotated[int, Meta(ge=0, lt=2**31)]
Name = Annotated[str, Meta(min_length=1)]

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
    digest : str
        `half_digest` of its half, in hexadecimal: this label half goes with that half alone. Empty
        if the partner kept none.
    """

    name: Name
    n_features: Count
    n_splits: Count
    gains: tuple[float, ...]
    split_counts: tuple[Count, ...]
    digest: Digest


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
        Own splits of numbers only: the bin whose upper edge the threshold is; -1 otherwise.
    codes : tuple of (tuple of int, or None)
        Own splits by categories only: the codes that go left, ascending.
    missing_left, left, right : tuple
        Where rows without a value go, so too at a partner's split rows that the partner does not
        have; children.
    value : tuple of float
        Leaf values, times the learning rate; of a tree with several outputs those of a node behind
        each other.
    gain, cover : tuple of float
        Gain of an own split (0 for a partner's and for a leaf); sum of hessians of the node's rows,
        over all outputs.
    output : int
        The output that the tree adds to; -1 for all of them.
    """

    owner: tuple[int, ...]
    split: tuple[int, ...]
    threshold: tuple[float | None, ...]
    bin: tuple[int, ...]
    codes: tuple[tuple[int, ...] | None, ...]
    missing_left: tuple[bool, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]
    value: tuple[float, ...]
    gain: tuple[float, ...]
    cover: tuple[float, ...]
    output: int


class LabelHalf(msgspec.Struct, frozen=True, kw_only=True, tag="secureboost.label"):
    """The label party's half: everything but the partners' columns and thresholds.

    Attributes
    ----------
    version : int
    model_id : str
    objective : str
        Its registered name, e.g. ``binary:logistic``; ``custom`` for a callable, whose model gives
        raw scores only.
    objective_parameters : dict
        Its parameters that differ from their defaults (`objectives.make_objective`).
    base_score : tuple of float
        Raw score of every row before the first tree, output by output.
    best_iteration : int or None
        The last round that is kept, where early stopping chose it.
    feature_names : tuple of str
        Own columns in training order.
    categories : tuple of (tuple of str, or None)
        For each own column the names of its codes; None for a column of numbers.
    named : bool
        The names are the table's own, not made up for an array.
    gains : tuple of float
        Total gain of each own column.
    split_counts : tuple of int
        How many splits each own column won.
    partners : tuple of PartnerSummary
    classes : tuple
        The classes in the order of the outputs, the positive one of two last; empty for a
        regression.
    parameters : dict
        The constructor parameters of the estimator that trained it.
    trees : tuple of TreeArrays
    """

    version: int = VERSION
    model_id: Id
    objective: str
    objective_parameters: dict[str, float]
    base_score: Annotated[tuple[float, ...], Meta(min_length=1)]
    best_iteration: int | None = None
    feature_names: tuple[str, ...]
    categories: Categories
    named: bool
    gains: tuple[float, ...]
    split_counts: tuple[Count, ...]
    partners: tuple[PartnerSummary, ...]
    classes: tuple[bool | int | float | str, ...]
    parameters: dict[str, Any]
    trees: tuple[TreeArrays, ...]

    def check_unmatched(self) -> None:
        """Refuse to score rows that a partner lacks, if the trees do not say where they go.

        Raises
        ------
        secureboost.errors.ModelError
        """
        if self.version < VERSION and any(partner.n_splits for partner in self.partners):
            raise ModelError(
                f"Model {self.model_id} is of version {self.version}, whose trees do not say where "
                "rows go that a party lacks (unmatched='missing'). Leave such rows out "
                "(unmatched='drop' of the command line), or train again."
            )


class PartnerSplit(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the feature party's table; its split number is its position.

    Attributes
    ----------
    feature : int
    bin : int
        -1 in a split by categories.
    threshold : float or None
        Values at most this go left; None where the cut separates missing from present values, and
        in a split by categories.
    codes : tuple of int, or None
        Split by categories: the codes that go left, ascending.
    missing_left : bool
    """

    feature: int
    bin: int
    threshold: float | None
    codes: tuple[int, ...] | None = None
    missing_left: bool


class PartyHalf(msgspec.Struct, frozen=True, kw_only=True, tag="secureboost.party"):
    """A feature party's half.

    Attributes
    ----------
    version : int
    model_id : str
    party : str
    salt : str
        Random, 32 hexadecimal digits, so that the half's digest tells nothing of its content.
    feature_names : tuple of str
    categories : tuple of (tuple of str, or None)
        For each column the names of its codes in this model; None for a column of numbers.
    splits : tuple of PartnerSplit
    """

    version: int = VERSION
    model_id: Id
    party: Name
    salt: Id = msgspec.field(default_factory=new_model_id)
    feature_names: tuple[str, ...]
    categories: Categories
    splits: tuple[PartnerSplit, ...]


Half = TypeVar("Half", LabelHalf, PartyHalf)

_KINDS: dict[type, str] = {
    LabelHalf: "label party's half of a model",
    PartyHalf: "feature party's half of a model",
}


def half_digest(half: PartyHalf) -> bytes:
    """SHA-256 of a feature party's half."""
    return hashlib.sha256(msgspec.json.encode(half)).digest()


def half_schema(kind: type[LabelHalf] | type[PartyHalf]) -> dict[str, Any]:
    """The JSON schema of a half's file."""
    return msgspec.json.schema(kind)


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
        data = path.read_bytes()
    except FileNotFoundError:
        raise ModelError(
            f"{path}: no such file. The {_KINDS[kind]} lies in the folder given to save() or --out."
        ) from None
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}).") from error
    return decode_half(data, kind, str(path))


def decode_half(data: bytes, kind: type[Half], where: str) -> Half:
    """Read a half from the bytes of its file and check that it is one.

    Parameters
    ----------
    data : bytes
    kind : type
        `LabelHalf` or `PartyHalf`.
    where : str
        What errors call it.

    Raises
    ------
    secureboost.errors.ModelError
        If it is not JSON, another kind of half, of a later version or inconsistent.
    """
    try:
        version = msgspec.json.decode(data, type=_Head).version
        if version not in _READ:
            raise ModelError(
                f"{where}: model version {version}, and this release reads versions "
                f"{' and '.join(map(str, _READ))}. Install the release that wrote it."
            )
        half = msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ModelError(f"{where} is not a {_KINDS[kind]}: {error}.") from error
    if isinstance(half, LabelHalf):
        check_label_half(half, where)
    else:
        check_split_table(half, where)
    return half


class _Head(msgspec.Struct):
    """What halves of every version have."""

    version: int = VERSION
