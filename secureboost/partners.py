"""From the tables and parties a user names to the rows and connections a trainer needs."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd

from parties.session import Session
from secureboost.align.aligned import Progress
from secureboost.aligned_rows import Agreements, nothing_common
from secureboost.aligned_tables import align_tables
from secureboost.alignment import ABSENT
from secureboost.data import check_ids, match_rows, positions_text
from secureboost.errors import DataError, NothingCommonError, did_you_mean
from secureboost.padding import Places, companions
from secureboost.partner import Partner, open_session
from secureboost.party import Party, row_ids
from secureboost.trainers import Trainer

Unmatched = Literal["error", "missing"]
"""What happens in prediction to a row that a party lacks."""


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


def agree_on_rows(
    parties: Sequence[Party],
    index: pd.Index | None,
    *,
    apart: bool = False,
    progress: Progress | None = None,
) -> Agreements:
    """What the parties count these rows in, but for those that share a list of ids with us.

    Parties that share none and were not aligned over these rows are aligned now, by the ids.

    Parameters
    ----------
    parties : sequence of Party
    index : pandas.Index, optional
        Ids of all rows that are wanted, those that parties lack included.
    apart : bool
        Find the rows that each party has, instead of those that all have.
    progress : callable, optional
        See `align_tables`.

    Raises
    ------
    DataError
        If an id is missing or repeated, or no row is common.
    ConfigError
        If parties that must be aligned together want it done in different ways.
    parties.errors.PartyError, secureboost.errors.IntegrityError
        If a party refuses or fails.
    """
    if not parties or index is None:
        return {}
    check_ids(index, "X")
    strangers = [party for party in parties if party.index is None]
    unknown = [party for party in strangers if party.rows_of(index, complete=apart) is None]
    if apart:
        for party in unknown:
            try:
                align_tables(index, [party], progress=progress)
            except NothingCommonError:
                party.hold(nothing_common(index, party.name))
    elif unknown:
        # all of them, so that they have one order of rows
        align_tables(index, strangers, progress=progress)
    agreements = {party.name: party.rows_of(index, complete=apart) for party in parties}
    return {name: rows for name, rows in agreements.items() if rows is not None}


def make_partners(
    parties: Sequence[Party],
    index: pd.Index | None,
    trainer: Trainer,
    agreements: Agreements | None = None,
    *,
    places: Places | None = None,
    unmatched: Unmatched = "error",
) -> list[Partner]:
    """Look the rows with these ids up in every party; nobody is connected to yet.

    Parameters
    ----------
    parties : sequence of Party
    index : pandas.Index, optional
        Ids of the rows.
    trainer : Trainer
    agreements : Agreements, optional
        From `agree_on_rows`; none by default.
    places : Places, optional
        Where the rows stand, if padding rows go with them.
    unmatched : {"error", "missing"}
        Whether a row that a party lacks is refused, or one of missing values there.

    Raises
    ------
    DataError
        If an id is missing or repeated, or a party lacks rows.
    """
    if not parties or index is None:
        return []
    check_ids(index, "X")
    agreements = agreements or {}
    if places is not None:
        return [_place(party, trainer, agreements, places) for party in parties]
    return [_look_up(party, index, trainer, agreements, unmatched) for party in parties]


def _place(party: Party, trainer: Trainer, agreements: Agreements, places: Places) -> Partner:
    """A party whose rows stand in these places."""
    if party.name not in agreements:
        raise DataError(
            f"{party.name}: it was not aligned, and other parties list padding rows, of which it "
            "has none. Align all parties together (align_tables)."
        )
    connect = partial(party.connect, trainer)
    return Partner(party.name, connect, agreements[party.name].alignment, places.agreed)


def _look_up(
    party: Party, index: pd.Index, trainer: Trainer, agreements: Agreements, unmatched: Unmatched
) -> Partner:
    """A party with the rows that it has of these."""
    connect = partial(party.connect, trainer)
    aligned = agreements.get(party.name)
    if aligned is None:
        if party.index is None:
            raise DataError(
                f"{party.name}: it was not aligned over these rows. Align it (align_tables)."
            )
        if unmatched == "missing":
            found = np.asarray(party.index.get_indexer(index), dtype=np.int64)
        else:
            found = match_rows(index, party.index, party.name)
        return Partner(party.name, connect, row_ids(party.index), found.astype(np.int32))
    rows = aligned.places_of(index)
    absent = rows == ABSENT
    if unmatched == "error" and absent.any():
        raise DataError(
            f"{party.name}: {positions_text(absent)} of the {len(index):,} asked for are not "
            "common to all parties that were aligned. Leave them out (align_tables(...).index "
            "names the others), or predict with unmatched='missing': then the columns of a party "
            "are missing in rows that it lacks."
        )
    goes_with = companions(aligned, index)
    padding = np.flatnonzero(aligned.padding & (goes_with != ABSENT)).astype(np.int32)
    return Partner(party.name, connect, aligned.alignment, rows, padding, goes_with[padding])


def open_partners(partners: Sequence[Partner], trainer: Trainer) -> Session:
    """Open a session of `trainer` with all partners; see `partner.open_session`."""
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
