"""Checks of parameters that all kinds of models have."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from secureboost.errors import ConfigError
from secureboost.settings import check_names
from secureboost.targets import task_of

CODE = ("callbacks",)
"""Parameters that only a program can give."""


def make_estimator(
    classifier: Any,
    regressor: Any,
    parameters: Mapping[str, Any],
    path: str,
    more_names: Sequence[str],
) -> Any:
    """Make the estimator that named settings ask for; their values are not checked yet.

    Parameters
    ----------
    classifier, regressor : type
        The one of numbers is taken where the objective is one.
    parameters, path, more_names
        See `kinds.base.Kind.make_model`.

    Raises
    ------
    secureboost.errors.ConfigError
        If a name or the objective is unknown.
    """
    known = [name for name in classifier().get_params() if name not in CODE]
    check_names(parameters, [*known, *more_names], path)
    try:
        task = task_of(parameters.get("objective"))
    except ValueError as error:
        raise ConfigError(str(error), path) from error
    model = (regressor if task == "regression" else classifier)(**parameters)
    model.class_weight = weights_by_class(model.class_weight)
    return model


def check_forms(model: Any, forms: Mapping[str, Any]) -> None:
    """Check that parameters have the form of a type.

    Raises
    ------
    ValueError
    """
    for name, kind in forms.items():
        value = getattr(model, name)
        try:
            msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            reason = str(error).replace("`", "'")
            raise ValueError(f"{name}={value!r} cannot be used: {reason}") from error


def check_early_stopping(rounds: Any) -> None:
    """Check `early_stopping_rounds`.

    Raises
    ------
    ValueError
    """
    if rounds is not None and (isinstance(rounds, bool) or not isinstance(rounds, int)):
        raise ValueError(f"early_stopping_rounds={rounds!r} is not a whole number")
    if rounds is not None and rounds < 1:
        raise ValueError(f"early_stopping_rounds={rounds} must be at least 1")


def whole_number(model: Any, name: str, *, optional: bool = False) -> None:
    """Check that a parameter is a whole number other than 0, or, if it is `optional`, None.

    Raises
    ------
    ValueError
    """
    value = getattr(model, name)
    if optional and value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool) or value == 0:
        raise ValueError(f"{name}={value!r} is not a whole number other than 0")


def weights_by_class(weights: Any) -> Any:
    """`class_weight` with classes as a label column has them; TOML has text for keys only."""
    if not isinstance(weights, Mapping):
        return weights
    return {
        int(name) if re.fullmatch(r"-?\d+", str(name)) else name: weight
        for name, weight in weights.items()
    }
