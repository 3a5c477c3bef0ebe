"""The identity scheme: a 'ciphertext' is the number itself, in 128-bit two's complement.

It hides nothing. It shows that a federated run equals a pooled one without waiting for Paillier,
and measures what the framework costs by itself. `in_process_only` makes a feature party refuse it
from a peer in another process.
"""

import hashlib
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from crypto import wide
from crypto.compiling import kernel
from crypto.errors import CiphertextError, KeyFormatError, PlaintextError
from crypto.paillier_public import check_slots, check_width
from crypto.scheme import Ciphertexts, Plaintexts, PublicKey, RowIndices, Scheme
from crypto.secrecy import GuardedPrivateKey
from crypto.segments import check_segments

PLAINTEXT_BITS = 126
WORDS = 2
ENCODED_KEY = b"plain/1:"


class PlainPublicKey(PublicKey):
    """A key without content."""

    scheme: ClassVar[str] = "plain"
    in_process_only: ClassVar[bool] = True

    def __init__(self) -> None:
        self.key_bits = 0
        self.plaintext_bits = PLAINTEXT_BITS
        self.ciphertext_words = WORDS

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the encoded key, in hexadecimal."""
        return hashlib.sha256(ENCODED_KEY).hexdigest()

    def to_bytes(self) -> bytes:
        """Encode the key for a peer."""
        return ENCODED_KEY

    def check(self, ciphertexts: Ciphertexts) -> None:
        """Validate width and range."""
        check_width(ciphertexts, WORDS)
        position = wide.first_outside(ciphertexts, PLAINTEXT_BITS)
        if position is not None:
            raise CiphertextError(
                f"ciphertext {position} does not lie within +-2**{PLAINTEXT_BITS}", position
            )

    def sum_by_segment(
        self, ciphertexts: Ciphertexts, rows: RowIndices, starts: RowIndices, *, n_jobs: int = 1
    ) -> Ciphertexts:
        """Add up, one sum per segment; see `PublicKey.sum_by_segment`. Uses one thread."""
        check_width(ciphertexts, WORDS)
        check_segments(len(ciphertexts), rows, starts)
        return sum_segments(ciphertexts, rows, starts)

    def negate(self, ciphertexts: Ciphertexts) -> Ciphertexts:
        """Take the two's complement."""
        check_width(ciphertexts, WORDS)
        return wide.add_constant(~ciphertexts, 1)

    def pack(
        self, ciphertexts: Ciphertexts, slot_bits: int, slots: int, *, n_jobs: int = 1
    ) -> Ciphertexts:
        """Shift and add consecutive numbers into one each; see `PublicKey.pack`."""
        check_width(ciphertexts, WORDS)
        check_slots(slot_bits, slots, PLAINTEXT_BITS)
        return pack_slots(ciphertexts, slot_bits, slots)

    def rerandomise(self, ciphertexts: Ciphertexts, *, n_jobs: int = 1) -> Ciphertexts:
        """Copy: there is nothing to randomise."""
        check_width(ciphertexts, WORDS)
        return ciphertexts.copy()


class PlainPrivateKey(GuardedPrivateKey):
    """The other half of a key without content."""

    def __init__(self) -> None:
        self.public_key = PlainPublicKey()

    def encrypt(self, plaintexts: Plaintexts, *, n_jobs: int = 1) -> Ciphertexts:
        """Bring numbers to two words; see `PrivateKey.encrypt`."""
        position = wide.first_outside(plaintexts, PLAINTEXT_BITS)
        if position is not None:
            raise PlaintextError(
                f"plaintext {position} does not lie within +-2**{PLAINTEXT_BITS}", position
            )
        return wide.resize(plaintexts, WORDS)

    def decrypt(self, ciphertexts: Ciphertexts, *, n_jobs: int = 1) -> Plaintexts:
        """Check and copy; see `PrivateKey.decrypt`."""
        self.public_key.check(ciphertexts)
        return ciphertexts.copy()


class PlainScheme(Scheme):
    """The identity scheme as an entry of the registry."""

    name: ClassVar[str] = "plain"

    def generate(self, key_bits: int) -> PlainPrivateKey:
        """Return the only key; any length will do."""
        return PlainPrivateKey()

    def insecure_test_key(self, key_bits: int) -> PlainPrivateKey:
        """Return the only key."""
        return PlainPrivateKey()

    def load_public_key(self, data: bytes, *, allow_insecure: bool = False) -> PlainPublicKey:
        """Recognise the only key."""
        if data != ENCODED_KEY:
            raise KeyFormatError(
                f"these {len(data)} bytes are not the key of the plain scheme; "
                "both sides must use the same scheme and version"
            )
        return PlainPublicKey()


@kernel
def sum_segments(
    numbers: NDArray[np.uint64], rows: NDArray[np.int64], starts: NDArray[np.int64]
) -> NDArray[np.uint64]:
    """Add two-word numbers up, modulo 2**128, one sum per segment."""
    sums = np.empty((len(starts) - 1, 2), dtype=np.uint64)
    for segment in range(len(starts) - 1):
        low, high = np.uint64(0), np.uint64(0)
        for i in range(starts[segment], starts[segment + 1]):
            addend = numbers[rows[i], 0]
            low += addend
            high += numbers[rows[i], 1] + np.uint64(low < addend)
        sums[segment, 0], sums[segment, 1] = low, high
    return sums


@kernel
def pack_slots(numbers: NDArray[np.uint64], slot_bits: int, slots: int) -> NDArray[np.uint64]:
    """Shift and add two-word numbers, modulo 2**128; see `PublicKey.pack`."""
    count = len(numbers)
    packed = np.zeros((-(-count // slots), 2), dtype=np.uint64)
    for i in range(count):
        shift = (i % slots) * slot_bits
        low, high = numbers[i]
        if shift >= 64:
            low, high = np.uint64(0), low << np.uint64(shift - 64)
        elif shift > 0:
            high = (high << np.uint64(shift)) | (low >> np.uint64(64 - shift))
            low = low << np.uint64(shift)
        group = packed[i // slots]
        group[0] += low
        group[1] += high + np.uint64(group[0] < low)
    return packed
