"""A crash at any moment, on either side: what goes on gives the undisturbed model, with ``==``."""

import errno
import hashlib
import os
import tempfile

import numpy as np
import pytest
from support.crashing import Counter
from support.federation import Federation, InsecureKeyClassifier
from support.tables import random_table

import secureboost.gbdt.checkpoint as checkpoint_module
from parties.errors import PartyError, PeerRefusedError
from secureboost import SecureBoostClassifier, joined_trees
from secureboost.errors import ConfigError, ModelError

PARAMETERS = {
    "n_estimators": 4,
    "max_depth": 2,
    "random_state": 7,
    "subsample": 0.8,
    "colsample_bynode": 0.7,
    "scheme": "plain",
    "n_jobs": 1,
}


class CrashError(Exception):
    """Stands for a process that is gone."""


@pytest.fixture(scope="module")
def federation():
    return Federation(random_table(3, 120, ("continuous",) * 5, weighted=True), (1, 2, 2))


def fit(federation, parties, path, *, resume=False, init_model=None, **changes):
    parameters = {**PARAMETERS, **changes}
    n = len(federation.X) * 3 // 4
    return InsecureKeyClassifier(**parameters).fit(
        federation.X.iloc[:n],
        federation.y.iloc[:n],
        parties=parties,
        sample_weight=federation.weight[:n],
        eval_set=[(federation.X.iloc[n:], federation.y.iloc[n:])],
        init_model=init_model,
        checkpoint=path,
        resume=resume,
    )


def content(federation, model, parties):
    half = model.label_half_
    trees = joined_trees(half, [party.half(half.model_id) for party in parties])
    return (
        [tree.tolist() for tree in trees],
        model.decision_function(federation.X).tolist(),
        model.evals_result_,
        half.best_iteration,
    )


@pytest.mark.parametrize("answered", [False, True], ids=["question-lost", "answer-lost"])
@pytest.mark.parametrize("patience", [None, 1])
def test_a_party_that_is_gone_at_any_exchange(federation, tmp_path, answered, patience):
    counter = Counter()
    parties = federation.watched(wrap=counter)
    whole = fit(federation, parties, tmp_path / "whole", early_stopping_rounds=patience)
    n_exchanges = counter.seen - 2  # who is gone when told goodbye harms nobody
    expected = content(federation, whole, parties)
    assert n_exchanges > 20
    resumed = 0
    for at in range(n_exchanges):
        path = tmp_path / f"{at}"
        counter = Counter(at, answered=answered)
        parties = federation.watched(wrap=counter)
        with pytest.raises(PartyError):
            fit(federation, parties, path, early_stopping_rounds=patience)
        counter.at = -1
        resume = path.exists()
        resumed += resume
        model = fit(federation, parties, path, resume=resume, early_stopping_rounds=patience)
        assert content(federation, model, parties) == expected, at
        assert all(not party.store.unfinished for party in parties)
    assert resumed == n_exchanges - 6  # both are greeted, shown the ids and set up before


def test_a_model_that_begins_with_another_goes_on_too(federation, tmp_path):
    counter = Counter()
    parties = federation.watched(wrap=counter)
    start = {"n_estimators": 2, "init_model": fit(federation, parties, None, random_state=1)}
    counter.seen = 0
    whole = fit(federation, parties, tmp_path / "whole", **start)
    n_exchanges, resumed = counter.seen, 0
    expected = content(federation, whole, parties)
    for at in range(n_exchanges):
        path, counter.seen, counter.at = tmp_path / f"{at}", 0, at
        try:
            model = fit(federation, parties, path, **start)
        except PartyError:  # all but a lost goodbye
            counter.at = -1
            resumed += path.exists()
            model = fit(federation, parties, path, resume=path.exists(), **start)
        counter.at = -1
        assert content(federation, model, parties) == expected, at
    assert resumed > 20


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("patience", [None, 1])
def test_the_label_party_gone_around_each_checkpoint(
    federation, tmp_path, monkeypatch, moment, patience
):
    parties = federation.parties()
    expected = content(
        federation,
        fit(federation, parties, tmp_path / "whole", early_stopping_rounds=patience),
        parties,
    )
    write = checkpoint_module.write_atomically
    for number in range(1 + len(expected[0])):
        seen = []

        def failing(path, data, *, mode, number=number, seen=seen):
            seen.append(path)
            if len(seen) == number + 1 and moment == "before":
                raise CrashError
            write(path, data, mode=mode)
            if len(seen) == number + 1:
                raise CrashError

        parties, path = federation.parties(), tmp_path / f"{number}"
        monkeypatch.setattr(checkpoint_module, "write_atomically", failing)
        with pytest.raises(CrashError):
            fit(federation, parties, path, early_stopping_rounds=patience)
        monkeypatch.setattr(checkpoint_module, "write_atomically", write)
        model = fit(federation, parties, path, resume=path.exists(), early_stopping_rounds=patience)
        assert content(federation, model, parties) == expected


def test_many_crashes_in_one_run(federation, tmp_path):
    parties = federation.watched(wrap=(counter := Counter()))
    path = tmp_path / "checkpoint"
    crashes = 0
    while True:
        counter.seen, counter.at = 0, 25
        try:
            model = fit(federation, parties, path, resume=path.exists())
        except PartyError:
            crashes += 1
            continue
        break
    assert crashes >= 2
    whole = federation.watched()
    counter.at = -1
    expected = content(federation, fit(federation, whole, tmp_path / "whole"), whole)
    assert content(federation, model, parties) == expected


def test_pooled_training_goes_on_too(tmp_path):
    table = random_table(1, 200, ("continuous",) * 4)
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 200)

    class Stop:
        def before_training(self, model):
            pass

        def after_iteration(self, model, epoch, evals_log):
            if epoch == 2:
                raise CrashError

        def after_training(self, model):
            pass

    path = tmp_path / "run"
    parameters = {"n_estimators": 5, "max_depth": 3, "random_state": None}
    with pytest.raises(CrashError):
        SecureBoostClassifier(**parameters, callbacks=[Stop()]).fit(table.X, y, checkpoint=path)
    # without a seed the run drew one, and keeps it
    parameters["subsample"] = 1.0
    model = SecureBoostClassifier(**parameters).fit(table.X, y, checkpoint=path, resume=True)
    whole = SecureBoostClassifier(**parameters).fit(table.X, y)
    assert np.array_equal(model.decision_function(table.X), whole.decision_function(table.X))
    assert len(model.label_half_.trees) == 15


class DiskFull:
    """From a round on there is no space: `spoil` is called with a function that says so."""

    def __init__(self, epoch, spoil):
        self.epoch, self.spoil = epoch, spoil

    def before_training(self, model):
        pass

    def after_iteration(self, model, epoch, evals_log):
        if epoch == self.epoch:
            self.spoil(self.no_space)

    def after_training(self, model):
        pass

    @staticmethod
    def no_space(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture(scope="module")
def undisturbed(federation, tmp_path_factory):
    parties = federation.parties()
    return content(
        federation, fit(federation, parties, tmp_path_factory.mktemp("whole") / "run"), parties
    )


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_checkpoint_that_was_there(
    federation, undisturbed, tmp_path, monkeypatch, call
):
    parties, path = federation.parties(), tmp_path / "run"
    with monkeypatch.context() as patch:
        full = DiskFull(2, lambda no_space: patch.setattr(os, call, no_space))
        with pytest.raises(OSError, match=rf"No space left on device: '{path}'"):
            fit(federation, parties, path, callbacks=[full])
    assert checkpoint_module.load_checkpoint(path).boosted.rounds == 2
    assert os.listdir(tmp_path) == ["run"]
    model = fit(federation, parties, path, resume=True)
    assert content(federation, model, parties) == undisturbed


def test_a_party_whose_disk_is_full_says_so(federation, undisturbed, tmp_path, monkeypatch):
    parties, path = federation.parties(), tmp_path / "run"
    with monkeypatch.context() as patch:
        full = DiskFull(2, lambda no_space: patch.setattr(parties[1].store, "keep", no_space))
        refusal = r"refused .cannot_be_kept.: this party's disk takes .*: No space left on device$"
        with pytest.raises(PeerRefusedError, match=refusal):
            fit(federation, parties, path, callbacks=[full])
    assert checkpoint_module.load_checkpoint(path).boosted.rounds == 2
    model = fit(federation, parties, path, resume=True)
    assert content(federation, model, parties) == undisturbed


def test_a_checkpoint_that_cannot_be_written_is_refused_before_anybody_is_asked(
    federation, tmp_path, monkeypatch
):
    def denied(**_kwargs):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))

    parties = federation.watched()
    (tmp_path / "file").touch()
    text = r"checkpoint: .*run cannot be written \({}\), and every round is kept there"
    with pytest.raises(ConfigError, match=text.format("File exists")):
        fit(federation, parties, tmp_path / "file" / "run")
    monkeypatch.setattr(tempfile, "TemporaryFile", denied)
    with pytest.raises(ConfigError, match=text.format("Permission denied")):
        fit(federation, parties, tmp_path / "run")
    assert not any(party.transports for party in parties)


def interrupted(federation, path, at=40, **changes):
    parties = federation.watched(wrap=Counter(at))
    with pytest.raises(PartyError):
        fit(federation, parties, path, **changes)
    for party in parties:
        party.wrap = lambda transport: transport
    return parties


def test_what_changed_is_named(federation, tmp_path):
    path = tmp_path / "run"
    parties = interrupted(federation, path)
    with pytest.raises(ConfigError, match=r"other max_depth \(2 then, 3 now\), subsample \(0.8 th"):
        fit(federation, parties, path, resume=True, max_depth=3, subsample=0.9)
    other = Federation(random_table(4, 120, ("continuous",) * 5), (1, 2, 2))
    with pytest.raises(ConfigError, match="other own columns, labels, weights"):
        fit(other, other.parties(), path, resume=True)
    with pytest.raises(ConfigError, match="other parties"):
        fit(federation, parties[:1], path, resume=True)
    # threads, key and scheme may change: the model does not depend on them
    fit(federation, parties, path, resume=True, n_jobs=2, scheme="paillier")


@pytest.mark.parametrize(("at", "changes"), [(40, {}), (10, {"label_party_trees": 4})])
def test_a_partner_whose_table_changed_is_named(federation, tmp_path, at, changes):
    """Also one that has no split yet."""
    path = tmp_path / "run"
    parties = interrupted(federation, path, at, **changes)
    changed = federation.watched()
    for party, before in zip(changed, parties, strict=True):
        party.store.unfinished.update(before.store.unfinished)
    name, table = next(iter(federation.tables.items()))
    moved = table.copy()
    moved.iloc[:, 0] += 1.0
    from support.federation import WatchedParty

    changed[0] = WatchedParty(name, moved)
    changed[0].store.unfinished.update(parties[0].store.unfinished)
    with pytest.raises(PartyError, match="cut off over other rows, values or bins"):
        fit(federation, changed, path, resume=True, **changes)


def test_a_run_is_not_written_over(federation, tmp_path):
    path = tmp_path / "run"
    parties = interrupted(federation, path)
    with pytest.raises(ConfigError, match="checkpoint of an interrupted run"):
        fit(federation, parties, path)
    fit(federation, parties, path, resume=True)
    fit(federation, parties, path)  # it had ended: a new run may begin


def of_version_1(data):
    body = data[32:].replace(b"\xa7version\x02", b"\xa7version\x01")
    assert body != data[32:]
    return hashlib.sha256(body).digest() + body


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[:-3], "is damaged"),
        (lambda data: b"", "is damaged"),
        (lambda data: data[:50] + b"\x00" + data[51:], "is damaged"),
        (of_version_1, "was written by another release; begin a new run"),
    ],
)
def test_a_damaged_checkpoint_is_refused(federation, tmp_path, damage, message):
    path = tmp_path / "run"
    parties = interrupted(federation, path)
    path.write_bytes(damage(path.read_bytes()))
    for resume in (True, False):
        with pytest.raises(ModelError, match=message):
            fit(federation, parties, path, resume=resume)


def test_resume_needs_a_checkpoint(federation, tmp_path):
    with pytest.raises(ConfigError, match="no checkpoint to resume from"):
        fit(federation, federation.parties(), tmp_path / "absent", resume=True)
    with pytest.raises(ValueError, match="resume=True needs checkpoint="):
        SecureBoostClassifier().fit(federation.X, federation.y, resume=True)


def test_a_checkpoint_is_its_owners_alone(federation, tmp_path):
    path = tmp_path / "run"
    interrupted(federation, path)
    assert path.stat().st_mode & 0o777 == 0o600
