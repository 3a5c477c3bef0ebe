import time
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secureboost.category_codes import MAX_CATEGORIES, MAX_NAME_LENGTH
from secureboost.errors import DataError
from secureboost.features import feature_matrix, monotone_signs
from secureboost.tables import read_table

NAN = np.nan


def column(values, *, categorical=True, known=None, **options):
    """The codes of one column and their names."""
    frame = pd.DataFrame({"x": values}, **options)
    matrix = feature_matrix(
        frame,
        "bureau",
        categorical=["x"] if categorical else None,
        known=None if known is None else (known,),
    )
    return matrix.values[:, 0], matrix.categories[0]


def assert_codes(found, codes, names):
    assert found[1] == names
    np.testing.assert_array_equal(found[0], np.asarray(codes, dtype=np.float32))


# --- numbers


def test_numeric_kinds_become_float32():
    frame = pd.DataFrame(
        {
            "bool": [True, False, True],
            "int": [1, 2, 3],
            "float": [0.1, np.nan, -3.0],
            "bool with gaps": [True, None, False],
            "nullable": pd.array([1, None, 3], dtype="Int64"),
            "decimal": [Decimal("1.5"), None, Decimal("2")],
            "absent": [None, None, None],
            "absent text": pd.array([None, None, None], dtype="string"),
        }
    )
    matrix = feature_matrix(frame, "bureau")
    assert matrix.values.dtype == np.float32
    assert matrix.values.flags.f_contiguous
    assert matrix.categories == (None,) * 8
    assert not matrix.categorical.any()
    expected = [
        [1, 1, 0.1, 1, 1, 1.5, NAN, NAN],
        [0, 2, NAN, NAN, NAN, NAN, NAN, NAN],
        [1, 3, -3, 0, 3, 2, NAN, NAN],
    ]
    np.testing.assert_array_equal(matrix.values, np.asarray(expected, dtype=np.float32))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1j, 2], "column 'x' is complex, not numbers. Encode it as numbers or drop it"),
        (pd.to_datetime(["2020-01-01", "2021-01-01"]), "column 'x' holds dates or times"),
        (pd.period_range("2020", periods=2, freq="M"), "column 'x' holds dates or times"),
        (pd.Categorical(pd.to_datetime(["2020-01-01", "2021-01-01"])), "'x' holds dates or times"),
        (
            [1.0, -np.inf],
            "column 'x' is infinite or beyond the range of 32-bit floats (about 3.4e38) in 1 row "
            "(data row 2)",
        ),
        ([1e39, 1e39], "in 2 rows (data rows 1 and 2). Clip such values or leave them empty."),
        ([True, 7], "column 'x' mixes kinds of values, or holds others than numbers and text."),
        ([[7], [8]], "column 'x' mixes kinds of values, or holds others than numbers and text."),
        ([b"red", b"red"], "mixes kinds of values, or holds others than numbers and text. Write"),
        (["red", 0.7], "'x' holds neither text nor whole numbers in 1 row (data row 2). Write cat"),
        (["red", [7]], "'x' holds neither text nor whole numbers in 1 row (data row 2). Write cat"),
        (
            pd.Series(["red\ud800", "red"], dtype=object),
            "column 'x' has a category that is not valid Unicode",
        ),
    ],
)
def test_bad_columns_are_named_without_their_values(values, message):
    with pytest.raises(DataError) as caught:
        feature_matrix(pd.DataFrame({"a": [1, 2], "x": values}), "bureau")
    assert str(caught.value).startswith("bureau: ")
    assert message in str(caught.value)
    assert "red" not in str(caught.value)
    assert "7" not in str(caught.value)


def test_many_positions_are_cut_short():
    with pytest.raises(DataError, match=r"1,000 rows \(first at data rows 1, 2, 3, 4, 5\)"):
        feature_matrix(pd.DataFrame({"x": np.full(1000, np.inf)}), "")


def test_shape_of_the_table():
    with pytest.raises(DataError, match="label party: the table has no rows"):
        feature_matrix(pd.DataFrame({"x": []}), "")
    with pytest.raises(DataError, match="bureau: no feature column is left"):
        feature_matrix(pd.DataFrame(index=[1, 2]), "bureau")
    twice = pd.DataFrame([[1, 2]], columns=["x", "x"])
    with pytest.raises(DataError, match="names occur more than once: 'x'"):
        feature_matrix(twice, "bureau")


# --- categories


@pytest.mark.parametrize(
    ("values", "codes", "names"),
    [
        (["red", "blue", "red"], [1, 0, 1], ("blue", "red")),
        (["red", None, "", " \t", NAN], [0, NAN, NAN, NAN, NAN], ("red",)),
        (pd.array(["b", None, "a"], dtype="string"), [1, NAN, 0], ("a", "b")),
        (["red", 3, True, 3.0, "3", None], [2, 0, 1, 0, 0, NAN], ("3", "True", "red")),
        (["Red", "red", " red"], [1, 2, 0], (" red", "Red", "red")),
        (pd.Categorical(["b", None, "a"], ["c", "b", "a"]), [1, NAN, 0], ("a", "b")),
        (pd.Categorical(["b", "a"], ["b", "a"], ordered=True), [1, 0], ("a", "b")),
        (pd.Categorical([10, 9, 10]), [0, 1, 0], ("10", "9")),
        (pd.Categorical([1.0, 0.5, NAN]), [1, 0, NAN], ("0.5", "1")),
        (pd.Categorical([True, False]), [1, 0], ("False", "True")),
        (pd.Categorical([2, "2", " "]), [0, 0, NAN], ("2",)),
        (pd.cut([1.0, 5.0], [0, 2, 8]), [0, 1], ("(0, 2]", "(2, 8]")),
        (pd.Categorical([None, None], ["a"]), [NAN, NAN], ()),
    ],
)
def test_text_and_pandas_categories_need_no_declaration(values, codes, names):
    assert_codes(column(values, categorical=False), codes, names)
    assert_codes(column(values), codes, names)


@pytest.mark.parametrize(
    ("values", "codes", "names"),
    [
        ([2, 10, 2], [1, 0, 1], ("10", "2")),
        ([2.0, NAN, -0.0], [1, NAN, 0], ("0", "2")),
        (np.asarray([2, 0], dtype=np.float32), [1, 0], ("0", "2")),
        ([True, False], [1, 0], ("False", "True")),
        ([True, None], [0, NAN], ("True",)),
        ([True, 1], [1, 0], ("1", "True")),
        (pd.array([3, None], dtype="Int64"), [0, NAN], ("3",)),
        (pd.array([3.0, None], dtype="Float64"), [0, NAN], ("3",)),
        (pd.array([True, None], dtype="boolean"), [0, NAN], ("True",)),
        ([2**53, 2**53 + 1], [0, 1], ("9007199254740992", "9007199254740993")),
        ([2**70, None], [0, NAN], ("1180591620717411303424",)),
        ([Decimal("2.0"), Decimal("NaN")], [0, NAN], ("2",)),
        ([Fraction(4, 2), "a"], [0, 1], ("2", "a")),
        ([None, NAN], [NAN, NAN], ()),
    ],
)
def test_whole_numbers_and_booleans_are_categories_where_declared(values, codes, names):
    assert_codes(column(values), codes, names)


def test_a_matrix_says_which_columns_are_categories():
    frame = pd.DataFrame({"n": [1, 2], "t": ["b", "a"], "d": [7, 7], 4: [0, 1]})
    matrix = feature_matrix(frame, "", categorical=["d", 4])
    assert matrix.categories == (None, ("a", "b"), ("7",), ("0", "1"))
    assert matrix.categorical.tolist() == [False, True, True, True]
    assert matrix.values.tolist() == [[1, 1, 0, 0], [2, 0, 0, 1]]
    assert matrix.values.flags.f_contiguous


cells = st.one_of(st.none(), st.text(max_size=5), st.integers(-3, 3), st.booleans())


@settings(deadline=None)
@given(st.lists(cells, min_size=1, max_size=40))
def test_codes_lead_back_to_names(values):
    codes, names = column(pd.Series(values, dtype=object))
    assert list(names) == sorted(set(names))
    for value, code in zip(values, codes, strict=True):
        if value is None or (isinstance(value, str) and not value.strip()):
            assert np.isnan(code)
        else:
            assert names[int(code)] == str(value)


@settings(deadline=None)
@given(st.lists(st.text(max_size=3), min_size=1, max_size=40), st.data())
def test_the_way_of_storage_and_the_order_of_rows_change_nothing(values, data):
    found = column(pd.Series(values, dtype=object), categorical=False)
    for dtype in ("string", "category"):
        assert_codes(column(pd.Series(values).astype(dtype), categorical=False), *found)
    order = data.draw(st.permutations(range(len(values))))
    shuffled = column(pd.Series([values[i] for i in order], dtype=object), categorical=False)
    assert_codes(shuffled, found[0][order], found[1])


def test_a_csv_gives_the_same_names_whatever_its_gaps(tmp_path):
    path = tmp_path / "bureau.csv"
    path.write_text("id,branch,job\na,1,clerk\nb,2,\nc,1,NA\n")
    full = feature_matrix(read_table(path, "id"), "bureau", categorical=["branch"])
    path.write_text("id,branch,job\na,1,clerk\nb,,\nc,1,NA\n")
    gap = feature_matrix(read_table(path, "id"), "bureau", categorical=["branch"])
    assert full.categories == (("1", "2"), ("clerk",))
    assert gap.categories == (("1",), ("clerk",))
    np.testing.assert_array_equal(gap.values, [[0, 0], [NAN, NAN], [0, NAN]])


@pytest.mark.parametrize(
    ("categorical", "message"),
    [
        (["jop"], "bureau: categorical names 'jop', which the table does not have. Did you mean"),
        (["jop"], "'job'?"),
        ("job", "bureau: categorical='job' is one text; give a list of column names."),
    ],
)
def test_declarations_that_name_no_column(categorical, message):
    with pytest.raises(DataError) as caught:
        feature_matrix(pd.DataFrame({"job": ["a"]}), "bureau", categorical=categorical)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.0, 0.7, 0.7], "holds neither text nor whole numbers in 2 rows (data rows 2 and 3)."),
        ([1.0, 0.7, 0.7], "a column of other numbers cannot be categorical."),
        ([np.inf, 1, 2], "holds neither text nor whole numbers in 1 row (data row 1)."),
        (pd.to_datetime(["2020-01-07"] * 3), "holds dates or times."),
        ([1j, 2j, 7j], "holds neither text nor whole numbers in 3 rows"),
        ([Decimal("0.7"), None, 1], "holds neither text nor whole numbers in 1 row (data row 1)."),
        ([True, 0.7, "a"], "holds neither text nor whole numbers in 1 row (data row 2)."),
    ],
)
def test_columns_that_cannot_be_categories(values, message):
    with pytest.raises(DataError) as caught:
        column(values)
    assert str(caught.value).startswith("bureau: column 'x' holds ")
    assert message in str(caught.value)
    assert "7" not in str(caught.value)


def test_ids_and_free_text_are_refused():
    ids = [f"c{i}" for i in range(MAX_CATEGORIES + 1)]
    message = "column 'x' has 65,537 different values, and a column of categories at most 65,536. "
    with pytest.raises(DataError, match=message + "It looks like an id: drop it"):
        column(ids)
    with pytest.raises(DataError, match="has 65,537 different values"):
        column(np.arange(len(ids)))
    assert len(column(ids[:-1])[1]) == MAX_CATEGORIES

    assert column(["y" * MAX_NAME_LENGTH])[1] == ("y" * 200,)
    with pytest.raises(DataError) as caught:
        column(["y" * (MAX_NAME_LENGTH + 1)])
    assert "has a category of more than 200 characters. It looks like an id or" in str(caught.value)
    assert "yyy" not in str(caught.value)


# --- categories of a model


@pytest.mark.parametrize(
    ("values", "known", "codes"),
    [
        (["a", "new", None, "b"], ("b", "a"), [1, NAN, NAN, 0]),
        (pd.Categorical(["a", "new"]), ("b", "a"), [1, NAN]),
        ([3, 5], ("5", "3"), [1, 0]),
        ([3.0, NAN], ("5", "3"), [1, NAN]),
        (["3", "x"], ("5", "3"), [1, NAN]),
        ([7, 8], ("5", "3", "x"), [NAN, NAN]),
        ([True, None], ("True", "False"), [0, NAN]),
        ([True, 3], ("3", "True"), [1, 0]),
        ([NAN, NAN], ("b", "a"), [NAN, NAN]),
        ([None, None], ("b", "a"), [NAN, NAN]),
        ([3, 4], (), [NAN, NAN]),
        (["y" * 300, "a"], ("b", "a"), [NAN, 1]),
        ([1, NAN], None, [1, NAN]),
        ([True, False], None, [1, 0]),
        (pd.Categorical([None], ["a"]), None, [NAN]),
    ],
)
def test_a_model_keeps_its_codes(values, known, codes):
    frame = pd.DataFrame({"x": values})
    matrix = feature_matrix(frame, "", known=(known,))
    assert matrix.categories == (known,)
    np.testing.assert_array_equal(matrix.values[:, 0], np.asarray(codes, dtype=np.float32))


@settings(deadline=None)
@given(st.lists(cells, min_size=1, max_size=30), st.lists(cells, min_size=1, max_size=30))
def test_a_known_name_has_the_same_code_in_every_table(first, second):
    _, names = column(pd.Series(first, dtype=object))
    kinds = {type(value) for value in second if value is not None}
    if str not in kinds and len(kinds) == 1:
        second = [*second, "some text"]  # else numbers may meet a model of text
    codes, after = column(pd.Series(second, dtype=object), known=names)
    assert after == names
    for value, code in zip(second, codes, strict=True):
        known = str(value) in names and value is not None
        assert (names[int(code)] == str(value)) if known else np.isnan(code)


@pytest.mark.parametrize(
    ("values", "known", "message"),
    [
        (["red", "7"], None, "column 'x' holds text or categories, and the model was trained with"),
        (["red", "7"], None, "trained with numbers there. Give the values that the model was"),
        (pd.Categorical([1, 2]), None, "column 'x' holds text or categories"),
        ([7, 8], ("red", "blue"), "column 'x' holds numbers or booleans, and the categories in it"),
        ([1.0, 0.0], ("True", "False"), "trained with are of another kind. Write the values as in"),
        ([True, False], ("0", "1"), "column 'x' holds numbers or booleans"),
        ([0.7, 1], ("0", "1"), "column 'x' holds neither text nor whole numbers in 1 row"),
        (pd.to_datetime(["2020-07-01"] * 2), ("0", "1"), "column 'x' holds dates or times"),
    ],
)
def test_a_column_that_changed_its_kind(values, known, message):
    with pytest.raises(DataError) as caught:
        feature_matrix(pd.DataFrame({"a": ["p", "q"], "x": values}), "", known=(("p",), known))
    assert str(caught.value).startswith("label party: column 'x' ")
    assert message in str(caught.value)
    for value in ("red", "7", "blue"):
        assert value not in str(caught.value)


def test_all_columns_that_changed_are_named_at_once():
    frame = pd.DataFrame({"a": ["p"], "b": [1], "c": ["q"]})
    with pytest.raises(DataError, match="columns 'a', 'c' hold text or categories"):
        feature_matrix(frame, "", known=(None, None, None))
    with pytest.raises(DataError, match="columns 'b', 'c' hold text or categories"):
        feature_matrix(frame, "", categorical=["b"], known=(("p",), None, None))
    with pytest.raises(DataError, match="the table has 3 columns and the model was trained with 2"):
        feature_matrix(frame, "", known=(None, None))


def test_a_million_cells_of_text_are_quick():
    rng = np.random.default_rng(0)
    words = np.asarray([f"category {i}" for i in range(200)], dtype=object)
    frame = pd.DataFrame({f"c{i}": words[rng.integers(0, 200, 100_000)] for i in range(10)})
    start = time.process_time()
    feature_matrix(frame, "bureau")
    assert time.process_time() - start < 5


# --- declared directions


def test_monotone_signs_are_by_column():
    signs = monotone_signs(
        {"c": -1, "a": np.int64(1), "t": 0}, ["a", "t", "b", "c"], (None, ("x",), None, None), ""
    )
    assert signs.dtype == np.int8
    assert signs.tolist() == [1, 0, 0, -1]
    assert monotone_signs(None, ["a"], (None,), "").tolist() == [0]


@pytest.mark.parametrize(
    ("monotone", "message"),
    [
        ({"incom": 1}, "monotone names 'incom', which the table does not have. Did you mean 'inco"),
        ({"income": 2}, "monotone has 2 for column 'income'; it must be 1 (rises), -1 (falls) or"),
        ({"income": True}, "monotone has True for column 'income'"),
        ({"income": "up"}, "monotone has 'up' for column 'income'"),
        (
            {"job": 1},
            "column 'job' is of categories, and the output cannot be monotone with respect to "
            "categorical features. Remove it from monotone.",
        ),
        ([1, 0], "monotone must map column names to 1, -1 or 0."),
    ],
)
def test_monotone_signs_that_cannot_be(monotone, message):
    with pytest.raises(DataError) as caught:
        monotone_signs(monotone, ["income", "job"], (None, ("a",)), "bureau")
    assert f"bureau: {message}" in str(caught.value)
