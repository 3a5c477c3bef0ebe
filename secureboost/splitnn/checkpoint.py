"""What the label party keeps after every epoch, so that a run can go on after a crash.

Every partner keeps its bottom first (`protocol.KeepBottom`), then this file is written. Partners
keep the latest two epochs, so whatever moment a crash picks, each has the epoch that this file
counts. What is drawn in an epoch follows from the seed and the epoch's number: a run that goes on
gives the very model of a run that was left alone.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from secureboost.errors import ConfigError, ModelError
from secureboost.files import write_atomically
from secureboost.monitor import History
from secureboost.recovery import check_same_run
from secureboost.splitnn.inputs import content_digest
from secureboost.splitnn.model import (
    VERSION,
    BottomHead,
    MetricsWithout,
    decode_half,
    encode_half,
    read_half,
)
from secureboost.splitnn.task import TrainingTable
from secureboost.splitnn.tensors import from_array
from secureboost.splitnn.trainable import Tensors, join_parts, split_parts

_FREE = frozenset({"n_jobs", "n_epochs", "learning_rate", "callbacks", "max_wait"})
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
    metrics_without : dict
        See `model.TopHead`.
    late : dict of str to int
        See `task.Trained`.
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
    metrics_without: MetricsWithout = {}
    late: dict[str, int] = {}
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
        """See `recovery.check_same_run`."""
        check_same_run(self.kept, run, parameters, free=_FREE)

    @property
    def finished(self) -> bool:
        """Training had ended."""
        return self.kept.finished


@contextmanager
def restoring(model_id: str) -> Iterator[None]:
    """Say which checkpoint it was whose weights do not fit.

    Raises
    ------
    secureboost.errors.ModelError
    """
    try:
        yield
    except (ValueError, KeyError) as error:
        raise ModelError(f"The checkpoint of model {model_id}: {error}.") from error


def run_digests(table: TrainingTable, owners: Sequence[str]) -> dict[str, str]:
    """Digests of what must stay the same until a run ends, by what it is."""
    return {
        "own columns": content_digest(table.columns, np.arange(table.n_rows, dtype=np.int32)),
        "labels": hashlib.sha256(table.y.tobytes()).hexdigest(),
        "weights": hashlib.sha256(table.weight.tobytes()).hexdigest(),
        "parties": hashlib.sha256("\n".join(owners).encode()).hexdigest(),
        "rows": table.row_digest,
    }


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
