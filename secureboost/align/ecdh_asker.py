"""The label party's half of ECDH: blinds its keys, multiplies the party's, compares.

While one chunk is blinded or multiplied here, others travel and are worked on at the party.
"""

import hashlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from crypto.errors import ElementError
from crypto.groups import get_group
from secureboost.align.chunking import Chunks, ask_ahead
from secureboost.align.ecdh_secrets import hash_tag, session_secrets
from secureboost.align.elements import Elements, ascends, find, repeated, sorting
from secureboost.align.listing import Pairs
from secureboost.align.method import Asking, AskingHalf
from secureboost.align.protocol import (
    BlindedKeys,
    DoublyBlindedOf,
    KeysOf,
    OrderOf,
)
from secureboost.errors import AlignmentError, IntegrityError

_DIGEST_BYTES = 32


class EcdhAsker(AskingHalf):
    """One session's half.

    Raises
    ------
    secureboost.errors.AlignmentError
        If what was kept of an interrupted session cannot be gone on with.
    OSError
    """

    def __init__(self, context: Asking) -> None:
        self._context = context
        self._party = context.peer.name
        self._group = get_group(context.agreed.group)
        self._secrets = session_secrets(self._group, context.state)
        self._order = self._secrets.order(len(context.keys.encoded))
        self._own = Chunks(len(context.keys.encoded), context.proposal.chunk)
        self._theirs = Chunks(context.agreed.n_keys, context.proposal.chunk)
        self._places = np.empty(0, dtype=np.int32)
        """For each doubly blinded key its place among the party's keys; -1: not common."""

    def compare(self) -> int:
        """Exchange all elements; how many are common."""
        own = self._send_keys()
        own.view(f"S{own.shape[1]}").sort(axis=0)
        theirs = self._fetch_keys(own)
        order = sorting(theirs)
        if repeated(theirs, order):
            raise self._fault("sent one of its own keys twice")
        self._places = self._fetch_places(own, theirs, order)
        return int(np.count_nonzero(self._places >= 0))

    def pairs(self) -> Pairs:
        """Ask for the order of the doubly blinded keys; which keys are common."""
        sent_as = self._fetch_order()
        common = self._places >= 0
        return Pairs(
            mine=self._order[sent_as[common]], theirs=self._places[common], n_theirs=self._theirs.n
        )

    def _send_keys(self) -> Elements:
        """Tell all own keys that the party does not have yet; returns them all."""
        own = self._empty(self._own)
        digests: list[bytes] = []
        received = self._context.agreed.received

        def requests() -> Iterator[BlindedKeys]:
            for chunk in range(len(self._own)):
                elements = self._blinded(chunk)
                own[self._own.bounds(chunk)] = elements
                digests.append(hashlib.sha256(elements.data).digest())
                self._context.report("send", self._own.bounds(chunk).stop, self._own.n)
                if chunk >= received:
                    yield BlindedKeys(chunk=chunk, elements=elements)

        for _ in ask_ahead(self._context.peer, requests()):
            pass
        self._context.transcript.add("keys of the label party", b"".join(digests))
        return own

    def _blinded(self, chunk: int) -> Elements:
        """Own keys of that chunk under our scalar, as they were kept or made now."""
        kept = self._context.state.get(f"own-{chunk:08d}")
        if kept is not None:
            return self._restored(kept, self._own.length(chunk))
        encoded = self._context.keys.encoded
        elements = self._group.blind(
            [encoded[position] for position in self._order[self._own.bounds(chunk)]],
            self._secrets.scalar,
            tag=hash_tag(self._group),
            n_jobs=self._context.n_jobs,
        )
        # kept before it is sent: what the party has is never more than what is here
        self._context.state.put(f"own-{chunk:08d}", elements.tobytes())
        return elements

    def _fetch_keys(self, own: Elements) -> Elements:
        """Fetch the party's keys and multiply them; returns them doubly blinded.

        `own` are our blinded keys, sorted.
        """
        doubled = self._empty(self._theirs)
        digests: list[bytes] = []
        while (kept := self._context.state.get(f"theirs-{len(digests):08d}")) is not None:
            bounds = self._theirs.bounds(len(digests))
            some = self._restored(kept[_DIGEST_BYTES:], self._theirs.length(len(digests)))
            doubled[bounds] = some
            digests.append(kept[:_DIGEST_BYTES])
            self._context.report("fetch", bounds.stop, self._theirs.n)
        requests = (KeysOf(chunk=chunk) for chunk in range(len(digests), len(self._theirs)))
        for reply in ask_ahead(self._context.peer, requests):
            chunk = len(digests)
            self._check_chunk("its keys", reply.elements, self._theirs, chunk)
            self._check_no_echo("its keys", reply.elements, own, chunk)
            some = self._multiplied(reply.elements, chunk)
            digest = hashlib.sha256(reply.elements.data).digest()
            self._context.state.put(f"theirs-{chunk:08d}", digest + some.tobytes())
            doubled[self._theirs.bounds(chunk)] = some
            digests.append(digest)
            self._context.report("fetch", self._theirs.bounds(chunk).stop, self._theirs.n)
        self._context.transcript.add("keys of the feature party", b"".join(digests))
        return doubled

    def _multiplied(self, elements: Elements, chunk: int) -> Elements:
        try:
            return self._group.multiply(elements, self._secrets.scalar, n_jobs=self._context.n_jobs)
        except ElementError as error:
            raise self._fault(f"chunk {chunk} of its keys: {error}") from error

    def _fetch_places(
        self, own: Elements, theirs: Elements, order: NDArray[np.int32]
    ) -> NDArray[np.int32]:
        """Fetch our own keys back, doubly blinded and sorted; the place of each in `theirs`.

        `order` is the sorting of `theirs`. What comes is not multiplied, so what is no element of
        the group need not be looked for: it equals none of ours.
        """
        places = np.empty(self._own.n, dtype=np.int32)
        digest = hashlib.sha256()
        last: Elements | None = None
        requests = (DoublyBlindedOf(chunk=chunk) for chunk in range(len(self._own)))
        for chunk, reply in enumerate(ask_ahead(self._context.peer, requests)):
            bounds = self._own.bounds(chunk)
            self._check_chunk("our keys", reply.elements, self._own, chunk)
            self._check_no_echo("our keys", reply.elements, own, chunk)
            if not ascends(reply.elements, last):
                raise self._fault(f"chunk {chunk} of our keys is not in ascending order")
            last = reply.elements[-1:].copy()
            digest.update(reply.elements.data)
            places[bounds] = find(theirs, reply.elements, order)
            self._context.report("compare", bounds.stop, self._own.n)
        self._context.transcript.add("doubly blinded keys", digest.digest())
        return places

    def _fetch_order(self) -> NDArray[np.int32]:
        """Fetch the place among our keys, as we sent them, of each doubly blinded one."""
        order = np.empty(self._own.n, dtype=np.int32)
        requests = (OrderOf(chunk=chunk) for chunk in range(len(self._own)))
        for chunk, reply in enumerate(ask_ahead(self._context.peer, requests)):
            if len(reply.positions) != self._own.length(chunk):
                raise self._fault(
                    f"chunk {chunk} of the order has {len(reply.positions)} positions, not "
                    f"{self._own.length(chunk)}"
                )
            order[self._own.bounds(chunk)] = reply.positions
        seen = np.zeros(self._own.n, dtype=bool)
        seen[order[(order >= 0) & (order < self._own.n)]] = True
        if not seen.all():
            raise self._fault("the order that it told is none: positions are missing or repeated")
        self._context.transcript.add_array("order", order)
        return order

    def _check_chunk(self, what: str, elements: Elements, chunks: Chunks, chunk: int) -> None:
        expected = (chunks.length(chunk), self._group.element_bytes)
        if elements.shape != expected:
            raise self._fault(
                f"chunk {chunk} of {what} has {elements.shape[0]} elements of {elements.shape[1]} "
                f"bytes; announced were {expected[0]} of {expected[1]}"
            )

    def _check_no_echo(self, what: str, elements: Elements, own: Elements, chunk: int) -> None:
        if (find(own, elements) >= 0).any():
            raise self._fault(f"chunk {chunk} of {what} holds an element that we had sent")

    def _restored(self, data: bytes, n: int) -> Elements:
        if len(data) != n * self._group.element_bytes:
            folder = self._context.state.folder
            raise AlignmentError(
                f"What was kept in {folder} does not fit. Delete the folder; the alignment begins "
                "anew then."
            )
        return np.frombuffer(data, np.uint8).reshape(n, self._group.element_bytes)

    def _empty(self, chunks: Chunks) -> Elements:
        return np.empty((chunks.n, self._group.element_bytes), dtype=np.uint8)

    def _fault(self, problem: str) -> IntegrityError:
        """Say what the party did."""
        return IntegrityError(self._party, f"{problem}. Nothing was kept; ask the party about it.")
