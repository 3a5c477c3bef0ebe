"""What a feature party signs with: its key, the tags it made ahead, and how much it still signs.

Whoever has a signature of a guessed id knows for ever whether the feature party has that customer,
in this tag set and in every later one under the same key. So the bound on signatures counts for the
life of the signing key, not for that of one table: a table that grows does not reset it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np

from crypto.blind_rsa_private import SigningKey
from secureboost.align.chunking import Chunks
from secureboost.align.elements import Elements, sorting
from secureboost.align.tag_file import WIDTH, TagFile
from secureboost.align.tag_set import TagSet
from secureboost.errors import ConfigError
from secureboost.ledger import Ledger, kept_spending

SIGN_CHUNK = 8192
"""Own keys that are signed and kept at a time: half a second."""


class SignatureSpending(msgspec.Struct, frozen=True):
    """What has been signed under a key.

    Attributes
    ----------
    signatures : int
        For others; its own keys do not count.
    """

    signatures: int = 0


class SignatureBudget(Ledger[SignatureSpending]):
    """How many signatures have been given out under a key; shared by all sessions.

    Parameters
    ----------
    max_signatures : int or None
        Most that are ever given out; None is no limit.
    spent : SignatureSpending, optional
        Already given out.
    keep : callable, optional
        Called with the new state before a signature is made, to keep it beyond the process.

    Raises
    ------
    secureboost.errors.ConfigError
        If the limit is no whole number of at least 0.
    """

    def __init__(
        self,
        max_signatures: int | None = None,
        spent: SignatureSpending | None = None,
        keep: Callable[[SignatureSpending], None] | None = None,
    ) -> None:
        if max_signatures is not None and (
            not isinstance(max_signatures, int)
            or isinstance(max_signatures, bool)
            or not 0 <= max_signatures <= 2**53
        ):
            raise ConfigError(
                f"{max_signatures!r} is not allowed; give a whole number from 0 to {2**53}.",
                "policy.max_signatures",
            )
        super().__init__(spent or SignatureSpending(), keep)
        self.max_signatures = max_signatures

    @property
    def left(self) -> int | None:
        """How many more are given out; None for no limit."""
        if self.max_signatures is None:
            return None
        return max(0, self.max_signatures - self.spent.signatures)

    def spend_signatures(self, count: int) -> bool:
        """Take `count` from the budget; False, and nothing is taken, where too little is left."""
        return self.spend("signatures", count, self.max_signatures)


def kept_signature_budget(
    max_signatures: int | None, path: Path, key: SigningKey
) -> SignatureBudget:
    """Make a budget that goes on where earlier processes left it; see `ledger.kept_spending`.

    Parameters
    ----------
    max_signatures : int or None
    path : Path
        Another file than those of other budgets.
    key : SigningKey
        Whose signatures are counted.
    """
    spent, keep = kept_spending(path, key.public_key.fingerprint, SignatureSpending())
    return SignatureBudget(max_signatures, spent, keep)


@dataclass(frozen=True, repr=False)
class Signer:
    """What a feature party signs with.

    Attributes
    ----------
    key : SigningKey
    tags : Path or None
        File where tags of own keys are kept (`tag_file`); None: they are made for each session.
    budget : SignatureBudget
        What has been given out, over all sessions.
    """

    key: SigningKey
    tags: Path | None = None
    budget: SignatureBudget = field(default_factory=SignatureBudget)

    def own_tags(
        self,
        encoded: Sequence[bytes],
        *,
        n_jobs: int = 1,
        progress: Callable[[int, int], None] | None = None,
    ) -> Elements:
        """Return the tags of own keys; those that have none yet are signed and kept first.

        Parameters
        ----------
        encoded : sequence of bytes
            Different keys.
        n_jobs : int
            Threads to use.
        progress : callable, optional
            Called with how many of the keys have a tag, and how many there are.

        Returns
        -------
        array of shape (len(encoded), 32), uint8

        Raises
        ------
        secureboost.errors.AlignmentError
            If the file is damaged or belongs to another signing key.
        crypto.errors.FaultError
            If this machine computed wrongly.
        OSError
        """
        public = self.key.public_key
        file = TagFile(self.tags, public.fingerprint, self.key.secret(b"names of own keys"))
        tags, known = file.find(encoded)
        missing = np.flatnonzero(~known)
        chunks = Chunks(len(missing), SIGN_CHUNK)
        for chunk in range(len(chunks)):
            bounds = chunks.bounds(chunk)
            if progress:
                progress(len(encoded) - len(missing) + bounds.start, len(encoded))
            some = [encoded[position] for position in missing[bounds]]
            made = public.tags(self.key.sign(some, n_jobs=n_jobs))
            file.add(some, made)
            tags[missing[bounds]] = made
        if progress:
            progress(len(encoded), len(encoded))
        return tags.reshape(-1, WIDTH)

    def tag_set(self, encoded: Sequence[bytes], *, n_jobs: int = 1) -> TagSet:
        """Make the tag set that may be given to a label party ahead; raises as `own_tags`."""
        tags = self.own_tags(encoded, n_jobs=n_jobs)
        return TagSet(self.key.public_key, self.key.proof, tags[sorting(tags)])
