"""What `cv` and `tune` share: the rows and folds of a configuration, files, what is recorded."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.model_selection import KFold, StratifiedKFold

from secureboost.cli.aligning import common_data
from secureboost.cli.console import stderr
from secureboost.cli.recording import recorded
from secureboost.cli.train import key_from_file, label_data, model_of, remote_parties
from secureboost.cli.training import new_record
from secureboost.cli.watching import bytes_of, log_compilations
from secureboost.config import TrainConfig, load_train_config
from secureboost.errors import ConfigError
from secureboost.estimator import SecureBoostModel
from secureboost.eval_metrics import EvalMetric
from secureboost.files import check_writable
from secureboost.keyed_table import KeyedTable, read_keyed_table
from secureboost.outcome import RunData
from secureboost.party import RemoteParty
from secureboost.run import check_names
from secureboost.runs import Record
from secureboost.targets import check_metrics
from secureboost.units import format_bytes, format_seconds
from secureboost.validation import TEST, TRAIN, CVResult, MakeKey, Splits


@dataclass(frozen=True, repr=False)
class Problem:
    """What is cross-validated, checked and ready.

    Attributes
    ----------
    config : TrainConfig
    model : SecureBoostModel
        With the parameters of the configuration; not fitted.
    keyed : KeyedTable
        The label party's file.
    data : RunData
        What was read from it; of the rows that all parties have, as soon as they are connected.
        Only its training rows take part.
    splits : list of (array, array)
        Of each fold the positions among them of its training rows and of its test rows.
    make_key : callable or None
        Of the key file, if the configuration names one.
    """

    config: TrainConfig
    model: SecureBoostModel
    keyed: KeyedTable
    data: RunData
    splits: Splits
    make_key: MakeKey | None

    @property
    def X(self) -> pd.DataFrame:  # noqa: N802 - the field's name
        """Own columns of the training rows."""
        return self.data.X.iloc[self.data.folds[TRAIN]]

    @property
    def y(self) -> NDArray[Any]:
        """Their labels."""
        return self.data.y[self.data.folds[TRAIN]]

    @property
    def metric(self) -> EvalMetric:
        """The one that decides: the last that is watched."""
        return self.model._metrics(self.data.objective)[-1]

    def __str__(self) -> str:
        rows = len(self.y)
        held_out = len(self.data.y) - rows
        aside = f"; {held_out:,} held out are left alone" if held_out else ""
        return f"{len(self.splits)} folds of {rows:,} training rows{aside}"


def read_problem(
    config: Path, settings: Sequence[str], n_folds: int, passphrase_file: Path | None
) -> Problem:
    """Read a configuration and its table, check both, and draw the folds.

    Parameters
    ----------
    config : Path
    settings : sequence of str
        Of ``--set``.
    n_folds : int
    passphrase_file : Path, optional
        Of the key file.

    Raises
    ------
    ConfigError, DataError, crypto.errors.CryptoError
    """
    loaded = load_train_config(config, settings)
    model = trees_of(loaded)
    make_key = key_from_file(loaded, model, passphrase_file) if loaded.key else None
    keyed = read_keyed_table(
        loaded.data.file, loaded.data.id, loaded.align, keep=[loaded.data.date]
    )
    data = read_problem_data(loaded, model, keyed.frame)
    splits = make_splits(model, data, n_folds, loaded.seed)
    return Problem(loaded, model, keyed, data, splits, make_key)


def trees_of(config: TrainConfig) -> SecureBoostModel:
    """Make the estimator that a configuration describes, which must be of trees.

    Raises
    ------
    ConfigError
    """
    model = model_of(config)
    if not isinstance(model, SecureBoostModel):
        raise ConfigError(
            "only trees are cross-validated and tuned here. In Python scikit-learn's functions "
            "do it: a SplitNNClassifier is one of its estimators",
            "trainer",
        )
    return model


def read_problem_data(
    config: TrainConfig, model: SecureBoostModel, frame: pd.DataFrame, file: str | None = None
) -> RunData:
    """What is cross-validated of a table; see `label_data`."""
    # Folds have test rows of their own, so nothing need be held out for early stopping.
    return label_data(config, clone(model).set_params(early_stopping_rounds=None), frame, file)


@contextlib.contextmanager
def connected(
    command: str, problem: Problem, out: Path | None, registry: str | None
) -> Iterator[tuple[Problem, list[RemoteParty], Record]]:
    """Find the rows that all parties have, and record what follows as a run.

    The problem that is given back is that of the common rows.

    Parameters
    ----------
    command : str
    problem : Problem
    out : Path, optional
        Where results will lie.
    registry : str, optional
        See `runs.registry_file`.

    Raises
    ------
    ConfigError, DataError, parties.errors.PartyError
    """
    config, model, data, keyed = problem.config, problem.model, problem.data, problem.keyed
    log_compilations()
    with remote_parties(config) as parties:
        check_names(model, data, list(config.party))
        read = {keyed.name: keyed.frame}
        record = new_record(command, config.trainer, data, model, parties, read, out)
        record.parameters["folds"] = len(problem.splits)
        with recorded(registry, record):
            started = time.perf_counter()
            try:
                data = common_data(
                    keyed,
                    parties,
                    config.align,
                    partial(read_problem_data, config, model),
                )
                splits = make_splits(model, data, len(problem.splits), config.seed)
                problem = replace(problem, data=data, splits=splits)
                stderr().print(str(problem))
                yield problem, parties, record
            finally:
                record.seconds[command] = time.perf_counter() - started
                record.bytes_sent, record.bytes_received = bytes_of(parties)


def say_cost(what: str, command: str, record: Record) -> None:
    """Print time and traffic to stderr."""
    stderr().print(
        f"{what} in {format_seconds(record.seconds[command])}; sent "
        f"{format_bytes(record.bytes_sent or 0)}, received "
        f"{format_bytes(record.bytes_received or 0)}"
    )


def make_splits(model: SecureBoostModel, data: RunData, n_folds: int, seed: int) -> Splits:
    """Draw folds of the training rows, with the same shares of the classes in each.

    Raises
    ------
    ConfigError
        If there are fewer rows than folds, of any class.
    DataError
        If a metric is not defined on a fold's test rows.
    """
    rows = data.folds[TRAIN]
    y, classes = data.y[rows], data.objective.task != "regression"
    fewest = int(np.unique(y, return_counts=True)[1].min()) if classes else len(y)
    if fewest < n_folds:
        there = f" of each class; the rarest has {fewest}" if classes else f"; there are {fewest}"
        raise ConfigError(
            f"{n_folds} folds need at least {n_folds} training rows{there}", "--folds"
        )
    kind = StratifiedKFold if classes else KFold
    splits = list(kind(n_folds, shuffle=True, random_state=seed).split(rows, y))
    tests = {f"fold {n} test": test for n, (_, test) in enumerate(splits, start=1)}
    check_metrics(model._metrics(data.objective), data.objective, data.targets[rows], tests)
    return splits


def check_outputs(out: Path, names: Sequence[str], *, force: bool) -> None:
    """Make the folder of results and check, before any work, that they can be written.

    Raises
    ------
    ConfigError
    """
    try:
        check_writable(out)
    except OSError as error:
        raise ConfigError(f"{out} cannot be written into: {error.strerror}", "--out") from error
    there = [name for name in names if (out / name).exists()]
    if there and not force:
        raise ConfigError(
            f"{out} holds {' and '.join(there)} already; name another folder, or --force to "
            "replace",
            "--out",
        )


def metrics_at_best(result: CVResult, n_rows: int) -> dict[str, dict[str, float]]:
    """Means and deviations in the best round as the registry of runs has them; `metric` first."""
    row = result.history.iloc[result.best_iteration]
    names = list(result.folds[0][TEST])
    names.sort(key=lambda name: name != result.metric)
    return {
        part: {
            **{name: float(row[f"{part}-{name}-mean"]) for name in names},
            **{f"{name}-std": float(row[f"{part}-{name}-std"]) for name in names},
            "rows": n_rows,
        }
        for part in (TRAIN, TEST)
    }
