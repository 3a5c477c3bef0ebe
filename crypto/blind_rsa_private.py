"""The private half of a blind RSA signature: what the signer does, modulo p and q.

The base of the exponentiation is chosen by whoever asks, and that is what attacks on its timing
need (P. Kocher, CRYPTO 1996; D. Brumley, D. Boneh, USENIX Security 2003): so the signer blinds it
once more with a factor of its own. A single wrong residue modulo p or q would give the modulus away
(D. Boneh, R. DeMillo, R. Lipton, EUROCRYPT 1997): so every signature is checked before it leaves.
"""

import hmac
from collections.abc import Sequence
from functools import cached_property

import gmpy2
import numpy as np
from gmpy2 import mpz

from crypto import sampling, wide
from crypto.blind_rsa_public import EXPONENT, ByteRows, VerificationKey, multiply
from crypto.errors import BlindedValueError, FaultError, KeyFormatError
from crypto.kernels import engine
from crypto.kernels.threads import VECTOR, over_ranges
from crypto.primes import is_prime
from crypto.residues import invert_all
from crypto.secrecy import KEY_ADVICE, Guarded, describe_private_key
from crypto.wide import Words

_SECRET_TAG = b"SecureBoost-blind-RSA-v1-secret:"


class SigningKey(Guarded):
    """The primes of the modulus.

    Parameters
    ----------
    p, q : int

    Attributes
    ----------
    public_key : VerificationKey

    Raises
    ------
    crypto.errors.KeyFormatError
        If they are no sound pair.
    """

    _advice = KEY_ADVICE

    def __init__(self, p: int, q: int) -> None:
        check_primes(p, q)
        self.p, self.q = p, q
        self.public_key = VerificationKey(p * q)
        self._halves = tuple(
            (engine().modulus(prime), int(gmpy2.invert(EXPONENT, prime - 1))) for prime in (p, q)
        )
        self._crt = engine().crt(p, q)

    def _shown(self) -> str:
        public = self.public_key
        return describe_private_key(public.scheme, public.key_bits, public.fingerprint)

    def sign_blinded(self, blinded: ByteRows, *, n_jobs: int = 1) -> ByteRows:
        """Sign values that somebody else has blinded.

        Parameters
        ----------
        blinded : array of shape (count, value_bytes), uint8
            From `VerificationKey.blind`; hostile until checked here.
        n_jobs : int
            Threads to use.

        Returns
        -------
        array of shape (count, value_bytes), uint8
            In the same order.

        Raises
        ------
        crypto.errors.BlindedValueError
            If the shape is wrong, or a value is zero, not below n or shares a factor with it.
        crypto.errors.FaultError
            If a signature came out wrong; none is returned then.
        """
        numbers = self._accepted(blinded)
        return wide.to_big_endian(self._sign(numbers, n_jobs), self.public_key.value_bytes)

    def sign(self, data: Sequence[bytes], *, n_jobs: int = 1) -> ByteRows:
        """Sign the signer's own values: what `VerificationKey.unblind` would give for them.

        Parameters
        ----------
        data : sequence of bytes
            Of any length.

        Returns
        -------
        array of shape (count, value_bytes), uint8

        Raises
        ------
        crypto.errors.FaultError
            If a signature came out wrong; none is returned then.
        """
        signatures = self._sign(self.public_key.hash(data), n_jobs)
        return wide.to_big_endian(signatures, self.public_key.value_bytes)

    @cached_property
    def proof(self) -> ByteRows:
        """Roots that prove to others that blinding under this key hides all.

        Returns
        -------
        array of shape (PROOF_SIZE, value_bytes), uint8
            For `VerificationKey.check_proof`; not secret.
        """
        roots = self._sign(self.public_key.proof_challenge(), 1)
        return wide.to_big_endian(roots, self.public_key.value_bytes)

    def secret(self, purpose: bytes) -> bytes:
        """Derive 32 secret bytes that only the owner of this key can make, the same each time."""
        size = -(-self.public_key.key_bits // 8)
        primes = self.p.to_bytes(size, "big") + self.q.to_bytes(size, "big")
        return hmac.digest(primes, _SECRET_TAG + purpose, "sha256")

    def _accepted(self, blinded: ByteRows) -> Words:
        public = self.public_key
        if blinded.dtype != np.uint8 or blinded.ndim != 2 or blinded.shape[1] != public.value_bytes:
            raise BlindedValueError(
                f"blinded values must be uint8 of shape (count, {public.value_bytes}), not "
                f"{blinded.dtype} of shape {blinded.shape}; both sides must use the same key"
            )
        numbers = wide.from_big_endian(blinded)
        position = wide.first_not_below(numbers, public.n)
        if position is not None:
            raise BlindedValueError(
                f"blinded value {position} is not below the modulus; it was made under another key",
                position,
            )
        if not public.modulus.all_units(numbers, n_jobs=1):
            # Zero is no unit either, so only a batch that fails here is looked at one by one.
            units = [gmpy2.gcd(number, public.n) == 1 for number in wide.to_mpz(numbers)]
            position = units.index(False)
            raise BlindedValueError(
                f"blinded value {position} is zero or shares a factor with the modulus; no honest "
                "asker makes one",
                position,
            )
        return numbers

    def _sign(self, numbers: Words, n_jobs: int) -> Words:
        signatures = np.empty_like(numbers)

        def work(first: int, end: int) -> None:
            signatures[first:end] = self._sign_part(numbers[first:end])

        over_ranges(work, len(numbers), n_jobs, multiple=VECTOR)
        return signatures

    def _sign_part(self, numbers: Words) -> Words:
        public, n = self.public_key, mpz(self.public_key.n)
        factors = sampling.units(public.modulus, len(numbers))
        masks = public.modulus.root_powers(factors, EXPONENT, n_jobs=1)
        masked = multiply(numbers, wide.to_mpz(masks), n)
        halves = [
            modulus.root_powers(masked, exponent, n_jobs=1) for modulus, exponent in self._halves
        ]
        joined = self._crt.join(*halves, n_jobs=1)
        signatures = multiply(joined, invert_all(wide.to_mpz(factors), n), n)
        if (public.modulus.root_powers(signatures, EXPONENT, n_jobs=1) != numbers).any():
            raise FaultError(
                "a signature came out wrong and was not given out, since it could betray the key; "
                "check this machine's memory and processor"
            )
        return signatures


def check_primes(p: int, q: int) -> None:
    """Refuse numbers that do not make a signing key.

    Raises
    ------
    crypto.errors.KeyFormatError
    """
    if not (is_prime(p) and is_prime(q)) or p == q:
        raise KeyFormatError(
            "p and q of a signing key must be two different primes; the key is damaged"
        )
    if gmpy2.gcd(EXPONENT, (p - 1) * (q - 1)) != 1:
        raise KeyFormatError(
            f"e={EXPONENT} divides (p - 1) * (q - 1), so signatures would not be unique; make a "
            "new key"
        )
