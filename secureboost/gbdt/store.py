"""Where a feature party keeps its halves of trained models."""

from pathlib import Path
from typing import Protocol

from secureboost.gbdt.model import PartyHalf, is_model_id, load_half, save_half


class HalfStore(Protocol):
    """Keeps halves by model id."""

    def save(self, half: PartyHalf) -> None:
        """Keep `half`; it replaces one of the same model."""

    def load(self, model_id: str) -> PartyHalf | None:
        """Return the half of that model, or None where there is none."""


class MemoryStore:
    """Halves of this process, for parties that live in it.

    Attributes
    ----------
    halves : dict of str to PartyHalf
    """

    def __init__(self) -> None:
        self.halves: dict[str, PartyHalf] = {}

    def save(self, half: PartyHalf) -> None:
        """Keep `half`; it replaces one of the same model."""
        self.halves[half.model_id] = half

    def load(self, model_id: str) -> PartyHalf | None:
        """Return the half of that model, or None where there is none."""
        return self.halves.get(model_id)


class FolderStore:
    """Halves as ``<model id>.json`` in a folder that only its owner can read.

    Parameters
    ----------
    folder : Path
        Made with mode 0700 where it is absent.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder = folder

    def path(self, model_id: str) -> Path:
        """File of a model; the id comes from a peer, so its form is checked first."""
        if not is_model_id(model_id):
            raise ValueError("a model id is 32 hexadecimal digits")
        return self.folder / f"{model_id}.json"

    def save(self, half: PartyHalf) -> None:
        """Keep `half`; it replaces one of the same model."""
        save_half(half, self.path(half.model_id))

    def load(self, model_id: str) -> PartyHalf | None:
        """Return the half of that model, or None where there is none.

        Raises
        ------
        secureboost.errors.ModelError
            If the file is there and damaged.
        """
        path = self.path(model_id)
        return load_half(path, PartyHalf) if path.exists() else None
