"""Arrays of a codec as the bytes of a message, and back.

The arrays lie one after the other, little-endian, each padded with zeros to a multiple of 8 bytes.
Nothing in the bytes describes them: both sides know the layout from codec, rows and width.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secureboost.splitnn.errors import PayloadError

Arrays = tuple[NDArray[Any], ...]


@dataclass(frozen=True)
class Part:
    """Form of one array.

    Attributes
    ----------
    dtype : str
        Of numpy: ``"float32"``, ``"int8"``, ...
    shape : tuple of int
    """

    dtype: str
    shape: tuple[int, ...]

    @property
    def n_bytes(self) -> int:
        """Bytes without padding."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


Layout = tuple[Part, ...]


def layout_bytes(layout: Sequence[Part]) -> int:
    """Bytes of a payload."""
    return sum(_padded(part.n_bytes) for part in layout)


def pack(arrays: Sequence[NDArray[Any]], layout: Sequence[Part]) -> NDArray[np.uint8]:
    """Put arrays one after the other.

    Parameters
    ----------
    arrays : sequence of arrays
        Of the dtypes and shapes of `layout`; our own codec made them.

    Returns
    -------
    array of shape (layout_bytes(layout),), uint8
    """
    payload = np.zeros(layout_bytes(layout), np.uint8)
    start = 0
    for array, part in zip(arrays, layout, strict=True):
        if array.dtype != np.dtype(part.dtype) or array.shape != part.shape:
            raise TypeError(f"a codec made {array.dtype}{array.shape} of what should be {part}")
        raw = np.ascontiguousarray(array, dtype=np.dtype(part.dtype).newbyteorder("<"))
        payload[start : start + part.n_bytes] = raw.reshape(-1).view(np.uint8)
        start += _padded(part.n_bytes)
    return payload


def unpack(payload: NDArray[np.uint8], layout: Sequence[Part]) -> Arrays:
    """Read what another party packed.

    Parameters
    ----------
    payload : array of shape (n_bytes,), uint8
    layout : sequence of Part

    Returns
    -------
    tuple of arrays
        Views of the payload.

    Raises
    ------
    PayloadError
        If it has another length.
    """
    expected = layout_bytes(layout)
    if len(payload) != expected:
        raise PayloadError(f"{len(payload)} bytes at the cut, where {expected} were due")
    arrays, start = [], 0
    for part in layout:
        raw = payload[start : start + part.n_bytes]
        arrays.append(raw.view(np.dtype(part.dtype).newbyteorder("<")).reshape(part.shape))
        start += _padded(part.n_bytes)
    return tuple(arrays)


def _padded(size: int) -> int:
    return -(-size // 8) * 8
