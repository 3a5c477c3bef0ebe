"""The public half of a blind RSA signature: what the one who has values signed does.

With ``h = H(x)`` and a fresh uniform unit r it sends ``h r**e``, gets ``(h r**e)**d = h**d r``, and
keeps the signature ``s = h**d``; see `crypto.blind_rsa` for what each side learns.
"""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import ClassVar

import numpy as np
from gmpy2 import mpz
from numpy.typing import NDArray

from crypto import sampling, wide
from crypto.errors import BlindedValueError, KeyFormatError, SignatureError
from crypto.full_domain_hash import hash_to_residues
from crypto.kernels import SquareModulus, engine
from crypto.modulus import encode_modulus
from crypto.residues import invert_all
from crypto.secrecy import Guarded
from crypto.wide import Words

EXPONENT = 65537
"""The public exponent e, the same for all keys: prime, and cheap to raise to."""
PROOF_SIZE = 8
"""Roots in a proof: if e divides ``phi(n)``, all exist with probability below ``2**-128``."""

_HASH_TAG = b"SecureBoost-blind-RSA-v1-hash:"
_PROOF_TAG = b"SecureBoost-blind-RSA-v1-key-proof:"
_TAG_TAG = b"SecureBoost-blind-RSA-v1-tag:"
TAG_BYTES = 32

ByteRows = NDArray[np.uint8]


class Blinding(Guarded):
    """What turns the signer's replies into signatures; a secret of the one who blinded.

    Attributes
    ----------
    hashes, factors : arrays of shape (count, words), uint64
        ``H(x)`` and the r of each value.
    """

    def __init__(self, hashes: Words, factors: Words) -> None:
        self.hashes = hashes
        self.factors = factors

    def __len__(self) -> int:
        return len(self.factors)

    def _shown(self) -> str:
        return f"blinding of {len(self)} values"

    def to_bytes(self) -> bytes:
        """Encode the factors, for a private file of the asker's alone."""
        return np.ascontiguousarray(self.factors, dtype="<u8").tobytes()


class VerificationKey:
    """The modulus of a signing key; the public exponent is `EXPONENT`.

    Values cross this interface as rows of bytes, the most significant first, `value_bytes` wide.

    Parameters
    ----------
    n : int
        Not checked here: keys from somebody else come through `blind_rsa.load_verification_key`.

    Attributes
    ----------
    key_bits : int
    value_bytes : int
    """

    scheme: ClassVar[str] = "blind-rsa"

    def __init__(self, n: int) -> None:
        self.n = n
        self.key_bits = n.bit_length()
        self.value_bytes = -(-self.key_bits // 8)
        self.words = wide.words_for(self.key_bits)

    def __reduce__(self) -> tuple[type["VerificationKey"], tuple[int]]:
        return VerificationKey, (self.n,)

    def __repr__(self) -> str:
        return f"<public {self.scheme} key, {self.key_bits} bits, {self.fingerprint[:16]}>"

    @cached_property
    def modulus(self) -> SquareModulus:
        """The engine's arithmetic; only that modulo n itself is used."""
        return engine().modulus(self.n)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the encoded key, in hexadecimal."""
        return self._digest.hex()

    def to_bytes(self) -> bytes:
        """Encode the key for a peer."""
        return encode_modulus(self.scheme, self.n)

    def blind(self, data: Sequence[bytes], *, n_jobs: int = 1) -> tuple[ByteRows, Blinding]:
        """Hash and blind values, each with fresh randomness.

        Parameters
        ----------
        data : sequence of bytes
            Of any length.
        n_jobs : int
            Threads to use.

        Returns
        -------
        blinded : array of shape (count, value_bytes), uint8
            For the signer. Uniform among the units modulo n, whatever the values are.
        blinding : Blinding
            For `unblind`.

        Raises
        ------
        crypto.errors.KeyFormatError
            If a hash is no unit, so that the key has a factor that everybody can find.
        """
        return self._blind(data, sampling.units(self.modulus, len(data)), n_jobs)

    def blind_again(
        self, data: Sequence[bytes], kept: bytes, *, n_jobs: int = 1
    ) -> tuple[ByteRows, Blinding]:
        """Blind the same values with the same factors, to ask again after a crash.

        Parameters
        ----------
        data : sequence of bytes
        kept : bytes
            From `Blinding.to_bytes`.

        Raises
        ------
        crypto.errors.BlindedValueError
            If `kept` cannot belong to so many values under this key.
        """
        if len(kept) != len(data) * self.words * wide.WORD_BYTES:
            raise BlindedValueError(
                f"the kept blinding of {len(kept)} bytes is not that of {len(data)} values under a "
                f"key of {self.key_bits} bits; delete it and blind the values anew"
            )
        factors = np.frombuffer(kept, dtype="<u8").astype(np.uint64).reshape(-1, self.words)
        return self._blind(data, factors, n_jobs)

    def unblind(self, blinding: Blinding, replies: ByteRows, *, n_jobs: int = 1) -> ByteRows:
        """Take the blinding off and check every signature.

        Parameters
        ----------
        blinding : Blinding
        replies : array of shape (count, value_bytes), uint8
            From the signer, in the order of the blinded values.

        Returns
        -------
        array of shape (count, value_bytes), uint8
            The signatures.

        Raises
        ------
        crypto.errors.SignatureError
            If the shape is wrong or a signature is not valid; none is returned then.
        """
        numbers = self._signatures(replies, len(blinding))
        n = mpz(self.n)
        inverses = invert_all(wide.to_mpz(blinding.factors), n)
        signatures = multiply(numbers, inverses, n)
        self._check(blinding.hashes, signatures, n_jobs)
        return wide.to_big_endian(signatures, self.value_bytes)

    def verify(self, data: Sequence[bytes], signatures: ByteRows, *, n_jobs: int = 1) -> None:
        """Check unblinded signatures.

        Raises
        ------
        crypto.errors.SignatureError
            If the shape is wrong or a signature is not valid.
        """
        self._check(self.hash(data), self._signatures(signatures, len(data)), n_jobs)

    def check_proof(self, proof: ByteRows) -> None:
        """Check that raising to e is one to one, so that a blinded value tells nothing.

        Parameters
        ----------
        proof : array of shape (PROOF_SIZE, value_bytes), uint8
            From `blind_rsa_private.SigningKey.proof`.

        Raises
        ------
        crypto.errors.KeyFormatError
        """
        try:
            roots = self._signatures(proof, PROOF_SIZE)
            self._check(self.proof_challenge(), roots, 1)
        except SignatureError:
            raise KeyFormatError(
                f"the {self.key_bits}-bit {self.scheme} key does not come with a valid proof that "
                f"e={EXPONENT} does not divide phi(n); blinded values could tell something about "
                "what they hide. Ask its owner for a new key"
            ) from None

    def tags(self, signatures: ByteRows) -> ByteRows:
        """Hash signatures to short names of what they sign, to be compared between parties.

        Parameters
        ----------
        signatures : array of shape (count, value_bytes), uint8

        Returns
        -------
        array of shape (count, TAG_BYTES), uint8
            SHA-256 of the signature behind a domain tag and the key's digest.
        """
        data, size = np.ascontiguousarray(signatures).tobytes(), self.value_bytes
        start = hashlib.sha256(_TAG_TAG + self._digest)
        tags = bytearray()
        for first in range(0, len(data), size):
            digest = start.copy()
            digest.update(data[first : first + size])
            tags += digest.digest()
        return np.frombuffer(tags, dtype=np.uint8).reshape(-1, TAG_BYTES)

    def hash(self, data: Sequence[bytes]) -> Words:
        """Hash values onto the numbers below n; bound to this key.

        Returns
        -------
        array of shape (count, words), uint64
        """
        hashes = hash_to_residues(data, self.n, _HASH_TAG + self._digest)
        return wide.from_integers(hashes, self.words)

    def proof_challenge(self) -> Words:
        """Return the numbers whose e-th roots prove that all numbers have one.

        Returns
        -------
        array of shape (PROOF_SIZE, words), uint64
        """
        items = [bytes([i]) for i in range(PROOF_SIZE)]
        return wide.from_integers(
            hash_to_residues(items, self.n, _PROOF_TAG + self._digest), self.words
        )

    @cached_property
    def _digest(self) -> bytes:
        return hashlib.sha256(self.to_bytes()).digest()

    def _blind(
        self, data: Sequence[bytes], factors: Words, n_jobs: int
    ) -> tuple[ByteRows, Blinding]:
        hashes = self.hash(data)
        if not self.modulus.all_units(hashes, n_jobs=n_jobs):
            raise KeyFormatError(
                f"the {self.key_bits}-bit modulus shares a factor with a hash, so it is no product "
                "of two large primes; ask its owner for a new key"
            )
        masks = self.modulus.root_powers(factors, EXPONENT, n_jobs=n_jobs)
        blinded = multiply(hashes, wide.to_mpz(masks), mpz(self.n))
        return wide.to_big_endian(blinded, self.value_bytes), Blinding(hashes, factors)

    def _signatures(self, rows: ByteRows, count: int) -> Words:
        if rows.dtype != np.uint8 or rows.shape != (count, self.value_bytes):
            raise SignatureError(
                f"{count} signatures must be uint8 of shape ({count}, {self.value_bytes}), not "
                f"{rows.dtype} of shape {rows.shape}; both sides must use the same key"
            )
        numbers = wide.from_big_endian(rows)
        position = wide.first_not_below(numbers, self.n)
        if position is not None:
            raise SignatureError(f"signature {position} is not below the modulus", position)
        return numbers

    def _check(self, hashes: Words, signatures: Words, n_jobs: int) -> None:
        powers = self.modulus.root_powers(signatures, EXPONENT, n_jobs=n_jobs)
        wrong = (powers != hashes).any(axis=1)
        if wrong.any():
            position = int(wrong.argmax())
            raise SignatureError(
                f"signature {position} is not valid under the key with fingerprint "
                f"{self.fingerprint[:16]}; the signer is faulty or not honest",
                position,
            )


def multiply(numbers: Words, factors: Sequence[mpz], n: mpz) -> Words:
    """Multiply residues one by one modulo n."""
    products = [x * y % n for x, y in zip(wide.to_mpz(numbers), factors, strict=True)]
    return wide.from_integers(products, wide.words_for(n.bit_length()))
