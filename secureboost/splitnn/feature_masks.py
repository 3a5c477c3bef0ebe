"""A feature party's masks in one session: keys are agreed on, and what all were told is noted."""

import hashlib

import msgspec
import numpy as np
from numpy.typing import NDArray

from parties.messages import Ack, Refusal, SessionCode
from secureboost.alignment import ABSENT
from secureboost.splitnn.codecs.summand import MASKED_SUM
from secureboost.splitnn.mask_terms import MaskTerms
from secureboost.splitnn.masking import Masker
from secureboost.splitnn.masking_keys import MaskKey
from secureboost.splitnn.masking_protocol import AgreeMasks, MaskKeyOffered, OfferMaskKey
from secureboost.splitnn.payload import Arrays
from secureboost.splitnn.protocol import (
    Code,
    Evaluate,
    Exchange,
    FinishBottom,
    KeepBottom,
    Predict,
    SetupBottom,
)
from secureboost.splitnn.table import PartyTable

_IDS_AT_A_TIME = 1 << 16

_OF_ONE_PARTY = {"rows", "architecture", "initial_seed"}
"""What `SetupBottom` says to each party in its own way."""


class FeatureMasks:
    """The masks of one session.

    Parameters
    ----------
    table : PartyTable
    terms : MaskTerms, optional
        Without, this party masks with nobody.
    """

    def __init__(self, table: PartyTable, terms: MaskTerms | None) -> None:
        self._table = table
        self._terms = terms
        self._key: MaskKey | None = None
        self._masker: Masker | None = None

    def offer(self, request: OfferMaskKey) -> MaskKeyOffered:
        """Make a key.

        Raises
        ------
        Refusal
            If this party masks with nobody, or with others.
        """
        self._masker = None
        if self._terms is None:
            raise Refusal(Code.MASKS, "this party has not named the parties that it masks with")
        group = self._terms.group
        if sorted(request.members) != sorted(group.pins):
            raise Refusal(
                Code.MASKS,
                f"masks are asked for of {', '.join(request.members)}; this party's are those of "
                f"{', '.join(group.pins)}",
            )
        self._key = MaskKey(group)
        return MaskKeyOffered(offer=self._key.offer(self._terms.identity))

    def agree(self, request: AgreeMasks) -> Ack:
        """Take the others' keys.

        Raises
        ------
        Refusal
            If no key was made for them.
        secureboost.splitnn.masking_keys.MaskError
            If one is missing or not signed as it must be.
        """
        if self._key is None:
            raise Refusal(Code.MASKS, "OfferMaskKey comes first, and each key is used once")
        key, self._key = self._key, None
        self._masker = Masker(self._table.party, key.agree(request.offers))
        return Ack()

    def of(self, codec: str) -> "Masking | None":
        """What masks the activations of a network; None for one that is not masked.

        Raises
        ------
        Refusal
            If it is, and no masks were agreed on.
        """
        if codec != MASKED_SUM:
            return None
        if self._masker is None or self._terms is None:
            raise Refusal(
                Code.MASKS, f"codec={codec!r}: the parties must agree on masks first (AgreeMasks)"
            )
        return Masking(self._masker, self._table, self._terms.same_ids)


class Masking:
    """Masks the activations of one network.

    Parameters
    ----------
    masker : Masker
    table : PartyTable
    same_ids : bool
        See `MaskTerms`.
    """

    def __init__(self, masker: Masker, table: PartyTable, same_ids: bool) -> None:
        self._masker = masker
        self._table = table
        self._same_ids = same_ids

    @property
    def said(self) -> str:
        """A digest of all that was said, in hexadecimal."""
        return self._masker.said.hex()

    def begins(self, request: SetupBottom, rows: NDArray[np.int32], before: str) -> None:
        """Note what a network is to be trained on.

        Parameters
        ----------
        request : SetupBottom
        rows : array, int32
            Of the table.
        before : str
            `said` when the run was cut off; empty for a new network.

        Raises
        ------
        Refusal
            If this party does not have one of the rows.
        """
        common = {
            name: value
            for name, value in msgspec.structs.asdict(request).items()
            if name not in _OF_ONE_PARTY
        }
        self._note(common, bytes.fromhex(before), self._ids(rows))

    def hears(self, request: Exchange | Evaluate | KeepBottom | FinishBottom) -> None:
        """Note a request of the training; all members get the same."""
        said = msgspec.structs.asdict(request)
        arrays = [part for part in said.values() if isinstance(part, np.ndarray)]
        plain = {name: part for name, part in said.items() if not isinstance(part, np.ndarray)}
        self._note([type(request).__name__, plain], *(part.tobytes() for part in arrays))

    def predicts(self, request: Predict, rows: NDArray[np.int32], history: str) -> None:
        """Note which rows are scored, and by which model.

        Parameters
        ----------
        request : Predict
        rows : array, int32
            Of the table.
        history : str
            `said` when the model was finished.

        Raises
        ------
        Refusal
            If this party does not have one of the rows.
        """
        self._note(["Predict", request.model_id, history], self._ids(rows))

    def masked(self, arrays: Arrays) -> Arrays:
        """Mask what `codecs.summand.Summand` encoded."""
        (words,) = arrays
        return (self._masker.masked(words),)

    def _note(self, plain: object, *others: bytes) -> None:
        self._masker.note(msgspec.msgpack.encode(plain, order="deterministic"), *others)

    def _ids(self, rows: NDArray[np.int32]) -> bytes:
        """A digest of how many rows there are, and of their ids in their order."""
        digest = hashlib.sha256(len(rows).to_bytes(8, "big"))
        if self._same_ids:
            if (rows == ABSENT).any():
                raise Refusal(
                    SessionCode.ROWS_REFUSED,
                    "this party does not have all of the rows, and masks are bound to their ids",
                )
            ids = self._table.ids
            for first in range(0, len(rows), _IDS_AT_A_TIME):
                some = [ids[row] for row in rows[first : first + _IDS_AT_A_TIME]]
                digest.update(msgspec.msgpack.encode(some))
        return digest.digest()
