import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.boosting import PowerOfTwo, booster_params, joined_trees, train
from support.tables import random_table, shards, tables

from secureboost.gbdt.booster import add_to_rows
from secureboost.gbdt.params import BoosterParams
from secureboost.objectives import BinaryLogistic


@settings(deadline=None, max_examples=60)
@given(tables(min_features=2), booster_params(), st.data())
def test_who_owns_which_column_changes_nothing(table, params, data):
    """The property that everything stands on, and scores in training are those of prediction."""
    n_features = table.X.shape[1]
    counts = data.draw(shards(n_features))
    scores = []
    one = train(table, params, on_round=lambda model: scores.append(model.raw.copy()))
    many = train(table, params, counts, n_jobs=2)
    for a, b in zip(joined_trees(one, [n_features]), joined_trees(many, counts), strict=True):
        assert a.tobytes() == b.tobytes()
    np.testing.assert_array_equal(one.raw_scores(table.X), scores[-1])


@pytest.mark.parametrize("policy", ["depthwise", "lossguide"])
def test_training_loss_falls_with_every_tree(policy):
    table = random_table(0, 500, weighted=True)
    losses = []
    params = BoosterParams(n_estimators=20, max_depth=3, grow_policy=policy)
    objective = BinaryLogistic()
    train(
        table,
        params,
        on_round=lambda model: losses.append(objective.loss(model.raw, table.y, table.weight)),
    )
    assert len(losses) == 20
    assert np.all(np.diff(losses) < 0)


def test_rows_that_were_not_drawn_count_nowhere_but_get_scores():
    table = random_table(1, 400)
    seen = []

    def publish(tree, gradients, features):
        seen.append(gradients)

    params = BoosterParams(n_estimators=3, subsample=0.5, min_child_weight=0)
    raws = []
    ensemble = train(
        table, params, publish=publish, on_round=lambda model: raws.append(model.raw.copy())
    )
    for gradients, tree in zip(seen, ensemble.trees, strict=True):
        assert gradients.active.sum() == 200
        assert np.all(gradients.values[~gradients.active] == 0)
        assert np.all(gradients.values[gradients.active, 1] > 0)
        assert tree["sum_hessian"][0] == gradients.values[:, 1].sum() * 2.0**-24
    assert np.any(seen[0].active != seen[1].active)
    # some leaves are worth exactly nothing
    assert np.mean(raws[0][~seen[0].active] != ensemble.base_score[0]) > 0.5


def test_weights_are_repetitions():
    table = random_table(2, 150)
    weight = np.random.default_rng(0).integers(1, 4, 150)
    params = BoosterParams(n_estimators=3, max_bin=255)  # bins do not depend on repetitions
    trees = []
    for rows, weights in ((np.arange(150), weight), (np.repeat(np.arange(150), weight), None)):
        repeated = type(table)(table.X[rows], table.y[rows], np.ones(len(rows)))
        if weights is not None:
            repeated = type(table)(table.X, table.y, weights.astype(float))
        trees.append(train(repeated, params, quantise=PowerOfTwo(40)).trees)
    for a, b in zip(*trees, strict=True):
        for name in ("feature", "bin", "missing_left", "left"):
            np.testing.assert_array_equal(a[name], b[name])
        np.testing.assert_allclose(a["value"], b["value"], rtol=1e-6)


def test_base_score_is_a_probability():
    table = random_table(3)
    assert train(table, BoosterParams(n_estimators=1, base_score=0.5)).base_score == (0.0,)
    (prior,) = train(table, BoosterParams(n_estimators=1)).base_score
    assert prior == pytest.approx(np.log(table.y.mean() / (1 - table.y.mean())))


def test_on_round_may_stop():
    ensemble = train(random_table(4), BoosterParams(), on_round=lambda model: model.rounds == 3)
    assert len(ensemble.trees) == 3


def test_the_same_seed_draws_the_same_trees():
    table = random_table(5)
    one, two, other = (
        train(table, BoosterParams(n_estimators=3, subsample=0.6, random_state=seed))
        for seed in (1, 1, 2)
    )
    assert [t.tobytes() for t in one.trees] == [t.tobytes() for t in two.trees]
    assert [t.tobytes() for t in one.trees] != [t.tobytes() for t in other.trees]


@pytest.mark.parametrize(
    ("gradient", "hessian", "message"),
    [
        (np.nan, 1.0, "the gradient of row 3 is not finite"),
        (1.0, np.inf, "the hessian of row 3 is not finite"),
        (1.0, -1.0, "the hessian of row 3 is negative"),
    ],
)
def test_gradients_that_cannot_be_summed_are_refused(gradient, hessian, message):
    class Broken(BinaryLogistic):
        def gradients(self, raw, y, weight):
            g, h = super().gradients(raw, y, weight)
            g[3], h[3] = gradient, hessian
            return g, h

    with pytest.raises(ValueError, match=message):
        train(random_table(8), BoosterParams(), objective=Broken())


@pytest.mark.kernels
def test_add_to_rows_against_twin():
    scores = np.linspace(0, 1, 36).reshape(9, 4)
    twin = scores.copy()
    rows = np.array([0, 3, 8], dtype=np.int32)
    twin[rows, 1:3] += [0.1, 0.2]
    add_to_rows(scores, 1, rows, np.array([0.1, 0.2]))
    np.testing.assert_array_equal(scores, twin)
