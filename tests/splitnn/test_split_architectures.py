"""Every architecture in training: split is pooled with ``==``, halves are kept, bottoms differ."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from support.nets import QUICK, Net, weights_of
from torch import nn

from parties.errors import PeerRefusedError
from secureboost import FeatureParty, NetPolicy, NetTerms, SplitNNClassifier, TrainingCallback
from secureboost.errors import ConfigError
from secureboost.splitnn.architectures import ARCHITECTURES, FromModules, register
from secureboost.splitnn.feature_policy import NOT_ACCEPTED
from secureboost.splitnn.options import Choice

OPTIONS = {
    "wide_deep": {},
    "deepfm": {"bottom_options": {"factors": 3}, "top_options": {"factors": 3}},
    "bst": {"bottom_options": {"units": 4}},
    "mmoe": {"top_options": {"experts": 3, "units": 8}},
}


class Normed(nn.Module):
    """A bottom with everything that has a state: embeddings, a norm over the batch, drop-out."""

    def __init__(self, columns, width):
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(n, 2) for n in columns.n_codes)
        n_inputs = len(columns.numbers) + 2 * len(columns.n_codes)
        self.layers = nn.Sequential(
            nn.Linear(n_inputs, 6),
            nn.BatchNorm1d(6),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Linear(6, width),
        )
        self.layers[0].bias.requires_grad_(False)

    def forward(self, numbers, codes):
        looked_up = [table(codes[:, place]) for place, table in enumerate(self.tables)]
        return self.layers(torch.cat([numbers, *looked_up], dim=1))


def scores(widths, n_outputs):
    return nn.Sequential(nn.ReLU(), nn.Linear(sum(widths), n_outputs))


@pytest.fixture(scope="module")
def net():
    net = Net(2)
    for name, table in net.tables.items():
        columns = {f"{name}_late_{n}": table.iloc[:, 0] * n for n in range(3)}
        net.tables[name] = table.assign(**columns)  # a sequence for the transformer
    return net


@pytest.fixture
def own():
    """A network of one's own, known until the test ends."""
    kind = FromModules("own", bottom=Normed, top=scores)
    yield kind
    ARCHITECTURES.pop("own", None)


def check(net, parties=None, **parameters):
    parties = parties or net.parties()
    model = net.fit(parties, **parameters)
    net.assert_twins(model, parties, **parameters)
    return model


@pytest.mark.parametrize("in_flight", [1, 3])
@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_split_is_pooled(net, name, in_flight):
    check(net, architecture=name, in_flight=in_flight, **OPTIONS[name])


@pytest.mark.parametrize("parameters", [{}, {"in_flight": 3}, {"local_steps": 2}], ids=str)
def test_modules_of_ones_own(net, own, parameters):
    plain = {"bottom_hidden": None, "top_hidden": None}
    parties = net.parties()
    model = check(net, parties, architecture=own, **plain, **parameters)
    weights = weights_of(model, parties)
    assert weights["party1/module.layers.1.running_mean"].any()
    start = weights["party1/module.layers.0.bias"]
    again = net.fit(net.parties(), architecture=own, n_epochs=1, **plain, **parameters)
    frozen = weights_of(again, again.parties_)["party1/module.layers.0.bias"]
    assert torch.equal(start, frozen)  # somebody froze it, so training left it alone


def test_bottoms_may_differ_by_party(net, own):
    bottoms = {
        "": {"wide_deep": {"hidden": [4], "crosses": "own_kind*own_rare"}},
        "party1": {"bst": {"sequences": "party1_late", "units": 4}},
        "party2": FromModules("own", bottom=Normed),
    }
    parties = net.parties()
    model = check(net, parties, bottoms=bottoms, in_flight=2)
    names = {head.party: head.architecture.name for head in model.label_half_.bottoms}
    assert names == {"": "wide_deep"}
    keys = weights_of(model, parties).keys()
    assert "party1/encoders.0.project.weight" in keys
    assert "party2/module.layers.0.weight" in keys
    assert clone(model).bottoms.keys() == bottoms.keys()


def test_a_module_decides_the_width_of_the_own_bottom(net, own):
    class Three(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.LazyLinear(3)

        def forward(self, numbers, codes):
            return self.layer(numbers)

    own = FromModules("own", bottom=Three())
    model = check(net, bottoms={"": own})
    assert [head.width for head in model.label_half_.bottoms] == [3]
    assert [partner.width for partner in model.label_half_.partners] == [4, 4]


def test_a_kept_model_needs_the_modules_again(net, own, tmp_path):
    parties = net.parties()
    plain = {"bottom_hidden": None, "top_hidden": None}
    model = net.fit(parties, architecture=own, **plain)
    expected = model.predict_proba(net.X)
    model.save(tmp_path)
    del ARCHITECTURES["own"]
    read = SplitNNClassifier.load(tmp_path)
    assert read.architecture == "own"
    with pytest.raises(ConfigError, match=r"'own' is not an architecture; .* must be regist"):
        read.predict_proba(net.X, parties=parties)
    register(own)
    read = SplitNNClassifier.load(tmp_path)
    assert np.array_equal(read.predict_proba(net.X, parties=parties), expected)


def test_training_goes_on_with_buffers(net, own, tmp_path):
    """An interrupted run of a network with running means gives the undisturbed one's model."""

    class Cut(TrainingCallback):
        def after_iteration(self, model, epoch, evals_log):
            if epoch == 1:
                raise KeyboardInterrupt

    parameters = {"architecture": own, "n_epochs": 3, "bottom_hidden": None, "top_hidden": None}
    whole, parties = net.fit(net.parties(), **parameters), net.parties()
    kept = {"checkpoint": tmp_path / "run", **parameters}
    with pytest.raises(KeyboardInterrupt):
        net.fit(parties, callbacks=[Cut()], **kept)
    gone_on = net.fit(parties, resume=True, **kept)
    assert gone_on.evals_result_ == whole.evals_result_
    expected, own_weights = weights_of(whole, whole.parties_), weights_of(gone_on, parties)
    assert expected.keys() == own_weights.keys()
    assert all(torch.equal(own_weights[key], tensor) for key, tensor in expected.items())


def test_a_party_has_a_bottom_of_its_own(net):
    """Whatever is proposed: only the width is common."""
    terms = {
        "party1": NetTerms(architecture=Choice("bst", {"units": 4})),
        "party2": NetTerms(architecture=Choice("mlp", {"hidden": (3,)})),
    }
    parties = [FeatureParty(name, table, nets=terms[name]) for name, table in net.tables.items()]
    model = net.fit(parties)
    keys = weights_of(model, parties)
    assert "party1/encoders.0.project.weight" in keys
    assert keys["party2/layers.0.weight"].shape[0] == 3


# refusals


def test_a_proposal_that_names_columns_tells_nothing_of_them(net, caplog):
    """The label party learns that it does not fit; what does is in the party's own log."""
    with pytest.raises(PeerRefusedError) as refused:
        net.fit(net.parties(), bottoms={"party1": {"wide_deep": {"crosses": "p1_kind*p1_rar"}}})
    assert NOT_ACCEPTED in str(refused.value)
    assert "p1_rare" not in str(refused.value)
    assert "Did you mean 'p1_rare'" in caplog.text


def test_a_party_counts_the_shortest_way_to_the_cut(net):
    terms = NetTerms(policy=NetPolicy(min_layers=2))
    name, table = next(iter(net.tables.items()))
    with pytest.raises(PeerRefusedError, match=NOT_ACCEPTED):
        net.fit([FeatureParty(name, table, nets=terms)], architecture="deepfm")


def test_a_party_does_not_know_the_module(net, own):
    register(own)
    model = SplitNNClassifier(**QUICK | {"bottoms": {"party1": "own"}})
    del ARCHITECTURES["own"]
    with pytest.raises(ConfigError, match="'own' is not an architecture"):
        model.fit(net.X, net.y, parties=net.parties())


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"architecture": "dfm"}, "'dfm' is not an architecture; there is: mlp, wide_deep, deepfm"),
        ({"architecture": "deepfm", "bottom_options": {"factors": 4}}, "factors: is 4 in the bott"),
        (
            {"bottoms": {"party3": "mlp"}},
            "bottoms: names 'party3'; there is '' for the label party",
        ),
        ({"bottoms": {"party1": {"mlp": {"hiden": (3,)}}}}, "'hiden' is not an option of the bott"),
        ({"bottoms": {"party1": ["mlp", "bst"]}}, r"bottoms\['party1'\]: holds 2 architectures"),
        ({"bottoms": "mlp"}, "bottoms: is a str; give a mapping by party"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_cannot_be_meant(net, parameters, message):
    with pytest.raises(ConfigError, match=message):
        net.fit(net.parties(), **parameters)


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_a_party_with_categories_alone(net, name):
    tables = {
        party: table[[column for column in table if column.endswith("kind")]]
        for party, table in net.tables.items()
    }
    parties = [FeatureParty(party, table) for party, table in tables.items()]
    model = net.fit(parties, architecture=name, **OPTIONS[name])
    assert np.isfinite(model.raw_scores(net.X)).all()
