"""Columns that an option names, in a text such as ``"job*marital, education*job"``."""

from collections.abc import Sequence

from secureboost.errors import ConfigError, did_you_mean
from secureboost.splitnn.architectures.base import ColumnsError
from secureboost.splitnn.options import Options


def names_option(options: Options, name: str) -> tuple[str, ...]:
    """Read an option that lists names, with commas between them; none of them twice.

    Raises
    ------
    secureboost.errors.ConfigError
    """
    names = [part.strip() for part in str(options[name]).split(",")]
    if names == [""]:
        return ()
    if "" in names:
        raise ConfigError(f"is {options[name]!r}; between two commas it must name something", name)
    twice = {part for part in names if names.count(part) > 1}
    if twice:
        raise ConfigError(f"is {options[name]!r}, which names {min(twice)!r} twice", name)
    return tuple(names)


def position_of(column: str, columns: Sequence[str], option: str, kind: str) -> int:
    """Find a column among those of a kind.

    Parameters
    ----------
    column : str
    columns : sequence of str
        All of that kind.
    option : str
        Which option names it, for the message.
    kind : str
        Such as "column of categories", for the message.

    Raises
    ------
    ColumnsError
        If there is none.
    """
    if column not in columns:
        raise ColumnsError(
            f"names {column!r}, which is no {kind} here.{did_you_mean(column, columns)}", option
        )
    return columns.index(column)
