"""Frames: exact round trips, and nothing but named errors for hostile bytes."""

import contextlib
import struct
from typing import Annotated, Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from support.talk import MESSAGES, Add, Begin, SumCode, Total, make_codec

from parties.chunks import CHUNK_BYTES, Reassembler, split
from parties.codec import Codec, Limits
from parties.errors import (
    FrameTooLargeError,
    InvalidMessageError,
    MalformedFrameError,
    ProtocolError,
    UnknownMessageError,
)
from parties.messages import Array, Failure, Hello, Message, Reply

CODEC = make_codec()
tables = hnp.arrays(np.int64, hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=6))
totals = hnp.arrays(np.int64, st.integers(0, 9))
masks = st.none() | hnp.arrays(np.bool_, st.integers(0, 20))
messages = st.one_of(
    st.builds(Add, values=tables, times=st.integers(1, 9)),
    st.builds(Total, total=totals, positive=masks),
    st.builds(Begin, key=st.binary(max_size=40)),
    st.builds(Failure, code=st.just("too_many"), detail=st.text(max_size=500)),
)


def raw_frame(head: Any, body: bytes = b"") -> bytes:
    encoded = head if isinstance(head, bytes) else msgspec.msgpack.encode(head)
    prefix = struct.pack("<4sI8s", b"SBF1", len(encoded), bytes(8))
    return prefix + encoded + bytes(-len(encoded) % 8) + body


@given(messages)
def test_round_trip_is_exact(message: Message) -> None:
    decoded = CODEC.decode(CODEC.encode(message), "bureau")
    assert decoded == message
    assert CODEC.encode(decoded) == CODEC.encode(message)


def test_decoded_arrays_are_read_only_views_of_the_frame() -> None:
    frame = CODEC.encode(Add(values=np.arange(6).reshape(2, 3)))
    decoded = CODEC.decode(frame, "bureau")
    assert isinstance(decoded, Add)
    assert not decoded.values.flags.writeable
    assert decoded.values.flags.aligned
    assert np.shares_memory(decoded.values, np.frombuffer(frame, np.uint8))


def test_arrays_in_any_memory_order_travel() -> None:
    values = np.asfortranarray(np.arange(12).reshape(3, 4))[::2]
    decoded = CODEC.decode(CODEC.encode(Add(values=values)), "bureau")
    assert decoded == Add(values=values)


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        CODEC.decode(data, "bureau")


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**64 - 1)
        | st.floats()
        | st.text()
        | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ),
    st.sampled_from(["Add", "Total", "Begin", "Hello", "Failure"]),
    st.binary(max_size=64),
)
def test_any_head(value: Any, tag: str, body: bytes) -> None:
    for head in (value, {"type": tag, "values": value, "total": value, "code": value}):
        with contextlib.suppress(ProtocolError):
            assert isinstance(CODEC.decode(raw_frame(head, body), "bureau"), Message)


@given(messages, st.data())
def test_a_changed_frame(message: Message, data: st.DataObject) -> None:
    frame = bytearray(CODEC.encode(message))
    for _ in range(data.draw(st.integers(1, 4))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(frame)) | st.just(len(frame)))
    with contextlib.suppress(ProtocolError):
        assert isinstance(CODEC.decode(bytes(frame[:end]), "bureau"), Message)


def add(values: Any, **more: Any) -> dict[str, Any]:
    return {"type": "Add", "values": values, **more}


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        (raw_frame(add(["float64", 1, 1]), bytes(8)), r"Add\.values as float64 with 2"),
        (raw_frame(add(["int64", 1]), bytes(8)), r"with 1 dimensions; it must be int64\[:, :\]"),
        (raw_frame(add(["object", 1, 1]), bytes(8)), "type that may not travel"),
        (raw_frame(add(["<i8", 1, 1]), bytes(8)), "type that may not travel"),
        (raw_frame(add([["int64"], 1, 1]), bytes(8)), "type that may not travel"),
        (raw_frame(add(["int64", -1, 1])), "impossible shape"),
        (raw_frame(add(["int64", True, 1]), bytes(8)), "impossible shape"),
        (raw_frame(add(["int64", 0, 2**40])), "impossible shape"),
        (raw_frame(add(["int64", 0, 2**30, 2**30])), "impossible shape"),
        (raw_frame(add(["int64", 2**20, 2**20])), "impossible shape"),
        (raw_frame(add(["int64", 2**10, 2**10])), "shorter than its arrays"),
        (raw_frame(add(["int64", 1, 1]), bytes(16)), "longer than its arrays"),
        (
            raw_frame(
                {"type": "Total", "total": ["int64", 0], "positive": ["bool", 1]}, b"\2" + bytes(7)
            ),
            "neither 0 nor 1",
        ),
        (
            raw_frame({"type": "Total", "total": ["int64", 0], "positive": ["bool", 1]}, b"\1" * 8),
            "shorter than its arrays",
        ),
        (raw_frame(add(7)), "describes an array wrongly"),
        (raw_frame(add(["int64", 1, 1], times=10), bytes(8)), "<= 9"),
        (raw_frame({"type": "Begin", "more": 1}), "unknown field"),
        (raw_frame({"type": "Failure", "code": "nonsense"}), "not a known failure code"),
        (raw_frame({"type": "Failure", "code": "busy", "detail": "x" * 501}), "length <= 500"),
        (raw_frame(b"\x91" * 100_000), "no message"),
        (raw_frame(b"\x82\xa1x" + b"\x91" * 100_000), "no message"),
        (raw_frame({"type": "Begin"}) + b"\0", "longer than its arrays"),
        (b"SBF2" + raw_frame({"type": "Begin"})[4:], "no frame of this protocol"),
        (b"", "within its prefix"),
    ],
)
def test_hostile_frames(frame: bytes, text: str) -> None:
    with pytest.raises(MalformedFrameError, match=text) as caught:
        CODEC.decode(frame, "bureau")
    assert caught.value.party == "bureau"


def test_unknown_type_is_named_and_made_printable() -> None:
    with pytest.raises(UnknownMessageError, match=r"bureau: sent .* type 'Pickle\\x1b'"):
        CODEC.decode(raw_frame({"type": "Pickle\x1b"}), "bureau")


def test_hostile_text_in_errors_is_cut_and_printable() -> None:
    with pytest.raises(MalformedFrameError) as caught:
        CODEC.decode(raw_frame({"type": "Begin", "\x1b[2J" + "x" * 10_000: 1}), "bureau")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


def test_limits() -> None:
    codec = make_codec(Limits(frame_bytes=1000, head_bytes=100))
    frame = make_codec().encode(Add(values=np.zeros((1000, 1), np.int64)))
    with pytest.raises(FrameTooLargeError, match="bureau: sent 8056 bytes; the limit is 1000"):
        codec.decode(frame, "bureau")
    with pytest.raises(FrameTooLargeError, match="a head of 225 bytes; the limit is 100"):
        codec.decode(CODEC.encode(Begin(key=bytes(207))), "bureau")
    with pytest.raises(InvalidMessageError, match=r"Add takes 8056 bytes .* Send fewer rows"):
        codec.encode(Add(values=np.zeros((1000, 1), np.int64)))
    many = Codec(MESSAGES, [SumCode], Limits(arrays=2))
    head = msgspec.msgpack.encode(add(["int64", 0, 0]))
    repeated = b"\x84" + head[1:] + (b"\xa6values" + msgspec.msgpack.encode(["int64", 0, 0])) * 2
    with pytest.raises(FrameTooLargeError, match="more than 2 arrays"):
        many.decode(raw_frame(repeated), "bureau")


def test_our_own_mistakes_are_told_before_anything_is_sent() -> None:
    with pytest.raises(InvalidMessageError, match=r"Add\.values must be a int64\[:, :\] array"):
        CODEC.encode(Add(values=np.zeros(3)))  # type: ignore[arg-type]
    with pytest.raises(InvalidMessageError, match=r"Add cannot be sent: Expected `int` >= 1"):
        CODEC.encode(Add(values=np.zeros((1, 1), np.int64), times=0))
    with pytest.raises(InvalidMessageError, match=r"Hello cannot be sent: .* `\$\.party`"):
        CODEC.encode(Hello(protocol_version=1, software_version="1", trainer="t", party="../x"))
    with pytest.raises(InvalidMessageError, match="not a known failure code"):
        CODEC.encode(Failure(code="nonsense"))
    with pytest.raises(InvalidMessageError, match="Add is not a message of this codec"):
        Codec().encode(Add(values=np.zeros((1, 1), np.int64)))


class Naked(Reply, frozen=True, kw_only=True):
    """An array without dtype.

    Reveals: nothing.
    """

    values: NDArray[np.int64]


class Nested(Reply, frozen=True, kw_only=True):
    """An array inside a list.

    Reveals: nothing.
    """

    values: list[Annotated[NDArray[np.int64], Array("int64", 1)]]


@pytest.mark.parametrize("message_type", [Naked, Nested])
def test_array_fields_are_checked_when_the_codec_is_made(message_type: type[Message]) -> None:
    with pytest.raises(TypeError, match=r"\.values must be declared as Annotated"):
        Codec([message_type])


def test_a_closed_set_is_complete_and_unambiguous() -> None:
    with pytest.raises(TypeError, match="Add is answered by Total, which is not in the set"):
        Codec([Add])
    with pytest.raises(TypeError, match="share a name"):
        Codec([Total, Total])


# --- chunks ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "size", [1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES]
)
def test_chunks_round_trip(size: int) -> None:
    frame = np.random.default_rng(0).bytes(size)
    reassembler = Reassembler(size, "bureau")
    for _ in range(2):
        chunks = list(split(frame))
        assert max(map(len, chunks)) <= CHUNK_BYTES + 1
        assert [reassembler.feed(chunk) for chunk in chunks] == [None] * (len(chunks) - 1) + [frame]


def test_the_limit_holds_before_memory_grows() -> None:
    reassembler = Reassembler(100, "bureau")
    assert reassembler.feed(b"\0" + bytes(60)) is None
    with pytest.raises(FrameTooLargeError, match="bureau: sent a frame of more than 100 bytes"):
        reassembler.feed(b"\0" + bytes(41))
    assert reassembler.feed(b"\1" + bytes(100)) == bytes(100)  # what was collected is gone
    with pytest.raises(FrameTooLargeError, match="chunk of 1048577 bytes"):
        reassembler.feed(b"\1" + bytes(CHUNK_BYTES + 1))


@pytest.mark.parametrize("chunk", [b"", b"\0", b"\1", b"\2", b"\2x"])
def test_empty_chunks_cannot_go_on_for_ever(chunk: bytes) -> None:
    with pytest.raises(MalformedFrameError, match="without content or flag"):
        Reassembler(100, "bureau").feed(chunk)
