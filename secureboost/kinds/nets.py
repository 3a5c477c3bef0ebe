"""How networks are run: `SplitNNClassifier` and `SplitNNRegressor`."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crypto.scheme import PrivateKey
from secureboost.callbacks import TrainingCallback
from secureboost.errors import ConfigError
from secureboost.eval_metrics import EvalMetric
from secureboost.kinds.base import Kind, OnRound, TimeRow
from secureboost.kinds.checks import (
    check_early_stopping,
    check_forms,
    make_estimator,
    whole_number,
)
from secureboost.monitor import History
from secureboost.objectives import Objective
from secureboost.outcome import RunData, RunResult
from secureboost.partner import LABEL_PARTY
from secureboost.partners import Unmatched
from secureboost.party import Party
from secureboost.quality import watched_metrics
from secureboost.recovery import Recovery
from secureboost.splitnn.base_estimator import LABEL_FILE, SplitNNModel
from secureboost.splitnn.checkpoint import load_checkpoint
from secureboost.splitnn.estimator import SplitNNClassifier, SplitNNRegressor
from secureboost.splitnn.joined import joined_weights, same_weights
from secureboost.splitnn.model import TopHead, decode_half, read_half
from secureboost.splitnn.params import check_owners
from secureboost.splitnn.several import metrics_of
from secureboost.splitnn.store import NETS, FolderBottoms

_OPTIONS = dict[str, bool | int | float | str | list[int]] | None
_NAMED_OPTIONS = str | dict[str, dict[str, Any]]
_FORMS: dict[str, Any] = {
    "architecture": str,
    "bottom_hidden": list[int] | None,
    "top_hidden": list[int] | None,
    "bottom_options": _OPTIONS,
    "top_options": _OPTIONS,
    "bottoms": dict[str, _NAMED_OPTIONS] | None,
    "body": str | None,
    "optimizer": str,
    "dtype": str,
    "codec": str,
    "label_protections": str | list[_NAMED_OPTIONS] | dict[str, Any] | None,
    "feature_protections": str | list[_NAMED_OPTIONS] | dict[str, Any] | None,
    "categorical_features": list[str] | None,
    "class_weight": dict[str | int, float] | str | None,
    "scale_pos_weight": float,
    "label_weights": dict[str, float] | None,
    "party_dropout": float,
    "max_wait": float | None,
    "random_state": int | None,
}
_PARAMETERS = {"width": "cut_width"}
"""Parameters that `NetParams` calls otherwise."""


class Nets(Kind):
    """See `Kind`."""

    section = "net"
    round_name = "epoch"
    takes_several_labels = True

    def make_model(
        self, parameters: Mapping[str, Any], path: str, *, more_names: Sequence[str] = ()
    ) -> SplitNNModel:
        """See `Kind.make_model`.

        In `bottoms` the label party's own goes by `partner.LABEL_PARTY`.
        """
        model: SplitNNModel = make_estimator(
            SplitNNClassifier, SplitNNRegressor, parameters, path, more_names
        )
        if isinstance(model.bottoms, Mapping):
            model.bottoms = {
                "" if owner == LABEL_PARTY else owner: bottom
                for owner, bottom in model.bottoms.items()
            }
        try:
            self._check_parameters(model)
        except ConfigError as error:
            name = _PARAMETERS.get(error.path, error.path)
            raise ConfigError(error.message, ".".join(filter(None, (path, name)))) from error
        except ValueError as error:
            raise ConfigError(str(error), path) from error
        return model

    def _check_parameters(self, model: SplitNNModel) -> None:
        """Check what can be checked without data, and choose what is watched."""
        check_forms(model, _FORMS)
        whole_number(model, "n_jobs", optional=True)
        model._net_params()
        model._seed()
        objective = model._make_objective(2)
        if model.eval_metric is None:
            model.set_params(eval_metric=watched_metrics(objective))
        self.metrics(model, objective)
        check_early_stopping(model.early_stopping_rounds)

    def load_model(self, folder: Path) -> SplitNNModel:
        """See `Kind.load_model`."""
        path = folder / LABEL_FILE
        head, _ = decode_half(read_half(path), TopHead, str(path))
        kind = SplitNNClassifier if head.classes else SplitNNRegressor
        model: SplitNNModel = kind.load(folder)
        return model

    def metrics(self, model: Any, objective: Objective) -> list[EvalMetric]:
        """See `Kind.metrics`: of several labels each metric for each label."""
        return metrics_of(model.eval_metric, objective)

    def n_rounds(self, model: Any) -> int:
        """See `Kind.n_rounds`."""
        return int(model.n_epochs)

    def rounds_kept(self, checkpoint: Path) -> int:
        """See `Kind.rounds_kept`."""
        return load_checkpoint(checkpoint).kept.epoch

    def check_names(self, model: Any, columns: Sequence[str], parties: Sequence[str]) -> None:
        """See `Kind.check_names`: whose bottoms are described, and who computes the body."""
        try:
            check_owners(model._net_params(), ["", *parties])
        except ConfigError as error:
            raise ConfigError(error.message, f"{self.section}.{error.path}") from error

    def check_plannable(self, model: Any) -> None:
        """See `Kind.check_plannable`."""
        raise ConfigError("only trees are planned; leave it out for a network", "--plan")

    def fit(
        self,
        model: Any,
        data: RunData,
        parties: Sequence[Party],
        *,
        on_round: OnRound,
        make_key: Callable[[], PrivateKey] | None,
        recovery: Recovery | None,
    ) -> None:
        """See `Kind.fit`; there is no key."""
        tables = data.tables

        def labels(rows: NDArray[Any]) -> Any:
            of_rows = data.y[rows]
            return pd.DataFrame(of_rows, columns=list(data.labels)) if data.labels else of_rows

        with _calling(model, on_round):
            model.fit(
                tables["train"],
                labels(data.folds["train"]),
                parties=parties,
                eval_set=[(tables[name], labels(rows)) for name, rows in data.folds.items()],
                column_owner=data.column_owner,
                checkpoint=None if recovery is None else recovery.path,
                resume=recovery is not None and recovery.resume,
            )

    def predictions(
        self,
        model: Any,
        X: pd.DataFrame,
        parties: Sequence[Party] | None,
        unmatched: Unmatched,
        without: Sequence[str] = (),
    ) -> NDArray[np.float64]:
        """See `Kind.predictions`."""
        how: dict[str, Any] = {"parties": parties, "unmatched": unmatched, "without": without}
        if isinstance(model, SplitNNRegressor):
            return np.asarray(model.predict(X, **how))
        probabilities: NDArray[np.float64] = model.predict_proba(X, **how)
        return probabilities if self.score_names(model) else probabilities[:, 1]

    def score_names(self, model: Any) -> tuple[Any, ...]:
        """See `Kind.score_names`: the labels, where there are several."""
        half = model.label_half_
        several = half.objective == "multi:softprob"
        return tuple(half.labels or (half.classes if several else ()))

    def losses(self, model: Any) -> list[float]:
        """See `Kind.losses`."""
        return list(model.training_loss_)

    def facts(self, result: RunResult, rounds: int) -> list[tuple[str, str]]:
        """See `Kind.facts`."""
        model: Any = result.model
        half, body = model.label_half_, model.body
        return [
            ("network", f"{model.architecture}, {rounds:,} epochs"),
            ("cut", f"{', '.join(map(str, half.widths))} numbers of a row, codec {half.codec}"),
            *([("body", f"at {body}, {model.body_width} numbers of a row")] if body else []),
            ("objective", half.objective),
            ("protections", protections_text(model)),
        ]

    def learned(self, data: RunData, result: RunResult) -> list[tuple[str, list[str]]]:
        """See `Kind.learned`."""
        model: Any = result.model
        half = model.label_half_
        seeded = model.random_state is not None
        guess = ["its initial weights, since random_state is stated"] if seeded else []
        of_label_party = [
            f"{partner.name}: {partner.width} numbers of each of {len(data.y):,} rows in every "
            f"epoch, made of its columns{''.join(f'; {what}' for what in guess)}"
            for partner in half.partners
        ]
        if model.body:
            of_label_party.append(f"{model.body}: what the body gives for each row")
        return [
            ("label party", of_label_party),
            *(
                (
                    partner.name,
                    [
                        f"which of {len(data.y):,} rows are trained on, and in which batches",
                        "the gradient of the loss by what it sent, in the clear, for each row and "
                        f"{result.rounds:,} epochs",
                    ],
                )
                for partner in half.partners
            ),
        ]

    def time_rows(self, model: Any) -> list[TimeRow]:
        """See `Kind.time_rows`."""
        return [
            (party or "label party", "bottom" if party else "training", seconds, "")
            for party, seconds in model.seconds_.items()
        ]

    def times_as_json(self, model: Any) -> dict[str, Any]:
        """See `Kind.times_as_json`."""
        return {
            party: {"phases": {phase: {"seconds": seconds}}}
            for party, phase, seconds, _ in self.time_rows(model)
        }

    def same_model(
        self, federated: Any, pooled: Any, owner: Mapping[str, Sequence[str]], halves: Path
    ) -> bool:
        """See `Kind.same_model`: in every weight."""
        own = FolderBottoms(halves / NETS).load(federated.label_half_.model_id)
        weights = joined_weights(federated._half, [] if own is None else [own])
        return same_weights(weights, joined_weights(pooled._half))


def protections_text(model: Any) -> str:
    """Say which protections a network was trained with."""
    chosen = model._net_params()
    named = [choice.name for choice in (*chosen.label_protections, *chosen.feature_protections)]
    return ", ".join(named) or "none"


class _Calls(TrainingCallback):
    """Calls a function after each epoch."""

    def __init__(self, on_round: OnRound) -> None:
        self._on_round = on_round

    def after_iteration(self, model: Any, epoch: int, evals_log: History) -> bool | None:
        return self._on_round(epoch, evals_log)


@contextlib.contextmanager
def _calling(model: SplitNNModel, on_round: OnRound) -> Iterator[None]:
    """Let a training in the block call a function after each epoch."""
    own = model.callbacks
    model.set_params(callbacks=[*(own or ()), _Calls(on_round)])
    try:
        yield
    finally:
        model.set_params(callbacks=own)


KIND = Nets()
