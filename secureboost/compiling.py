"""Compiling kernels with numba: kept between processes where that is possible."""

import logging
from collections.abc import Callable
from typing import TypeVar, cast

from numba import njit

F = TypeVar("F", bound=Callable[..., object])

log = logging.getLogger(__name__)


def kernel(function: F) -> F:
    """Compile a function, without the GIL, when it is first called.

    The result is kept beside the source, in ``NUMBA_CACHE_DIR`` or in the user's cache folder.
    Where none of them can be written numba refuses; the function is then compiled in each process
    anew (`crypto.compiling` says so to the user, once for all kernels).
    """
    try:
        return cast(F, njit(cache=True, nogil=True)(function))
    except RuntimeError as error:  # "cannot cache function ...: no locator available"
        log.debug("%s", error)
        return cast(F, njit(nogil=True)(function))
