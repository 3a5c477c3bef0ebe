"""The feature party's half of ECDH: multiplies, blinds, and tells in which order it may.

It sees elements of the label party that are random to it, and gives out its own under its scalar.
Everything that comes is checked; a fault ends the session.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crypto.errors import ElementError
from crypto.groups import get_group
from parties.messages import Ack, Refusal, Reply, Request
from secureboost.align.chunking import Chunks
from secureboost.align.ecdh_secrets import hash_tag, session_secrets
from secureboost.align.elements import Elements, repeated, sorting
from secureboost.align.method import Answering, AnsweringHalf
from secureboost.align.protocol import (
    BlindedKeys,
    Code,
    DoublyBlinded,
    DoublyBlindedOf,
    KeysOf,
    Order,
    OrderOf,
    PartyKeys,
)
from secureboost.errors import AlignmentError

_DIGEST_BYTES = 32


class EcdhAnswerer(AnsweringHalf):
    """One session's half.

    Raises
    ------
    secureboost.errors.AlignmentError
        If what was kept of an interrupted session cannot be gone on with.
    OSError
    """

    def __init__(self, context: Answering) -> None:
        self._context = context
        self._group = get_group(context.agreed.group)
        self._tag = hash_tag(self._group)
        self._secrets = session_secrets(self._group, context.state)
        self._order = self._secrets.order(len(context.keys.encoded))
        self._theirs = Chunks(context.proposal.n_keys, context.proposal.chunk)
        self._own = Chunks(len(context.keys.encoded), context.proposal.chunk)
        self._doubled = np.empty((self._theirs.n, self._group.element_bytes), dtype=np.uint8)
        """The label party's keys under both scalars, as they came."""
        self._their_digests: list[bytes] = []
        self._own_digests: list[bytes] = []
        self._sorting = np.empty(0, dtype=np.int32)
        self._n_doubled_told = 0
        self._n_ordered = 0
        self._telling = False
        self.answers: Mapping[type[Request[Any]], Callable[[Any], Reply]] = {
            BlindedKeys: self._blinded_keys,
            KeysOf: self._keys_of,
            DoublyBlindedOf: self._doubly_blinded_of,
            OrderOf: self._order_of,
        }
        self._go_on()

    @property
    def received(self) -> int:
        """Chunks of the label party's keys that are there already."""
        return len(self._their_digests)

    def compared(self) -> None:
        """Check that the label party has all that it takes to know the size."""
        if self._n_doubled_told < len(self._theirs):
            raise Refusal(
                Code.CHUNK,
                f"the size is told after all {len(self._theirs)} chunks of doubly blinded keys, "
                f"not after {self._n_doubled_told}",
            )
        transcript = self._context.transcript
        transcript.add("keys of the label party", b"".join(self._their_digests))
        transcript.add("keys of the feature party", b"".join(self._own_digests))
        digest = hashlib.sha256()
        for chunk in range(len(self._theirs)):
            digest.update(self._in_order(chunk).data)
        transcript.add("doubly blinded keys", digest.digest())

    def allow_telling(self) -> None:
        """Note that the size suffices."""
        self._telling = True

    def key_order(self) -> NDArray[np.int32]:
        """The positions of this side's keys in the order in which it told them."""
        if self._n_ordered < len(self._theirs):
            raise Refusal(
                Code.CHUNK,
                f"rows are listed after all {len(self._theirs)} chunks of the order, not after "
                f"{self._n_ordered}",
            )
        self._context.transcript.add_array("order", self._sorting)
        return self._order

    def _blinded_keys(self, request: BlindedKeys) -> Ack:
        due = self.received
        if due == len(self._theirs) or request.chunk != due:
            raise _fault(
                Code.CHUNK,
                f"chunk {request.chunk} of the label party's keys came; {due} of "
                f"{len(self._theirs)} are here",
            )
        bounds = self._theirs.bounds(due)
        if request.elements.shape != (self._theirs.length(due), self._group.element_bytes):
            raise _fault(
                Code.CHUNK,
                f"chunk {due} has {len(request.elements)} elements of "
                f"{request.elements.shape[1]} bytes; announced were {self._theirs.length(due)} of "
                f"{self._group.element_bytes}",
            )
        try:
            doubled = self._group.multiply(
                request.elements, self._secrets.scalar, n_jobs=self._context.n_jobs
            )
        except ElementError as error:
            raise _fault(Code.ELEMENTS, f"chunk {due} of the label party: {error}") from error
        digest = hashlib.sha256(request.elements.data).digest()
        self._context.state.put(_theirs(due), digest + doubled.tobytes())
        self._doubled[bounds] = doubled
        self._their_digests.append(digest)
        if self.received == len(self._theirs):
            self._sort()
        return Ack()

    def _keys_of(self, request: KeysOf) -> PartyKeys:
        self._all_received()
        chunk = request.chunk
        told = len(self._own_digests)
        if chunk > told or chunk >= len(self._own):
            raise _fault(
                Code.CHUNK,
                f"chunk {chunk} of this party's {len(self._own)} was asked for; {told} were told",
            )
        encoded = self._context.keys.encoded
        elements = self._group.blind(
            [encoded[position] for position in self._order[self._own.bounds(chunk)]],
            self._secrets.scalar,
            tag=self._tag,
            n_jobs=self._context.n_jobs,
        )
        if chunk == told:  # one that is told again is the same
            digest = hashlib.sha256(elements.data).digest()
            self._context.state.put(_own(chunk), digest)
            self._own_digests.append(digest)
        return PartyKeys(elements=elements)

    def _doubly_blinded_of(self, request: DoublyBlindedOf) -> DoublyBlinded:
        self._all_received()
        if len(self._own_digests) < len(self._own):
            raise _fault(
                Code.CHUNK,
                f"{len(self._own_digests)} of {len(self._own)} chunks of this party's keys were "
                "asked for; the doubly blinded ones come after all of them",
            )
        self._n_doubled_told = self._next(request.chunk, self._n_doubled_told)
        return DoublyBlinded(elements=self._in_order(request.chunk))

    def _order_of(self, request: OrderOf) -> Order:
        if not self._telling:
            raise Refusal(Code.MINIMUM, "nothing more is told: the size was below the minimum")
        self._n_ordered = self._next(request.chunk, self._n_ordered)
        return Order(positions=self._sorting[self._theirs.bounds(request.chunk)])

    def _next(self, chunk: int, told: int) -> int:
        """Check that a chunk is in turn, and return how many have been told after it."""
        if chunk != told or chunk >= len(self._theirs):
            raise _fault(
                Code.CHUNK, f"chunk {chunk} was asked for; {told} of {len(self._theirs)} were told"
            )
        return told + 1

    def _all_received(self) -> None:
        if self.received < len(self._theirs):
            raise _fault(
                Code.CHUNK,
                f"the label party has told {self.received} of {len(self._theirs)} chunks of its "
                "keys; this party tells its own after all of them",
            )

    def _in_order(self, chunk: int) -> Elements:
        """That chunk of the label party's keys under both scalars, sorted."""
        elements: Elements = self._doubled[self._sorting[self._theirs.bounds(chunk)]]
        return elements

    def _sort(self) -> None:
        """Sort what is complete now; equal elements stand next to each other then."""
        self._sorting = sorting(self._doubled)
        if repeated(self._doubled, self._sorting):
            raise _fault(Code.ELEMENTS, "the label party told an element twice")

    def _go_on(self) -> None:
        """Take up what an interrupted session has left."""
        state = self._context.state
        for chunk in range(len(self._theirs)):
            kept = state.get(_theirs(chunk))
            if kept is None:
                break
            n_bytes = self._theirs.length(chunk) * self._group.element_bytes
            if len(kept) != _DIGEST_BYTES + n_bytes:
                raise AlignmentError(f"{_theirs(chunk)} in {state.folder} has another length")
            doubled = np.frombuffer(kept, np.uint8, offset=_DIGEST_BYTES)
            self._doubled[self._theirs.bounds(chunk)] = doubled.reshape(
                -1, self._group.element_bytes
            )
            self._their_digests.append(kept[:_DIGEST_BYTES])
        if self.received < len(self._theirs):
            return
        self._sort()
        for chunk in range(len(self._own)):
            digest = state.get(_own(chunk))
            if digest is None:
                break
            self._own_digests.append(digest)


def _fault(code: Code, detail: str) -> Refusal:
    """End a session that cannot be gone on with."""
    return Refusal(code, detail, ends_session=True)


def _theirs(chunk: int) -> str:
    return f"theirs-{chunk:08d}"


def _own(chunk: int) -> str:
    return f"own-{chunk:08d}"
