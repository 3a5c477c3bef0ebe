"""Constraints by name, turned into constraints by column number.

Own columns go by their names, a partner's by its anonymous ones (``bureau/0``). Columns are
numbered with all sources side by side, the label party's first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from secureboost.errors import ConfigError, did_you_mean
from secureboost.partner import LABEL_PARTY

Monotone: TypeAlias = Mapping[str, int] | Sequence[int] | None
Interactions: TypeAlias = Sequence[Sequence[str]] | None


@dataclass(frozen=True)
class OwnedColumns:
    """Everybody's columns.

    Attributes
    ----------
    names : tuple of str
        Global names, as constraints use them.
    owners : tuple of str
        The party of each column; empty for the label party.
    categorical : array of bool
    declared : array of int8
        The sign of effect that a partner has declared for its column; 0 elsewhere.
    """

    names: tuple[str, ...]
    owners: tuple[str, ...]
    categorical: NDArray[np.bool_]
    declared: NDArray[np.int8]


def monotone_signs(spec: Monotone, columns: OwnedColumns) -> NDArray[np.int8]:
    """The constraint of every column: 1, -1, or 0 for none.

    Parameters
    ----------
    spec : mapping of name to sign, sequence of signs, or None
        A sequence is over the label party's own columns, from the first one on.
    columns : OwnedColumns

    Raises
    ------
    secureboost.errors.ConfigError
        If a name is unknown, a sign is not -1, 0 or 1, a column is of categories, or a partner has
        not declared that very sign.
    """
    signs = np.zeros(len(columns.names), dtype=np.int8)
    for name, sign in _by_name(spec, columns).items():
        if isinstance(sign, bool) or sign not in (-1, 0, 1):
            raise ConfigError(
                f"monotone_constraints[{name!r}]={sign!r} must be 1 (not falling), -1 (not rising) "
                "or 0 (none)"
            )
        column = _number(name, columns, "monotone_constraints")
        if sign and columns.categorical[column]:
            raise ConfigError(
                f"monotone_constraints names {name!r}, a column of categories; categories have no "
                "order"
            )
        owner = columns.owners[column]
        declared = int(columns.declared[column])
        if sign and owner and name.startswith(f"{owner}/") and sign != declared:
            said = f"declared {declared}" if declared else "has declared no sign"
            raise ConfigError(
                f"monotone_constraints[{name!r}]={sign}: party {owner!r} {said} for this column. "
                "Its owner knows what it means: ask it to declare the sign when it serves the table"
            )
        signs[column] = sign
    return signs


def interaction_groups(spec: Interactions, columns: OwnedColumns) -> tuple[frozenset[int], ...]:
    """The groups of columns that may occur together on a path.

    Parameters
    ----------
    spec : sequence of sequences of str, or None
        Of names of columns or of parties (all of its columns; ``label-party`` is the label party).
    columns : OwnedColumns

    Raises
    ------
    secureboost.errors.ConfigError
        If a name is unknown or a group is empty.
    """
    groups = []
    for group in spec or ():
        members: set[int] = set()
        for name in group:
            owner = "" if name == LABEL_PARTY else name
            of_party = [i for i, party in enumerate(columns.owners) if party == owner]
            members.update(of_party or [_number(name, columns, "interaction_constraints")])
        groups.append(frozenset(members))
    return tuple(groups)


def check_names(
    monotone: Monotone,
    interactions: Interactions,
    own: Sequence[str],
    parties: Sequence[str],
) -> None:
    """Refuse names that no party's column can have, before anybody is connected to.

    Raises
    ------
    secureboost.errors.ConfigError
    """
    if isinstance(monotone, str):
        raise ConfigError(
            f"monotone_constraints={monotone!r} is a text; give a dictionary of column names or a "
            "list of signs"
        )
    for group in interactions or ():
        if isinstance(group, str) or not group:
            raise ConfigError(
                f"interaction_constraints holds {group!r}; give lists of column or party names"
            )
    known = [*own, *parties, LABEL_PARTY]
    wanted = {
        "monotone_constraints": list(monotone) if isinstance(monotone, Mapping) else [],
        "interaction_constraints": [name for group in interactions or () for name in group],
    }
    for parameter, names in wanted.items():
        for name in names:
            if name not in known and str(name).rpartition("/")[0] not in parties:
                raise _unknown(str(name), known, parameter)


def _by_name(spec: Monotone, columns: OwnedColumns) -> Mapping[str, int]:
    if spec is None:
        return {}
    if isinstance(spec, Mapping):
        return spec
    own = [name for name, owner in zip(columns.names, columns.owners, strict=True) if not owner]
    if len(spec) > len(own):
        raise ConfigError(
            f"monotone_constraints has {len(spec)} signs for {len(own)} own columns; name a "
            "partner's columns in a dictionary"
        )
    return dict(zip(own, spec, strict=False))


def _number(name: str, columns: OwnedColumns, parameter: str) -> int:
    if name not in columns.names:
        raise _unknown(name, columns.names, parameter)
    return columns.names.index(name)


def _unknown(name: str, known: Sequence[str], parameter: str) -> ConfigError:
    return ConfigError(
        f"{parameter} names {name!r}, which is no column.{did_you_mean(name, known)}"
    )
