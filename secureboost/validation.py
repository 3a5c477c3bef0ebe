"""Cross-validation and tuning: many fits over one session with the parties and one key."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone, is_classifier
from sklearn.model_selection import ParameterSampler, check_cv
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import column_or_1d

from crypto.scheme import PrivateKey
from secureboost.aligned_rows import Agreements
from secureboost.alignment_progress import shown_by
from secureboost.common_rows import Given, keep_common
from secureboost.errors import ConfigError, DataError, did_you_mean
from secureboost.estimator import Federation, SecureBoostModel
from secureboost.fitting import check_callbacks
from secureboost.gbdt.label import booster_params
from secureboost.inputs import row_weights
from secureboost.monitor import History
from secureboost.partners import agree_on_rows, check_parties, make_partners, open_partners
from secureboost.party import Party
from secureboost.trainers import GBDT_TRAINER

TRAIN, TEST = "train", "test"

MakeKey = Callable[[], PrivateKey]
Splits = Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]]
"""Of each fold the positions of its training rows and of its test rows."""


@dataclass(frozen=True, repr=False)
class CVResult:
    """What cross-validation measured.

    Attributes
    ----------
    history : DataFrame
        A row for each round that every fold reached; columns ``train-auc-mean``, ``train-auc-std``,
        ``test-auc-mean``, ... as `xgboost.cv` gives them. The deviation is over the folds.
    folds : tuple of dict
        Of each fold the history of ``train`` and ``test``.
    best_iteration : int
        The round with the best mean of the last metric on the test rows.
    best_score : float
        That mean.
    metric : str
        The last metric.
    maximise : bool
        Higher is better.
    """

    history: pd.DataFrame
    folds: tuple[History, ...]
    best_iteration: int
    best_score: float
    metric: str
    maximise: bool

    @property
    def deviation(self) -> float:
        """Deviation of the metric over the folds' test rows in that round."""
        return float(self.history[f"{TEST}-{self.metric}-std"].iloc[self.best_iteration])

    def __repr__(self) -> str:
        return (
            f"CVResult({len(self.folds)} folds: test {self.metric} {self.best_score:.5g} "
            f"in round {self.best_iteration})"
        )


@dataclass(frozen=True, repr=False)
class Round:
    """A round of a fold has ended.

    Attributes
    ----------
    trial, fold : int
        Numbers from 1; the trial of `cv` is 1.
    n_folds : int
    rounds, n_rounds : int
        Rounds done of this fold, and the most that it can have.
    history : dict
        Of this fold so far, for ``train`` and ``test``.
    """

    trial: int
    fold: int
    n_folds: int
    rounds: int
    n_rounds: int
    history: History


OnRound = Callable[[Round], None]


@dataclass(frozen=True, repr=False)
class Trial:
    """Parameters that were tried.

    Attributes
    ----------
    number : int
        From 1.
    params : dict
        What was drawn from the space.
    result : CVResult
    seconds : float
    """

    number: int
    params: dict[str, Any]
    result: CVResult
    seconds: float


@dataclass(frozen=True, repr=False)
class TuneResult:
    """What tuning found.

    Attributes
    ----------
    best_params : dict
    best_result : CVResult
    trials : DataFrame
        A row for each trial, best first and indexed by its number: its parameters, score and the
        deviation of that over the folds, best round and seconds.
    """

    best_params: dict[str, Any]
    best_result: CVResult
    trials: pd.DataFrame

    def __repr__(self) -> str:
        return f"TuneResult({len(self.trials)} trials, best {self.best_result!r})"


DEFAULT_SPACE: dict[str, Any] = {
    "learning_rate": [0.03, 0.05, 0.1, 0.2, 0.3],
    "max_depth": [2, 3, 4, 5, 6],
    "min_child_weight": [0.5, 1.0, 5.0, 20.0],
    "reg_lambda": [0.1, 1.0, 5.0, 20.0],
    "subsample": [0.6, 0.8, 1.0],
    "colsample_bytree": [0.5, 0.7, 1.0],
}
"""What `tune` draws from if it is not told (`default_space`)."""

NOT_TUNED = frozenset(
    {
        *("objective", "eval_metric", "huber_slope", "tweedie_variance_power"),
        *("scheme", "key_bits", "n_jobs", "importance_type", "callbacks"),
    }
)
"""Parameters that say what is measured, or that change no model."""


def cv(
    model: SecureBoostModel,
    X: Any,
    y: ArrayLike,
    *,
    parties: Sequence[Party] | None = None,
    folds: Any = 5,
    sample_weight: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    make_key: MakeKey | None = None,
    on_round: OnRound | None = None,
) -> CVResult:
    """Cross-validate.

    The label party draws the folds. Columns are cut into bins by each fold's training rows alone,
    and the test rows ride along in training, so no party is asked for predictions. With
    `early_stopping_rounds` each fold stops by itself.

    Parameters
    ----------
    model : SecureBoostClassifier or SecureBoostRegressor
        Its parameters are used, `eval_metric` and `early_stopping_rounds` among them; it is not
        fitted.
    X, y, parties, sample_weight
        As of `fit`.
    folds : int, splitter or iterable, default=5
        As scikit-learn's ``cv``: a number is stratified for classes.
    groups : array-like of shape (n_rows,), optional
        For splitters that want them.
    make_key : callable, optional
        Gives the private key; by default a fresh one is made.
    on_round : callable, optional
        Called with a `Round` after each round of each fold.

    Raises
    ------
    ValueError, parties.errors.PartyError, secureboost.errors.IntegrityError
        As of `fit`.
    """
    parties = check_parties(parties, X)
    plan = _plan(model, Given(X, y, sample_weight, groups=groups), parties, folds)
    with _federation(model, plan, make_key) as federation:
        return _cross_validate(model, plan, federation, 1, on_round)


def tune(
    model: SecureBoostModel,
    X: Any,
    y: ArrayLike,
    *,
    parties: Sequence[Party] | None = None,
    space: Mapping[str, Any] | None = None,
    seconds: float | None = None,
    n_trials: int | None = None,
    folds: Any = 3,
    sample_weight: ArrayLike | None = None,
    random_state: int | None = None,
    make_key: MakeKey | None = None,
    on_trial: Callable[[Trial], None] | None = None,
    on_round: OnRound | None = None,
) -> TuneResult:
    """Search for parameters at random, within a time.

    Random search is hard to beat with a few dozen trials (Bergstra and Bengio, 2012), and each
    trial tells the parties no more than its parameters' names and values that they see anyway.

    Parameters
    ----------
    model : SecureBoostClassifier or SecureBoostRegressor
        Parameters outside `space` are taken from it.
    X, y, parties, sample_weight, folds
        As of `cv`; all trials have the same folds.
    space : mapping of str to list or distribution, optional
        As scikit-learn's `ParameterSampler` takes it; `default_space` by default.
    seconds : float, optional
        No trial begins that would probably end later: the longest so far is taken for the next.
    n_trials : int, optional
        At most so many. One of `seconds` and `n_trials` is needed.
    random_state : int, optional
        Seed of the draws.
    make_key : callable, optional
        Gives the private key; by default a fresh one is made.
    on_trial : callable, optional
        Called with each `Trial`; `rank` makes a result of those so far.
    on_round : callable, optional
        Called with a `Round` after each round of each fold.

    Raises
    ------
    ValueError
        If a parameter of `space` is unknown or cannot be tuned, what is drawn cannot be used
        together, or neither limit is given; and as of `cv`.
    """
    space = default_space(model) if space is None else space
    check_space(space, model)
    if seconds is None and n_trials is None:
        raise ValueError("tune needs a limit: seconds or n_trials")
    limits: dict[str, Any] = {"seconds": seconds, "n_trials": n_trials}
    for limit, value in limits.items():
        if value is not None and not value > 0:
            raise ValueError(f"{limit}={value} must be above 0")
    if not isinstance(limits["n_trials"], (Integral, type(None))):
        raise ValueError(f"n_trials={n_trials} is not an integer")
    parties = check_parties(parties, X)
    plan = _plan(model, Given(X, y, sample_weight), parties, folds)
    started, longest = time.monotonic(), 0.0
    trials: list[Trial] = []
    with _federation(model, plan, make_key) as federation:
        for number, params in enumerate(_draws(space, n_trials, random_state), start=1):
            spent = time.monotonic() - started
            if trials and seconds is not None and spent + longest > seconds:
                break
            tried = _with_params(model, params)
            result = _cross_validate(tried, plan, federation, number, on_round)
            took = time.monotonic() - started - spent
            longest = max(longest, took)
            trials.append(Trial(number, params, result, took))
            if on_trial is not None:
                on_trial(trials[-1])
    return rank(trials)


def rank(trials: Sequence[Trial]) -> TuneResult:
    """What trials show, at least one; of equal ones the earlier is better."""
    sign = -1.0 if trials[0].result.maximise else 1.0
    best_first = sorted(trials, key=lambda trial: sign * trial.result.best_score)
    table = pd.DataFrame(
        [
            {
                **trial.params,
                "score": trial.result.best_score,
                "deviation": trial.result.deviation,
                "round": trial.result.best_iteration,
                "seconds": trial.seconds,
            }
            for trial in best_first
        ],
        index=pd.Index([trial.number for trial in best_first], name="trial"),
    )
    return TuneResult(best_first[0].params, best_first[0].result, table)


def default_space(model: SecureBoostModel) -> dict[str, Any]:
    """`DEFAULT_SPACE` without what the model's own parameters rule out."""
    goss = model.sampling_method == "goss"
    return {name: v for name, v in DEFAULT_SPACE.items() if not (goss and name == "subsample")}


def check_space(space: Mapping[str, Any], model: SecureBoostModel) -> None:
    """Refuse a space of what cannot be tuned.

    Raises
    ------
    secureboost.errors.ConfigError
        If a name is no parameter of `model`, or one of `NOT_TUNED`.
    """
    known = model.get_params()
    for name in space:
        if name not in known:
            raise ConfigError(
                f"space names {name!r}, which is no parameter of {type(model).__name__}."
                f"{did_you_mean(name, known)}"
            )
        if name in NOT_TUNED:
            raise ConfigError(
                f"space names {name!r}, which says what is measured or how, not how to learn; "
                "give the model the value that is wanted"
            )


def _with_params(model: SecureBoostModel, params: Mapping[str, Any]) -> SecureBoostModel:
    """The model of a trial; said here if its parameters contradict each other."""
    tried: SecureBoostModel = clone(model).set_params(**params)
    try:
        booster_params({**tried.get_params(), "max_delta_step": tried.max_delta_step or 0.0})
    except ValueError as error:
        raise ConfigError(f"space gave values that cannot be used: {error}") from error
    return tried


def _draws(
    space: Mapping[str, Any], n_trials: int | None, random_state: int | None
) -> Iterator[dict[str, Any]]:
    """Parameters, without repetitions as long as the space has others."""
    rng = np.random.RandomState(random_state)
    seen: set[str] = set()
    repeats = 0
    while n_trials is None or len(seen) < n_trials:
        (params,) = ParameterSampler(space, 1, random_state=rng)
        if repr(params) in seen:
            repeats += 1
            if repeats > 1000:
                return
            continue
        seen.add(repr(params))
        yield {name: params[name] for name in space}  # the sampler sorts them


@dataclass(frozen=True, repr=False)
class _Plan:
    """What is cross-validated: rows that all parties have, and the folds of them."""

    given: Given
    parties: Sequence[Party]
    agreements: Agreements
    splits: Splits


def _plan(model: SecureBoostModel, given: Given, parties: Sequence[Party], folds: Any) -> _Plan:
    """Draw the folds among the rows that all parties have."""
    splits = _splits(model, given, folds)
    with shown_by(check_callbacks(model.callbacks), given.index, parties) as progress:
        agreements = agree_on_rows(parties, given.index, progress=progress)
    common = keep_common(given, agreements)
    if common is not given:
        if not isinstance(folds, Integral) and not hasattr(folds, "split"):
            raise DataError(
                "folds lists positions of rows, and not all parties have all rows. Find those that "
                "all have first (align_tables), and list positions among them."
            )
        splits = _splits(model, common, folds)
    return _Plan(common, parties, agreements, splits)


@contextmanager
def _federation(
    model: SecureBoostModel, plan: _Plan, make_key: MakeKey | None
) -> Iterator[Federation]:
    """One session and one key for all fits; nothing of them is kept."""
    if not plan.parties:
        yield Federation(keep=False)
        return
    key = make_key() if make_key is not None else model._generate_key()
    partners = make_partners(plan.parties, plan.given.index, GBDT_TRAINER, plan.agreements)
    with open_partners(partners, GBDT_TRAINER) as session:
        yield Federation(
            make_key=lambda: key, session=session, keep=False, agreements=plan.agreements
        )


def _splits(model: SecureBoostModel, given: Given, folds: Any) -> Splits:
    check_consistent_length(given.X, given.y)
    labels = column_or_1d(given.y)
    splitter = check_cv(folds, labels, classifier=is_classifier(model))
    return list(splitter.split(np.zeros(len(labels)), given.y, given.groups))


def _cross_validate(
    model: SecureBoostModel,
    plan: _Plan,
    federation: Federation,
    trial: int,
    on_round: OnRound | None,
) -> CVResult:
    X, labels = plan.given.X, column_or_1d(plan.given.y)
    weight = row_weights(plan.given.weight, X)
    histories = []
    fitted = model
    for fold, (train, test) in enumerate(plan.splits, start=1):
        own = _rows(X, train)
        watch = _watch(on_round, trial, fold, len(plan.splits), model.n_estimators)
        fitted = clone(model)._fit(
            own,
            labels[train],
            replace(federation, on_round=watch),
            parties=plan.parties,
            sample_weight=weight[train],
            eval_set=[(own, labels[train]), (_rows(X, test), labels[test])],
            sample_weight_eval_set=[weight[train], weight[test]],
        )
        histories.append(_by_part(fitted.evals_result_))
    return summarise(histories, *fitted._watched_metric())


def _watch(
    on_round: OnRound | None, trial: int, fold: int, n_folds: int, n_rounds: int
) -> Callable[[int, History], None] | None:
    """What a fold's training calls after each round."""
    if on_round is None:
        return None

    def watch(number: int, history: History) -> None:
        on_round(Round(trial, fold, n_folds, number + 1, n_rounds, _by_part(history)))

    return watch


def _by_part(history: History) -> History:
    return dict(zip((TRAIN, TEST), history.values(), strict=True))


def summarise(histories: Sequence[History], metric: str, maximise: bool) -> CVResult:
    """What folds show.

    Parameters
    ----------
    histories : sequence of dict
        Of each fold, at least one, the history of ``train`` and ``test``.
    metric : str
        The one that decides.
    maximise : bool
        Higher is better.
    """
    n_rounds = min(len(history[TEST][metric]) for history in histories)
    columns = {}
    for part in (TRAIN, TEST):
        for name in histories[0][part]:
            values = np.array([history[part][name][:n_rounds] for history in histories])
            columns[f"{part}-{name}-mean"] = values.mean(axis=0)
            columns[f"{part}-{name}-std"] = values.std(axis=0)
    means = columns[f"{TEST}-{metric}-mean"]
    best = int(means.argmax() if maximise else means.argmin())
    return CVResult(
        pd.DataFrame(columns), tuple(histories), best, float(means[best]), metric, maximise
    )


def _rows(X: Any, rows: NDArray[np.int64]) -> Any:
    return X.iloc[rows] if isinstance(X, pd.DataFrame) else np.asarray(X)[rows]
