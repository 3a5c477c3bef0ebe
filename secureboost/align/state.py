"""What one side keeps of an alignment under way, so that it can go on after a crash.

A folder that only its owner can read, with one file for each piece: what never changes (scalar,
nonce, seeds) and what every finished chunk gave. Files are whole or absent and carry a digest; the
folder is deleted at the end. Nothing is kept where there is no folder.
"""

import hashlib
import shutil
from pathlib import Path

from secureboost.errors import AlignmentError
from secureboost.files import flush_folder, make_folder, write_atomically

_DIGEST_BYTES = 32


class State:
    """Pieces by name.

    Parameters
    ----------
    folder : Path or None
        Made when the first piece is kept. None: nothing is kept and nothing is found.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def part(self, name: str) -> "State":
        """Return the state in a folder of that name inside; `name` must be fit for a file."""
        return State(None if self.folder is None else self.folder / name)

    def put(self, name: str, data: bytes) -> None:
        """Keep a piece; once this returns it outlives a crash.

        Raises
        ------
        OSError
        """
        if self.folder is not None:
            _make_private(self.folder)
            data = hashlib.sha256(data).digest() + data
            write_atomically(self.folder / name, data, mode=0o600)

    def get(self, name: str) -> bytes | None:
        """Return a piece, or None where there is none.

        Raises
        ------
        secureboost.errors.AlignmentError
            If it is damaged.
        """
        if self.folder is None or not (self.folder / name).exists():
            return None
        data = (self.folder / name).read_bytes()
        digest, content = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
        if hashlib.sha256(content).digest() != digest:
            raise AlignmentError(
                f"{self.folder / name} is damaged. Delete the folder {self.folder}; the alignment "
                "begins anew then."
            )
        return content

    def clear(self) -> None:
        """Delete the folder with all that is in it; after a crash it is there whole or not at all.

        Raises
        ------
        OSError
        """
        self.sweep()
        if self.folder is not None and self.folder.exists():
            self.folder.rename(_trash(self.folder))
            flush_folder(self.folder.parent)
            self.sweep()

    def sweep(self) -> None:
        """Delete what a crash has left of `clear`.

        Raises
        ------
        OSError
        """
        if self.folder is not None and _trash(self.folder).exists():
            shutil.rmtree(_trash(self.folder))


def sweep_all(folder: Path) -> None:
    """Delete what crashes have left of `State.clear` in a folder that holds states alone."""
    for trash in folder.glob(_trash(folder / "*").name):
        shutil.rmtree(trash, ignore_errors=True)  # another session may do so too


def _trash(folder: Path) -> Path:
    """What a folder is called while it is deleted."""
    return folder.with_name(f".{folder.name}.deleted")


def _make_private(folder: Path) -> None:
    """Make a folder and those above it where they are absent, for their owner alone."""
    if not folder.is_dir():
        _make_private(folder.parent)
        make_folder(folder, mode=0o700)
