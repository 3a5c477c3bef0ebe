"""The Paillier scheme (EUROCRYPT 1999) as two entries of the registry.

They differ in the randomness that the owner of the key encrypts with, and in nothing else: keys,
key files, ciphertexts and all that a feature party does are the same, and what travels says
``paillier`` for both.
"""

from typing import ClassVar

from crypto.errors import KeyFormatError
from crypto.modulus import check_key_bits, decode_modulus
from crypto.paillier_private import PaillierPrivateKey
from crypto.paillier_public import PaillierPublicKey
from crypto.primes import random_known_prime
from crypto.scheme import Scheme


class PaillierScheme(Scheme):
    """Paillier with the generator ``1 + n``, ciphertexts in pair form, and the textbook's law."""

    name: ClassVar[str] = "paillier"
    short_exponent_djn: ClassVar[bool] = False

    def generate(self, key_bits: int) -> PaillierPrivateKey:
        """Make a key pair of 2048 bits or more; see `Scheme.generate`."""
        check_key_bits(key_bits)
        return self._generate(key_bits)

    def insecure_test_key(self, key_bits: int) -> PaillierPrivateKey:
        """Make a key pair of 16 bits or more, for tests; see `Scheme.insecure_test_key`."""
        check_key_bits(key_bits, allow_insecure=True)
        return self._generate(key_bits)

    def load_public_key(self, data: bytes, *, allow_insecure: bool = False) -> PaillierPublicKey:
        """Decode and check a public key; see `Scheme.load_public_key`."""
        scheme = PaillierPublicKey.scheme
        return PaillierPublicKey(decode_modulus(scheme, data, allow_insecure=allow_insecure))

    def adopt(self, key: PaillierPrivateKey) -> PaillierPrivateKey:
        """Return the same key, from a file say, with this scheme's randomness."""
        return PaillierPrivateKey(key.p, key.q, short_exponent_djn=self.short_exponent_djn)

    def _generate(self, key_bits: int) -> PaillierPrivateKey:
        while True:
            try:
                return PaillierPrivateKey(
                    random_known_prime(key_bits // 2),
                    random_known_prime(key_bits // 2),
                    short_exponent_djn=self.short_exponent_djn,
                )
            except KeyFormatError:
                # p = q, or p divides q - 1: happens with keys of a few bits only.
                continue


class ShortExponentPaillierScheme(PaillierScheme):
    """Paillier that encrypts with short exponents, some three times as fast.

    Rests on one assumption more, stated at `crypto.paillier_zeros.ShortExponentZeros`.
    """

    name: ClassVar[str] = "paillier-short-exponent-djn"
    short_exponent_djn: ClassVar[bool] = True
