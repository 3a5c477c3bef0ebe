"""Finding the rows that the label party and its feature parties have in common, for their user."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from secureboost.align import align
from secureboost.align.duplicates import Duplicates
from secureboost.align.keys import Keys, make_keys
from secureboost.align.options import AlignOptions
from secureboost.align.rules import key_rules
from secureboost.aligned_rows import AlignedRows, in_common
from secureboost.alignment import ABSENT, Alignment
from secureboost.alignment_folder import read_alignments, write_alignments
from secureboost.data import check_ids
from secureboost.errors import ConfigError, DataError, did_you_mean
from secureboost.party import Party

if TYPE_CHECKING:
    from secureboost.align.aligned import AlignProgress


@dataclass(frozen=True, repr=False, eq=False)
class AlignedTables:
    """The outcome of `align_tables`; the parties hold it too.

    Attributes
    ----------
    index : pandas.Index
        Ids of the rows that all parties have, in the order of the label party's table.
    alignments : dict of str to Alignment
        The label party's view of what it has agreed on with each party.
    """

    index: pd.Index
    alignments: dict[str, Alignment]

    def __repr__(self) -> str:
        return f"AlignedTables({len(self.index)} rows, {', '.join(self.alignments)})"

    def __str__(self) -> str:
        lines = [
            "{common keys:,} of {keys of the label party:,} ids are also among the "
            "{keys of the feature party:,} of ".format(**alignment.details)
            + repr(party)
            for party, alignment in self.alignments.items()
        ]
        first = next(iter(self.alignments.values()))
        padding = int((first.rows == ABSENT).sum())
        hidden = f", hidden among {padding:,} that are not" if padding else ""
        return "; ".join([*lines, f"{len(self.index):,} rows are common to all{hidden}"])

    def save(self, folder: str | Path) -> None:
        """Write a file for each party, ``<party>.alignment``, for their owner alone.

        They hold row positions and a secret, no id. `load_alignments` reads them.

        Raises
        ------
        OSError
            If the folder cannot be written.
        """
        write_alignments(Path(folder), self.alignments)


def align_tables(
    table: Any,
    parties: Sequence[Party],
    *,
    on: Sequence[str] | None = None,
    rules: Mapping[str, str] | None = None,
    duplicates: Duplicates = "error",
    options: AlignOptions | None = None,
    state: str | Path | None = None,
    progress: "Callable[[AlignProgress], None] | None" = None,
) -> AlignedTables:
    """Find the rows that all parties have; nobody shows another the rest of its rows.

    Afterwards the parties know these rows: `fit` and `predict` on any of them count in the agreed
    order, and no id is compared again.

    Parameters
    ----------
    table : DataFrame, or index or sequence of ids
        The label party's rows, in any order. Each has an id of its own in the index, which nobody
        else need know unless it is the key.
    parties : sequence of Party
        All that will train or score together.
    on : sequence of str, optional
        Columns whose values together name a customer, at all parties in the same order; by default
        the index.
    rules : mapping of column name to rule, optional
        How each of these columns is written, see `secureboost.align.rules`; ``"exact"`` by default.
        The index goes by its name, or ``"id"``.
    duplicates : {"error", "first", "last"}
        What happens to rows of one customer.
    options : AlignOptions, optional
        By default those that the parties were made with.
    state : str or Path, optional
        Folder with which an alignment that breaks off can go on; see `secureboost.align.align`.
    progress : callable, optional
        Called with an `align.aligned.AlignProgress` now and then.

    Raises
    ------
    DataError
        If ids or keys cannot be used, no row is common, or too few are.
    ConfigError
        If a rule or an option cannot be used, or the parties were made with different options.
    parties.errors.PartyError
        If a party cannot be reached or refuses.
    secureboost.errors.IntegrityError
        If a party sends what cannot be.

    Examples
    --------
    >>> aligned = align_tables(lender, [bureau], on=["surname", "birth"], rules={"surname": "text"})
    >>> print(aligned)
    812 of 1,000 ids are also among the 5,000 of 'bureau'; 812 rows are common to all
    >>> model.fit(features.loc[aligned.index], defaulted[aligned.index], parties=[bureau])
    """
    index, keys = _read(table, on, rules, duplicates)
    chosen = options or _options_of(parties)
    if chosen.join is not None:
        raise ConfigError("is for rows with times, which `align.join_rows` joins", "align.join")
    folder = None if state is None else Path(state)
    found = align(keys, parties, chosen, state=folder, progress=progress).check()
    return _held(index, found.alignments, parties)


def load_alignments(
    folder: str | Path,
    table: Any,
    parties: Sequence[Party],
    *,
    on: Sequence[str] | None = None,
    rules: Mapping[str, str] | None = None,
    duplicates: Duplicates = "error",
) -> AlignedTables:
    """Read what `AlignedTables.save` wrote, and have the parties hold it; nobody is asked.

    Parameters
    ----------
    folder : str or Path
    table, parties, on, rules, duplicates
        As `align_tables` was given them.

    Raises
    ------
    secureboost.errors.AlignmentError
        If a file is damaged, of another table, or was made apart from the others.
    secureboost.errors.ConfigError
        If there is none with a party.
    """
    index, keys = _read(table, on, rules, duplicates)
    digest = keys.digest()
    names = [party.name for party in parties]
    return _held(index, read_alignments(Path(folder), names, digest), parties)


def _held(
    index: pd.Index, alignments: dict[str, Alignment], parties: Sequence[Party]
) -> AlignedTables:
    """Have the parties hold what was agreed on with them."""
    agreements = {name: AlignedRows(index, alignment) for name, alignment in alignments.items()}
    for party in parties:
        party.hold(agreements[party.name])
    return AlignedTables(index[in_common(index, agreements)], alignments)


def _read(
    table: Any, on: Sequence[str] | None, rules: Mapping[str, str] | None, duplicates: Duplicates
) -> tuple[pd.Index, Keys]:
    """Ids of the rows of a table, and their keys."""
    if isinstance(table, pd.DataFrame):
        index = table.index
    else:
        index = table if isinstance(table, pd.Index) else pd.Index(table)
        if on is not None:
            raise DataError(
                f"on={list(on)} names columns, and table is a {type(table).__name__} without any. "
                "Pass a DataFrame."
            )
    check_ids(index, "table")
    if on is None:
        name = "id" if index.name is None else str(index.name)
        columns = [index.to_series()]
        names = [name]
    else:
        names = list(on)
        missing = [column for column in names if column not in table.columns]
        if missing:
            raise DataError(
                f"on names {missing[0]!r}, which the table does not have."
                f"{did_you_mean(str(missing[0]), map(str, table.columns))}"
            )
        columns = [table[column] for column in names]
    return index, make_keys(columns, key_rules(names, rules), duplicates=duplicates)


def _options_of(parties: Sequence[Party]) -> AlignOptions:
    """The options that all parties were made with."""
    wanted = {party.name: party.align_options or AlignOptions() for party in parties}
    if len(set(wanted.values())) > 1:
        raise ConfigError(
            f"The parties {', '.join(map(repr, wanted))} were made with different options of "
            "alignment, and they are aligned together. Pass align_tables(..., options=...)."
        )
    return next(iter(wanted.values()), AlignOptions())
