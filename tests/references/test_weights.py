"""Whole-numbered weights against rows that are repeated so often.

Columns have fewer distinct values than bins, so edges are the same. The sums of gradients are the
same but for their rounding, whose effect is bounded: integers of 30 bits relative to the largest
gradient are off by at most ``largest * 2**-30`` a row (half a unit; the power of two above the
largest gradient is less than twice it). Let e be the largest difference between the two models'
raw scores so far, S the weights of a leaf's rows, G and H its sums and w = -G / (H + lambda) its
value. A gradient moves by at most ``a e`` for each unit of weight, a hessian by ``b e`` (the bounds
of the second and third derivative of the loss), so the two models' G differ by at most
``S (a e + u)`` and their H by ``S (b e + u)``, where u adds up the two roundings, a row of weight 1
or more each. Hence for a learning rate r the difference after the tree is at most

    e + r S (a e + u + |w| (b e + u)) / (H + lambda)  <=  e + r (a e + u + |w| (b e + u)) / c

where every row of weight 1 has a hessian of at least c. (As long as the trees are the same, which
is asserted: a tie could be broken by the rounding.)
"""

import numpy as np
import pandas as pd
import pytest
from support.tables import random_table

from secureboost import SecureBoostClassifier, SecureBoostRegressor, joined_trees

LARGEST_WEIGHT = 4
RATE, ROUNDS = 0.2, 5
PARAMETERS = {"n_estimators": ROUNDS, "max_depth": 3, "learning_rate": RATE, "n_jobs": 1}


def bound(a, b, c, largest_gradient, largest_hessian, largest_value):
    """The largest difference of raw scores after all rounds; see above."""
    # weighted gradients are up to LARGEST_WEIGHT times larger, and so is their rounding
    u = (LARGEST_WEIGHT + 1) * 2.0**-30 * max(largest_gradient, largest_hessian)
    e = 16 * np.finfo(np.float64).eps  # the two means of the labels
    for _ in range(ROUNDS):
        e += RATE * (a * e + u + largest_value * (b * e + u)) / c
    return e


def twins(make, X, y, weight):
    """A model of weighted rows and one of repeated rows; their trees are compared."""
    repeated = np.repeat(np.arange(len(y)), weight)
    weighted = make().fit(X, y, sample_weight=weight)
    plain = make().fit(X[repeated], y[repeated])
    for tree, other in zip(
        joined_trees(weighted.label_half_), joined_trees(plain.label_half_), strict=True
    ):
        for field in ("column", "bin", "threshold", "missing_left", "left", "right"):
            assert tree[field].tolist() == other[field].tolist()
    values = [tree["value"] for tree in joined_trees(plain.label_half_)]
    return weighted, plain, max(np.abs(value).max() for value in values) / RATE


@pytest.mark.parametrize("seed", range(5))
def test_squared_error(seed):
    table = random_table(seed, 300, ("few", "few", "few"), missing=0.1)
    rng = np.random.default_rng(seed)
    y = np.nan_to_num(table.X) @ rng.normal(size=3) + rng.normal(size=300)
    weight = rng.integers(1, LARGEST_WEIGHT + 1, 300)
    weighted, plain, largest_value = twins(
        lambda: SecureBoostRegressor(**PARAMETERS), table.X, y, weight
    )
    largest_gradient = np.abs(y - y.mean()).max() * 2  # no score is further off than the mean
    limit = bound(1.0, 0.0, 1.0, largest_gradient, 1.0, largest_value)
    assert limit < 2e-6
    assert np.abs(weighted.predict(table.X) - plain.predict(table.X)).max() <= limit


@pytest.mark.parametrize("seed", range(5))
def test_logistic_loss(seed):
    table = random_table(seed, 300, ("few", "few", "few"), missing=0.1)
    rng = np.random.default_rng(seed)
    signal = np.nan_to_num(table.X) @ rng.normal(size=3)
    y = signal + rng.normal(size=300) > signal.mean()
    weight = rng.integers(1, LARGEST_WEIGHT + 1, 300)
    weighted, plain, largest_value = twins(
        lambda: SecureBoostClassifier(**PARAMETERS), table.X, y, weight
    )
    least = min(
        (p * (1 - p)).min()
        for rounds in range(1, ROUNDS + 1)
        for p in [plain.predict_proba(table.X, iteration_range=(0, rounds))]
    )
    # |s''| <= 1/4 and |s'''| <= 1 / (6 sqrt 3) < 0.1 of the logistic function s
    limit = bound(0.25, 0.1, 0.99 * least, 1.0, 0.25, largest_value)
    assert limit < 2e-6
    difference = weighted.decision_function(table.X) - plain.decision_function(table.X)
    assert np.abs(difference).max() <= limit


def test_scores_of_all_weights_times_a_power_of_two_are_the_same():
    """Scaling by a power of two is exact, so nothing at all may change without penalties."""
    table = random_table(1, 200, ("continuous", "few"))
    parameters = PARAMETERS | {"reg_lambda": 0.0, "min_child_weight": 0.0}
    one, eight = (
        SecureBoostClassifier(**parameters).fit(table.X, table.y, sample_weight=weight)
        for weight in (np.ones(200), np.full(200, 8.0))
    )
    assert np.array_equal(one.decision_function(table.X), eight.decision_function(table.X))


def test_class_weights_are_weights():
    table = random_table(2, 200, ("continuous", "few"))
    weight = np.where(table.y == 1, 3.0, 1.0)
    reference = SecureBoostClassifier(**PARAMETERS).fit(table.X, table.y, sample_weight=weight)
    for parameters in ({"scale_pos_weight": 3.0}, {"class_weight": {0: 1.0, 1: 3.0}}):
        model = SecureBoostClassifier(**PARAMETERS, **parameters).fit(table.X, table.y)
        assert np.array_equal(
            model.decision_function(table.X), reference.decision_function(table.X)
        )
    y = np.where(table.y == 1, "bad", "good")
    share = np.where(y == "bad", 100 / (y == "bad").sum(), 100 / (y == "good").sum())
    balanced = SecureBoostClassifier(**PARAMETERS, class_weight="balanced").fit(table.X, y)
    same = SecureBoostClassifier(**PARAMETERS).fit(table.X, y, sample_weight=share)
    assert np.array_equal(balanced.decision_function(table.X), same.decision_function(table.X))


@pytest.mark.parametrize("min_child_samples", [1, 10])
def test_a_row_of_weight_zero_counts_for_nothing(min_child_samples):
    table = random_table(3, 200, ("continuous", "few", "missing"))
    parameters = PARAMETERS | {"min_child_samples": min_child_samples}
    weight = np.r_[np.ones(150), np.zeros(50)]
    model = SecureBoostClassifier(**parameters).fit(table.X, table.y, sample_weight=weight)
    without = SecureBoostClassifier(**parameters).fit(table.X[:150], table.y[:150])
    assert np.array_equal(model.decision_function(table.X), without.decision_function(table.X))


def test_a_partner_cannot_leave_out_rows_of_weight_zero():
    """It does not know them, so they cut its bins and count in its columns; its twin's too."""
    table = random_table(3, 200, ("continuous", "continuous"))
    frame = pd.DataFrame(table.X, columns=["own", "theirs"])
    parameters = PARAMETERS | {"min_child_samples": 10, "max_bin": 8}
    weight = np.r_[np.ones(60), np.zeros(140)]

    def fit(rows, **options):
        model = SecureBoostClassifier(**parameters)
        return model.fit(frame[rows], table.y[rows], sample_weight=weight[rows], **options)

    everybody, weighted = weight >= 0, weight > 0
    owned = fit(everybody, column_owner={"bureau": ["theirs"]})
    scores = owned.decision_function(frame)
    assert not np.array_equal(scores, fit(everybody).decision_function(frame))
    assert np.array_equal(
        fit(everybody).decision_function(frame), fit(weighted).decision_function(frame)
    )
