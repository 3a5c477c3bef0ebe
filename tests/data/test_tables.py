import builtins

import numpy as np
import pandas as pd
import pytest

from secureboost.errors import DataError
from secureboost.tables import JoinCounts, join_tables, read_table, take_target

GOOD = "id,income,default\n007,100.5,0\n08,,1\nNA,3,0\n"


@pytest.fixture
def write(tmp_path):
    def write_file(content, name="lender.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_file


def test_ids_stay_text_and_become_the_index(write):
    frame = read_table(write(GOOD), "id")
    assert list(frame.index) == ["007", "08", "NA"]
    assert frame.index.name == "id"
    assert list(frame.columns) == ["income", "default"]
    assert frame["income"].tolist()[0] == 100.5
    assert np.isnan(frame["income"].iloc[1])


def test_several_columns_are_one_id(write, tmp_path):
    text = 'name,x,born\nAnn,1,007\n"Ann,0",2,07\n"A""n",3,07\nAnn,4,0\n'
    frame = read_table(write(text), ["name", "born"])
    assert list(frame.index) == ["Ann,007", '"Ann,0",07', '"A""n",07', "Ann,0"]
    assert (frame.index.name, list(frame.columns)) == ("name,born", ["x"])
    frame.assign(name=["a", "b", "c", "d"], born=[1, 1, 2, 2]).to_parquet(tmp_path / "l.parquet")
    again = read_table(tmp_path / "l.parquet", ["born", "name"])
    assert list(again.index) == ["1,a", "1,b", "2,c", "2,d"]
    with pytest.raises(DataError, match=r"lender.csv: the id is blank in 1 row \(data row 2\)"):
        read_table(write("a,b,x\n1,1,0\n1,,0\n"), ["a", "b"])
    twice = write("a,b,x\n1,1,0\n1,,0\n1,1,0\n")
    assert list(read_table(twice, ["a", "b"], unique_ids=False).index) == ["1,1", "1,", "1,1"]


def test_byte_order_mark_quotes_and_blank_lines_are_read(write):
    frame = read_table(write('\ufeffid,"a, b"\r\n"0""1",1\r\n\r\n2,2\r\n'), "id")
    assert list(frame.index) == ['0"1', "2"]
    assert list(frame.columns) == ["a, b"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "lender.csv: the file is empty."),
        ("\n\n", "lender.csv: the file is empty."),
        ("id,x\n", "lender.csv: the file has a header but no rows."),
        (
            "id,x,y\n1,2,3\n\n2,9",
            "lender.csv: data row 2 (line 4) has 2 fields but the header has 3. The file is "
            "damaged or was cut off: export it again.",
        ),
        ("id,x\n1,2\n2,3,4\n", "data row 2 (line 3) has 3 fields but the header has 2"),
        ('id,x\n1,"2\n3,4\n', "line 3 is not valid CSV (unexpected end of data)"),
        ("id,x,x\n1,2,3\n", "column names occur more than once: 'x'. Rename or drop the copies."),
        ("id,,x\n1,2,3\n", "column 2 has no name"),
        ("id;x\n1;2\n", "the fields are not separated by commas"),
        (
            "Id,x\n1,2\n",
            "there is no id column 'id'. Did you mean 'Id'? The columns are: Id, x.",
        ),
        ("id,x\n1,2\n ,3\n,4\n", "the id is blank in 2 rows (data rows 2 and 3)"),
        (
            "id,x\n1,2\n2,3\n1,4\n",
            "ids occur more than once in 2 rows (data rows 1 and 3). Keep one row per id.",
        ),
        (b"id,x\n1,\xff\n", "the file is not UTF-8 text. Save it as UTF-8."),
    ],
)
def test_bad_csv_is_named(write, content, message):
    with pytest.raises(DataError) as caught:
        read_table(write(content), "id")
    assert message in str(caught.value)


def test_absent_file_and_unknown_ending(write, tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.csv: there is no such file"):
        read_table(tmp_path / "nowhere.csv", "id")
    with pytest.raises(DataError, match=r"'\.xlsx'\. Use \.csv, \.parquet or \.pq"):
        read_table(write("x", "a.xlsx"), "id")


def test_parquet_reads_like_csv(tmp_path, write):
    frame = read_table(write(GOOD), "id")
    frame.reset_index().to_parquet(tmp_path / "a.parquet")
    frame.to_parquet(tmp_path / "b.pq")  # the index is kept by pandas
    for name in ("a.parquet", "b.pq"):
        pd.testing.assert_frame_equal(read_table(tmp_path / name, "id"), frame)


def test_parquet_integer_ids_become_text_and_float_ids_are_refused(tmp_path):
    pd.DataFrame({"id": [7, 8], "x": [1, 2]}).to_parquet(tmp_path / "a.parquet")
    assert list(read_table(tmp_path / "a.parquet", "id").index) == ["7", "8"]
    pd.DataFrame({"id": [7.0, 8.0], "x": [1, 2]}).to_parquet(tmp_path / "b.parquet")
    with pytest.raises(DataError, match="'id' holds floating-point numbers"):
        read_table(tmp_path / "b.parquet", "id")
    pd.DataFrame({"id": ["7", None], "x": [1, 2]}).to_parquet(tmp_path / "c.parquet")
    with pytest.raises(DataError, match=r"id is missing in 1 row \(data row 2\)"):
        read_table(tmp_path / "c.parquet", "id")


def test_damaged_parquet_is_named(tmp_path, write):
    path = tmp_path / "a.parquet"
    pd.DataFrame({"id": ["7"], "x": [1]}).to_parquet(path)
    cut = write(path.read_bytes()[:-20], "cut.parquet")
    with pytest.raises(DataError, match=r"cut\.parquet: the file is not readable Parquet"):
        read_table(cut, "id")


def test_parquet_without_pyarrow_says_what_to_install(write, monkeypatch):
    real_import = builtins.__import__

    def without_pyarrow(name, *args, **kwargs):
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real_import(name, *args, **kwargs)

    path = write("x", "a.parquet")
    monkeypatch.setattr(builtins, "__import__", without_pyarrow)
    with pytest.raises(DataError, match=r"pip install 'secureboost\[parquet\]'"):
        read_table(path, "id")


def test_take_target(write):
    features, target = take_target(read_table(write(GOOD), "id"), "default")
    assert list(features.columns) == ["income"]
    assert target.tolist() == [0, 1, 0]
    with pytest.raises(DataError) as caught:
        take_target(features, "incom", "lender.csv")
    assert str(caught.value) == (
        "lender.csv: there is no target column 'incom'. Did you mean 'income'? "
        "The columns are: income."
    )


def test_join_keeps_the_label_partys_order():
    label = pd.DataFrame({"a": range(4)}, index=["d", "c", "b", "a"])
    bureau = pd.DataFrame({"b": range(3)}, index=["a", "b", "d"])
    telco = pd.DataFrame({"c": range(3)}, index=["x", "d", "a"])
    joined, partners, counts = join_tables(label, {"bureau": bureau, "telco": telco})
    assert list(joined.index) == ["d", "a"]
    assert partners["bureau"]["b"].tolist() == [2, 0]
    assert partners["telco"]["c"].tolist() == [1, 2]
    assert counts == JoinCounts(4, (("bureau", 3), ("telco", 3)), 2)
    assert str(counts) == "rows: label party 4, bureau 3, telco 3; common 2"


def test_join_without_common_rows_is_an_error_with_the_counts():
    label = pd.DataFrame({"a": [1]}, index=["01"])
    bureau = pd.DataFrame({"b": [1]}, index=["1"])
    with pytest.raises(DataError, match=r"label party 1, bureau 1; common 0.*leading zeros"):
        join_tables(label, {"bureau": bureau})
