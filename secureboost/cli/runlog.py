"""The log of a run: one JSON object a line, with what happened and when, and no data values."""

import json
from datetime import UTC, datetime
from numbers import Integral, Real
from pathlib import Path
from threading import Lock
from types import TracebackType


class RunLog:
    """Appends events to ``log.jsonl``; parties in several threads may share one.

    A line has ``time`` (UTC, ISO 8601), ``event`` and the event's fields. Fields are single
    numbers, texts, booleans or None: arrays and tables are refused, so that values, labels and ids
    cannot slip in.

    Parameters
    ----------
    path : str or Path
        The file; made if absent, otherwise continued.
    """

    def __init__(self, path: str | Path) -> None:
        self._file = Path(path).open("a", encoding="utf-8")  # noqa: SIM115 - closed by close()
        self._lock = Lock()

    def write(self, event: str, **fields: object) -> None:
        """Write one event; it is on disk for other readers when this returns.

        Raises
        ------
        TypeError
            If a field is not a single number, text, boolean or None.
        """
        line = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "event": event,
            **{name: _plain(value, name) for name, value in fields.items()},
        }
        with self._lock:
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> "RunLog":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _plain(value: object, name: str) -> str | int | float | bool | None:
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        number = float(value)
        return number if abs(number) < float("inf") else None  # JSON has no NaN
    raise TypeError(
        f"field {name!r} of a log event is a {type(value).__name__}; log single numbers or texts"
    )
