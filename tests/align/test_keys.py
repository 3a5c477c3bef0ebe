import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secureboost.align import keys as keys_module
from secureboost.align.keys import Keys, make_keys
from secureboost.align.rules import KINDS, key_rules
from secureboost.errors import ConfigError, DataError

EXACT = key_rules(["id"])
TEXT = key_rules(["id"], {"id": "text"})
WORDS = st.sampled_from(["a", "A", " a", "b", "B ", "\u0430", "", " ", None, "é", "e\u0301"])


def series(*values, **kwargs):
    return pd.Series(list(values), name="id", dtype=kwargs.get("dtype", object))


def key_of(keys: Keys, row: int) -> bytes | None:
    number = int(keys.number[row])
    return None if number < 0 else keys.encoded[number]


def plain(columns, rules, choice):
    """The naive twin: which row has which key, as tuples of normal forms."""
    readers = [KINDS[rule.kind].reader(rule.option) for rule in rules.rules]
    rows = []
    for cells in zip(*columns, strict=True):
        pairs = zip(readers, cells, strict=True)
        forms = ["" if cell is None else read(cell) for read, cell in pairs]
        rows.append(tuple(forms) if all(forms) else None)
    for row, key in enumerate(rows):
        others = [n for n, other in enumerate(rows) if key is not None and other == key]
        if (choice == "first" and others[:1] < [row]) or (choice == "last" and others[-1:] > [row]):
            others = []
        yield key if others else None


@given(
    table=st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=12),
    choice=st.sampled_from(["first", "last", "all"]),
    batch_rows=st.integers(1, 5),
)
def test_keys_are_those_of_the_naive_twin(table, choice, batch_rows):
    columns = [list(column) for column in zip(*table, strict=True)]
    rules = key_rules(["a", "b"], {"a": "text"})
    expected = list(plain(columns, rules, choice))
    frame = pd.DataFrame({"a": series(*columns[0]), "b": series(*columns[1])})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keys_module, "BATCH_ROWS", batch_rows)
        if not any(expected):
            with pytest.raises(DataError, match="no row has a key"):
                make_keys(frame, rules, duplicates=choice, unreadable="drop")
            return
        keys = make_keys(frame, rules, duplicates=choice, unreadable="drop")
    assert keys.number.dtype == np.int32
    assert keys.number.shape == (len(table),)
    assert len(set(keys.encoded)) == len(keys.encoded)
    assert [number >= 0 for number in keys.number] == [key is not None for key in expected]
    assert set(keys.number[keys.number >= 0].tolist()) == set(range(len(keys.encoded)))
    for row, key in enumerate(expected):
        for other, other_key in enumerate(expected):
            if key is not None and other_key is not None:
                assert (key == other_key) == (key_of(keys, row) == key_of(keys, other))


@given(st.lists(st.tuples(*3 * [st.text(st.characters(codec="utf-8"), max_size=3)])))
def test_encoding_tells_rows_apart(rows):
    encoded = keys_module._encoded([list(column) for column in zip(*rows, strict=True)] or [[], []])
    assert len(set(encoded)) == len(set(rows))


def test_encoding_is_what_the_module_says():
    frame = pd.DataFrame({"name": ["Ann"], "birth": [datetime.date(1980, 2, 3)]})
    keys = make_keys(frame, key_rules(["name", "birth"], {"name": "text", "birth": "date"}))
    assert keys.encoded == [b"\0\0\0\x03ann\0\0\0\x0a1980-02-03"]
    assert keys.rules == ("text", "date")


def test_borders_between_columns_count():
    frame = pd.DataFrame({"a": ["ab", "a"], "b": ["c", "bc"]})
    assert len(make_keys(frame, key_rules(["a", "b"])).encoded) == 2


@pytest.mark.parametrize(
    ("column", "rule"),
    [
        (series("7", "8", None), "exact"),
        (series("7", "8", None, dtype="str"), "exact"),
        (series("7", "8", None, dtype="string"), "exact"),
        (series(7, 8, None, dtype="Int64"), "exact"),
        (series(7, 8, None), "exact"),
        (series("7", "8", None, dtype="category"), "exact"),
        (series(7, 8, None, dtype="category"), "exact"),
        (series(7, 8, np.nan, dtype="float64"), "integer"),
        (series(7, 8, None, dtype="Float64"), "integer"),
        (series(7, 8.0, None), "integer"),
        (series(Decimal(7), Decimal("8.00"), None), "integer"),
        (series("07", "8.0", None), "integer"),
    ],
)
def test_all_ways_to_hold_an_id_give_the_same_keys(column, rule):
    keys = make_keys([column], key_rules(["id"], {"id": rule}))
    assert keys.encoded == [b"\0\0\0\x017", b"\0\0\0\x018"]
    assert keys.number.tolist() == [0, 1, -1]
    assert (keys.counts.rows, keys.counts.keys, keys.counts.blank) == (3, 2, 1)


def test_all_ways_to_hold_a_day_give_the_same_keys():
    day = datetime.date(1980, 2, 3)
    rules = key_rules(["id"], {"id": "date"})
    expected = [b"\0\0\0\x0a1980-02-03"]
    for column in (
        series(day, None),
        series("1980-02-03", ""),
        series(datetime.datetime(1980, 2, 3, 23), None),
        series(day, None, dtype="datetime64[us]"),
        series(day, None, dtype="datetime64[us]").dt.tz_localize("Asia/Tokyo"),
    ):
        assert make_keys([column], rules).encoded == expected


def test_columns_of_arrow():
    pyarrow = pytest.importorskip("pyarrow")
    text = series("7", None, dtype=pd.ArrowDtype(pyarrow.string()))
    whole = series(7, None, dtype=pd.ArrowDtype(pyarrow.int32()))
    assert make_keys([text], EXACT).encoded == make_keys([whole], EXACT).encoded
    day = series(datetime.date(1980, 2, 3), None, dtype=pd.ArrowDtype(pyarrow.date32()))
    keys = make_keys([day], key_rules(["id"], {"id": "date"}))
    assert keys.encoded == [b"\0\0\0\x0a1980-02-03"]


SECRET = "SECRET-4711"


@pytest.mark.parametrize(
    ("column", "rule", "message"),
    [
        (
            series(SECRET, "b", SECRET),
            "exact",
            "lender.csv: ids occur more than once in 2 rows (data rows 1 and 3). Keep one row per "
            "id, or choose one by duplicates='first' or 'last'.",
        ),
        (
            series(SECRET, "b", SECRET.lower(), "b", "c"),
            "text",
            "more than once in 4 rows (data rows 1, 2, 3 and 4), of which 2 rows (data rows 1 and "
            "3) differ in writing and are equal after normalisation.",
        ),
        (
            series("a", SECRET + "\u200b"),
            "exact",
            "lender.csv: column 'id' cannot be read by the rule 'exact' in 1 row (data row 2): it "
            "needs characters that can be seen",
        ),
        (
            series("a@b", SECRET, "b@c", SECRET),
            "email",
            "column 'id' cannot be read by the rule 'email' in 2 rows (data rows 2 and 4): it "
            "needs one '@' with text on both sides, and no white space, comma or bracket. Correct "
            "the table, or leave such rows out with unreadable='drop'.",
        ),
        (series(SECRET), "date:%d.%m.%Y", "by the rule 'date:%d.%m.%Y' in 1 row (data row 1)"),
        (
            series(SECRET, 4711, "x", 4711),
            "exact",
            "lender.csv: column 'id' mixes text and other values; it first holds text, and not so "
            "in 2 rows (data rows 2 and 4). Write all of them as text.",
        ),
        (
            series(None, 4711, SECRET),
            "exact",
            "first holds others, and not so in 1 row (data row 3",
        ),
        (
            series(4711.0, None, dtype="float64"),
            "exact",
            "column 'id' holds numbers, and the rule 'exact' reads integers or text. Write ids as "
            "text or as integers; the rule 'integer' takes whole numbers with a decimal point.",
        ),
        (
            series(datetime.date(1947, 11, 4)),
            "text",
            "holds dates, and the rule 'text' reads integers or text. Use the rule 'date'",
        ),
        (series(4711), "email", "holds integers, and the rule 'email' reads text. Write them as"),
        (series(4711.5), "date", "holds numbers, and the rule 'date' reads dates or integers or"),
        (series(True, False), "exact", "holds values of other types or of several, and the rule"),
        (series(SECRET.encode()), "exact", "holds values of other types or of several"),
        (series([SECRET], {SECRET: 1}), "exact", "holds values of other types or of several"),
        (series(datetime.date(1947, 11, 4), 4711), "date", "of other types or of several"),
        (
            series(None, "", "  "),
            "exact",
            "lender.csv: no row has a key; left out: column 'id' is blank in 3 rows (data rows 1, "
            "2 and 3). Check the key columns.",
        ),
        (series(), "exact", "lender.csv: the table has no rows."),
    ],
)
def test_bad_columns_are_named_without_their_values(column, rule, message):
    with pytest.raises(DataError) as caught:
        make_keys([column], key_rules(["id"], {"id": rule}), party="lender.csv")
    text = str(caught.value)
    assert message in text
    assert SECRET.lower() not in text.lower()
    assert "4711" not in text
    assert "1947" not in text
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_blanks_may_be_an_error_and_every_column_is_named():
    frame = pd.DataFrame({"name": ["a", "", "c", None], "birth": ["", "b", "c", "d"]})
    rules = key_rules(["name", "birth"])
    with pytest.raises(DataError) as caught:
        make_keys(frame, rules, blanks="error")
    assert str(caught.value) == (
        "label party: column 'name' is blank in 2 rows (data rows 2 and 4); column 'birth' is "
        "blank in 1 row (data row 1). Correct the table, or leave such rows out with blanks='drop'."
    )
    assert make_keys(frame, rules).counts.blank == 3


def test_counts_are_one_line_for_people():
    column = series("a", None, "B ", "b", "c\u0378", "a")
    keys = make_keys([column], TEXT, duplicates="last", unreadable="drop")
    counts = keys.counts
    assert (counts.rows, counts.keys, counts.blank, counts.unreadable) == (6, 2, 1, 1)
    assert counts.repeated == 2
    assert str(counts) == (
        "rows 6, different ids 2; left out: column 'id' is blank in 1 row (data row 2); left out: "
        "column 'id' cannot be read by the rule 'text' in 1 row (data row 5): it needs characters "
        "that this Python's Unicode knows; ids occur more than once in 4 rows (data rows 1, 3, 4 "
        "and 6), of which 2 rows (data rows 3 and 4) differ in writing and are equal after "
        "normalisation; only the last of each is taken"
    )
    assert keys.number.tolist() == [-1, -1, -1, 1, -1, 0]
    assert str(make_keys([series("a")], EXACT).counts) == "rows 1, different ids 1"


def test_an_unnamed_column_has_a_number():
    columns = [pd.Series(["a"]), pd.Series([""])]
    with pytest.raises(DataError, match=r"key column 2 is blank in 1 row \(data row 1\)"):
        make_keys(columns, key_rules(["a", "b"]), blanks="error")


def test_types_are_compared_across_batches(monkeypatch):
    monkeypatch.setattr(keys_module, "BATCH_ROWS", 2)
    with pytest.raises(DataError, match=r"first holds others.*in 2 rows \(data rows 5 and 6\)"):
        make_keys([series(1, 2, None, None, "3", "4")], EXACT)
    with pytest.raises(DataError, match=r"first holds text.*in 1 row \(data row 4\)"):
        make_keys([series("1", "2", "3", 4)], EXACT)


def test_positions_are_those_of_the_table(monkeypatch):
    monkeypatch.setattr(keys_module, "BATCH_ROWS", 2)
    column = series("a", "b", "", "c\u200b", "d", "a")
    keys = make_keys([column], EXACT, duplicates="all", unreadable="drop")
    assert keys.number.tolist() == [0, 1, -1, -1, 2, 0]
    notes = "; ".join(keys.counts.notes)
    for place in ("(data row 3)", "(data row 4)", "(data rows 1 and 6)"):
        assert place in notes


@pytest.mark.parametrize("choice", ["duplicates", "blanks", "unreadable"])
def test_unknown_choices_are_refused(choice):
    with pytest.raises(ConfigError, match=f"{choice}: is 'some'; use one of: error, "):
        make_keys([series("a")], EXACT, **{choice: "some"})


def test_columns_must_fit():
    with pytest.raises(ConfigError, match="rules: rules 1, key columns 2; give one rule for each"):
        make_keys(pd.DataFrame({"a": ["x"], "b": ["y"]}), EXACT)
    with pytest.raises(ConfigError, match="rules 1, key columns 0"):
        make_keys([], EXACT)
    with pytest.raises(DataError, match=r"bureau: the key columns differ in length\."):
        make_keys([series("a"), series("a", "b")], key_rules(["a", "b"]), party="bureau")


def test_too_many_rows_are_refused(monkeypatch):
    monkeypatch.setattr(keys_module, "MAX_ROWS", 2)
    with pytest.raises(DataError, match=r"more than 2 rows\. Split the table"):
        make_keys([series("a", "b", "c")], EXACT)


def test_keys_show_no_ids():
    keys = make_keys([series(SECRET)], EXACT)
    assert SECRET not in repr(keys) + str(keys.counts) + repr(keys.counts)


def test_the_digest_is_that_of_the_keys_of_each_row():
    def digest(*values, **choices):
        return make_keys([series(*values)], TEXT, **choices).digest()

    base = digest("a", "b", "c")
    assert len(base) == 32
    assert digest("A ", "b", "c") == base
    others = [
        digest("b", "a", "c"),
        digest("a", "b"),
        digest("a", "b", "d"),
        digest("a", "bc", "c"),
        digest("a", "b", "c", "a", duplicates="first"),
        digest("a", "b", "c", "a", duplicates="last"),
        digest("a", "b", "c", "a", duplicates="all"),
    ]
    assert len({base, *others}) == 8
