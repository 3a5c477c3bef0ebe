"""The length of a row's gradient tells its label: make all lengths alike.

With a binary label and few positives the gradient of a positive row is longer: its length is
``|p - y|`` times what the top makes of it, and p lies near the share of positives.
"""

from types import MappingProxyType

import torch
from torch import Tensor

from secureboost.splitnn.options import Options, number_option
from secureboost.splitnn.protections.base import CutContext, LabelProtection
from secureboost.splitnn.tensors import from_array


class Clipping(LabelProtection):
    """Shortens each row's gradient to at most a quantile of the batch's lengths.

    ``g_i min(1, c / |g_i|)`` with c the quantile over the rows whose gradient is not 0. Only rows
    below the quantile keep their own length. The option ``quantile`` (default 0.1) is that of c; at
    1 nothing is clipped. Directions stay, and with them all that they tell.
    """

    name = "clipping"
    defaults = MappingProxyType({"quantile": 0.1})
    lowers = ("norm",)
    takes_several = True

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._quantile = number_option(self.options, "quantile", 0.0, 1.0)

    def gradient(self, gradient: Tensor, context: CutContext) -> Tensor:
        """See `LabelProtection.gradient`."""
        lengths = gradient.norm(dim=1, keepdim=True)
        present = lengths[lengths > 0.0]
        if not len(present):
            return gradient
        longest = present.quantile(self._quantile)
        clipped: Tensor = gradient * (longest / lengths.clamp(min=longest))
        return clipped


class MaxNorm(LabelProtection):
    """Makes each row's gradient as long as the batch's longest, in the mean of squares.

    Li et al. 2022 (arXiv 2102.08504), section 4.1: ``g_i (1 + n_i)`` with n_i normal of mean 0 and
    variance ``|g_max|^2 / |g_i|^2 - 1``. The mean stays ``g_i``. A gradient that is 0 stays 0.
    It turns many short gradients round, so directions of one epoch tell less, too; over several
    epochs that is averaged away.
    """

    name = "max_norm"
    defaults = MappingProxyType({"unsafe_seeded": False})
    lowers = ("norm",)
    takes_several = True

    def gradient(self, gradient: Tensor, context: CutContext) -> Tensor:
        """See `LabelProtection.gradient`."""
        rows = gradient.double()  # certain rows have gradients whose squares float32 does not have
        lengths = rows.norm(dim=1)
        ratio = torch.where(lengths > 0.0, lengths.max() / lengths, 1.0)
        deviation = (ratio - 1.0).sqrt() * (ratio + 1.0).sqrt()
        drawn = from_array(self.keystream(context.generator).normal((len(rows),)), "float64")
        return (rows * (1.0 + deviation * drawn)[:, None]).to(gradient.dtype)
