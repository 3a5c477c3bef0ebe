"""What normal noise guarantees over many releases, by Google's library `dp_accounting`.

The mechanism is `gaussian.GaussianNoise`. The neighbours are two tables of the feature party that
differ in the columns of one row (replacement: which ids are shared is known to both sides anyway).
Rows are shortened to `clip`, so that what leaves of the row differs by at most ``2 clip``, and the
noise's deviation is ``noise clip``. R releases of the row compose to

    ``delta(epsilon) = Phi(m/2 - epsilon/m) - e^epsilon Phi(-m/2 - epsilon/m)``,
    ``m = 2 sqrt(R) / noise``

(Balle and Wang 2018, arXiv 1805.06530, theorem 8; composition: Dong et al. 2019, arXiv 1905.02383,
corollary 2). The library's privacy loss distributions give an upper bound, which is less than
0.1 % above this.

A row leaves once in each epoch, once in each evaluation that it belongs to, and once whenever it is
scored. Nothing is won by batches being samples: the label party knows which rows make up a batch.
"""

import importlib
import math
from types import ModuleType

from secureboost.errors import ConfigError, SecureBoostError

_FINENESS = 1e-4

_FEWEST, _MOST = 1e-3, 1e6
"""Between these lies any noise that makes sense."""


class AccountantMissingError(SecureBoostError, ImportError):
    """dp-accounting is not installed."""

    def __init__(self) -> None:
        super().__init__(
            "What noise guarantees is worked out by dp-accounting, which is not installed. Install "
            "the extra with: pip install 'secureboost[dp]'."
        )


def epsilon(noise: float, releases: int, delta: float) -> float:
    """The epsilon that is guaranteed.

    Parameters
    ----------
    noise : float
        Deviation of the noise, in units of `clip`.
    releases : int
        Times that a row has left, or will; 0 guarantees an epsilon of 0.
    delta : float
        Far below 1 / number of rows.

    Raises
    ------
    AccountantMissingError
    secureboost.errors.ConfigError
        If an argument is out of its limits.
    """
    _check(releases, delta)
    if not _FEWEST <= noise <= _MOST:
        raise ConfigError(f"is {noise:g}; it must lie between {_FEWEST:g} and {_MOST:g}", "noise")
    dp = _library()
    rho = 2.0 * releases / noise**2
    rough = rho + 2.0 * math.sqrt(rho * math.log(1.0 / delta))  # an upper bound, see `noise_for`
    accountant = dp.pld.PLDAccountant(
        dp.NeighboringRelation.REPLACE_ONE,
        value_discretization_interval=_FINENESS * max(1.0, rough),
    )
    if releases:
        accountant.compose(dp.GaussianDpEvent(noise), releases)
    return float(accountant.get_epsilon(delta))


def noise_for(target: float, releases: int, delta: float) -> float:
    """The least noise, within 1 %, that guarantees an epsilon.

    Parameters
    ----------
    target : float
        The epsilon; above 0.
    releases : int
        At least 1.
    delta : float

    Returns
    -------
    float
        For the option ``noise`` of `gaussian.GaussianNoise`.

    Raises
    ------
    AccountantMissingError
    secureboost.errors.ConfigError
        If an argument is out of its limits.
    """
    if releases < 1 or not 0.01 <= target <= 100.0:
        raise ConfigError(
            f"epsilon={target:g} over {releases} releases: epsilon must lie between 0.01 and 100, "
            "and there must be at least 1 release",
            "epsilon",
        )
    _check(releases, delta)
    # zero-concentrated privacy (Bun and Steinke 2016, arXiv 1605.02065) gives a noise that suffices
    root = math.sqrt(math.log(1.0 / delta) + target) - math.sqrt(math.log(1.0 / delta))
    high = math.sqrt(2.0 * releases) / root
    low = high / 2.0
    while epsilon(low, releases, delta) <= target:
        low, high = low / 2.0, low
    while high > 1.01 * low:
        middle = math.sqrt(low * high)
        if epsilon(middle, releases, delta) <= target:
            high = middle
        else:
            low = middle
    return high


def _check(releases: int, delta: float) -> None:
    if releases < 0:
        raise ConfigError(f"is {releases}; it must be at least 0", "releases")
    if not 0.0 < delta < 1.0:
        raise ConfigError(f"is {delta:g}; it must lie between 0 and 1, both excluded", "delta")


def _library() -> ModuleType:
    """Imported when it is needed: it takes a second."""
    try:
        return importlib.import_module("dp_accounting")
    except ImportError:
        raise AccountantMissingError from None
