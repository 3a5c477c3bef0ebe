"""`release`, `export`, `bundle`, `sides` and `score`, between two companies' folders."""

import json

import pandas as pd
import pytest
from support.cli import run
from support.companies import make_companies
from typer.testing import CliRunner

from secureboost import FeatureParty, SecureBoostClassifier
from secureboost.cli.app import app
from secureboost.gbdt.store import FolderStore
from secureboost.tables import read_table


@pytest.fixture(scope="module")
def companies(tmp_path_factory):
    """Two companies after a training; the bureau's store holds its half."""
    made = make_companies(tmp_path_factory.mktemp("companies"))
    lender = read_table(made.lender / "lender.csv", "id")
    bureau = FeatureParty("bureau", read_table(made.bureau / "bureau.csv", "id"))
    model = SecureBoostClassifier(n_estimators=3, max_depth=3, scheme="plain")
    model.fit(lender.drop(columns="bad"), lender["bad"], parties=[bureau])
    model.save(made.out / "model")
    (made.out / "model" / "bureau.json").unlink()
    FolderStore(made.bureau / "models").save(bureau.half(model.label_half_.model_id))
    return made


@pytest.fixture(scope="module")
def model_id(companies):
    return json.loads((companies.out / "model" / "label.json").read_text())["model_id"]


def release(companies, model_id, out, *more):
    return run("release", model_id, "--purpose", "monitoring", "--out", out, *more)


def with_config(companies):
    return "--config", companies.serve_toml


def test_release_and_export(companies, model_id, tmp_path):
    half, out = tmp_path / "bureau-half.json", tmp_path / "model.json"
    done = release(companies, model_id, half, *with_config(companies), "--yes")
    assert done.exit_code == 0, done.stderr
    assert "lender will learn" in done.stderr
    assert "column 'loans': its name" in done.stderr
    assert "cannot be taken back" in done.stderr
    assert "written (signed)" in done.stderr
    consent = json.loads(half.read_text())["consent"]
    assert (consent["released_to"], consent["purpose"]) == ("lender", "monitoring")
    assert len(consent["released_to_certificate"]) == 64

    model = companies.out / "model"
    done = run("export", model, "--out", out)
    assert done.exit_code == 7
    assert "'bureau' has not consented" in done.stderr
    assert not out.exists()

    done = run(
        *("export", model, "--out", out, "--release", half, "--include-cover"),
        *("--config", companies.train_toml),
    )
    assert done.exit_code == 0, done.stderr
    assert "checked with SecureBoost's reader" in done.stderr
    done = run("export", out, "--recheck")
    assert done.exit_code == 0, done.stderr
    assert "does what was exported" in done.stderr
    done = run("export", model, "--out", out, "--release", half)
    assert done.exit_code == 3
    assert "--force" in done.stderr


def test_an_unsigned_release_where_certificates_are_pinned(companies, model_id, tmp_path):
    half = tmp_path / "half.json"
    done = release(companies, model_id, half, "--store", companies.bureau / "models", "--yes")
    assert done.exit_code == 0, done.stderr
    assert "not signed" in done.stderr
    options = ("export", companies.out / "model", "--release", half, "--out", tmp_path / "m.json")
    done = run(*options, "--config", companies.train_toml)
    assert done.exit_code == 7
    assert "is not signed" in done.stderr
    assert run(*options).exit_code == 0


def test_release_asks_first(companies, model_id, tmp_path):
    log = companies.bureau / "models" / "releases.jsonl"
    before = log.read_bytes() if log.exists() else b""
    out = tmp_path / "half.json"
    arguments = ["release", model_id, "--purpose", "x", "--out", str(out)]
    arguments += ["--config", str(companies.serve_toml)]
    for answer in ("n\n", ""):
        done = CliRunner().invoke(app, arguments, input=answer)
        assert done.exit_code == 1
        assert not out.exists()
        assert (log.read_bytes() if log.exists() else b"") == before
    done = CliRunner().invoke(app, arguments, input="y\n")
    assert done.exit_code == 0
    assert out.exists()
    assert log.read_bytes().count(b"\n") == before.count(b"\n") + 1


def test_release_of_what_is_not_there(companies, model_id, tmp_path):
    out = tmp_path / "half.json"
    done = release(companies, "e" * 32, out, *with_config(companies), "--yes")
    assert done.exit_code == 7
    assert "holds no finished half of model eee" in done.stderr
    done = release(companies, "../../x", out, *with_config(companies), "--yes")
    assert done.exit_code == 3
    assert "no model id" in done.stderr
    done = release(companies, model_id, out, "--yes")
    assert done.exit_code == 3
    assert "--config, or the folder with --store" in done.stderr
    done = release(companies, model_id, out, "--store", tmp_path / "none", "--yes")
    assert done.exit_code == 3
    assert "is no folder" in done.stderr
    assert not (tmp_path / "none").exists()


def test_offline_scores_are_those_of_predict(companies, model_id, tmp_path):
    bundle, sides = tmp_path / "bundle", tmp_path / "bureau.sides"
    done = run("bundle", model_id, "--out", bundle, *with_config(companies))
    assert done.exit_code == 0, done.stderr
    data = companies.bureau / "bureau.csv"
    done = run("sides", bundle, "--data", data, "--id", "id", "--out", sides)
    assert done.exit_code == 0, done.stderr
    assert "60 rows" in done.stderr
    model, table = companies.out / "model", companies.lender / "lender.csv"
    scored = ("--data", table, "--id", "id")
    done = run("score", model, *scored, "--sides", sides, "--out", tmp_path / "offline.csv")
    assert done.exit_code == 0, done.stderr
    halves = tmp_path / "whole"
    halves.mkdir()
    for file, name in ((model / "label.json", "label"), (bundle / "half.json", "bureau")):
        (halves / f"{name}.json").write_bytes(file.read_bytes())
    done = run(
        *("predict", halves, *scored, "--party", f"bureau={data}"),
        *("--out", tmp_path / "online.csv"),
    )
    assert done.exit_code == 0, done.stderr
    offline = (tmp_path / "offline.csv").read_bytes()
    assert offline == (tmp_path / "online.csv").read_bytes()
    done = run("score", model, *scored, "--sides", sides)
    assert done.stdout.encode() == offline


def test_score_needs_every_party_and_every_row(companies, model_id, tmp_path):
    model, table = companies.out / "model", companies.lender / "lender.csv"
    done = run("score", model, "--data", table, "--id", "id")
    assert done.exit_code == 7
    assert "'bureau'" in done.stderr
    fewer = tmp_path / "fewer.csv"
    pd.read_csv(companies.bureau / "bureau.csv").iloc[:10].to_csv(fewer, index=False)
    half = companies.bureau / "models" / f"{model_id}.json"
    sides = tmp_path / "bureau.sides"
    assert run("sides", half, "--data", fewer, "--id", "id", "--out", sides).exit_code == 0
    done = run("score", model, "--data", table, "--id", "id", "--sides", sides)
    assert done.exit_code == 4
    assert "bureau" in done.stderr
    sides.write_bytes(sides.read_bytes()[:-3])
    done = run("score", model, "--data", table, "--id", "id", "--sides", sides)
    assert done.exit_code == 7
    assert "damaged or was cut off" in done.stderr


def test_bundles_do_not_replace_anything(companies, model_id, tmp_path):
    done = run("bundle", model_id, "--out", tmp_path, *with_config(companies))
    assert done.exit_code == 3
    assert "--force" in done.stderr
    done = run("bundle", model_id, "--out", tmp_path, *with_config(companies), "--force")
    assert done.exit_code == 0
