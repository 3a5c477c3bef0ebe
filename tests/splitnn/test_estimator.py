"""`SplitNNClassifier` and `SplitNNRegressor` as scikit-learn and a user see them."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks
from support.nets import QUICK, Net

import secureboost
from secureboost import FeatureParty, SplitNNClassifier, SplitNNRegressor
from secureboost.errors import ConfigError, DataError, ModelError

NET = Net(1)
CHECKED = {
    "learning_rate": 0.05,
    "n_epochs": 12,
    "batch_size": 16,
    "random_state": 0,
    "dtype": "float64",
    "bottom_hidden": (16,),
}
OTHER_BATCHES = {
    "check_sample_weight_equivalence_on_dense_data": "a row of weight 2 and two rows are drawn "
    "into other batches",
}


@parametrize_with_checks(
    [SplitNNClassifier(**CHECKED), SplitNNRegressor(**CHECKED)],
    expected_failed_checks=lambda _estimator: OTHER_BATCHES,
)
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def fitted():
    parties = NET.parties()
    return NET.fit(parties), parties


def test_it_learns():
    net = Net(1, n_rows=900)
    model = net.fit(
        net.parties(),
        **{"dtype": "float32", "n_epochs": 30, "batch_size": 128, "eval_metric": ["auc"]},
    )
    auc = model.evals_result_["validation_0"]["auc"]
    assert auc[-1] > 0.95
    assert model.training_loss_[-1] < 0.5 * model.training_loss_[0]


def test_attributes(fitted):
    model, _ = fitted
    assert model.classes_.tolist() == ["bad", "good"]
    assert model.n_features_in_ == 6
    assert model.predict_proba(NET.X).sum(axis=1) == pytest.approx(1.0)
    assert set(model.predict(NET.X)) <= {"bad", "good"}
    assert set(model.seconds_) == {"", "party1"}
    assert 0 < model.seconds_["party1"] < model.seconds_[""]
    exchanges = model.traffic_["party1"]["Exchange"]
    assert exchanges.bytes_sent > exchanges.messages * 100
    assert len(model.training_loss_) == QUICK["n_epochs"]
    assert not hasattr(model, "best_iteration_")


def test_early_stopping_keeps_the_best_epoch():
    parties = NET.parties()
    options = {"n_epochs": 12, "learning_rate": 0.3, "early_stopping_rounds": 2}
    model = NET.fit(parties, **options)
    values = model.evals_result_["validation_0"]["logloss"]
    assert model.best_iteration_ == int(np.argmin(values))
    assert model.best_score_ == min(values)
    assert len(values) == model.best_iteration_ + 3
    assert model.label_half_.best_epoch == model.best_iteration_
    shorter = NET.fit(NET.parties(), n_epochs=model.best_iteration_ + 1, learning_rate=0.3)
    assert np.array_equal(model.raw_scores(NET.X), shorter.raw_scores(NET.X))


def test_saving_and_loading(fitted, tmp_path):
    model, parties = fitted
    model.save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "label.safetensors",
        "party1.safetensors",
    }
    expected = model.raw_scores(NET.X)
    loaded = SplitNNClassifier.load(tmp_path)
    assert loaded.get_params() == {**model.get_params(), "bottom_hidden": [8], "top_hidden": [8]}
    assert np.array_equal(loaded.raw_scores(NET.X, parties=parties), expected)
    fresh = FeatureParty("party1", NET.tables["party1"])
    assert np.array_equal(loaded.raw_scores(NET.X, parties=[fresh]), expected)
    assert np.array_equal(loaded.predict(NET.X, parties=[fresh]), model.predict(NET.X))
    loaded.save(tmp_path / "again")
    for name in ("label", "party1"):
        again = (tmp_path / "again" / f"{name}.safetensors").read_bytes()
        assert again == (tmp_path / f"{name}.safetensors").read_bytes()
    with pytest.raises(ModelError, match="not written by SplitNNRegressor"):
        SplitNNRegressor.load(tmp_path)
    with pytest.raises(ModelError, match=r"'party1', which is not among the parties"):
        loaded.predict(NET.X)


def test_halves_of_two_runs_do_not_go_together(fitted, tmp_path):
    model, _ = fitted
    model.save(tmp_path)
    NET.fit(NET.parties(), random_state=6).save(tmp_path / "other")
    (tmp_path / "other" / "party1.safetensors").rename(tmp_path / "party1.safetensors")
    with pytest.raises(ModelError, match="do not belong together"):
        SplitNNClassifier.load(tmp_path)


def test_a_damaged_file_is_refused(fitted, tmp_path):
    model, _ = fitted
    with pytest.raises(ModelError, match="no such file"):
        SplitNNClassifier.load(tmp_path)
    model.save(tmp_path)
    path = tmp_path / "label.safetensors"
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ModelError, match="is not a file of that kind"):
        SplitNNClassifier.load(tmp_path)


def test_pickling_leaves_the_parties_behind(fitted):
    model, parties = fitted
    again = pickle.loads(pickle.dumps(model))  # noqa: S301 - our own
    assert not hasattr(again, "parties_")
    assert np.array_equal(again.raw_scores(NET.X, parties=parties), model.raw_scores(NET.X))
    party = pickle.loads(pickle.dumps(parties[0]))  # noqa: S301 - our own
    assert np.array_equal(model.raw_scores(NET.X, parties=[party]), model.raw_scores(NET.X))
    assert clone(model).get_params() == model.get_params()


def test_cross_validation_over_the_parties():
    scores = cross_val_score(
        SplitNNClassifier(**{**QUICK, "n_epochs": 1}),
        NET.X,
        NET.y,
        cv=2,
        params={"parties": NET.parties()},
    )
    assert len(scores) == 2


def test_callbacks_see_each_epoch():
    seen = []

    class Callback:
        def before_training(self, model):
            seen.append("before")

        def after_iteration(self, model, epoch, evals_log):
            seen.append((epoch, len(evals_log["validation_0"]["logloss"])))
            return epoch == 1

        def after_training(self, model):
            seen.append("after")

    model = NET.fit(NET.parties(), n_epochs=5, callbacks=[Callback()])
    assert seen == ["before", (0, 1), (1, 2), "after"]
    assert len(model.training_loss_) == 2


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"n_epochs": 0}, "n_epochs: is 0; it must be a whole number from 1"),
        ({"batch_size": 1.5}, "batch_size: is 1.5"),
        ({"in_flight": 9}, "in_flight: is 9; it must be a whole number from 1 to 8"),
        ({"learning_rate": 0}, "learning_rate: is 0; it must lie above"),
        ({"learning_rate": float("inf")}, "learning_rate: is inf"),
        ({"dtype": "float16"}, "dtype: is 'float16'"),
        ({"optimizer": "adan"}, r"optimizer: 'adan' is not.*Did you mean 'adam"),
        ({"momentum": 0.9}, "momentum: is 0.9, and 'adam' has its own"),
        ({"codec": "identiti"}, "codec: 'identiti' is not.*Did you mean 'identity'"),
        ({"architecture": "mpl"}, "architecture: 'mpl' is not.*Did you mean 'mlp'"),
        ({"bottom_hidden": (0,)}, "hidden: is"),
        ({"bottom_options": {"drop": 0.1}}, "'drop' is not an option of the bottom of 'mlp'"),
        ({"label_protections": ["magic"]}, "protections: 'magic' is not a protection"),
        ({"label_protections": [3]}, "label_protections: holds a int"),
        ({"early_stopping_rounds": 0}, "early_stopping_rounds=0"),
        ({"eval_metric": "rmse"}, "eval_metric='rmse' does not fit"),
        ({"objective": "reg:squarederror"}, "use SplitNNRegressor"),
    ],
)
def test_bad_parameters_are_named_before_anybody_is_asked(parameters, text):
    party = FeatureParty("party1", NET.tables["party1"])
    party.connect = lambda _trainer: pytest.fail("was asked")
    with pytest.raises((ConfigError, ValueError), match=text):
        NET.fit([party], **parameters)


def test_bad_tables():
    model = SplitNNClassifier(**QUICK)
    parties = NET.parties()
    with pytest.raises(DataError, match="without row ids"):
        model.fit(NET.X.to_numpy(), NET.y, parties=parties)
    with pytest.raises(DataError, match="no feature column is left"):
        model.fit(NET.X[[]], NET.y)
    with pytest.raises(ValueError, match="y has one class"):
        model.fit(NET.X, np.zeros(len(NET.X)), parties=parties)
    fitted = NET.fit(parties)
    with pytest.raises(DataError, match="lacks 1 of the 1 rows"):
        fitted.predict(NET.X.iloc[:1].set_axis(["x"]))
    with pytest.raises(ValueError, match="feature names"):
        fitted.predict(NET.X.rename(columns={"own_number": "other"}))
    with pytest.raises(DataError, match="'own_number' holds text"):
        fitted.predict(NET.X.assign(own_number="x"))


def test_an_unknown_category_at_prediction_is_a_missing_value(fitted):
    model, _ = fitted
    known = model.raw_scores(NET.X.assign(own_kind=None))
    assert np.array_equal(model.raw_scores(NET.X.assign(own_kind="new")), known)


def test_where_torch_is_missing(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(secureboost.importlib, "import_module", missing)
    with pytest.raises(ImportError, match=r"'secureboost\[nn\]' --extra-index-url .*whl/cpu"):
        _ = secureboost.SplitNNClassifier


def test_a_regression_in_any_unit():
    net = Net(1, n_rows=400)
    for factor in (1e-6, 1.0, 1e9):
        model = net.fit(
            net.parties(),
            net.amount * factor,
            SplitNNRegressor,
            n_epochs=30,
            eval_metric=["rmse"],
        )
        rmse = model.evals_result_["validation_0"]["rmse"][-1]
        assert rmse < 0.6 * factor * net.amount.std()


def test_weights_of_rows():
    weight = np.where(NET.y == "good", 3.0, 1.0)
    parties = NET.parties()
    weighted = SplitNNClassifier(**QUICK).fit(NET.X, NET.y, parties=parties, sample_weight=weight)
    scaled = SplitNNClassifier(**QUICK, scale_pos_weight=3.0).fit(NET.X, NET.y, parties=parties)
    same = SplitNNClassifier(**QUICK).fit(
        NET.X, NET.y, parties=parties, sample_weight=weight * 1024.0
    )
    assert np.array_equal(weighted.raw_scores(NET.X), scaled.raw_scores(NET.X))
    assert np.array_equal(weighted.raw_scores(NET.X), same.raw_scores(NET.X))
    assert weighted.predict_proba(NET.X)[:, 1].mean() > 0.6
