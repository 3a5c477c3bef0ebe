"""A training run from checked tables to a folder: what `train`, `simulate` and `demo` share.

::

    out/model/label.json      the label party's half
    out/model/<party>.json    halves of parties on this machine
    out/metrics.json          AUC, KS, Gini, log-loss, Brier by fold
    out/scores.csv            id, fold, score
    out/report.html           the same to look at
    out/log.jsonl             what happened when

A run that fails leaves a log and nothing else; one whose scoring fails leaves the model as well,
for `secureboost predict`.
"""

import dataclasses
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crypto.modulus import check_key_bits
from crypto.scheme import PrivateKey
from crypto.schemes import get_scheme
from secureboost.api import SecureBoostClassifier
from secureboost.data import stratified_holdout
from secureboost.errors import ConfigError
from secureboost.files import write_atomically
from secureboost.gbdt.label import booster_params
from secureboost.metrics import Metrics, auc, evaluate
from secureboost.objectives import OBJECTIVES
from secureboost.party import Party
from secureboost.planning.compare import Compared
from secureboost.report import Report, write_report
from secureboost.settings import check_names

LOG_FILE, MODEL_FOLDER = "log.jsonl", "model"
_OF_A_MODEL = ("metrics.json", "scores.csv", "report.html", f"{MODEL_FOLDER}/*.json")

Progress = Callable[[int, str], None]
"""Called with the number of finished trees and the current metric as text."""


@dataclass(frozen=True, repr=False)
class RunData:
    """The label party's side of a run.

    Attributes
    ----------
    X : DataFrame
        Own features, indexed by id.
    y : array of shape (n_rows,), uint8
        1 for the class to predict.
    test_size : float
        Share of rows held out; 0 trains on all.
    seed : int
        Of the hold-out.
    """

    X: pd.DataFrame
    y: NDArray[np.uint8]
    test_size: float = 0.0
    seed: int = 0

    def folds(self) -> dict[str, NDArray[np.int64]]:
        """Row positions of ``train`` and, unless `test_size` is 0, ``test``.

        Raises
        ------
        ConfigError, DataError
            See `data.stratified_holdout`.
        """
        if self.test_size == 0:
            return {"train": np.arange(len(self.y))}
        train, test = stratified_holdout(self.y, self.test_size, self.seed)
        return {"train": train, "test": test}


@dataclass(frozen=True, repr=False)
class RunResult:
    """What a run gave.

    Attributes
    ----------
    model : SecureBoostClassifier
    folds : dict of str to array
        Row positions.
    scores : array of shape (n_rows,)
        Probability of class 1, for all rows.
    metrics : dict of str to Metrics
        By fold.
    seconds : dict of str to float
        Wall time of ``train`` and ``predict``.
    curve : tuple of float
        AUC on the training rows after each tree.
    bytes_sent, bytes_received : int
        Of the label party, in training.
    """

    model: SecureBoostClassifier
    folds: dict[str, NDArray[np.int64]]
    scores: NDArray[np.float64]
    metrics: dict[str, Metrics]
    seconds: dict[str, float]
    curve: tuple[float, ...]
    bytes_sent: int
    bytes_received: int

    @property
    def quality(self) -> Metrics:
        """Metrics of the held-out rows, or of the training rows where none were held out."""
        return self.metrics.get("test", self.metrics["train"])


def make_model(
    parameters: dict[str, Any], path: str = "model", *, more_names: Sequence[str] = ()
) -> SecureBoostClassifier:
    """Make an estimator from named settings and check them, before hours are spent.

    Parameters
    ----------
    parameters : dict
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
    known = SecureBoostClassifier().get_params()
    check_names(parameters, [*known, *more_names], path)
    model = SecureBoostClassifier(**parameters)
    get_scheme(str(model.scheme))
    for name, allowed in (("n_jobs", (int, type(None))), ("key_bits", (int,))):
        value = getattr(model, name)
        if not isinstance(value, allowed) or isinstance(value, bool) or value == 0:
            raise ConfigError(f"{name}={value!r} is not a whole number other than 0", path)
    if model.scheme != "plain":
        check_key_bits(model.key_bits)
    try:
        model._check_importance_type()
        base_score = booster_params(model.get_params()).base_score
        if base_score is not None:
            OBJECTIVES["binary:logistic"]().raw_score(base_score)
    except ValueError as error:
        raise ConfigError(str(error), path) from error
    return model


def prepare_folder(out: Path, *, force: bool) -> Path:
    """Make the folder of a run, before any work.

    Raises
    ------
    ConfigError
        If it is a file, cannot be made or written into, or holds something (other than the log of
        a run that failed) and `force` is not given.
    """
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out} is a file; a run needs a folder", "out")
    try:
        held = [path for path in out.iterdir() if path.name != LOG_FILE] if out.is_dir() else []
        if held and not force:
            raise ConfigError(
                f"{out} is not empty; name another folder, or --force to write into this one",
                "out",
            )
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{out} cannot be made: {error.strerror}", "out") from error
    if not os.access(out, os.W_OK | os.X_OK):
        raise ConfigError(f"{out} cannot be written into; change its permissions", "out")
    return out


def run(
    data: RunData,
    parties: Sequence[Party],
    model: SecureBoostClassifier,
    *,
    out: Path | None = None,
    progress: Progress | None = None,
    make_key: Callable[[], PrivateKey] | None = None,
) -> RunResult:
    """Train on the training rows and score all rows.

    Parameters
    ----------
    data : RunData
    parties : sequence of Party
    model : SecureBoostClassifier
        Not fitted.
    out : Path, optional
        Folder of the run; the model is saved there as soon as it is trained.
    progress : callable, optional
    make_key : callable, optional
        Gives the private key; by default a fresh one is made.
    """
    folds = data.folds()
    rows = folds["train"]
    labels = data.y[rows]
    curve: list[float] = []

    def on_tree(tree: int, _nodes: object, raw: NDArray[np.float64]) -> None:
        curve.append(auc(labels, 1 / (1 + np.exp(-raw))))
        if progress is not None:
            progress(tree + 1, f"training AUC {curve[-1]:.4f}")

    started = time.perf_counter()
    model._fit(data.X.iloc[rows], labels, parties=parties, on_tree=on_tree, make_key=make_key)
    if out is not None:
        save_model(out, model)
    trained = time.perf_counter()
    try:
        scores = model.predict_proba(data.X)[:, 1]
    except Exception as error:
        if out is not None:
            error.add_note(
                f"This was the scoring. The model is trained and lies in {out / MODEL_FOLDER}; "
                "`secureboost predict` scores with it."
            )
        raise
    seconds = {"train": trained - started, "predict": time.perf_counter() - trained}
    traffic = [t for by_request in model.traffic_.values() for t in by_request.values()]
    return RunResult(
        model=model,
        folds=folds,
        scores=scores,
        metrics={name: evaluate(data.y[fold], scores[fold]) for name, fold in folds.items()},
        seconds=seconds,
        curve=tuple(curve),
        bytes_sent=sum(t.bytes_sent for t in traffic),
        bytes_received=sum(t.bytes_received for t in traffic),
    )


def save_model(out: Path, model: SecureBoostClassifier) -> None:
    """Save the model; what an earlier run left of another one goes away."""
    for pattern in _OF_A_MODEL:
        for old in out.glob(pattern):
            old.unlink()
    model.save(out / MODEL_FOLDER)


def write_run(
    out: Path,
    data: RunData,
    result: RunResult,
    report: Report,
    *,
    planned: Sequence[Compared] = (),
) -> None:
    """Write metrics, scores and report; the model is there since it was trained (`run`).

    Parameters
    ----------
    out : Path
    data : RunData
    result : RunResult
    report : Report
    planned : sequence of Compared
        A plan beside the truth, where one was made.
    """
    metrics = {
        "folds": {name: dataclasses.asdict(metrics) for name, metrics in result.metrics.items()},
        "seconds": result.seconds,
        "bytes_sent": result.bytes_sent,
        "bytes_received": result.bytes_received,
        "model_id": result.model.label_half_.model_id,
        "parties": [partner.name for partner in result.model.label_half_.partners],
        "parameters": result.model.label_half_.parameters,
        "times": {
            party: {
                "cpu_seconds": times.cpu_seconds,
                "phases": {name: dataclasses.asdict(p) for name, p in times.phases.items()},
            }
            for party, times in result.model.times_.items()
        },
        "planned": [dataclasses.asdict(row) for row in planned],
    }
    write_atomically(out / "metrics.json", msgspec.json.format(msgspec.json.encode(metrics)))
    fold_of_row = np.empty(len(data.y), dtype=object)
    for name, rows in result.folds.items():
        fold_of_row[rows] = name
    write_scores(out / "scores.csv", data.X.index, fold_of_row, result.scores)
    write_report(report, out / "report.html")


def write_scores(
    path: Path, ids: pd.Index, fold: NDArray[np.object_] | str, scores: NDArray[np.float64]
) -> None:
    """Write ``id, fold, score``; scores survive the round trip bit for bit."""
    write_atomically(path, scores_text(ids, fold, scores).encode(), mode=0o600)


def scores_text(ids: pd.Index, fold: NDArray[np.object_] | str, scores: NDArray[np.float64]) -> str:
    """``id, fold, score`` as CSV."""
    return pd.DataFrame({"id": ids, "fold": fold, "score": scores}).to_csv(index=False)
