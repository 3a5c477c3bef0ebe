"""The registry of groups in which ids are compared: a new one is one file and one line here."""

from crypto.errors import GroupUnavailableError
from crypto.groups.base import Elements, Group, Scalar
from crypto.groups.p256 import P256
from crypto.groups.ristretto import Ristretto255

__all__ = ["GROUPS", "Elements", "Group", "Scalar", "best_group", "get_group"]

GROUPS: dict[str, Group] = {group.name: group for group in (Ristretto255(), P256())}
"""The best first; the last runs everywhere."""


def get_group(name: str) -> Group:
    """Look a group up.

    Raises
    ------
    GroupUnavailableError
        If there is none of that name, or it cannot be used here.
    """
    if name not in GROUPS:
        raise GroupUnavailableError(
            f"group={name[:40]!r} is unknown; use one of: {', '.join(GROUPS)}"
        )
    missing = GROUPS[name].missing()
    if missing:
        usable = [other.name for other in GROUPS.values() if not other.missing()]
        raise GroupUnavailableError(f"group={name!r} {missing}; or use one of: {', '.join(usable)}")
    return GROUPS[name]


def best_group() -> Group:
    """Return the best group that can be used here: ristretto255, else P-256."""
    return next(group for group in GROUPS.values() if not group.missing())
