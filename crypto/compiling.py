"""Compiling kernels with numba: cached where that is possible, and said when it takes a while.

numba keeps compiled code beside the source, or in the folder ``NUMBA_CACHE_DIR``, or in the user's
cache folder, whichever it can write first. Where it can write none of them it refuses to decorate
at all; here a kernel is then compiled anew in each process.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from threading import Timer
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])

SLOW_SECONDS = 2.0
"""A compilation that takes longer is announced."""

_log = logging.getLogger(__name__)


def compiles() -> bool:
    """Tell whether numba compiles at all; ``NUMBA_DISABLE_JIT=1`` switches it off."""
    return not numba.config.DISABLE_JIT  # type: ignore[attr-defined]  # set at run time


def kernel(function: F) -> F:
    """Compile a function without the GIL when it is first called, and keep the result.

    Returns
    -------
    numba dispatcher
        With ``NUMBA_DISABLE_JIT=1``, the function itself.
    """
    try:
        compiled = numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # "cannot cache function ...: no locator available"
        _warn_once(
            "no folder for compiled kernels can be written, so each run compiles them again; set "
            "NUMBA_CACHE_DIR to a folder that you may write"
        )
        return cast(F, numba.njit(nogil=True)(function))
    wanted = numba.config.CACHE_DIR  # type: ignore[attr-defined]  # set at run time
    used = _folder(compiled)
    if used and wanted and Path(wanted).absolute() not in used.parents:
        _warn_once(
            f"NUMBA_CACHE_DIR={wanted!r} cannot be written; compiled kernels are kept beside their "
            "source or in the user's cache folder"
        )
    return cast(F, compiled)


def prepare(name: str, kernels: Sequence[tuple[Any, tuple[Any, ...]]]) -> None:
    """Load kernels from the cache, or compile them.

    Parameters
    ----------
    name : str
        What to call them if it takes a while.
    kernels : sequence of (dispatcher, argument types)
    """
    folder = _folder(kernels[0][0])
    if folder:
        _forget_older(folder, Path(kernels[0][0].py_func.__code__.co_filename).parent)
    kept = f"once; they are kept in {folder}" if folder else "for this run only"
    with _announced(f"compiling the {name} kernels, {kept}"):
        for function, types in kernels:
            function.compile(types)


def _forget_older(folder: Path, sources: Path) -> None:
    """Remove what was compiled before any source file beside the kernels was written.

    numba looks at the file of a kernel only, not at those that its code or its constants come from,
    and would go on with what an older version of those made.
    """
    newest = max(path.stat().st_mtime for path in sources.glob("*.py"))
    for index in folder.glob("*.nbi"):
        with suppress(OSError):  # another process may do the same, or may be the only one allowed
            if index.stat().st_mtime < newest:
                index.unlink()


@contextmanager
def _announced(message: str) -> Iterator[None]:
    """Log a message if the block is still running after `SLOW_SECONDS`."""
    timer = Timer(SLOW_SECONDS, _log.warning, [message])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _folder(compiled: Any) -> Path | None:
    """Return where numba keeps a kernel, None where it does not."""
    if not compiles() or compiled.stats.cache_path is None:
        return None
    return Path(compiled.stats.cache_path)


@cache
def _warn_once(message: str) -> None:
    _log.warning(message)
