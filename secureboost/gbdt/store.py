"""Where a feature party keeps its halves of trained models, and of models in training."""

from pathlib import Path
from typing import Protocol

import msgspec

from secureboost.errors import ModelError
from secureboost.files import append_line, make_folder, remove, write_atomically
from secureboost.gbdt.model import PartyHalf, decode_half, is_model_id, load_half, save_half

RELEASES_FILE = "releases.jsonl"


class HalfStore(Protocol):
    """Keeps halves by model id: finished ones, and checkpoints of those in training."""

    def save(self, half: PartyHalf) -> None:
        """Keep a finished half; it replaces one of the same model, and its checkpoint."""

    def load(self, model_id: str) -> PartyHalf | None:
        """Return the half of that model, or None where there is none."""

    def keep(self, half: PartyHalf, bins_digest: bytes) -> None:
        """Keep a checkpoint; it replaces one of the same model.

        Parameters
        ----------
        half : PartyHalf
            With the splits so far.
        bins_digest : bytes
            Of the bins that they were made over; given back by `kept`.
        """

    def kept(self, model_id: str) -> tuple[PartyHalf, bytes] | None:
        """Return the checkpoint of that model, or None where there is none."""

    def forget(self, model_id: str) -> None:
        """Delete the checkpoint of that model, if there is one."""

    def note_release(self, record: bytes) -> None:
        """Put the record of a released half, one line of JSON, at the end of a list."""


class MemoryStore:
    """Halves of this process, for parties that live in it.

    Attributes
    ----------
    halves : dict of str to PartyHalf
    unfinished : dict of str to (PartyHalf, bytes)
        Checkpoints.
    releases : list of bytes
        Records of released halves.
    """

    def __init__(self) -> None:
        self.halves: dict[str, PartyHalf] = {}
        self.unfinished: dict[str, tuple[PartyHalf, bytes]] = {}
        self.releases: list[bytes] = []

    def save(self, half: PartyHalf) -> None:
        """Keep a finished half; it replaces one of the same model, and its checkpoint."""
        self.halves[half.model_id] = half
        self.forget(half.model_id)

    def load(self, model_id: str) -> PartyHalf | None:
        """Return the half of that model, or None where there is none."""
        return self.halves.get(model_id)

    def keep(self, half: PartyHalf, bins_digest: bytes) -> None:
        """Keep a checkpoint; it replaces one of the same model."""
        self.unfinished[half.model_id] = (half, bins_digest)

    def kept(self, model_id: str) -> tuple[PartyHalf, bytes] | None:
        """Return the checkpoint of that model, or None where there is none."""
        return self.unfinished.get(model_id)

    def forget(self, model_id: str) -> None:
        """Delete the checkpoint of that model, if there is one."""
        self.unfinished.pop(model_id, None)

    def note_release(self, record: bytes) -> None:
        """Put the record of a released half at the end of the list."""
        self.releases.append(record)


class FolderStore:
    """Halves as ``<model id>.json`` in a folder that only its owner can read.

    Checkpoints lie in the folder ``unfinished`` inside; ``releases.jsonl`` lists what was released.

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
        return self.folder / _file_name(model_id)

    def save(self, half: PartyHalf) -> None:
        """Keep a finished half; it replaces one of the same model, and its checkpoint."""
        save_half(half, self.path(half.model_id))
        self.forget(half.model_id)

    def load(self, model_id: str) -> PartyHalf | None:
        """Return the half of that model, or None where there is none.

        Raises
        ------
        secureboost.errors.ModelError
            If the file is there and damaged.
        """
        path = self.path(model_id)
        return load_half(path, PartyHalf) if path.exists() else None

    def keep(self, half: PartyHalf, bins_digest: bytes) -> None:
        """Keep a checkpoint; it replaces one of the same model, whole or not at all.

        Raises
        ------
        OSError
            If it cannot be written; the one before is then as it was.
        """
        path = self._checkpoint(half.model_id)
        make_folder(self._unfinished, mode=0o700)
        content = msgspec.Raw(msgspec.json.encode(half))
        data = msgspec.json.encode(_Checkpoint(bins_digest=bins_digest, half=content))
        write_atomically(path, data, mode=0o600)

    def kept(self, model_id: str) -> tuple[PartyHalf, bytes] | None:
        """Return the checkpoint of that model, or None where there is none.

        Raises
        ------
        secureboost.errors.ModelError
            If the file is there and damaged.
        """
        path = self._checkpoint(model_id)
        if not path.exists():
            return None
        try:
            checkpoint = msgspec.json.decode(path.read_bytes(), type=_Checkpoint)
        except msgspec.DecodeError as error:
            raise ModelError(f"{path} is not a checkpoint: {error}.") from error
        return decode_half(bytes(checkpoint.half), PartyHalf, str(path)), checkpoint.bins_digest

    def forget(self, model_id: str) -> None:
        """Delete the checkpoint of that model, if there is one."""
        remove(self._checkpoint(model_id))

    def note_release(self, record: bytes) -> None:
        """Put the record of a released half at the end of the list; it is then on the disk.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        append_line(self.folder / RELEASES_FILE, record, mode=0o600)

    def _checkpoint(self, model_id: str) -> Path:
        return self._unfinished / _file_name(model_id)


class _Checkpoint(msgspec.Struct, frozen=True):
    """A checkpoint's file; the half is read as one of its own."""

    bins_digest: bytes
    half: msgspec.Raw


def _file_name(model_id: str) -> str:
    if not is_model_id(model_id):
        raise ValueError("a model id is 32 hexadecimal digits")
    return f"{model_id}.json"
