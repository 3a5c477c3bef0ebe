"""Compute engines: modular arithmetic on whole arrays of words.

This is the one place that knows which engines exist and picks one. The environment variable
``SECUREBOOST_ENGINE`` overrides the choice: ``auto`` (the fastest that this machine can run) or an
engine's name.
"""

import os
from functools import cache

from crypto.errors import EngineUnavailableError
from crypto.kernels.engine import Engine, FixedBase, SquareModulus
from crypto.kernels.gmpy2_engine import Gmpy2Engine

__all__ = ["ENGINES", "VARIABLE", "Engine", "FixedBase", "SquareModulus", "engine"]

VARIABLE = "SECUREBOOST_ENGINE"

ENGINES: dict[str, type[Engine]] = {
    engine_class.name: engine_class
    for engine_class in (Gmpy2Engine,)  # fastest first
}


def engine() -> Engine:
    """Return the engine to use.

    Raises
    ------
    EngineUnavailableError
        If ``SECUREBOOST_ENGINE`` names one that does not exist or cannot run here.
    """
    return _engine(os.environ.get(VARIABLE, "auto"))


@cache
def _engine(name: str) -> Engine:
    available = [key for key, engine_class in ENGINES.items() if engine_class.available()]
    if name == "auto":
        name = available[0]
    if name not in available:
        raise EngineUnavailableError(
            f"{VARIABLE}={name!r} is not an engine that runs here; "
            f"use one of: {', '.join(['auto', *available])}"
        )
    return ENGINES[name]()
