"""Normal noise on what leaves a feature party, with a guarantee that `accountant` works out."""

import math
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from secureboost.splitnn.options import Options, number_option
from secureboost.splitnn.protections.base import FeatureProtection
from secureboost.splitnn.tensors import from_array

_GRID_BITS = 10


class GaussianNoise(FeatureProtection):
    """Shortens each row to length `clip`; adds noise of deviation ``noise * clip`` to each number.

    ``h min(1, clip / |h|) + N(0, (noise clip)^2 I)``, the Gaussian mechanism (Dwork and Roth 2014,
    appendix A) for one row; fresh noise whenever a row leaves.

    What is guaranteed is what `accountant.epsilon` says: for a row whose columns are replaced by
    any others, over all times that the row itself left. That is all that the label party can see of
    a row that is only evaluated or scored. Of a training row it is not all: the row also moved the
    bottom's weights, and with them what leaves for other rows; that way is not bounded here. Nor
    are the means and scales by which numbers are standardised, which the training rows make up.

    Sums of floats can betray by their last bits what was added (Mironov 2012). So the shortened
    numbers are cut down to a grid (of 1/1024 to 1/2048 of the deviation), towards 0 so that no row
    gets longer, and the noise is rounded to the same grid: their sum is what rounding the sum of
    real numbers gives.
    """

    name = "gaussian_noise"
    defaults = MappingProxyType({"clip": 1.0, "noise": 1.0, "unsafe_seeded": False})
    lowers = ("reconstruction",)

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.clip = number_option(self.options, "clip", 1e-3, 1e6)
        self.noise = number_option(self.options, "noise", 1e-3, 1e6)

    def activations(self, activations: Tensor, generator: torch.Generator) -> Tensor:
        """See `FeatureProtection.activations`."""
        deviation = self.noise * self.clip
        grid = 2.0 ** (math.floor(math.log2(deviation)) - _GRID_BITS)
        lengths = activations.norm(dim=1, keepdim=True)
        # a little shorter, so that rounding leaves no row longer than `clip`
        limit = self.clip * (1.0 - 2.0**-20)
        clipped = activations * (limit / lengths.clamp(min=limit))
        drawn = self.keystream(generator).normal(tuple(activations.shape)) * deviation
        noise = from_array(np.round(drawn / grid) * grid, activations.detach().numpy().dtype)
        on_grid = (clipped.detach() / grid).trunc() * grid
        noisy: Tensor = on_grid + noise + (clipped - clipped.detach())  # 0, with the graph
        return noisy
