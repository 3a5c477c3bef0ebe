"""A crash at any moment, on either side: what goes on gives the undisturbed model, with ``==``."""

import numpy as np
import pytest
from support.crashing import Counter
from support.nets import Net, weights_of

import secureboost.splitnn.checkpoint as checkpoint_module
from parties.errors import PartyError, PeerRefusedError
from secureboost import SplitNNClassifier, pool_tables
from secureboost.errors import ConfigError, ModelError
from secureboost.splitnn.errors import DivergedError
from secureboost.splitnn.store import FolderBottoms
from secureboost.splitnn.terms import NetTerms

PARAMETERS = {"n_epochs": 3, "in_flight": 2, "batch_size": 30}


class CrashError(Exception):
    """Stands for a process that is gone."""


@pytest.fixture(scope="module")
def net():
    return Net(1, n_rows=80)


def fit(net, parties, path, *, resume=False, **changes):
    return net.fit(parties, checkpoint=path, resume=resume, **{**PARAMETERS, **changes})


def content(net, model, parties):
    return (
        {name: tensor.tolist() for name, tensor in weights_of(model, parties).items()},
        model.raw_scores(net.X, parties=parties).tolist(),
        model.evals_result_,
        model.training_loss_,
        model.label_half_.best_epoch,
    )


@pytest.mark.parametrize(
    ("answered", "patience"), [(False, None), (True, 1)], ids=["question-lost", "answer-lost"]
)
def test_a_party_that_is_gone_at_any_exchange(net, tmp_path, answered, patience):
    options = {"early_stopping_rounds": patience, "learning_rate": 0.1}
    counter = Counter()
    parties = net.watched(wrap=counter)
    whole = fit(net, parties, tmp_path / "whole", **options)
    n_exchanges = counter.seen - 1  # who is gone when told goodbye harms nobody
    expected = content(net, whole, parties)
    assert n_exchanges > 12
    resumed = 0
    for at in range(n_exchanges):
        path = tmp_path / f"{at}"
        counter = Counter(at, answered=answered)
        parties = net.watched(wrap=counter)
        with pytest.raises(PartyError):
            fit(net, parties, path, **options)
        counter.at = -1
        resume = path.exists()
        resumed += resume
        model = fit(net, parties, path, resume=resume, **options)
        assert content(net, model, parties) == expected, at
        assert all(not party.nets.store.unfinished for party in parties)
    assert resumed == n_exchanges - 3  # greeted, shown the ids and set up before


@pytest.mark.parametrize("moment", ["before", "after"])
def test_the_label_party_gone_around_each_checkpoint(net, tmp_path, monkeypatch, moment):
    parties = net.parties()
    expected = content(net, fit(net, parties, tmp_path / "whole"), parties)
    write = checkpoint_module.write_atomically
    for number in range(1 + PARAMETERS["n_epochs"]):
        seen = []

        def failing(path, data, *, mode, number=number, seen=seen):
            seen.append(path)
            if len(seen) == number + 1 and moment == "before":
                raise CrashError
            write(path, data, mode=mode)
            if len(seen) == number + 1:
                raise CrashError

        parties, path = net.parties(), tmp_path / f"{number}"
        monkeypatch.setattr(checkpoint_module, "write_atomically", failing)
        with pytest.raises(CrashError):
            fit(net, parties, path)
        monkeypatch.setattr(checkpoint_module, "write_atomically", write)
        model = fit(net, parties, path, resume=path.exists())
        assert content(net, model, parties) == expected


def test_many_crashes_in_one_run_and_bottoms_on_disk(net, tmp_path):
    whole = net.parties()
    expected = content(net, fit(net, whole, tmp_path / "whole", n_epochs=6), whole)
    counter = Counter()
    terms = NetTerms(store=FolderBottoms(tmp_path / "halves"))
    parties = net.watched(wrap=counter, nets=terms)
    path, crashes = tmp_path / "checkpoint", 0
    while True:
        counter.seen, counter.at = 0, 13
        try:
            model = fit(net, parties, path, resume=path.exists(), n_epochs=6)
        except PartyError:
            crashes += 1
            continue
        break
    assert crashes >= 2
    counter.at = -1
    assert content(net, model, parties) == expected
    assert not list((tmp_path / "halves" / "unfinished").iterdir())


def test_a_finished_run_is_finished_once_more(net, tmp_path):
    parties, path = net.parties(), tmp_path / "run"
    model = fit(net, parties, path)
    again = fit(net, parties, path, resume=True)
    assert again._half == model._half
    assert np.array_equal(again.raw_scores(net.X), model.raw_scores(net.X))
    fit(net, parties, path)  # a new run may begin over a finished one


def test_without_a_stated_seed_a_run_goes_on_with_its_own(net, tmp_path):
    parties, path = net.watched(wrap=(counter := Counter(12))), tmp_path / "run"
    with pytest.raises(PartyError):
        fit(net, parties, path, random_state=None)
    counter.at = -1
    first = checkpoint_module.load_checkpoint(path)
    model = fit(net, parties, path, random_state=None, resume=True)
    assert model.label_half_.model_id == first.kept.model_id
    assert len(model.training_loss_) == 3
    assert tuple(model.training_loss_[: first.kept.epoch]) == first.kept.losses
    assert first.kept.epoch >= 1


def test_pooled_training_goes_on_too(net, tmp_path):
    class Stop:
        def before_training(self, model):
            pass

        def after_iteration(self, model, epoch, evals_log):
            if epoch == 1:
                raise CrashError

        def after_training(self, model):
            pass

    pooled, owner = pool_tables(net.X, net.tables)
    path, options = tmp_path / "run", {**PARAMETERS, "random_state": 1, "dtype": "float64"}
    with pytest.raises(CrashError):
        SplitNNClassifier(**options, callbacks=[Stop()]).fit(
            pooled, net.y, column_owner=owner, checkpoint=path
        )
    model = SplitNNClassifier(**options).fit(
        pooled, net.y, column_owner=owner, checkpoint=path, resume=True
    )
    whole = SplitNNClassifier(**options).fit(pooled, net.y, column_owner=owner)
    assert np.array_equal(model.raw_scores(pooled), whole.raw_scores(pooled))


def test_a_run_may_go_on_longer_and_slower(net, tmp_path):
    parties = net.parties()
    expected = content(net, fit(net, parties, tmp_path / "whole", n_epochs=5), parties)
    parties, path = net.watched(wrap=(counter := Counter(12))), tmp_path / "run"
    with pytest.raises(PartyError):
        fit(net, parties, path)
    counter.at = -1
    model = fit(net, parties, path, resume=True, n_epochs=5)
    assert content(net, model, parties) == expected


def test_a_finished_run_does_not_go_on_longer(net, tmp_path):
    parties, path = net.parties(), tmp_path / "run"
    model = fit(net, parties, path)
    with pytest.raises(ConfigError, match="n_epochs: is 5, and the run is finished after 3 epochs"):
        fit(net, parties, path, resume=True, n_epochs=5)
    again = fit(net, parties, path, resume=True)
    assert content(net, again, parties) == content(net, model, parties)


def test_a_run_that_was_stopped_early_stays_as_it_is(net, tmp_path):
    options = {"early_stopping_rounds": 1, "learning_rate": 0.5, "n_epochs": 20}
    parties, path = net.parties(), tmp_path / "run"
    model = fit(net, parties, path, **options)
    assert len(model.training_loss_) < 20
    again = fit(net, parties, path, resume=True, **options | {"n_epochs": 30})
    assert content(net, again, parties) == content(net, model, parties)


def test_the_last_good_checkpoint_outlives_a_divergence(net, tmp_path):
    calls = {"left": 6}

    def squared(y_true, y_pred):
        calls["left"] -= 1
        factor = 1e308 if calls["left"] < 0 else 1.0
        return factor * (y_pred - y_true), np.ones_like(y_true)

    options = {"objective": squared, "n_epochs": 6, "learning_rate": 0.05, "optimizer": "sgd"}
    parties, path = net.parties(), tmp_path / "run"
    with pytest.raises(DivergedError, match=r"the last good epoch \(resume=True\)") as caught:
        fit(net, parties, path, **options)
    assert caught.value.step in (6, 7)
    kept = checkpoint_module.load_checkpoint(path)
    assert kept.kept.epoch == 3
    calls["left"] = 1000
    model = fit(net, parties, path, resume=True, **{**options, "learning_rate": 0.01})
    assert len(model.training_loss_) == 6
    assert np.isfinite(model.raw_scores(net.X)).all()


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"batch_size": 31}, r"other batch_size \(30 then, 31 now\)"),
        ({"bottom_hidden": (9,)}, r"other bottom_hidden \(\[8\] then, \[9\] now\)"),
        ({"random_state": 6}, r"other random_state"),
    ],
)
def test_another_run_is_not_gone_on_with(net, tmp_path, changes, text):
    parties, path = net.watched(wrap=(counter := Counter(12))), tmp_path / "run"
    with pytest.raises(PartyError):
        fit(net, parties, path)
    counter.at = -1
    with pytest.raises(ConfigError, match=text):
        fit(net, parties, path, resume=True, **changes)
    with pytest.raises(ConfigError, match="is the checkpoint of an interrupted run"):
        fit(net, parties, path)


@pytest.mark.parametrize("what", ["labels", "own columns", "rows", "parties"])
def test_other_data_are_not_gone_on_with(net, tmp_path, what):
    parties, path = net.watched(wrap=(counter := Counter(12))), tmp_path / "run"
    with pytest.raises(PartyError):
        fit(net, parties, path)
    counter.at = -1
    other = Net(1, n_rows=80)
    if what == "labels":
        other.y = other.y.copy()
        other.y[0] = "good" if other.y[0] == "bad" else "bad"
    elif what == "own columns":
        other.X = other.X.copy()
        other.X.iloc[3, 0] += 1
    elif what == "rows":
        other.X = other.X.iloc[[1, 0, *range(2, 80)]]
    else:
        parties = [type(parties[0])("somebody", other.tables["party1"])]
    with pytest.raises(ConfigError, match=f"cannot go on with other .*{what}"):
        fit(other, parties, path, resume=True)


def test_a_party_whose_table_has_changed_is_not_gone_on_with(net, tmp_path):
    parties, path = net.watched(wrap=(counter := Counter(12))), tmp_path / "run"
    with pytest.raises(PartyError):
        fit(net, parties, path)
    counter.at = -1
    other = net.tables["party1"].copy()
    other.iloc[:, 0] += 1
    changed = type(parties[0])("party1", other, nets=NetTerms(store=parties[0].nets.store))
    with pytest.raises(PeerRefusedError, match="cut off over other rows or values"):
        fit(net, [changed], path, resume=True)


def test_files_that_are_no_checkpoints(net, tmp_path):
    path = tmp_path / "run"
    with pytest.raises(ConfigError, match="no checkpoint to resume from"):
        fit(net, net.parties(), path, resume=True)
    with pytest.raises(ValueError, match="resume=True needs checkpoint="):
        net.fit(net.parties(), resume=True)
    path.write_bytes(b"rubbish")
    with pytest.raises(ModelError, match="is not a file of that kind"):
        fit(net, net.parties(), path, resume=True)
