"""Feature parties that sign, for the method "rsa"."""

from pathlib import Path
from typing import Any

from support.aligning import AlignParty, align_parties, keys_of
from support.keys import full_signing_key

from secureboost.align.aligned import Aligned
from secureboost.align.keys import Keys
from secureboost.align.signer import SignatureBudget, Signer


def signer(tags: Path | None = None, max_signatures: int | None = None) -> Signer:
    return Signer(full_signing_key(), tags, SignatureBudget(max_signatures))


def signing_party(ids, name: str = "bureau", **table: Any) -> AlignParty:
    return AlignParty(keys_of(ids), name, **({"signer": signer()} | table))


def align_by_rsa(own: Keys, *parties: AlignParty, **changes: Any) -> Aligned:
    return align_parties(own, *parties, **({"method": "rsa", "group": None} | changes))
