"""Recording a run in the registry while a command works."""

from collections.abc import Iterator
from contextlib import contextmanager

from secureboost.cli.console import stderr
from secureboost.errors import ConfigError
from secureboost.runs import Record, Registry, State, registry_file


@contextmanager
def recorded(registry: str | None, record: Record) -> Iterator[Record]:
    """Record a run from here to the end of the block, and how it ends.

    The block fills the record in. A registry that cannot be written costs no run: it is said, and
    the run goes on.

    Parameters
    ----------
    registry : str, optional
        See `runs.registry_file`.
    record : Record
    """
    file = registry_file(registry)
    if file is None:
        yield record
        return
    try:
        opened = Registry(file, create=True)
        run = opened.begin(record)
    except ConfigError as error:
        stderr().print(f"This run is not recorded: {error}")
        yield record
        return
    state, failure = State.FAILED, None
    with opened:
        try:
            yield record
            state = State.FINISHED
        except KeyboardInterrupt:
            state = State.STOPPED
            raise
        except BaseException as error:
            failure = type(error).__name__
            raise
        finally:
            _end(opened, run, record, state, failure)
    stderr().print(f"Recorded as run {run} in {file}")


def _end(registry: Registry, run: str, record: Record, state: State, failure: str | None) -> None:
    try:
        registry.end(run, record, state, failure)
    except ConfigError as error:
        stderr().print(f"The end of run {run} is not recorded: {error}")
