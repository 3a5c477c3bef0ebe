"""NoPeek: a bottom learns to give what depends little on its columns (arXiv 2008.09161)."""

from types import MappingProxyType

import torch
from torch import Tensor

from secureboost.splitnn.options import Options, number_option
from secureboost.splitnn.protections.base import FeatureProtection


class DistanceCorrelation(FeatureProtection):
    """Adds the squared distance correlation of columns and activations to the loss.

    Vepakomma et al. 2020: the less the distances between rows at the cut follow the distances
    between their columns, the worse columns are reconstructed. The top's loss is a mean over the
    batch, and so is this term between 0 and 1: the option ``weight`` (default 1) balances the two.
    At most ``rows`` rows of a batch (default 512) enter it, since time and memory grow with their
    square.

    Nothing is guaranteed: what a determined attacker can reconstruct has to be measured.
    """

    name = "distance_correlation"
    defaults = MappingProxyType({"weight": 1.0, "rows": 512})
    lowers = ("reconstruction",)

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._weight = number_option(self.options, "weight", 0.0, 1e6)
        self._rows = int(number_option(self.options, "rows", 4, 4096))

    def loss(self, numbers: Tensor, codes: Tensor, activations: Tensor) -> Tensor | None:
        """See `FeatureProtection.loss`."""
        rows = slice(self._rows)
        columns = column_distances(numbers[rows], codes[rows])
        return self._weight * squared_correlation(columns, row_distances(activations[rows]))


def row_distances(rows: Tensor) -> Tensor:
    """Distances between rows of shape (n_rows, n): a tensor of shape (n_rows, n_rows)."""
    # differences themselves: the faster way over products is wrong where rows lie close
    return torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist")


def column_distances(numbers: Tensor, codes: Tensor) -> Tensor:
    """Distances between rows of numbers and codes; a code counts as a one among zeros."""
    squared = row_distances(numbers).square()
    for code in codes.T:
        squared = squared + 2.0 * (code[:, None] != code).to(squared.dtype)
    return squared.sqrt()


def squared_correlation(x: Tensor, z: Tensor) -> Tensor:
    """Squared distance correlation of two samples (Szekely et al. 2007, definition 5).

    Parameters
    ----------
    x, z : tensors of shape (n_rows, n_rows)
        Distances between rows.

    Returns
    -------
    tensor of shape ()
        Between 0 and 1; 0 if all rows of one sample are equal.
    """
    a, b = _centred(x), _centred(z)
    scale = (a.square().mean() * b.square().mean()).sqrt()
    return (a * b).mean() / scale.clamp(min=torch.finfo(a.dtype).tiny)


def _centred(distances: Tensor) -> Tensor:
    """Less the means of their rows and columns, plus the mean of all."""
    by_row = distances.mean(dim=1, keepdim=True)
    centred: Tensor = distances - by_row - by_row.T + by_row.mean()
    return centred
