"""Going on with an interrupted run: where it is kept, and what must be as it was."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec

from secureboost.errors import ConfigError
from secureboost.files import check_writable


class Interrupted(Protocol):
    """A run as far as it is, read from its checkpoint."""

    @property
    def finished(self) -> bool:
        """Training had ended; what is left is to tell the partners."""
        ...

    def check_same(self, run: Mapping[str, str], parameters: Mapping[str, Any]) -> None:
        """Refuse to go on with something else; see `check_same_run`."""
        ...


class KeptRun(Protocol):
    """What a checkpoint says of its run.

    Attributes
    ----------
    model_id : str
    run : mapping of str to str
        Digests of what must be the same when the run goes on, by what it is ("labels", ...).
    parameters : mapping of str to value
        Hyperparameters.
    """

    @property
    def model_id(self) -> str: ...  # noqa: D102
    @property
    def run(self) -> Mapping[str, str]: ...  # noqa: D102
    @property
    def parameters(self) -> Mapping[str, Any]: ...  # noqa: D102


Run = TypeVar("Run", bound=Interrupted)


@dataclass(frozen=True)
class Recovery:
    """Where checkpoints go, and whether an interrupted run is gone on with.

    Attributes
    ----------
    path : Path or None
        The file; None: nothing is kept.
    resume : bool
        Go on with what is there. Otherwise a new run begins, and there must be no interrupted one.
    """

    path: Path | None = None
    resume: bool = False

    def find(
        self, load: Callable[[Path], Run], run: Mapping[str, str], parameters: Mapping[str, Any]
    ) -> Run | None:
        """The run to go on with; None for a new one.

        Parameters
        ----------
        load : callable
            Reads a checkpoint.
        run, parameters : mappings
            See `KeptRun`.

        Raises
        ------
        secureboost.errors.ConfigError
            If there is nothing to go on with, it is of another run, it would be written over, or
            it cannot be written.
        secureboost.errors.ModelError
            If the file is damaged.
        """
        if self.path is None:
            return None
        found = None
        if self.resume:
            found = load(self.path)
            found.check_same(run, parameters)
        elif self.path.exists() and not load(self.path).finished:
            raise ConfigError(
                f"{self.path} is the checkpoint of an interrupted run. Go on with it (resume), or "
                "delete it to begin a new run."
            )
        try:
            check_writable(self.path.parent)
        except OSError as error:
            raise ConfigError(
                f"{self.path} cannot be written ({error.strerror}), and every round is kept there; "
                "name another file, or change the folder's permissions",
                "checkpoint",
            ) from error
        return found


def check_same_run(
    kept: KeptRun,
    run: Mapping[str, str],
    parameters: Mapping[str, Any],
    *,
    free: Collection[str],
) -> None:
    """Refuse to go on with something else.

    Parameters
    ----------
    kept : KeptRun
    run, parameters : mappings
        As they are now.
    free : collection of str
        Parameters that may be others.

    Raises
    ------
    secureboost.errors.ConfigError
        Naming what differs.
    """
    # as they come back from a file: there tuples are lists
    now: dict[str, Any] = msgspec.msgpack.decode(msgspec.msgpack.encode(dict(parameters)))
    changed = [
        f"{name} ({kept.parameters.get(name)!r} then, {value!r} now)"
        for name, value in now.items()
        if kept.parameters.get(name) != value and name not in free
    ]
    changed += [name for name, digest in run.items() if kept.run.get(name) != digest]
    if changed:
        raise ConfigError(
            f"The interrupted run of model {kept.model_id} cannot go on with other "
            f"{', '.join(changed)}. Take what it was started with, or begin a new run."
        )
