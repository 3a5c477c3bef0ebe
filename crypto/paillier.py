"""The Paillier scheme (EUROCRYPT 1999) as an entry of the registry."""

from typing import ClassVar

from crypto.errors import KeyFormatError
from crypto.modulus import check_key_bits, decode_modulus
from crypto.paillier_private import PaillierPrivateKey
from crypto.paillier_public import PaillierPublicKey
from crypto.primes import random_known_prime
from crypto.scheme import Scheme


class PaillierScheme(Scheme):
    """Paillier with the generator ``1 + n`` and ciphertexts in pair form."""

    name: ClassVar[str] = "paillier"

    def generate(self, key_bits: int) -> PaillierPrivateKey:
        """Make a key pair of 2048 bits or more; see `Scheme.generate`."""
        check_key_bits(key_bits)
        return _generate(key_bits)

    def insecure_test_key(self, key_bits: int) -> PaillierPrivateKey:
        """Make a key pair of 16 bits or more, for tests; see `Scheme.insecure_test_key`."""
        check_key_bits(key_bits, allow_insecure=True)
        return _generate(key_bits)

    def load_public_key(self, data: bytes, *, allow_insecure: bool = False) -> PaillierPublicKey:
        """Decode and check a public key; see `Scheme.load_public_key`."""
        return PaillierPublicKey(decode_modulus(self.name, data, allow_insecure=allow_insecure))


def _generate(key_bits: int) -> PaillierPrivateKey:
    while True:
        try:
            return PaillierPrivateKey(
                random_known_prime(key_bits // 2), random_known_prime(key_bits // 2)
            )
        except KeyFormatError:
            # p = q, or p divides q - 1: happens with keys of a few bits only.
            continue
