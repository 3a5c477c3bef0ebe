"""Evaluation after every round, and when it ends training."""

import numpy as np
import pytest

from secureboost.eval_metrics import EvalMetric
from secureboost.gbdt.booster import Boosted
from secureboost.monitor import EvalSet, Monitor


def last(y, prediction):
    return float(prediction[0])


def monitor_of(patience, *, maximise=False, callbacks=(), sets=2):
    metrics = [EvalMetric.of(last, name="first"), EvalMetric.of(last, maximise=maximise)]
    eval_sets = [EvalSet(f"set{i}", np.array([i]), np.zeros(1), np.ones(1)) for i in range(sets)]
    return Monitor(eval_sets, metrics, lambda raw: 10 * raw, patience, callbacks)


def watch(monitor, values):
    """Rounds until training ends; the first set sees other values."""
    model = Boosted(np.zeros(1), np.zeros(2), [0])
    for number, value in enumerate(values):
        model.raw[:] = -value, value
        model.rounds = number + 1
        if monitor(model):
            return number + 1
    return None


def test_the_last_metric_of_the_last_set_decides():
    monitor = monitor_of(2)
    assert watch(monitor, [3.0, 2.0, 2.5, 2.1, 1.0]) == 4
    assert (monitor.best_iteration, monitor.best_score) == (1, 20.0)
    assert monitor.history == {
        "set0": {"first": [-30.0, -20.0, -25.0, -21.0], "last": [-30.0, -20.0, -25.0, -21.0]},
        "set1": {"first": [30.0, 20.0, 25.0, 21.0], "last": [30.0, 20.0, 25.0, 21.0]},
    }


def test_higher_may_be_better_and_the_first_of_equals_is_kept():
    monitor = monitor_of(2, maximise=True)
    assert watch(monitor, [1.0, 2.0, 2.0, 2.0, 3.0]) == 4
    assert monitor.best_iteration == 1


def test_without_patience_training_goes_on():
    monitor = monitor_of(None)
    assert watch(monitor, [1.0, 2.0, 3.0, 4.0]) is None
    assert monitor.best_iteration is None
    assert monitor.best_score is None


def test_a_callback_may_end_it():
    seen = []

    def callback(number, history):
        seen.append((number, history["set1"]["last"][-1]))
        return number == 1

    assert watch(monitor_of(None, callbacks=[callback]), [1.0, 2.0, 3.0]) == 2
    assert seen == [(0, 10.0), (1, 20.0)]


def test_only_true_ends_it():
    assert watch(monitor_of(None, callbacks=[lambda *_: 1, lambda *_: None]), [1.0, 2.0]) is None


@pytest.mark.parametrize("patience", [1, 2, 3])
def test_an_interrupted_history_goes_on(patience):
    values = [3.0, 2.0, 2.5, 2.1, 1.0, 4.0, 4.0, 4.0, 4.0]
    whole = monitor_of(patience)
    ended = watch(whole, values)
    for cut in range(1, ended):
        first, second = monitor_of(patience), monitor_of(patience)
        assert watch(first, values[:cut]) is None
        second.restore(first.history)
        assert cut + watch(second, values[cut:]) == ended
        assert second.history == whole.history
        assert second.best_iteration == whole.best_iteration


def test_without_sets_nothing_is_measured():
    monitor = monitor_of(None, sets=0)
    assert watch(monitor, [1.0, 2.0]) is None
    assert monitor.history == {}
