"""The folder of a run: what lies there, and when.

::

    out/checkpoint.bin        until all of this is there: what `train --resume` goes on with
    out/aligned/              which rows are common, where this run has found them
    out/model/label.json      the label party's half
    out/model/<party>.json    halves of parties on this machine
    out/metrics.json          quality by fold, times, traffic, parameters
    out/scores.csv            id, fold, score (or one score for each class)
    out/report.html           the same to look at
    out/log.jsonl             what happened when

A run that fails leaves its log and the checkpoint. One whose scoring fails leaves the model as
well: `secureboost predict` scores with it, `train --resume` does what is left.
"""

import dataclasses
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from secureboost.errors import ConfigError
from secureboost.estimator import CHECKPOINT_FILE
from secureboost.files import leftovers, remove, write_atomically
from secureboost.kinds import kind_of
from secureboost.kinds.base import Model
from secureboost.outcome import RunData, RunResult
from secureboost.planning.compare import Compared
from secureboost.report import Report, write_report
from secureboost.trainers import MODEL_TRAINERS

LOG_FILE, MODEL_FOLDER, METRICS_FILE = "log.jsonl", "model", "metrics.json"
ALIGNMENT_FOLDER = "aligned"
SCORE = "score"
"""Column of scores; of several classes `SCORE`, an underscore and the class."""

_OF_A_MODEL = (
    *(METRICS_FILE, "scores.csv", "report.html"),
    *(f"{MODEL_FOLDER}/*{Path(trainer.label_file).suffix}" for trainer in MODEL_TRAINERS.values()),
)


def prepare_folder(out: Path, *, force: bool, resume: bool = False) -> Path:
    """Make the folder of a run, before any work.

    Parameters
    ----------
    out : Path
    force : bool
        Write into a folder that holds something; the checkpoint of an interrupted run is deleted.
    resume : bool
        Go on with the interrupted run in it.

    Raises
    ------
    ConfigError
        If it is a file, cannot be made or written into; if it holds something (other than the log
        and the alignment of a run that failed) and `force` is not given; or if there is nothing to
        resume.
    """
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out} is a file; a run needs a folder", "out")
    checkpoint = out / CHECKPOINT_FILE
    if resume and force:
        raise ConfigError("--resume goes on with a run and --force begins anew; give one of them")
    if resume and not checkpoint.is_file():
        raise ConfigError(
            f"{out} has no checkpoint of an interrupted run; leave --resume out", "out"
        )
    if checkpoint.is_file() and not force and not resume:
        raise ConfigError(
            f"{out} holds an interrupted run; go on with it by --resume, name another folder, or "
            "--force to begin anew",
            "out",
        )
    try:
        nothing = {out / LOG_FILE, out / ALIGNMENT_FOLDER, *leftovers(checkpoint)}
        held = set(out.iterdir()) - nothing if out.is_dir() else set()
        if held and not force and not resume:
            raise ConfigError(
                f"{out} is not empty; name another folder, or --force to write into this one",
                "out",
            )
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{out} cannot be made: {error.strerror}", "out") from error
    if not os.access(out, os.W_OK | os.X_OK):
        raise ConfigError(f"{out} cannot be written into; change its permissions", "out")
    if not resume:
        remove(checkpoint)
        shutil.rmtree(out / ALIGNMENT_FOLDER, ignore_errors=True)
    return out


def save_model(out: Path, model: Model) -> None:
    """Save the model; what an earlier run left of another one goes away."""
    for pattern in _OF_A_MODEL:
        for old in (*out.glob(pattern), *leftovers(out / pattern)):
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
    """Write metrics, scores and report; the model is there since it was trained (`run.run`).

    That is the end of a run: its checkpoint goes away.

    Parameters
    ----------
    out : Path
    data : RunData
    result : RunResult
    report : Report
    planned : sequence of Compared
        A plan beside the truth, where one was made.
    """
    half = result.model.label_half_
    metrics = {
        "folds": {name: quality.as_json() for name, quality in result.metrics.items()},
        "history": result.history,
        "rounds": result.rounds,
        "best_iteration": half.best_iteration,
        "seconds": result.seconds,
        "bytes_sent": result.bytes_sent,
        "bytes_received": result.bytes_received,
        "model_id": half.model_id,
        "parties": [partner.name for partner in half.partners],
        "parameters": half.parameters,
        "hold_out": data.hold_out,
        "rows": None if data.joined is None else data.joined.as_json(),
        "times": kind_of(result.model).times_as_json(result.model),
        "planned": [dataclasses.asdict(row) for row in planned],
    }
    write_atomically(out / METRICS_FILE, msgspec.json.format(msgspec.json.encode(metrics)))
    fold_of_row = np.empty(len(data.y), dtype=object)
    for name, rows in data.folds.items():
        fold_of_row[rows] = name
    table = score_table(data.X.index, fold_of_row, result.scores, result.names)
    write_scores(out / "scores.csv", table)
    write_report(report, out / "report.html")
    remove(out / CHECKPOINT_FILE)


def score_table(
    ids: pd.Index,
    fold: NDArray[np.object_] | str,
    scores: NDArray[np.float64],
    classes: Sequence[object] = (),
) -> pd.DataFrame:
    """Ids, folds and scores: one column ``score``, or ``score_<class>`` for each class.

    Parameters
    ----------
    ids : Index
    fold : str or array of shape (n_rows,)
    scores : array of shape (n_rows,) or (n_rows, n_classes)
    classes : sequence
        Of the columns of `scores`.
    """
    columns = (
        {SCORE: scores}
        if scores.ndim == 1
        else {f"{SCORE}_{name}": column for name, column in zip(classes, scores.T, strict=True)}
    )
    return pd.DataFrame({"id": ids, "fold": fold, **columns})


def write_scores(path: Path, table: pd.DataFrame) -> None:
    """Write scores as CSV for their owner alone; they survive the round trip bit for bit."""
    write_atomically(path, table.to_csv(index=False).encode(), mode=0o600)
