"""ristretto255, eight elements at a time: one scalar times many elements.

The scalar is the same for all elements, and what is done does not depend on it: it is written in 64
digits of -8 to 7, each digit costs four doublings and one sum, and the multiple to be added is
chosen by reading all of them. So neither time nor memory addresses tell anything of the scalar.
"""

from typing import Any

import numba
import numpy as np
from numba import types
from numba.core import extending
from numba.np import arrayobj
from numpy import int64, uint8, uint64
from numpy.typing import NDArray

from crypto.compiling import kernel, prepare
from crypto.kernels.arrays import frozen
from crypto.kernels.ifma_constants import aligned_words
from crypto.kernels.ifma_emit import LANES, Builder, Value
from crypto.kernels.ifma_field import SLOT_WORDS
from crypto.kernels.ifma_points import INPUT, MULTIPLES, SLOTS, STATUS, TABLE, Points
from crypto.kernels.threads import over_ranges

SCALAR_DIGITS = 64
LOW51 = (1 << 51) - 1

intrinsic: Any = extending.intrinsic
make_array: Any = arrayobj.make_array


def multiply_elements(
    elements: NDArray[uint8], scalar: bytes, *, n_jobs: int
) -> tuple[NDArray[uint8], NDArray[np.bool_]]:
    """Multiply elements by a scalar.

    Parameters
    ----------
    elements : array of shape (n, 32), uint8
        Canonical: below P and even.
    scalar : bytes, 32 long
        Below ``2**253``, little-endian.
    n_jobs : int
        Threads.

    Returns
    -------
    products : array of shape (n, 32), uint8
    valid : array of shape (n,), bool
        Whether each was an element of the group other than the identity; the product of one that
        was not means nothing.
    """
    words, digits = _words_of(elements), digits_of(scalar)
    out = np.empty((len(words), 4), dtype=np.uint64)
    valid = np.empty(len(words), dtype=np.bool_)

    def work(first: int, end: int) -> None:
        _multiply_all(_workspace(), words[first:end], digits, out[first:end], valid[first:end])

    over_ranges(work, len(words), n_jobs, multiple=LANES)
    return _bytes_of(out), valid


def multiply_hashes(
    uniform: NDArray[uint8], scalar: bytes | None, *, n_jobs: int
) -> NDArray[uint8]:
    """Map uniform bytes to the group and multiply by a scalar.

    Parameters
    ----------
    uniform : array of shape (n, 64), uint8
    scalar : bytes, 32 long, or None
        None does not multiply.
    n_jobs : int

    Returns
    -------
    array of shape (n, 32), uint8
    """
    words = _words_of(uniform)
    digits = digits_of(scalar) if scalar is not None else np.empty(0, dtype=np.int64)
    out = np.empty((len(words), 4), dtype=np.uint64)

    def work(first: int, end: int) -> None:
        _multiply_hashes(_workspace(), words[first:end], digits, out[first:end])

    over_ranges(work, len(words), n_jobs, multiple=LANES)
    return _bytes_of(out)


def digits_of(scalar: bytes) -> NDArray[int64]:
    """Write a scalar in 64 digits to base 16 from -8 to 7, the last one to 8; lowest first."""
    digits = [nibble for byte in scalar for nibble in (byte & 15, byte >> 4)]
    for i in range(SCALAR_DIGITS - 1):
        carry = digits[i] + 8 >> 4
        digits[i] -= 16 * carry
        digits[i + 1] += carry
    return np.array(digits, dtype=np.int64)


def load() -> None:
    """Load the kernels from the cache, or compile them."""
    vector, digits = numba.uint64[::1], numba.int64[::1]
    rows = numba.types.Array(numba.uint64, 2, "C", readonly=True)
    out, valid = numba.uint64[:, ::1], numba.boolean[::1]
    prepare(
        "ristretto255",
        [
            (_multiply_all, (vector, rows, digits, out, valid)),
            (_multiply_hashes, (vector, rows, digits, out)),
        ],
    )


def _workspace() -> NDArray[uint64]:
    workspace = aligned_words(SLOTS * SLOT_WORDS)
    workspace[:] = 0
    return workspace


def _words_of(rows: NDArray[uint8]) -> NDArray[uint64]:
    return frozen(np.ascontiguousarray(rows).view("<u8").astype(np.uint64, copy=False))


def _bytes_of(words: NDArray[uint64]) -> NDArray[uint8]:
    return words.astype("<u8", copy=False).view(np.uint8)


def _function(signature: Any, emit: Any) -> Any:
    """Return the signature and the code generator of a function on a workspace."""

    def codegen(context: Any, builder: Builder, signature: Any, arguments: Any) -> Value:
        base = make_array(signature.args[0])(context, builder, arguments[0]).data
        emit(Points(builder, base), *arguments[1:])
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def _emit_decode(typing: Any, workspace: Any) -> Any:
    return _function(types.void(workspace), Points.decode)


@intrinsic
def _emit_encode(typing: Any, workspace: Any) -> Any:
    return _function(types.void(workspace), Points.encode)


@intrinsic
def _emit_hash(typing: Any, workspace: Any) -> Any:
    return _function(types.void(workspace), Points.hash)


@intrinsic
def _emit_double(typing: Any, workspace: Any) -> Any:
    return _function(types.void(workspace), lambda points: points.double(with_t=False))


@intrinsic
def _emit_double_with_t(typing: Any, workspace: Any) -> Any:
    return _function(types.void(workspace), lambda points: points.double(with_t=True))


@intrinsic
def _emit_add(typing: Any, workspace: Any) -> Any:
    return _function(types.void(workspace), Points.add_chosen)


@intrinsic
def _emit_choose(typing: Any, workspace: Any, digit: Any) -> Any:
    return _function(types.void(workspace, types.int64), Points.choose)


@intrinsic
def _emit_keep(typing: Any, workspace: Any, slot: Any) -> Any:
    return _function(types.void(workspace, types.int64), Points.keep)


@intrinsic
def _emit_identity(typing: Any, workspace: Any) -> Any:
    return _function(types.void(workspace), Points.put_identity)


@kernel
def _double(workspace: NDArray[uint64]) -> None:
    _emit_double(workspace)


@kernel
def _double_with_t(workspace: NDArray[uint64]) -> None:
    _emit_double_with_t(workspace)


@kernel
def _add_digit(workspace: NDArray[uint64], digit: int) -> None:
    _emit_choose(workspace, digit)
    _emit_add(workspace)


@kernel
def _multiply(workspace: NDArray[uint64], digits: NDArray[int64]) -> None:
    """Multiply the point by the scalar of these digits."""
    _emit_keep(workspace, MULTIPLES)
    for entry in range(1, TABLE):
        _add_digit(workspace, 1)  # the first multiple, which alone is in the table for sure
        _emit_keep(workspace, MULTIPLES + 4 * entry)
    _emit_identity(workspace)
    for i in range(digits.size - 1, -1, -1):
        _double(workspace)
        _double(workspace)
        _double(workspace)
        _double_with_t(workspace)
        _add_digit(workspace, digits[i])


@kernel
def _put(workspace: NDArray[uint64], slot: int, lane: int, words: NDArray[uint64]) -> None:
    """Write 255 bits as five digits into a lane."""
    at = slot * SLOT_WORDS + lane
    a, b, c, d = words[0], words[1], words[2], words[3]
    mask = uint64(LOW51)
    workspace[at] = a & mask
    workspace[at + LANES] = ((a >> uint64(51)) | (b << uint64(13))) & mask
    workspace[at + 2 * LANES] = ((b >> uint64(38)) | (c << uint64(26))) & mask
    workspace[at + 3 * LANES] = ((c >> uint64(25)) | (d << uint64(39))) & mask
    workspace[at + 4 * LANES] = (d >> uint64(12)) & mask


@kernel
def _take(workspace: NDArray[uint64], lane: int, words: NDArray[uint64]) -> None:
    """Read the number in `INPUT` of a lane."""
    at = INPUT * SLOT_WORDS + lane
    a, b, c = workspace[at], workspace[at + LANES], workspace[at + 2 * LANES]
    d, e = workspace[at + 3 * LANES], workspace[at + 4 * LANES]
    words[0] = a | (b << uint64(51))
    words[1] = (b >> uint64(13)) | (c << uint64(38))
    words[2] = (c >> uint64(26)) | (d << uint64(25))
    words[3] = (d >> uint64(39)) | (e << uint64(12))


@kernel
def _multiply_all(
    workspace: NDArray[uint64],
    elements: NDArray[uint64],
    digits: NDArray[int64],
    products: NDArray[uint64],
    valid: NDArray[np.bool_],
) -> None:
    for first in range(0, elements.shape[0], LANES):
        lanes = min(LANES, elements.shape[0] - first)
        for lane in range(lanes):
            _put(workspace, INPUT, lane, elements[first + lane])
        _emit_decode(workspace)
        for lane in range(lanes):
            valid[first + lane] = workspace[STATUS * SLOT_WORDS + lane] != 0
        _multiply(workspace, digits)
        _emit_encode(workspace)
        for lane in range(lanes):
            _take(workspace, lane, products[first + lane])


@kernel
def _multiply_hashes(
    workspace: NDArray[uint64],
    uniform: NDArray[uint64],
    digits: NDArray[int64],
    products: NDArray[uint64],
) -> None:
    for first in range(0, uniform.shape[0], LANES):
        lanes = min(LANES, uniform.shape[0] - first)
        for lane in range(lanes):
            _put(workspace, INPUT, lane, uniform[first + lane, :4])
            _put(workspace, INPUT + 1, lane, uniform[first + lane, 4:])
        _emit_hash(workspace)
        if digits.size:
            _multiply(workspace, digits)
        _emit_encode(workspace)
        for lane in range(lanes):
            _take(workspace, lane, products[first + lane])
