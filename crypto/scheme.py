"""What an additively homomorphic scheme must offer.

Numbers cross this interface as whole arrays, never as an object per number, so that an engine may
be a loop over big integers today and eight vector lanes tomorrow without a caller noticing.

==============  =============================  ====================================================
array           shape, dtype                   meaning
==============  =============================  ====================================================
`Plaintexts`    (count, words) uint64          signed integers in two's complement, least
                                               significant word first
`Ciphertexts`   (count, words) uint64          opaque to everybody but the scheme; Paillier keeps
                                               ``[a | t]`` of ``c = a (1 + t n) mod n**2`` there
==============  =============================  ====================================================
"""

from abc import ABC, abstractmethod
from typing import ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from crypto.pool import WorksAhead

Plaintexts: TypeAlias = NDArray[np.uint64]
Ciphertexts: TypeAlias = NDArray[np.uint64]
RowIndices: TypeAlias = NDArray[np.int64]


class PublicKey(WorksAhead, ABC):
    """What the feature party holds: it can add, pack and re-randomise, and never decrypt.

    Attributes
    ----------
    scheme : str
        Name under which the scheme is registered.
    in_process_only : bool
        The scheme hides nothing; it is for parity tests and for measuring the framework's own
        cost, and a feature party refuses it from a peer outside its process.
    key_bits : int
        Length of the modulus (0 for a scheme without one).
    plaintext_bits : int
        Every plaintext ``m`` satisfies ``abs(m) < 2**plaintext_bits``.
    ciphertext_words : int
        Second dimension of `Ciphertexts`.
    """

    scheme: ClassVar[str]
    in_process_only: ClassVar[bool] = False
    key_bits: int
    plaintext_bits: int
    ciphertext_words: int

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """SHA-256 of the encoded key, in hexadecimal."""

    @abstractmethod
    def to_bytes(self) -> bytes:
        """Encode the key for a peer; `crypto.schemes.load_public_key` decodes and checks it."""

    @abstractmethod
    def check(self, ciphertexts: Ciphertexts) -> None:
        """Validate ciphertexts that came from somebody else.

        Raises
        ------
        crypto.errors.CiphertextError
            If the width is wrong, a value is out of range or shares a factor with the modulus.
            The error carries the position of the first bad one where that is known.
        """

    @abstractmethod
    def sum_by_segment(
        self, ciphertexts: Ciphertexts, rows: RowIndices, starts: RowIndices, *, n_jobs: int = 1
    ) -> Ciphertexts:
        """Add ciphertexts up, one sum per segment.

        Parameters
        ----------
        ciphertexts : Ciphertexts, shape (n_rows, words)
        rows : array of shape (n,), int64
            Which ciphertext each summand is; a row may occur in many segments.
        starts : array of shape (n_segments + 1,), int64
            Segment ``s`` sums ``rows[starts[s]:starts[s + 1]]``.
        n_jobs : int
            Threads to use.

        Returns
        -------
        Ciphertexts, shape (n_segments, words)
            *Not* re-randomised: never let these leave the party. An empty segment is the trivial
            encryption of zero.
        """

    @abstractmethod
    def negate(self, ciphertexts: Ciphertexts) -> Ciphertexts:
        """Encrypt the negative of each plaintext. Slow, for a few; not re-randomised."""

    @abstractmethod
    def pack(
        self, ciphertexts: Ciphertexts, slot_bits: int, slots: int, *, n_jobs: int = 1
    ) -> Ciphertexts:
        """Shift and add consecutive ciphertexts into one each.

        Output ``i`` encrypts ``sum(m[i * slots + j] << (slot_bits * j) for j < slots)``; the last
        output holds what is left. `crypto.packing` proves that the sums fit.

        Returns
        -------
        Ciphertexts, shape (ceil(count / slots), words)
            Not re-randomised.
        """

    @abstractmethod
    def rerandomise(self, ciphertexts: Ciphertexts, *, n_jobs: int = 1) -> Ciphertexts:
        """Make ciphertexts unlinkable to their summands, even for the owner of the key."""


class PrivateKey(WorksAhead, ABC):
    """What the label party holds. Never pickled, never shown.

    Attributes
    ----------
    public_key : PublicKey
    """

    public_key: PublicKey

    @abstractmethod
    def encrypt(self, plaintexts: Plaintexts, *, n_jobs: int = 1) -> Ciphertexts:
        """Encrypt with fresh randomness from the operating system for each number.

        Raises
        ------
        crypto.errors.PlaintextError
            If a plaintext does not fit ``public_key.plaintext_bits``.
        """

    @abstractmethod
    def decrypt(self, ciphertexts: Ciphertexts, *, n_jobs: int = 1) -> Plaintexts:
        """Decrypt to centred residues, wide enough for ``public_key.plaintext_bits`` and a sign.

        Raises
        ------
        crypto.errors.CiphertextError
            If `PublicKey.check` would.
        """


class Scheme(ABC):
    """An entry of the registry `crypto.schemes.SCHEMES`.

    Attributes
    ----------
    name : str
    """

    name: ClassVar[str]

    @abstractmethod
    def generate(self, key_bits: int) -> PrivateKey:
        """Make a key pair from the randomness of the operating system.

        Raises
        ------
        crypto.errors.KeySizeError
            If the scheme does not offer that length.
        """

    @abstractmethod
    def insecure_test_key(self, key_bits: int) -> PrivateKey:
        """Make a key pair of a length that protects nothing, for tests.

        Raises
        ------
        crypto.errors.KeySizeError
            If not even a test can use that length.
        """

    @abstractmethod
    def load_public_key(self, data: bytes, *, allow_insecure: bool = False) -> PublicKey:
        """Decode and check a public key that came from somebody else.

        Parameters
        ----------
        data : bytes
        allow_insecure : bool
            Accept what `insecure_test_key` makes. For tests only.

        Raises
        ------
        crypto.errors.KeyFormatError, crypto.errors.KeySizeError
        """
