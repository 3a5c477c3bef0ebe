import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secureboost import csv_rows as csv_rows_module
from secureboost.csv_rows import csv_header, csv_rows
from secureboost.errors import DataError

LINES = st.lists(st.text(st.sampled_from(list('a1,,,"\n\r ;é')), max_size=8), max_size=6).map(
    "\n".join
)


@pytest.fixture
def write(tmp_path):
    def write_file(content):
        path = tmp_path / "a.csv"
        path.write_bytes(content.encode())
        return path

    return write_file


def by_the_csv_module(path):
    """The twin: every row through Python's csv module."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = [fields for fields in csv.reader(file, strict=True) if fields]
    if not rows or any(len(row) != len(rows[0]) for row in rows):
        raise csv.Error
    return rows


@given(text=LINES)
def test_rows_are_those_of_the_csv_module(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    path.write_bytes(text.encode())
    try:
        expected = by_the_csv_module(path)
    except csv.Error:
        with pytest.raises(DataError, match=r"a\.csv: "):
            list(csv_rows(path))
        return
    width = len(expected[0])
    assert csv_header(path) == expected[0]
    assert list(csv_rows(path, width)) == expected[1:]
    for n_fields in range(width):
        picked = [row[:n_fields] for row in csv_rows(path, n_fields)]
        assert picked == [row[:n_fields] for row in expected[1:]]


def test_rows_and_lines_are_counted_on_behind_the_first_quotation_mark(write):
    path = write('a,b\n1,2\n\n3,"4\n4"\n5,6\n7\n')
    with pytest.raises(DataError, match=r"data row 4 \(line 7\) has 1 fields but the header has 2"):
        list(csv_rows(path))
    path = write('a,b\n1,2\n3,"4\n')
    with pytest.raises(DataError, match=r"line 3 is not valid CSV \(unexpected end of data\)"):
        list(csv_rows(path))


def test_a_bad_row_shows_when_it_is_reached(write):
    rows = csv_rows(write("a,b\n1,2\n3\n"), 2)
    assert next(rows) == ["1", "2"]
    with pytest.raises(DataError, match=r"data row 2 \(line 3\) has 1 fields"):
        next(rows)


def test_long_lines_have_the_limit_of_the_csv_module(write, monkeypatch):
    monkeypatch.setattr(csv_rows_module, "_LONG_LINE", 4)
    path = write("a,b\n1,2\n" + 50 * "3" + ",4\n5,6\n")
    assert [row[1] for row in csv_rows(path, 2)] == ["2", "4", "6"]
    limit = csv.field_size_limit(20)
    try:
        with pytest.raises(DataError, match=r"line 3 is not valid CSV \(field larger than"):
            list(csv_rows(path, 2))
    finally:
        csv.field_size_limit(limit)
