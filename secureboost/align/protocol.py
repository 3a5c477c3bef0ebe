"""What the label party may ask of a feature party to find common customers.

::

    open --Propose--> agreed --------KeysOf--------> giving --DoublyBlindedOf--> comparing
     ^                (BlindedKeys)                  (KeysOf)         (DoublyBlindedOf) |
     |                                                                               TellSize
     |                                                                                  v
     +-----Conclude-- listing <--ListKeys-- ordering <-------------OrderOf----------- sized
                      (ListKeys)            (OrderOf)

Requests in brackets leave the state as it is.

The requests between `Propose` and `TellSize` belong to the method; drawn and defined here are those
of ``"ecdh"``. A session that goes on after a crash enters at any of them. `methods` puts the tables
of all methods together.

ECDH, with x the label party's keys, y the feature party's, H a hash to a group of prime order, and
fresh secret scalars a of the label party and b of the feature party: a H(x) travels in a random
order of the label party's, b H(y) in one of the feature party's, and a b H(x) comes back sorted.
The label party computes a b H(y) and compares. Under the decisional Diffie-Hellman assumption in
the random-oracle model, elements of keys that are not common are random to whoever receives them
(Huberman, Franklin and Hogg, "Enhancing privacy and trust in electronic communities", 1999).

No commitment is exchanged ahead. A side tells its elements once, the label party all of them before
it sees one of the feature party's; what either saw goes into a hash at the end (`transcript`), and
both must have the same.
"""

from enum import StrEnum
from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray

from parties.messages import (
    Ack,
    Array,
    Bytes32,
    Count,
    Message,
    Name,
    Reply,
    Request,
    ShortText,
)
from parties.service import Transitions
from secureboost.align.join_options import AsOfTerms, WindowTerms
from secureboost.align.options import MAX_CHUNK, MAX_ROWS, Result

TRAINER = "align"

Elements = Annotated[NDArray[np.uint8], Array("uint8", 2)]
Positions = Annotated[NDArray[np.int32], Array("int32", 1)]
NumberOfKeys = Annotated[int, msgspec.Meta(ge=1, le=MAX_ROWS)]
Rule = Annotated[str, msgspec.Meta(max_length=500)]

LIST_CHUNK = 1 << 18
"""Positions in one `ListKeys`: 1 MiB."""

MAX_LISTED = 2 * MAX_ROWS


class Code(StrEnum):
    """Why a feature party does not answer."""

    METHOD = "method_refused"
    GROUP = "group_refused"
    RULES = "key_rules_differ"
    KEYS = "keys_unusable"
    TOO_MANY = "too_many_keys"
    MINIMUM = "below_minimum"
    BUDGET = "align_budget_spent"
    RESUME = "align_resume_refused"
    CHUNK = "chunk_refused"
    ELEMENTS = "elements_refused"
    LIST = "list_refused"
    TRANSCRIPT = "transcripts_differ"
    JOIN = "join_refused"
    TERMS = "join_terms_differ"
    TIMES = "times_refused"
    LATER_DATES = "dates_after_application"
    DISK = "alignment_cannot_be_kept"


class Agreed(Reply, frozen=True, kw_only=True):
    """The feature party takes part.

    Reveals: to the label party, how many different keys the feature party has, in which group it
    can compute, and how far an interrupted session had come.

    Attributes
    ----------
    nonce : bytes
        Fresh and random; another one for a session that goes on says that it began anew.
    group : str
        The first of `Propose.groups` that this party has; empty where the method needs none.
    n_keys : int
    received : int
        Chunks of the label party's keys that this party has already.
    """

    nonce: Bytes32
    group: ShortText
    n_keys: NumberOfKeys
    received: Count


class Propose(Request[Agreed], frozen=True, kw_only=True):
    """Find out which keys are common, or go on with it.

    Reveals: to the feature party, how many different keys the label party has, by which rules keys
    are made of columns, and the terms: the method, who is to learn the result, the minimum, and
    whether and how rows will be joined by time.

    Attributes
    ----------
    nonce : bytes
        Fresh and random; that of the interrupted session to go on with it.
    method : str
    groups : tuple of str
        Groups in which the label party can compute, best first.
    rules : tuple of str
        How keys are made of columns, rule by rule; the feature party's must be the same.
    n_keys : int
    result : str
        Who learns which keys are common, see `AlignOptions`.
    min_size : int
        With fewer common keys nobody is told which they are.
    chunk : int
        Keys in one message, in both directions; the last may hold fewer.
    join : AsOfTerms, WindowTerms or None
        How rows of common customers will be joined by time, see `join_protocol`; the feature party
        must want the same. None: not at all.
    """

    nonce: Bytes32
    method: Name
    groups: Annotated[tuple[Name, ...], msgspec.Meta(max_length=8)]
    rules: Annotated[tuple[Rule, ...], msgspec.Meta(max_length=64)]
    n_keys: NumberOfKeys
    result: Result
    min_size: NumberOfKeys
    chunk: Annotated[int, msgspec.Meta(ge=1, le=MAX_CHUNK)]
    join: AsOfTerms | WindowTerms | None


class BlindedKeys(Request[Ack], frozen=True, kw_only=True):
    """Some keys of the label party, blinded by it.

    Reveals: to the feature party, nothing of a key: group elements that are random to whoever does
    not know the label party's scalar.

    Attributes
    ----------
    chunk : int
        Counts from 0, without gaps.
    elements : array of shape (n, element_bytes), uint8
        a H(x), in a random order of the label party's.
    """

    chunk: Count
    elements: Elements


class PartyKeys(Reply, frozen=True, kw_only=True):
    """Some keys of the feature party, blinded by it.

    Reveals: to the label party, nothing of a key: group elements that are random to whoever does
    not know the feature party's scalar.

    Attributes
    ----------
    elements : array of shape (n, element_bytes), uint8
        b H(y), in a random order of the feature party's.
    """

    elements: Elements


class KeysOf(Request[PartyKeys], frozen=True, kw_only=True):
    """Give me that chunk of your own keys, blinded.

    Reveals: to the feature party, that the label party has told all of its keys.
    """

    chunk: Count


class DoublyBlinded(Reply, frozen=True, kw_only=True):
    """Some of the label party's keys, blinded by both.

    Reveals: to the label party, how many keys are common, once it has them all. They are sorted, so
    none can be told to be a certain key.

    Attributes
    ----------
    elements : array of shape (n, element_bytes), uint8
        a b H(x), ascending as bytes throughout all chunks.
    """

    elements: Elements


class DoublyBlindedOf(Request[DoublyBlinded], frozen=True, kw_only=True):
    """Give me that chunk of my own keys, blinded by both of us and sorted.

    Reveals: to the feature party, that the label party has received all of its keys.
    """

    chunk: Count


class Verdict(Reply, frozen=True, kw_only=True):
    """Whether the feature party goes on to tell which keys are common.

    Reveals: to the label party, whether the size is below the feature party's minimum.
    """

    goes_on: bool


class TellSize(Request[Verdict], frozen=True, kw_only=True):
    """So many keys are common.

    Reveals: to the feature party, how many of its keys the label party has too. It cannot check
    the number.
    """

    n_common: Annotated[int, msgspec.Meta(ge=0, le=MAX_ROWS)]


class Order(Reply, frozen=True, kw_only=True):
    """Which elements are which.

    Reveals: to the label party, which of its keys are common.

    Attributes
    ----------
    positions : array of shape (n,), int32
        For each element of that chunk of `DoublyBlinded` its place among all `BlindedKeys`.
    """

    positions: Positions


class OrderOf(Request[Order], frozen=True, kw_only=True):
    """In which order had I told the keys of that chunk of `DoublyBlinded`?

    Reveals: to the feature party, that the label party goes on.
    """

    chunk: Count


class ListKeys(Request[Ack], frozen=True, kw_only=True):
    """These keys of yours, in this order, are the agreed rows.

    Reveals: to the feature party, which of its keys are common to all parties, and with them so
    many that are not as the label party chose (``padding``, or all of them with
    ``result="label-party"``); how many rows are agreed on.

    Attributes
    ----------
    first : int
        Number of the first of them among the agreed rows.
    total : int
        How many rows are agreed on.
    positions : array of shape (n,), int32
        Places in this party's own order of keys, as it told them; distinct. -1 for a row of which
        this party has none.
    """

    first: Count
    total: Annotated[int, msgspec.Meta(ge=1, le=MAX_LISTED)]
    positions: Positions


class Conclude(Request[Ack], frozen=True, kw_only=True):
    """Keep the agreed rows under this name.

    Reveals: to the feature party, a hash of everything that both sides have said, which it knows.
    """

    alignment: Bytes32


COMMON_MESSAGES: tuple[type[Message], ...] = (
    Propose,
    Agreed,
    TellSize,
    Verdict,
    ListKeys,
    Conclude,
)
"""Messages of every method."""

COMMON_TRANSITIONS: Transitions = {
    "open": {Propose: "agreed"},
    "comparing": {TellSize: "sized"},
    "sized": {ListKeys: "listing"},
    "ordering": {ListKeys: "listing"},
    "listing": {ListKeys: "listing", Conclude: "open"},
}
"""What may be asked in which state, whatever the method. A method leads from ``agreed`` to
``comparing``, and from ``sized`` to ``ordering`` if it has anything to tell there."""

ECDH_MESSAGES: tuple[type[Message], ...] = (
    BlindedKeys,
    KeysOf,
    PartyKeys,
    DoublyBlindedOf,
    DoublyBlinded,
    OrderOf,
    Order,
)

ECDH_TRANSITIONS: Transitions = {
    "agreed": {BlindedKeys: "agreed", KeysOf: "giving", DoublyBlindedOf: "comparing"},
    "giving": {KeysOf: "giving", DoublyBlindedOf: "comparing"},
    "comparing": {DoublyBlindedOf: "comparing"},
    "sized": {OrderOf: "ordering"},
    "ordering": {OrderOf: "ordering"},
}
