"""Where the time goes: seconds and operations by phase, for one party and run."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

COUNTED = {
    "bin": "values",
    "encrypt": "rows",
    "send": "blocks",
    "histogram": "values added",
    "wait": "answers",
    "decrypt": "ciphertexts",
    "split": "nodes",
    "divide": "nodes",
    "check": "ciphertexts",
    "plan": "",
    "sum": "additions",
    "pack": "cells",
    "rerandomise": "ciphertexts",
}
"""What the operations of a phase are."""


@dataclass(frozen=True)
class Phase:
    """What one kind of work took.

    Attributes
    ----------
    seconds : float
        Wall time, of all threads that did it.
    operations : int
        How many things were done; what a thing is depends on the phase.
    """

    seconds: float = 0.0
    operations: int = 0

    def __add__(self, other: "Phase") -> "Phase":
        return Phase(self.seconds + other.seconds, self.operations + other.operations)


class Clock:
    """Adds up phases; threads may share one."""

    def __init__(self) -> None:
        self._phases: dict[str, Phase] = {}
        self._lock = threading.Lock()

    @contextmanager
    def phase(self, name: str, operations: int = 0) -> Iterator[None]:
        """Count the time inside the block, also where it ends with an error."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.add(name, Phase(time.perf_counter() - started, operations))

    def add(self, name: str, phase: Phase) -> None:
        """Count what was measured elsewhere."""
        with self._lock:
            self._phases[name] = self._phases.get(name, Phase()) + phase

    @property
    def phases(self) -> Mapping[str, Phase]:
        """The phases so far, in the order in which they first occurred."""
        with self._lock:
            return dict(self._phases)
