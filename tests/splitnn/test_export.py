"""Export: graphs that other programs run give what the model gives, from raw columns."""

import json
import sys
from itertools import product

import numpy as np
import pandas as pd
import pytest
import torch
from support.nets import QUICK, Net
from torch import nn

from secureboost import SplitNNClassifier, SplitNNRegressor
from secureboost.errors import ModelError
from secureboost.splitnn import export
from secureboost.splitnn.architectures import FromModules, name_of
from secureboost.splitnn.export import ExportError, write_onnx, write_torch
from secureboost.splitnn.onnx_graph import OnnxMissingError

onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra 'onnx')")


@pytest.fixture(scope="module")
def net():
    return Net(1)


def run(path, fed):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return dict(
        zip([out.name for out in session.get_outputs()], session.run(None, fed), strict=True)
    )


def columns(frame):
    """A table as a graph takes it, by somebody who knows nothing of us."""
    return {
        name: column.to_numpy(np.float32)[:, None]
        if pd.api.types.is_numeric_dtype(column)
        else column.fillna("").astype(str).to_numpy(object)[:, None]
        for name, column in frame.items()
    }


def exported(net, folder, y=None, kind=SplitNNClassifier, **parameters):
    parties = net.parties()
    model = net.fit(parties, y, kind=kind, **parameters)
    model.to_onnx(folder / "label")
    parties[0].to_onnx(model.label_half_.model_id, folder / "party1")
    return model


def scored(net, folder):
    """Raw scores and predictions of all rows, through the files alone."""
    theirs = net.tables["party1"].loc[net.X.index]
    own = run(folder / "label" / "bottom.onnx", columns(net.X))["activations"]
    other = run(folder / "party1" / "bottom.onnx", columns(theirs))["activations"]
    fed = {"own": own, "party1": other}
    if (folder / "party1" / "body.onnx").exists():
        fed = run(folder / "party1" / "body.onnx", {"bottom 0": own, "bottom 1": other})
    return run(folder / "label" / "top.onnx", fed)


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"dtype": "float32"},
        {"architecture": "wide_deep"},
        {"architecture": "deepfm"},
        {"architecture": "fedpass"},
        {"body": "party1", "body_width": 3},
    ],
    ids=lambda value: ",".join(map(str, value.values())) or "mlp",
)
def test_raw_columns_through_the_files_give_what_the_model_gives(net, tmp_path, parameters):
    model = exported(net, tmp_path, **parameters)
    found = scored(net, tmp_path)
    bound = 1e-4 if parameters.get("dtype") == "float32" else 1e-8
    assert found["raw"][:, 0] == pytest.approx(model.raw_scores(net.X), rel=bound, abs=bound)
    probability = model.predict_proba(net.X)[:, 1]
    assert found["prediction"][:, 0] == pytest.approx(probability, abs=bound)


@pytest.mark.parametrize(
    ("kind", "of", "parameters"),
    [
        (SplitNNClassifier, lambda net: net.grade, {}),
        (SplitNNClassifier, lambda net: np.stack([net.grade > 0, net.grade > 1], 1) * 1, {}),
        (SplitNNRegressor, lambda net: net.amount, {}),
        (SplitNNRegressor, lambda net: np.exp(net.amount / 9e3), {"objective": "reg:gamma"}),
    ],
    ids=["classes", "labels", "numbers", "gamma"],
)
def test_predictions_are_those_of_the_objective(net, tmp_path, kind, of, parameters):
    model = exported(net, tmp_path, of(net), kind, **parameters)
    predicted = model.predict_proba(net.X) if kind is SplitNNClassifier else model.predict(net.X)
    found = scored(net, tmp_path)["prediction"].reshape(predicted.shape)
    assert found == pytest.approx(predicted, rel=1e-8)


def test_a_column_of_categories_alone_and_of_numbers_alone(net, tmp_path):
    for kept in (["own_kind", "own_rare"], ["own_number", "own_gaps"]):
        model = SplitNNClassifier(**QUICK).fit(net.X[kept], net.y)
        top, bottom = model.to_onnx(tmp_path)
        own = run(bottom, columns(net.X[kept]))["activations"]
        raw = run(top, {"own": own})["raw"][:, 0]
        assert raw == pytest.approx(model.raw_scores(net.X[kept]), rel=1e-8)


def test_unknown_categories_and_missing_ones_are_alike(net, tmp_path):
    model = SplitNNClassifier(**QUICK).fit(net.X[["own_kind"]], net.y)
    _, bottom = model.to_onnx(tmp_path)
    fed = {"own_kind": np.array([["a"], ["never seen"], [""]], object)}
    known, unknown, missing = run(bottom, fed)["activations"]
    assert np.array_equal(unknown, missing)
    assert not np.array_equal(known, missing)


def test_a_pooled_network_has_every_partys_bottom(net, tmp_path):
    model = net.fit_pooled(body="party1", body_width=3)
    names = {path.name for path in model.to_onnx(tmp_path)}
    assert names == {"top.onnx", "bottom.onnx", "bottom_party1.onnx", "body.onnx"}


def test_files_say_what_they_are(net, tmp_path):
    model = exported(net, tmp_path, codec="int8")
    facts = {
        entry.key: entry.value
        for entry in onnx.load(tmp_path / "party1" / "bottom.onnx").metadata_props
    }
    assert facts["secureboost.model_id"] == model.label_half_.model_id
    assert facts["secureboost.codec"] == "int8"
    assert json.loads(facts["secureboost.preparation"])["names"] == list(net.tables["party1"])
    assert (tmp_path / "label" / "top.onnx").stat().st_mode & 0o077 == 0


def test_weights_are_read_as_weights_only(net, tmp_path):
    parties = net.parties()
    model = net.fit(parties, feature_protections=["gaussian_noise"], codec="topk:0.5")
    mine = model.to_torch(tmp_path)
    theirs = parties[0].to_torch(model.label_half_.model_id, tmp_path / "party1")
    assert [path.name for path in mine + theirs] == ["top.pt", "bottom.pt", "bottom.pt"]
    for path in mine + theirs:
        kept = torch.load(path, weights_only=True)
        assert json.loads(kept["facts"])["model_id"] == model.label_half_.model_id
    expected = model._loaded.top.module.state_dict()
    kept = torch.load(mine[0], weights_only=True)["weights"]
    assert kept.keys() == expected.keys()
    assert all(torch.equal(kept[name], expected[name]) for name in kept)


# what cannot be


class Deciding(nn.Module):
    """Goes another way by its values: what a tracer writes down is one of them."""

    def __init__(self, n_inputs, n_outputs):
        super().__init__()
        self.layer = nn.Linear(n_inputs, n_outputs)

    def forward(self, values):
        out = self.layer(values)
        return out if values.abs().sum() > 0 else out - 1.0


class Unsayable(nn.Module):
    """Uses what ONNX has no word for."""

    def __init__(self, n_inputs, n_outputs):
        super().__init__()
        self.layer = nn.Linear(n_inputs, n_outputs)

    def forward(self, values):
        return self.layer(torch.special.i1e(values))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Deciding, r"the top cannot be exported: in [\d,]+ of .* differs from torch"),
        (Unsayable, "the top cannot be exported: .*i1e.* Export its weights instead"),
    ],
)
def test_a_module_that_cannot_be_exported(net, tmp_path, kind, message):
    own = FromModules(kind.__name__, top=lambda widths, n: kind(sum(widths), n))
    model = net.fit(net.parties(), architecture=own, top_hidden=None)
    assert name_of(own) == kind.__name__
    with pytest.raises(ExportError, match=message):
        model.to_onnx(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert model.to_torch(tmp_path)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"codec": "topk:0.5"}, "codec 'topk:0.5' leaves numbers out"),
        ({"feature_protections": ["gaussian_noise"]}, "'gaussian_noise' changes what leaves"),
    ],
)
def test_what_happens_on_the_way_is_not_left_out(net, tmp_path, parameters, message):
    parties = net.parties()
    model = net.fit(parties, **parameters)
    with pytest.raises(ExportError, match=message):
        parties[0].to_onnx(model.label_half_.model_id, tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert model.to_onnx(tmp_path)  # nothing happens to the label party's own numbers


def test_a_column_called_like_the_graphs_own(net, tmp_path):
    frame = net.X[["own_number"]].rename(columns={"own_number": "activations"})
    model = SplitNNClassifier(**QUICK).fit(frame, net.y)
    with pytest.raises(ExportError, match="Rename the column"):
        model.to_onnx(tmp_path)


def test_what_is_missing_is_named(net, tmp_path, monkeypatch):
    model, parties = SplitNNClassifier(**QUICK).fit(net.X, net.y), net.parties()
    with pytest.raises(ModelError, match="party1 keeps no half of model 00"):
        parties[0].to_onnx("00" * 16, tmp_path)
    with pytest.raises(ModelError, match="the half is not a file of that kind"):
        write_torch(b"\x08\x00\x00\x00\x00\x00\x00\x00garbage!", tmp_path)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(OnnxMissingError, match=r"needs onnxruntime.*'secureboost\[onnx\]'"):
        write_onnx(model._half, tmp_path)


def test_numbers_of_the_check_are_what_columns_can_hold(net):
    """Missing, far away, unknown: each is among the rows that graphs are checked with."""
    model = SplitNNClassifier(**QUICK).fit(net.X, net.y)
    fed, table = export._made_up(model.label_half_.bottoms[0])
    kinds = dict(zip(table.feature_names, table.categories, strict=True))
    for name, values in fed.items():
        if kinds[name] is None:
            assert np.isnan(values).any()
            assert (np.abs(values[:2]) > 1e38).all()
        else:
            assert "no category of this name" in values
    assert len(list(product(fed))) == len(net.X.columns)
