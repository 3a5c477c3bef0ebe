"""Callbacks: who is called when, with what, and what ends training."""

import numpy as np
import pytest
from support.federation import Federation
from support.tables import random_table

from secureboost import SecureBoostClassifier, TrainingCallback

PARAMETERS = {"n_estimators": 6, "max_bin": 8, "max_depth": 2, "scheme": "plain"}
FEDERATION = Federation(random_table(6, 100, ("continuous", "few", "mostly_zero")), (2, 1))
X, Y = FEDERATION.X, FEDERATION.y


class Recorder(TrainingCallback):
    """Notes every call."""

    def __init__(self, stop_after=None):
        self.calls = []
        self.stop_after = stop_after

    def before_training(self, model):
        self.calls.append(("before", hasattr(model, "label_half_")))
        return model

    def after_iteration(self, model, epoch, evals_log):
        copied = {name: {m: list(v) for m, v in by.items()} for name, by in evals_log.items()}
        self.calls.append((epoch, copied))
        return epoch == self.stop_after

    def after_training(self, model):
        self.calls.append(("after", model.label_half_.model_id))
        return model


def fit(callbacks, parties=None, **more):
    fit_arguments = {"eval_set": more.pop("eval_set", [(X, Y)])}
    return SecureBoostClassifier(**PARAMETERS | more, callbacks=callbacks).fit(
        X, Y, parties=FEDERATION.parties() if parties is None else parties, **fit_arguments
    )


def test_the_order_of_calls_and_the_history_so_far():
    recorder = Recorder()
    model = fit([recorder], eval_metric=["auc", "logloss"])
    assert recorder.calls[0] == ("before", False)
    assert recorder.calls[-1] == ("after", model.label_half_.model_id)
    rounds = recorder.calls[1:-1]
    assert [epoch for epoch, _ in rounds] == list(range(6))
    whole = model.evals_result_["validation_0"]
    for epoch, history in rounds:
        expected = {name: values[: epoch + 1] for name, values in whole.items()}
        assert history == {"validation_0": expected}


def test_without_evaluation_sets_the_history_is_empty():
    recorder = Recorder()
    fit([recorder], eval_set=None)
    assert recorder.calls[1:-1] == [(epoch, {}) for epoch in range(6)]


@pytest.mark.parametrize("federated", [False, True])
def test_true_ends_training(federated):
    recorder = Recorder(stop_after=2)
    parties = None if federated else []
    model = fit([Recorder(), recorder, Recorder()], parties)
    assert [epoch for epoch, _ in recorder.calls[1:-1]] == [0, 1, 2]
    assert len(model.label_half_.trees) == 3
    assert not hasattr(model, "best_iteration_")
    short = SecureBoostClassifier(**PARAMETERS | {"n_estimators": 3})
    short.fit(X, Y, parties=FEDERATION.parties() if federated else [])
    assert np.array_equal(model.decision_function(X), short.decision_function(X))


def test_all_callbacks_are_called_in_the_round_that_one_ends():
    first, second = Recorder(stop_after=1), Recorder()
    fit([first, second])
    assert [call[0] for call in first.calls] == [call[0] for call in second.calls]


def test_what_is_not_true_goes_on():
    """As in XGBoost only True ends; a method without return goes on."""

    class Quiet(TrainingCallback):
        def after_iteration(self, model, epoch, evals_log):
            return np.array([1.0])

    assert len(fit([Quiet(), TrainingCallback()]).label_half_.trees) == 6


def test_with_early_stopping_the_best_round_is_kept():
    recorder = Recorder(stop_after=3)
    model = fit([recorder], early_stopping_rounds=6, learning_rate=1.0)
    values = model.evals_result_["validation_0"]["logloss"]
    assert len(values) == 4
    assert model.best_iteration_ == int(np.argmin(values))
    assert len(model.label_half_.trees) == model.best_iteration_ + 1


def test_an_error_of_a_callback_ends_training_and_releases_the_parties():
    class Broken(TrainingCallback):
        def after_iteration(self, model, epoch, evals_log):
            raise RuntimeError("the disk is full")

    parties = FEDERATION.watched()
    with pytest.raises(RuntimeError, match="the disk is full"):
        fit([Broken()], parties, scheme="plain")
    assert all(party.released for party in parties)
    assert all(party.store.halves == {} for party in parties)


def test_nobody_is_called_before_everything_is_checked():
    recorder = Recorder()
    with pytest.raises(ValueError, match="'aucc' is unknown"):
        fit([recorder], eval_metric="aucc")
    with pytest.raises(ValueError, match="Must have at least 1 validation dataset"):
        fit([recorder], early_stopping_rounds=2, eval_set=None)
    assert recorder.calls == []


def test_callbacks_of_xgboost_that_look_at_the_history():
    xgboost = pytest.importorskip("xgboost")

    class Watch(xgboost.callback.TrainingCallback):
        def after_iteration(self, model, epoch, evals_log):
            return evals_log["validation_0"]["logloss"][-1] < 0.5

    model = fit([Watch()])
    values = model.evals_result_["validation_0"]["logloss"]
    assert values[-1] < 0.5 < values[-2]
    assert len(values) == len(model.label_half_.trees) < 6


@pytest.mark.parametrize("callbacks", [Recorder(), [print], "progress", {"a": Recorder()}])
def test_things_that_are_no_callbacks(callbacks):
    with pytest.raises(TypeError, match="callbacks must be a list of TrainingCallback objects"):
        fit(callbacks)


def test_callbacks_are_not_kept_in_the_model(tmp_path):
    model = fit([Recorder()])
    model.save(tmp_path)
    assert SecureBoostClassifier.load(tmp_path).callbacks is None
