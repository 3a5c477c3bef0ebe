"""Progress of a training run on stderr: a bar in a terminal, a line now and then in a pipe."""

import time
from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task
from rich.text import Text

from secureboost.cli.console import stderr
from secureboost.units import format_bytes, format_seconds

_SECONDS_BETWEEN_LINES = 30.0


class TrainingProgress:
    """Trees done, bytes sent, the current metric, and the time left.

    Use as a context manager; the bar ends with it, also by an error.

    Parameters
    ----------
    n_trees : int
        Trees that the run will have.
    bytes_sent : callable, optional
        Says how much has left so far; it shows a run at work within a tree.
    console : rich.console.Console, optional
        Default: `secureboost.cli.console.stderr`.
    clock : callable, optional
        Returns seconds; for tests.
    """

    def __init__(
        self,
        n_trees: int,
        bytes_sent: Callable[[], int] = lambda: 0,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console or stderr()
        self._clock = clock
        self._n_trees = n_trees
        self._bytes_sent = bytes_sent
        self._metric = ""
        self._trees_done = 0
        self._started = self._line_printed = clock()
        self._tree_ended = self._first_ended = self._started
        self._bar: Progress | None = None
        if self._console.is_terminal:
            self._bar = Progress(
                SpinnerColumn(),
                BarColumn(bar_width=10),  # the line fits into 80 columns
                _Text(self.state_text),
                _Text(self.time_left_text, style="cyan"),
                console=self._console,
                refresh_per_second=4,
            )
            self._task = self._bar.add_task("training", total=n_trees)

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

    def update(self, trees_done: int, metric: str = "") -> None:
        """Say how far the run is; call it as often as you like.

        Parameters
        ----------
        trees_done : int
            Finished trees.
        metric : str
            The current metric as text, ``"AUC 0.7712"``.
        """
        self._metric = metric
        now = self._clock()
        tree_ended = trees_done > self._trees_done
        if tree_ended:
            if self._trees_done == 0:
                self._first_ended = now
            self._trees_done, self._tree_ended = trees_done, now
        if trees_done >= self._n_trees:
            total = self._bytes_sent()  # what scoring sends afterwards does not count
            self._bytes_sent = lambda: total
        if self._bar:
            self._bar.update(self._task, completed=trees_done)
            return
        due = now - self._line_printed >= _SECONDS_BETWEEN_LINES
        if tree_ended and (due or trees_done in (1, self._n_trees)):
            self._line_printed = now
            self._console.print(f"{self.state_text()}, {self.time_left_text()}")

    def time_left_text(self) -> str:
        """Say how long the rest takes at the pace of the finished trees."""
        now = self._clock()
        if self._trees_done == 0:
            return "time left unknown"
        if self._trees_done >= self._n_trees:
            return f"took {format_seconds(self._tree_ended - self._started)}"
        pace = self._first_ended - self._started
        if self._trees_done > 1:  # the first tree's time holds the key and the connection as well
            pace = (self._tree_ended - self._first_ended) / (self._trees_done - 1)
        trees_left = self._n_trees - self._trees_done
        left = max(1, round(self._tree_ended + pace * trees_left - now))
        return f"{f'{left} s' if left < 60 else format_seconds(left)} left"

    def state_text(self) -> str:
        """Say how far the run is."""
        sent = self._bytes_sent()
        parts = [
            f"{self._trees_done} of {self._n_trees} trees",
            f"{format_bytes(sent)} sent" if sent else "",
            self._metric,
        ]
        return ", ".join(part for part in parts if part)


class _Text(ProgressColumn):
    """A text that changes between updates too, since a tree takes many seconds."""

    def __init__(self, text: Callable[[], str], style: str = "") -> None:
        super().__init__()
        self._text = text
        self._style = style

    def render(self, task: Task) -> Text:
        return Text(self._text(), style=self._style)
