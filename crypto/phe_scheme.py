"""The same interface over python-paillier: an oracle for tests, and interoperability.

A ciphertext is the textbook number modulo ``n**2`` in twice the words of ``n``. One Python object
per number, so slow. python-paillier is GPL and therefore an extra: without it the scheme is
registered but unavailable.
"""

import hashlib
from collections.abc import Sequence
from itertools import pairwise
from types import ModuleType
from typing import Any, ClassVar

import gmpy2
from gmpy2 import mpz

from crypto import wide
from crypto.errors import CiphertextError, PlaintextError, SchemeUnavailableError
from crypto.modulus import check_key_bits, decode_modulus, encode_modulus
from crypto.paillier_public import check_slots, check_width
from crypto.scheme import Ciphertexts, Plaintexts, PublicKey, RowIndices, Scheme
from crypto.secrecy import GuardedPrivateKey
from crypto.segments import check_segments


class PhePublicKey(PublicKey):
    """A public key of python-paillier.

    Parameters
    ----------
    key : phe.PaillierPublicKey
    """

    scheme: ClassVar[str] = "phe"

    def __init__(self, key: Any) -> None:
        self.key = key
        self.n = int(key.n)
        self.key_bits = self.n.bit_length()
        self.plaintext_bits = self.key_bits - 2
        self.ciphertext_words = 2 * wide.words_for(self.key_bits)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the encoded key, in hexadecimal."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def to_bytes(self) -> bytes:
        """Encode the key for a peer."""
        return encode_modulus(self.scheme, self.n)

    def check(self, ciphertexts: Ciphertexts) -> None:
        """Validate width, range, and that each is a unit."""
        check_width(ciphertexts, self.ciphertext_words)
        position = wide.first_not_below(ciphertexts, self.n**2)
        if position is not None:
            raise CiphertextError(
                f"ciphertext {position} is not below the squared modulus", position
            )
        for position, number in enumerate(wide.to_mpz(ciphertexts)):
            if gmpy2.gcd(number, mpz(self.n)) != 1:
                raise CiphertextError(
                    f"ciphertext {position} is zero or shares a factor with the modulus", position
                )

    def sum_by_segment(
        self, ciphertexts: Ciphertexts, rows: RowIndices, starts: RowIndices, *, n_jobs: int = 1
    ) -> Ciphertexts:
        """Add up, one sum per segment; see `PublicKey.sum_by_segment`. Uses one thread."""
        check_width(ciphertexts, self.ciphertext_words)
        check_segments(len(ciphertexts), rows, starts)
        numbers = self._encrypted(ciphertexts)
        bounds, row_list = starts.tolist(), rows.tolist()
        return self.words_of(
            [
                sum((numbers[row] for row in row_list[start:end]), start=self._one())
                for start, end in pairwise(bounds)
            ]
        )

    def negate(self, ciphertexts: Ciphertexts) -> Ciphertexts:
        """Multiply each plaintext by -1."""
        return self.words_of([number * -1 for number in self._encrypted(ciphertexts)])

    def pack(
        self, ciphertexts: Ciphertexts, slot_bits: int, slots: int, *, n_jobs: int = 1
    ) -> Ciphertexts:
        """Shift and add consecutive numbers into one each; see `PublicKey.pack`."""
        check_width(ciphertexts, self.ciphertext_words)
        check_slots(slot_bits, slots, self.plaintext_bits)
        numbers = self._encrypted(ciphertexts)
        packed = []
        for first in range(0, len(numbers), slots):
            total = self._one()
            for number in reversed(numbers[first : first + slots]):
                total = total * (1 << slot_bits) + number
            packed.append(total)
        return self.words_of(packed)

    def rerandomise(self, ciphertexts: Ciphertexts, *, n_jobs: int = 1) -> Ciphertexts:
        """Multiply by ``r**n`` with a fresh uniform ``r``."""
        check_width(ciphertexts, self.ciphertext_words)
        numbers = self._encrypted(ciphertexts)
        for number in numbers:
            number.obfuscate()
        return self.words_of(numbers)

    def words_of(self, numbers: Sequence[Any]) -> Ciphertexts:
        """Take encrypted numbers of python-paillier, with exponent 0."""
        return wide.from_integers(
            [int(number.ciphertext(be_secure=False)) for number in numbers], self.ciphertext_words
        )

    def _encrypted(self, ciphertexts: Ciphertexts) -> list[Any]:
        encrypted_number = _phe().EncryptedNumber
        return [encrypted_number(self.key, c) for c in wide.to_integers(ciphertexts)]

    def _one(self) -> Any:
        """Return the trivial encryption of zero."""
        return _phe().EncryptedNumber(self.key, 1)


class PhePrivateKey(GuardedPrivateKey):
    """A private key of python-paillier.

    Parameters
    ----------
    key : phe.PaillierPrivateKey
    """

    public_key: PhePublicKey

    def __init__(self, key: Any) -> None:
        self._key = key
        self.public_key = PhePublicKey(key.public_key)

    def encrypt(self, plaintexts: Plaintexts, *, n_jobs: int = 1) -> Ciphertexts:
        """Encrypt with fresh randomness for each number; see `PrivateKey.encrypt`."""
        public = self.public_key
        position = wide.first_outside(plaintexts, public.plaintext_bits)
        if position is not None:
            raise PlaintextError(
                f"plaintext {position} does not lie within +-2**{public.plaintext_bits}; "
                "use a longer key",
                position,
            )
        return wide.from_integers(
            [
                int(public.key.raw_encrypt(message % public.n))
                for message in wide.to_integers(plaintexts, signed=True)
            ],
            public.ciphertext_words,
        )

    def decrypt(self, ciphertexts: Ciphertexts, *, n_jobs: int = 1) -> Plaintexts:
        """Decrypt to centred residues; see `PrivateKey.decrypt`."""
        public = self.public_key
        public.check(ciphertexts)
        messages = [int(self._key.raw_decrypt(c)) for c in wide.to_integers(ciphertexts)]
        return wide.from_integers(
            [message - public.n if message > public.n // 2 else message for message in messages],
            wide.words_for(public.key_bits),
            signed=True,
        )


class PheScheme(Scheme):
    """python-paillier as an entry of the registry."""

    name: ClassVar[str] = "phe"

    def generate(self, key_bits: int) -> PhePrivateKey:
        """Make a key pair of 2048 bits or more; see `Scheme.generate`."""
        check_key_bits(key_bits)
        return _generate(key_bits)

    def insecure_test_key(self, key_bits: int) -> PhePrivateKey:
        """Make a key pair of a few bits, for tests; see `Scheme.insecure_test_key`."""
        check_key_bits(key_bits, allow_insecure=True)
        return _generate(key_bits)

    def load_public_key(self, data: bytes, *, allow_insecure: bool = False) -> PhePublicKey:
        """Decode and check a public key; see `Scheme.load_public_key`."""
        n = decode_modulus(self.name, data, allow_insecure=allow_insecure)
        return PhePublicKey(_phe().PaillierPublicKey(n))


def _generate(key_bits: int) -> PhePrivateKey:
    return PhePrivateKey(_phe().generate_paillier_keypair(n_length=key_bits)[1])


def _phe() -> ModuleType:
    try:
        import phe
    except ImportError:
        raise SchemeUnavailableError(
            "scheme='phe' needs python-paillier, which is not installed; "
            "run: pip install 'secureboost[phe]', or use scheme='paillier'"
        ) from None
    module: ModuleType = phe
    return module
