"""Kinds of networks by name. A new one is a file here and its line in `ARCHITECTURES`."""

from typing import Any

from secureboost.errors import ConfigError, did_you_mean
from secureboost.splitnn.architectures.base import Architecture, ColumnsSpec
from secureboost.splitnn.architectures.bst import BST
from secureboost.splitnn.architectures.deepfm import DeepFM
from secureboost.splitnn.architectures.fedpass import FedPass
from secureboost.splitnn.architectures.mlp import MLP
from secureboost.splitnn.architectures.mmoe import MMoE
from secureboost.splitnn.architectures.modules import FromModules
from secureboost.splitnn.architectures.wide_deep import WideDeep

__all__ = [
    "ARCHITECTURES",
    "Architecture",
    "ColumnsSpec",
    "FromModules",
    "get_architecture",
    "name_of",
    "register",
]

ARCHITECTURES: dict[str, Architecture] = {
    kind.name: kind for kind in (MLP(), WideDeep(), DeepFM(), BST(), MMoE(), FedPass())
}

_BUILT_IN = frozenset(ARCHITECTURES)
MAX_NAME = 64


def register(architecture: Architecture) -> None:
    """Make an architecture known in this process, so that it can be named; see `FromModules`.

    A later one of the same name takes its place.

    Raises
    ------
    secureboost.errors.ConfigError
        If the name is that of a built-in one, empty or too long.
    """
    name = architecture.name
    if name in _BUILT_IN or not 0 < len(name) <= MAX_NAME:
        raise ConfigError(
            f"{name!r} cannot be the name of an architecture of your own: take one of 1 to "
            f"{MAX_NAME} characters other than {', '.join(sorted(_BUILT_IN))}",
            "architecture",
        )
    ARCHITECTURES[name] = architecture


def name_of(architecture: Any) -> Any:
    """The name of an architecture, which is made known if it is one itself; else what was given."""
    if isinstance(architecture, Architecture):
        register(architecture)
        return architecture.name
    return architecture


def get_architecture(name: str) -> Architecture:
    """Look an architecture up.

    Raises
    ------
    secureboost.errors.ConfigError
        If there is none of that name.
    """
    if name not in ARCHITECTURES:
        raise ConfigError(
            f"{name!r} is not an architecture; there is: {', '.join(ARCHITECTURES)}."
            f"{did_you_mean(name, ARCHITECTURES)} One of your own must be registered in each "
            "process that uses it (secureboost.splitnn.architectures.register).",
            "architecture",
        )
    return ARCHITECTURES[name]
