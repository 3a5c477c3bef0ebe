"""Numbers as whole numbers of 8 bits, with a scale and a zero point for each row."""

import numpy as np
import torch
from torch import Tensor

from secureboost.splitnn.codecs.base import Codec
from secureboost.splitnn.errors import PayloadError
from secureboost.splitnn.payload import Arrays, Layout, Part
from secureboost.splitnn.tensors import from_array

_STEPS = 255
_LOWEST, _HIGHEST = -128, 127


class Int8(Codec):
    """Affine quantisation, ``x = s (q - z)``, as in Jacob et al. 2018 (arXiv 1712.05877), eq. 1.

    For each row ``s = (high - low) / 255`` with ``low = min(0, min x)``, ``high = max(0, max x)``
    and ``z = round(-low / s) - 128``, so that 0 stays 0. Then ``q = round(x / s) + z`` lies in
    [-128, 127] but for a tie at an end, so each number comes back within s / 2, give or take
    rounding in the tensor's own dtype (``2**-14 s`` in float32). s has that dtype: nothing
    overflows. A row of float32 takes width + 5 bytes.
    """

    name = "int8"

    def layout(self, n_rows: int, width: int, dtype: str) -> Layout:
        """The q; s and z of each row."""
        return (Part("int8", (n_rows, width)), Part(dtype, (n_rows,)), Part("int8", (n_rows,)))

    def encode(self, values: Tensor, generator: torch.Generator | None = None) -> Arrays:
        """See `Codec.encode`."""
        low = values.amin(1).clamp(max=0.0)
        high = values.amax(1).clamp(min=0.0)
        scale = high / _STEPS - low / _STEPS  # the difference itself may overflow
        divisor = torch.where(scale > 0.0, scale, 1.0)
        zero = ((-low / divisor).round() + _LOWEST).clamp(_LOWEST, _HIGHEST)
        codes = ((values / divisor[:, None]).round() + zero[:, None]).clamp(_LOWEST, _HIGHEST)
        return codes.to(torch.int8).numpy(), scale.numpy(), zero.to(torch.int8).numpy()

    def decode(self, arrays: Arrays, width: int, dtype: str) -> Tensor:
        """See `Codec.decode`."""
        codes, scales, zeros = arrays
        if not np.all(np.isfinite(scales) & (scales >= 0.0)):
            raise PayloadError("an int8 row's scale is negative or not finite")
        steps = codes.astype(np.int16) - zeros[:, np.newaxis]
        scale = from_array(scales, np.dtype(dtype))
        return from_array(steps, np.dtype(dtype)) * scale[:, None]
