"""Numbers with fewer bits: half precision, bfloat16, and the two kinds of 8-bit floats.

Floats of 16 and 8 bits reach from about 1e-8 to 6e4, and those of 8 bits less far, while gradients
of a mean over a batch are as small as 1e-9. So each row is multiplied by a power of two that brings
its largest number just below the top of the format; the power travels as an int16. That is exact,
it makes overflow impossible, and a row's numbers do not depend on the other rows of its batch.
bfloat16 reaches as far as float32 and needs no power.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from secureboost.splitnn.codecs.base import Codec
from secureboost.splitnn.payload import Arrays, Layout, Part
from secureboost.splitnn.tensors import from_array


@dataclass(frozen=True)
class _Format:
    """A small float.

    `word` is the unsigned integer that holds its bits; a row is brought into
    ``[2**(top - 1), 2**top)``, from where rounding does not leave the format.
    """

    kind: torch.dtype
    word: str
    top: int


class RowScaledFloat(Codec):
    """Floats of 16 or 8 bits, each row times a power of two.

    With ``m`` the largest magnitude of a row, a number x comes back within ``u |x| + t m`` (and one
    half of the smallest number of the tensor's own dtype):

    =========  ============  ========  ========  ==================
    name       format        u         t         bytes of a row
    =========  ============  ========  ========  ==================
    float16    IEEE binary16  2**-11   2**-39    2 width + 2
    fp8        e4m3           2**-4    2**-17    width + 2
    fp8:e5m2   e5m2           2**-3    2**-31    width + 2
    =========  ============  ========  ========  ==================

    The 8-bit formats are those of Micikevicius et al. 2022 (arXiv 2209.05433). Nothing overflows.

    Parameters
    ----------
    kind : torch.dtype
        ``torch.float16``, ``torch.float8_e4m3fn`` or ``torch.float8_e5m2``.
    """

    name: ClassVar[str] = "float"

    def __init__(self, kind: torch.dtype) -> None:
        self._format = _FORMATS[kind]

    def layout(self, n_rows: int, width: int, dtype: str) -> Layout:
        """Bits of all numbers; a power of two for each row."""
        return (Part(self._format.word, (n_rows, width)), Part("int16", (n_rows,)))

    def encode(self, values: Tensor, generator: torch.Generator | None = None) -> Arrays:
        """See `Codec.encode`."""
        array = values.numpy()
        exponents = np.frexp(np.abs(array).max(axis=1))[1]
        powers = (self._format.top - exponents).astype(np.int16)
        scaled = torch.from_numpy(np.ldexp(array, powers[:, np.newaxis]))
        return _bits(scaled.to(self._format.kind), self._format.word), powers

    def decode(self, arrays: Arrays, width: int, dtype: str) -> Tensor:
        """See `Codec.decode`."""
        bits, powers = arrays
        scaled = _from_bits(bits, self._format, dtype)
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):  # checked by the caller
            values = np.ldexp(scaled, -powers[:, np.newaxis].astype(np.int32))
        return from_array(values, np.dtype(dtype))


class BFloat16(Codec):
    """The upper half of a float32: 8 bits of precision, its range.

    A number x comes back within ``2**-8 |x|``. Beyond 3.38e38, where float64 could have numbers,
    it becomes the largest bfloat16. A row takes 2 width bytes.
    """

    name = "bfloat16"

    def layout(self, n_rows: int, width: int, dtype: str) -> Layout:
        """Bits of all numbers."""
        return (Part("uint16", (n_rows, width)),)

    def encode(self, values: Tensor, generator: torch.Generator | None = None) -> Arrays:
        """See `Codec.encode`."""
        largest = torch.finfo(torch.bfloat16).max
        return (_bits(values.clamp(-largest, largest).to(torch.bfloat16), "uint16"),)

    def decode(self, arrays: Arrays, width: int, dtype: str) -> Tensor:
        """See `Codec.decode`."""
        return torch.from_numpy(_from_bits(arrays[0], _BFLOAT16, dtype))


_BFLOAT16 = _Format(torch.bfloat16, "uint16", 0)
_FORMATS = {
    torch.float16: _Format(torch.float16, "uint16", 15),
    torch.float8_e4m3fn: _Format(torch.float8_e4m3fn, "uint8", 8),
    torch.float8_e5m2: _Format(torch.float8_e5m2, "uint8", 15),
}


def _bits(values: Tensor, word: str) -> NDArray[Any]:
    as_signed = values.view(torch.uint8 if word == "uint8" else torch.int16)
    return as_signed.numpy().view(word)


def _from_bits(bits: NDArray[Any], kind: _Format, dtype: str) -> NDArray[Any]:
    """The numbers that bits stand for; any bits are some number, or none (NaN)."""
    signed = from_array(bits.astype(kind.word).view(kind.word.removeprefix("u")), kind.word[1:])
    return signed.view(kind.kind).to(getattr(torch, dtype)).numpy()
