"""One key column, piece after piece: its cells in normal form, and the rows that have none.

Messages name the column and positions, never a value.
"""

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from secureboost.align.rules import KINDS, Rule
from secureboost.data import positions_text
from secureboost.errors import DataError

Gap: TypeAlias = Literal["blanks", "unreadable"]
"""Why a row has no key: a cell is missing or blank, or its rule cannot read it."""

_CELLS = {
    "string": "text",
    "integer": "integers",
    "floating": "numbers",
    "decimal": "numbers",
    "mixed-integer-float": "numbers",
    "date": "dates",
    "datetime": "dates",
    "datetime64": "dates",
}
"""From what pandas infers of cells to what `Kind.cells` calls them."""

_ADVICE = {
    "numbers": "Write ids as text or as integers; the rule 'integer' takes whole numbers with a "
    "decimal point.",
    "dates": "Use the rule 'date', or write them as text.",
}


@dataclass(frozen=True, repr=False)
class Cells:
    """Some cells of a key column.

    Attributes
    ----------
    texts : list of str, length n_rows
        In normal form; empty where there is none.
    usable : array of shape (n_rows,), bool
        False where there is none.
    raw : list of length n_rows
        As the table has them.
    """

    texts: list[str]
    usable: NDArray[np.bool_]
    raw: list[Any]


class CellReader:
    """Reads one key column, piece after piece.

    Parameters
    ----------
    rule : Rule
    number : int
        Which key column it is, from 1; names it where it has no name.
    table : str
        Begins the messages of errors.

    Attributes
    ----------
    label : str
        The column in messages.
    """

    def __init__(self, rule: Rule, number: int, table: str) -> None:
        self.label = f"key column {number}"
        self._kind = KINDS[rule.kind]
        self._rule = rule
        self._table = table
        self._read = self._kind.reader(rule.option)
        self._gaps: dict[Gap, list[NDArray[np.intp]]] = {"blanks": [], "unreadable": []}
        self._is_text: bool | None = None  # not known before the first cell

    def read(self, column: "pd.Series[Any]", first_row: int) -> Cells:
        """Read the cells that begin at row `first_row` of the table.

        Raises
        ------
        DataError
            If the column mixes text and others, or is of a type that the rule does not read.
        """
        if column.name is not None:
            self.label = f"column {str(column.name)!r}"
        if isinstance(column.dtype, pd.CategoricalDtype):
            column = column.astype(object)
        raw = column.tolist()
        missing = column.isna().to_numpy(dtype=bool)
        present = raw if not missing.any() else column[~missing].tolist()
        self._check_type(present, np.flatnonzero(~missing) + first_row)
        found: list[str | None] = list(map(self._read, present))
        if len(present) < len(raw):
            cells = iter(found)
            found = ["" if gap else next(cells) for gap in missing.tolist()]
        usable = np.fromiter(map(bool, found), np.bool_, len(found))
        if not usable.all():
            unreadable = np.fromiter((text is None for text in found), np.bool_, len(found))
            self._gaps["unreadable"].append(np.flatnonzero(unreadable) + first_row)
            self._gaps["blanks"].append(np.flatnonzero(~usable & ~unreadable) + first_row)
        return Cells([text or "" for text in found], usable, raw)

    def gaps(self, why: Gap) -> NDArray[np.intp]:
        """Positions of rows that have no normal form, ascending."""
        return np.concatenate([np.empty(0, np.intp), *self._gaps[why]])

    def describe(self, why: Gap) -> str:
        """Say where those rows are; there is at least one."""
        rows = rows_text(self.gaps(why))
        if why == "blanks":
            return f"{self.label} is blank in {rows}"
        return (
            f"{self.label} cannot be read by the rule '{self._rule}' in {rows}: it needs "
            f"{self._kind.needs}"
        )

    def _check_type(self, present: list[Any], rows: NDArray[np.intp]) -> None:
        """Refuse cells that the rule does not read, and text among others.

        Integers among text are ids that lost their zeros when a table was read in pieces.
        """
        if not present:
            return
        inferred = pd.api.types.infer_dtype(present, skipna=False)
        is_text = isinstance(present[0], str) if self._is_text is None else self._is_text
        if inferred != "string" or not is_text:
            odd = np.fromiter((isinstance(c, str) != is_text for c in present), np.bool_, len(rows))
            if odd.any():
                raise DataError(
                    f"{self._table}: {self.label} mixes text and other values; it first holds "
                    f"{'text' if is_text else 'others'}, and not so in {rows_text(rows[odd])}. "
                    "Write all of them as text."
                )
        self._is_text = is_text
        kind = _CELLS.get(inferred, "values of other types or of several")
        reads = self._kind.cells
        if kind not in reads:
            raise DataError(
                f"{self._table}: {self.label} holds {kind}, and the rule {self._rule.kind!r} reads "
                f"{' or '.join(sorted(reads))}. {_ADVICE.get(kind, 'Write them as text.')}"
            )


def rows_text(rows: NDArray[np.intp]) -> str:
    """Say which rows: ``"2 rows (data rows 4 and 9)"``; at least one."""
    mask = np.zeros(int(rows.max()) + 1, np.bool_)
    mask[rows] = True
    return positions_text(mask)
