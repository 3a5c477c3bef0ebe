"""The halves of a trained network, and the files they are kept in.

A half is one safetensors file: the weights, and in its metadata a head of JSON. The label party's
has the top network, its own bottom, and a digest of each partner's half, which ties them together.
A partner's has its bottom and how its columns become inputs. In a pooled network the bottoms of all
owners lie in the label party's half.
"""

import hashlib
import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from secureboost.dictionary import Categories
from secureboost.errors import ModelError
from secureboost.files import write_atomically
from secureboost.splitnn.codecs.summand import top_inputs
from secureboost.splitnn.inputs import Preparation
from secureboost.splitnn.options import Choice

VERSION = 1
HEAD = "secureboost"
"""Under which name the head lies in the metadata."""

Id = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}$")]
Digest = Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?$")]
Name = Annotated[str, Meta(min_length=1)]
Positive = Annotated[int, Meta(ge=1, lt=2**31)]
Tensors = dict[str, Tensor]
MetricsWithout = dict[str, dict[str, dict[str, float]]]
"""By the party that is missing ("" for nobody), evaluation set and metric."""


def new_model_id() -> str:
    """A random name that ties the halves together: 32 hexadecimal digits."""
    return secrets.token_hex(16)


class BodyHead(msgspec.Struct, frozen=True, kw_only=True):
    """What the body of a top is that a party computes (`body`).

    Attributes
    ----------
    widths : tuple of int
        Of what the bottoms give, in their order.
    width : int
        Numbers that it gives for a row.
    architecture : Choice
        Whose top it is.
    dtype : str
    """

    widths: tuple[Positive, ...]
    width: Positive
    architecture: Choice
    dtype: str


class BottomHead(msgspec.Struct, frozen=True, kw_only=True, tag="secureboost.bottom"):
    """What a bottom is, besides its weights.

    Attributes
    ----------
    version : int
    model_id : str
    party : str
        Its owner; empty for the label party.
    salt : str
        Random, so that the half's digest tells nothing of its content.
    architecture : Choice
    width : int
    dtype : str
    codec : str
    protections : tuple of Choice
    preparation : Preparation
    body : BodyHead or None
        Of the body that this party computes: its weights lie in the same file.
    said : str
        With masks, a digest of all that was said in training; equal at all members.
    """

    version: int = VERSION
    model_id: Id
    party: str
    salt: Id = msgspec.field(default_factory=new_model_id)
    architecture: Choice
    width: Positive
    dtype: str
    codec: str
    protections: tuple[Choice, ...]
    preparation: Preparation
    body: BodyHead | None = None
    said: Digest = ""


BODY_PART = "body/"
"""What the names of a body's weights begin with in its owner's half."""


def join_body(bottom: Tensors, body: Tensors | None = None) -> Tensors:
    """The weights, or states, of a bottom and perhaps a body in one mapping."""
    if body is None:
        return bottom
    return bottom | {BODY_PART + name: tensor for name, tensor in body.items()}


def split_body(tensors: Tensors) -> tuple[Tensors, Tensors]:
    """Undo `join_body`."""
    bottom: Tensors = {}
    body: Tensors = {}
    for name, tensor in tensors.items():
        if name.startswith(BODY_PART):
            body[name.removeprefix(BODY_PART)] = tensor
        else:
            bottom[name] = tensor
    return bottom, body


class PartnerNet(msgspec.Struct, frozen=True, kw_only=True):
    """What the label party remembers of a partner's bottom.

    Attributes
    ----------
    name : str
    width : int
    digest : str
        `half_digest` of its half in hexadecimal; empty if it kept none.
    """

    name: Name
    width: Positive
    digest: Digest


class TopHead(msgspec.Struct, frozen=True, kw_only=True, tag="secureboost.top"):
    """What the label party's half is, besides the weights.

    Attributes
    ----------
    version : int
    model_id : str
    objective : str
        Its registered name; ``custom`` for a function, whose model gives raw scores only.
    objective_parameters : dict
    classes : tuple
        The classes in the order of the outputs, the positive one of two last; empty for a
        regression.
    labels : tuple of str
        Names of the labels where there are several (`several`), each with an output of its own.
    offset : tuple of float
        Added to each output.
    scale : float
        By which outputs are multiplied before.
    architecture : Choice
        Of the top; of the head, if somebody else computes the body.
    body : BodyHead or None
        Of the body.
    body_at : str
        Who computes it, if there is one and it does not lie in this file.
    dtype, codec : str
    party_dropout : float
        Above 0 parties may be missing where rows are scored.
    metrics_without : dict
        What evaluation rows were scored like, by the kept weights, with all parties ("") and
        without each one that may be missing; empty without party dropout or evaluation rows.
    best_epoch : int or None
        The epoch whose weights are kept, from 0, where early stopping chose it.
    feature_names : tuple of str
        The columns of the training table, own and pooled ones; empty without own columns.
    categories : tuple of (tuple of str, or None)
        Names of the codes of each of these columns.
    named : bool
        The names are the table's own, not made up for an array.
    column_owner : dict of str to tuple of str
        Of a pooled network, which columns belong to whom.
    bottoms : tuple of BottomHead
        Those that lie in this file, in the order of the top's inputs.
    partners : tuple of PartnerNet
        Those that do not; behind `bottoms`.
    parameters : dict
        The constructor parameters of the estimator that trained it.
    """

    version: int = VERSION
    model_id: Id
    objective: str
    objective_parameters: dict[str, float]
    classes: tuple[bool | int | float | str, ...]
    labels: tuple[str, ...] = ()
    offset: tuple[float, ...]
    scale: float
    architecture: Choice
    body: BodyHead | None = None
    body_at: str = ""
    dtype: str
    codec: str
    best_epoch: int | None = None
    party_dropout: float = 0.0
    metrics_without: MetricsWithout = {}
    feature_names: tuple[str, ...]
    categories: Categories
    named: bool
    column_owner: dict[str, tuple[str, ...]]
    bottoms: tuple[BottomHead, ...]
    partners: tuple[PartnerNet, ...]
    parameters: dict[str, Any]

    @property
    def best_iteration(self) -> int | None:
        """`best_epoch` under the name that it has for all kinds of models."""
        return self.best_epoch

    @property
    def widths(self) -> list[int]:
        """Of the top's inputs: of all bottoms in their order, or of the own one and the sum."""
        widths = {part.party: part.width for part in self.bottoms}
        widths |= {part.name: part.width for part in self.partners}
        return [*top_inputs(widths, self.codec).values()]


Head = TypeVar("Head", bound=msgspec.Struct)


def half_digest(half: bytes) -> bytes:
    """SHA-256 of a half's file."""
    return hashlib.sha256(half).digest()


def encode_half(head: msgspec.Struct, tensors: Mapping[str, Tensor]) -> bytes:
    """The file of a half."""
    parts = {name: value.contiguous() for name, value in tensors.items()}
    return bytes(save(parts, {HEAD: msgspec.json.encode(head).decode()}))


def decode_half(data: bytes, kind: type[Head], where: str) -> tuple[Head, Tensors]:
    """Read a half from the bytes of its file.

    Parameters
    ----------
    data : bytes
    kind : type
        `TopHead`, `BottomHead`, or the head of a checkpoint.
    where : str
        What errors call it.

    Raises
    ------
    secureboost.errors.ModelError
        If it is no safetensors file, of another kind or of another version.
    """
    try:
        head = read_head(data)
        version = msgspec.json.decode(head, type=_Version).version
        if version != VERSION:
            raise ModelError(
                f"{where}: model version {version}, and this release reads version {VERSION}. "
                "Install the release that wrote it."
            )
        return msgspec.json.decode(head, type=kind), dict(load(data))
    except (ValueError, KeyError, SafetensorError, msgspec.DecodeError, RecursionError) as error:
        raise ModelError(f"{where} is not a file of that kind: {error}.") from error


def read_head(data: bytes) -> bytes:
    """The head of a file as JSON; neither torch nor safetensors is needed for it.

    Raises
    ------
    ValueError, KeyError
        If there is none.
    """
    length = int.from_bytes(data[:8], "little")
    return bytes(json.loads(data[8 : 8 + length])["__metadata__"][HEAD].encode())


def save_half(half: bytes, path: Path) -> None:
    """Write a half, readable by its owner alone; the file is whole or absent."""
    write_atomically(path, half, mode=0o600)


def read_half(path: Path) -> bytes:
    """Read the bytes of a half's file.

    Raises
    ------
    secureboost.errors.ModelError
        If it is absent or cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ModelError(
            f"{path}: no such file. Halves of a network lie in the folder given to save() or --out."
        ) from None
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}).") from error


class _Version(msgspec.Struct):
    version: int = VERSION
