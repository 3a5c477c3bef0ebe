"""What `secureboost tune` draws from: a TOML file of lists and ranges.

::

    max_depth = [3, 4, 5]                                    # one of these
    learning_rate = { low = 0.01, high = 0.3, log = true }   # small ones as often as large ones
    min_child_samples = { low = 20, high = 200 }             # whole numbers, both ends included
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import Struct

from secureboost.config import read_toml
from secureboost.errors import ConfigError
from secureboost.estimator import SecureBoostModel
from secureboost.run import make_model
from secureboost.settings import decode_settings
from secureboost.validation import check_space


class Between(Struct, frozen=True, forbid_unknown_fields=True):
    """A distribution over a range, as scikit-learn's `ParameterSampler` takes it.

    Attributes
    ----------
    low, high : int or float
        Ends; of two integers the draws are integers.
    log : bool
        Draw the logarithm uniformly.
    """

    low: int | float
    high: int | float
    log: bool = False

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ConfigError(f"is {self.low}; it must be below high, which is {self.high}", "low")
        if self.log and self.low <= 0:
            raise ConfigError(f"is {self.low}; with log it must be above 0", "low")

    def rvs(self, random_state: np.random.RandomState) -> int | float:
        """Draw a value."""
        whole = isinstance(self.low, int) and isinstance(self.high, int)
        # A half on both sides gives whole numbers at the ends their full share.
        low, high = (self.low - 0.5, self.high + 0.5) if whole else (self.low, self.high)
        share = random_state.random_sample()
        if self.log:
            value = math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
        else:
            value = low + share * (high - low)
        value = round(value) if whole else float(f"{value:.4g}")
        return min(max(value, self.low), self.high)


class _Ranges(Struct, frozen=True):
    """So that errors carry the path ``space.<name>.low``."""

    space: dict[str, Between]


def read_space(
    path: Path, model: SecureBoostModel, parameters: Mapping[str, Any]
) -> dict[str, Any]:
    """Read a space and try each of its values in a model.

    Parameters
    ----------
    path : Path
    model : SecureBoostModel
    parameters : mapping
        What it was made of; see `run.make_model`.

    Returns
    -------
    dict
        By parameter a list or a `Between`.

    Raises
    ------
    ConfigError
        If the file cannot be read, or a parameter, value or range cannot be used.
    """
    found = read_toml(path)
    if not found:
        raise ConfigError(f"{path}: it names no parameter; write max_depth = [3, 4, 5], say")
    check_space(found, model)
    space = {name: _choices(name, value) for name, value in found.items()}
    for name, values in space.items():
        ends = [values.low, values.high] if isinstance(values, Between) else values
        for value in ends:
            make_model({**parameters, name: value}, f"space.{name}")
    return space


def _choices(name: str, value: object) -> list[Any] | Between:
    if isinstance(value, dict):
        return decode_settings({"space": {name: value}}, _Ranges, Path()).space[name]
    if not isinstance(value, list) or not value:
        raise ConfigError(
            f"is {value!r} but must be a list of values, or {{ low = ..., high = ... }}",
            f"space.{name}",
        )
    return value
