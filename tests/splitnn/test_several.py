"""Several labels of a row: losses, metrics by label, and what is refused."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss
from support.nets import Net

from secureboost import SplitNNClassifier
from secureboost.eval_metrics import get_metric
from secureboost.objectives import BinaryLogistic
from secureboost.splitnn.several import (
    SeveralLabels,
    are_several,
    by_label,
    label_shares,
    several_labels,
)

EACH = BinaryLogistic()
rng = np.random.default_rng(0)
Y = (rng.random((50, 2)) < [0.6, 0.2]).astype(np.float64)
RAW = rng.normal(size=(50, 2))
WEIGHT = rng.random(50) + 0.5
BOTH = SeveralLabels(("dpd30", "dpd90"), (1.0, 2.5))


def test_each_label_has_the_loss_and_the_gradient_of_its_own():
    gradient, hessian = BOTH.gradients(RAW, Y, WEIGHT)
    loss = 0.0
    for place, share in enumerate((1.0, 2.5)):
        raw, y = RAW[:, place], Y[:, place]
        expected = EACH.gradients(raw, y, WEIGHT * share)
        assert np.array_equal(gradient[:, place], expected[0])
        assert np.array_equal(hessian[:, place], expected[1])
        loss += share * EACH.loss(raw, y, WEIGHT)
        assert BOTH.base_score(Y, WEIGHT)[place] == EACH.base_score(y, WEIGHT)[0]
        assert np.array_equal(BOTH.predict(RAW)[:, place], EACH.predict(raw))
    assert BOTH.loss(RAW, Y, WEIGHT) == pytest.approx(loss, rel=1e-14)
    assert BOTH.n_outputs == 2


def test_gradients_are_those_of_the_loss():
    gradient, _ = BOTH.gradients(RAW, Y, WEIGHT)
    step = 1e-6
    for place in range(2):
        moved = RAW.copy()
        moved[3, place] += step
        slope = (BOTH.loss(moved, Y, WEIGHT) - BOTH.loss(RAW, Y, WEIGHT)) / step
        assert gradient[3, place] / WEIGHT.sum() == pytest.approx(slope, rel=1e-4)


def test_labels_are_read_from_frames_and_arrays():
    frame = pd.DataFrame(Y.astype(bool), columns=["dpd30", "dpd90"])
    names, labels = several_labels(frame)
    assert names == ("dpd30", "dpd90")
    assert np.array_equal(labels, Y)
    assert several_labels(Y.astype(int))[0] == ("y0", "y1")
    _, picked = several_labels(frame[["dpd90", "dpd30"]], names)
    assert np.array_equal(picked, Y)
    assert are_several(Y)
    assert are_several(frame)
    assert not are_several(Y[:, 0])
    assert not are_several(Y[:, :1])


def test_labels_that_cannot_be_read():
    frame = pd.DataFrame(Y, columns=["dpd30", "dpd90"])
    with pytest.raises(
        ValueError, match="y has the labels dpd30, and the model learns dpd30, dpd9"
    ):
        several_labels(frame[["dpd30"]], ("dpd30", "dpd90"))
    with pytest.raises(ValueError, match="y: label 'dpd90' holds text or objects; it must be 0 or"):
        several_labels(frame.assign(dpd90="late"))
    gap = frame.assign(dpd90=np.where(np.arange(50) == 7, np.nan, 0.0))
    with pytest.raises(ValueError, match=r"y, label 'dpd90', .*the label is missing in 1 row"):
        several_labels(gap)
    with pytest.raises(ValueError, match="y: two labels have the same name"):
        several_labels(frame.set_axis(["late", "late"], axis="columns"))
    with pytest.raises(ValueError, match=r"label 'dpd90': y: label must be 0 or 1 .* 1 row"):
        BOTH.check_labels(np.where(np.arange(100).reshape(50, 2) == 9, 2.0, Y))
    with pytest.raises(ValueError, match="label 'dpd30': y: one of the two classes has no rows"):
        BOTH.base_score(Y * [0.0, 1.0], WEIGHT)


def test_shares_of_the_loss():
    labels = ("dpd30", "dpd90")
    assert label_shares(None, labels) == (1.0, 1.0)
    assert label_shares({"dpd90": 3}, labels) == (1.0, 3.0)
    with pytest.raises(
        ValueError, match=r"names 'dpd9'; the labels are dpd30, dpd90. Did you mean"
    ):
        label_shares({"dpd9": 1.0}, labels)
    for bad in (0.0, -1.0, np.inf, np.nan, True, "1"):
        with pytest.raises(ValueError, match=r"label_weights\['dpd30'\]=.* must lie above 0"):
            label_shares({"dpd30": bad}, labels)
    with pytest.raises(ValueError, match="label_weights is a list; give a mapping"):
        label_shares([1.0, 2.0], labels)


def test_metrics_are_measured_label_by_label():
    metrics = by_label([get_metric("logloss", EACH), get_metric("auc", EACH)], BOTH.labels)
    names = ["logloss: dpd30", "logloss: dpd90", "auc: dpd30", "auc: dpd90"]
    assert [metric.name for metric in metrics] == names
    assert [metric.maximise for metric in metrics] == [False, False, True, True]
    prediction = BOTH.predict(RAW)
    for metric in metrics:
        plain, place = metric.name.split(": ")
        column = BOTH.labels.index(place)
        value = get_metric(plain, EACH)(Y[:, column], prediction[:, column], WEIGHT)
        metric.check_rows(Y, WEIGHT)
        assert metric(Y, prediction, WEIGHT) == value
    with pytest.raises(ValueError, match="eval_metric='auc: dpd90' needs rows of every class"):
        metrics[3].check_rows(Y * [1.0, 0.0], WEIGHT)


@pytest.fixture(scope="module")
def net():
    return Net(2)


@pytest.fixture(scope="module")
def both(net):
    return np.stack([net.grade > 0, net.grade > 1], axis=1).astype(int)


@pytest.mark.parametrize("architecture", ["mmoe", "mlp", "bst"])
def test_split_is_pooled(net, both, architecture):
    parties = net.parties()
    parameters = {"architecture": architecture, "in_flight": 2, "label_weights": {"y1": 2.0}}
    model = net.fit(parties, both, **parameters)
    net.assert_twins(model, parties, both, **parameters)
    assert model.labels_ == ("y0", "y1")


def test_scores_and_metrics_of_each_label(net, both, tmp_path):
    parties = net.parties()
    model = net.fit(parties, both, architecture="mmoe", eval_metric=["logloss", "auc"])
    n = len(both) * 3 // 4
    history = model.evals_result_["validation_0"]
    assert list(history) == ["logloss: y0", "logloss: y1", "auc: y0", "auc: y1"]
    probability = model.predict_proba(net.X)
    assert probability.shape == (len(both), 2)
    for place in range(2):
        measured = log_loss(both[n:, place], probability[n:, place])
        assert history[f"logloss: y{place}"][-1] == pytest.approx(measured, rel=1e-9)
    assert np.array_equal(model.predict(net.X), (probability > 0.5).astype(int))
    model.save(tmp_path)
    read = SplitNNClassifier.load(tmp_path)
    assert read.labels_ == ("y0", "y1")
    assert np.array_equal(read.predict_proba(net.X, parties=parties), probability)


def test_labels_of_a_frame_are_named(net, both):
    frame = pd.DataFrame(both, columns=["dpd30", "dpd90"], index=net.X.index)
    n = len(both) * 3 // 4
    model = SplitNNClassifier(architecture="mmoe", n_epochs=2, early_stopping_rounds=1)
    turned = frame[["dpd90", "dpd30"]]
    model.fit(net.X.iloc[:n], frame.iloc[:n], eval_set=[(net.X.iloc[n:], turned.iloc[n:])])
    assert model.labels_ == ("dpd30", "dpd90")
    assert list(model.evals_result_["validation_0"]) == ["logloss: dpd30", "logloss: dpd90"]
    model.fit(net.X.iloc[:n], frame["dpd30"].iloc[:n], eval_set=[(net.X, frame["dpd30"])])
    assert model.labels_ == ()
    assert model.predict_proba(net.X).shape == (len(both), 2)


def test_weights_of_labels_move_the_network(net, both):
    scores = [
        net.fit([], both, label_weights=weights).raw_scores(net.X)
        for weights in (None, {"y0": 1.0}, {"y1": 50.0})
    ]
    assert np.array_equal(scores[0], scores[1])
    assert not np.array_equal(scores[0], scores[2])


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"architecture": "deepfm"}, "which gives a row one score, and 2 are wanted: .*'mmoe'"),
        ({"objective": "multi:softprob"}, "objective='multi:softprob' is for one label, and y has"),
        ({"class_weight": "balanced"}, "class_weight='balanced' is for one label, and y has 2"),
        ({"scale_pos_weight": 3.0}, "scale_pos_weight=3.0 is for one label"),
        ({"label_weights": {"y2": 1.0}}, "label_weights names 'y2'; the labels are y0, y1"),
        ({"label_protections": ["marvell"]}, "label_protections: 'marvell' is for one label"),
        ({"eval_metric": "rmse"}, "eval_metric='rmse' does not fit"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_cannot_be_meant(net, both, parameters, message):
    with pytest.raises(ValueError, match=message):
        net.fit([], both, **parameters)


def test_one_label_has_no_label_weights(net):
    with pytest.raises(ValueError, match="label_weights is for several labels, and y has one"):
        net.fit([], label_weights={"y": 1.0})


def test_protections_of_gradients_take_several_labels(net, both):
    net.fit(net.parties(), both, label_protections=["max_norm"])
