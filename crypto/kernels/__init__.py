"""Compute engines: modular arithmetic on whole arrays of words.

This is the one place that knows which engines exist and picks one. The environment variable
``SECUREBOOST_ENGINE`` overrides the choice: ``auto`` (the fastest that this machine can run) or an
engine's name.
"""

import os
from dataclasses import dataclass
from functools import cache

from crypto.errors import EngineUnavailableError
from crypto.kernels.engine import Engine, SquareModulus
from crypto.kernels.gmpy2_engine import Gmpy2Engine
from crypto.kernels.ifma_engine import IfmaEngine
from crypto.kernels.portable import PortableEngine

__all__ = [
    "ENGINES",
    "VARIABLE",
    "Choice",
    "Engine",
    "SquareModulus",
    "describe_choice",
    "engine",
]

VARIABLE = "SECUREBOOST_ENGINE"
AUTO = "auto"

ENGINES: dict[str, type[Engine]] = {
    engine_class.name: engine_class
    for engine_class in (IfmaEngine, PortableEngine, Gmpy2Engine)  # fastest first
}
_NEEDS = {
    "ifma": "a CPU with the AVX-512 IFMA instructions (avx512f, avx512dq, avx512ifma), and numba's "
    "compiler (unset NUMBA_DISABLE_JIT)",
    "portable": "numba's compiler (unset NUMBA_DISABLE_JIT)",
}
"""What an engine that is not available lacks; gmpy2 always is."""


@dataclass(frozen=True)
class Choice:
    """Which engine is used, and why.

    Attributes
    ----------
    name : str
    why : str
        Reads on after the name.
    available : tuple of str
        All engines that run here, the fastest first.
    missing : dict of str to str
        What each of the others needs.
    """

    name: str
    why: str
    available: tuple[str, ...]
    missing: dict[str, str]


def engine() -> Engine:
    """Return the engine to use.

    Raises
    ------
    EngineUnavailableError
        If ``SECUREBOOST_ENGINE`` names one that does not exist or cannot run here.
    """
    return _make(describe_choice().name)


def describe_choice() -> Choice:
    """Say which engine is used, and why, without loading it.

    Raises
    ------
    EngineUnavailableError
        As `engine`.
    """
    wanted = os.environ.get(VARIABLE) or AUTO
    available = tuple(name for name, kind in ENGINES.items() if kind.available())
    missing = {name: _NEEDS[name] for name in ENGINES if name not in available}
    if wanted == AUTO:
        why = f"the fastest of those that run here: {', '.join(available)}"
        if len(available) == 1:
            why = "the only one that runs here"
        return Choice(available[0], why, available, missing)
    if wanted in available:
        return Choice(wanted, f"because {VARIABLE}={wanted}", available, missing)
    usable = f"use one of: {', '.join([AUTO, *available])}"
    if wanted in ENGINES:
        raise EngineUnavailableError(
            f"{VARIABLE}={wanted!r} cannot run here: it needs {missing[wanted]}; {usable}"
        )
    raise EngineUnavailableError(f"{VARIABLE}={wanted!r} is not an engine; {usable}")


@cache
def _make(name: str) -> Engine:
    return ENGINES[name]()
