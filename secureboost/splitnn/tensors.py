"""Between numpy and torch.

Tensors that are computed with lie in memory that torch has allocated, whatever they were made of:
matrix products of some libraries depend in the last bits on where numbers begin in memory, and
those of a frame may begin anywhere.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

DTYPES: Mapping[str, torch.dtype] = {"float32": torch.float32, "float64": torch.float64}


def from_array(array: NDArray[Any], dtype: DTypeLike) -> Tensor:
    """Copy an array, of any byte order and read-only or not, to a tensor.

    Parameters
    ----------
    array : array
    dtype : dtype
        Of numpy; one that torch has too.
    """
    # `empty` allocates; a view of it is filled by numpy, which knows every dtype and byte order
    tensor = torch.empty(array.shape, dtype=torch.from_numpy(np.empty(0, dtype)).dtype)
    tensor.numpy()[...] = array
    return tensor


def is_finite(values: Tensor) -> bool:
    """Whether every number is finite."""
    return bool(np.isfinite(values.detach().numpy()).all())  # torch's own takes ten times as long
