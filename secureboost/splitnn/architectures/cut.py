"""The cut where the parts of a party's vector have meanings: their widths and sums."""

from collections.abc import Sequence

from torch import Tensor

from secureboost.errors import ConfigError


def deep_width(architecture: str, width: int, n_others: int) -> int:
    """Numbers of the deep part of a vector, the last one of its parts.

    Parameters
    ----------
    architecture : str
        For the message.
    width : int
        Numbers of the whole vector.
    n_others : int
        Numbers of the other parts.

    Raises
    ------
    secureboost.errors.ConfigError
        If none is left.
    """
    if width <= n_others:
        raise ConfigError(
            f"is {width} at the cut; {architecture!r} needs more than {n_others} there: so many "
            "have their meaning, and the rest is the deep part",
            "width",
        )
    return width - n_others


def one_score(architecture: str, n_outputs: int) -> None:
    """Refuse several scores for an architecture whose sum is one score.

    Raises
    ------
    secureboost.errors.ConfigError
    """
    if n_outputs != 1:
        raise ConfigError(
            f"is {architecture!r}, which gives a row one score, and {n_outputs} are wanted: for "
            "several classes take 'mlp', for several labels 'mmoe'",
            "architecture",
        )


def sum_in_order(parts: Sequence[Tensor]) -> Tensor:
    """Add up one party after the other: an order that does not depend on how many there are."""
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total
