"""What the label party keeps after every epoch, so that a run can go on after a crash.

Every partner keeps its bottom first (`protocol.KeepBottom`), then this file is written. Partners
keep the latest two epochs, so whatever moment a crash picks, each has the epoch that this file
counts. What is drawn in an epoch follows from the seed and the epoch's number: a run that goes on
gives the very model of a run that was left alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from secureboost.errors import ConfigError, ModelError
from secureboost.files import check_writable, write_atomically
from secureboost.monitor import History
from secureboost.splitnn.model import (
    VERSION,
    BottomHead,
    decode_half,
    encode_half,
    read_half,
)
from secureboost.splitnn.tensors import from_array
from secureboost.splitnn.trainable import Tensors, join_parts, split_parts

_FREE = frozenset({"n_jobs", "n_epochs", "learning_rate", "callbacks"})
"""Parameters that may be others when a run goes on: a longer one, or one that had diverged."""


class Kept(msgspec.Struct, frozen=True, kw_only=True, tag="secureboost.top.kept"):
    """The head of the file.

    Attributes
    ----------
    version : int
    model_id : str
    seed : str
        In hexadecimal.
    run : dict of str to str
        Digests of what must be the same when the run goes on, by what it is ("labels", ...).
    parameters : dict
        Hyperparameters that must be the same.
    bottoms : tuple of BottomHead
        Of the bottoms in this process.
    epoch : int
        Epochs that are done.
    history : dict
        Of the evaluation sets.
    losses : tuple of float
        Of the training rows, after each epoch.
    finished : bool
        Training had ended; what is left is to tell the partners.
    """

    version: int = VERSION
    model_id: str
    seed: str
    run: dict[str, str]
    parameters: dict[str, Any]
    bottoms: tuple[BottomHead, ...]
    epoch: int
    history: History
    losses: tuple[float | None, ...]
    finished: bool


@dataclass(frozen=True, repr=False)
class Checkpoint:
    """A run as far as it is.

    Attributes
    ----------
    kept : Kept
    top : dict of str to tensor
        State of the top (`trainable.Trainable.state`).
    bottoms : tuple of dict of str to tensor
        State of each bottom in this process.
    labels : array of shape (n_training,), float64
        As they are learnt from: protections may have changed them.
    body : dict of str to tensor
        State of the body, if there is one in this process.
    """

    kept: Kept
    top: Tensors
    bottoms: tuple[Tensors, ...]
    labels: NDArray[np.float64]
    body: Tensors

    def save(self, path: Path) -> None:
        """Write the file: whole, flushed to the disk, readable by its owner alone."""
        labels = {"y": from_array(self.labels, np.float64)}
        parts = {"top": self.top, "labels": labels, "body": self.body} | _numbered(self.bottoms)
        write_atomically(path, encode_half(self.kept, join_parts(parts)), mode=0o600)

    def check_same(self, run: Mapping[str, str], parameters: Mapping[str, Any]) -> None:
        """Refuse to go on with something else.

        Raises
        ------
        secureboost.errors.ConfigError
            Naming what differs.
        """
        kept = self.kept
        changed = [
            f"{name} ({kept.parameters.get(name)!r} then, {value!r} now)"
            for name, value in plain(parameters).items()
            if kept.parameters.get(name) != value and name not in _FREE
        ]
        changed += [name for name, digest in run.items() if kept.run.get(name) != digest]
        if changed:
            raise ConfigError(
                f"The interrupted run of model {kept.model_id} cannot go on with other "
                f"{', '.join(changed)}. Take what it was started with, or begin a new run."
            )


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

    def find(self, run: Mapping[str, str], parameters: Mapping[str, Any]) -> Checkpoint | None:
        """The run to go on with; None for a new one.

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
            found = load_checkpoint(self.path)
            found.check_same(run, parameters)
        elif self.path.exists() and not load_checkpoint(self.path).kept.finished:
            raise ConfigError(
                f"{self.path} is the checkpoint of an interrupted run. Go on with it (resume), or "
                "delete it to begin a new run."
            )
        try:
            check_writable(self.path.parent)
        except OSError as error:
            raise ConfigError(
                f"{self.path} cannot be written ({error.strerror}), and every epoch is kept there; "
                "name another file, or change the folder's permissions",
                "checkpoint",
            ) from error
        return found


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises
    ------
    secureboost.errors.ConfigError
        If there is none.
    secureboost.errors.ModelError
        If the file is damaged or of another version.
    """
    if not path.exists():
        raise ConfigError(f"{path}: there is no checkpoint to resume from.")
    kept, tensors = decode_half(read_half(path), Kept, str(path))
    names = ["top", "labels", "body", *(f"bottom {number}" for number in range(len(kept.bottoms)))]
    try:
        parts = split_parts(tensors, names)
    except ValueError as error:
        raise ModelError(f"{path} is damaged ({error}); begin a new run.") from error
    top, labels, body, *bottoms = parts.values()
    if "y" not in labels:
        raise ModelError(f"{path} is damaged (it has no labels); begin a new run.")
    return Checkpoint(kept, top, tuple(bottoms), labels["y"].numpy(), body)


def _numbered(bottoms: Sequence[Tensors]) -> dict[str, Tensors]:
    return {f"bottom {number}": state for number, state in enumerate(bottoms)}


def plain(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as they come back from a file: tuples are lists there."""
    as_read: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(dict(parameters)))
    return as_read
