"""Files that are whole or absent, never half written."""

import errno
import os
import tempfile
from pathlib import Path


def write_atomically(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write `data` to a new file beside `path` and rename it over `path`.

    File and folder are flushed to the disk: once this returns, the file outlives a loss of power.

    Parameters
    ----------
    path : Path
        Its folder is made where it is absent.
    data : bytes
    mode : int
        Permissions, in force before the first byte is written.

    Raises
    ------
    OSError
        As the operating system gives it, naming `path`; that is then as it was, or already the new
        file if it was the folder that could not be flushed.
    """
    try:
        _write_atomically(path, data, mode)
    except OSError as error:  # a full disk names no file, and a temporary one says nothing
        raise OSError(error.errno, error.strerror, str(path)) from error


def _write_atomically(path: Path, data: bytes, mode: int) -> None:
    make_folder(path.parent)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=_temporary_prefix(path))
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    flush_folder(path.parent)


def append_line(path: Path, line: bytes, *, mode: int = 0o644) -> None:
    """Put a line at the end of a file and flush it to the disk; what is there is never changed.

    Parameters
    ----------
    path : Path
        Made where it is absent.
    line : bytes
        Without a line break.
    mode : int
        Permissions of a new file.

    Raises
    ------
    OSError
    """
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, mode)
    with os.fdopen(handle, "ab") as file:
        file.write(line + b"\n")
        file.flush()
        os.fsync(file.fileno())
    flush_folder(path.parent)


def check_writable(folder: Path) -> None:
    """Make a folder where it is absent, and a file in it that goes away at once.

    Raises
    ------
    OSError
        As writing a file there would.
    """
    make_folder(folder)
    with tempfile.TemporaryFile(dir=folder):
        pass


def make_folder(folder: Path, *, mode: int = 0o777) -> None:
    """Make a folder and those above it where they are absent, and flush their names to the disk.

    Parameters
    ----------
    folder : Path
    mode : int
        Permissions of `folder`, less the umask; the others get the default.
    """
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(mode=mode, exist_ok=True)
        flush_folder(folder.parent)


def flush_folder(folder: Path) -> None:
    """Flush the names in a folder to the disk: files that were made, renamed or deleted."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # of file systems that cannot do it for folders, as SMB
            raise
    finally:
        os.close(handle)


def remove(path: Path) -> None:
    """Delete a file, if there is one, and what was left of writing it by a crash."""
    if not path.parent.is_dir():
        return
    remove_leftovers(path)
    path.unlink(missing_ok=True)
    flush_folder(path.parent)


def remove_leftovers(path: Path) -> None:
    """Delete what crashes left of writing a file; the file itself stays."""
    for leftover in leftovers(path):
        leftover.unlink(missing_ok=True)


def leftovers(path: Path) -> list[Path]:
    """What crashes left of writing a file: none of it was ever the file."""
    return list(path.parent.glob(f"{_temporary_prefix(path)}*"))


def _temporary_prefix(path: Path) -> str:
    """What the names of files begin with that are not renamed to `path` yet."""
    return f".{path.name}."
