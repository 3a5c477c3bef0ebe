"""Progress of `cv` and `tune`: rounds of several folds, of several trials."""

import time
from collections.abc import Callable

from rich.console import Console

from secureboost.progress import TrainingProgress
from secureboost.validation import Round


class FoldProgress(TrainingProgress):
    """Shows fold and round, the current metric, and the time left.

    Where folds stop early the time left is the most that it can be.

    Parameters
    ----------
    n_folds, n_rounds : int
        Folds of a trial, and the most rounds of a fold.
    console : rich.console.Console
    tuning : bool
        Name the trial as well.
    n_trials : int, optional
        None where time alone says how many there will be.
    seconds : float, optional
        What all trials may take; only the first may take longer.
    clock : callable, optional
        Returns seconds; for tests.
    """

    def __init__(
        self,
        n_folds: int,
        n_rounds: int,
        console: Console,
        *,
        tuning: bool = False,
        n_trials: int | None = 1,
        seconds: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tuning, self._n_trials, self._seconds = tuning, n_trials, seconds
        self._now = Round(1, 1, n_folds, 0, n_rounds, {})
        self._before = self._end_of_trial = 0
        super().__init__(0, console=console, clock=clock)
        self._count()

    def show_round(self, now: Round) -> None:
        """Say that a round of a fold has ended."""
        if (now.trial, now.fold) != (self._now.trial, self._now.fold):
            self._before += self._now.rounds
        self._now = now
        self._count()
        self.update(self._before + now.rounds, now.history)

    def seconds_left(self) -> float | None:
        """How long the rest takes: all trials, but no longer than is allowed."""
        paced = super().seconds_left()
        if paced is None or self._seconds is None:
            return paced
        allowed = self._started + self._seconds - self._clock()
        if self._n_trials is not None:
            allowed = min(allowed, paced)
        return max(allowed, self._seconds_to(self._end_of_trial) or 0.0)

    def _count(self) -> None:
        """Count the rounds up to the end of this trial, and of all."""
        now = self._now
        self._end_of_trial = self._before + now.n_rounds * (now.n_folds - now.fold + 1)
        more = 1 if self._n_trials is None else self._n_trials - now.trial
        self._n_rounds = self._end_of_trial + now.n_rounds * now.n_folds * more

    def _rounds_text(self, *, short: bool) -> str:
        now, of = self._now, "/" if short else " of "
        trial = f"trial {now.trial}, " if self._tuning else ""
        return f"{trial}fold {now.fold}{of}{now.n_folds}, round {now.rounds}{of}{now.n_rounds}"
