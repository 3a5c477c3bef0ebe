"""Numbers to and from a body as bytes: those of all bottoms, one after the other, as they are."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from secureboost.splitnn.errors import PayloadError
from secureboost.splitnn.payload import Layout, Part, pack, unpack
from secureboost.splitnn.tensors import from_array, is_finite


def pack_numbers(numbers: Sequence[Tensor], dtype: str) -> NDArray[np.uint8]:
    """The bytes of tensors of shape (n_rows, width), each of its own width."""
    layout = tuple(Part(dtype, tuple(values.shape)) for values in numbers)
    return pack([values.numpy() for values in numbers], layout)


def unpack_numbers(
    payload: NDArray[np.uint8], n_rows: int, widths: Sequence[int], dtype: str
) -> list[Tensor]:
    """Read what another party packed.

    Raises
    ------
    PayloadError
        If it has another length, or a number is not finite.
    """
    layout: Layout = tuple(Part(dtype, (n_rows, width)) for width in widths)
    numbers = [from_array(array, np.dtype(dtype)) for array in unpack(payload, layout)]
    if not all(map(is_finite, numbers)):
        raise PayloadError("numbers that are not finite")
    return numbers
