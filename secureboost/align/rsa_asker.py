"""The label party's half of RSA: has the keys signed that are new, and looks all of them up.

What it had signed is kept (`tag_file`), and so are the party's tags (`tag_set`), if the options
name a folder for them: then only new keys and changed tags travel.
"""

import hashlib
import logging
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crypto.blind_rsa import load_verification_key
from crypto.blind_rsa_public import TAG_BYTES, Blinding, VerificationKey
from crypto.errors import CryptoError, SignatureError
from secureboost.align.chunking import Chunks, ask_ahead
from secureboost.align.elements import Elements, ascends, find
from secureboost.align.listing import Pairs
from secureboost.align.method import Asking, AskingHalf
from secureboost.align.rsa_protocol import SignBlinded, TagKey, TagKeyOf, TagsOf
from secureboost.align.tag_file import TagFile
from secureboost.align.tag_set import TagSet, digest_tags, read_tag_set, write_tag_set
from secureboost.errors import AlignmentError, IntegrityError, LimitError

_DIGEST_BYTES = 32
_KEY, _NEW = "signing-key", "new-keys"

log = logging.getLogger(__name__)


class RsaAsker(AskingHalf):
    """One session's half."""

    def __init__(self, context: Asking) -> None:
        self._context = context
        self._party = context.peer.name
        self._places = np.empty(0, dtype=np.int32)
        """For each own key its place among the party's tags; -1: not common."""

    def compare(self) -> int:
        """Have new keys signed, fetch the party's tags, and look all keys up."""
        told = self._context.peer.ask(TagKeyOf())
        key = self._checked_key(told)
        transcript = self._context.transcript
        transcript.add("signing key", told.public_key)
        own = self._own_tags(key, told)
        theirs = self._their_tags(key, told)
        transcript.add("tags", told.digest)
        self._places = find(theirs, own)
        self._context.report("compare", len(own), len(own))
        return int(np.count_nonzero(self._places >= 0))

    def pairs(self) -> Pairs:
        """Return which keys are common; nothing more has to be asked."""
        mine = np.flatnonzero(self._places >= 0).astype(np.int32)
        return Pairs(mine=mine, theirs=self._places[mine], n_theirs=self._context.agreed.n_keys)

    def _checked_key(self, told: TagKey) -> VerificationKey:
        """Check the party's key, and that it is still the one of the interrupted session."""
        try:
            key = load_verification_key(told.public_key, told.proof)
        except CryptoError as error:
            raise self._fault(f"its signing key is refused: {error}") from error
        kept = self._context.state.get(_KEY)
        if kept is None:
            self._context.state.put(_KEY, told.public_key)
        elif kept != told.public_key:
            raise self._fault("it signs with another key than before the interruption")
        return key

    def _own_tags(self, key: VerificationKey, told: TagKey) -> Elements:
        """Return the tags of all own keys, in their order."""
        encoded = self._context.keys.encoded
        file = TagFile(self._tag_file(), key.fingerprint)
        tags, known = file.find(encoded)
        new = self._new_keys(known)
        if not len(new):
            self._context.report("send", len(encoded), len(encoded))
        chunks = Chunks(len(new), self._context.proposal.chunk)
        self._check_budget(chunks, told)
        digests: list[bytes] = []
        waiting: deque[tuple[slice, Blinding]] = deque()

        def requests() -> Iterator[SignBlinded]:
            for chunk in range(len(chunks)):
                bounds = chunks.bounds(chunk)
                kept = self._context.state.get(_blinding(chunk))
                signed = chunk < self._context.agreed.received and known[new[bounds]].all()
                if kept is not None and signed:  # before the interruption
                    digests.append(kept[:_DIGEST_BYTES])
                    self._context.report("send", bounds.stop, len(new))
                    continue
                data = [encoded[position] for position in new[bounds]]
                values, blinding = self._blinded(key, data, chunk, kept)
                digests.append(hashlib.sha256(values.tobytes()).digest())
                waiting.append((bounds, blinding))
                yield SignBlinded(chunk=chunk, values=values)

        for reply in ask_ahead(self._context.peer, requests()):
            bounds, blinding = waiting.popleft()
            made = self._unblinded(key, blinding, reply.values)
            file.add([encoded[position] for position in new[bounds]], made)
            tags[new[bounds]] = made
            self._context.report("send", bounds.stop, len(new))
        self._context.transcript.add("blinded keys", b"".join(digests))
        return tags

    def _blinded(
        self, key: VerificationKey, data: list[bytes], chunk: int, kept: bytes | None
    ) -> tuple[Elements, Blinding]:
        """Blind a chunk, in the same way as before the interruption if there was one."""
        n_jobs = self._context.n_jobs
        try:
            if kept is not None:
                return key.blind_again(data, kept[_DIGEST_BYTES:], n_jobs=n_jobs)
            values, blinding = key.blind(data, n_jobs=n_jobs)
        except CryptoError as error:
            raise self._fault(f"nothing can be blinded under its key: {error}") from error
        # kept before it is sent: what the party signs can always be unblinded
        digest = hashlib.sha256(values.tobytes()).digest()
        self._context.state.put(_blinding(chunk), digest + blinding.to_bytes())
        return values, blinding

    def _unblinded(self, key: VerificationKey, blinding: Blinding, replies: Elements) -> Elements:
        try:
            return key.tags(key.unblind(blinding, replies, n_jobs=self._context.n_jobs))
        except SignatureError as error:
            raise self._fault(str(error)) from error

    def _new_keys(self, known: NDArray[np.bool_]) -> NDArray[np.int32]:
        """Return the positions of own keys to be signed, also if some have been by now."""
        kept = self._context.state.get(_NEW)
        if kept is not None:
            return np.frombuffer(kept, dtype="<i4").astype(np.int32)
        new = np.flatnonzero(~known).astype("<i4")
        self._context.state.put(_NEW, new.tobytes())
        return new.astype(np.int32)

    def _check_budget(self, chunks: Chunks, told: TagKey) -> None:
        """Begin nothing that the party would not let come to its end."""
        received = min(self._context.agreed.received, len(chunks))
        wanted = chunks.n - min(received * chunks.size, chunks.n)
        if told.signatures_left is not None and wanted > told.signatures_left:
            raise LimitError(
                f"party {self._party!r} signs {told.signatures_left} more ids, and {wanted} of "
                "ours are new to it. Bring fewer, or ask it to allow more."
            )

    def _their_tags(self, key: VerificationKey, told: TagKey) -> Elements:
        """Return the party's tags: those at hand if they are still the same, or fetched."""
        path = self._kept("tagset")
        at_hand = None if path is None else _tags_at_hand(path, told.digest)
        if at_hand is not None and len(at_hand) == self._context.agreed.n_keys:
            self._context.report("fetch", len(at_hand), len(at_hand))
            return at_hand
        tags = self._fetch_tags()
        if digest_tags(key, tags) != told.digest:
            raise self._fault("its tags are not those that it had announced")
        if path is not None:
            write_tag_set(path, TagSet(key, told.proof, tags))
        return tags

    def _fetch_tags(self) -> Elements:
        chunks = Chunks(self._context.agreed.n_keys, self._context.proposal.chunk)
        tags = np.empty((chunks.n, TAG_BYTES), dtype=np.uint8)
        requests = (TagsOf(chunk=chunk) for chunk in range(len(chunks)))
        for chunk, reply in enumerate(ask_ahead(self._context.peer, requests)):
            bounds = chunks.bounds(chunk)
            if reply.tags.shape != (chunks.length(chunk), TAG_BYTES):
                raise self._fault(
                    f"chunk {chunk} of its tags has the shape {reply.tags.shape}; announced was "
                    f"{(chunks.length(chunk), TAG_BYTES)}"
                )
            if not ascends(reply.tags, tags[: bounds.start]):
                raise self._fault(
                    f"chunk {chunk} of its tags is not in ascending order, or one occurs twice"
                )
            tags[bounds] = reply.tags
            self._context.report("fetch", bounds.stop, chunks.n)
        return tags

    def _tag_file(self) -> Path | None:
        """Where tags of own keys are kept: for good, or until the run has come to its end.

        Beside the party's state, not in it: what was paid for is still good where the party has to
        begin anew. No party's name begins with an underscore.
        """
        folder = self._context.state.folder
        return self._kept("tags") or (folder and folder.parent / f"_{self._party}.tags")

    def _kept(self, kind: str) -> Path | None:
        folder = self._context.options.signatures
        return None if folder is None else folder / f"{self._party}.{kind}"

    def _fault(self, problem: str) -> IntegrityError:
        """What the party did; a session with it cannot be gone on with."""
        self._context.state.clear()
        return IntegrityError(
            self._party, f"{problem}. No rows were agreed on; ask the party about it."
        )


def _blinding(chunk: int) -> str:
    return f"blinding-{chunk:08d}"


def _tags_at_hand(path: Path, digest: bytes) -> Elements | None:
    """Read the tags of that digest, None if the file has others or cannot be used."""
    if not path.exists():
        return None
    try:
        tag_set = read_tag_set(path)
    except (AlignmentError, CryptoError) as error:
        log.warning("the tags are fetched again: %s", error)
        return None
    return tag_set.tags if tag_set.digest == digest else None
