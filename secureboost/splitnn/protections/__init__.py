"""What makes the cut tell less: the registry of protections, by name.

Each lowers the attacks that it names (`Protection.lowers`), at a cost in what the network learns;
`attacks` measures how much. A new protection is a file here and its line in a registry.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from secureboost.errors import ConfigError, did_you_mean
from secureboost.splitnn.options import Choice, Options
from secureboost.splitnn.protections.base import (
    CutContext,
    FeatureProtection,
    LabelProtection,
    Protection,
)
from secureboost.splitnn.protections.gaussian import GaussianNoise
from secureboost.splitnn.protections.marvell import Marvell
from secureboost.splitnn.protections.nopeek import DistanceCorrelation
from secureboost.splitnn.protections.norms import MaxNorm
from secureboost.splitnn.protections.randomised import RandomisedResponse

__all__ = [
    "FEATURE_PROTECTIONS",
    "LABEL_PROTECTIONS",
    "CutContext",
    "FeatureProtection",
    "LabelProtection",
    "Protection",
    "feature_protections",
    "label_protections",
]

P = TypeVar("P", bound=Protection)

LABEL_PROTECTIONS: Mapping[str, Callable[[Options], LabelProtection]] = {
    kind.name: kind for kind in (MaxNorm, Marvell, RandomisedResponse)
}
FEATURE_PROTECTIONS: Mapping[str, Callable[[Options], FeatureProtection]] = {
    kind.name: kind for kind in (GaussianNoise, DistanceCorrelation)
}
"""By name what makes a protection of its options."""


def label_protections(choices: Sequence[Choice]) -> list[LabelProtection]:
    """Make the label party's protections.

    Raises
    ------
    secureboost.errors.ConfigError
        If there is none of a name, or an option does not fit.
    """
    return [_get(LABEL_PROTECTIONS, choice)(choice.options) for choice in choices]


def feature_protections(choices: Sequence[Choice]) -> list[FeatureProtection]:
    """Make a feature party's protections.

    Raises
    ------
    secureboost.errors.ConfigError
        If there is none of a name, or an option does not fit.
    """
    return [_get(FEATURE_PROTECTIONS, choice)(choice.options) for choice in choices]


def _get(registry: Mapping[str, Callable[[Options], P]], choice: Choice) -> Callable[[Options], P]:
    if choice.name not in registry:
        known = ", ".join(registry) or "none"
        raise ConfigError(
            f"{choice.name!r} is not a protection; there is: {known}."
            f"{did_you_mean(choice.name, registry)}",
            "protections",
        )
    return registry[choice.name]
