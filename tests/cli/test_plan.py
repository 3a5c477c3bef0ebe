"""`secureboost plan`, and the plan beside the truth after `simulate`; rates are made up."""

import json

import pandas as pd
import pytest
from support.cli import run
from support.companies import two_tables
from support.rates import make_rates

from secureboost import planning
from secureboost.cli import training
from secureboost.cli.train import line_to
from secureboost.config import load_train_config
from secureboost.planning import ONE_MACHINE, Link


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Do not spend seconds on timing."""

    def calibrate(key_bits, seconds=5.0, **_):
        return make_rates().for_key_bits(key_bits)

    monkeypatch.setattr(planning, "calibrate", calibrate)
    monkeypatch.setattr(training, "calibrate", calibrate)


def test_a_plan_is_shown():
    done = run("plan", "--rows", 30000, "--own-columns", 13, "--partner-columns", 10, "--trees", 5)
    assert done.exit_code == 0, done.output
    assert "Timing this machine for some 5 s" in done.stderr
    for text in (
        "Where the time will go",
        "150,000 rows",
        "150,000 ciphertexts",
        "whole training",
        "of it the line",
        "of processor time",
        "what dominates",
        "64 bins",
        "16 bins",
        "depth 4",
        "subsample=0.5",
        "3072-bit key",
        "1000 Mbit/s",
    ):
        assert text in done.stdout, text


def test_json():
    line = ("--link", 50, "--latency", 5)
    listing = json.loads(run("plan", "--partner-columns", 3, *line, "--json").stdout)
    plan = listing["plan"]
    assert plan["link"] == {"megabits": 50.0, "latency": 5.0, "place": "apart"}
    assert plan["shape"]["partner_bins"] == [[32, 32, 32]]
    assert plan["wall_seconds"] > 8 * plan["bytes_sent"] / 50e6
    assert plan["label"]["phases"]["encrypt"]["operations"] == 100 * 100_000
    assert listing["rates"]["key_bits"] == 2048
    assert listing["what_if"]["depth 4"]["wall_seconds"] < plan["wall_seconds"]


def test_several_parties_are_numbered():
    done = run("plan", "--partner-columns", 3, "--partner-columns", 4, "--key-bits", 3072)
    assert done.exit_code == 0, done.output
    assert "feature party 1" in done.stdout
    assert "feature party 2" in done.stdout
    assert "3072-bit key" not in done.stdout


def test_classes_and_rows_that_ride_along():
    options = ("--outputs", 10, "--eval-rows", 5000, "--json")
    shape = json.loads(run("plan", *options).stdout)["plan"]["shape"]
    assert (shape["outputs"], shape["eval_rows"]) == (10, 5000)


def test_no_neighbour_beyond_the_limits():
    done = run("plan", "--bins", 2, "--depth", 1)
    assert done.exit_code == 0, done.output
    assert "4 bins" in done.stdout
    assert "1 bins" not in done.stdout
    assert "depth 0" not in done.stdout
    assert "510 bins" not in run("plan", "--bins", 255).stdout


def test_columns_like_a_table(tmp_path):
    table = pd.DataFrame({"id": range(50), "few": [0, 1] * 25, "many": range(50), "same": 1})
    table.to_csv(tmp_path / "bureau.csv", index=False)
    done = run("plan", "--columns-like", tmp_path / "bureau.csv", "--bins", 8, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["plan"]["shape"]["partner_bins"] == [[2, 8, 1]]


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        (("--rows", 1), 3, "rows: 1 must be 2 to 2147483647"),
        (("--depth", 0), 3, "depth: 0 must be 1 to 15"),
        (("--bins", 1), 3, "bins: 1 must be 2 to 255"),
        (("--partner-columns", 0), 3, "partner_columns: 0 must be 1 to 65536"),
        (("--key-bits", 1024), 8, "key_bits=1024 is insecure"),
        (("--link", 0), 3, "megabits: 0.0 must be above 0 Mbit/s"),
        (("--latency", -1), 3, "latency: -1.0 must be 0 to 60000 ms"),
        (("--columns-like", "nothing.csv"), 4, "nothing.csv"),
    ],
)
def test_what_cannot_be_planned(options, code, text):
    done = run("plan", *options)
    assert done.exit_code == code, done.output
    assert text in done.stderr
    assert done.stdout == ""


def simulate(tmp_path, *settings):
    lender, bureau = two_tables(90)
    lender.to_csv(tmp_path / "lender.csv")
    bureau.to_csv(tmp_path / "bureau.csv")
    chosen = ("n_estimators=1", "max_depth=2", "max_bin=8", *settings)
    return run(
        *("simulate", "--label", tmp_path / "lender.csv", "--target", "bad", "--id", "id"),
        *("--party", f"bureau={tmp_path / 'bureau.csv'}", "--out", tmp_path / "out", "--plan"),
        *(word for setting in chosen for word in ("--set", setting)),
    )


def test_plan_and_truth_after_a_run(tmp_path):
    done = simulate(tmp_path)
    assert done.exit_code == 0, done.output
    assert "Plan and truth" in done.stderr
    rows = json.loads((tmp_path / "out" / "metrics.json").read_text())["planned"]
    by_name = {(row["party"], row["what"]): row for row in rows}
    assert by_name["all", "sent"]["planned"] == pytest.approx(
        by_name["all", "sent"]["measured"], rel=0.02
    )
    assert by_name["all", "training"]["planned"] > 0
    assert by_name["bureau", "sum"]["measured"] > 0


@pytest.mark.parametrize(
    "setting",
    ["scheme=plain", "grow_policy=lossguide", "max_leaves=7", "sampling_method=goss",
     "label_party_trees=1", "max_shared_purity=0.9"],
)  # fmt: skip
def test_what_has_no_plan_is_refused_before_any_work(tmp_path, setting):
    done = simulate(tmp_path, setting)
    assert done.exit_code == 3
    assert "--plan:" in done.stderr
    assert setting.partition("=")[0] in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("address", "line"),
    [
        ("127.0.0.1:7443", ONE_MACHINE),
        ("localhost:7443", ONE_MACHINE),
        ("bureau.example:7443", Link(50.0, 5.0)),
    ],
)
def test_the_line_of_a_configuration(tmp_path, address, line):
    file = tmp_path / "train.toml"
    file.write_text(
        'out = "run"\n[data]\nfile = "a.csv"\nid = "id"\ntarget = "bad"\n'
        '[tls]\ncertificate = "a.crt"\nkey = "a.key"\n'
        f'[party.bureau]\naddress = "{address}"\ncertificate = "b.crt"\n'
    )
    assert line_to(load_train_config(file), 50.0, 5.0) == line
