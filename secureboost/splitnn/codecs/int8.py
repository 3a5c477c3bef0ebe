"""Numbers as whole numbers of 8 bits, with a scale and a zero point for each row."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from secureboost.splitnn.codecs.base import Codec
from secureboost.splitnn.errors import PayloadError
from secureboost.splitnn.payload import Arrays, Layout, Part
from secureboost.splitnn.tensors import from_array

GRADIENT_BITS = (8, 4)

_STEPS = 255
_LOWEST, _HIGHEST = -128, 127
_BELOW: Mapping[str, Any] = {"float32": np.uint32(16), "float64": np.uint64(48)}
"""Bits of a float behind its upper 16, as a number of the unsigned type that is as wide."""


class Int8(Codec):
    """Affine quantisation, ``x = s (q - z)``, as in Jacob et al. 2018 (arXiv 1712.05877), eq. 1.

    For each row ``s = (high - low) / 255`` with ``low = min(0, min x)``, ``high = max(0, max x)``
    and ``z = round(-low / s) - 128``, so that 0 stays 0. Then ``q = round(x / s) + z`` lies in
    [-128, 127] but for a tie at an end, so each number comes back within s / 2, give or take
    rounding in the tensor's own dtype (``2**-14 s`` in float32). Of s the upper 16 bits travel,
    rounded up: it has the range of the tensor's dtype, so nothing overflows, and is at most
    ``2**-7`` of itself larger (``2**-4`` in float64). A row takes width + 3 bytes.

    Gradients lie around 0 and need no z: ``s = max |x| / L`` with ``L`` 127 or, in 4 bits, 7. A row
    takes width + 2 bytes, or width / 2 + 2.

    Parameters
    ----------
    gradient_bits : int
        Of `GRADIENT_BITS`.
    """

    name = "int8"

    def __init__(self, gradient_bits: int = 8) -> None:
        self._in_halves = gradient_bits == 4
        self._largest = 2 ** (gradient_bits - 1) - 1

    def layout(self, n_rows: int, width: int, dtype: str) -> Layout:
        """The q; s and z of each row."""
        return (
            Part("int8", (n_rows, width)),
            Part("uint16", (n_rows,)),
            Part("int8", (n_rows,)),
        )

    def encode(self, values: Tensor, generator: torch.Generator | None = None) -> Arrays:
        """See `Codec.encode`."""
        low = values.amin(1).clamp(max=0.0)
        high = values.amax(1).clamp(min=0.0)
        # the difference itself may overflow
        upper, divisor = _scales(high / _STEPS - low / _STEPS)
        zero = ((-low / divisor).round() + _LOWEST).clamp(_LOWEST, _HIGHEST)
        codes = ((values / divisor[:, None]).round() + zero[:, None]).clamp(_LOWEST, _HIGHEST)
        return codes.to(torch.int8).numpy(), upper, zero.to(torch.int8).numpy()

    def decode(self, arrays: Arrays, width: int, dtype: str) -> Tensor:
        """See `Codec.decode`."""
        codes, scales, zeros = arrays
        return _scaled(codes.astype(np.int16) - zeros[:, np.newaxis], scales, dtype)

    def gradient_layout(self, n_rows: int, width: int, dtype: str) -> Layout:
        """The q, in 4 bits two to a byte; s of each row."""
        codes = Part("int8", (n_rows, width))
        if self._in_halves:
            codes = Part("uint8", (n_rows, -(-width // 2)))
        return codes, Part("uint16", (n_rows,))

    def encode_gradient(self, gradient: Tensor, sent: Arrays) -> Arrays:
        """See `Codec.encode_gradient`."""
        upper, divisor = _scales(gradient.abs().amax(1) / self._largest)
        codes = (gradient / divisor[:, None]).round().to(torch.int8).numpy()
        return _to_halves(codes) if self._in_halves else codes, upper

    def decode_gradient(self, arrays: Arrays, sent: Arrays, width: int, dtype: str) -> Tensor:
        """See `Codec.decode_gradient`."""
        codes, scales = arrays
        return _scaled(_from_halves(codes, width) if self._in_halves else codes, scales, dtype)


def _scales(wanted: Tensor) -> tuple[NDArray[np.uint16], Tensor]:
    """The upper 16 bits of scales, rounded up, and what to divide by: these, or 1 instead of 0."""
    scales = wanted.numpy()
    below = _BELOW[scales.dtype.name]
    one = below.dtype.type(1)
    # positive floats are ordered as their bits are
    upper = (scales.view(below.dtype) + ((one << below) - one)) >> below
    divisor = torch.from_numpy((upper << below).view(scales.dtype))
    return upper.astype(np.uint16), torch.where(divisor > 0.0, divisor, 1.0)


def _scaled(steps: NDArray[Any], upper: NDArray[np.uint16], dtype: str) -> Tensor:
    """Whole numbers times the scales of their rows.

    Raises
    ------
    PayloadError
        If a scale is none.
    """
    below = _BELOW[dtype]
    scales = (upper.astype(below.dtype) << below).view(dtype)
    if not np.all(np.isfinite(scales) & (scales >= 0.0)):
        raise PayloadError("an int8 row's scale is negative or not finite")
    return from_array(steps, np.dtype(dtype)) * from_array(scales, np.dtype(dtype))[:, None]


def _to_halves(codes: NDArray[np.int8]) -> NDArray[np.uint8]:
    """Two numbers from -8 to 7 in a byte, the first one below."""
    n_rows, width = codes.shape
    halves = np.zeros((n_rows, width + width % 2), np.uint8)
    halves[:, :width] = codes + np.int8(8)
    packed: NDArray[np.uint8] = halves[:, ::2] | halves[:, 1::2] << 4
    return packed


def _from_halves(packed: NDArray[np.uint8], width: int) -> NDArray[np.int8]:
    """Undo `_to_halves`."""
    codes = np.empty((len(packed), 2 * packed.shape[1]), np.int8)
    codes[:, ::2], codes[:, 1::2] = packed & 15, packed >> 4
    return codes[:, :width] - np.int8(8)
