"""libsodium's ristretto255 as plain functions of addresses, from the library that rbcl brings.

rbcl's own functions make several Python objects for each element and hold the interpreter's lock
in between; the kernels in `crypto.groups.ristretto` call these in a loop instead.
"""

import ctypes
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

INSTALL = "run: pip install 'rbcl>=1.1.2'"


@dataclass(frozen=True)
class Sodium:
    """The functions that are needed; all return 0 for success.

    Attributes
    ----------
    sha512 : ctypes function
        (address of 64 bytes to write, address to read, number of bytes)
    from_hash : ctypes function
        The one-way map of RFC 9496, section 4.3.4: (address of 32 bytes to write, address of 64
        uniform bytes).
    scalarmult : ctypes function
        (address of 32 bytes to write, address of the scalar, address of the element). Not 0 where
        the element is not valid or the product is the identity. The scalar must not lie where the
        product goes; the element may. In constant time.
    """

    sha512: Any
    from_hash: Any
    scalarmult: Any


@cache
def load() -> Sodium | str:
    """Return the functions, or why they are not there and what to do."""
    try:
        import rbcl
    except ModuleNotFoundError:
        return f"needs the package rbcl: {INSTALL}"
    except Exception as error:  # it writes a library to the disk and loads that: anything can fail
        return (
            f"cannot load libsodium: {type(error).__name__}: {error}; rbcl puts it into the "
            f"temporary folder {tempfile.gettempdir()}: set TMPDIR to a folder that may hold "
            "programs, or install rbcl again"
        )
    size, number = ctypes.c_size_t, ctypes.c_int
    try:
        library = rbcl._sodium
        found = Sodium(
            ctypes.CFUNCTYPE(number, size, size, ctypes.c_uint64)(("crypto_hash_sha512", library)),
            ctypes.CFUNCTYPE(number, size, size)(("crypto_core_ristretto255_from_hash", library)),
            ctypes.CFUNCTYPE(number, size, size, size)(("crypto_scalarmult_ristretto255", library)),
        )
    except AttributeError as error:
        return f"finds no libsodium that it can use in rbcl ({error}): {INSTALL}"
    with suppress(OSError):  # rbcl would leave 3 MB behind for each process; not so on Windows
        Path(library._name).unlink()
    return found
