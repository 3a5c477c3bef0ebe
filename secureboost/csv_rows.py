"""A CSV file row by row: UTF-8, separated by commas, with a header, and every row complete.

A line without a quotation mark is what the commas make of it. From the first mark on Python's csv
module reads, which takes four times as long.
"""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TextIO

from secureboost.errors import DataError

MISSING_TEXTS = ("", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NULL", "null", "None", "<NA>")
"""What a file may write for "no value"; ids are exempt: NA may be somebody's id."""

_LONG_LINE = 100_000  # the csv module has a limit for a field; it must not depend on the path


def csv_header(path: Path) -> list[str]:
    """Read the names of the columns.

    Raises
    ------
    DataError
        If the file has no row at all, or is neither UTF-8 nor CSV.
    """
    with _opened(path) as file:
        return _header(path, file)[0]


def csv_rows(path: Path, n_fields: int = 0) -> Iterator[list[str]]:
    """Read the rows after the header in one pass and little memory; blank lines are no rows.

    Parameters
    ----------
    path : Path
    n_fields : int
        How many fields of each row are looked at. The others are only counted, and come undivided
        or not at all.

    Yields
    ------
    list of str
        At least `n_fields` fields.

    Raises
    ------
    DataError
        If the file is neither UTF-8 nor CSV, or a row does not have as many fields as the header.
    """
    with _opened(path) as file:
        header, line_number = _header(path, file)
        width, commas, row = len(header), len(header) - 1, 0
        for line in file:
            if '"' in line or len(line) > _LONG_LINE:
                yield from _quoted_rows(path, chain([line], file), width, row, line_number)
                return
            line_number += 1
            text = line.rstrip("\r\n")
            if not text:
                continue
            row += 1
            if text.count(",") != commas:
                raise _incomplete(path, row, line_number, text.count(",") + 1, width)
            yield text.split(",", n_fields)


def _quoted_rows(
    path: Path, lines: Iterator[str], width: int, row: int, lines_before: int
) -> Iterator[list[str]]:
    reader = csv.reader(lines, strict=True)
    try:
        for fields in reader:
            if not fields:
                continue
            row += 1
            if len(fields) != width:
                line_number = lines_before + reader.line_num
                raise _incomplete(path, row, line_number, len(fields), width)
            yield fields
    except csv.Error as error:
        raise _invalid(path, lines_before + reader.line_num, error) from error


def _header(path: Path, file: TextIO) -> tuple[list[str], int]:
    """The fields of the first row that is not blank, and the lines read so far."""
    reader = csv.reader(file, strict=True)
    try:
        header = next((fields for fields in reader if fields), [])
    except csv.Error as error:
        raise _invalid(path, reader.line_num, error) from error
    if not header:
        raise DataError(f"{path.name}: the file is empty.")
    return header, reader.line_num


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield file
    except UnicodeDecodeError:  # it holds the bytes, so the chain ends here
        raise DataError(f"{path.name}: the file is not UTF-8 text. Save it as UTF-8.") from None


def _incomplete(path: Path, row: int, line: int, fields: int, width: int) -> DataError:
    return DataError(
        f"{path.name}: data row {row} (line {line}) has {fields} fields but the header has {width}."
        " The file is damaged or was cut off: export it again."
    )


def _invalid(path: Path, line: int, error: csv.Error) -> DataError:
    return DataError(
        f"{path.name}: line {line} is not valid CSV ({error}). The file is damaged or was cut off: "
        "export it again."
    )
