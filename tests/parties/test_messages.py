"""Message classes, their reprs, and the catalogue."""

from typing import Any

import numpy as np
import pytest
from rich.pretty import pretty_repr
from support.talk import MESSAGES, Add, Begin, Total

from parties.catalogue import catalogue, reveals
from parties.messages import (
    SESSION_MESSAGES,
    Ack,
    Array,
    MatchRows,
    Reply,
    Request,
    UseAlignment,
)


def test_repr_shows_shapes_only() -> None:
    add = Add(values=np.array([[123456789, 5]]), times=2)
    rows = MatchRows(digest_key=b"k" * 32, n_rows=7, digest=b"d" * 32)
    for text in (repr, str, pretty_repr):
        assert text(add) == "Add(values=<int64[1, 2]>, times=2)"
        assert "kkkk" not in text(rows)
    use = UseAlignment(alignment=b"a" * 32, n_rows=7)
    assert repr(use) == "UseAlignment(alignment=<32 bytes>, n_rows=7)"
    assert repr(rows) == "MatchRows(digest_key=<32 bytes>, n_rows=7, digest=<32 bytes>)"


def test_equality_looks_into_arrays() -> None:
    total = np.arange(3)
    assert Total(total=total) == Total(total=total.copy())
    assert Total(total=total) != Total(total=total + 1)
    assert Total(total=total) != Total(total=total, positive=total > 0)
    assert Begin() != Ack()


def test_requests_know_their_reply() -> None:
    assert (Add.reply_type, Begin.reply_type) == (Total, Ack)
    with pytest.raises(TypeError, match="Lost must derive from Request"):

        class Lost(Request):  # type: ignore[type-arg]
            pass


def test_messages_are_frozen() -> None:
    with pytest.raises(AttributeError):
        Begin().key = b"1"  # type: ignore[misc]


@pytest.mark.parametrize(("dtype", "ndim"), [("object", 1), ("<i8", 1), ("int64", 0), ("int64", 5)])
def test_array_specs(dtype: str, ndim: int) -> None:
    with pytest.raises(ValueError, match=r"cannot travel|must lie between"):
        Array(dtype, ndim)


def test_catalogue() -> None:
    add = catalogue(MESSAGES)[1]
    assert (add.name, add.direction, add.reply) == ("Add", "asks", "Total")
    assert add.fields == (("values", "int64[:, :]"), ("times", "int"))
    assert add.reveals == "the table, all of it."
    total = catalogue(MESSAGES)[0]
    assert (total.direction, total.reply) == ("answers", "")


@pytest.mark.parametrize("message_type", SESSION_MESSAGES)
def test_every_session_message_says_what_it_reveals(message_type: Any) -> None:
    assert len(reveals(message_type)) > 10


def test_a_silent_message_is_refused() -> None:
    class Silent(Reply, frozen=True, kw_only=True):
        """Says nothing of what it shows."""

    with pytest.raises(TypeError, match=r"Silent has no 'Reveals: \.\.\.'"):
        catalogue([Silent])
