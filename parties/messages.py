"""What can be said: base classes of all messages, and the messages of the session itself.

A message is a frozen `msgspec.Struct`. Requests are typed by their reply, so that a type checker
knows what `Peer.ask` returns::

    class Ready(Reply, frozen=True, kw_only=True):
        \"\"\"The party has binned its columns.

        Reveals: how many columns the feature party has, and how many bins each.
        \"\"\"

        n_bins: Annotated[NDArray[np.int32], Array("int32", 1)]


    class Setup(Request[Ready], frozen=True, kw_only=True):
        ...

Trainers define their messages beside themselves; this module knows none of them. Every message
has a line ``Reveals: ...`` in its docstring: what the receiver learns. `parties.catalogue`
collects these lines and refuses messages without one.
"""

import re
import types
import typing
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, ClassVar, Generic, TypeVar

import msgspec
import numpy as np

from parties.errors import DETAIL_LENGTH, PartyNameError

PROTOCOL_VERSION = 2

ARRAY_DTYPES = (
    "bool",
    *("int8", "int16", "int32", "int64"),
    *("uint8", "uint16", "uint32", "uint64"),
    *("float32", "float64"),
)
"""Element types that may travel. No objects, no strings, no structures."""

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z"
"""What a party or a trainer may be called. Names end up in file names and logs."""

Name = Annotated[str, msgspec.Meta(pattern=NAME_PATTERN)]
ShortText = Annotated[str, msgspec.Meta(max_length=64)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Bytes32 = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]


@dataclass(frozen=True)
class Array:
    """Annotation of an array field: the one dtype and number of dimensions that are accepted.

    Attributes
    ----------
    dtype : str
        One of `ARRAY_DTYPES`.
    ndim : int
    """

    dtype: str
    ndim: int

    def __post_init__(self) -> None:
        if self.dtype not in ARRAY_DTYPES:
            raise ValueError(f"dtype={self.dtype!r} cannot travel; choose from {ARRAY_DTYPES}")
        if not 1 <= self.ndim <= 4:
            raise ValueError(f"ndim={self.ndim} must lie between 1 and 4")

    def matches(self, array: object) -> bool:
        """Tell whether `array` is an array of this dtype and number of dimensions."""
        return (
            isinstance(array, np.ndarray)
            and array.dtype.name == self.dtype
            and array.ndim == self.ndim
        )

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join(':' * self.ndim)}]"


class Message(
    msgspec.Struct, frozen=True, kw_only=True, tag=True, eq=False, forbid_unknown_fields=True
):
    """Base of everything that travels. The type's name is its tag on the wire.

    Arrays, bytes and containers never show in a repr: a message may carry what must not be
    logged.
    """

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={_shape_only(value)}" for name, value in _items(self))
        return f"{type(self).__name__}({fields})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:  # rich would print the contents
        return [(name, _Shown(_shape_only(value))) for name, value in _items(self)]

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return all(
            _equal(mine, theirs)
            for (_, mine), (_, theirs) in zip(_items(self), _items(other), strict=True)
        )

    __hash__ = None  # type: ignore[assignment]


class Reply(Message, frozen=True, kw_only=True):
    """Base of what a party may answer."""


ReplyT = TypeVar("ReplyT", bound=Reply)


class Request(Message, Generic[ReplyT], frozen=True, kw_only=True):
    """Base of what a party may be asked; derive from ``Request[TheReply]``.

    Attributes
    ----------
    reply_type : type[Reply]
        The reply's class, read from the type argument.
    """

    reply_type: ClassVar[type[Reply]]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for base in cls.__dict__.get("__orig_bases__", ()):
            arguments = typing.get_args(base)
            if typing.get_origin(base) is Request and isinstance(arguments[0], type):
                cls.reply_type = arguments[0]
        if not hasattr(cls, "reply_type"):
            raise TypeError(f"{cls.__name__} must derive from Request[...] with the reply's class")


class SessionCode(StrEnum):
    """Failure codes of the session itself; trainers add their own enumerations."""

    VERSION_MISMATCH = "version_mismatch"
    TRAINER_MISMATCH = "trainer_mismatch"
    OUT_OF_TURN = "out_of_turn"
    UNKNOWN_MESSAGE = "unknown_message"
    MALFORMED_FRAME = "malformed_frame"
    FRAME_TOO_LARGE = "frame_too_large"
    ROWS_DIFFER = "rows_differ"
    ROWS_REFUSED = "rows_refused"
    UNKNOWN_ALIGNMENT = "unknown_alignment"
    BUSY = "busy"
    INTERNAL_ERROR = "internal_error"


class Refusal(Exception):  # noqa: N818 (an answer, not a fault)
    """Raised by a service that will not answer; it becomes a `Failure` with this code.

    Parameters
    ----------
    code : StrEnum
        Member of an enumeration that the codec knows.
    detail : str
        Short text for the other company. No data values: it leaves this machine.
    ends_session : bool
        Whether the session is over. By default it stays where it was before the request.
    """

    def __init__(self, code: StrEnum, detail: str = "", ends_session: bool = False) -> None:
        super().__init__(code, detail, ends_session)
        self.code = code
        self.detail = detail
        self.ends_session = ends_session

    def __str__(self) -> str:
        return f"{self.code.value}: {self.detail}"


class Welcome(Reply, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """The session is open.

    Reveals: the answering party's display name and software version.
    """

    protocol_version: Count
    software_version: ShortText
    party: Name


class Hello(Request[Welcome], frozen=True, kw_only=True, forbid_unknown_fields=False):
    """The first request of every session.

    Unknown fields are ignored here and in `Welcome` alone, so that a later version can be told
    that its version is the reason.

    Reveals: the asking party's display name, software version and the trainer to be run.
    """

    protocol_version: Count
    software_version: ShortText
    trainer: Name
    party: Name


class Ack(Reply, frozen=True, kw_only=True):
    """Done; there is nothing to tell.

    Reveals: that the request was carried out.
    """


class MatchRows(Request[Ack], frozen=True, kw_only=True):
    """Do you hold these rows in this order? `parties.rows` makes and checks the digest.

    Reveals: the number of rows, and a digest under a fresh key with which the receiver can test
    guesses of the whole list of ids.
    """

    digest_key: Bytes32
    n_rows: Count
    digest: Bytes32


class UseAlignment(Request[Ack], frozen=True, kw_only=True):
    """From here on rows are positions in an order that was agreed before; instead of `MatchRows`.

    Reveals: which earlier agreement on an order of rows is meant, and how many rows that order has.

    Attributes
    ----------
    alignment : bytes
        32: the name of the agreement, a hash of what was said to reach it.
    n_rows : int
    """

    alignment: Bytes32
    n_rows: Count


class Goodbye(Request[Ack], frozen=True, kw_only=True):
    """The asking party has finished.

    Reveals: that the session ends.
    """


class Failure(Reply, frozen=True, kw_only=True):
    """The request was not carried out.

    Reveals: a code from a closed set and at most 500 characters without data values.

    Attributes
    ----------
    ends_session : bool
        Whether the answering party has closed the session. If not, the session stands where it
        stood before the request.
    """

    code: ShortText
    detail: Annotated[str, msgspec.Meta(max_length=DETAIL_LENGTH)] = ""
    ends_session: bool = False


SESSION_MESSAGES: tuple[type[Message], ...] = (
    Hello,
    Welcome,
    MatchRows,
    UseAlignment,
    Ack,
    Goodbye,
    Failure,
)


def check_name(name: str) -> str:
    """Return `name` if a party may be called so.

    Raises
    ------
    PartyNameError
    """
    if not re.fullmatch(NAME_PATTERN, name):
        raise PartyNameError(
            "",
            f"name={name!r} cannot name a party: use 1 to 64 letters, digits, '.', '_' or '-', "
            "beginning with a letter or digit",
        )
    return name


@cache
def array_fields(message_type: type[Message]) -> dict[str, Array]:
    """Collect the array fields of a message type, in the order of declaration.

    Raises
    ------
    TypeError
        If an array field lacks its `Array` annotation, or an array hides inside a container.
    """
    fields = {}
    for name, hint in typing.get_type_hints(message_type, include_extras=True).items():
        if name not in message_type.__struct_fields__:
            continue
        alternatives = (
            typing.get_args(hint)
            if typing.get_origin(hint) in (typing.Union, types.UnionType)
            else (hint,)
        )
        for alternative in alternatives:
            arrays = [m for m in getattr(alternative, "__metadata__", ()) if isinstance(m, Array)]
            if arrays:
                fields[name] = arrays[0]
            elif _mentions_array(alternative):
                raise TypeError(
                    f"{message_type.__name__}.{name} must be declared as "
                    'Annotated[NDArray[...], Array("dtype", ndim)], alone or with None'
                )
    return fields


def _mentions_array(hint: Any) -> bool:
    origin = typing.get_origin(hint) or hint
    if isinstance(origin, type) and issubclass(origin, np.ndarray):
        return True
    return any(_mentions_array(argument) for argument in typing.get_args(hint))


def _items(message: Any) -> list[tuple[str, Any]]:
    return [(name, getattr(message, name)) for name in message.__struct_fields__]


def _equal(mine: Any, theirs: Any) -> bool:
    if isinstance(mine, np.ndarray) and isinstance(theirs, np.ndarray):
        return mine.dtype == theirs.dtype and np.array_equal(mine, theirs)
    return type(mine) is type(theirs) and bool(mine == theirs)


class _Shown(str):
    """Text that is its own repr."""

    __slots__ = ()
    __repr__ = str.__str__


def _shape_only(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"<{value.dtype.name}{list(value.shape)}>"
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    if isinstance(value, list | tuple | set | frozenset | dict):
        return f"<{type(value).__name__} of {len(value)}>"
    if isinstance(value, msgspec.Struct) and not isinstance(value, Message):
        return f"<{type(value).__name__}>"
    return repr(value)
