"""Options of architectures, codecs and protections: few kinds of values, checked by name."""

import math
from collections.abc import Mapping
from typing import Annotated

import msgspec

from secureboost.errors import ConfigError, did_you_mean

Option = (
    bool
    | int
    | float
    | Annotated[str, msgspec.Meta(max_length=200)]
    | Annotated[tuple[int, ...], msgspec.Meta(max_length=64)]
)
"""What may travel and be kept as an option's value."""

Options = Mapping[str, Option]


class Choice(msgspec.Struct, frozen=True):
    """Something of a registry, with options.

    Attributes
    ----------
    name : str
    options : dict of str to option
        Those that differ from the defaults.
    """

    name: Annotated[str, msgspec.Meta(max_length=64)]
    options: Annotated[dict[str, Option], msgspec.Meta(max_length=64)] = {}


def read_options(options: Options, defaults: Options, where: str) -> dict[str, Option]:
    """Fill in defaults.

    Parameters
    ----------
    options : mapping of str to option
    defaults : mapping of str to option
        The options that are known; the type of a default is the option's type.
    where : str
        What they are options of, for messages.

    Raises
    ------
    secureboost.errors.ConfigError
        If one is unknown or of another type.
    """
    read = dict(defaults)
    for name, value in options.items():
        if name not in defaults:
            known = ", ".join(defaults) or "none"
            raise ConfigError(
                f"{name!r} is not an option of the {where}; it has: {known}."
                f"{did_you_mean(name, defaults)}"
            )
        read[name] = _as_type_of(defaults[name], value, name, where)
    return read


def number_option(options: Options, name: str, low: float, high: float) -> float:
    """A number between limits, which belong to it.

    Raises
    ------
    secureboost.errors.ConfigError
    """
    value = options[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ConfigError(f"is {value!r}; it must lie between {low:g} and {high:g}", name)
    return value


def sizes_option(options: Options, name: str, low: int, high: int) -> tuple[int, ...]:
    """Whole numbers between limits, which belong to them.

    Raises
    ------
    secureboost.errors.ConfigError
    """
    value = options[name]
    if not isinstance(value, tuple) or not all(low <= size <= high for size in value):
        raise ConfigError(
            f"is {value!r}; it must be a list of whole numbers between {low} and {high}", name
        )
    return value


def _as_type_of(default: Option, value: object, name: str, where: str) -> Option:
    """`value` as an option of the default's type."""
    if isinstance(default, tuple) and isinstance(value, list | tuple):
        if all(isinstance(item, int) and not isinstance(item, bool) for item in value):
            return tuple(value)
    elif isinstance(default, bool) or isinstance(value, bool):
        if isinstance(default, bool) and isinstance(value, bool):
            return value
    elif isinstance(default, float) and isinstance(value, int | float):
        if math.isfinite(value):
            return float(value)
    elif isinstance(default, int | str) and isinstance(value, type(default)):
        return value
    kind = {tuple: "a list of whole numbers", float: "a finite number", int: "a whole number"}
    wanted = kind.get(type(default), "true or false" if isinstance(default, bool) else "text")
    raise ConfigError(f"{name}={value!r} of the {where} must be {wanted}")
