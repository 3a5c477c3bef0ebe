"""Marvell: the least noise under which gradients of two classes are hard to tell apart.

Li et al. 2022, "Label leakage and protection in two-party split learning" (arXiv 2102.08504).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from secureboost.errors import ConfigError
from secureboost.splitnn.options import Options, number_option
from secureboost.splitnn.protections.base import CutContext, LabelProtection
from secureboost.splitnn.tensors import from_array

_TINY = 1e-12
_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0


@dataclass(frozen=True)
class ClassNoise:
    """Variances of the noise for one class.

    Attributes
    ----------
    along : float
        Along the line between the means of the classes (lambda_1 in the paper).
    across : float
        In each of the other directions (lambda_2); at most `along`.
    """

    along: float
    across: float


class Marvell(LabelProtection):
    """Adds normal noise, shaped by class, so that no score of one gradient tells classes apart.

    In each batch the gradients of each class are taken for normal with the same variance in every
    direction: N(m_0, u I) and N(m_1, v I). Noise of covariances S_0 and S_1 is added with the
    least expected squared length for which the symmetrised divergence

        ``sumKL = KL(P_1 || P_0) + KL(P_0 || P_1) <= e``.

    By Theorem 1 every scoring function of one gradient then has an AUC of at most
    ``1/2 + sqrt(e)/2 - e/8``; the option ``auc`` (default 0.6) is that bound, from which e follows.
    By Theorem 2 the best S has two eigenvalues, along ``m_1 - m_0`` and across (`least_noise`).

    What is promised holds for one gradient of a batch whose gradients are as assumed. It is not
    differential privacy: a row meets new noise in every epoch, and over all epochs, or over the
    gradients that several colluding parties get, more is learnt (on credit cards with ``auc=0.6``
    the direction attack reaches 0.55 over one epoch and 0.60 over twelve). A batch of a single
    class is treated as if the other class were its mirror image.
    """

    name = "marvell"
    defaults = MappingProxyType({"auc": 0.6, "unsafe_seeded": False})
    lowers = ("norm", "direction", "clustering")

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        auc = number_option(self.options, "auc", 0.5, 1.0)
        if auc in (0.5, 1.0):
            raise ConfigError(f"is {auc:g}; it must lie between 0.5 and 1, both excluded", "auc")
        self._sum_kl = sum_kl_of_auc(auc)

    def takes_classes(self, n_classes: int) -> bool:
        """See `LabelProtection.takes_classes`."""
        return n_classes == 2

    def labels(self, y: NDArray[np.float64], generator: torch.Generator) -> NDArray[np.float64]:
        """See `LabelProtection.labels`; for labels with two values."""
        if len(np.unique(y)) != 2:
            raise ConfigError(
                f"{self.name!r} is for labels with two values, and there are "
                f"{len(np.unique(y))}; choose another protection",
                "protections",
            )
        return y

    def gradient(self, gradient: Tensor, context: CutContext) -> Tensor:
        """See `LabelProtection.gradient`."""
        rows = gradient.numpy().astype(np.float64)
        positive = context.y > 0.5
        parts = [rows[~positive], rows[positive]]
        share = float(positive.mean())
        if not 0.0 < share < 1.0:
            seen = parts[int(share)]
            parts, share = ([seen, -seen] if share == 0.0 else [-seen, seen]), 0.5
        means = [part.mean(axis=0) for part in parts]
        spreads = [float(part.var(axis=0).mean()) for part in parts]
        between = means[1] - means[0]
        gap = float(between @ between)
        noises = least_noise(spreads[0], spreads[1], gap, rows.shape[1], share, self._sum_kl)
        drawn = self.keystream(context.generator).normal(rows.shape)
        line = between / math.sqrt(gap) if gap else between
        noise = np.where(
            positive[:, np.newaxis], _shape(drawn, line, noises[1]), _shape(drawn, line, noises[0])
        )
        return from_array(rows + noise, gradient.numpy().dtype)


def sum_kl_of_auc(auc: float) -> float:
    """The sumKL for which ``1/2 + sqrt(e)/2 - e/8`` is `auc`, between 1/2 and 1 (Theorem 1)."""
    return (2.0 - math.sqrt(8.0 - 8.0 * auc)) ** 2


def sum_kl(across: tuple[float, float], along: tuple[float, float], gap: float, d: int) -> float:
    """Symmetrised divergence of two normal classes.

    Parameters
    ----------
    across, along : tuple of float
        Variances of class 0 and class 1 in the ``d - 1`` directions across the line between their
        means, and along it; above 0.
    gap : float
        Squared distance between the means.
    d : int
    """
    total = (d - 1) * (across[0] / across[1] + across[1] / across[0])
    total += (along[0] + gap) / along[1] + (along[1] + gap) / along[0]
    return total / 2.0 - d


def least_noise(
    u: float, v: float, gap: float, d: int, share: float, bound: float
) -> tuple[ClassNoise, ClassNoise]:
    """Find the noise of least power under a bound of sumKL.

    The optimisation in four variables of the paper's Theorem 2, the other way round: there the
    power is given and sumKL is least. With ``A, B`` the variances across and ``C, D`` those along
    after noise, of classes 0 and 1 ::

        minimise  (1 - p) (C + (d - 1) A) + p (D + (d - 1) B)
        so that   (d - 1) (A / B + B / A) + (C + gap) / D + (D + gap) / C <= 2 (bound + d)
                  A >= u, B >= v, C >= A, D >= B

    In logarithms this is convex (a geometric program). Only the ratio of A and B matters, so the
    class that spreads wider gets no noise across, and two variables are left: how far the other one
    is lifted, and the ratio of C and D; C follows from them. One golden-section search inside
    another finds both.

    Parameters
    ----------
    u, v : float
        Variance of classes 0 and 1 in each direction.
    gap : float
        Squared distance between the means.
    d : int
        Directions.
    share : float
        p, of rows of class 1; between 0 and 1.
    bound : float
        Of sumKL; above 0.

    Returns
    -------
    tuple of ClassNoise
        For class 0 and class 1.
    """
    none = ClassNoise(0.0, 0.0)
    if gap == 0.0 and u == v:
        return none, none
    if u > 0.0 and v > 0.0 and sum_kl((u, v), (u, v), gap, d) <= bound:
        return none, none
    if u > v:
        noises = least_noise(v, u, gap, d, 1.0 - share, bound)
        return noises[1], noises[0]
    wide = max(v, _TINY * gap)
    low = max(u, _TINY * wide)
    if d > 1:
        low = max(low, wide * math.exp(-_reach(bound / (d - 1))))
    lifted = math.exp(
        _lowest(
            lambda a: _along(math.exp(a), wide, gap, d, share, bound)[0],
            math.log(low),
            math.log(wide),
        )
    )
    _, along_low, along_wide = _along(lifted, wide, gap, d, share, bound)
    return (
        ClassNoise(max(along_low - u, 0.0), max(lifted - u, 0.0) if d > 1 else 0.0),
        ClassNoise(max(along_wide - v, 0.0), max(wide - v, 0.0) if d > 1 else 0.0),
    )


def _along(
    lifted: float, wide: float, gap: float, d: int, share: float, bound: float
) -> tuple[float, float, float]:
    """The least power for variances across, with the variances along that it takes."""
    left = 2.0 * (bound + d) - (d - 1) * (lifted / wide + wide / lifted)
    reach = _reach(left / 2.0 - 1.0)

    def narrow(log_ratio: float) -> float:
        """Variance along of the narrower class, for the ratio of the wider one's to it."""
        ratio = math.exp(log_ratio)
        slack = left - ratio - 1.0 / ratio
        needed = gap * (1.0 + 1.0 / ratio) / slack if slack > 0.0 else math.inf
        return max(lifted, wide / ratio, needed if gap else 0.0)

    def power(log_ratio: float) -> float:
        return narrow(log_ratio) * (1.0 - share + share * math.exp(log_ratio))

    best = _lowest(power, -reach, reach)
    along = narrow(best)
    across = (d - 1) * ((1.0 - share) * lifted + share * wide)
    return power(best) + across, along, along * math.exp(best)


def _reach(excess: float) -> float:
    """The t, at least 0, for which ``e^t + e^-t`` is ``2 (1 + excess)``."""
    return math.acosh(1.0 + max(excess, 0.0))


def _lowest(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a convex function is least: golden-section search."""
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = function(left), function(right)
    for _ in range(40):
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = function(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = function(right)
    return (low + high) / 2.0


def _shape(
    drawn: NDArray[np.float64], line: NDArray[np.float64], noise: ClassNoise
) -> NDArray[np.float64]:
    """Give standard normal rows the two variances."""
    across, along = math.sqrt(noise.across), math.sqrt(noise.along)
    return across * drawn + (along - across) * np.outer(drawn @ line, line)
