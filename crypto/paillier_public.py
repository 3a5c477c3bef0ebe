"""Paillier's public key: what a feature party can do with ciphertexts.

A ciphertext ``c`` modulo ``n**2`` travels as the pair ``[a | t]`` with ``c = a * (1 + t * n)``, see
`crypto.residues`: same length, but sums multiply numbers of half the length.
"""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import ClassVar

import gmpy2
import numpy as np
from gmpy2 import mpz

from crypto import sampling, wide
from crypto.errors import CapacityError, CiphertextError
from crypto.kernels import SquareModulus, engine
from crypto.kernels.threads import in_blocks
from crypto.modulus import encode_modulus
from crypto.pool import Pool, drawn_or_pooled
from crypto.residues import from_pairs, invert_all, words_to_pairs
from crypto.scheme import Ciphertexts, PublicKey, RowIndices
from crypto.segments import check_segments
from crypto.wide import Words

MASKS_AHEAD = 32
"""Masks per step of the pool: some 30 milliseconds at 2048 bits."""


class PaillierPublicKey(PublicKey):
    """The modulus ``n``; the generator is ``1 + n``.

    Parameters
    ----------
    n : int
        Not checked here: keys from somebody else come through `PaillierScheme.load_public_key`.
    """

    scheme: ClassVar[str] = "paillier"

    def __init__(self, n: int) -> None:
        self.n = n
        self.key_bits = n.bit_length()
        self.plaintext_bits = self.key_bits - 2
        self.words = wide.words_for(self.key_bits)
        self.ciphertext_words = 2 * self.words

    def __reduce__(self) -> tuple[type["PaillierPublicKey"], tuple[int]]:
        return PaillierPublicKey, (self.n,)  # and never the pool

    @cached_property
    def modulus(self) -> SquareModulus:
        """The engine's arithmetic modulo ``n**2``."""
        return engine().modulus(self.n)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the encoded key, in hexadecimal."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def __repr__(self) -> str:
        return f"<public paillier key, {self.key_bits} bits, fingerprint {self.fingerprint[:16]}>"

    def to_bytes(self) -> bytes:
        """Encode the key for a peer."""
        return encode_modulus(self.scheme, self.n)

    def check(self, ciphertexts: Ciphertexts, *, n_jobs: int = 1) -> None:
        """Validate ciphertexts: width, ``0 < a < n``, ``0 <= t < n``, and every ``a`` a unit."""
        check_width(ciphertexts, self.ciphertext_words)
        low, high = ciphertexts[:, : self.words], ciphertexts[:, self.words :]
        for name, part in (("a", low), ("t", high)):
            position = wide.first_not_below(part, self.n)
            if position is not None:
                raise CiphertextError(
                    f"ciphertext {position}: {name} is not below the modulus; it was made under "
                    "another key or damaged",
                    position,
                )
        # Zero is no unit either, so only a batch that fails here is looked at one by one.
        if not self.modulus.all_units(low, n_jobs=n_jobs):
            self._refuse_nonunit(wide.to_mpz(low))

    def sum_by_segment(
        self, ciphertexts: Ciphertexts, rows: RowIndices, starts: RowIndices, *, n_jobs: int = 1
    ) -> Ciphertexts:
        """Add ciphertexts up, one sum per segment; see `PublicKey.sum_by_segment`.

        Raises
        ------
        CiphertextError
            If a sum is no unit, which `check` would have found.
        """
        check_width(ciphertexts, self.ciphertext_words)
        check_segments(len(ciphertexts), rows, starts)
        with _units_only():
            return self.modulus.segment_pairs(ciphertexts, rows, starts, n_jobs=n_jobs)

    def negate(self, ciphertexts: Ciphertexts) -> Ciphertexts:
        """Invert modulo ``n**2``; see `PublicKey.negate`."""
        return self.from_residues(invert_all(self.to_residues(ciphertexts), mpz(self.n) ** 2))

    def pack(
        self, ciphertexts: Ciphertexts, slot_bits: int, slots: int, *, n_jobs: int = 1
    ) -> Ciphertexts:
        """Shift and add consecutive ciphertexts into one each; see `PublicKey.pack`.

        Raises
        ------
        CapacityError
            If the slots are wider than a plaintext.
        CiphertextError
            If a sum is no unit, which `check` would have found.
        """
        check_width(ciphertexts, self.ciphertext_words)
        check_slots(slot_bits, slots, self.plaintext_bits)
        if slots == 1:
            return ciphertexts.copy()
        with _units_only():
            return self.modulus.horner_pairs(ciphertexts, slots, slot_bits, n_jobs=n_jobs)

    def rerandomise(self, ciphertexts: Ciphertexts, *, n_jobs: int = 1) -> Ciphertexts:
        """Multiply by ``r**n`` with a fresh ``r``, uniform among the units modulo ``n``.

        Nothing shorter than a uniform ``r`` would do: the receiver owns the key and works in the
        groups modulo ``p`` and ``q``, where the assumptions behind short exponents do not hold.

        Raises
        ------
        CiphertextError
            If a ciphertext is no unit, which `check` would have found.
        """
        check_width(ciphertexts, self.ciphertext_words)
        count = len(ciphertexts)
        masks = drawn_or_pooled(
            self._pool, lambda missing: in_blocks(self.masks, missing, n_jobs), count
        )
        rows = np.arange(2 * count).reshape(2, count).T.ravel()
        starts = np.arange(0, 2 * count + 1, 2)
        with _units_only():
            return self.modulus.segment_pairs(
                np.concatenate([ciphertexts, masks]), rows, starts, n_jobs=n_jobs
            )

    def masks(self, count: int) -> Ciphertexts:
        """Draw ``r**n`` for fresh uniform units r: what re-randomising multiplies by."""
        return self.modulus.power_pairs(self.random_units(count), self.n, n_jobs=1)

    def random_units(self, count: int) -> Words:
        """Draw numbers uniform among the units modulo ``n``.

        Returns
        -------
        array of shape (count, words), uint64
        """
        return sampling.units(self.modulus, count)

    def _make_pool(self, capacity: int) -> Pool:
        return Pool(self.masks, capacity, block=MASKS_AHEAD)

    def to_residues(self, ciphertexts: Ciphertexts) -> list[mpz]:
        """Return the textbook ciphertexts modulo ``n**2``, as python-paillier has them."""
        low = wide.to_mpz(ciphertexts[:, : self.words])
        high = wide.to_mpz(ciphertexts[:, self.words :])
        return from_pairs(low, high, mpz(self.n))

    def from_residues(self, residues: Sequence[int | mpz]) -> Ciphertexts:
        """Take textbook ciphertexts modulo ``n**2``; the inverse of `to_residues`.

        Raises
        ------
        CiphertextError
            If one is out of range or shares a factor with the modulus.
        """
        n = mpz(self.n)
        for position, residue in enumerate(residues):
            if not 0 < residue < n * n:
                raise CiphertextError(
                    f"ciphertext {position} is not between 0 and the squared modulus", position
                )
        numbers = [mpz(residue) for residue in residues]
        self._refuse_nonunit(numbers)
        return words_to_pairs(wide.from_integers(numbers, 2 * self.words), self.n)

    def _refuse_nonunit(self, numbers: list[mpz]) -> None:
        """Refuse a batch in which a number shares a factor with the modulus.

        Such a number would reveal the private key of whoever decrypts it, or that of the sender.
        """
        for position, number in enumerate(numbers):
            if gmpy2.gcd(number, self.n) != 1:
                what = "shares a factor with the modulus; no honest sender makes one"
                raise CiphertextError(
                    f"ciphertext {position}: a is zero"
                    if number == 0
                    else f"ciphertext {position} {what}",
                    position,
                )


@contextmanager
def _units_only() -> Iterator[None]:
    try:
        yield
    except ZeroDivisionError:
        raise CiphertextError(
            "a ciphertext shares a factor with the modulus; check what a peer sent before using it"
        ) from None


def check_width(ciphertexts: Ciphertexts, words: int) -> None:
    """Refuse what is not a two-dimensional uint64 array with `words` columns.

    Raises
    ------
    CiphertextError
    """
    if ciphertexts.dtype != np.uint64 or ciphertexts.ndim != 2 or ciphertexts.shape[1] != words:
        raise CiphertextError(
            f"ciphertexts must be uint64 of shape (count, {words}), not {ciphertexts.dtype} of "
            f"shape {ciphertexts.shape}; both sides must use the same key length and scheme"
        )


def check_slots(slot_bits: int, slots: int, plaintext_bits: int) -> None:
    """Refuse slots that one plaintext cannot hold.

    Raises
    ------
    CapacityError
    """
    if slot_bits < 1 or slots < 1 or slot_bits * slots > plaintext_bits:
        raise CapacityError(
            f"slots={slots} of slot_bits={slot_bits} must be positive and fit the "
            f"{plaintext_bits} bits of a plaintext; use fewer slots or a longer key"
        )
