"""Columns that are one quantity at several times: ``PAY_0, PAY_2, ...``, ``BILL_AMT1, ...``."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from secureboost.errors import ConfigError, did_you_mean
from secureboost.splitnn.architectures.base import ColumnsError, ColumnsSpec
from secureboost.splitnn.architectures.names import names_option
from secureboost.splitnn.options import Options

AUTO = "auto"
"""Take whatever columns look like a sequence."""

FEWEST_STEPS = 3
"""Shorter ones are taken only where they are named: ``street1`` and ``street2`` are no sequence."""

_NUMBERED = re.compile(r"(.*\D)(\d+)", re.DOTALL)


@dataclass(frozen=True)
class Field:
    """One quantity at all steps of a sequence.

    Attributes
    ----------
    stem : str
        What the names of its columns begin with.
    columns : tuple of str
        Its columns, by the numbers at their ends.
    of_categories : bool
    """

    stem: str
    columns: tuple[str, ...]
    of_categories: bool


BehaviourSequence = tuple[Field, ...]
"""Fields of as many steps each: what happened at a step is the values of all fields there."""


def find_sequences(options: Options, columns: ColumnsSpec) -> list[BehaviourSequence]:
    """Find the sequences that the option ``sequences`` names.

    Fields with equally many steps make up one sequence: payments and bills of the same six months
    belong together. The first steps of all fields are taken for one time, and so on.

    Parameters
    ----------
    options : mapping of str to option
        ``sequences`` is a list of stems, or "auto" for all stems that have three numbered columns
        or more, all of one kind; there may be none then.
    columns : ColumnsSpec

    Raises
    ------
    secureboost.errors.ConfigError
        If none is named.
    ColumnsError
        If a stem that is named has less than two columns, or such of numbers and of categories.
    """
    stems = _stems(columns)
    named = names_option(options, "sequences")
    if not named:
        raise ConfigError(
            "is empty; name what the columns' names begin with, as in 'PAY, BILL_AMT' for PAY_0, "
            "PAY_2, BILL_AMT1, ..., or take 'auto'",
            "sequences",
        )
    if named == (AUTO,):
        fields = [field for field in (_field(s, stems[s], columns) for s in stems) if field]
        fields = [field for field in fields if len(field.columns) >= FEWEST_STEPS]
    else:
        fields = [_named_field(stem, stems, columns) for stem in named]
    by_length: dict[int, list[Field]] = {}
    for field in fields:
        by_length.setdefault(len(field.columns), []).append(field)
    return [tuple(group) for group in by_length.values()]


def _stems(columns: ColumnsSpec) -> dict[str, list[str]]:
    """The numbered columns by what their names begin with, in the order of their numbers."""
    numbered: dict[str, list[tuple[int, str]]] = {}
    for column in [*columns.numbers, *columns.categories]:
        match = _NUMBERED.fullmatch(column)
        if match:
            stem = match[1].removesuffix("_") or match[1]
            numbered.setdefault(stem, []).append((int(match[2]), column))
    return {stem: [column for _, column in sorted(found)] for stem, found in numbered.items()}


def _named_field(stem: str, stems: dict[str, list[str]], columns: ColumnsSpec) -> Field:
    stem = stem.removesuffix("_")
    names = stems.get(stem, [])
    if len(names) < 2:
        raise ColumnsError(
            f"names {stem!r}, and {len(names)} columns here are called that with a number behind; "
            f"a sequence has two or more.{did_you_mean(stem, stems)}",
            "sequences",
        )
    field = _field(stem, names, columns)
    if field is None:
        raise ColumnsError(
            f"names {stem!r}, of whose columns some hold numbers and some categories; make them "
            "all one or the other",
            "sequences",
        )
    return field


def _field(stem: str, names: Sequence[str], columns: ColumnsSpec) -> Field | None:
    """A field of these columns; None if they are of both kinds."""
    of_categories = [name in columns.categories for name in names]
    if any(of_categories) != all(of_categories):
        return None
    return Field(stem, tuple(names), of_categories[0])
