"""Paillier's private key: what the label party does, by the Chinese remainder theorem throughout.

*Decryption.* With ``c = a * (1 + t * n)``, ``Dec(c) = Dec(a) + t``, and modulo p ``Dec(a)`` is
``L_p(a**(p-1) mod p**2) / L_p((1+n)**(p-1) mod p**2)`` with ``L_p(x) = (x - 1) / p`` (Paillier
1999, section 7); the divisor is ``-q mod p``.

*Encryption.* An encryption of m is ``rho * (1 + m * n)`` where ``rho = r**n`` is uniform in the
group of n-th residues modulo ``n**2``. That group is the product of the n-th residues modulo
``p**2`` and modulo ``q**2``, which are cyclic of order ``p - 1`` and ``q - 1`` because
``gcd(n, phi(n)) = 1``. So, with generators of both, two independent exponents uniform modulo
``p - 1`` and ``q - 1`` give *exactly* the textbook law, at the price of a few hundred products
from tables.

Keys made elsewhere have no known generators. They use that ``a = r**n mod n`` is a bijection of r:
``a`` uniform among the units and ``t = m - Dec(a)`` is the textbook law too, at the price of one
decryption.

Nothing here runs in constant time.
"""

import secrets
from threading import Lock

import gmpy2
from gmpy2 import mpz

from crypto import wide
from crypto.errors import KeyFormatError, PlaintextError
from crypto.kernels import FixedBase, engine
from crypto.paillier_public import PaillierPublicKey, join_pairs
from crypto.primes import KnownPrime, is_prime
from crypto.residues import to_pairs
from crypto.scheme import Ciphertexts, Plaintexts
from crypto.secrecy import GuardedPrivateKey


class PaillierPrivateKey(GuardedPrivateKey):
    """The primes of the modulus.

    Parameters
    ----------
    p, q : KnownPrime
        With primitive roots encryption uses tables.

    Raises
    ------
    KeyFormatError
        If they are no sound pair.
    """

    public_key: PaillierPublicKey

    def __init__(self, p: KnownPrime, q: KnownPrime) -> None:
        check_primes(p.value, q.value)
        self.p, self.q = p, q
        self.public_key = PaillierPublicKey(p.value * q.value)
        self._half_p = _Half(mpz(p.value), mpz(q.value))
        self._half_q = _Half(mpz(q.value), mpz(p.value))
        self._q_inverse = gmpy2.invert(mpz(q.value), mpz(p.value))
        self._q_square_inverse = gmpy2.invert(mpz(q.value) ** 2, mpz(p.value) ** 2)
        self._tables: tuple[FixedBase, FixedBase] | None = None
        self._tables_lock = Lock()

    def encrypt(self, plaintexts: Plaintexts, *, n_jobs: int = 1) -> Ciphertexts:
        """Encrypt with fresh randomness for each number; the law is exactly the textbook's."""
        bits = self.public_key.plaintext_bits
        position = wide.first_outside(plaintexts, bits)
        if position is not None:
            raise PlaintextError(
                f"plaintext {position} does not lie within +-2**{bits}; use a longer key", position
            )
        low, high = self._zeros(len(plaintexts), n_jobs)
        n = mpz(self.public_key.n)
        messages = wide.to_integers(plaintexts, signed=True)
        high = [(t + message) % n for t, message in zip(high, messages, strict=True)]
        return join_pairs(low, high, self.public_key.words)

    def decrypt(self, ciphertexts: Ciphertexts, *, n_jobs: int = 1) -> Plaintexts:
        """Decrypt to centred residues; see `PrivateKey.decrypt`."""
        public = self.public_key
        public.check(ciphertexts)
        n = mpz(public.n)
        low = wide.to_mpz(ciphertexts[:, : public.words])
        high = wide.to_mpz(ciphertexts[:, public.words :])
        messages = [
            (logarithm + t) % n
            for logarithm, t in zip(self._logarithms(low, n_jobs), high, strict=True)
        ]
        half = n >> 1
        return wide.from_integers(
            [message - n if message > half else message for message in messages],
            public.words,
            signed=True,
        )

    def prepare(self) -> None:
        """Build the encryption tables now rather than at the first `encrypt`."""
        with self._tables_lock:
            if self._tables is None and self.p.primitive_root and self.q.primitive_root:
                self._tables = (
                    self._half_p.residue_table(self.p.primitive_root),
                    self._half_q.residue_table(self.q.primitive_root),
                )

    def _zeros(self, count: int, n_jobs: int) -> tuple[list[mpz], list[mpz]]:
        """Return fresh encryptions of zero, as ``a`` and ``t``."""
        self.prepare()
        n = mpz(self.public_key.n)
        if self._tables is None:
            low = [mpz(self.public_key.random_unit()) for _ in range(count)]
            return low, [-logarithm % n for logarithm in self._logarithms(low, n_jobs)]
        modulo_p, modulo_q = (
            half.random_residues(table, count, n_jobs)
            for half, table in zip((self._half_p, self._half_q), self._tables, strict=True)
        )
        p_square, q_square = self._half_p.square, self._half_q.square
        inverse = self._q_square_inverse
        return to_pairs(
            [
                y + (x - y) * inverse % p_square * q_square
                for x, y in zip(modulo_p, modulo_q, strict=True)
            ],
            n,
        )

    def _logarithms(self, low: list[mpz], n_jobs: int) -> list[mpz]:
        """Decrypt numbers below n."""
        p, q, inverse = self._half_p.prime, self._half_q.prime, self._q_inverse
        return [
            y + (x - y) * inverse % p * q
            for x, y in zip(
                self._half_p.logarithms(low, n_jobs),
                self._half_q.logarithms(low, n_jobs),
                strict=True,
            )
        ]


class _Half:
    """Arithmetic modulo the square of one of the two primes."""

    def __init__(self, prime: mpz, other: mpz) -> None:
        self.prime = prime
        self.square = prime * prime
        self._words = wide.words_for(prime.bit_length())
        self._modulus = engine().modulus(int(prime))
        # 1 / L((1 + n)**(prime - 1)), since (1 + n)**(prime - 1) = 1 - n modulo the square
        self._scale = gmpy2.invert(-other, prime)

    def logarithms(self, numbers: list[mpz], n_jobs: int) -> list[mpz]:
        """Decrypt modulo the prime."""
        bases = wide.from_integers([number % self.square for number in numbers], 2 * self._words)
        powers = wide.to_mpz(self._modulus.powers(bases, int(self.prime) - 1, n_jobs=n_jobs))
        return [(power - 1) // self.prime * self._scale % self.prime for power in powers]

    def residue_table(self, primitive_root: int) -> FixedBase:
        """Tabulate a generator of the n-th residues, a group of order ``prime - 1``."""
        generator = gmpy2.powmod(primitive_root, self.prime, self.square)
        return self._modulus.fixed_base(int(generator), self.prime.bit_length())

    def random_residues(self, table: FixedBase, count: int, n_jobs: int) -> list[mpz]:
        """Draw uniform n-th residues; `secrets.randbelow` samples by rejection."""
        order = int(self.prime) - 1
        exponents = wide.from_integers(
            [secrets.randbelow(order) for _ in range(count)], self._words
        )
        return wide.to_mpz(table.powers(exponents, n_jobs=n_jobs))


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
