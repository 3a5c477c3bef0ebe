"""Blind RSA signatures with a full-domain hash: keys are made and loaded here.

D. Chaum, *Blind signatures for untraceable payments* (CRYPTO 1982); as a pseudo-random function for
matching: E. De Cristofaro, G. Tsudik, *Practical private set intersection protocols with linear
complexity* (Financial Cryptography 2010). The signature of x is ``s = H(x)**d mod n``, unique, and
its tag is a hash of s. The asker has values signed without showing them:

====  ======================================  =================================================
step  asker (`VerificationKey`)               signer (`SigningKey`)
====  ======================================  =================================================
1     checks the key and its `proof`
2     ``b = H(x) r**e``, r uniform            sees b, uniform in ``Z_n*``: nothing about x
3                                             ``b**d``, checked, and counted by its caller
4     ``s = b**d / r``, checks ``s**e = H(x)``
====  ======================================  =================================================

Nobody without the private key can make k + 1 signatures from k answers: that is the assumption
(M. Bellare, C. Namprempre, D. Pointcheval, M. Semanko, *The one-more-RSA-inversion problems and the
security of Chaum's blind signature scheme*, Journal of Cryptology 2003), with H as a random oracle.
So tags of values that were never signed look random, and a set of them can be given away.

Blinding hides x perfectly only if raising to e is one to one modulo n, which a hostile signer could
make fail (e divides p - 1: then b tells in which coset ``H(x)`` lies). So a key comes with the e-th
roots of eight numbers that nobody chose, which is a proof (S. Goldberg, L. Reyzin, O. Sagga,
F. Baldimtsi, *Efficient noninteractive certification of RSA moduli and beyond*, ASIACRYPT 2019).

It is not RFC 9474, on purpose: `crypto/README.md` says where it differs and why.
"""

from cryptography.hazmat.primitives.asymmetric import rsa

from crypto.blind_rsa_private import SigningKey
from crypto.blind_rsa_public import EXPONENT, ByteRows, VerificationKey
from crypto.errors import KeyFormatError
from crypto.modulus import DEFAULT_KEY_BITS, check_key_bits, decode_modulus
from crypto.primes import random_known_prime


def generate_signing_key(key_bits: int = DEFAULT_KEY_BITS) -> SigningKey:
    """Make a signing key from the randomness of the operating system.

    Raises
    ------
    crypto.errors.KeySizeError
        If the length is not offered: 2048 (112-bit strength), 3072 (128) or 4096 bits, say.
    """
    check_key_bits(key_bits)
    key = rsa.generate_private_key(public_exponent=EXPONENT, key_size=key_bits)
    numbers = key.private_numbers()
    return SigningKey(numbers.p, numbers.q)


def insecure_test_signing_key(key_bits: int) -> SigningKey:
    """Make a signing key of a length that protects nothing, for tests.

    Raises
    ------
    crypto.errors.KeySizeError
        If not even a test can use that length.
    """
    check_key_bits(key_bits, allow_insecure=True)
    while True:
        primes = [random_known_prime(key_bits // 2).value for _ in range(2)]
        try:
            return SigningKey(*primes)
        except KeyFormatError:  # equal, or e divides p - 1: with lengths of a few bits
            continue


def load_verification_key(
    data: bytes, proof: ByteRows, *, allow_insecure: bool = False
) -> VerificationKey:
    """Decode and check a key that came from somebody else.

    Parameters
    ----------
    data : bytes
        From `VerificationKey.to_bytes`.
    proof : array of shape (PROOF_SIZE, value_bytes), uint8
        From `SigningKey.proof`.
    allow_insecure : bool
        Accept what `insecure_test_signing_key` makes. For tests only.

    Raises
    ------
    crypto.errors.KeySizeError
        If its length is refused.
    crypto.errors.KeyFormatError
        If these are no such key, its modulus is even, prime, a perfect power or has a small factor,
        or the proof does not hold.
    """
    key = VerificationKey(
        decode_modulus(VerificationKey.scheme, data, allow_insecure=allow_insecure)
    )
    key.check_proof(proof)
    return key
