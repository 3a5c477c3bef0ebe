"""Two companies' processes under 2048-bit Paillier and mutual TLS, and how each of them ends."""

import json
import re
import signal
import socket

import pandas as pd
import pytest
from support.cli import run
from support.companies import Process, address, make_companies, sets, two_tables

from parties.certificates import create_certificate

LONG, SOME = ("model.n_estimators=1000",), ("model.n_estimators=30",)
INTERRUPTED = {"log.jsonl", "checkpoint.bin"}
RESULTS = {"model", "label.json", "metrics.json", "scores.csv", "report.html", "log.jsonl"}


@pytest.fixture
def companies(tmp_path):
    return make_companies(tmp_path)


def train(companies, *settings, more=()):
    """Train in this process, which saves the start of another."""
    return run("train", companies.train_toml, *sets(settings), *more)


def predict(companies, *settings):
    model = companies.out / "model"
    return run("predict", model, "--config", companies.train_toml, *sets(settings))


def last_event(companies):
    return json.loads((companies.out / "log.jsonl").read_text().splitlines()[-1])


def test_train_and_predict_and_end_by_sigterm(companies):
    with companies.serve() as served:
        where = address(served)
        with companies.train(where) as trained:
            assert trained.end() == 0, trained.text
        assert "1 of 2 rounds" in trained.text
        assert "Traceback" not in trained.text
        scores = pd.read_csv(companies.out / "scores.csv", dtype={"id": str})
        again = predict(companies, where)
        assert again.exit_code == 0
        lines = [line.split(",") for line in again.stdout.splitlines()]
        assert lines[0] == ["id", "fold", "score"]
        assert [line[0] for line in lines[1:]] == list(scores["id"])
        assert [float(line[2]) for line in lines[1:]] == list(scores["score"])
        assert served.end(signal.SIGTERM, within=5) == 0
    assert companies.left() == RESULTS
    halves = {path.stem for path in (companies.bureau / "models").glob("*.json")}
    assert halves == {
        "budget",
        json.loads((companies.out / "metrics.json").read_text())["model_id"],
    }
    for line in ("lender is connected", "training begins: 48 rows", "tree 2 of 2", "training ends",
                 "lender has finished", "stopped by SIGTERM"):  # fmt: skip
        assert line in served.text


@pytest.mark.parametrize(
    ("number", "code", "title"),
    [(signal.SIGINT, 130, "Stopped"), (signal.SIGTERM, 143, "Stopped by SIGTERM")],
)
def test_a_label_party_that_is_stopped_releases_the_other_for_the_next(
    companies, number, code, title
):
    with companies.serve() as served:
        where = address(served)
        with companies.train(where, *LONG) as trained:
            trained.wait_line("1 of 1000 rounds")
            served.wait_line("tree 2 of 1000")  # so the first is kept
            busy = train(companies, where, f"out='{companies.folder / 'other'}'")
            assert busy.exit_code == 6
            assert "bureau: refused (busy): another session is under way; try later" in busy.stderr
            assert trained.end(number, within=5) == code
        assert title in trained.text.splitlines()
        assert "Traceback" not in trained.text
        assert companies.left() == INTERRUPTED
        assert last_event(companies)["event"] == "stopped"
        served.wait_line("the session ended early")
        assert train(companies, where, "model.n_estimators=1", more=("--force",)).exit_code == 0
        assert companies.left() == RESULTS
        assert "lender: turned away, a session is under way" in served.text


def test_a_label_party_that_is_killed_releases_the_other(companies):
    with companies.serve() as served:
        with companies.train(address(served), *LONG) as trained:
            trained.wait_line("1 of 1000 rounds")
            served.wait_line("tree 2 of 1000")
            assert trained.end(signal.SIGKILL) == -signal.SIGKILL
        served.wait_line("the session ended early: lender: the connection was lost")
        assert companies.left() == INTERRUPTED


def test_a_run_goes_on_after_either_side_was_killed(companies):
    with companies.serve() as served:
        where = address(served)
        whole = train(companies, where, *SOME, "out='undisturbed'")
        assert whole.exit_code == 0, whole.stderr
        served.wait_line("training ends")
        with companies.train(where, *SOME) as trained:
            served.wait_line("tree 3 of 30")
            assert trained.end(signal.SIGKILL) == -signal.SIGKILL
        served.wait_line("the session ended early")
        refused = train(companies, where, *SOME)
        assert refused.exit_code == 3
        assert "holds an interrupted run; go on with it by --resume" in refused.stderr
        other = train(companies, where, *SOME, "model.max_depth=3", more=("--resume",))
        assert other.exit_code == 3
        assert "cannot go on with other max_depth (2 then, 3 now)" in other.stderr
        with companies.train(where, *SOME, resume=True) as trained:
            first = trained.wait_line(r"(\d+) of 30 rounds")
            assert int(first[1]) >= 3
            assert served.end(signal.SIGKILL) == -signal.SIGKILL
            assert trained.end(within=10) == 5
        assert re.search(r"of 30 rounds are kept in .*start again with --resume", trained.text)
    with companies.serve() as served:
        resumed = train(companies, address(served), *SOME, more=("--resume",))
        assert resumed.exit_code == 0, resumed.stderr
    assert companies.left() == RESULTS
    undisturbed = companies.lender / "undisturbed" / "scores.csv"
    assert (companies.out / "scores.csv").read_bytes() == undisturbed.read_bytes()
    done = train(companies, where, *SOME, more=("--resume",))
    assert (done.exit_code, "has no checkpoint of an interrupted run" in done.stderr) == (3, True)


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 0), (signal.SIGKILL, -signal.SIGKILL)],
)
def test_a_feature_party_that_ends_in_mid_training(companies, number, code):
    with companies.serve() as served:
        with companies.train(address(served), *LONG) as trained:
            trained.wait_line("1 of 1000 rounds")
            served.wait_line("tree 2 of 1000")
            assert served.end(number, within=5) == code
            assert trained.end(within=10) == 5
        assert "Traceback" not in served.text + trained.text
        assert "bureau: the connection was lost" in trained.text
        assert "start again with --resume" in trained.text
        assert companies.left() == INTERRUPTED
        assert last_event(companies)["error"] == "PeerUnreachableError"


def test_the_feature_party_dials_and_serves_once(companies):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    text = companies.serve_toml.read_text().replace(
        'listen = "127.0.0.1:0"', f"dial = '127.0.0.1:{port}'"
    )
    companies.serve_toml.write_text(text)
    way = f"party.bureau={{listen='127.0.0.1:{port}', certificate='../bureau/bureau.crt'}}"
    with companies.serve(once=True) as served:
        served.wait_line("dialling")
        done = train(companies, way)
        assert done.exit_code == 0, done.stderr
        assert f"waiting for bureau to dial 127.0.0.1:{port}, for up to 60 s" in done.stderr
        assert served.end() == 0
    assert "training ends" in served.text
    assert "Traceback" not in served.text


def test_serve_once_ends_after_the_scoring_or_with_the_error_of_a_session(companies):
    with companies.serve(once=True) as served:
        assert train(companies, address(served)).exit_code == 0
        with companies.serve("policy.min_child_samples=5", once=True) as strict:
            refused = train(companies, address(strict), more=("--force",))
            assert refused.exit_code == 6
            assert (
                "(policy): min_child_samples=1 is below this party's floor of 5" in refused.stderr
            )
            assert strict.end() == 6
        assert "lender: the session ended with our refusal (policy); the log says" in strict.text
        assert "is the other side still running" not in strict.text
        assert served.end() == 0
    assert served.text.count("lender has finished") == 3  # ids compared, trained, scored


def test_a_table_that_changed_since_training_is_refused(companies):
    with companies.serve() as served:
        assert train(companies, address(served), "model.n_estimators=1").exit_code == 0
    _, bureau = two_tables(60)
    bureau.rename(columns={"late": "later"}).to_csv(companies.bureau / "renamed.csv")
    with companies.serve("data.file='renamed.csv'") as served:
        done = predict(companies, address(served))
        assert (done.exit_code, done.stdout) == (6, "")
        assert "this party's table has other columns than the model's" in done.stderr


def test_strangers_are_turned_away_and_serving_goes_on(companies):
    for name in ("bureau", "lender"):
        create_certificate(name, companies.folder / f"{name}.crt", companies.folder / f"{name}.key")
    with companies.serve() as served:
        where = address(served)
        done = train(companies, where, "party.bureau.certificate='../bureau.crt'")
        assert done.exit_code == 5
        assert "presents another certificate than the pinned one. Expected" in done.stderr
        done = train(companies, where, "tls.certificate='../lender.crt'", "tls.key='../lender.key'")
        assert done.exit_code == 5
        assert "did not accept this side's certificate" in done.stderr
        assert "the other side must pin that certificate" in done.stderr
        assert companies.left() == {"log.jsonl"}
        with socket.create_connection(("127.0.0.1", int(where.strip("'").rpartition(":")[2]))) as s:
            s.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert train(companies, where, "model.n_estimators=1").exit_code == 0


def test_ctrl_c_while_waiting(companies):
    with companies.serve() as served:
        address(served)
        assert served.end(signal.SIGINT, within=5) == 130
    assert served.text.splitlines()[-1].endswith("stopped by Ctrl-C")
    with Process("train", companies.train_toml) as trained:
        trained.wait_line("dialling bureau at 127.0.0.1:1")
        assert trained.end(signal.SIGINT, within=5) == 130
    assert "Stopped" in trained.text.splitlines()
