"""The feature party's half of RSA: signs what the label party blinded, and tells its own tags.

It sees numbers that are uniform modulo n. What bounds the label party is how many it signs, which
is counted before a signature is made.
"""

import hashlib
import logging
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crypto.errors import BlindedValueError, CryptoError
from parties.messages import Refusal, Reply, Request
from secureboost.align.chunking import Chunks
from secureboost.align.elements import Elements, sorting
from secureboost.align.method import Answering, AnsweringHalf
from secureboost.align.protocol import Code
from secureboost.align.rsa_protocol import (
    BlindSignatures,
    SignBlinded,
    TagKey,
    TagKeyOf,
    Tags,
    TagsOf,
)
from secureboost.align.signer import Signer
from secureboost.align.table import AlignTable
from secureboost.align.tag_set import digest_tags
from secureboost.errors import SecureBoostError

_DIGEST_BYTES = 32
_COUNT_BYTES = 8

log = logging.getLogger(__name__)


class RsaAnswerer(AnsweringHalf):
    """One session's half.

    Raises
    ------
    secureboost.errors.AlignmentError
        If what was kept of an interrupted session is damaged.
    """

    def __init__(self, context: Answering) -> None:
        self._context = context
        self._signer = signer_of(context.table)
        self._own = Chunks(len(context.keys.encoded), context.proposal.chunk)
        self._digests: list[bytes] = []
        """Of the blinded chunks that were signed."""
        self._n_signed = 0
        self._described = False
        self.answers: Mapping[type[Request[Any]], Callable[[Any], Reply]] = {
            TagKeyOf: self._tag_key_of,
            SignBlinded: self._sign_blinded,
            TagsOf: self._tags_of,
        }
        self._go_on()

    @property
    def received(self) -> int:
        """Chunks of the label party's keys that were signed already."""
        return len(self._digests)

    def compared(self) -> None:
        """Check that the label party knows which tags there are; it may have them from before."""
        if not self._described:
            raise Refusal(Code.CHUNK, "the size is told after the tags were described")
        transcript = self._context.transcript
        transcript.add("signing key", self._signer.key.public_key.to_bytes())
        transcript.add("blinded keys", b"".join(self._digests))
        transcript.add("tags", self._digest)

    def allow_telling(self) -> None:
        """There is nothing more to tell."""

    def key_order(self) -> NDArray[np.int32]:
        """The positions of this side's keys in the order of their tags."""
        return self._order

    def _tag_key_of(self, request: TagKeyOf) -> TagKey:
        self._described = True
        key = self._signer.key
        return TagKey(
            public_key=key.public_key.to_bytes(),
            proof=key.proof,
            digest=self._digest,
            signatures_left=self._signer.budget.left,
        )

    def _sign_blinded(self, request: SignBlinded) -> BlindSignatures:
        digest = hashlib.sha256(request.values.tobytes()).digest()
        if request.chunk >= self.received:
            self._pay(request, digest)
        elif digest != self._digests[request.chunk]:
            raise self._fault(
                Code.CHUNK, f"chunk {request.chunk} was signed already, and is another one now"
            )
        try:
            values = self._signer.key.sign_blinded(request.values, n_jobs=self._context.n_jobs)
        except BlindedValueError as error:
            raise self._fault(Code.ELEMENTS, f"chunk {request.chunk}: {error}") from error
        return BlindSignatures(values=values)

    def _pay(self, request: SignBlinded, digest: bytes) -> None:
        """Check that a chunk is in turn and within what was announced, and count it."""
        count, proposal, budget = len(request.values), self._context.proposal, self._signer.budget
        if request.chunk != self.received or not 1 <= count <= proposal.chunk:
            raise self._fault(
                Code.CHUNK,
                f"chunk {request.chunk} of {count} blinded keys came; chunk {self.received} of 1 "
                f"to {proposal.chunk} was due",
            )
        if self._n_signed + count > proposal.n_keys:
            raise self._fault(
                Code.TOO_MANY,
                f"{self._n_signed + count} keys were to be signed; announced were "
                f"{proposal.n_keys}",
            )
        if not budget.spend_signatures(count):
            raise Refusal(
                Code.BUDGET,
                f"{count} signatures were asked for; this party gives {budget.left} more of "
                f"{budget.max_signatures} under its signing key. Bring fewer keys that are new to "
                "it, or ask it to allow more",
                ends_session=True,
            )
        self._context.state.put(_signed(request.chunk), digest + count.to_bytes(_COUNT_BYTES))
        self._digests.append(digest)
        self._n_signed += count

    def _tags_of(self, request: TagsOf) -> Tags:
        if request.chunk >= len(self._own):
            raise self._fault(
                Code.CHUNK, f"chunk {request.chunk} of {len(self._own)} chunks of tags"
            )
        return Tags(tags=self._tags[self._own.bounds(request.chunk)])

    @cached_property
    def _own_tags(self) -> Elements:
        """Tags in the order of the keys."""
        try:
            tags = self._signer.own_tags(self._context.keys.encoded, n_jobs=self._context.n_jobs)
        except (SecureBoostError, CryptoError) as error:
            log.error("the tags of this party's keys cannot be had: %s", error)
            raise Refusal(
                Code.KEYS, "this party's tags cannot be used; its log says why", ends_session=True
            ) from error
        return tags

    @cached_property
    def _order(self) -> NDArray[np.int32]:
        return sorting(self._own_tags)

    @cached_property
    def _tags(self) -> Elements:
        tags: Elements = self._own_tags[self._order]
        return tags

    @cached_property
    def _digest(self) -> bytes:
        return digest_tags(self._signer.key.public_key, self._tags)

    def _go_on(self) -> None:
        """Take up what an interrupted session has left."""
        while (kept := self._context.state.get(_signed(self.received))) is not None:
            self._digests.append(kept[:_DIGEST_BYTES])
            self._n_signed += int.from_bytes(kept[_DIGEST_BYTES:])

    def _fault(self, code: Code, detail: str) -> Refusal:
        """End a session that cannot be gone on with, and forget it."""
        self._context.state.clear()
        return Refusal(code, detail[:480], ends_session=True)


def signer_of(table: AlignTable) -> Signer:
    """What a party signs with.

    Raises
    ------
    Refusal
        If it has no signing key.
    """
    if table.signer is None:
        raise Refusal(Code.METHOD, "this party has no signing key, so method 'rsa' cannot be had")
    return table.signer


def _signed(chunk: int) -> str:
    return f"signed-{chunk:08d}"
