"""Message <-> frame. A closed set of types, raw arrays, hard limits, no pickle.

A frame is little-endian throughout::

    0   4  magic "SBF1"
    4   4  length of the head
    8   8  zero
    16  .  head: the message in MessagePack; an array stands there as [dtype, dim, dim, ...]
           padding with zeros to a multiple of 8
        .  the arrays' buffers in the order in which the head names them, each padded likewise

Buffers start at multiples of 8, so that decoding is `numpy.frombuffer` without a copy. Decoded
arrays are read-only views of the frame. Everything in a frame is hostile until `Codec.decode`
returns: it raises children of `ProtocolError` and nothing else.
"""

import math
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from parties.errors import (
    FrameTooLargeError,
    InvalidMessageError,
    MalformedFrameError,
    UnknownMessageError,
    printable,
)
from parties.messages import (
    ARRAY_DTYPES,
    SESSION_MESSAGES,
    Failure,
    Message,
    Request,
    SessionCode,
    array_fields,
)

MAGIC = b"SBF1"
_PREFIX = struct.Struct("<4sI8s")
_WIRE_DTYPES = {name: np.dtype(name).newbyteorder("<") for name in ARRAY_DTYPES}


@dataclass(frozen=True)
class Limits:
    """What a party accepts in one frame.

    Attributes
    ----------
    frame_bytes : int
        1 GiB: two million ciphertexts at 2048 bits. Gradients leave in far smaller blocks and
        packed histograms are smaller still, so more is a fault or an attack on our memory.
    head_bytes : int
        Everything but the arrays. Whatever grows with rows belongs in arrays, so 4 MiB is ample.
    arrays : int
        Arrays in one message.
    """

    frame_bytes: int = 1 << 30
    head_bytes: int = 4 << 20
    arrays: int = 16


class _Tag(msgspec.Struct):
    """The part of a head that says which message it is."""

    type: str


class Codec:
    """Encodes and decodes one closed set of messages.

    Parameters
    ----------
    message_types : iterable of type[Message]
        The trainer's messages; those of the session are always known.
    failure_codes : iterable of type[StrEnum]
        The trainer's failure codes; `SessionCode` is always known.
    limits : Limits

    Raises
    ------
    TypeError
        If two types share a name, a reply is missing, or an array field is declared wrongly.
    """

    def __init__(
        self,
        message_types: Iterable[type[Message]] = (),
        failure_codes: Iterable[type[StrEnum]] = (),
        limits: Limits | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self.message_types = (*SESSION_MESSAGES, *message_types)
        enumerations: list[type[StrEnum]] = [SessionCode, *failure_codes]
        self.failure_codes = frozenset(code.value for codes in enumerations for code in codes)
        self._types = {_tag(message_type): message_type for message_type in self.message_types}
        if len(self._types) != len(self.message_types):
            raise TypeError("two message types share a name")
        for message_type in self.message_types:
            if len(array_fields(message_type)) > self.limits.arrays:
                raise TypeError(f"{message_type.__name__} has too many array fields")
            if (
                issubclass(message_type, Request)
                and message_type.reply_type not in self._types.values()
            ):
                raise TypeError(
                    f"{message_type.__name__} is answered by {message_type.reply_type.__name__}, "
                    "which is not in the set"
                )

    def encode(self, message: Message) -> bytes:
        """Turn a message into a frame.

        Raises
        ------
        InvalidMessageError
            If the message breaks its own declaration or the limits; the text names the field.
        """
        name = _tag(type(message))
        if self._types.get(name) is not type(message):
            raise InvalidMessageError("", f"{name} is not a message of this codec")
        for field, spec in array_fields(type(message)).items():
            value = getattr(message, field)
            if value is not None and not spec.matches(value):
                raise InvalidMessageError("", f"{name}.{field} must be a {spec} array")
        arrays: list[NDArray[Any]] = []

        def replace(array: object) -> list[object]:
            if not isinstance(array, np.ndarray):
                raise InvalidMessageError("", f"{name} holds a {type(array).__name__}")
            arrays.append(np.ascontiguousarray(array, dtype=_WIRE_DTYPES[array.dtype.name]))
            return [array.dtype.name, *array.shape]

        try:
            head = msgspec.msgpack.encode(message, enc_hook=replace)
            # The same checks that the receiver will make, so that the sender learns of it first.
            taken = iter(arrays)
            decoded = msgspec.msgpack.decode(
                head, type=type(message), dec_hook=lambda _type, _description: next(taken)
            )
        except (msgspec.MsgspecError, TypeError, ValueError, OverflowError) as error:
            raise InvalidMessageError("", f"{name} cannot be sent: {error}") from None
        self._check_code(decoded, InvalidMessageError, "")
        size = _PREFIX.size + _padded(len(head)) + sum(_padded(array.nbytes) for array in arrays)
        if len(head) > self.limits.head_bytes or size > self.limits.frame_bytes:
            raise InvalidMessageError(
                "",
                f"{name} takes {size} bytes ({len(head)} in its head); the limits are "
                f"{self.limits.frame_bytes} and {self.limits.head_bytes}. "
                "Send fewer rows at a time",
            )
        parts: list[Any] = [_PREFIX.pack(MAGIC, len(head), bytes(8)), head, _padding(len(head))]
        for array in arrays:
            parts += [array.reshape(-1).view(np.uint8).data, _padding(array.nbytes)]
        return b"".join(parts)

    def decode(self, frame: bytes, sender: str) -> Message:
        """Turn a frame into a message, trusting nothing.

        Parameters
        ----------
        frame : bytes
        sender : str
            Party named in errors.

        Raises
        ------
        FrameTooLargeError, MalformedFrameError, UnknownMessageError
        """
        head, body = self._cut(frame, sender)
        try:
            tag = msgspec.msgpack.decode(head, type=_Tag).type
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise MalformedFrameError(
                sender, f"sent a head that is no message: {printable(error)}"
            ) from None
        message_type = self._types.get(tag)
        if message_type is None:
            raise UnknownMessageError(
                sender,
                f"sent a message of unknown type {tag[:40]!r}. "
                "Compare the software versions and the trainer of both sides",
            )
        buffers = _Buffers(body, tag, sender, self.limits)
        try:
            message = msgspec.msgpack.decode(head, type=message_type, dec_hook=buffers.take)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise MalformedFrameError(
                sender, f"sent a malformed {tag}: {printable(error)}"
            ) from None
        buffers.finish()
        for field, spec in array_fields(message_type).items():
            value = getattr(message, field)
            if value is not None and not spec.matches(value):
                raise MalformedFrameError(
                    sender,
                    f"sent {tag}.{field} as {value.dtype.name} with {value.ndim} dimensions; "
                    f"it must be {spec}",
                )
        self._check_code(message, MalformedFrameError, sender)
        return message

    def _cut(self, frame: bytes, sender: str) -> tuple[memoryview, memoryview]:
        if len(frame) > self.limits.frame_bytes:
            raise FrameTooLargeError(
                sender, f"sent {len(frame)} bytes; the limit is {self.limits.frame_bytes}"
            )
        if len(frame) < _PREFIX.size:
            raise MalformedFrameError(sender, "sent a frame that ends within its prefix")
        magic, head_bytes, zero = _PREFIX.unpack_from(frame)
        if magic != MAGIC or any(zero):
            raise MalformedFrameError(sender, "sent bytes that are no frame of this protocol")
        if head_bytes > self.limits.head_bytes:
            raise FrameTooLargeError(
                sender, f"sent a head of {head_bytes} bytes; the limit is {self.limits.head_bytes}"
            )
        view = memoryview(frame)
        start, end = _PREFIX.size, _PREFIX.size + head_bytes
        padded_end = start + _padded(head_bytes)
        if len(frame) < padded_end or any(view[end:padded_end]):
            raise MalformedFrameError(sender, "sent a frame that ends within its head")
        return view[start:end], view[padded_end:]

    def _check_code(
        self,
        message: Message,
        error: type[InvalidMessageError] | type[MalformedFrameError],
        party: str,
    ) -> None:
        if isinstance(message, Failure) and message.code not in self.failure_codes:
            raise error(party, f"Failure.code={message.code!r} is not a known failure code")


class _Buffers:
    """The part of a frame behind its head, handed out array by array."""

    def __init__(self, body: memoryview, tag: str, sender: str, limits: Limits) -> None:
        self._body = body
        self._position = 0
        self._taken = 0
        self._tag = tag
        self._sender = sender
        self._limits = limits

    def take(self, _type: type, description: object) -> NDArray[Any]:
        """Make the array that the head describes as ``[dtype, dim, dim, ...]``."""
        self._taken += 1
        if self._taken > self._limits.arrays:
            raise FrameTooLargeError(
                self._sender,
                f"sent {self._tag} with more than {self._limits.arrays} arrays, the limit",
            )
        if not isinstance(description, list) or not 2 <= len(description) <= 5:
            raise self._malformed("describes an array wrongly")
        name, *shape = description
        dtype = _WIRE_DTYPES.get(name) if isinstance(name, str) else None
        if dtype is None:
            raise self._malformed("has an array of a type that may not travel")
        if any(type(dim) is not int or not 0 <= dim <= self._limits.frame_bytes for dim in shape):
            raise self._malformed("has an array with an impossible shape")
        count = math.prod(shape)
        # Empty arrays too must have a shape that numpy can hold.
        size = count * dtype.itemsize
        if math.prod(dim or 1 for dim in shape) * dtype.itemsize > self._limits.frame_bytes:
            raise self._malformed("has an array with an impossible shape")
        end = self._position + size
        padded_end = self._position + _padded(size)
        if padded_end > len(self._body) or any(self._body[end:padded_end]):
            raise self._malformed("is shorter than its arrays")
        buffer = self._body[self._position : end]
        self._position = padded_end
        array: NDArray[Any] = np.frombuffer(buffer, dtype=dtype, count=count).reshape(shape)
        if dtype == np.bool_ and count and array.view(np.uint8).max() > 1:
            raise self._malformed("has a truth value that is neither 0 nor 1")
        return array

    def finish(self) -> None:
        """Check that nothing is left over."""
        if self._position != len(self._body):
            raise self._malformed("is longer than its arrays")

    def _malformed(self, problem: str) -> MalformedFrameError:
        return MalformedFrameError(self._sender, f"sent a frame whose {self._tag} {problem}")


def frame_bytes(message: Message) -> int:
    """Size of the frame that `Codec.encode` makes of a message, without copying its arrays."""
    sizes: list[int] = []

    def describe(array: NDArray[Any]) -> list[object]:
        sizes.append(_padded(array.nbytes))
        return [array.dtype.name, *array.shape]

    head = msgspec.msgpack.encode(message, enc_hook=describe)
    return _PREFIX.size + _padded(len(head)) + sum(sizes)


def _tag(message_type: type[Message]) -> str:
    return str(message_type.__struct_config__.tag)


def _padded(size: int) -> int:
    return -(-size // 8) * 8


def _padding(size: int) -> bytes:
    return bytes(_padded(size) - size)
