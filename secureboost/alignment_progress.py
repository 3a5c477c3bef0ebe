"""Progress of an alignment: how much of the keys has been exchanged, and the time left."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any

import pandas as pd
from rich.console import Console

from secureboost.align.aligned import AlignProgress, Progress
from secureboost.party import Party
from secureboost.progress import ProgressBar, TrainingProgress

_STEPS = ("send", "fetch", "compare")
"""Steps whose keys are counted; what comes behind takes no time beside them."""


class AlignmentProgress(TrainingProgress):
    """Shows which part of the keys has been exchanged, bytes sent, and the time left.

    Nothing is shown before the first step: perhaps nothing need be aligned.

    Parameters
    ----------
    n_keys, n_parties : int
        Own keys, and parties with which they are compared. What a party brings is taken for as
        much until it is known.
    bytes_sent : callable
        Says how much has left so far.
    console : rich.console.Console, optional
        Default: stderr.
    clock : callable, optional
        Returns seconds; for tests.
    """

    def __init__(
        self,
        n_keys: int,
        n_parties: int,
        bytes_sent: Callable[[], int],
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._n_keys, self._n_parties = n_keys, n_parties
        self._steps: dict[tuple[str, str], AlignProgress] = {}
        super().__init__(self._total(), bytes_sent, console, clock)

    def __enter__(self) -> "AlignmentProgress":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.begun:
            super().__exit__(kind, error, traceback)

    @property
    def begun(self) -> bool:
        """Whether keys have been exchanged."""
        return bool(self._steps)

    def show_step(self, now: AlignProgress) -> None:
        """Say how far a party is."""
        if now.step not in _STEPS:
            return
        first = not self.begun
        self._steps[now.party, now.step] = now
        self._n_rounds = self._total()
        self.update(sum(step.done for step in self._steps.values()), {})
        if first:
            super().__enter__()

    def _seconds_to(self, n_rounds: int) -> float | None:
        """Seconds until so many keys are done, at the pace since the beginning."""
        if not self._done:
            return None
        pace = (self._round_ended - self._started) / self._done
        return self._round_ended + pace * (n_rounds - self._done) - self._clock()

    def _total(self) -> int:
        known = sum(step.total for step in self._steps.values())
        return known + self._n_keys * (self._n_parties * len(_STEPS) - len(self._steps))

    def _rounds_text(self, *, short: bool) -> str:
        return f"{100 * self._done // max(1, self._n_rounds)} % aligned"


@contextlib.contextmanager
def shown_by(
    callbacks: Sequence[Any], index: pd.Index | None, parties: Sequence[Party]
) -> Iterator[Progress | None]:
    """Let a `ProgressBar` among callbacks show an alignment as well; None if there is no such bar.

    Parameters
    ----------
    callbacks : sequence of TrainingCallback
    index : pandas.Index, optional
        Ids of our rows.
    parties : sequence of Party
        Those without an index of their own are aligned.
    """
    bar = next((callback for callback in callbacks if isinstance(callback, ProgressBar)), None)
    strangers = [party for party in parties if party.index is None]
    if bar is None or index is None or not strangers:
        yield None
        return

    def sent() -> int:
        return sum(party.traffic.bytes_sent for party in strangers)

    before = sent()
    with AlignmentProgress(
        len(index), len(strangers), lambda: sent() - before, bar.console
    ) as progress:
        yield progress.show_step
