"""Paillier's public key: what a feature party can do with ciphertexts.

A ciphertext ``c`` modulo ``n**2`` travels as the pair ``[a | t]`` with ``c = a * (1 + t * n)``, see
`crypto.residues`: same length, but sums multiply numbers of half the length.
"""

import hashlib
import secrets
from collections.abc import Sequence
from functools import cached_property
from typing import ClassVar

import gmpy2
import numpy as np
from gmpy2 import mpz

from crypto import wide
from crypto.errors import CapacityError, CiphertextError
from crypto.kernels import SquareModulus, engine
from crypto.modulus import encode_modulus
from crypto.residues import from_pairs, to_pairs
from crypto.scheme import Ciphertexts, PublicKey, RowIndices
from crypto.segments import check_segments


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

    def check(self, ciphertexts: Ciphertexts) -> None:
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
        zero = ~low.any(axis=1)
        if zero.any():
            position = int(zero.argmax())
            raise CiphertextError(f"ciphertext {position}: a is zero", position)
        self._check_units(wide.to_mpz(low))

    def sum_by_segment(
        self, ciphertexts: Ciphertexts, rows: RowIndices, starts: RowIndices, *, n_jobs: int = 1
    ) -> Ciphertexts:
        """Add ciphertexts up, one sum per segment; see `PublicKey.sum_by_segment`."""
        check_width(ciphertexts, self.ciphertext_words)
        check_segments(len(ciphertexts), rows, starts)
        products = self.modulus.segment_products(ciphertexts, rows, starts, n_jobs=n_jobs)
        return self.from_residues(wide.to_mpz(products))

    def pack(
        self, ciphertexts: Ciphertexts, slot_bits: int, slots: int, *, n_jobs: int = 1
    ) -> Ciphertexts:
        """Shift and add consecutive ciphertexts into one each; see `PublicKey.pack`.

        Raises
        ------
        CapacityError
            If the slots are wider than a plaintext.
        """
        check_width(ciphertexts, self.ciphertext_words)
        check_slots(slot_bits, slots, self.plaintext_bits)
        if slots == 1:
            return ciphertexts.copy()
        residues = wide.from_integers(self.to_residues(ciphertexts), 2 * self.words)
        packed = self.modulus.horner(residues, slots, slot_bits, n_jobs=n_jobs)
        return self.from_residues(wide.to_mpz(packed))

    def rerandomise(self, ciphertexts: Ciphertexts, *, n_jobs: int = 1) -> Ciphertexts:
        """Multiply by ``r**n`` with a fresh ``r``, uniform among the units modulo ``n``.

        Nothing shorter than a uniform ``r`` would do: the receiver owns the key and works in the
        groups modulo ``p`` and ``q``, where the assumptions behind short exponents do not hold.
        """
        check_width(ciphertexts, self.ciphertext_words)
        units = wide.from_integers([self.random_unit() for _ in ciphertexts], 2 * self.words)
        masks = wide.to_mpz(self.modulus.powers(units, self.n, n_jobs=n_jobs))
        square = mpz(self.n) ** 2
        return self.from_residues(
            [
                c * mask % square
                for c, mask in zip(self.to_residues(ciphertexts), masks, strict=True)
            ]
        )

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
        try:
            low, high = to_pairs([mpz(residue) for residue in residues], n)
        except ZeroDivisionError:
            self._check_units([mpz(residue) % n for residue in residues])
            raise
        return join_pairs(low, high, self.words)

    def _check_units(self, low: list[mpz]) -> None:
        """Refuse a batch in which a number shares a factor with the modulus.

        Such a number would reveal the private key of whoever decrypts it, or that of the sender.
        """
        n = mpz(self.n)
        product = mpz(1)
        for number in low:
            product = product * number % n
        if gmpy2.gcd(product, n) == 1:
            return
        position = next(i for i, number in enumerate(low) if gmpy2.gcd(number, n) != 1)
        raise CiphertextError(
            f"ciphertext {position} shares a factor with the modulus; no honest sender makes one",
            position,
        )

    def random_unit(self) -> int:
        """Draw a number uniform among the units modulo ``n``."""
        while True:
            number = secrets.randbelow(self.n)
            if gmpy2.gcd(number, self.n) == 1:
                return number


def join_pairs(low: Sequence[mpz], high: Sequence[mpz], words: int) -> Ciphertexts:
    """Lay ``a`` and ``t`` side by side."""
    return np.hstack([wide.from_integers(low, words), wide.from_integers(high, words)])


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
