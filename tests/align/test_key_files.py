import builtins
import datetime

import numpy as np
import pandas as pd
import pytest

from secureboost.align.key_files import iter_key_batches, read_keys
from secureboost.align.keys import make_keys
from secureboost.align.rules import key_rules
from secureboost.errors import ConfigError, DataError
from secureboost.tables import read_table

EXACT = key_rules(["id"])
SECRET = "SECRET-4711"


@pytest.fixture
def write(tmp_path):
    def write_file(content, name="lender.csv"):
        path = tmp_path / name
        if isinstance(content, pd.DataFrame):
            content.to_parquet(path)
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_file


@pytest.fixture
def customers():
    rng = np.random.default_rng(5)
    births = pd.Timestamp("1950-01-01") + pd.to_timedelta(rng.integers(0, 20_000, 250), unit="D")
    return pd.DataFrame(
        {
            "x": rng.normal(size=250),
            "birth": births.strftime("%Y-%m-%d"),
            "surname": [f"Müller, {n % 7}" if n % 50 else "" for n in range(250)],
            "no": [f"{n:06d}" for n in rng.permutation(250)],
            "y": rng.normal(size=250),
        }
    )


def joined(batches):
    return pd.concat(list(batches))


def test_csv_parquet_and_frames_give_the_same_keys(tmp_path, customers):
    columns = ["surname", "birth"]
    rules = key_rules(columns, {"surname": "text", "birth": "date"})
    customers.to_csv(tmp_path / "a.csv", index=False)
    customers.to_parquet(tmp_path / "a.parquet")
    dated = customers.assign(birth=pd.to_datetime(customers["birth"]).dt.date)
    dated.to_parquet(tmp_path / "b.pq", row_group_size=60)
    expected = make_keys(customers[columns], rules, duplicates="all")
    for name in ("a.csv", "a.parquet", "b.pq"):
        keys = read_keys(tmp_path / name, columns, rules, duplicates="all")
        assert keys.encoded == expected.encoded
        assert keys.number.tolist() == expected.number.tolist()
        assert keys.counts == expected.counts


@pytest.mark.parametrize("batch_rows", [1, 60, 250, 1000])
def test_batches_hold_the_columns_asked_for_and_their_positions(tmp_path, customers, batch_rows):
    customers.to_csv(tmp_path / "a.csv", index=False)
    customers.to_parquet(tmp_path / "a.parquet", row_group_size=100)
    for name in ("a.csv", "a.parquet"):
        batches = list(iter_key_batches(tmp_path / name, ["no", "birth"], batch_rows))
        assert all(len(batch) <= batch_rows for batch in batches)
        assert all(list(batch.columns) == ["no", "birth"] for batch in batches)
        table = joined(batches)
        assert table.index.tolist() == list(range(250))
        for column in ("no", "birth"):
            assert table[column].tolist() == customers[column].tolist()


def test_ids_are_those_that_the_table_is_read_with(write):
    path = write('\ufeffid,"a, b"\r\n"0""1",1\r\n\r\n007,2\r\nNA,\r\n')
    keys = read_keys(path, ["id"], EXACT)
    ids = read_table(path, "id").index
    assert keys.encoded == make_keys([pd.Series(ids)], EXACT).encoded
    assert [key[4:] for key in keys.encoded] == [b'0"1', b"007", b"NA"]


def test_blanks_duplicates_and_what_cannot_be_read_are_settled_as_in_memory(write):
    path = write("id,x\na@b,1\nA@b,2\n,3\nab,4\nN/A,5\n")
    rules = key_rules(["id"], {"id": "email"})
    keys = read_keys(path, ["id"], rules, duplicates="last", unreadable="drop")
    assert keys.number.tolist() == [-1, 0, -1, -1, -1]
    assert (keys.counts.blank, keys.counts.unreadable, keys.counts.repeated) == (2, 1, 1)
    with pytest.raises(DataError, match=r"lender\.csv: column 'id' is blank in 2 rows"):
        read_keys(path, ["id"], rules, blanks="error")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "lender.csv: the file is empty."),
        ("\n\n", "lender.csv: the file is empty."),
        ("id,x\n", "lender.csv: the file has a header but no rows."),
        (
            f"id,x\n{SECRET},2\n\n{SECRET}\n",
            "lender.csv: data row 2 (line 4) has 1 fields but the header has 2. The file is "
            "damaged or was cut off: export it again.",
        ),
        ('id,x\n1,"2\n', "lender.csv: line 2 is not valid CSV (unexpected end of data)"),
        ("id,x,x\n1,2,3\n", "column names occur more than once: 'x'"),
        ("id;x\n1;2\n", "the fields are not separated by commas"),
        ("Id,x\n1,2\n", "there is no key column 'id'. Did you mean 'Id'? The columns are: Id, x."),
        (b"id,x\n1,2\n\xff,3\n", "the file is not UTF-8 text. Save it as UTF-8."),
        (b"id,x\n1,2\n2,\xff\n", "the file is not UTF-8 text. Save it as UTF-8."),
    ],
)
def test_bad_csv_is_named(write, content, message):
    with pytest.raises(DataError) as caught:
        read_keys(write(content), ["id"], EXACT)
    assert message in str(caught.value)
    assert SECRET not in str(caught.value)


def test_absent_files_and_columns_are_named_at_once(write, tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.csv: there is no such file"):
        iter_key_batches(tmp_path / "nowhere.csv", ["id"])
    with pytest.raises(DataError, match=r"'\.xlsx'\. Use \.csv, \.parquet or \.pq"):
        iter_key_batches(write("x", "a.xlsx"), ["id"])
    for columns in ([], ["id", "id"]):
        with pytest.raises(ConfigError, match="id: name one key column or more, each once"):
            iter_key_batches(write("id,x\n1,2\n"), columns)
    with pytest.raises(DataError, match=r"a\.pq: there is no key column 'no'"):
        list(iter_key_batches(write(pd.DataFrame({"id": ["a"]}), "a.pq"), ["id", "no"]))


def test_integers_of_parquet_stay_integers_where_some_are_missing(write):
    path = write(pd.DataFrame({"id": pd.array([2**62 + 1, None], dtype="Int64")}), "a.pq")
    keys = read_keys(path, ["id"], EXACT)
    assert keys.encoded[0][4:] == str(2**62 + 1).encode()
    assert keys.number.tolist() == [0, -1]


def test_an_index_and_categories_of_parquet_are_columns(write):
    frame = pd.DataFrame({"kind": pd.Categorical(["a", "b"]), "x": 1}, index=["u", "v"])
    path = write(frame.rename_axis("id"), "a.pq")
    keys = read_keys(path, ["id", "kind"], key_rules(["id", "kind"]))
    assert keys.encoded == [b"\0\0\0\1u\0\0\0\1a", b"\0\0\0\1v\0\0\0\1b"]


def test_other_columns_keep_their_types(write):
    times = pd.to_datetime(["2023-07-01 12:00", None])
    path = write(pd.DataFrame({"id": ["a", "b"], "seen": times}), "a.pq")
    batch = joined(iter_key_batches(path, ["id", "seen"]))
    assert batch["seen"].iloc[0] == datetime.datetime(2023, 7, 1, 12)
    assert batch["seen"].isna().tolist() == [False, True]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([4711.0], "a.pq: column 'id' holds numbers, and the rule 'exact' reads integers or text"),
        ([SECRET.encode()], "a.pq: column 'id' holds values of other types or of several"),
        ([[SECRET]], "a.pq: column 'id' holds values of other types or of several"),
        ([{"a": SECRET}], "a.pq: column 'id' holds values of other types or of several"),
        ([datetime.date(2000, 1, 1)], "a.pq: column 'id' holds dates"),
        ([], "a.pq: the file has a header but no rows."),
    ],
)
def test_other_types_of_parquet_are_named(write, values, message):
    path = write(pd.DataFrame({"id": values}), "a.pq")
    with pytest.raises(DataError) as caught:
        read_keys(path, ["id"], EXACT)
    assert message in str(caught.value)
    assert SECRET not in str(caught.value)


def test_damaged_parquet_is_named(write, tmp_path):
    whole = write(pd.DataFrame({"id": [f"{n:06d}" for n in range(5000)]}), "a.pq").read_bytes()
    with pytest.raises(DataError, match=r"cut\.pq: the file is not readable Parquet"):
        read_keys(write(whole[:-20], "cut.pq"), ["id"], EXACT)
    with pytest.raises(DataError, match=r"odd\.pq: "):
        read_keys(write(whole[:100] + bytes(2000) + whole[2100:], "odd.pq"), ["id"], EXACT)


def test_parquet_text_that_is_not_utf8_is_named(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    data = pyarrow.array([b"a", b"\xff"]).view(pyarrow.string())
    parquet.write_table(pyarrow.table({"id": data}), tmp_path / "a.pq")
    with pytest.raises(DataError, match=r"a\.pq: a key column holds text that is not UTF-8"):
        read_keys(tmp_path / "a.pq", ["id"], EXACT)


def test_parquet_without_pyarrow_says_what_to_install(write, monkeypatch):
    real_import = builtins.__import__

    def without_pyarrow(name, *args, **kwargs):
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real_import(name, *args, **kwargs)

    path = write("x", "a.parquet")
    monkeypatch.setattr(builtins, "__import__", without_pyarrow)
    with pytest.raises(DataError, match=r"pip install 'secureboost\[parquet\]'"):
        read_keys(path, ["id"], EXACT)


def test_the_real_tables_have_the_common_customers_they_should(data_folder):
    lender = read_keys(data_folder / "credit_default" / "lender.csv", ["id"], EXACT)
    partner = read_keys(data_folder / "credit_default" / "partner.csv", ["id"], EXACT)
    assert len(lender.encoded) == 29_076
    assert len(partner.encoded) == 28_495
    assert len(set(lender.encoded) & set(partner.encoded)) == 27_620
