"""From the tables and parties a user names to the rows and connections a trainer needs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from parties.peer import Peer
from secureboost.data import match_rows, positions_text
from secureboost.errors import DataError, did_you_mean
from secureboost.gbdt.label import Partner
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
    if parties and not isinstance(X, pd.DataFrame):
        raise DataError(
            f"X is a {type(X).__name__} without row ids, so its rows cannot be matched with "
            f"{', '.join(map(repr, names))}. Pass a DataFrame indexed by row id."
        )
    return parties


def make_partners(parties: Sequence[Party], X: pd.DataFrame, trainer: Trainer) -> list[Partner]:
    """Look the rows of `X` up in every party and connect.

    Raises
    ------
    DataError
        If an id repeats in `X`, or a party lacks rows.
    parties.errors.PartyError
        If a connection fails; those that stand are cut.
    """
    if not parties:
        return []
    repeated = X.index.duplicated()
    if repeated.any():
        raise DataError(
            f"X: {int(repeated.sum()):,} row ids in its index repeat an earlier one, in "
            f"{positions_text(repeated)}. With parties every row is one id."
        )
    rows = [match_rows(X.index, party.index, party.name).astype(np.int32) for party in parties]
    peers: list[Peer] = []
    try:
        for party in parties:
            peers.append(party.connect(trainer))
    except BaseException:
        for peer in peers:
            peer.abort()
        raise
    return [
        Partner(peer, row_ids(party.index), positions)
        for party, peer, positions in zip(parties, peers, rows, strict=True)
    ]


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
