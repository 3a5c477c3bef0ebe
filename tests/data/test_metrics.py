import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secureboost.errors import DataError
from secureboost.metrics import auc, evaluate, gini, ks


def naive_ks(y, p, w):
    gaps = [
        abs(w[(y == 1) & (p <= cut)].sum() / w[y == 1].sum()
            - w[(y == 0) & (p <= cut)].sum() / w[y == 0].sum())
        for cut in np.unique(p)
    ]  # fmt: skip
    return max(gaps)


def naive_auc(y, p, w):
    ones, zeros = np.flatnonzero(y == 1), np.flatnonzero(y == 0)
    won = sum(
        w[i] * w[j] * (1.0 if p[i] > p[j] else 0.5 if p[i] == p[j] else 0.0)
        for i in ones
        for j in zeros
    )
    return won / (w[ones].sum() * w[zeros].sum())


@given(
    st.lists(
        st.tuples(st.booleans(), st.integers(0, 5), st.integers(1, 3)), min_size=2, max_size=40
    ).filter(lambda rows: len({row[0] for row in rows}) == 2)
)
def test_ties_and_weights_agree_with_the_definitions(rows):
    y, p, w = (np.asarray(column) for column in zip(*rows, strict=True))
    p = p / 5
    metrics = evaluate(y, p, w)
    assert metrics.ks == pytest.approx(naive_ks(y, p, w))
    assert metrics.auc == pytest.approx(naive_auc(y, p, w))
    assert metrics.gini == 2 * metrics.auc - 1
    assert metrics.brier == pytest.approx(np.average((p - y) ** 2, weights=w))
    assert metrics.rows == len(rows)


def test_constant_scores_rank_nothing():
    y, p = [0, 1, 0, 1], [0.5] * 4
    assert ks(y, p) == 0.0
    assert auc(y, p) == 0.5
    assert gini(y, p) == 0.0
    assert evaluate(y, p).log_loss == pytest.approx(np.log(2))


def test_perfect_scores():
    metrics = evaluate([0, 0, 1], [0.0, 0.0, 1.0])
    assert (metrics.auc, metrics.ks, metrics.gini, metrics.brier) == (1, 1, 1, 0)
    assert metrics.log_loss == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("y", "p", "weight", "message"),
    [
        ([1, 1], [0.1, 0.2], None, "metrics need both classes; the 2 rows that count are all of"),
        ([0, 1], [0.1, 0.2], [1, 0], "the 1 rows that count"),
        ([], [], None, "metrics need rows; y is empty"),
        ([0, 1], [0.1], None, "y has shape (2,) and p has shape (1,)"),
        ([0, 2], [0.1, 0.2], None, "y is neither 0 nor 1 in 1 rows, first at row 2"),
        ([0, 1], [0.1, 1.2], None, "p is outside [0, 1] in 1 rows, first at row 2"),
        ([0, 1], [np.nan, 0.2], None, "p is outside [0, 1] in 1 rows, first at row 1"),
        ([0, 1], [0.1, 0.2], [1], "weight has shape (1,) but y has (2,)"),
        ([0, 1], [0.1, 0.2], [1, -1], "weight is negative, infinite or missing in 1 rows"),
    ],
)
def test_bad_input(y, p, weight, message):
    with pytest.raises(DataError) as caught:
        evaluate(y, p, weight)
    assert message in str(caught.value)
