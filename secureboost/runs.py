"""The registry of runs: what was trained with which settings on which data, and how good it was.

One SQLite file, beside what one works on, as MLflow keeps its ``mlruns``: `DEFAULT_FILE` in the
folder where a command is started, unless ``--registry`` or the variable `VARIABLE` names another.
It holds settings, digests and results; never a label, a value, an id, a key or a passphrase.
"""

import json
import os
import platform
import secrets
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from secureboost._version import __version__
from secureboost.errors import ConfigError

VARIABLE = "SECUREBOOST_RUNS"
DEFAULT_FILE = "secureboost-runs.db"
OFF = "off"
"""Instead of a file: nothing is recorded."""

_SCHEMA_VERSION = 1
_WAIT_SECONDS = 10.0  # for another process that writes
_SCHEMA = """
CREATE TABLE runs (
    id TEXT PRIMARY KEY,
    started TEXT NOT NULL,
    ended TEXT,
    state TEXT NOT NULL,
    error TEXT,
    command TEXT NOT NULL,
    trainer TEXT,
    software TEXT NOT NULL,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    folder TEXT,
    parties TEXT NOT NULL,
    data TEXT NOT NULL,
    parameters TEXT NOT NULL,
    model_id TEXT,
    rounds INTEGER,
    first_round INTEGER NOT NULL,
    seconds TEXT NOT NULL,
    bytes_sent INTEGER,
    bytes_received INTEGER
);
CREATE TABLE metrics (
    run TEXT NOT NULL REFERENCES runs (id),
    fold TEXT NOT NULL,
    name TEXT NOT NULL,
    value REAL NOT NULL,
    PRIMARY KEY (run, fold, name)
);
"""
_JSON = ("parties", "data", "parameters", "seconds")


class State(StrEnum):
    """How a run ended.

    `LOST` is not recorded: it is a run that should be running and whose process is gone.
    """

    RUNNING = "running"
    FINISHED = "finished"
    STOPPED = "stopped"
    FAILED = "failed"
    LOST = "lost"


@dataclass
class Record:
    """What a run tells the registry, filled in as far as it gets.

    Attributes
    ----------
    command : str
        ``train``, ``simulate``, ``cv``, ``tune`` or ``evaluate``.
    trainer : str, optional
    folder : str, optional
        Where its files lie.
    parties : list of str
        The feature parties.
    data : dict of str to str
        By name of the table a digest of its content.
    parameters : dict
        Settings by name, those of the hold-out among them.
    model_id : str, optional
    rounds : int, optional
    first_round : int
        Rounds of an interrupted run that was gone on with.
    seconds : dict of str to float
        Wall time by phase of the run.
    bytes_sent, bytes_received : int, optional
    metrics : dict of str to dict of str to float
        By fold and name.
    """

    command: str
    trainer: str | None = None
    folder: str | None = None
    parties: list[str] = field(default_factory=list)
    data: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    model_id: str | None = None
    rounds: int | None = None
    first_round: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    bytes_sent: int | None = None
    bytes_received: int | None = None
    metrics: dict[str, dict[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """A run as the registry has it.

    Attributes
    ----------
    id : str
        Eight hexadecimal digits.
    started : datetime
    ended : datetime or None
    state : State
    error : str or None
        Class of the error that it failed with.
    software : str
        Version of this package.
    record : Record
    """

    id: str
    started: datetime
    ended: datetime | None
    state: State
    error: str | None
    software: str
    record: Record


def registry_file(given: str | None = None) -> Path | None:
    """The file of the registry; None where nothing is to be recorded.

    Parameters
    ----------
    given : str, optional
        A file, or `OFF`; by default what `VARIABLE` says, or `DEFAULT_FILE` in this folder.
    """
    chosen = given or os.environ.get(VARIABLE) or DEFAULT_FILE
    return None if chosen == OFF else Path(chosen)


class Registry:
    """The registry in a file, which several processes may write.

    Parameters
    ----------
    path : Path
    create : bool
        Make the file where there is none.

    Raises
    ------
    secureboost.errors.ConfigError
        If there is none, or it cannot be opened.
    """

    def __init__(self, path: Path, *, create: bool = False) -> None:
        self.path = path
        if not create and not path.is_file():
            raise ConfigError(
                f"{path}: there is no registry of runs here. Commands that train or evaluate "
                f"write {DEFAULT_FILE} into the folder where they are started; name another with "
                f"--registry or {VARIABLE}"
            )
        with self._told():
            if create:
                path.touch(mode=0o600)  # sqlite would make it for everybody to read
            self._db = sqlite3.connect(path, timeout=_WAIT_SECONDS, isolation_level=None)
            self._db.row_factory = sqlite3.Row
            self._prepare()

    def begin(self, record: Record) -> str:
        """Note that a run begins; returns its id.

        Raises
        ------
        secureboost.errors.ConfigError
            If it cannot be written.
        """
        values = _columns(record) | {
            "id": secrets.token_hex(4),
            "started": _now(),
            "state": State.RUNNING,
            "software": __version__,
            "host": platform.node(),
            "pid": os.getpid(),
        }
        names = ", ".join(values)
        with self._told():
            self._db.execute(
                f"INSERT INTO runs ({names}) VALUES ({', '.join('?' * len(values))})",  # noqa: S608
                list(values.values()),
            )
        return str(values["id"])

    def end(self, run: str, record: Record, state: State, error: str | None = None) -> None:
        """Note how a run ended and what it gave.

        Raises
        ------
        secureboost.errors.ConfigError
            If it cannot be written.
        """
        values = _columns(record) | {"ended": _now(), "state": state, "error": error}
        rows = [
            (run, fold, name, float(value))
            for fold, by_name in record.metrics.items()
            for name, value in by_name.items()
            if value == value  # SQLite would take NaN for NULL
        ]
        with self._told(), self._db:
            self._db.execute("BEGIN")
            self._db.execute(
                f"UPDATE runs SET {', '.join(f'{name} = ?' for name in values)} "  # noqa: S608
                "WHERE id = ?",
                [*values.values(), run],
            )
            self._db.executemany("INSERT OR REPLACE INTO metrics VALUES (?, ?, ?, ?)", rows)

    def runs(self, limit: int | None = None) -> list[Run]:
        """The runs, the newest first."""
        with self._told():
            rows = self._db.execute(
                "SELECT * FROM runs ORDER BY started DESC, rowid DESC LIMIT ?",
                [-1 if limit is None else limit],
            ).fetchall()
            return [self._run(row) for row in rows]

    def run(self, prefix: str) -> Run:
        """The run whose id begins so.

        Raises
        ------
        secureboost.errors.ConfigError
            If there is none, or there are several.
        """
        with self._told():
            rows = self._db.execute(
                "SELECT * FROM runs WHERE substr(id, 1, ?) = ? ORDER BY started DESC",
                [len(prefix), prefix.lower()],
            ).fetchall()
        if len(rows) != 1 or not prefix:
            found = "no run" if not rows else f"{len(rows)} runs"
            raise ConfigError(
                f"{found} of {self.path} begin with {prefix!r}; `secureboost runs list` shows "
                "their ids"
            )
        return self._run(rows[0])

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __enter__(self) -> "Registry":
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _prepare(self) -> None:
        """Make the tables of a new file; refuse one of another release."""
        self._db.execute("PRAGMA journal_mode = WAL")
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            others = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if version == 0 and not others:
                for statement in _SCHEMA.strip().rstrip(";").split(";"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
            elif version != _SCHEMA_VERSION:
                raise ConfigError(
                    f"{self.path} is not a registry of runs of this release; name another file"
                )

    def _run(self, row: sqlite3.Row) -> Run:
        given = {f.name: row[f.name] for f in fields(Record) if f.name != "metrics"}
        record = Record(**{k: json.loads(v) if k in _JSON else v for k, v in given.items()})
        for fold, name, value in self._db.execute(
            "SELECT fold, name, value FROM metrics WHERE run = ? ORDER BY rowid", [row["id"]]
        ):
            record.metrics.setdefault(fold, {})[name] = value
        return Run(
            id=row["id"],
            started=datetime.fromisoformat(row["started"]),
            ended=datetime.fromisoformat(row["ended"]) if row["ended"] else None,
            state=_state(row),
            error=row["error"],
            software=row["software"],
            record=record,
        )

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Name the file in what SQLite says."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise ConfigError(f"{self.path}: the registry of runs: {error}") from error


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What two mappings have differently, by name; None where one lacks it."""
    names = list(dict.fromkeys([*one, *other]))
    pairs = {name: (one.get(name), other.get(name)) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _columns(record: Record) -> dict[str, Any]:
    values = {f.name: getattr(record, f.name) for f in fields(Record) if f.name != "metrics"}
    return {
        name: json.dumps(value, default=str) if name in _JSON else value
        for name, value in values.items()
    }


def _state(row: sqlite3.Row) -> State:
    state = State(row["state"])
    if state is State.RUNNING and row["host"] == platform.node() and not _lives(row["pid"]):
        return State.LOST
    return state


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is somebody else's
        return True
    return True


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
