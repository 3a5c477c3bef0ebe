"""The audit: what crossed is noted as both sides read it, attacked, and shown."""

import re

import numpy as np
import pytest
from support.nets import QUICK, Net
from support.pages import check_balanced
from support.real_tables import read

from secureboost import SplitNNClassifier, SplitNNRegressor, pool_tables
from secureboost.errors import ConfigError, DataError
from secureboost.splitnn.attacks import ATTACKS, Finding
from secureboost.splitnn.audit import Audit, Trial, audit
from secureboost.splitnn.audit_report import audit_table, render_audit, verdict, write_audit
from secureboost.splitnn.protections import FEATURE_PROTECTIONS, LABEL_PROTECTIONS
from secureboost.splitnn.recorder import Notes, Recorder

KNOWN = {"known_labels": 20, "known_rows": 25}
LEARNT = QUICK | {"n_epochs": 6, "batch_size": 64}


def recorded(net, **parameters):
    """A pooled training of the first rows, with what was noted."""
    pooled, owner = pool_tables(net.X, net.tables)
    recorder, model = Recorder(), SplitNNClassifier(**QUICK | parameters)
    model._make_local = recorder.make_bottom
    model.fit(pooled, net.y, column_owner=owner)
    return recorder.notes, model


def attacked(model=None, net=None, **options):
    net = net or Net(1, n_rows=400)
    return audit(model or SplitNNClassifier(**LEARNT), net.X, net.y, net.tables, **KNOWN | options)


# what is noted


@pytest.mark.parametrize("in_flight", [1, 3])
def test_what_crosses_is_noted_as_it_was_read(in_flight):
    net = Net(2, n_rows=100)
    notes, model = recorded(net, codec="topk:0.5", in_flight=in_flight)
    assert list(notes) == ["party1", "party2"]
    for of_party in notes.values():
        recording = of_party.recording
        assert recording.gradients.shape == (2, 100, 4)
        assert set(recording.batch[0]) == {0, 1, 2, 3}
        assert set(recording.batch[1]) == {4, 5, 6, 7}
        kept = recording.activations != 0.0
        assert np.all(kept.sum(axis=1) == 2)
        assert not recording.gradients[1][~kept].any()
        assert recording.gradients[1][kept].any()
    plain = SplitNNClassifier(**QUICK | {"codec": "topk:0.5", "in_flight": in_flight})
    pooled, owner = pool_tables(net.X, net.tables)
    plain.fit(pooled, net.y, column_owner=owner)
    assert plain.training_loss_ == model.training_loss_


def test_rows_are_those_of_the_table():
    """However batches and rows are drawn: the gradient of a row tells that row's label."""
    net = Net(1, n_rows=100)
    notes, _ = recorded(net, n_epochs=1, batch_size=100)
    gradients = notes["party1"].recording.gradients[0]
    positive = net.y == np.unique(net.y)[1]
    between = gradients[positive].mean(axis=0) - gradients[~positive].mean(axis=0)
    assert np.all((gradients @ between > 0) == positive)


def test_the_mean_over_epochs_lessens_noise():
    net = Net(1, n_rows=100)
    still = {"learning_rate": 1e-9, "n_epochs": 20}
    clean = recorded(net, **still)[0]["party1"].recording.activations
    noise = {"gaussian_noise": {"clip": 1e3, "noise": 1e-3}}
    notes = recorded(net, **still, feature_protections=[noise])[0]["party1"]
    once = notes.recording.activations - clean
    often = notes.mean_activations - clean
    assert once.std() == pytest.approx(1.0, rel=0.15)
    assert often.std() == pytest.approx(1.0 / np.sqrt(10), rel=0.15)


def test_nothing_noted_is_an_error():
    with pytest.raises(DataError, match="no epoch was trained"):
        Notes(10, 2).recording  # noqa: B018


# what is found


def test_an_audit_attacks_every_party_without_and_with_protections():
    net = Net(2, n_rows=400)
    told = []
    found = attacked(
        SplitNNClassifier(**LEARNT),
        net,
        protections=["marvell", {"gaussian_noise": {"noise": 2.0}}],
        on_trial=lambda *what: told.append(what),
    )
    names = ["none", "marvell", "gaussian_noise (noise=2.0)"]
    assert told == [(name, number, 3) for number, name in enumerate(names)]
    assert [trial.name for trial in found.trials] == names
    assert found.parties == ("party1", "party2")
    assert (found.n_training, found.n_test) == (300, 100)
    plain, marvell, noise = found.trials
    for findings in plain.findings.values():
        assert tuple(finding.attack for finding in findings) == ATTACKS
    assert plain.learnt("direction") > 0.45
    assert plain.learnt("reconstruction") > 0.1
    assert {"direction", "clustering"} <= set(found.lowered(marvell))
    assert "reconstruction" in found.lowered(noise)
    assert plain.quality > 0.75
    frame = found.frame()
    assert len(frame) == 6
    assert frame["labels at most"].iloc[0] == frame.loc[0, list(ATTACKS[:4])].max()


def test_by_default_all_that_fit_are_tried():
    def names(y, kind=SplitNNClassifier, **parameters):
        net = Net(1, n_rows=200)
        net.y = y(net)
        tried = attacked(kind(**QUICK | {"n_epochs": 1} | parameters), net).trials
        return [trial.name for trial in tried]

    of_features = ["gaussian_noise", "distance_correlation"]
    assert names(lambda net: net.y) == [
        *("none", "max_norm", "marvell", "randomised_response"),
        *of_features,
    ]
    of_classes = ["none", "max_norm", "randomised_response", *of_features]
    assert names(lambda net: net.grade) == of_classes
    assert names(lambda net: net.amount, SplitNNRegressor) == ["none", "max_norm", *of_features]
    both = names(lambda net: np.stack([net.grade > 0, net.grade > 1], axis=1).astype(int))
    assert both == of_classes
    weighted = names(lambda net: net.y, class_weight="balanced")
    assert weighted == ["none", "max_norm", "marvell", *of_features]


def test_the_models_own_protections_are_tried_together():
    own = {"label_protections": ["max_norm"], "feature_protections": ["gaussian_noise"]}
    model = SplitNNClassifier(**LEARNT | own)
    found = attacked(model, protections=[])
    assert [trial.name for trial in found.trials] == ["none", "as configured"]
    assert "reconstruction" in found.lowered(found.trials[1])
    assert model.label_protections == ["max_norm"]


def test_held_out_rows_may_be_named():
    found = attacked(protections=[], test_rows=np.arange(300, 400))
    assert (found.n_training, found.n_test) == (300, 100)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": SplitNNClassifier(body="party1")}, r"body: is 'party1'.*is not audited"),
        ({"known_labels": 3}, "known_labels: is 3; it must lie between 10 and 150"),
        ({"known_rows": 51}, "known_rows: is 51; it must lie between 10 and 50"),
        ({"protections": ["marvel"]}, "'marvel' is not a protection.*Did you mean 'marvell'"),
    ],
)
def test_what_cannot_be_audited(options, message):
    with pytest.raises(ConfigError, match=message):
        attacked(**options)


def test_without_a_partner_nothing_crosses():
    net = Net(1, n_rows=100)
    with pytest.raises(DataError, match="no feature party"):
        audit(SplitNNClassifier(), net.X, net.y, {})


# what is shown


def made_up(parties=("bureau",)):
    def trial(name, quality, *values):
        measures = ["AUC"] * 4 + ["R2"]
        found = tuple(
            Finding(attack, measure, value, 0.6 if measure == "AUC" else 0.1)
            for attack, measure, value in zip(ATTACKS, measures, values, strict=True)
        )
        return Trial(name, quality, dict.fromkeys(parties, found))

    trials = (
        trial("none", 0.8, 0.9, 1.0, 1.0, 0.7, 0.9),
        trial("good <one>", 0.78, 0.5, 0.55, 0.52, 0.7, 0.9),
        trial("useless", 0.75, 0.9, 1.0, 1.0, 0.7, 0.85),
    )
    return Audit("AUC", trials, 300, 100, 20, 25)


def test_what_is_lowered_is_counted_above_knowing_nothing():
    found = made_up()
    assert found.lowered(found.trials[1]) == ["norm", "direction", "clustering"]
    assert found.lowered(found.trials[2]) == []
    assert verdict(found) == (
        "No attack is lowered by 30 % or more by: useless. Do not count on it here."
    )


def test_the_table_has_a_row_for_each_protection_and_party():
    heads, rows = audit_table(made_up())
    assert len(rows) == 3
    assert all(len(row) == len(heads) for row in rows)
    assert rows[1][-1] == "norm, direction, clustering"
    heads, rows = audit_table(made_up(("bureau", "telco")))
    assert len(rows) == 6
    assert heads[1] == "party"


def test_the_report_shows_everything_and_escapes_it(tmp_path):
    html = render_audit(made_up(), "A & B", [("network", "mlp")])
    check_balanced(html)
    for text in ("A &amp; B", "good &lt;one&gt;", "network", ">0.800<", "Do not count on it"):
        assert text in html
    assert "good <one>" not in html
    # a dot for each trial: four attacks on labels, one on columns, the network's quality
    assert len(re.findall(r'<circle class="d\d"\s+cx="\d+', html)) == 3 * (4 + 1 + 1) + 4
    path = tmp_path / "audit.html"
    write_audit(made_up(), path, "A & B")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text().startswith("<!doctype html>")


def test_dots_lie_where_their_values_are():
    html = render_audit(made_up(), "")
    chart = html[html.index("What is learnt of columns</h3>") :]
    places = [float(x) for x in re.findall(r'<circle class="d0" cx="([\d.]+)"', chart)[:3]]
    assert places[0] == places[1] > places[2] > 190.0


# that protections do what they say, on real data

STATED = {"gaussian_noise": {"noise": 0.3}, "distance_correlation": {"weight": 0.3}}
"""Options under which a protection must lower its attacks; otherwise its defaults."""


@pytest.fixture(scope="module")
def credit(data_folder):
    """Credit card clients, attacked without and with every protection."""
    folder = data_folder / "credit_default"
    partner = read(folder, "partner")
    lender = read(folder, "lender")
    lender = lender[lender.index.isin(partner.index)][:8000]
    y = lender.pop("default")
    model = SplitNNClassifier(
        n_epochs=6,
        batch_size=256,
        learning_rate=0.002,
        bottom_hidden=(32,),
        top_hidden=(32,),
        cut_width=16,
        random_state=0,
    )
    names = [*LABEL_PROTECTIONS, *FEATURE_PROTECTIONS]
    protections = [{name: STATED.get(name, {})} for name in names]
    found = audit(model, lender, y, {"partner": partner}, protections=protections)
    return found, dict(zip(names, found.trials[1:], strict=True))


@pytest.mark.data
def test_an_unprotected_cut_tells_nearly_everything(credit):
    plain = credit[0].trials[0]
    assert plain.learnt("direction") > 0.48
    assert plain.beyond("completion") > 0.0
    assert plain.learnt("reconstruction") > 0.7


@pytest.mark.data
@pytest.mark.parametrize("name", [*LABEL_PROTECTIONS, *FEATURE_PROTECTIONS])
def test_a_protection_lowers_the_attacks_that_it_names(credit, name):
    """By 30 % of what they learn, for at most 0.1 of AUC."""
    found, trials = credit
    kinds = LABEL_PROTECTIONS if name in LABEL_PROTECTIONS else FEATURE_PROTECTIONS
    lowers = kinds[name].lowers
    assert lowers
    assert set(lowers) <= set(found.lowered(trials[name]))
    assert trials[name].quality >= found.trials[0].quality - 0.1
