"""What estimators check and put together before they train: metrics, callbacks, evaluation rows.

Nothing here knows what kind of model is trained.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from secureboost.common_rows import Given
from secureboost.data import check_ids, match_rows
from secureboost.eval_metrics import EvalMetric, get_metric
from secureboost.inputs import Rows, check_eval_lengths, row_weights, stack_rows
from secureboost.monitor import Callback, EvalSet, History
from secureboost.objectives import Objective
from secureboost.partners import check_parties
from secureboost.party import Party


def make_metrics(eval_metric: Any, objective: Objective) -> list[EvalMetric]:
    """The metrics that a user chose; the objective's own by default.

    Raises
    ------
    ValueError
        If one is unknown or does not fit the objective, or two have one name.
    """
    specs = eval_metric
    if specs is None:
        specs = [objective.default_metric]
    elif not isinstance(specs, (list, tuple)):
        specs = [specs]
    metrics = [get_metric(spec, objective) for spec in specs]
    names = [metric.name for metric in metrics]
    if not names or len(set(names)) < len(names):
        raise ValueError(
            f"eval_metric: {names} must be at least one metric, each with a name of its own"
        )
    return metrics


def check_patience(rounds: Any, eval_sets: Sequence[EvalSet]) -> int | None:
    """The parameter `early_stopping_rounds`, checked.

    Raises
    ------
    ValueError
        If it is no whole number of at least 1, or there is no evaluation set.
    """
    if rounds is None:
        return None
    if isinstance(rounds, bool) or not isinstance(rounds, Integral) or int(rounds) < 1:
        raise ValueError(f"early_stopping_rounds={rounds!r} must be a whole number of at least 1")
    if not eval_sets:
        raise ValueError(
            "Must have at least 1 validation dataset for early stopping: "
            f"early_stopping_rounds={rounds} needs eval_set"
        )
    return int(rounds)


def check_callbacks(callbacks: Any) -> list[Any]:
    """The parameter `callbacks`, checked.

    Raises
    ------
    TypeError
        If it is no list of objects with `after_iteration`.
    """
    if callbacks is None:
        return []
    if not isinstance(callbacks, (list, tuple)) or not all(
        hasattr(callback, "after_iteration") for callback in callbacks
    ):
        raise TypeError("callbacks must be a list of TrainingCallback objects")
    return list(callbacks)


def after_iteration(callback: Any, model: Any) -> Callback:
    """What a monitor calls after each round for a user's callback."""

    def after(round_number: int, history: History) -> bool | None:
        wish: bool | None = callback.after_iteration(model, round_number, history)
        return wish

    return after


@contextmanager
def told(callbacks: Sequence[Any], model: Any) -> Iterator[None]:
    """Tell a user's callbacks that training begins, and that it has ended or failed."""
    with ExitStack() as at_the_end:
        for callback in callbacks:
            at_the_end.callback(getattr(callback, "close", _nothing))
            callback.before_training(model)
        yield
        for callback in callbacks:
            callback.after_training(model)


def _nothing() -> None:
    """What a callback without `close` does at the end."""


def stack_eval_sets(
    values: NDArray[np.float32],
    given: Given,
    parties: Sequence[Party],
    objective: Objective,
    *,
    read_columns: Callable[[Any], NDArray[np.float32]],
    read_labels: Callable[[ArrayLike, str], NDArray[np.float64]],
) -> tuple[Rows, list[EvalSet]]:
    """Put the rows of evaluation sets behind the training rows.

    Parameters
    ----------
    values : array of shape (n_training, n_features), float32
    given : Given
    parties : sequence of Party
    objective : Objective
        Its labels are checked.
    read_columns : callable
        Checks a set's table and gives its own columns.
    read_labels : callable
        Checks a set's labels; takes their name for messages.

    Raises
    ------
    ValueError
        If a table, a label or a weight cannot be used.
    """
    weights = given.eval_weights
    if weights is not None and len(weights) != len(given.eval_set):
        raise ValueError(
            f"sample_weight_eval_set has {len(weights)} entries for {len(given.eval_set)} sets"
        )
    parts: list[NDArray[np.float32] | None] = []
    indices, labels, row_weight = [], [], []
    for number, (frame, y) in enumerate(given.eval_set):
        name = f"eval_set[{number}]"
        check_parties(parties, frame)
        check_eval_lengths(name, frame, y)
        if parties:
            check_ids(frame.index, name)
        for party in parties:
            if party.index is not None and party.rows_of(frame.index) is None:
                match_rows(frame.index, party.index, f"{name}, {party.name}")
        # the training rows themselves are there already
        parts.append(None if frame is given.X else read_columns(frame))
        indices.append(frame.index if isinstance(frame, pd.DataFrame) else None)
        labels.append(read_labels(y, name))
        try:
            objective.check_labels(labels[-1])
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        weight = None if weights is None else weights[number]
        row_weight.append(row_weights(weight, frame, f"sample_weight_eval_set[{number}]"))
    rows = stack_rows(values, given.X.index if parties else None, parts, indices)
    return rows, [
        EvalSet(f"validation_{number}", *of_set)
        for number, of_set in enumerate(zip(rows.positions, labels, row_weight, strict=True))
    ]


def plain_parameter(value: Any) -> Any:
    """A parameter as JSON knows it; what is code goes by its name."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {str(key): plain_parameter(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, np.ndarray)):
        return [plain_parameter(item) for item in value]
    if callable(value):
        return getattr(value, "__name__", type(value).__name__)
    return value
