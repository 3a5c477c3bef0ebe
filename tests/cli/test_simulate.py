"""`secureboost simulate`: what it writes, what it prints, and what a run that fails leaves."""

import html
import json
import os
import pty
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from support.cli import run
from support.companies import two_tables

from secureboost.api import SecureBoostClassifier

RESULTS = {"label.json", "bureau.json", "metrics.json", "scores.csv", "report.html", "log.jsonl"}


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Partly overlapping tables in different orders; ids 10 to 79 are common."""
    folder = tmp_path_factory.mktemp("tables")
    lender, bureau = two_tables(90)
    lender.iloc[:80].to_csv(folder / "lender.csv")
    bureau.iloc[:9:-1].to_csv(folder / "bureau.csv")
    return folder


def options(tables, out, *settings, scheme="plain"):
    chosen = ("n_estimators=2", "max_depth=2", "max_bin=8", f"scheme={scheme}", *settings)
    return [
        *("simulate", "--label", tables / "lender.csv", "--target", "bad", "--id", "id"),
        *("--party", f"bureau={tables / 'bureau.csv'}", "--out", out),
        *(word for setting in chosen for word in ("--set", setting)),
    ]


def simulate(tables, out, *settings, more=(), **how):
    return run(*options(tables, out, *settings, **how), *more)


def left(out):
    return {path.name for path in out.rglob("*") if path.is_file()}


def events(out):
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def test_a_run_joins_by_id_and_writes_everything(tables, tmp_path):
    done = simulate(tables, tmp_path)
    assert done.exit_code == 0
    assert "rows: label party 80, bureau 80; common 70" in done.stderr
    assert [word for word in ("train", "test") if word in done.stdout] == ["train", "test"]
    assert left(tmp_path) == RESULTS
    scores = pd.read_csv(tmp_path / "scores.csv")
    assert list(scores.columns) == ["id", "fold", "score"]
    assert list(scores["id"]) == [f"C{number:05d}" for number in range(10, 80)]
    assert scores["fold"].value_counts().to_dict() == {"train": 56, "test": 14}
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["folds"]["test"]["rows"] == 14
    assert metrics["folds"]["train"]["auc"] > 0.8
    assert os.stat(tmp_path / "scores.csv").st_mode & 0o077 == 0


def test_rows_that_all_of_several_parties_have_are_taken(tables, tmp_path):
    lender, bureau = two_tables(90)
    bureau[["loans"]].iloc[:60].sample(frac=1, random_state=2).to_csv(tmp_path / "telco.csv")
    more = ("--party", f"telco={tmp_path / 'telco.csv'}")
    done = simulate(tables, tmp_path / "run", more=more)
    assert done.exit_code == 0, done.stderr
    assert "rows: label party 80, bureau 80, telco 60; common 50" in done.stderr
    scores = pd.read_csv(tmp_path / "run" / "scores.csv").set_index("id")
    assert list(scores.index) == list(lender.index[10:60])
    pooled = lender.iloc[10:60].drop(columns="bad").join(bureau)
    pooled = pooled.assign(more_loans=bureau["loans"])
    train = scores["fold"] == "train"
    twin = SecureBoostClassifier(n_estimators=2, max_depth=2, max_bin=8)
    twin.fit(pooled[train], lender.loc[pooled.index[train], "bad"])
    assert (twin.predict_proba(pooled)[:, 1] == scores["score"]).all()


def test_the_log_tells_events_and_no_values(tables, tmp_path):
    simulate(tables, tmp_path)
    assert [event["event"] for event in events(tmp_path)] == [
        "common", "begin", "round", "round", "trained", "written", "end",
    ]  # fmt: skip
    text = (tmp_path / "log.jsonl").read_text()
    for private in ("C000", "income", "late", "threshold"):
        assert private not in text


def test_2048_bits_give_what_no_encryption_gives(tables, tmp_path):
    named = {
        "plain": "none (scheme 'plain'",
        "paillier": "Paillier, 2048 bits",
        "paillier-short-exponent-djn": "Paillier-short-exponent-djn, 2048 bits",
    }
    scores = []
    for scheme, in_report in named.items():
        out = tmp_path / scheme
        assert simulate(tables, out, "n_estimators=1", scheme=scheme).exit_code == 0
        assert in_report in html.unescape((out / "report.html").read_text())
        scores.append(pd.read_csv(out / "scores.csv"))
    for other in scores[1:]:
        pd.testing.assert_frame_equal(scores[0], other, check_exact=True)


def test_a_model_scores_what_simulate_scored(tables, tmp_path):
    simulate(tables, tmp_path, "test_size=0")
    done = run(
        *("predict", tmp_path / "model", "--data", tables / "lender.csv", "--id", "id"),
        *("--party", f"bureau={tables / 'bureau.csv'}"),
    )
    assert done.exit_code == 4
    assert (
        "lender.csv: bureau does not have 10 rows (first at data rows 1, 2, 3, 4, 5)" in done.stderr
    )
    common = pd.read_csv(tables / "lender.csv", dtype={"id": str}).iloc[10:].sample(frac=1)
    common.rename(columns={"bad": "unused"}).to_csv(tmp_path / "new.csv", index=False)
    done = run(
        *("predict", tmp_path / "model", "--data", tmp_path / "new.csv", "--id", "id"),
        *("--party", f"bureau={tables / 'bureau.csv'}", "--out", tmp_path / "new-scores.csv"),
    )
    assert done.exit_code == 0
    expected = pd.read_csv(tmp_path / "scores.csv").set_index("id")["score"]
    got = pd.read_csv(tmp_path / "new-scores.csv").set_index("id")["score"]
    assert (got == expected[got.index]).all()


@pytest.mark.parametrize(
    ("setting", "code", "message"),
    [
        ("max_dept=3", 3, "max_dept: there is no such setting. Did you mean 'max_depth'?"),
        ("testsize=0.3", 3, "testsize: there is no such setting. Did you mean 'test_size'?"),
        ("max_depth=-1", 3, "max_depth=-1 must be at least 0"),
        ("max_depth=deep", 3, "max_depth='deep' is not an integer"),
        ("max_bin=256", 3, "max_bin=256 must be 2 to 255"),
        ("subsample=0", 3, "subsample=0 must be above 0 and at most 1"),
        ("base_score=2", 3, "base_score=2: binary:logistic takes a probability"),
        ("grow_policy=x", 3, "grow_policy='x' is not one of depthwise, lossguide"),
        ("importance_type=x", 3, "importance_type='x' is not one of gain"),
        ("n_jobs=0", 3, "n_jobs=0 is not a whole number other than 0"),
        ("key_bits=many", 3, "key_bits='many' is not a whole number"),
        ("scheme=rsa", 3, "scheme='rsa' is unknown; use one of: paillier, paillier-short-"),
        ("test_size=1.5", 3, "test_size: 1.5 cannot be used: it must be below 1.0"),
        ("test_size=some", 3, "test_size: 'some' cannot be used"),
        ("seed=-1", 3, "seed: -1 cannot be used: it must be at least 0"),
        ("test_from=2023-07-01", 3, "test_from: needs date, the column with each row's day"),
        ("test_from=July", 3, "test_from: 'July' cannot be used: it must be a date such"),
        ("objective=reg:gama", 3, "objective='reg:gama' is unknown. Did you mean 'reg:gamma'?"),
        ("eval_metric=acu", 3, "eval_metric='acu' is unknown. Did you mean 'auc'?"),
        ("eval_metric=rmse", 3, "eval_metric='rmse' does not fit objective='binary:logistic'"),
        ("early_stopping_rounds=0", 3, "early_stopping_rounds=0 must be at least 1"),
        ("early_stopping_rounds=x", 3, "early_stopping_rounds='x' is not a whole number"),
        ("callbacks=[]", 3, "callbacks: there is no such setting."),
        ("tweedie_variance_power=1.2", 3, "tweedie_variance_power is not a parameter of objective"),
        ("max_depth", 3, "--set 'max_depth' is not of the form name=value"),
    ],
)
def test_settings_are_checked_before_anything_is_read_or_written(
    tables, tmp_path, setting, code, message
):
    done = simulate(tables, tmp_path / "out", setting)
    assert (done.exit_code, done.stdout) == (code, "")
    assert done.stderr.splitlines()[1].startswith(message)
    assert not (tmp_path / "out").exists()


def test_a_key_that_is_too_small_is_refused_before_anything_is_written(tables, tmp_path):
    done = simulate(tables, tmp_path / "out", "key_bits=1024", scheme="paillier")
    assert done.exit_code == 8
    assert "key_bits=1024 is insecure: at least 2048 are needed" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("bureau", "--party: 'bureau' is not of the form NAME=FILE"),
        ("label=b.csv", "--party: 'label' cannot name a feature party"),
        ("bureau=b.csv", "--party: 'bureau' is given twice"),
    ],
)
def test_party_options_are_checked(tables, tmp_path, option, message):
    done = simulate(tables, tmp_path / "out", more=("--party", option))
    assert done.exit_code == 3
    assert message in done.stderr


def test_out_must_be_a_folder_that_can_be_made(tables, tmp_path):
    (tmp_path / "file").write_text("")
    done = simulate(tables, tmp_path / "file")
    assert (done.exit_code, "is a file; a run needs a folder" in done.stderr) == (3, True)
    done = simulate(tables, tmp_path / "file" / "out")
    assert (done.exit_code, "cannot be made: Not a directory" in done.stderr) == (3, True)


def test_a_folder_with_results_needs_force_and_then_holds_one_run(tables, tmp_path):
    simulate(tables, tmp_path)
    (tmp_path / "model" / "telco.json").write_text("of another run")
    done = simulate(tables, tmp_path)
    assert done.exit_code == 3
    assert "is not empty; name another folder, or --force" in done.stderr
    assert simulate(tables, tmp_path, more=("--force",)).exit_code == 0
    assert left(tmp_path) == RESULTS
    assert [event["event"] for event in events(tmp_path)].count("end") == 2


def test_a_run_that_fails_leaves_its_log_and_can_be_repeated(tables, tmp_path, monkeypatch):
    def fail(*_args, **_kwargs):
        raise ConnectionResetError("bureau has gone")

    with monkeypatch.context() as patch:
        patch.setattr("secureboost.gbdt.booster._add_leaves", fail)
        assert simulate(tables, tmp_path).exit_code == 5
    assert left(tmp_path) == {"log.jsonl"}
    assert [event["event"] for event in events(tmp_path)] == ["common", "begin", "failed"]
    assert events(tmp_path)[2]["error"] == "ConnectionResetError"
    assert simulate(tables, tmp_path).exit_code == 0


def test_rows_are_checked_before_anything_is_written(tables, tmp_path):
    done = simulate(tables, tmp_path, "test_size=0.001")
    assert done.exit_code == 4
    assert "80 rows are too few to hold out 0.001 of them with every class on each side" in (
        done.stderr
    )
    assert left(tmp_path) == set()


def test_an_interrupted_run_leaves_its_log(tables, tmp_path, monkeypatch):
    def interrupt(*_args, **_kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("secureboost.gbdt.booster._add_leaves", interrupt)
    done = simulate(tables, tmp_path)
    assert done.exit_code == 130
    assert done.stderr.splitlines()[-2] == "Stopped"
    assert left(tmp_path) == {"log.jsonl"}
    assert events(tmp_path)[-1]["event"] == "stopped"


def test_an_internal_error_says_where_but_not_what(tables, tmp_path, monkeypatch):
    def fail(*_args, **_kwargs):
        raise ZeroDivisionError("a value")

    monkeypatch.setattr("secureboost.gbdt.booster._add_leaves", fail)
    done = simulate(tables, tmp_path)
    assert done.exit_code == 1
    assert "Traceback" not in done.output
    event = events(tmp_path)[-1]
    assert event["error"] == "ZeroDivisionError"
    assert event["where"].startswith("test_simulate.py:")
    assert " < booster.py:" in event["where"]
    assert "a value" not in (tmp_path / "log.jsonl").read_text()


def test_a_scoring_that_fails_does_not_cost_the_model(tables, tmp_path, monkeypatch):
    def fail(*_args, **_kwargs):
        raise ConnectionResetError("bureau has gone")

    monkeypatch.setattr(SecureBoostClassifier, "predict_proba", fail)
    done = simulate(tables, tmp_path)
    assert done.exit_code == 5
    assert f"The model is trained and lies in {tmp_path / 'model'}; `secureboost predict`" in (
        done.stderr
    )
    assert left(tmp_path) == {"label.json", "bureau.json", "log.jsonl"}


def test_positions_are_those_of_the_file_and_not_of_the_joined_rows(tables, tmp_path):
    bureau = pd.read_csv(tables / "bureau.csv")
    bureau.loc[30, "late"] = np.inf
    lender = pd.read_csv(tables / "lender.csv")
    bureau.to_csv(tmp_path / "bureau.csv", index=False)
    lender.to_csv(tmp_path / "lender.csv", index=False)
    done = simulate(tmp_path, tmp_path / "out")
    assert done.exit_code == 4
    assert "bureau.csv: column 'late' is infinite" in done.stderr
    assert "in 1 row (data row 31). Clip such values" in done.stderr


@pytest.fixture(scope="module")
def dated(tmp_path_factory):
    """Tables with labels of every kind, a column of days and one of categories."""
    folder = tmp_path_factory.mktemp("dated")
    lender, bureau = two_tables(150)
    draws = np.random.default_rng(1)
    lender["applied"] = pd.date_range("2023-01-01", periods=150).strftime("%Y-%m-%d")
    lender["loss"] = np.exp(lender["income"] + bureau["late"] / 2).round(4)
    lender["grade"] = np.array(["A", "B", "C"])[np.digitize(lender["loss"], [0.5, 1.5])]
    lender["branch"] = draws.integers(0, 4, 150)
    lender.to_csv(folder / "lender.csv")
    bureau.to_csv(folder / "bureau.csv")
    return folder


def learn(dated, out, target, *settings, drop=("bad", "loss", "grade")):
    table = pd.read_csv(dated / "lender.csv")
    table = table.drop(columns=[name for name in drop if name != target])
    table.to_csv(out.parent / "lender.csv", index=False)
    chosen = ("n_estimators=8", "max_depth=2", "max_bin=8", "scheme=plain", *settings)
    return run(
        *("simulate", "--label", out.parent / "lender.csv", "--target", target, "--id", "id"),
        *("--party", f"bureau={dated / 'bureau.csv'}", "--out", out),
        *(word for setting in chosen for word in ("--set", setting)),
    )


def test_held_out_rows_ride_along_and_decide_when_to_stop(dated, tmp_path):
    done = learn(dated, tmp_path / "out", "bad", "early_stopping_rounds=2", "n_estimators=40")
    assert done.exit_code == 0, done.output
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    auc = metrics["history"]["test"]["auc"]
    assert set(metrics["history"]) == {"train", "test"}
    assert set(metrics["history"]["train"]) == {"logloss", "auc"}
    assert metrics["rounds"] == len(auc) < 40
    assert metrics["best_iteration"] == int(np.argmax(auc)) == len(auc) - 3
    assert metrics["folds"]["test"]["auc"] == auc[metrics["best_iteration"]]
    kept = metrics["best_iteration"] + 1
    assert f"early stopping kept the first {kept} of {len(auc)} rounds" in done.stderr
    report = (tmp_path / "out" / "report.html").read_text()
    for text in ("Training: auc", "Training: logloss", f"Early stopping kept {kept} rounds."):
        assert text in report
    rounds = [event for event in events(tmp_path / "out") if event["event"] == "round"]
    assert [event["test_auc"] for event in rounds] == auc


@pytest.mark.parametrize("how", [("test_from=2023-05-01",), ("test_size=0.2",)])
def test_the_newest_rows_are_held_out(dated, tmp_path, how):
    done = learn(dated, tmp_path / "out", "bad", "date=applied", *how)
    assert done.exit_code == 0, done.output
    scores = pd.read_csv(tmp_path / "out" / "scores.csv")
    assert (scores["fold"] == "test").tolist() == [False] * 120 + [True] * 30
    model = json.loads((tmp_path / "out" / "model" / "label.json").read_text())
    assert "applied" not in model["feature_names"]
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["hold_out"]["date"] == "applied"


def test_numbers_are_learnt(dated, tmp_path):
    objective = ("objective=reg:gamma", "early_stopping_rounds=3", "learning_rate=0.5")
    done = learn(dated, tmp_path / "out", "loss", *objective)
    assert done.exit_code == 0, done.output
    assert "gamma-deviance" in done.stdout
    folds = json.loads((tmp_path / "out" / "metrics.json").read_text())["folds"]
    assert folds["train"]["r2"] > 0.5
    scores = pd.read_csv(tmp_path / "out" / "scores.csv")
    assert (scores["score"] > 0).all()
    assert "Calibration" in (tmp_path / "out" / "report.html").read_text()
    predicted = run(
        *("predict", tmp_path / "out" / "model", "--data", tmp_path / "lender.csv", "--id", "id"),
        *("--party", f"bureau={dated / 'bureau.csv'}"),
    )
    lines = [line.split(",") for line in predicted.stdout.splitlines()[1:]]
    assert [float(line[2]) for line in lines] == list(scores["score"])
    evaluated = run(
        *("evaluate", tmp_path / "out" / "scores.csv", "--labels", tmp_path / "lender.csv"),
        *("--target", "loss", "--id", "id", "--objective", "reg:gamma", "--json"),
    )
    assert json.loads(evaluated.stdout)["folds"] == folds


@pytest.mark.parametrize("strategy", ["multi_output_tree", "one_output_per_tree"])
def test_several_classes_are_learnt(dated, tmp_path, strategy):
    settings = ("objective=multi:softprob", f"multi_strategy={strategy}", "n_estimators=4")
    done = learn(dated, tmp_path / "out", "grade", *settings)
    assert done.exit_code == 0, done.output
    folds = json.loads((tmp_path / "out" / "metrics.json").read_text())["folds"]
    assert list(folds["test"]) == ["accuracy", "auc", "log_loss", "rows"]
    scores = pd.read_csv(tmp_path / "out" / "scores.csv")
    columns = ["score_A", "score_B", "score_C"]
    assert list(scores.columns) == ["id", "fold", *columns]
    assert np.allclose(scores[columns].sum(axis=1), 1)
    assert "ROC, each class against the rest" in (tmp_path / "out" / "report.html").read_text()
    predicted = run(
        *("predict", tmp_path / "out" / "model", "--data", tmp_path / "lender.csv", "--id", "id"),
        *("--party", f"bureau={dated / 'bureau.csv'}", "--out", tmp_path / "new.csv"),
    )
    assert predicted.exit_code == 0, predicted.output
    assert (pd.read_csv(tmp_path / "new.csv")[columns] == scores[columns]).all(axis=None)
    evaluated = run(
        *("evaluate", tmp_path / "out" / "scores.csv", "--labels", tmp_path / "lender.csv"),
        *("--target", "grade", "--id", "id", "--json"),
    )
    assert json.loads(evaluated.stdout)["folds"] == folds


def test_categories_constraints_and_weights_of_classes(dated, tmp_path):
    done = learn(
        *(dated, tmp_path / "out", "bad"),
        "categorical_features=['branch', 'applied']",
        "monotone_constraints={income=1}",
        "interaction_constraints=[['label-party'], ['income', 'bureau']]",
        "class_weight={0=1, 1=5}",
        "min_data_per_group=5",
    )
    assert done.exit_code == 0, done.output
    half = json.loads((tmp_path / "out" / "model" / "label.json").read_text())
    columns = half["feature_names"]
    assert half["categories"][columns.index("branch")] == ["0", "1", "2", "3"]
    assert half["categories"][columns.index("income")] is None
    assert half["parameters"]["monotone_constraints"] == {"income": 1}
    assert half["base_score"][0] > 1


@pytest.mark.parametrize(
    ("target", "settings", "code", "message"),
    [
        ("grade", (), 4, "the label has 3 classes in 150 rows; it needs exactly two."),
        (
            "grade",
            ("objective=reg:gamma",),
            4,
            "the label is not numbers, which a regression needs",
        ),
        ("grade", ("objective=multi:softprob", "class_weight={D=2}"), 3, "class_weight"),
        ("bad", ("objective=reg:gamma",), 4, "y: label must be positive for reg:gamma; it is not"),
        ("bad", ("date=aplied",), 4, "no date column 'aplied'. Did you mean 'applied'?"),
        ("bad", ("date=income",), 4, "lender.csv: column 'income': numbers are no dates."),
        ("bad", ("date=applied", "test_from=2033-01-01"), 4, "every row is before test_from=2033"),
        (
            "bad",
            ("date=applied", "test_from=2023-05-01", "test_size=0.1"),
            3,
            "test_size: give either test_size or test_from, not both",
        ),
        (
            "bad",
            ("test_size=0", "early_stopping_rounds=3"),
            3,
            "model: early_stopping_rounds needs rows that are held out; set test_size or test_from",
        ),
        (
            "bad",
            ("monotone_constraints={incme=1}",),
            3,
            "model: monotone_constraints names 'incme', which is no column. Did you mean 'income'?",
        ),
        ("loss", ("objective=reg:gamma", "scale_pos_weight=2"), 3, "scale_pos_weight=2 is about"),
    ],
)
def test_labels_and_settings_that_do_not_fit(dated, tmp_path, target, settings, code, message):
    done = learn(dated, tmp_path / "out", target, *settings)
    assert (done.exit_code, message in done.stderr) == (code, True), done.stderr
    assert done.stdout == ""
    assert left(tmp_path / "out") <= {"log.jsonl"}


def test_a_terminal_of_80_columns_shows_a_bar_from_the_first_tree_on(tables, tmp_path):
    master, slave = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "secureboost", *map(str, options(tables, tmp_path))],
        stdout=subprocess.PIPE,
        stderr=slave,
        env=os.environ | {"COLUMNS": "80", "TERM": "xterm", "NO_COLOR": "1"},
    ) as process:
        os.close(slave)
        text = read_all(master)
        assert process.wait(60) == 0
        assert "\x1b" not in process.stdout.read().decode()
    os.close(master)
    assert "% aligned" in text
    assert "0 of 2 rounds" in text
    assert "time left unknown" in text
    assert "2 of 2 rounds, " in text
    assert "\x1b[3" not in text  # no colours
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 2  # the cursor is back


def read_all(descriptor):
    """Read a terminal until the other side has closed it."""
    text = b""
    while True:
        try:
            chunk = os.read(descriptor, 4096)
        except OSError:  # Linux: the other side is closed
            return text.decode()
        if not chunk:
            return text.decode()
        text += chunk
