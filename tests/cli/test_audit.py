"""`secureboost audit`, and `secureboost export` of networks."""

import re

import pytest
from support.cli import run
from support.companies import two_tables

pytest.importorskip("torch", reason="torch is not installed; make test-nn installs it")

SMALL = ("n_epochs=3", "batch_size=64", "cut_width=4", "random_state=0", "learning_rate=0.01")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Partly overlapping tables in different orders."""
    folder = tmp_path_factory.mktemp("tables")
    lender, bureau = two_tables(400)
    lender.iloc[:350].to_csv(folder / "lender.csv")
    bureau.iloc[:20:-1].to_csv(folder / "bureau.csv")
    return folder


def audit(folder, *more, settings=SMALL, known=("40", "30")):
    return run(
        *("audit", "--label", folder / "lender.csv", "--target", "bad", "--id", "id"),
        *("--party", f"bureau={folder / 'bureau.csv'}"),
        *(word for setting in settings for word in ("--set", setting)),
        *("--known-labels", known[0], "--known-rows", known[1], *more),
    )


def test_an_audit_prints_a_table_and_writes_a_report(folder, tmp_path):
    out = tmp_path / "audit.html"
    done = audit(folder, "--protection", "marvell", "--out", out)
    assert done.exit_code == 0, done.stderr
    assert "329 of the label party's 350 rows are in all tables" in done.stderr
    assert "2 of 2: marvell" in done.stderr
    rows = {line.split()[0]: line.split() for line in done.stdout.splitlines() if line.split()}
    assert float(rows["none"][4]) > 0.9  # direction
    assert float(rows["marvell"][4]) < 0.75
    assert "direction" in " ".join(rows["marvell"][10:])
    html = out.read_text()
    assert "Audit of the cut: bureau" in html
    assert "marvell" in html
    assert audit(folder, "--out", out).exit_code == 3  # it is there already


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ({"settings": ("n_epoch=3",)}, 3, "n_epoch.*Did you mean 'n_epochs'"),
        ({"more": ("--protection", "marvel")}, 3, "Did you mean 'marvell'"),
        ({"known": ("40", "3")}, 3, "known_rows: is 3; it must lie between 10 and"),
        ({"settings": (*SMALL, "test_size=0")}, 3, "needs rows that are held out"),
        ({"settings": (*SMALL, "body=bureau")}, 3, "is not audited"),
    ],
)
def test_what_cannot_be_audited_is_said(folder, options, code, message):
    more = options.pop("more", ())
    done = audit(folder, *more, **options)
    assert done.exit_code == code, done.stderr
    assert re.search(message, " ".join(done.stderr.split())), done.stderr


def test_a_trained_network_is_exported_half_by_half(folder, tmp_path):
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra 'onnx')")
    done = run(
        *("simulate", "--trainer", "splitnn", "--label", folder / "lender.csv"),
        *("--target", "bad", "--id", "id", "--party", f"bureau={folder / 'bureau.csv'}"),
        *(word for setting in SMALL for word in ("--set", setting)),
        *("--out", tmp_path / "run"),
    )
    assert done.exit_code == 0, done.stderr
    model = next((tmp_path / "run").rglob("label.safetensors")).parent
    done = run("export", model, "--out", tmp_path / "label")
    assert done.exit_code == 0, done.stderr
    assert {path.name for path in (tmp_path / "label").iterdir()} == {"top.onnx", "bottom.onnx"}
    half = model / "bureau.safetensors"
    assert run("export", half, "--out", tmp_path / "bureau").exit_code == 0
    assert [path.name for path in (tmp_path / "bureau").iterdir()] == ["bottom.onnx"]
    again = run("export", half, "--out", tmp_path / "bureau", "--weights")
    assert again.exit_code == 3
    assert "holds something" in again.stderr
    assert run("export", half, "--out", tmp_path / "bureau", "--weights", "--force").exit_code == 0
    names = {path.name for path in (tmp_path / "bureau").iterdir()}
    assert names == {"bottom.onnx", "bottom.pt"}
