"""Where a feature party keeps its bottoms: finished ones, and checkpoints of those in training.

Kept are the bytes of `model` files. A crash may find one side an epoch ahead of the other, so the
checkpoints of the latest two epochs are kept.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from secureboost.files import make_folder, remove, write_atomically

_MODEL_ID = re.compile(r"[0-9a-f]{32}")
SUFFIX = ".safetensors"
NETS = "nets"
"""Folder of them in a feature party's store, beside its halves of other models."""


class BottomStore(Protocol):
    """Keeps bottoms by model id."""

    def save(self, model_id: str, half: bytes) -> None:
        """Keep a finished bottom; it replaces one of the same model, and its checkpoints."""

    def load(self, model_id: str) -> bytes | None:
        """Return the bottom of that model, or None where there is none."""

    def keep(self, model_id: str, epoch: int, checkpoint: bytes) -> None:
        """Keep a checkpoint after so many epochs; the one of the epoch before stays."""

    def kept(self, model_id: str, epoch: int) -> bytes | None:
        """Return the checkpoint of that model after so many epochs, or None."""

    def forget(self, model_id: str) -> None:
        """Delete the checkpoints of that model, if there are any."""

    def drop_oldest(self, most: int, newest: str) -> list[str]:
        """Delete the checkpoints of all but `most` models; returns the ids of those.

        Parameters
        ----------
        most : int
        newest : str
            Id of the model that was just kept; of the others the one kept last counts as newest.
        """


class MemoryBottoms:
    """Bottoms of this process, for parties that live in it.

    Attributes
    ----------
    halves : dict of str to bytes
    unfinished : dict of (str, int) to bytes
        Checkpoints by model and epoch.
    """

    def __init__(self) -> None:
        self.halves: dict[str, bytes] = {}
        self.unfinished: dict[tuple[str, int], bytes] = {}

    def save(self, model_id: str, half: bytes) -> None:
        """Keep a finished bottom; it replaces one of the same model, and its checkpoints."""
        self.halves[model_id] = half
        self.forget(model_id)

    def load(self, model_id: str) -> bytes | None:
        """Return the bottom of that model, or None where there is none."""
        return self.halves.get(model_id)

    def keep(self, model_id: str, epoch: int, checkpoint: bytes) -> None:
        """Keep a checkpoint after so many epochs; the one of the epoch before stays."""
        self.unfinished.pop((model_id, epoch), None)
        self.unfinished[model_id, epoch] = checkpoint
        for model, other in list(self.unfinished):
            if model == model_id and other not in (epoch, epoch - 1):
                del self.unfinished[model, other]

    def kept(self, model_id: str, epoch: int) -> bytes | None:
        """Return the checkpoint of that model after so many epochs, or None."""
        return self.unfinished.get((model_id, epoch))

    def forget(self, model_id: str) -> None:
        """Delete the checkpoints of that model, if there are any."""
        for model, epoch in list(self.unfinished):
            if model == model_id:
                del self.unfinished[model, epoch]

    def drop_oldest(self, most: int, newest: str) -> list[str]:
        """Delete the checkpoints of all but `most` models; returns the ids of those."""
        kept = [model for model, _ in self.unfinished]
        dropped = _oldest({model: place for place, model in enumerate(kept)}, most, newest)
        for model in dropped:
            self.forget(model)
        return dropped


class FolderBottoms:
    """Bottoms as ``<model id>.safetensors`` in a folder that only its owner can read.

    Checkpoints lie in the folder ``unfinished`` inside.

    Parameters
    ----------
    folder : Path
        Made with mode 0700 where it is absent.
    """

    def __init__(self, folder: Path) -> None:
        make_folder(folder, mode=0o700)
        self.folder = folder
        self._unfinished = folder / "unfinished"

    def path(self, model_id: str) -> Path:
        """File of a model; the id comes from a peer, so its form is checked first."""
        return self.folder / f"{_checked(model_id)}{SUFFIX}"

    def save(self, model_id: str, half: bytes) -> None:
        """Keep a finished bottom; it replaces one of the same model, and its checkpoints.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        write_atomically(self.path(model_id), half, mode=0o600)
        self.forget(model_id)

    def load(self, model_id: str) -> bytes | None:
        """Return the bottom of that model, or None where there is none."""
        return _read(self.path(model_id))

    def keep(self, model_id: str, epoch: int, checkpoint: bytes) -> None:
        """Keep a checkpoint after so many epochs, whole or not at all.

        Raises
        ------
        OSError
            If it cannot be written; those before are then as they were.
        """
        make_folder(self._unfinished, mode=0o700)
        path = self._checkpoint(model_id, epoch)
        write_atomically(path, checkpoint, mode=0o600)
        for other in self._checkpoints(model_id):
            if other not in (path, self._checkpoint(model_id, epoch - 1)):
                remove(other)

    def kept(self, model_id: str, epoch: int) -> bytes | None:
        """Return the checkpoint of that model after so many epochs, or None."""
        return _read(self._checkpoint(model_id, epoch))

    def forget(self, model_id: str) -> None:
        """Delete the checkpoints of that model, if there are any."""
        for path in self._checkpoints(model_id):
            remove(path)

    def drop_oldest(self, most: int, newest: str) -> list[str]:
        """Delete the checkpoints of all but `most` models; returns the ids of those."""
        kept_at: dict[str, int] = {}
        for path in self._unfinished.glob(f"*{SUFFIX}"):
            model_id = path.name.split(".")[0]
            if not _MODEL_ID.fullmatch(model_id):
                continue
            with suppress(FileNotFoundError):  # a session beside this one has deleted it
                kept_at[model_id] = max(kept_at.get(model_id, 0), path.stat().st_mtime_ns)
        dropped = _oldest(kept_at, most, newest)
        for model_id in dropped:
            self.forget(model_id)
        return dropped

    def _checkpoint(self, model_id: str, epoch: int) -> Path:
        return self._unfinished / f"{_checked(model_id)}.{epoch}{SUFFIX}"

    def _checkpoints(self, model_id: str) -> list[Path]:
        return list(self._unfinished.glob(f"{_checked(model_id)}.*{SUFFIX}"))


def _oldest(kept_at: Mapping[str, int], most: int, newest: str) -> list[str]:
    """Models beyond `most`, the oldest ones."""
    others = sorted(kept_at.keys() - {newest}, key=lambda model_id: kept_at[model_id])
    return others[: max(0, len(others) + 1 - most)]


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _checked(model_id: str) -> str:
    if not _MODEL_ID.fullmatch(model_id):
        raise ValueError("a model id is 32 hexadecimal digits")
    return model_id
