"""ristretto255 (RFC 9496), the group to prefer: arithmetic over whole arrays, without the lock.

It is of prime order and each element has one encoding, so there are no elements of small order to
watch for, and equal elements are equal bytes. Ids are hashed by libsodium. Products are those of
`crypto.kernels.ifma_ristretto`, eight at a time, where the compute engine is ``ifma``, and
libsodium's elsewhere, bit for bit the same. The kernels here get libsodium's functions and
addresses as arguments: they loop without the interpreter's lock, and numba can keep them compiled.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from crypto.compiling import kernel
from crypto.errors import GroupUnavailableError
from crypto.groups import sodium
from crypto.groups.base import Elements, Group, refused
from crypto.groups.expand import with_length
from crypto.kernels import describe_choice
from crypto.kernels.ifma_engine import IfmaEngine
from crypto.kernels.threads import over_ranges

_BYTES = 32
_DIGEST = 64
_BLOCK = 128
"""Bytes that SHA-512 takes in at a time."""
_WORTH_A_THREAD = 32
"""Elements; they take some 2 ms."""
_P_WORDS = tuple((2**255 - 19) >> 64 * i & 2**64 - 1 for i in range(4))


class Ristretto255(Group):
    """The group of RFC 9496, hashed to as in RFC 9380, appendix B, with SHA-512.

    Parameters
    ----------
    vectors : bool or None
        Whether products are made eight at a time; None: where the compute engine does so too.
    """

    name: ClassVar[str] = "ristretto255"
    order: ClassVar[int] = 2**252 + 27742317777372353535851937790883648493
    byte_order: ClassVar[Literal["little", "big"]] = "little"

    def __init__(self, vectors: bool | None = None) -> None:
        self._wanted = vectors

    @property
    def vectors(self) -> bool:
        """Whether products are made eight at a time."""
        return describe_choice().name == IfmaEngine.name if self._wanted is None else self._wanted

    def missing(self) -> str | None:
        """Say what keeps libsodium from being used, None if nothing does."""
        found = sodium.load()
        return found if isinstance(found, str) else None

    def _hash(self, data: Sequence[bytes], tag: bytes, n_jobs: int) -> Elements:
        uniform = self._expand(data, tag, n_jobs)
        if self.vectors:
            mapped: Elements = _vector_kernels().multiply_hashes(uniform, None, n_jobs=n_jobs)
            return mapped
        from_hash = self._functions().from_hash
        elements = np.empty((len(data), _BYTES), dtype=np.uint8)

        def work(first: int, end: int) -> None:
            part, rows = uniform[first:end], elements[first:end]
            map_rows(from_hash, part.ctypes.data, rows.ctypes.data, end - first)

        over_ranges(work, len(data), n_jobs, least=_WORTH_A_THREAD)
        return elements

    def _blind(self, data: Sequence[bytes], secret: bytes, tag: bytes, n_jobs: int) -> Elements:
        if not self.vectors:
            return super()._blind(data, secret, tag, n_jobs)
        uniform = self._expand(data, tag, n_jobs)
        blinded: Elements = _vector_kernels().multiply_hashes(uniform, secret, n_jobs=n_jobs)
        return blinded

    def _multiply(self, elements: Elements, secret: bytes, n_jobs: int) -> Elements:
        # Checked here for both: libsodium 1.0.18 ignores the highest bit, which would give each
        # element two encodings, and the vector kernels take numbers that are reduced already.
        proper = are_canonical(elements)
        count = len(elements) if proper.all() else int(proper.argmin())
        products, bad = self._products(elements[:count], secret, n_jobs)
        if bad < len(elements):
            identity = not elements[bad].any()
            raise refused(
                bad,
                len(elements),
                "it is the identity" if identity else "no element has this encoding",
            )
        return products

    def _products(self, elements: Elements, secret: bytes, n_jobs: int) -> tuple[Elements, int]:
        """Products of canonical rows, and the position of the first that is no element."""
        count = len(elements)
        if self.vectors:
            kernels = _vector_kernels()
            products, valid = kernels.multiply_elements(elements, secret, n_jobs=n_jobs)
            return products, count if valid.all() else int(valid.argmin())
        scalarmult = self._functions().scalarmult
        scalar = np.frombuffer(secret, dtype=np.uint8)
        products = np.empty_like(elements)

        def work(first: int, end: int) -> int:
            done = multiply_rows(
                scalarmult,
                scalar.ctypes.data,
                elements[first:end].ctypes.data,
                products[first:end].ctypes.data,
                end - first,
            )
            return count if done == end - first else first + done

        return products, min(over_ranges(work, count, n_jobs, least=_WORTH_A_THREAD), default=count)

    def _expand(self, data: Sequence[bytes], tag: bytes, n_jobs: int) -> NDArray[np.uint8]:
        """Make 64 uniform bytes of each message, shape (n, 64)."""
        sha512 = self._functions().sha512
        ending = with_length(tag)
        text = np.frombuffer(b"".join(data), dtype=np.uint8)
        lengths = np.fromiter(map(len, data), dtype=np.int64, count=len(data))
        starts = np.concatenate([[0], np.cumsum(lengths)])
        tail = np.frombuffer(_DIGEST.to_bytes(2, "big") + b"\0" + ending, dtype=np.uint8)
        uniform = np.empty((len(data), _DIGEST), dtype=np.uint8)

        def work(first: int, end: int) -> None:
            outer = np.zeros(_BLOCK + lengths[first:end].max() + len(tail), dtype=np.uint8)
            inner = np.frombuffer(bytearray(_DIGEST) + b"\1" + ending, dtype=np.uint8)
            expand_rows(
                sha512, text, starts[first : end + 1], tail, outer, inner, uniform[first:end]
            )

        over_ranges(work, len(data), n_jobs, least=_WORTH_A_THREAD)
        return uniform

    def _functions(self) -> sodium.Sodium:
        found = sodium.load()
        if isinstance(found, str):
            raise GroupUnavailableError(f"group {self.name} {found}")
        return found


def are_canonical(elements: Elements) -> NDArray[np.bool_]:
    """Tell which rows are numbers below ``2**255 - 19`` and even: no element is written otherwise.

    Parameters
    ----------
    elements : array of shape (n, 32), uint8

    Returns
    -------
    array of shape (n,), bool
    """
    words = np.ascontiguousarray(elements).view("<u8")
    below = np.zeros(len(words), dtype=np.bool_)
    for word, limit in enumerate(_P_WORDS):  # lowest first: a higher word decides over it
        below = (words[:, word] < limit) | ((words[:, word] == limit) & below)
    even: NDArray[np.bool_] = elements[:, 0] & 1 == 0
    return below & even


@cache
def _vector_kernels() -> Any:
    """Load the kernels from the cache, or compile them; imported only where they can be."""
    from crypto.kernels import ifma_ristretto

    ifma_ristretto.load()
    return ifma_ristretto


@kernel
def expand_rows(
    sha512: Any,
    text: NDArray[np.uint8],
    starts: NDArray[np.int64],
    tail: NDArray[np.uint8],
    outer: NDArray[np.uint8],
    inner: NDArray[np.uint8],
    uniform: NDArray[np.uint8],
) -> None:
    """Expand messages to 64 bytes (`crypto.groups.expand`).

    Parameters
    ----------
    sha512 : ctypes function
        See `crypto.groups.sodium.Sodium`.
    text : array of uint8
        All messages, one behind the other.
    starts : array of shape (n + 1,), int64
        Where in `text` each begins; the last ends at ``starts[n]``.
    tail : array of uint8
        What follows a message in the first hash: the length asked for, 0, the tag.
    outer : array of uint8
        One block of zeros, then room for the longest message and `tail`.
    inner : array of uint8
        Room for a digest, then 1 and the tag.
    uniform : array of shape (n, 64), uint8
        Receives the result.
    """
    for row in range(len(uniform)):
        end = _BLOCK + starts[row + 1] - starts[row]
        outer[_BLOCK:end] = text[starts[row] : starts[row + 1]]
        outer[end : end + len(tail)] = tail
        sha512(inner.ctypes.data, outer.ctypes.data, end + len(tail))
        sha512(uniform.ctypes.data + _DIGEST * row, inner.ctypes.data, len(inner))


@kernel
def map_rows(from_hash: Any, uniform: int, elements: int, count: int) -> None:
    """Map 64 bytes each to elements; arrays are given as addresses."""
    for row in range(count):
        from_hash(elements + _BYTES * row, uniform + _DIGEST * row)


@kernel
def multiply_rows(scalarmult: Any, scalar: int, elements: int, products: int, count: int) -> int:
    """Multiply elements by a scalar; all arguments but the function and the count are addresses.

    Returns
    -------
    int
        How many were multiplied: `count`, or fewer if the next is refused.
    """
    for row in range(count):
        if scalarmult(products + _BYTES * row, scalar, elements + _BYTES * row) != 0:
            return row
    return count
