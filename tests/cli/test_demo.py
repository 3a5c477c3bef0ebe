"""`secureboost demo`, small: two processes, 2048 bits, and the sentence at the end."""

import json
import re

import pytest
from support.cli import run
from support.companies import Process

from secureboost.gbdt.model import PartyHalf, load_half


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo") / "run"
    with Process("demo", "--rows", 600, "--trees", 2, "--out", out) as process:
        assert process.end() == 0, process.text
    return out, process.text


def test_it_ends_with_a_table_and_federated_equals_pooled(demo):
    _, text = demo
    rows = dict(re.findall(r"^  (lender alone|federated|pooled plaintext)  +(.*)$", text, re.M))
    assert len(rows) == 3
    assert rows["federated"].split()[:3] == rows["pooled plaintext"].split()[:3]
    assert rows["federated"].endswith("kB  ")
    assert "The federated model equals the pooled plaintext model exactly" in text


def test_every_file_that_it_names_is_there(demo):
    out, text = demo
    named = re.findall(rf"{re.escape(str(out))}/[\w./]+", text)
    assert len(named) == 8
    for path in named:
        assert (out / path).exists(), path


def test_the_halves_lie_apart_and_belong_together(demo):
    out, _ = demo
    assert [path.name for path in (out / "lender" / "model").iterdir()] == ["label.json"]
    model_id = json.loads((out / "lender" / "metrics.json").read_text())["model_id"]
    half = load_half(out / "bureau" / "models" / f"{model_id}.json", PartyHalf)
    assert half.party == "bureau"
    events = [json.loads(line) for line in (out / "lender" / "log.jsonl").read_text().splitlines()]
    assert [event["event"] for event in events] == [
        "common", "begin", "round", "round", "trained", "compared", "end",
    ]  # fmt: skip
    assert events[5]["federated_equals_pooled"] is True


def test_the_bureaus_process_ends_with_the_demo(demo):
    out, _ = demo
    log = (out / "bureau" / "serve.log").read_text()
    assert "training ends" in log
    assert log.splitlines()[-1].endswith("stopped by SIGTERM")


def test_a_second_demo_in_the_folder_needs_force(demo):
    out, _ = demo
    done = run("demo", "--out", out)
    assert done.exit_code == 3
    assert "is not empty; name another folder, or --force" in done.stderr
    done = run("demo", "--out", out / "new", "--key-bits", 1024)
    assert (done.exit_code, (out / "new").exists()) == (8, False)


def test_a_bureau_that_cannot_start_says_why(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "secureboost.cli.demo.write_companies", lambda out, *_args: make_bureau(out)
    )
    done = run("demo", "--rows", 600, "--trees", 1, "--out", tmp_path)
    assert done.exit_code == 1
    assert "the bureau's process ended" in done.stderr
    assert "serve.toml: there is no such file" in done.stderr


def make_bureau(out):
    """An empty folder where the bureau's files should be."""
    for name in ("lender", "bureau"):
        (out / name).mkdir()
