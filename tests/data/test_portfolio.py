import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from secureboost import portfolio
from secureboost.data import check_ids
from secureboost.errors import ConfigError
from secureboost.features import feature_matrix
from secureboost.metrics import auc
from secureboost.portfolio import make_portfolio, make_raw_portfolio


@pytest.fixture(scope="module")
def tables():
    return make_portfolio()


def test_same_seed_same_tables(tables):
    again = make_portfolio()
    pd.testing.assert_frame_equal(again.lender, tables.lender)
    pd.testing.assert_frame_equal(again.bureau, tables.bureau)
    assert not make_portfolio(seed=3).lender["income"].equals(tables.lender["income"])


def test_both_tables_have_the_same_customers_in_one_order(tables):
    assert len(tables.lender) == 10_000
    assert tables.lender.index.equals(tables.bureau.index)
    assert tables.lender.index.name == "id"
    check_ids(tables.lender.index, "lender")
    assert any(row_id.startswith("0") for row_id in tables.lender.index)


def test_raw_tables_share_these_customers_among_strangers(tables):
    raw = make_raw_portfolio()
    assert (len(raw.lender), len(raw.bureau)) == (10_600, 11_400)
    for table in (raw.lender, raw.bureau):
        check_ids(table.index, "raw")
    common = raw.lender.index[raw.lender.index.isin(raw.bureau.index)]
    pd.testing.assert_frame_equal(raw.lender.loc[common], tables.lender)
    pd.testing.assert_frame_equal(raw.bureau.loc[common], tables.bureau)
    places = raw.bureau.index.get_indexer(common)
    assert abs(np.corrcoef(places, np.arange(len(places)))[0, 1]) < 0.05
    assert 8_000 < raw.lender.index.isin(common)[:9_000].sum() < 9_000
    again = make_raw_portfolio()
    assert raw.lender.equals(again.lender)
    assert raw.bureau.equals(again.bureau)


def test_every_column_is_documented_and_numeric(tables):
    for name, table in (("lender", tables.lender), ("bureau", tables.bureau)):
        feature_matrix(table, name)
        for column in table.columns:
            assert f"\n{column} " in portfolio.__doc__


def test_missing_values_have_their_meaning(tables):
    bureau = tables.bureau
    never = bureau["delinquencies"] == 0
    assert bureau["months_since_delinquency"].isna().equals(never)
    assert 0.02 < tables.lender["income"].isna().mean() < 0.07
    assert set(tables.lender["employment"]) == {0, 1, 2, 3, 4}


def test_signal_lies_on_both_sides(tables):
    y = tables.lender["default"].to_numpy()
    assert 0.13 < y.mean() < 0.17
    lender = tables.lender.drop(columns="default")
    train, test = np.arange(7_000), np.arange(7_000, 10_000)

    def area(features):
        model = HistGradientBoostingClassifier(max_iter=40, learning_rate=0.1, max_depth=4)
        model.fit(features.iloc[train], y[train])
        return auc(y[test], model.predict_proba(features.iloc[test])[:, 1])

    alone, bureau, pooled = area(lender), area(tables.bureau), area(lender.join(tables.bureau))
    assert 0.68 < alone < 0.77
    assert pooled > alone + 0.04
    assert pooled > bureau + 0.01


@pytest.mark.parametrize(
    ("n_rows", "seed", "message"),
    [(99, 1, "n_rows: is 99; it must be 100 to 10,000,000"), (100, -1, "seed: is -1; it must not")],
)
def test_limits(n_rows, seed, message):
    with pytest.raises(ConfigError, match=message):
        make_portfolio(n_rows, seed)
    with pytest.raises(ConfigError):
        make_raw_portfolio(n_rows, seed)
