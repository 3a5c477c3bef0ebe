"""Paillier's private key: what the label party does, by the Chinese remainder theorem throughout.

*Decryption.* With ``c = a * (1 + t * n)``, ``Dec(c) = Dec(a) + t``, and modulo p ``Dec(a)`` is
``L_p(a**(p-1) mod p**2) / L_p((1+n)**(p-1) mod p**2)`` with ``L_p(x) = (x - 1) / p`` (Paillier
1999, section 7); the divisor is ``-q mod p``.

*Encryption* adds the message to the t of a fresh encryption of zero (`crypto.paillier_zeros`).

Nothing here runs in constant time.
"""

import gmpy2
import numpy as np

from crypto import modular, wide
from crypto.errors import KeyFormatError, PlaintextError
from crypto.kernels import engine
from crypto.kernels.threads import VECTOR, in_blocks, over_ranges
from crypto.paillier_half import Half
from crypto.paillier_public import PaillierPublicKey
from crypto.paillier_zeros import DecryptionZeros, ShortExponentZeros, TableZeros, Zeros
from crypto.pool import Pool, drawn_or_pooled
from crypto.primes import KnownPrime, is_prime
from crypto.scheme import Ciphertexts, Plaintexts
from crypto.secrecy import GuardedPrivateKey


class PaillierPrivateKey(GuardedPrivateKey):
    """The primes of the modulus.

    Parameters
    ----------
    p, q : KnownPrime
        With primitive roots encryption uses tables.
    short_exponent_djn : bool
        Encrypt with short exponents (the scheme ``paillier-short-exponent-djn``), some three times
        as fast, under the additional assumption stated at
        `crypto.paillier_zeros.ShortExponentZeros`. By default the law of the ciphertexts is exactly
        the textbook's.

    Raises
    ------
    KeyFormatError
        If they are no sound pair.
    """

    public_key: PaillierPublicKey

    def __init__(self, p: KnownPrime, q: KnownPrime, *, short_exponent_djn: bool = False) -> None:
        check_primes(p.value, q.value)
        self.p, self.q = p, q
        self.short_exponent_djn = short_exponent_djn
        self.public_key = PaillierPublicKey(p.value * q.value)
        self._halves = Half(p.value, q.value), Half(q.value, p.value)
        self._crt = engine().crt(p.value, q.value)
        self._zeros = self._law()

    def encrypt(self, plaintexts: Plaintexts, *, n_jobs: int = 1) -> Ciphertexts:
        """Encrypt with fresh randomness for each number, from the pool as far as it goes."""
        bits = self.public_key.plaintext_bits
        position = wide.first_outside(plaintexts, bits)
        if position is not None:
            raise PlaintextError(
                f"plaintext {position} does not lie within +-2**{bits}; use a longer key", position
            )
        n_threads = n_jobs if self._zeros.gains_by_threads else 1
        ciphertexts = drawn_or_pooled(
            self._pool, lambda count: in_blocks(self._zeros.draw, count, n_threads), len(plaintexts)
        )
        t = ciphertexts[:, self.public_key.words :]
        t[:] = modular.add_signed(t, plaintexts, self.public_key.n)
        return ciphertexts

    def decrypt(self, ciphertexts: Ciphertexts, *, n_jobs: int = 1) -> Plaintexts:
        """Decrypt to centred residues; see `PrivateKey.decrypt`."""
        public = self.public_key
        public.check(ciphertexts, n_jobs=n_jobs)
        plaintexts = np.empty((len(ciphertexts), public.words), dtype=np.uint64)

        def work(first: int, end: int) -> None:
            low, t = np.hsplit(ciphertexts[first:end], 2)
            logarithms = [half.logarithms(low, 1) for half in self._halves]
            joined = self._crt.join(*logarithms, n_jobs=1)
            plaintexts[first:end] = modular.add_centred(joined, t, public.n)

        over_ranges(work, len(ciphertexts), n_jobs, multiple=VECTOR)
        return plaintexts

    def prepare(self) -> None:
        """Build the encryption tables now rather than at the first `encrypt`."""
        self._zeros.prepare()

    def _make_pool(self, capacity: int) -> Pool:
        return Pool(self._zeros.draw, capacity)

    def _law(self) -> Zeros:
        if self.short_exponent_djn:
            return ShortExponentZeros(self.public_key, self._halves, self._crt)
        if self.p.primitive_root and self.q.primitive_root:
            roots = self.p.primitive_root, self.q.primitive_root
            return TableZeros(self._halves, self._crt, roots)
        return DecryptionZeros(self.public_key, self._halves, self._crt)


def check_primes(p: int, q: int) -> None:
    """Refuse numbers that do not make a private key.

    Raises
    ------
    KeyFormatError
    """
    if not (is_prime(p) and is_prime(q)):
        raise KeyFormatError("p and q of a private key must both be prime; the key is damaged")
    if p == q:
        raise KeyFormatError("p and q of a private key must differ; make a new key")
    if gmpy2.gcd(p * q, (p - 1) * (q - 1)) != 1:
        raise KeyFormatError("p * q shares a factor with (p - 1) * (q - 1); make a new key")
