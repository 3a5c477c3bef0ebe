"""The registry of runs: what goes in comes out, whoever writes at the same time."""

import os
import sqlite3
import threading

import pytest

from secureboost.errors import ConfigError
from secureboost.runs import DEFAULT_FILE, OFF, Record, Registry, State, differences, registry_file


@pytest.fixture
def registry(tmp_path):
    with Registry(tmp_path / "runs.db", create=True) as opened:
        yield opened


def record(**changes):
    given = {
        "trainer": "secureboost",
        "folder": "/out",
        "parties": ["bureau"],
        "data": {"lender.csv": "ab" * 32},
        "parameters": {"max_depth": 4, "monotone_constraints": {"income": -1}, "objective": None},
    }
    return Record("train", **(given | changes))


def test_a_run_from_begin_to_end(registry):
    begun = record()
    run = registry.begin(begun)
    (found,) = registry.runs()
    assert (found.id, found.state, found.ended, found.record) == (run, "running", None, begun)
    begun.metrics = {"train": {"auc": 0.9, "rows": 80}, "test": {"auc": 0.8, "ks": float("nan")}}
    begun.model_id, begun.rounds, begun.seconds = "c" * 32, 20, {"train": 1.5}
    begun.bytes_sent, begun.bytes_received = 10, 20
    registry.end(run, begun, State.FINISHED)
    found = registry.run(run[:3])
    assert found.state is State.FINISHED
    assert found.ended >= found.started
    assert found.record.metrics.pop("test") == {"auc": 0.8}  # what is not a number has no row
    del begun.metrics["test"]
    assert found.record == begun


def test_a_failure_has_its_class(registry):
    run = registry.begin(record())
    registry.end(run, record(), State.FAILED, "PeerUnreachableError")
    found = registry.run(run)
    assert (found.state, found.error) == ("failed", "PeerUnreachableError")


def test_a_run_whose_process_is_gone_is_lost(registry):
    run = registry.begin(record())
    assert registry.run(run).state is State.RUNNING
    with sqlite3.connect(registry.path) as other:
        other.execute("UPDATE runs SET pid = 4194304 + 1")  # above Linux' largest
    assert registry.run(run).state is State.LOST
    with sqlite3.connect(registry.path) as other:
        other.execute("UPDATE runs SET host = 'another'")  # of which nothing is known here
    assert registry.run(run).state is State.RUNNING


def test_the_newest_come_first(registry):
    runs = [registry.begin(record()) for _ in range(5)]
    assert [run.id for run in registry.runs()] == runs[::-1]
    assert [run.id for run in registry.runs(limit=2)] == runs[:2:-1]


@pytest.mark.parametrize(
    ("prefix", "message"), [("zz", "no run of"), ("", "2 runs of"), ("%", "no run of")]
)
def test_an_id_must_be_that_of_one_run(registry, prefix, message):
    registry.begin(record())
    registry.begin(record())
    with pytest.raises(ConfigError) as caught:
        registry.run(prefix)
    assert message in str(caught.value)
    assert f"begin with {prefix!r}; `secureboost runs list` shows their ids" in str(caught.value)


def test_several_processes_write_at_once(tmp_path):
    def write():
        with Registry(tmp_path / "runs.db", create=True) as opened:
            for _ in range(5):
                opened.end(opened.begin(record()), record(), State.FINISHED)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with Registry(tmp_path / "runs.db") as opened:
        found = opened.runs()
        mode = opened._db.execute("PRAGMA journal_mode").fetchone()[0]
    assert len({run.id for run in found}) == 20
    assert {run.state for run in found} == {State.FINISHED}
    assert mode == "wal"


def test_files_that_are_no_registry(tmp_path):
    with pytest.raises(
        ConfigError, match=r"no\.db: there is no registry of runs here\. Commands that train"
    ):
        Registry(tmp_path / "no.db")
    (tmp_path / "text.db").write_text("a" * 4096)
    with pytest.raises(ConfigError, match=r"text\.db: the registry of runs: file is not a databas"):
        Registry(tmp_path / "text.db")
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE experiments (id)")
    with pytest.raises(ConfigError, match=r"other\.db is not a registry of runs of this release"):
        Registry(tmp_path / "other.db", create=True)
    with pytest.raises(ConfigError, match="No such file or directory"):
        Registry(tmp_path / "none" / "runs.db", create=True)


def test_it_is_for_its_owner_alone(registry):
    assert os.stat(registry.path).st_mode & 0o077 == 0


def test_where_it_lies(monkeypatch):
    monkeypatch.delenv("SECUREBOOST_RUNS")
    assert str(registry_file()) == DEFAULT_FILE
    monkeypatch.setenv("SECUREBOOST_RUNS", "/shared/runs.db")
    assert str(registry_file()) == "/shared/runs.db"
    assert str(registry_file("own.db")) == "own.db"
    assert registry_file(OFF) is None


def test_differences():
    one, other = {"a": 1, "b": 2, "c": None}, {"a": 1, "b": 3, "d": [1]}
    assert differences(one, other) == {"b": (2, 3), "d": (None, [1])}
