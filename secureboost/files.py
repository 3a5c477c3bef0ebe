"""Files that are whole or absent, never half written."""

import os
import tempfile
from pathlib import Path


def write_atomically(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write `data` to a new file beside `path`, flush it to the disk and rename it over `path`.

    Parameters
    ----------
    path : Path
    data : bytes
    mode : int
        Permissions, in force before the first byte is written.

    Raises
    ------
    OSError
        As the operating system gives it; `path` is then as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
