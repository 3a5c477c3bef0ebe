"""Progress of a training: a bar in a terminal or a notebook, a line now and then in a pipe."""

import html
import importlib
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task
from rich.text import Text

from secureboost.callbacks import TrainingCallback
from secureboost.units import format_bytes, format_seconds

if TYPE_CHECKING:
    from secureboost.estimator import SecureBoostModel
    from secureboost.monitor import History

_SECONDS_BETWEEN_LINES = 30.0
LOSS = "loss"
"""Name under which the loss of the training rows stands among the metrics, if there is one."""

Values = Mapping[str, Mapping[str, Sequence[float]]]
"""By evaluation set and metric the value after each round."""


class ProgressBar(TrainingCallback):
    """Shows how far a training is: rounds done, the metric that decides, and the time left.

    Where common rows have to be found first, it shows how far that is.

    The metric is the last one of `eval_metric`, which early stopping goes by, of each evaluation
    set. In a pipe there is a line every half minute.

    Parameters
    ----------
    console : rich.console.Console, optional
        By default stderr, or the notebook that this runs in.

    Examples
    --------
    >>> model = SecureBoostClassifier(callbacks=[ProgressBar()])
    >>> model.fit(X, y, parties=[bureau], eval_set=[(X_test, y_test)])
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console
        self._progress: TrainingProgress | None = None

    def before_training(self, model: "SecureBoostModel") -> "SecureBoostModel":
        """Show an empty bar."""
        self.close()
        self._progress = TrainingProgress(
            getattr(model, "n_epochs", None) or model.n_estimators,
            console=self.console,
            round_name="epoch" if hasattr(model, "n_epochs") else "round",
        )
        self._progress.__enter__()
        return model

    def after_iteration(
        self, model: "SecureBoostModel", epoch: int, evals_log: "History"
    ) -> bool | None:
        """Show one more round."""
        if self._progress is not None:
            self._progress.update(epoch + 1, evals_log)
        return None

    def after_training(self, model: "SecureBoostModel") -> "SecureBoostModel":
        """Say how long it took."""
        if self._progress is not None:
            self._progress.finish()
        self.close()
        return model

    def close(self) -> None:
        """Give the terminal back; also where a training failed."""
        if self._progress is not None:
            self._progress.close()
            self._progress = None

    def __deepcopy__(self, memo: dict[int, Any]) -> "ProgressBar":
        """A bar of its own for the copy of an estimator; a terminal cannot be copied."""
        return type(self)(self.console)


class TrainingProgress:
    """Rounds done, bytes sent, the current metric, and the time left.

    Use as a context manager; the bar ends with it, also by an error.

    Parameters
    ----------
    n_rounds : int
        Rounds that the run will have at most.
    bytes_sent : callable, optional
        Says how much has left so far; it shows a run at work within a round.
    console : rich.console.Console, optional
        Default: stderr.
    clock : callable, optional
        Returns seconds; for tests.
    round_name : str
        What a round is called.
    """

    def __init__(
        self,
        n_rounds: int,
        bytes_sent: Callable[[], int] = lambda: 0,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
        round_name: str = "round",
    ) -> None:
        self._round_name = round_name
        self._console = console or Console(stderr=True, highlight=False, markup=False)
        self._clock = clock
        self._n_rounds = n_rounds
        self._bytes_sent = bytes_sent
        self._values: Values = {}
        self._done = self._line_of = 0
        self._first_done: int | None = None  # after the first round of this run
        self._started = self._line_printed = clock()
        self._round_ended = self._first_ended = self._started
        self._finished = False
        self._display: _Bar | _Notebook | None = None
        if self._console.is_jupyter:
            self._display = _Notebook(self)
        elif self._console.is_terminal:
            self._display = _Bar(self, self._console)

    def start_at(self, rounds: int) -> None:
        """Say that so many rounds were done before, by a run that is gone on with."""
        self._done = rounds

    def __enter__(self) -> "TrainingProgress":
        if self._display is not None:
            self._display.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self.finish()
        self.close()

    def update(self, rounds_done: int, values: Values) -> None:
        """Say that a round has ended.

        Parameters
        ----------
        rounds_done : int
        values : mapping
            By evaluation set and metric the values so far.
        """
        now = self._clock()
        if self._first_done is None:
            self._first_done, self._first_ended = rounds_done, now
        self._done, self._round_ended, self._values = rounds_done, now, values
        if self._display is not None:
            self._display.show()
        elif now - self._line_printed >= _SECONDS_BETWEEN_LINES or rounds_done == self._first_done:
            self._print_line(now)

    def finish(self) -> None:
        """Say that training has ended, perhaps early, and how long it took."""
        total = self._bytes_sent()  # what scoring sends afterwards does not count
        self._bytes_sent = lambda: total
        self._finished = True
        if self._display is not None:
            self._display.show()
        elif self._line_of != self._done:
            self._print_line(self._clock())

    def close(self) -> None:
        """Give the terminal back."""
        if self._display is not None:
            self._display.stop()

    @property
    def rounds(self) -> tuple[int, int]:
        """Rounds done, and rounds in all."""
        return self._done, self._done if self._finished else self._n_rounds

    def time_left_text(self) -> str:
        """Say how long the rest takes at the pace of the rounds so far."""
        if self._finished or self._done >= self._n_rounds:
            return f"took {format_seconds(self._round_ended - self._started)}"
        seconds = self.seconds_left()
        if seconds is None:
            return "time left unknown"
        left = max(1, round(seconds))
        return f"{f'{left} s' if left < 60 else format_seconds(left)} left"

    def seconds_left(self) -> float | None:
        """How long the rest takes; None before the first round."""
        return self._seconds_to(self._n_rounds)

    def _seconds_to(self, n_rounds: int) -> float | None:
        """Seconds until so many rounds are done, at the pace of the rounds so far."""
        if self._first_done is None:
            return None
        pace = self._first_ended - self._started
        more = self._done - self._first_done
        if more:  # the first round's time holds the key and the connection as well
            pace = (self._round_ended - self._first_ended) / more
        return self._round_ended + pace * (n_rounds - self._done) - self._clock()

    def state_text(self, *, short: bool = False) -> str:
        """Say how far the run is."""
        sent = self._bytes_sent()
        parts = [
            self._rounds_text(short=short),
            f"{format_bytes(sent)} sent" if sent else "",
            metric_text(self._values, short=short),
        ]
        return ", ".join(part for part in parts if part)

    def _rounds_text(self, *, short: bool) -> str:
        return f"{self._done} of {self._n_rounds} {self._round_name}s"

    def _print_line(self, now: float) -> None:
        self._line_printed, self._line_of = now, self._done
        self._console.print(f"{self.state_text()}, {self.time_left_text()}")


def metric_text(values: Values, *, short: bool = False) -> str:
    """The last metric of each evaluation set: ``"auc: train 0.8123, test 0.7712"``.

    The loss, if there is one, comes in front: ``"loss 0.4312, auc: ..."``.

    Parameters
    ----------
    values : mapping
        By evaluation set and metric the value after each round.
    short : bool
        Without the names of the sets: ``"auc 0.8123/0.7712"``.
    """
    now = {name: by_metric for name, by_metric in values.items() if by_metric}
    if not now:
        return ""
    first = next(iter(now.values()))
    metric = list(first)[-1]
    loss = f"{LOSS} {first[LOSS][-1]:.4f}, " if LOSS in first and metric != LOSS else ""
    shown = {name: f"{by_metric[metric][-1]:.4f}" for name, by_metric in now.items()}
    if short:
        return f"{loss}{metric} {'/'.join(shown.values())}"
    return f"{loss}{metric}: {', '.join(f'{name} {value}' for name, value in shown.items())}"


class _Bar:
    """A line of a terminal that changes; it fits into 80 columns."""

    def __init__(self, progress: TrainingProgress, console: Console) -> None:
        self._progress = progress
        self._bar = Progress(
            SpinnerColumn(),
            BarColumn(bar_width=8),
            _Text(lambda: progress.state_text(short=True)),
            _Text(progress.time_left_text, style="cyan"),
            console=console,
            refresh_per_second=4,
        )
        done, total = progress.rounds
        self._task = self._bar.add_task("training", completed=done, total=total)

    def start(self) -> None:
        self.show()
        self._bar.start()

    def show(self) -> None:
        done, total = self._progress.rounds
        self._bar.update(self._task, completed=done, total=total)

    def stop(self) -> None:
        self._bar.stop()


class _Text(ProgressColumn):
    """A text that changes between updates too, since a round takes many seconds."""

    def __init__(self, text: Callable[[], str], style: str = "") -> None:
        super().__init__()
        self._text = text
        self._style = style

    def render(self, task: Task) -> Text:
        return Text(self._text(), style=self._style)


class _Notebook:
    """A bar below a cell; rich's own needs ipywidgets, this one does not."""

    def __init__(self, progress: TrainingProgress) -> None:
        self._progress = progress
        self._ipython = importlib.import_module("IPython.display")
        self._handle: Any = None

    def start(self) -> None:
        self._handle = self._ipython.display(self._page(), display_id=True)

    def show(self) -> None:
        if self._handle is not None:
            self._handle.update(self._page())

    def stop(self) -> None:
        """Nothing to give back."""

    def _page(self) -> Any:
        done, total = self._progress.rounds
        text = f"{self._progress.state_text()}, {self._progress.time_left_text()}"
        return self._ipython.HTML(
            f'<progress value="{done}" max="{max(total, 1)}"></progress> {html.escape(text)}'
        )
