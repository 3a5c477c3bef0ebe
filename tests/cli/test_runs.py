"""`secureboost runs`: what simulate and evaluate record, and how it is read."""

import json

import pytest
from support.cli import run
from support.companies import sets, two_tables


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A folder with a registry of two simulations, one that failed, and an evaluation."""
    folder = tmp_path_factory.mktemp("runs")
    lender, bureau = two_tables(90)
    lender.to_csv(folder / "lender.csv")
    bureau.to_csv(folder / "bureau.csv")
    for out, settings in {
        "one": ("max_depth=2",),
        "two": ("max_depth=3", "monotone_constraints={income=1}"),
        "three": ("max_depth=2", "min_child_samples=5"),
    }.items():
        file = bureau.drop(columns="late") if out == "three" else bureau
        file.to_csv(folder / "bureau.csv")
        done = simulate(folder, out, *settings)
        assert done.exit_code == 0, done.output
    done = run(
        *("evaluate", folder / "one" / "scores.csv", "--labels", folder / "lender.csv"),
        *("--target", "bad", "--id", "id"),
        SECUREBOOST_RUNS=str(folder / "runs.db"),
    )
    assert done.exit_code == 0, done.output
    return folder


def simulate(folder, out, *settings):
    return run(
        *("simulate", "--label", folder / "lender.csv", "--target", "bad", "--id", "id"),
        *("--party", f"bureau={folder / 'bureau.csv'}", "--out", folder / out),
        *sets(("n_estimators=2", "max_bin=8", "scheme=plain", *settings)),
        *("--registry", folder / "runs.db"),
    )


def runs(folder, *arguments):
    return run("runs", *arguments, "--registry", folder / "runs.db", COLUMNS="300")


def listed(folder):
    done = runs(folder, "list", "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_runs_are_listed(recorded):
    done = runs(recorded, "list")
    rows = [line.split() for line in done.stdout.splitlines() if "finished" in line]
    assert [row[3] for row in rows] == ["evaluate", "simulate", "simulate", "simulate"]
    assert rows[0][-1] == rows[3][-1]  # the model that was evaluated
    assert rows[3][-3:-1] == ["bureau", "2"]
    assert rows[3][-5] == "AUC"
    assert len(runs(recorded, "list", "--limit", 1).stdout.splitlines()) == 5


def test_a_run_is_shown(recorded):
    first = listed(recorded)[-1]
    done = runs(recorded, "show", first["id"][:4])
    assert done.exit_code == 0, done.output
    for text in (
        "simulate", "finished", str(recorded / "one"), first["model_id"], "data bureau.csv",
        "Gini", "max_depth", "test_size", "label party: bin", "sent",
    ):  # fmt: skip
        assert text in done.stdout, text
    assert "colsample_bytree" not in done.stdout
    assert "colsample_bytree" in runs(recorded, "show", first["id"], "--all").stdout
    whole = json.loads(runs(recorded, "show", first["id"], "--json").stdout)
    metrics = json.loads((recorded / "one" / "metrics.json").read_text())
    assert whole["metrics"] == metrics["folds"]
    assert whole["parameters"]["colsample_bytree"] == 1.0
    assert set(whole["data"]) == {"lender.csv", "bureau.csv"}
    assert whole["seconds"]["train"] == metrics["seconds"]["train"]
    assert whole["bytes_sent"] == metrics["bytes_sent"]


def test_two_runs_are_compared(recorded):
    three, two, one = listed(recorded)[1:]
    done = runs(recorded, "diff", one["id"], two["id"])
    assert done.exit_code == 0, done.output
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["max_depth", "2", "3", "+1"] in lines
    assert "{'income': 1}" in done.stdout
    assert "min_child_samples" not in done.stdout
    assert "data: the same" in done.stdout
    assert any(line[:2] == ["test", "auc"] for line in lines)
    found = json.loads(runs(recorded, "diff", one["id"], three["id"], "--json").stdout)
    assert found["parameter"] == {"min_child_samples": [1, 5]}
    assert set(found["data"]) == {"bureau.csv"}


def test_what_fails_or_is_stopped_is_recorded(recorded, tmp_path, monkeypatch):
    for error, state in (
        (ZeroDivisionError, "failed (ZeroDivisionError)"),
        (KeyboardInterrupt, "stopped"),
    ):

        def fail(*_args, _error=error, **_kwargs):
            raise _error("a value")

        monkeypatch.setattr("secureboost.gbdt.booster._add_leaves", fail)
        for table in ("lender.csv", "bureau.csv"):
            (tmp_path / table).write_bytes((recorded / table).read_bytes())
        assert simulate(tmp_path, state[:6]).exit_code in (1, 130)
        assert state in runs(tmp_path, "list").stdout
    assert "a value" not in (tmp_path / "runs.db").read_bytes().decode(errors="ignore")


def test_no_data_is_in_the_file(recorded):
    content = b"".join(path.read_bytes() for path in recorded.glob("runs.db*"))
    assert b"C000" not in content  # ids
    assert b"limit" not in content  # a column that no setting names


def test_a_registry_that_cannot_be_written_costs_no_run(recorded, tmp_path):
    (tmp_path / "runs.db").write_text("not a database " * 300)
    for table in ("lender.csv", "bureau.csv"):
        (tmp_path / table).write_bytes((recorded / table).read_bytes())
    done = simulate(tmp_path, "out")
    assert done.exit_code == 0
    assert "This run is not recorded:" in done.stderr
    assert "file is not a database" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("show", "zz"), "no run of"),
        (("diff", "zz", "yy"), "no run of"),
        (("list", "--registry", "none.db"), "none.db: there is no registry of runs here"),
        (("list", "--registry", "off"), "--registry: recording of runs is switched off"),
    ],
)
def test_what_is_not_there(recorded, arguments, message):
    more = () if "--registry" in arguments else ("--registry", recorded / "runs.db")
    done = run("runs", *arguments, *more)
    assert (done.exit_code, message in done.stderr) == (3, True), done.output
