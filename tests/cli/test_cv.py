"""`secureboost cv` and `tune`: what they find, print and write, and how they end."""

import contextlib
import io
import json
import signal
import tomllib
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from sklearn.model_selection import StratifiedKFold
from support.cli import run
from support.companies import Process, address, make_companies, sets
from support.federation import InsecureKeyClassifier

import secureboost
from secureboost import FeatureParty, SecureBoostClassifier
from secureboost.cli.fold_progress import FoldProgress
from secureboost.cli.space import Between
from secureboost.config import load_train_config
from secureboost.estimator import SecureBoostModel
from secureboost.tables import read_table
from secureboost.validation import Round

ROUNDS = 3
SPACE = """\
max_depth = [1, 2, 3]
learning_rate = { low = 0.05, high = 0.5, log = true }
"""


@pytest.fixture(scope="module")
def companies(tmp_path_factory):
    return make_companies(tmp_path_factory.mktemp("companies"), rows=90)


@pytest.fixture
def bureau_here(companies, monkeypatch):
    """The bureau in this process, under a short key: the rest is as between companies."""
    table = read_table(companies.bureau / "bureau.csv", "id")
    party = FeatureParty("bureau", table, insecure_test_keys=True)

    @contextlib.contextmanager
    def here(_config):
        yield [party]

    monkeypatch.setattr("secureboost.cli.validating.remote_parties", here)
    monkeypatch.setattr(SecureBoostModel, "_generate_key", InsecureKeyClassifier._generate_key)
    return party


def ask(command, companies, *settings, more=()):
    chosen = (f"model.n_estimators={ROUNDS}", *settings)
    return run(command, companies.train_toml, *sets(chosen), *more, COLUMNS="200")


def pooled(companies):
    """The training rows of the configuration, with everybody's columns."""
    lender, bureau = (
        read_table(companies.folder / name / f"{name}.csv", "id") for name in ("lender", "bureau")
    )
    table = pd.concat([lender, bureau], axis="columns")
    rows, _ = secureboost.data.stratified_holdout(table["bad"].to_numpy(), 0.2, 0)
    return table.iloc[rows].drop(columns="bad"), table["bad"].iloc[rows].to_numpy()


def table_of(text):
    """The cells of the rows of a table."""
    return {line.split()[0]: line.split()[1:] for line in text.splitlines() if line.split()}


# --- cv


def test_cv_is_the_pooled_one_and_is_shown_and_written(companies, bureau_here, tmp_path):
    done = ask("cv", companies, more=("--folds", 3, "--out", tmp_path / "out"))
    assert done.exit_code == 0, done.output
    X, y = pooled(companies)
    splits = list(StratifiedKFold(3, shuffle=True, random_state=0).split(X, y))
    model = SecureBoostClassifier(
        n_estimators=ROUNDS, max_depth=2, max_bin=8, eval_metric=["logloss", "auc"]
    )
    expected = secureboost.cv(model, X, y, folds=splits)
    found = json.loads((tmp_path / "out" / "cv.json").read_text())
    assert found["folds"] == list(expected.folds)
    assert found["best_iteration"] == expected.best_iteration
    assert (found["best_score"], found["deviation"]) == (expected.best_score, expected.deviation)
    assert (found["metric"], found["rows"], found["rows_held_out"]) == ("auc", 72, 18)
    assert found["parties"] == ["bureau"]
    history = pd.read_csv(tmp_path / "out" / "cv.csv", index_col="round", dtype=str).astype(float)
    assert history.to_dict("list") == expected.history.to_dict("list")

    best = expected.best_iteration
    rows = table_of(done.stdout)
    assert list(rows)[-5:] == ["1", "2", "3", "mean", "deviation"]
    for number, fold in enumerate(expected.folds, start=1):
        shown = [fold[part][metric][best] for part in fold for metric in fold[part]]
        assert rows[str(number)] == [str(ROUNDS), *(f"{value:.4f}" for value in shown)]
    assert rows["mean"][-1] == f"{expected.best_score:.4f}"
    assert rows["deviation"][-1] == f"{expected.deviation:.4f}"
    assert f"After {best + 1} rounds, the best by the mean of test auc" in done.stdout
    assert "3 folds of 72 training rows; 18 held out are left alone" in done.stderr
    assert f"fold 3 of 3, round {ROUNDS} of {ROUNDS}, auc: train " in done.stderr


def test_folds_stop_early_without_rows_that_are_held_out(companies, bureau_here):
    settings = ("model.n_estimators=40", "model.early_stopping_rounds=1", "test_size=0")
    done = ask("cv", companies, *settings, more=("--folds", 2))
    assert done.exit_code == 0, done.output
    assert "2 folds of 90 training rows\n" in done.stderr
    rows = table_of(done.stdout)
    assert int(rows["1"][0]) < 40
    assert "The last round is the best one" not in done.stderr


def test_numbers_are_cross_validated(companies, bureau_here):
    done = ask("cv", companies, "data.target=income", "model.objective=reg:squarederror")
    assert done.exit_code == 0, done.output
    assert "the best by the mean of test rmse" in done.stdout


def test_what_was_measured_is_shown_if_a_party_fails_or_ctrl_c_is_pressed(
    companies, bureau_here, monkeypatch, tmp_path
):
    measured = secureboost.gbdt.booster._add_leaves
    for error, code, stop_at in (
        (KeyboardInterrupt, 130, 2 * ROUNDS + 2),  # in the second round of fold 3
        (ConnectionResetError, 5, 2 * ROUNDS + 2),
        (KeyboardInterrupt, 130, 2),
        (KeyboardInterrupt, 130, 1),
    ):
        left = SimpleNamespace(trees=stop_at)

        def fail(*args, _error=error, _left=left, **kwargs):
            _left.trees -= 1
            if not _left.trees:
                raise _error("a value")
            return measured(*args, **kwargs)

        monkeypatch.setattr("secureboost.gbdt.booster._add_leaves", fail)
        done = ask("cv", companies, more=("--out", tmp_path, "--folds", 4))
        assert done.exit_code == code
        assert ("Only 2 of 4 folds. After " in done.stdout) == (stop_at > 2)
        if stop_at > 2:
            assert list(table_of(done.stdout))[-4:] == ["1", "2", "mean", "deviation"]
            assert f"Fold 3 had 1 of {ROUNDS} rounds: auc: train " in done.stderr
        else:
            assert done.stdout == ""
            assert ("Fold 1 had 1 of " in done.stderr) == (stop_at == 2)
        assert list(tmp_path.iterdir()) == []


def test_runs_are_recorded(companies, bureau_here, tmp_path):
    (tmp_path / "space.toml").write_text(SPACE)
    registry = ("--registry", tmp_path / "runs.db")
    done = ask("cv", companies, more=("--folds", 2, "--out", tmp_path / "cv", *registry))
    assert done.exit_code == 0, done.output
    options = ("--space", tmp_path / "space.toml", "--trials", 2, "--out", tmp_path / "tuned")
    assert ask("tune", companies, more=(*options, *registry)).exit_code == 0
    tuned, crossed = json.loads(run("runs", "list", "--json", *registry).stdout)
    found = json.loads((tmp_path / "cv" / "cv.json").read_text())
    assert (crossed["command"], crossed["state"], crossed["rounds"]) == ("cv", "finished", ROUNDS)
    assert crossed["folder"] == str(tmp_path / "cv")
    assert crossed["parties"] == ["bureau"]
    assert crossed["parameters"]["folds"] == 2
    assert next(iter(crossed["metrics"]["test"])) == "auc"
    assert crossed["metrics"]["test"]["auc"] == found["best_score"]
    assert crossed["metrics"]["test"]["auc-std"] == found["deviation"]
    assert crossed["bytes_sent"] == found["bytes_sent"] > 0
    best = pd.read_csv(tmp_path / "tuned" / "trials.csv").iloc[0]
    assert tuned["command"] == "tune"
    assert tuned["parameters"]["trials"] == 2
    assert tuned["parameters"]["max_depth"] == best["max_depth"]
    assert tuned["metrics"]["test"]["auc"] == pytest.approx(best["score"])
    shown = run("runs", "show", tuned["id"], *registry, COLUMNS="200")
    assert shown.exit_code == 0, shown.output


@pytest.mark.parametrize(
    ("settings", "options", "code", "message"),
    [
        (("model.max_dept=3",), (), 3, "model.max_dept: there is no such setting. Did you mean"),
        (("model.scheme=plain",), (), 3, "model.scheme: 'plain' encrypts nothing"),
        ((), ("--folds", 1), 2, "--folds"),
        ((), ("--folds", 50), 3, "--folds: 50 folds need at least 50 training rows of each class"),
        (
            ("data.target=income", "model.objective=reg:squarederror"),
            ("--folds", 73),
            3,
            "--folds: 73 folds need at least 73 training rows; there are 72",
        ),
        (("data.target=bat",), (), 4, "there is no target column 'bat'. Did you mean 'bad'?"),
        (("model.monotone_constraints={incme=1}",), (), 3, "monotone_constraints names 'incme'"),
        ((), ("--out", "FILE"), 3, "cannot be written into: File exists"),
        ((), ("--out", "FULL"), 3, "holds cv.csv already; name another folder, or --force"),
    ],
)
def test_bad_input_of_cv(companies, bureau_here, tmp_path, settings, options, code, message):
    (tmp_path / "FILE").touch()
    (tmp_path / "FULL").mkdir()
    (tmp_path / "FULL" / "cv.csv").touch()
    options = [tmp_path / word if word in ("FILE", "FULL") else word for word in options]
    done = ask("cv", companies, *settings, more=options)
    assert (done.exit_code, message in done.stderr) == (code, True), done.output
    assert done.stdout == ""


# --- tune


def tuned(companies, folder, *options, settings=()):
    (folder / "space.toml").write_text(SPACE)
    more = ("--space", folder / "space.toml", "--out", folder, *options)
    return ask("tune", companies, *settings, more=more)


def test_trials_are_shown_and_written_best_first(companies, bureau_here, tmp_path):
    done = tuned(companies, tmp_path, "--trials", 4, "--seed", 7)
    assert done.exit_code == 0, done.output
    trials = pd.read_csv(tmp_path / "trials.csv", index_col="trial")
    names = ["max_depth", "learning_rate", "score", "deviation", "round", "seconds"]
    assert list(trials.columns) == names
    assert sorted(trials.index) == [1, 2, 3, 4]
    assert trials["score"].is_monotonic_decreasing
    assert trials["max_depth"].isin([1, 2, 3]).all()
    assert trials["learning_rate"].between(0.05, 0.5).all()
    rows = table_of(done.stdout)
    assert list(rows)[-4:] == [str(number) for number in trials.index]
    best = trials.iloc[0]
    numbers = [f"{best['score']:.4f}", f"{best['deviation']:.4f}", str(int(best["round"]) + 1)]
    assert rows[str(trials.index[0])][:3] == numbers
    lines = [line for line in done.stderr.splitlines() if line.startswith("trial   ")]
    assert [line.split()[1] for line in lines] == ["1", "2", "3", "4"]
    assert "best so far" in lines[0]
    assert f"learning_rate={trials.loc[1, 'learning_rate']}" in lines[0]
    again = tuned(companies, tmp_path, "--trials", 4, "--seed", 7, "--force")
    assert again.exit_code == 0
    columns = ["max_depth", "learning_rate", "score"]
    pd.testing.assert_frame_equal(
        pd.read_csv(tmp_path / "trials.csv", index_col="trial")[columns], trials[columns]
    )
    assert tuned(companies, tmp_path, "--trials", 4).exit_code == 3


def test_the_best_is_a_model_table(companies, bureau_here, tmp_path):
    settings = ("model.monotone_constraints={income=1}", "model.grow_policy=lossguide")
    done = tuned(companies, tmp_path, "--trials", 2, settings=settings)
    assert done.exit_code == 0, done.output
    trials = pd.read_csv(tmp_path / "trials.csv")
    model = tomllib.loads((tmp_path / "best.toml").read_text())["model"]
    assert model == {
        "n_estimators": int(trials["round"][0]) + 1,
        "max_depth": trials["max_depth"][0],
        "max_bin": 8,
        "monotone_constraints": {"income": 1},
        "grow_policy": "lossguide",
        "learning_rate": trials["learning_rate"][0],
    }
    text = companies.train_toml.read_text()
    head, _, rest = text.partition("[model]")
    pasted = companies.lender / "pasted.toml"
    pasted.write_text(head + (tmp_path / "best.toml").read_text() + rest[rest.index("[tls]") :])
    assert load_train_config(pasted).model == model
    line = next(line for line in done.stderr.splitlines() if "secureboost train" in line)
    assert line.split()[:3] == ["secureboost", "train", str(companies.train_toml)]
    assert f"--set model.learning_rate={model['learning_rate']}" in line
    assert line.count("model.n_estimators") == 1
    assert "--set 'model.monotone_constraints={income=1}'" in line


def test_rounds_are_left_to_early_stopping(companies, bureau_here, tmp_path):
    settings = ("model.n_estimators=9", "model.early_stopping_rounds=1")
    done = tuned(companies, tmp_path, "--trials", 1, settings=settings)
    assert done.exit_code == 0, done.output
    model = tomllib.loads((tmp_path / "best.toml").read_text())["model"]
    assert (model["n_estimators"], model["early_stopping_rounds"]) == (9, 1)


def test_without_a_space_common_values_are_drawn(companies, bureau_here, tmp_path):
    options = ("--seconds", 0.001, "--folds", 2, "--out", tmp_path)
    done = ask("tune", companies, more=options)
    assert done.exit_code == 0, done.output
    trials = pd.read_csv(tmp_path / "trials.csv")
    assert len(trials) == 1  # time is up, but one is made
    assert set(secureboost.validation.DEFAULT_SPACE) < set(trials.columns)


def test_trials_are_kept_if_it_is_stopped(companies, bureau_here, tmp_path, monkeypatch):
    measured, left = secureboost.gbdt.booster._add_leaves, [2 * 3 * ROUNDS + 4]

    def fail(*args, **kwargs):
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt
        return measured(*args, **kwargs)

    monkeypatch.setattr("secureboost.gbdt.booster._add_leaves", fail)
    done = tuned(companies, tmp_path, "--seconds", 1000)
    assert done.exit_code == 130
    assert set(list(table_of(done.stdout))[-2:]) == {"1", "2"}
    assert len(pd.read_csv(tmp_path / "trials.csv")) == 2
    assert tomllib.loads((tmp_path / "best.toml").read_text())["model"]["max_bin"] == 8
    assert done.stderr.splitlines()[-2] == "Stopped"


@pytest.mark.parametrize(
    ("space", "options", "message"),
    [
        ("max_depth = [2]", (), "give --seconds, --trials or both"),
        ("max_depth = [2]", ("--seconds", 0), "--seconds: 0 must be above 0"),
        ("max_depth = [2]", ("--seconds", "nan"), "--seconds: nan must be above 0"),
        ("max_dept = [2]", (), "space names 'max_dept', which is no parameter of"),
        ("key_bits = [2048]", (), "space names 'key_bits', which says what is measured or how"),
        ("max_depth = [2, -1]", (), "space.max_depth: max_depth=-1 must be at least 0"),
        ("max_depth = []", (), "space.max_depth: is [] but must be a list of values"),
        ("max_depth = 3", (), "space.max_depth: is 3 but must be a list of values"),
        ("gamma = { low = 1.0 }", (), "space.gamma.high: is missing"),
        ("gamma = { low = 1.0, hi = 2.0 }", (), "space.gamma.hi: there is no such setting. Did"),
        ("gamma = { low = 2, high = 1 }", (), "space.gamma.low: is 2; it must be below high"),
        ("gamma = { low = 'a', high = 1 }", (), "space.gamma.low: 'a' cannot be used: it must"),
        (
            "gamma = { low = 0, high = 1, log = true }",
            (),
            "space.gamma.low: is 0; with log",
        ),
        ("subsample = { low = 0.5, high = 2.0 }", (), "space.subsample: subsample=2.0 must be"),
        ("", (), "space.toml: it names no parameter"),
        ("max_depth = ", (), "space.toml: the file is not valid TOML"),
        (None, (), "space.toml: there is no such file"),
    ],
)
def test_bad_input_of_tune(companies, bureau_here, tmp_path, space, options, message):
    if space is not None:
        (tmp_path / "space.toml").write_text(space)
    if "both" not in message:
        options = options or ("--trials", 1)
    more = ("--space", tmp_path / "space.toml", "--out", tmp_path / "out", *options)
    done = ask("tune", companies, more=more)
    assert (done.exit_code, message in done.stderr) == (3, True), done.output
    assert not (tmp_path / "out").exists()


def test_a_draw_that_contradicts_itself_is_a_bad_configuration(companies, bureau_here, tmp_path):
    (tmp_path / "space.toml").write_text("sampling_method = ['goss']\nsubsample = [0.5]")
    more = ("--space", tmp_path / "space.toml", "--out", tmp_path, "--trials", 1)
    done = ask("tune", companies, more=more)
    assert done.exit_code == 3
    assert "space gave values that cannot be used: subsample=0.5" in done.stderr


@pytest.mark.parametrize("log", [False, True])
def test_ranges(log):
    draws = np.random.RandomState(0)
    whole = [Between(1, 4, log).rvs(draws) for _ in range(4000)]
    assert {type(value) for value in whole} == {int}
    counts = np.bincount(whole, minlength=5)[1:]
    edges = np.arange(0.5, 5.0)
    share = np.diff(np.log(edges) if log else edges)
    assert counts / 4000 == pytest.approx(share / share.sum(), abs=0.03)
    real = np.array([Between(0.0123456, 0.5, log).rvs(draws) for _ in range(4000)])
    assert 0.0123456 <= real.min() < 0.02
    assert 0.45 < real.max() <= 0.5
    middle = np.sqrt(0.0123456 * 0.5) if log else (0.0123456 + 0.5) / 2
    assert np.mean(real < middle) == pytest.approx(0.5, abs=0.03)


# --- progress


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def shown(progress, clock, **now):
    clock.now = now.pop("at")
    values = {"train": {"auc": [0.8]}, "test": {"auc": [0.7]}}
    progress.show_round(Round(**now, n_folds=2, n_rounds=10, history=values))
    return progress.state_text(), progress.time_left_text(), progress.rounds


def make_progress(clock, **how):
    return FoldProgress(2, 10, Console(file=io.StringIO(), width=200), clock=clock, **how)


def test_progress_of_folds():
    clock = Clock()
    progress = make_progress(clock)
    assert progress.state_text() == "fold 1 of 2, round 0 of 10"
    assert progress.rounds == (0, 20)
    text = "auc: train 0.8000, test 0.7000"
    assert shown(progress, clock, at=1, trial=1, fold=1, rounds=1) == (
        f"fold 1 of 2, round 1 of 10, {text}",
        "19 s left",
        (1, 20),
    )
    assert shown(progress, clock, at=5, trial=1, fold=1, rounds=5)[1:] == ("15 s left", (5, 20))
    # it stopped early
    assert shown(progress, clock, at=6, trial=1, fold=2, rounds=1) == (
        f"fold 2 of 2, round 1 of 10, {text}",
        "9 s left",
        (6, 15),
    )
    assert progress.state_text(short=True) == "fold 2/2, round 1/10, auc 0.8000/0.7000"


def test_progress_of_trials():
    clock = Clock()
    progress = make_progress(clock, tuning=True, n_trials=5, seconds=60)
    state, left, done = shown(progress, clock, at=1, trial=1, fold=1, rounds=1)
    assert state.startswith("trial 1, fold 1 of 2, round 1 of 10, ")
    assert (left, done) == ("59 s left", (1, 100))  # of 99, but for the time that is given
    at = 1
    for trial in (1, 2, 3):
        for fold in (1, 2):
            at += 5
            left = shown(progress, clock, at=at, trial=trial, fold=fold, rounds=10)[1]
    assert left == "20 s left"  # two more trials at the pace so far, though 29 s are given
    clock = Clock()
    progress = make_progress(clock, tuning=True, n_trials=None, seconds=5)
    left = shown(progress, clock, at=3, trial=1, fold=1, rounds=1)[1]
    assert left == "57 s left"  # a trial that has begun is ended
    assert progress.rounds == (1, 40)


# --- between companies


def test_over_tls_in_processes_of_their_own(companies, tmp_path):
    with companies.serve() as served:
        where = address(served)
        crossed = ask("cv", companies, where, more=("--folds", 2))
        assert crossed.exit_code == 0, crossed.output
        assert "the best by the mean of test auc" in crossed.stdout
        done = tuned(companies, tmp_path, "--trials", 2, "--folds", 2, settings=(where,))
        assert done.exit_code == 0, done.output
        assert len(pd.read_csv(tmp_path / "trials.csv")) == 2
        long = sets((where, "model.n_estimators=1000"))
        with Process("cv", companies.train_toml, *long) as crossed:
            crossed.wait_line("fold 1 of 5, round 1 of 1000")
            served.wait_line("tree 3 of 1000")
            assert crossed.end(signal.SIGINT, within=5) == 130
        assert "of 1000 rounds: auc: train " in crossed.text
        assert "Stopped" in crossed.text.splitlines()
        served.wait_line("the session ended early")
        assert "Traceback" not in crossed.text + served.text
        assert served.text.count("lender has finished") == 2 + 3  # each compares ids first
        assert served.text.count("forgotten") == 2 + 4
    kept = {path.name for path in (companies.bureau / "models").rglob("*.json")}
    assert kept == {"budget.json"}
