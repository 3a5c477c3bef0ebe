"""Checks of parameters that all kinds of models have."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

CODE = ("callbacks",)
"""Parameters that only a program can give."""


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
