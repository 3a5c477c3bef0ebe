"""Progress of a training run on stderr: a bar in a terminal, a line now and then in a pipe."""

import time
from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

from secureboost.cli.console import stderr
from secureboost.units import format_seconds

_SECONDS_BETWEEN_LINES = 30.0


class TrainingProgress:
    """Trees done, nodes asked, the current metric, and the time left.

    Use as a context manager; the bar ends with it, also by an error.

    Parameters
    ----------
    n_trees : int
        Trees that the run will have.
    console : rich.console.Console, optional
        Default: `secureboost.cli.console.stderr`.
    clock : callable, optional
        Returns seconds; for tests.
    """

    def __init__(
        self,
        n_trees: int,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console or stderr()
        self._clock = clock
        self._n_trees = n_trees
        self._trees_done = 0
        self._started = self._line_printed = clock()
        self._tree_ended = self._started
        self._bar: Progress | None = None
        if self._console.is_terminal:
            self._bar = Progress(
                TextColumn("training", style="bold"),
                BarColumn(bar_width=30),
                TextColumn("{task.fields[state]}"),
                _TimeLeft(self),
                console=self._console,
                refresh_per_second=4,
            )
            self._task = self._bar.add_task("", total=n_trees, state=self._state(0, ""))

    def __enter__(self) -> "TrainingProgress":
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar:
            self._bar.stop()

    def update(self, trees_done: int, nodes_asked: int = 0, metric: str = "") -> None:
        """Say how far the run is; call it as often as you like.

        Parameters
        ----------
        trees_done : int
            Finished trees.
        nodes_asked : int
            Nodes whose histograms partners were asked for so far.
        metric : str
            The current metric as text, ``"AUC 0.7712"``.
        """
        now = self._clock()
        tree_ended = trees_done > self._trees_done
        if tree_ended:
            self._trees_done, self._tree_ended = trees_done, now
        state = self._state(nodes_asked, metric)
        if self._bar:
            self._bar.update(self._task, completed=trees_done, state=state)
            return
        due = now - self._line_printed >= _SECONDS_BETWEEN_LINES
        if tree_ended and (due or trees_done in (1, self._n_trees)):
            self._line_printed = now
            self._console.print(f"{state}, {self.time_left_text()}")

    def time_left_text(self) -> str:
        """Say how long the rest takes at the pace of the finished trees."""
        now = self._clock()
        if self._trees_done == 0:
            return "time left not known yet"
        if self._trees_done >= self._n_trees:
            return f"took {format_seconds(self._tree_ended - self._started)}"
        pace = (self._tree_ended - self._started) / self._trees_done
        left = max(0.0, pace * self._n_trees - (now - self._started))
        return f"about {format_seconds(left) if left >= 1 else '1 s'} left"

    def _state(self, nodes_asked: int, metric: str) -> str:
        parts = [f"{self._trees_done} of {self._n_trees} trees"]
        if nodes_asked:
            parts.append(f"{nodes_asked:,} nodes asked")
        if metric:
            parts.append(metric)
        return ", ".join(parts)


class _TimeLeft(ProgressColumn):
    """Counts down between updates, since a tree takes many seconds."""

    def __init__(self, progress: TrainingProgress) -> None:
        super().__init__()
        self._progress = progress

    def render(self, task: Task) -> Text:
        return Text(self._progress.time_left_text(), style="cyan")
