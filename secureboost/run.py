"""A training run from checked tables to a result: what `train`, `simulate` and `demo` share."""

import contextlib
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crypto.modulus import check_key_bits
from crypto.scheme import PrivateKey
from crypto.schemes import get_scheme
from parties.errors import PartyError
from secureboost.api import SecureBoostClassifier, SecureBoostRegressor
from secureboost.errors import ConfigError, ModelError
from secureboost.estimator import LABEL_FILE, Federation, SecureBoostModel
from secureboost.gbdt.checkpoint import load_checkpoint
from secureboost.gbdt.constraints import check_names as check_constraints
from secureboost.gbdt.label import booster_params
from secureboost.gbdt.model import LabelHalf, load_half
from secureboost.monitor import History
from secureboost.outcome import RunData, RunResult
from secureboost.partners import Unmatched
from secureboost.party import Party
from secureboost.progress import TrainingProgress
from secureboost.quality import measure, watched_metrics
from secureboost.recovery import Recovery
from secureboost.run_folder import MODEL_FOLDER, save_model
from secureboost.settings import check_names
from secureboost.targets import task_of

OnRound = Callable[[int, History], bool | None]
"""Called after each round with its number and the history by fold and metric."""

_CODE = ("callbacks",)  # what only a program can give
_FORMS: dict[str, Any] = {
    "monotone_constraints": dict[str, int] | list[int] | None,
    "interaction_constraints": list[list[str]] | None,
    "class_weight": dict[str | int, float] | str | None,
    "categorical_features": list[str] | None,
}


def make_model(
    parameters: Mapping[str, Any], path: str = "model", *, more_names: Sequence[str] = ()
) -> SecureBoostModel:
    """Make an estimator from named settings and check them, before hours are spent.

    A regressor where the objective is one. Where `eval_metric` is not given, it is
    `quality.watched_metrics`.

    Parameters
    ----------
    parameters : mapping
    path : str
        Where the settings stand, for messages.
    more_names : sequence of str
        Settings beside these, which a misspelt one may have meant.

    Raises
    ------
    ConfigError
        If a name is unknown (the nearest is named) or a value out of its limits.
    crypto.errors.SchemeUnavailableError, crypto.errors.KeySizeError
    """
    known = [name for name in SecureBoostClassifier().get_params() if name not in _CODE]
    check_names(parameters, [*known, *more_names], path)
    try:
        task = task_of(parameters.get("objective"))
    except ValueError as error:
        raise ConfigError(str(error), path) from error
    kind = SecureBoostRegressor if task == "regression" else SecureBoostClassifier
    model: SecureBoostModel = kind(**parameters)
    if isinstance(model.class_weight, Mapping):
        model.class_weight = {_class(name): weight for name, weight in model.class_weight.items()}
    get_scheme(str(model.scheme))
    for name, allowed in (("n_jobs", (int, type(None))), ("key_bits", (int,))):
        value = getattr(model, name)
        if not isinstance(value, allowed) or isinstance(value, bool) or value == 0:
            raise ConfigError(f"{name}={value!r} is not a whole number other than 0", path)
    if model.scheme != "plain":
        check_key_bits(model.key_bits)
    try:
        _check_parameters(model)
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(str(error), path) from error
    return model


def _check_parameters(model: SecureBoostModel) -> None:
    """Check what can be checked without data, and choose what is watched."""
    model._check_importance_type()
    parameters = model.get_params()
    booster_params({**parameters, "max_delta_step": model.max_delta_step or 0.0})
    objective = model._make_objective(2)  # softprob: of more classes the same holds
    if model.base_score is not None:
        objective.raw_score(model.base_score)
    if model.eval_metric is None:
        model.set_params(eval_metric=watched_metrics(objective))
    model._metrics(objective)
    for name, kind in _FORMS.items():
        value = getattr(model, name)
        try:
            msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            reason = str(error).replace("`", "'")
            raise ValueError(f"{name}={value!r} cannot be used: {reason}") from error
    rounds = model.early_stopping_rounds
    if rounds is not None and (isinstance(rounds, bool) or not isinstance(rounds, int)):
        raise ValueError(f"early_stopping_rounds={rounds!r} is not a whole number")
    if rounds is not None and rounds < 1:
        raise ValueError(f"early_stopping_rounds={rounds} must be at least 1")


def _class(name: str) -> str | int:
    """A class as a label column has it; TOML has text for keys only."""
    return int(name) if re.fullmatch(r"-?\d+", name) else name


def load_model(folder: Path) -> SecureBoostModel:
    """Read a saved model, of classes or of numbers.

    Raises
    ------
    secureboost.errors.ModelError
        If a half is damaged or absent.
    """
    half = load_half(folder / LABEL_FILE, LabelHalf)
    kind = SecureBoostClassifier if half.classes else SecureBoostRegressor
    model: SecureBoostModel = kind.load(folder)
    return model


def run(
    data: RunData,
    parties: Sequence[Party],
    model: SecureBoostModel,
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
    model : SecureBoostModel
        Not fitted.
    out : Path, optional
        Folder of the run; the model is saved there as soon as it is trained.
    on_round : callable, optional
    progress : TrainingProgress, optional
        Shown while training.
    make_key : callable, optional
        Gives the private key; by default a fresh one is made.
    recovery : Recovery, optional
        Where checkpoints go, and whether a run is gone on with.

    Raises
    ------
    ConfigError
        If a constraint names what is no column.
    parties.errors.PartyError
        If a party refuses or fails; a note says how to go on where a checkpoint was written.
    """
    names = list(data.folds)
    check_constrained(model, data, parties)
    first_round = _rounds_so_far(recovery)

    def watch(number: int, history: History) -> bool | None:
        by_name = by_fold(history, names)
        if progress is not None:
            progress.update(number + 1, by_name)
        return None if on_round is None else on_round(number, by_name)

    if progress is not None:
        progress.start_at(first_round)
    started = time.perf_counter()
    rows = data.folds["train"]
    own = {name: data.X.iloc[part] for name, part in data.folds.items()}
    try:
        with progress or contextlib.nullcontext():
            model._fit(
                own["train"],
                data.y[rows],
                Federation(make_key=make_key, on_round=watch),
                parties=parties,
                eval_set=[(own[name], data.y[part]) for name, part in data.folds.items()],
                recovery=recovery,
            )
    except (PartyError, OSError, KeyboardInterrupt) as error:
        _say_how_to_go_on(error, recovery, model)
        raise
    if out is not None:
        save_model(out, model)
    trained = time.perf_counter()
    try:
        scores = predictions(model, data.X)
    except BaseException as error:
        if out is not None:
            resumable = recovery is not None and recovery.path is not None
            error.add_note(
                f"This was the scoring. The model is trained and lies in {out / MODEL_FOLDER}; "
                f"`secureboost predict` scores with it{', or go on by --resume' * resumable}."
            )
        raise
    seconds = {"train": trained - started, "predict": time.perf_counter() - trained}
    traffic = [t for by_request in model.traffic_.values() for t in by_request.values()]
    targets = data.targets
    return RunResult(
        model=model,
        scores=scores,
        metrics={
            name: measure(data.objective, targets[part], scores[part])
            for name, part in data.folds.items()
        },
        seconds=seconds,
        history=by_fold(model.evals_result_, names),
        first_round=first_round,
        bytes_sent=sum(t.bytes_sent for t in traffic),
        bytes_received=sum(t.bytes_received for t in traffic),
    )


def predictions(
    model: SecureBoostModel,
    X: pd.DataFrame,
    *,
    parties: Sequence[Party] | None = None,
    unmatched: Unmatched = "error",
) -> NDArray[np.float64]:
    """Scores as a run writes them: probabilities of class 1, of all classes, or numbers."""
    if isinstance(model, SecureBoostRegressor):
        return np.asarray(model.predict(X, parties=parties, unmatched=unmatched))
    probabilities: NDArray[np.float64] = model.predict_proba(
        X, parties=parties, unmatched=unmatched
    )
    return probabilities if model.label_half_.objective == "multi:softprob" else probabilities[:, 1]


def by_fold(history: History, folds: Sequence[str]) -> History:
    """The history of evaluation sets under the names of the folds that they are."""
    return dict(zip(folds, history.values(), strict=True))


def check_constrained(model: SecureBoostModel, data: RunData, parties: Sequence[Party]) -> None:
    """Check that constraints name columns and parties.

    Raises
    ------
    ConfigError
    """
    try:
        check_constraints(
            model.monotone_constraints,
            model.interaction_constraints,
            [str(name) for name in data.X.columns],
            [party.name for party in parties],
        )
    except ValueError as error:
        raise ConfigError(str(error), "model") from error


def _rounds_so_far(recovery: Recovery | None) -> int:
    if recovery is None or recovery.path is None or not recovery.resume:
        return 0
    return load_checkpoint(recovery.path).boosted.rounds


def _say_how_to_go_on(
    error: BaseException, recovery: Recovery | None, model: SecureBoostModel
) -> None:
    if recovery is None or recovery.path is None or not recovery.path.exists():
        return
    with contextlib.suppress(ModelError):
        done = _rounds_so_far(replace(recovery, resume=True))
        error.add_note(
            f"{done} of {model.n_estimators} rounds are kept in {recovery.path}. To go on with "
            "them, start again with --resume."
        )
