"""A table from a file, and the keys of its rows as `[align]` of a configuration makes them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from secureboost.align.event_table import EventTable, read_event_table
from secureboost.align.key_files import read_keys
from secureboost.align.keys import Keys
from secureboost.config_align import FeatureAlign, Id, KeyRows, check_keys, columns_of
from secureboost.data import check_ids
from secureboost.errors import DataError, did_you_mean
from secureboost.tables import joined_ids, read_table


@dataclass(frozen=True)
class KeyColumns:
    """Where the keys of a table come from.

    Attributes
    ----------
    file : Path
    id_column : str or list of str
    settings : KeyRows
    """

    file: Path
    id_column: Id
    settings: KeyRows

    def read(self) -> Keys:
        """Make the keys of the file as it is now, without loading its other columns.

        With a column of times there may be many rows of a key.

        Raises
        ------
        ConfigError, DataError
        """
        settings = self.settings
        return read_keys(
            self.file,
            columns_of(self.id_column),
            check_keys(self.id_column, settings),
            duplicates=settings.duplicates if settings.time is None else "all",
            blanks=settings.blanks,
            unreadable=settings.unreadable,
            table="align.",
        )

    def read_again(self, digest: bytes) -> Keys:
        """Make the keys of the file; they must be those of before.

        Raises
        ------
        DataError
        """
        keys = self.read()
        if keys.digest() != digest:
            raise DataError(f"{self.file.name} has changed since it was read. Start again.")
        return keys

    @property
    def plain(self) -> bool:
        """Whether ids are what stands in one column, so that two tables can be compared as is."""
        rules = check_keys(self.id_column, self.settings).rules
        return self.settings.time is None and len(rules) == 1 and rules[0].kind == "exact"


@dataclass(frozen=True, repr=False)
class KeyedTable:
    """A table whose rows have keys.

    Attributes
    ----------
    source : KeyColumns
    frame : DataFrame
        All other columns, indexed by id as it is written in the file; of rows with times by id and
        time.
    times : DataFrame
        The columns of times and dates, which are no features.
    """

    source: KeyColumns
    frame: pd.DataFrame
    times: pd.DataFrame

    @property
    def name(self) -> str:
        """What messages call the table."""
        return self.source.file.name

    @cached_property
    def keys(self) -> Keys:
        """Keys of the rows, read once; see `read_keys`."""
        return self.read_keys()

    def read_keys(self) -> Keys:
        """Make the keys of the rows.

        Raises
        ------
        DataError
            If they cannot be made, or the file has changed since the table was read.
        """
        keys = self.source.read()
        if len(keys.number) != len(self.frame):
            raise DataError(f"{self.name} has changed while it was read. Start again.")
        return keys

    @property
    def digest(self) -> bytes:
        """What an alignment of the rows is checked against."""
        return self.keys.digest()

    @property
    def rows(self) -> Keys | EventTable:
        """What is aligned: keys, or keys and times.

        Raises
        ------
        DataError
        """
        return self.keys if self.source.settings.time is None else self.events(self.keys)

    def events(self, keys: Keys) -> EventTable:
        """The rows with their times.

        Raises
        ------
        DataError
            If a column does not hold times.
        """
        settings = self.source.settings
        feature = settings if isinstance(settings, FeatureAlign) else FeatureAlign()
        terms = settings.terms()
        return read_event_table(
            self.times,
            keys,
            time=settings.time or "",
            unit=terms.unit,
            dates=feature.dates,
            later_dates=feature.later,
            terms=terms,
            party=self.name,
        )

    @property
    def comparable(self) -> bool:
        """Whether a list of its ids may equal another company's as it is: one for each row."""
        if not self.source.plain:
            return False
        try:
            check_ids(self.frame.index, self.name)
        except DataError:
            return False
        return True


def read_keyed_table(
    file: Path, id_column: Id, settings: KeyRows, keep: Sequence[str | None] = ()
) -> KeyedTable:
    """Read a table and check its key columns.

    Parameters
    ----------
    file : Path
    id_column : str or list of str
    settings : KeyRows
        What becomes of rows without a key of their own.
    keep : sequence of str or None
        Columns of times that stay in the table all the same.

    Raises
    ------
    ConfigError, DataError
    """
    source = KeyColumns(file, id_column, settings)
    # with the settings as they are by default, ids are checked as without an alignment
    strict = source.plain and settings.duplicates == settings.blanks == "error"
    frame = read_table(file, columns_of(id_column), unique_ids=strict)
    if settings.time is None:
        return KeyedTable(source, frame, frame[[]])
    dates = settings.dates if isinstance(settings, FeatureAlign) else []
    columns = [settings.time, *dates]
    for column in columns:
        if column not in frame.columns:
            raise DataError(
                f"{file.name}: there is no time column {column!r}."
                f"{did_you_mean(column, map(str, frame.columns))}"
            )
    times = frame[columns]
    cells = {str(frame.index.name): frame.index, settings.time: times[settings.time].to_numpy()}
    ids = joined_ids(pd.DataFrame(cells))
    without = frame.drop(columns=[column for column in columns if column not in keep])
    return KeyedTable(source, without.set_axis(ids), times)
