"""A training run from checked tables to a result: what `train`, `simulate` and `demo` share."""

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crypto.scheme import PrivateKey
from parties.errors import PartyError
from secureboost.errors import ModelError
from secureboost.kinds import get_kind, kind_in, kind_of
from secureboost.kinds.base import Kind, Model, OnRound
from secureboost.monitor import History
from secureboost.outcome import RunData, RunResult
from secureboost.partners import Unmatched
from secureboost.party import Party
from secureboost.progress import LOSS, TrainingProgress
from secureboost.quality import measure
from secureboost.recovery import Recovery
from secureboost.run_folder import MODEL_FOLDER, save_model
from secureboost.splitnn.errors import DivergedError


def make_model(
    parameters: Mapping[str, Any],
    path: str = "model",
    *,
    trainer: str = "secureboost",
    more_names: Sequence[str] = (),
) -> Any:
    """Make an estimator from named settings and check them; see `kinds.base.Kind.make_model`."""
    return get_kind(trainer).make_model(parameters, path, more_names=more_names)


def load_model(folder: Path) -> Any:
    """Read a saved model, whatever its kind.

    Raises
    ------
    secureboost.errors.ModelError
        If a half is damaged or absent.
    secureboost.splitnn.errors.TorchMissingError
        If it is a network, and torch is not installed.
    """
    return kind_in(folder).load_model(folder)


def run(
    data: RunData,
    parties: Sequence[Party],
    model: Model,
    *,
    out: Path | None = None,
    on_round: OnRound | None = None,
    progress: TrainingProgress | None = None,
    make_key: Callable[[], PrivateKey] | None = None,
    recovery: Recovery | None = None,
) -> RunResult:
    """Train on the training rows and score all rows.

    The other rows ride along, so the metrics of all folds are known after each round.

    Parameters
    ----------
    data : RunData
    parties : sequence of Party
    model : Model
        Not fitted.
    out : Path, optional
        Folder of the run; the model is saved there as soon as it is trained.
    on_round : callable, optional
    progress : TrainingProgress, optional
        Shown while training.
    make_key : callable, optional
        Gives the private key, where one is needed; by default a fresh one is made.
    recovery : Recovery, optional
        Where each round is kept, and whether a run is gone on with.

    Raises
    ------
    ConfigError
        If a parameter names what is no column or party.
    parties.errors.PartyError
        If a party refuses or fails; a note says how to go on where a checkpoint was written.
    """
    names, kind = list(data.folds), kind_of(model)
    check_names(model, data, [party.name for party in parties])
    first_round = _rounds_so_far(kind, recovery)

    def watch(number: int, history: History) -> bool | None:
        by_name = by_fold(history, names, kind.losses(model))
        if progress is not None:
            progress.update(number + 1, by_name)
        return None if on_round is None else on_round(number, by_name)

    if progress is not None:
        progress.start_at(first_round)
    started = time.perf_counter()
    try:
        with progress or contextlib.nullcontext():
            kind.fit(model, data, parties, on_round=watch, make_key=make_key, recovery=recovery)
    except (PartyError, OSError, DivergedError, KeyboardInterrupt) as error:
        _say_how_to_go_on(error, recovery, model)
        raise
    if out is not None:
        save_model(out, model)
    trained = time.perf_counter()
    try:
        scores = predictions(model, data.X)
    except BaseException as error:
        if out is not None:
            go_on = "" if recovery is None or recovery.path is None else ", or go on by --resume"
            error.add_note(
                f"This was the scoring. The model is trained and lies in {out / MODEL_FOLDER}; "
                f"`secureboost predict` scores with it{go_on}."
            )
        raise
    seconds = {"train": trained - started, "predict": time.perf_counter() - trained}
    traffic = [t for by_request in model.traffic_.values() for t in by_request.values()]
    targets = data.targets
    return RunResult(
        model=model,
        scores=scores,
        names=kind.score_names(model),
        metrics={
            name: measure(data.objective, targets[part], scores[part])
            for name, part in data.folds.items()
        },
        seconds=seconds,
        history=by_fold(model.evals_result_, names, kind.losses(model)),
        first_round=first_round,
        bytes_sent=sum(t.bytes_sent for t in traffic),
        bytes_received=sum(t.bytes_received for t in traffic),
    )


def predictions(
    model: Model,
    X: pd.DataFrame,
    *,
    parties: Sequence[Party] | None = None,
    unmatched: Unmatched = "error",
    without: Sequence[str] = (),
) -> NDArray[np.float64]:
    """Scores as a run writes them; see `kinds.base.Kind.predictions`."""
    return kind_of(model).predictions(model, X, parties, unmatched, without)


def by_fold(history: History, folds: Sequence[str], losses: Sequence[float] = ()) -> History:
    """The history of evaluation sets under the names of the folds that they are.

    Parameters
    ----------
    history : mapping
    folds : sequence of str
    losses : sequence of float
        Of the training rows, where the kind of model has them; they go in front of the metrics.
    """
    found = {fold: dict(values) for fold, values in zip(folds, history.values(), strict=True)}
    if losses:
        found["train"] = {LOSS: list(losses), **found["train"]}
    return found


def check_names(model: Model, data: RunData, parties: Sequence[str]) -> None:
    """Check that what parameters name are columns and parties.

    Raises
    ------
    ConfigError
    """
    kind_of(model).check_names(model, [str(name) for name in data.X.columns], parties)


def _rounds_so_far(kind: Kind, recovery: Recovery | None) -> int:
    if recovery is None or recovery.path is None or not recovery.resume:
        return 0
    return kind.rounds_kept(recovery.path)


def _say_how_to_go_on(error: BaseException, recovery: Recovery | None, model: Model) -> None:
    if recovery is None or recovery.path is None or not recovery.path.exists():
        return
    kind = kind_of(model)
    with contextlib.suppress(ModelError):
        error.add_note(
            f"{kind.rounds_kept(recovery.path)} of {kind.n_rounds(model)} {kind.round_name}s are "
            f"kept in {recovery.path}. To go on with them, start again with --resume."
        )
