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

A mask is used once. The number of uses is counted by each party itself, and what a use is about
(which rows, or which batch) enters the words, so a label party that asks two members for different
rows, or one of them twice, gets words that do not cancel. Two words more, whose sum must be 0, show
that: `sum_masked` refuses such a sum.

If a member drops out, its masks stay in the sum and the sum is useless: nothing is recovered of
that use. The other members make new keys, in a group without the one that is missing, if they are
two at least. What was summed before is lost with the group: shares of keys that would let the
others remove the masks of a missing member (Bonawitz et al., section 4.0.2) also let them unmask
one that is only slow.
"""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from numpy.typing import NDArray

from secureboost.splitnn.keystream import KEY_BYTES, Keystream
from secureboost.splitnn.masking_keys import MOST_PARTIES, MaskError

Words = NDArray[np.uint64]
Floats = NDArray[np.float64]

FRACTION_BITS = 32
LARGEST = 2.0**20
"""Largest activation; 1,024 parties' sum is below 2**62 then."""

CHECK_WORDS = 2
_USE = b"SecureBoost: one use of a pair's masks, 1\n"


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


def sum_plain(parts: Sequence[Floats]) -> Floats:
    """The sum that `sum_masked` gives for the same activations: for the pooled twin.

    Raises
    ------
    MaskError
        If a number is out of range.
    """
    return from_fixed(_add([to_fixed(part) for part in parts]))


class Masker:
    """A feature party's masks for one training.

    Parameters
    ----------
    party : str
        The own name.
    keys : mapping of str to bytes
        Shared with each other member, see `masking_keys.MaskKey.agree`.
    """

    def __init__(self, party: str, keys: Mapping[str, bytes]) -> None:
        self._party = party
        self._keys = dict(keys)
        self._uses = 0

    def __getstate__(self) -> None:
        raise TypeError("keys for masks are never pickled")

    def masked(self, values: Floats, about: bytes) -> Words:
        """Mask activations; each call uses masks of its own.

        Parameters
        ----------
        values : array of shape (n_rows, width)
        about : bytes
            What they are of: the same at all members, such as the number of a batch, or the ids of
            rows.

        Returns
        -------
        array of shape (n_rows * width + 2,), uint64

        Raises
        ------
        MaskError
            If a number is out of range.
        """
        words = np.concatenate([to_fixed(values).ravel(), np.zeros(CHECK_WORDS, np.uint64)])
        use = self._uses.to_bytes(8, "big") + len(words).to_bytes(8, "big")
        info = _USE + use + hashlib.sha256(about).digest()
        self._uses += 1
        for other, key in self._keys.items():
            own = HKDFExpand(hashes.SHA256(), KEY_BYTES, info).derive(key)
            mask = Keystream(own).words(len(words))
            words = words + mask if self._party < other else words - mask
        return words


def sum_masked(parts: Mapping[str, Words], width: int) -> Floats:
    """Add up what the members sent.

    Parameters
    ----------
    parts : mapping of str to array of shape (n_rows * width + 2,), uint64
        By member; all of them.
    width : int

    Returns
    -------
    array of shape (n_rows, width), float64

    Raises
    ------
    MaskError
        If the arrays have different lengths, or masks do not cancel: members were asked for
        different things, one is missing, or one is faulty.
    """
    members = ", ".join(parts)
    lengths = {len(part) for part in parts.values()}
    if len(lengths) != 1 or (min(lengths) - CHECK_WORDS) % width or len(parts) > MOST_PARTIES:
        raise MaskError(f"masked activations of {members} do not have the same length")
    total = _add(list(parts.values()))
    values = from_fixed(total[:-CHECK_WORDS])
    if total[-CHECK_WORDS:].any() or np.any(np.abs(values) > len(parts) * LARGEST):
        raise MaskError(
            f"the masks of {members} do not cancel: one of them was asked for something else, "
            "dropped out before, or is faulty. Begin again, so that they make new keys."
        )
    return values.reshape(-1, width)


def _add(parts: Sequence[Words]) -> Words:
    total = np.zeros_like(parts[0])
    for part in parts:
        total += part  # modulo 2**64
    return total
