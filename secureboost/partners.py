"""From the tables and parties a user names to the rows and connections a trainer needs."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from parties.session import Session
from secureboost.data import check_ids, match_rows
from secureboost.errors import DataError, did_you_mean
from secureboost.gbdt.partner import Partner, open_session
from secureboost.party import Party, row_ids
from secureboost.trainers import Trainer


def check_parties(parties: Sequence[Party] | None, X: Any) -> list[Party]:
    """Check that these are parties with different names and that `X` can be matched to them.

    Raises
    ------
    TypeError, DataError
    """
    parties = [] if parties is None else list(parties)
    for party in parties:
        if not isinstance(party, Party):
            raise TypeError(
                f"parties holds a {type(party).__name__}; it takes FeatureParty and RemoteParty"
            )
    names = [party.name for party in parties]
    if len(set(names)) < len(names):
        raise DataError(f"parties: {', '.join(names)}: two have one name; give each its own.")
    if any(name.lower() == "label" for name in names):
        raise DataError("parties: the name 'label' is kept for the label party's own half.")
    if parties and not isinstance(X, pd.DataFrame):
        raise DataError(
            f"X is a {type(X).__name__} without row ids, so its rows cannot be matched with "
            f"{', '.join(map(repr, names))}. Pass a DataFrame indexed by row id."
        )
    return parties


def make_partners(
    parties: Sequence[Party], index: pd.Index | None, trainer: Trainer
) -> list[Partner]:
    """Look the rows with these ids up in every party; nobody is connected to yet.

    Raises
    ------
    DataError
        If an id is missing or repeated, or a party lacks rows.
    """
    if not parties or index is None:
        return []
    check_ids(index, "X")
    return [
        Partner(
            party.name,
            partial(party.connect, trainer),
            row_ids(party.index),
            match_rows(index, party.index, party.name).astype(np.int32),
        )
        for party in parties
    ]


def open_partners(partners: Sequence[Partner], trainer: Trainer) -> Session:
    """Open a session of `trainer` with all partners; see `gbdt.partner.open_session`."""
    return open_session(partners, trainer.name)


def pool_tables(
    label_table: pd.DataFrame, party_tables: Mapping[str, pd.DataFrame]
) -> tuple[pd.DataFrame, dict[str, list[str]]]:
    """Join everybody's columns: the table on which the plaintext twin is trained.

    Parameters
    ----------
    label_table : DataFrame
        The label party's columns, indexed by row id; its rows and their order stay.
    party_tables : mapping of party name to DataFrame
        Indexed by row id; in the order of the session.

    Returns
    -------
    pooled : DataFrame
        The label party's columns first, then each party's. A column whose name is taken becomes
        ``<party>.<name>``.
    column_owner : dict
        As `SecureBoostClassifier.fit` takes it.

    Raises
    ------
    DataError
        If a party lacks rows.
    """
    parts, owner = [label_table], {}
    taken = set(map(str, label_table.columns))
    for party, table in party_tables.items():
        positions = match_rows(label_table.index, table.index, party)
        names = [f"{party}.{name}" if str(name) in taken else str(name) for name in table.columns]
        taken.update(names)
        part = table.iloc[positions].set_axis(names, axis="columns")
        parts.append(part.set_axis(label_table.index, axis="index"))
        owner[party] = names
    return pd.concat(parts, axis="columns"), owner


def check_column_owner(
    column_owner: Mapping[str, Sequence[str]] | None,
    columns: Sequence[str],
    parties: Sequence[Party],
) -> dict[str, list[str]]:
    """Check that every named column exists once, behind the label party's own, party by party.

    Raises
    ------
    DataError
    """
    owner = {party: [str(name) for name in names] for party, names in (column_owner or {}).items()}
    if owner and parties:
        raise DataError("column_owner is for pooled training; with parties they own their columns.")
    listed = [name for names in owner.values() for name in names]
    for name in listed:
        if name not in columns:
            raise DataError(
                f"column_owner names {name!r}, which X does not have.{did_you_mean(name, columns)}"
            )
    if listed != list(columns[len(columns) - len(listed) :]):
        raise DataError(
            "column_owner: X must have the label party's columns first and then each party's, in "
            "the order of column_owner; pool_tables makes such a table."
        )
    return owner
