"""Processes of two companies, killed while they train: going on gives the undisturbed model.

Everything is compared with ``==``: trees joined from both halves, scores, metrics of every round.
"""

import json
import signal

import pytest
from support.cli import run
from support.companies import address, make_companies, sets

import secureboost.run
from parties.errors import PeerUnreachableError
from secureboost import joined_trees
from secureboost.gbdt.checkpoint import load_checkpoint
from secureboost.gbdt.model import LabelHalf, PartyHalf, load_half
from secureboost.run_folder import prepare_folder

ROUNDS = 30
MODEL = (f"model.n_estimators={ROUNDS}", "model.random_state=5", "model.subsample=0.8")
METRICS = ("best_iteration", "folds", "history", "hold_out", "parameters", "parties", "rounds")


@pytest.fixture(scope="module")
def companies(tmp_path_factory):
    return make_companies(tmp_path_factory.mktemp("companies"))


@pytest.fixture(scope="module")
def undisturbed(companies):
    with companies.serve() as served:
        done = train(companies, address(served), "whole")
        assert done.exit_code == 0, done.stderr
    return content(companies, "whole")


def train(companies, where, out, *more):
    """Train in this process, which saves the start of another."""
    return run("train", companies.train_toml, *sets((where, *MODEL, f"out='{out}'")), *more)


def start(companies, where, out, *, resume=False):
    """Train in a process that can be killed."""
    return companies.train(where, *MODEL, f"out='{out}'", resume=resume)


def rounds_kept(companies, out):
    return load_checkpoint(companies.lender / out / "checkpoint.bin").boosted.rounds


def content(companies, out):
    """What a run has left at both companies."""
    folder = companies.lender / out
    half = load_half(folder / "model" / "label.json", LabelHalf)
    party = load_half(companies.bureau / "models" / f"{half.model_id}.json", PartyHalf)
    metrics = json.loads((folder / "metrics.json").read_text())
    return (
        [tree.tolist() for tree in joined_trees(half, [party])],
        (folder / "scores.csv").read_bytes(),
        {name: metrics[name] for name in METRICS},
    )


def test_the_label_party_is_killed_in_a_round_and_again(companies, undisturbed):
    with companies.serve() as served:
        where = address(served)
        for resume in (False, True):
            with start(companies, where, "label", resume=resume) as trained:
                served.wait_line("training begins")
                served.wait_line(r"tree \d+ of")
                tree = int(served.wait_line(r"tree (\d+) of")[1])
                assert trained.end(signal.SIGKILL) == -signal.SIGKILL
            served.wait_line("the session ended early")
            assert tree - 1 <= rounds_kept(companies, "label") < ROUNDS
        done = train(companies, where, "label", "--resume")
        assert done.exit_code == 0, done.stderr
    assert content(companies, "label") == undisturbed


def test_the_feature_party_is_killed_in_a_round(companies, undisturbed):
    with companies.serve() as served, start(companies, address(served), "feature") as trained:
        served.wait_line("tree 8 of")
        assert served.end(signal.SIGKILL) == -signal.SIGKILL
        assert trained.end(within=10) == 5
    assert 7 <= rounds_kept(companies, "feature") < ROUNDS
    with companies.serve() as served:
        done = train(companies, address(served), "feature", "--resume")
        assert done.exit_code == 0, done.stderr
    assert content(companies, "feature") == undisturbed


def test_both_are_killed_when_training_ends(companies, undisturbed):
    with companies.serve() as served, start(companies, address(served), "both") as trained:
        served.wait_line("training ends")
        assert served.end(signal.SIGKILL) == -signal.SIGKILL  # so nothing is scored
        assert trained.end(signal.SIGKILL) == -signal.SIGKILL
    assert rounds_kept(companies, "both") == ROUNDS
    with companies.serve() as served:
        done = train(companies, address(served), "both", "--resume")
        assert done.exit_code == 0, done.stderr
        served.wait_line("training ends")
        assert "tree" not in served.text
    assert content(companies, "both") == undisturbed
    assert not (companies.lender / "both" / "checkpoint.bin").exists()
    assert not list((companies.bureau / "models" / "unfinished").iterdir())


def test_a_run_whose_scoring_failed_is_scored_by_resume(companies, undisturbed, monkeypatch):
    def gone(*_args, **_kwargs):
        raise PeerUnreachableError("bureau", "is gone")

    with companies.serve() as served:
        where = address(served)
        with monkeypatch.context() as patch:
            patch.setattr(secureboost.run, "predictions", gone)
            done = train(companies, where, "unscored")
        assert done.exit_code == 5
        assert "`secureboost predict` scores with it, or go on by --resume." in done.stderr
        folder = companies.lender / "unscored"
        (folder / ".scores.csv.abc").write_text("id,fo")  # as if it had been killed a little later
        (folder / ".checkpoint.bin.abc").write_bytes(b"half")
        done = train(companies, where, "unscored", "--resume")
        assert done.exit_code == 0, done.stderr
    assert content(companies, "unscored") == undisturbed
    assert not list(folder.rglob(".*"))


def test_what_a_crash_left_of_the_first_checkpoint_is_in_nobodys_way(tmp_path):
    for name in ("log.jsonl", ".checkpoint.bin.abc"):
        (tmp_path / name).touch()
    prepare_folder(tmp_path, force=False)
    assert [path.name for path in tmp_path.iterdir()] == ["log.jsonl"]
