"""The label party learns the sum of several feature parties' activations, and no summand.

Where a top begins with a sum, the label party needs that sum alone. Activations become whole
numbers modulo 2**64 with 32 bits of fraction. Each two feature parties p < q share a key
(`masking_keys`), from which both draw the same uniform words for each use; p adds them to what it
sends and q subtracts them. In the sum of all parties every mask is there once with each sign::

    sent_p = fixed(h_p) + sum_{q > p} mask_pq - sum_{q < p} mask_qp   (mod 2**64)

This is the masking of Bonawitz et al. 2017 (CCS, section 4.0.1) between companies.

What the label party sees of one party is uniform as long as one other member keeps its keys to
itself: of the members that do not collude with it, it learns the sum of their activations and
nothing else. With two members it is enough that one colludes.

A mask is used once. The number of uses is counted by each party itself, and everything that the
label party has said so far enters the words: which rows, which batch, which gradients. So a label
party that tells two members different things, or asks one of them twice, gets words that do not
cancel. A gradient for one member alone would let it see how that member's summand moves; this is
how that is noticed. A row of words below the activations, whose sums must be 0, shows whether masks
cancel: `read_sum` refuses such a sum.

If a member drops out, its masks stay in the sum and the sum is useless: nothing is recovered of
that use. The other members make new keys, in a group without the one that is missing, if they are
two at least. What was summed before is lost with the group: shares of keys that would let the
others remove the masks of a missing member (Bonawitz et al., section 4.0.2) also let them unmask
one that is only slow.
"""

import hashlib
from collections.abc import Mapping

import numpy as np
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from numpy.typing import NDArray

from secureboost.splitnn.keystream import KEY_BYTES, Keystream
from secureboost.splitnn.masking_keys import MaskError

Words = NDArray[np.uint64]
Floats = NDArray[np.float64]

FRACTION_BITS = 32
LARGEST = 2.0**20
"""Largest activation; 1,024 parties' sum is below 2**62 then."""

_USE = b"SecureBoost: one use of a pair's masks, 2\n"


def to_fixed(values: Floats) -> Words:
    """Round numbers to multiples of 2**-32, modulo 2**64.

    Parameters
    ----------
    values : array of floats
        Of at most 2**20 in magnitude.

    Returns
    -------
    array of uint64
        Each within 2**-33 of the number.

    Raises
    ------
    MaskError
        If a number is larger, or none.
    """
    numbers = values.astype(np.float64)
    if not np.all(np.abs(numbers) <= LARGEST):  # false for NaN, too
        raise MaskError(
            f"an activation is not finite or beyond {LARGEST:.0f}, the most that can be masked; "
            "lower learning_rate, or set max_norm to clip gradients"
        )
    return np.rint(numbers * 2.0**FRACTION_BITS).astype(np.int64).view(np.uint64)


def from_fixed(words: Words) -> Floats:
    """Turn words, centred modulo 2**64, to numbers; float64 has 53 bits of each."""
    return words.view(np.int64).astype(np.float64) * 2.0**-FRACTION_BITS


def summand(values: Floats) -> Words:
    """What a party masks: its numbers, and a row of zeros below.

    Parameters
    ----------
    values : array of shape (n_rows, width)

    Returns
    -------
    array of shape (n_rows + 1, width), uint64

    Raises
    ------
    MaskError
        See `to_fixed`.
    """
    return np.pad(to_fixed(values), ((0, 1), (0, 0)))


class Masker:
    """A feature party's masks for one session.

    Parameters
    ----------
    party : str
        The own name.
    keys : mapping of str to bytes
        Shared with each other member, see `masking_keys.MaskKey.agree`.

    Attributes
    ----------
    said : bytes
        SHA-256 of all that was noted, in its order.
    """

    def __init__(self, party: str, keys: Mapping[str, bytes]) -> None:
        self._party = party
        self._keys = dict(keys)
        self._uses = 0
        self.said = bytes(32)

    def __getstate__(self) -> None:
        raise TypeError("keys for masks are never pickled")

    def note(self, *said: bytes) -> None:
        """Take note of something that all members must have been told alike, in the same order."""
        digest = hashlib.sha256(self.said)
        for part in said:
            digest.update(len(part).to_bytes(8, "big") + part)
        self.said = digest.digest()

    def masked(self, words: Words) -> Words:
        """Mask words; each call uses masks of its own.

        Parameters
        ----------
        words : array of shape (n, width), uint64
            See `summand`.

        Returns
        -------
        array of shape (n, width), uint64
        """
        use = self._uses.to_bytes(8, "big") + words.size.to_bytes(8, "big")
        self._uses += 1
        for other, key in self._keys.items():
            own = HKDFExpand(hashes.SHA256(), KEY_BYTES, _USE + use + self.said).derive(key)
            mask = Keystream(own).words(words.size).reshape(words.shape)
            words = words + mask if self._party < other else words - mask
        return words


def read_sum(parts: Mapping[str, Words]) -> Floats:
    """Add up what the members sent.

    Parameters
    ----------
    parts : mapping of str to array of shape (n_rows + 1, width), uint64
        By member; all of them, and all of one shape.

    Returns
    -------
    array of shape (n_rows, width), float64

    Raises
    ------
    MaskError
        If masks do not cancel: members were told different things, one is missing, or one is
        faulty.
    """
    total = np.zeros_like(next(iter(parts.values())))
    for part in parts.values():
        total += part  # modulo 2**64
    values = from_fixed(total[:-1])
    if total[-1].any() or np.any(np.abs(values) > len(parts) * LARGEST):
        raise MaskError(
            f"the masks of {', '.join(parts)} do not cancel: they have other ids in the same rows, "
            "one of them was told something else or dropped out, or is faulty. Begin again, so "
            "that they make new keys."
        )
    return values
