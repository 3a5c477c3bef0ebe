"""Optimisers by name; each party has its own, with the same parameters."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from secureboost.errors import ConfigError, did_you_mean


class Stepping(Protocol):
    """The parameters of an optimiser.

    Attributes
    ----------
    optimizer : str
        A name of `OPTIMISERS`.
    learning_rate, momentum, weight_decay : float
        Momentum is that of "sgd"; the Adams have their own (0.9, 0.999).
    max_norm : float or None
        To which the gradient of all weights together is clipped.
    """

    @property
    def optimizer(self) -> str:
        """Its name."""
        ...

    @property
    def learning_rate(self) -> float:
        """Length of a step."""
        ...

    @property
    def momentum(self) -> float:
        """That of "sgd"."""
        ...

    @property
    def weight_decay(self) -> float:
        """L2 penalty."""
        ...

    @property
    def max_norm(self) -> float | None:
        """Longest gradient."""
        ...


OPTIMISERS: Mapping[str, type[torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
}


def check_optimiser(stepping: Stepping) -> None:
    """Check a choice.

    Raises
    ------
    secureboost.errors.ConfigError
        If there is none of that name, or momentum is given to one that has its own.
    """
    name = stepping.optimizer
    if name not in OPTIMISERS:
        raise ConfigError(
            f"{name!r} is not an optimizer; there is: {', '.join(OPTIMISERS)}."
            f"{did_you_mean(name, OPTIMISERS)}",
            "optimizer",
        )
    if name != "sgd" and stepping.momentum:
        raise ConfigError(
            f"is {stepping.momentum:g}, and {name!r} has its own; it is for 'sgd'", "momentum"
        )


def make_optimiser(parameters: Iterable[Tensor], stepping: Stepping) -> torch.optim.Optimizer:
    """Make an optimiser of these parameters.

    Raises
    ------
    secureboost.errors.ConfigError
        See `check_optimiser`.
    """
    check_optimiser(stepping)
    options: dict[str, Any] = {
        "lr": stepping.learning_rate,
        "weight_decay": stepping.weight_decay,
        "fused": True,
    }
    if stepping.optimizer == "sgd":
        options["momentum"] = stepping.momentum
    return OPTIMISERS[stepping.optimizer](list(parameters), **options)


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """A copy of what an optimiser remembers, by number of the parameter and name."""
    state = optimiser.state_dict()["state"]
    return {
        f"{number}/{name}": value.clone()
        for number, remembered in state.items()
        for name, value in remembered.items()
        if isinstance(value, Tensor)
    }


def load_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Let an optimiser remember what `optimiser_tensors` copied; its parameters stay.

    Raises
    ------
    ValueError
        If it is of other parameters.
    """
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    for key, value in tensors.items():
        number, _, name = key.partition("/")
        if not number.isdecimal() or int(number) >= len(parameters):
            raise ValueError("the optimiser's state is of another network")
        parameter = parameters[int(number)]
        if value.ndim and value.shape != parameter.shape:
            raise ValueError("the optimiser's state is of another network")
        optimiser.state[parameter][name] = value.clone()
