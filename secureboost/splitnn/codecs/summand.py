"""What feature parties give to be summed: fixed point, which masks are added to (`masking`)."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from secureboost.splitnn.codecs.base import Identity
from secureboost.splitnn.masking import summand
from secureboost.splitnn.payload import Arrays, Layout, Part
from secureboost.splitnn.tensors import from_array

MASKED_SUM = "masked_sum"
"""The name of the codec: the label party can read the sum over all feature parties alone."""


def top_inputs(widths: Mapping[str, int], codec: str) -> dict[str, int]:
    """What a top is fed: each bottom, or the own one and the sum of all others.

    Parameters
    ----------
    widths : mapping of str to int
        Of each bottom by its owner, the label party (empty) first.
    codec : str

    Returns
    -------
    dict of str to int
        Width by owner; members of a sum are named side by side.
    """
    if codec != MASKED_SUM:
        return dict(widths)
    members = {owner: width for owner, width in widths.items() if owner}
    own = {owner: width for owner, width in widths.items() if not owner}
    return own | {", ".join(members): max(members.values())}


class Summand(Identity):
    """Activations as words that are added modulo 2**64; gradients as they are.

    What it decodes is no activation yet: int64 of shape (n_rows + 1, width), which `summing` adds
    up. A local bottom passes through the same rounding, without masks.
    """

    name = MASKED_SUM

    def layout(self, n_rows: int, width: int, dtype: str) -> Layout:
        """The words, and the row that shows that masks cancel."""
        return (Part("uint64", (n_rows + 1, width)),)

    def encode(self, values: Tensor, generator: torch.Generator | None = None) -> Arrays:
        """See `Codec.encode`.

        Raises
        ------
        secureboost.splitnn.masking_keys.MaskError
            If a number is too large to be masked.
        """
        return (summand(values.numpy()),)

    def decode(self, arrays: Arrays, width: int, dtype: str) -> Tensor:
        """The words as int64, (n_rows + 1, width)."""
        return from_array(arrays[0].astype(np.uint64).view(np.int64), np.int64)

    def gradient_layout(self, n_rows: int, width: int, dtype: str) -> Layout:
        """One array of all numbers."""
        return super().layout(n_rows, width, dtype)

    def encode_gradient(self, gradient: Tensor, sent: Arrays) -> Arrays:
        """The numbers themselves."""
        return super().encode(gradient)

    def decode_gradient(self, arrays: Arrays, sent: Arrays, width: int, dtype: str) -> Tensor:
        """The numbers themselves."""
        return super().decode(arrays, width, dtype)
