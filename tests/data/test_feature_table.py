import copy
import pickle

import numpy as np
import pandas as pd
import pytest

from secureboost.dictionary import is_categorical, map_codes
from secureboost.errors import DataError
from secureboost.gbdt.feature_table import FeatureTable
from secureboost.party import FeatureParty, feature_table

TABLE = pd.DataFrame(
    {
        "income": [1.0, np.nan, 3.0],
        "job": ["clerk", "driver", None],
        "branch": [7, 7, 12],
    },
    index=["a", "b", "c"],
)


def test_a_table_carries_its_categories_and_signs():
    table = feature_table("bureau", TABLE, categorical=["branch"], monotone={"income": -1})
    assert table.feature_names == ("income", "job", "branch")
    assert table.categories == (None, ("clerk", "driver"), ("12", "7"))
    assert table.categorical.tolist() == [False, True, True]
    assert table.monotone.tolist() == [-1, 0, 0]
    assert table.columns.dtype == np.float32
    assert table.columns.flags.c_contiguous
    np.testing.assert_array_equal(table.columns, [[1, np.nan, 3], [0, 1, np.nan], [1, 1, 0]])


def test_by_default_all_columns_are_numbers():
    table = FeatureTable("bureau", ["a"], ("x", "y"), np.zeros((2, 1), dtype=np.float32))
    assert table.categories == (None, None)
    assert table.categorical.tolist() == [False, False]
    assert table.monotone.tolist() == [0, 0]
    assert table.monotone.dtype == np.int8


def test_a_party_says_what_is_wrong_with_its_declarations():
    with pytest.raises(DataError, match=r"bureau: categorical names 'jobb'.* Did you mean 'job'\?"):
        FeatureParty("bureau", TABLE, categorical=["jobb"])
    with pytest.raises(DataError, match=r"bureau: monotone names 'Income'.* mean 'income'\?"):
        FeatureParty("bureau", TABLE, monotone={"Income": 1})
    with pytest.raises(DataError, match="'branch' is of categories, and the output cannot be mono"):
        FeatureParty("bureau", TABLE, categorical=["branch"], monotone={"branch": 1})
    FeatureParty("bureau", TABLE, monotone={"branch": 1})  # a column of numbers


def pickled(party):
    return pickle.loads(pickle.dumps(party))  # noqa: S301


@pytest.mark.parametrize("clone", [copy.deepcopy, pickled])
def test_copies_of_a_party_keep_what_it_declared(clone):
    party = clone(FeatureParty("bureau", TABLE, categorical=["branch"], monotone={"income": 1}))
    assert repr(party) == "FeatureParty('bureau', 3 rows, 3 columns)"
    assert party._table.categories == (None, ("clerk", "driver"), ("12", "7"))
    assert party._table.monotone.tolist() == [1, 0, 0]


def test_codes_of_a_table_become_those_of_a_model():
    table = (None, ("a", "b", "c"), (), ("x",))
    lookups = map_codes(table, (None, ("c", "a"), ("p",), ()))
    assert lookups[0] is None
    assert [lookup.tolist() for lookup in lookups[1:]] == [[1, -1, 0], [], [-1]]
    assert lookups[1].dtype == np.int32
    assert is_categorical(table).tolist() == [False, True, True, True]


def test_columns_of_another_kind_are_named_by_position_alone():
    with pytest.raises(DataError, match=r"column 2 holds numbers, .* Name it in categorical"):
        map_codes((None, None), (None, ("secret",)))
    with pytest.raises(
        DataError, match=r"column 1 holds categories, .* with numbers in it"
    ) as caught:
        map_codes((("secret",), None), (None, None))
    assert "secret" not in str(caught.value)
    with pytest.raises(ValueError, match="shorter"):
        map_codes((None, None), (None,))


def test_an_empty_column_fits_every_kind():
    assert map_codes((None, ()), (("a",), None), empty=np.array([True, True])) == [None, None]
