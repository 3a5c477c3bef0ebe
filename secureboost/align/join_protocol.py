"""What the label party may ask to join rows by customer and time, after keys were matched.

::

    open --BeginJoin--> joining --TimesOf--> joining --KeepRows--> joined --ConcludeJoin--> open

A join begins from an alignment of keys: its rows are the customers, by number. The label party
tells the times of its rows, in order of time, in chunks; the feature party answers how many of its
own rows match each. Which of its rows these are it keeps to itself, in the same order. At the end
the label party says which of its rows are kept, and both hold an alignment of rows.

A join that breaks off leaves nothing, and begins anew from the same alignment of keys. It needs no
cryptography, and no more than twelve bytes for a row.
"""

from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray

from parties.messages import Ack, Array, Bytes32, Message, Reply, Request
from parties.service import Transitions
from secureboost.align.join_options import AsOfTerms, WindowTerms
from secureboost.align.options import MAX_ROWS

Customers = Annotated[NDArray[np.int32], Array("int32", 1)]
Times = Annotated[NDArray[np.int64], Array("int64", 1)]
Numbers = Annotated[NDArray[np.uint16], Array("uint16", 1)]
Bits = Annotated[NDArray[np.uint8], Array("uint8", 1)]
NumberOfRows = Annotated[int, msgspec.Meta(ge=1, le=MAX_ROWS)]

TIMES_CHUNK = 1 << 16
"""Rows in one `TimesOf`: 768 KiB."""


class BeginJoin(Request[Ack], frozen=True, kw_only=True):
    """Join rows of the customers that an alignment of keys lists.

    Reveals: to the feature party, which earlier agreement on customers is meant, how many rows the
    label party has of them at most, and the terms: the window, the unit of times, how many matches
    a row may have.

    Attributes
    ----------
    alignment : bytes
        Of keys; its rows are the customers.
    n_rows : int
        At most so many times will be told.
    terms : AsOfTerms or WindowTerms
    """

    alignment: Bytes32
    n_rows: NumberOfRows
    terms: AsOfTerms | WindowTerms


class Matches(Reply, frozen=True, kw_only=True):
    """How many rows match.

    Reveals: to the label party, how many rows of the feature party lie in the window of each of
    its rows; in an as-of join, and where one match is taken, whether there is one.

    Attributes
    ----------
    n_matches : array of shape (n,), uint16
        At most 1 in an as-of join, at most ``WindowTerms.max_matches`` otherwise.
    """

    n_matches: Numbers


class TimesOf(Request[Matches], frozen=True, kw_only=True):
    """These are rows of mine: their customers and times.

    Reveals: to the feature party, how many rows the label party has of each common customer, and
    the time of each: when somebody applied for a loan. Where times are days, no more than the day.

    Attributes
    ----------
    customers : array of shape (n,), int32
        Rows of the alignment of keys.
    times : array of shape (n,), int64
        Ascending throughout all chunks; in the agreed unit.
    """

    customers: Customers
    times: Times


class KeepRows(Request[Ack], frozen=True, kw_only=True):
    """These of my rows are the agreed ones, with their matches.

    Reveals: to the feature party, which rows of the label party are used: those without a match
    that were drawn to be kept, and, with several feature parties, those that all of them have.

    Attributes
    ----------
    kept : array of shape (ceil(n / 8),), uint8
        A bit for each row that was told, lowest first. A kept row stands for as many agreed rows as
        it has matches, one without a match for one.
    n_agreed : int
        How many agreed rows there are.
    """

    kept: Bits
    n_agreed: NumberOfRows


class ConcludeJoin(Request[Ack], frozen=True, kw_only=True):
    """Keep the agreed rows under this name.

    Reveals: to the feature party, a hash of everything that both sides have said, which it knows.
    """

    alignment: Bytes32


JOIN_MESSAGES: tuple[type[Message], ...] = (BeginJoin, TimesOf, Matches, KeepRows, ConcludeJoin)

JOIN_TRANSITIONS: Transitions = {
    "open": {BeginJoin: "joining"},
    "joining": {TimesOf: "joining", KeepRows: "joined"},
    "joined": {ConcludeJoin: "open"},
}
"""What may be asked in which state, and the state after an answer; a refusal changes nothing."""
