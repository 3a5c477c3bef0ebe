"""How trees are run: `SecureBoostClassifier` and `SecureBoostRegressor`."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crypto.modulus import check_key_bits
from crypto.scheme import PrivateKey
from crypto.schemes import get_scheme
from secureboost.api import SecureBoostClassifier, SecureBoostRegressor
from secureboost.clock import COUNTED
from secureboost.errors import ConfigError
from secureboost.estimator import LABEL_FILE, Federation, SecureBoostModel
from secureboost.eval_metrics import EvalMetric
from secureboost.fitting import make_metrics
from secureboost.gbdt.checkpoint import load_checkpoint
from secureboost.gbdt.constraints import check_names as check_constraints
from secureboost.gbdt.joined import joined_trees
from secureboost.gbdt.label import booster_params
from secureboost.gbdt.model import LabelHalf, PartyHalf, load_half
from secureboost.kinds.base import Kind, OnRound, TimeRow
from secureboost.kinds.checks import (
    check_early_stopping,
    check_forms,
    make_estimator,
    whole_number,
)
from secureboost.objectives import Objective
from secureboost.outcome import RunData, RunResult
from secureboost.partner import LABEL_PARTY
from secureboost.partners import Unmatched
from secureboost.party import Party
from secureboost.quality import watched_metrics
from secureboost.recovery import Recovery
from secureboost.units import format_seconds

_FORMS: dict[str, Any] = {
    "monotone_constraints": dict[str, int] | list[int] | None,
    "interaction_constraints": list[list[str]] | None,
    "class_weight": dict[str | int, float] | str | None,
    "categorical_features": list[str] | None,
}


class Trees(Kind):
    """See `Kind`."""

    section = "model"
    round_name = "round"

    def make_model(
        self, parameters: Mapping[str, Any], path: str, *, more_names: Sequence[str] = ()
    ) -> SecureBoostModel:
        """See `Kind.make_model`."""
        model: SecureBoostModel = make_estimator(
            SecureBoostClassifier, SecureBoostRegressor, parameters, path, more_names
        )
        get_scheme(str(model.scheme))
        try:
            whole_number(model, "n_jobs", optional=True)
            whole_number(model, "key_bits")
        except ValueError as error:
            raise ConfigError(str(error), path) from error
        if model.scheme != "plain":
            check_key_bits(model.key_bits)
        try:
            self._check_parameters(model)
        except ConfigError:
            raise
        except ValueError as error:
            raise ConfigError(str(error), path) from error
        return model

    def _check_parameters(self, model: SecureBoostModel) -> None:
        """Check what can be checked without data, and choose what is watched."""
        model._check_importance_type()
        parameters = model.get_params()
        booster_params({**parameters, "max_delta_step": model.max_delta_step or 0.0})
        objective = model._make_objective(2)  # softprob: of more classes the same holds
        if model.base_score is not None:
            objective.raw_score(model.base_score)
        if model.eval_metric is None:
            model.set_params(eval_metric=watched_metrics(objective))
        self.metrics(model, objective)
        check_forms(model, _FORMS)
        check_early_stopping(model.early_stopping_rounds)

    def load_model(self, folder: Path) -> SecureBoostModel:
        """See `Kind.load_model`."""
        half = load_half(folder / LABEL_FILE, LabelHalf)
        kind = SecureBoostClassifier if half.classes else SecureBoostRegressor
        model: SecureBoostModel = kind.load(folder)
        return model

    def metrics(self, model: Any, objective: Objective) -> list[EvalMetric]:
        """See `Kind.metrics`."""
        return make_metrics(model.eval_metric, objective)

    def n_rounds(self, model: Any) -> int:
        """See `Kind.n_rounds`."""
        return int(model.n_estimators)

    def rounds_kept(self, checkpoint: Path) -> int:
        """See `Kind.rounds_kept`."""
        return load_checkpoint(checkpoint).boosted.rounds

    def check_names(self, model: Any, columns: Sequence[str], parties: Sequence[str]) -> None:
        """See `Kind.check_names`: of constraints."""
        try:
            check_constraints(
                model.monotone_constraints, model.interaction_constraints, columns, parties
            )
        except ValueError as error:
            raise ConfigError(str(error), self.section) from error

    def check_between_companies(self, model: Any) -> None:
        """See `Kind.check_between_companies`."""
        if model.scheme == "plain":
            raise ConfigError(
                "'plain' encrypts nothing and is for `secureboost simulate`; no other company "
                "takes it. Use 'paillier'",
                f"{self.section}.scheme",
            )

    def check_plannable(self, model: Any) -> None:
        """See `Kind.check_plannable`."""
        problem = ""
        if model.scheme != "paillier":
            problem = f"scheme={model.scheme!r}: only 'paillier' is timed"
        elif model.grow_policy != "depthwise" or model.max_leaves or not model.max_depth:
            problem = (
                f"grow_policy={model.grow_policy!r}, max_leaves={model.max_leaves}, max_depth="
                f"{model.max_depth}: only trees that grow level by level to a depth are planned"
            )
        elif model.sampling_method != "uniform":
            problem = f"sampling_method={model.sampling_method!r}: only 'uniform' is planned"
        elif model.label_party_trees or model.max_shared_purity != 1.0:
            problem = (
                f"label_party_trees={model.label_party_trees}, max_shared_purity="
                f"{model.max_shared_purity}: only trees that all parties share are planned"
            )
        if problem:
            raise ConfigError(f"{problem}; leave it out", "--plan")

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
        """See `Kind.fit`."""
        tables = data.tables
        model._fit(
            tables["train"],
            data.y[data.folds["train"]],
            Federation(make_key=make_key, on_round=on_round),
            parties=parties,
            eval_set=[(tables[name], data.y[rows]) for name, rows in data.folds.items()],
            column_owner=data.column_owner,
            recovery=recovery,
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
        if without:
            raise ConfigError(
                "trees cannot do without a party; a network trained with party_dropout can",
                "--without",
            )
        if isinstance(model, SecureBoostRegressor):
            return np.asarray(model.predict(X, parties=parties, unmatched=unmatched))
        probabilities: NDArray[np.float64] = model.predict_proba(
            X, parties=parties, unmatched=unmatched
        )
        return probabilities if self.score_names(model) else probabilities[:, 1]

    def score_names(self, model: Any) -> tuple[Any, ...]:
        """See `Kind.score_names`."""
        half = model.label_half_
        return tuple(half.classes) if half.objective == "multi:softprob" else ()

    def facts(self, result: RunResult, rounds: int) -> list[tuple[str, str]]:
        """See `Kind.facts`."""
        half = result.model.label_half_
        return [
            ("trees", f"{len(half.trees):,} in {rounds:,} rounds"),
            ("objective", half.objective),
            ("encryption", _encryption(result.model)),
        ]

    def learned(self, data: RunData, result: RunResult) -> list[tuple[str, list[str]]]:
        """See `Kind.learned`."""
        half = result.model.label_half_
        n_trees = result.rounds * trees_a_round(data, result)
        of_label_party = [
            f"{p.name}: {p.n_features} anonymous columns with their numbers of bins, sums of "
            f"gradients per bin in every asked node, and the side of each row at {p.n_splits} "
            "splits"
            for p in half.partners
        ]
        return [
            ("label party", of_label_party),
            *(
                (
                    partner.name,
                    [
                        f"which of {len(data.y):,} rows share a node, in {n_trees:,} trees, and "
                        "which of them are not trained on",
                        f"which {partner.n_splits} of its cuts became splits",
                        "gradients and hessians under encryption only",
                    ],
                )
                for partner in half.partners
            ),
        ]

    def time_rows(self, model: Any) -> list[TimeRow]:
        """See `Kind.time_rows`."""
        rows = []
        for party, times in model.times_.items():
            for name, phase in times.phases.items():
                done = f"{phase.operations:,} {COUNTED.get(name, '')}" if phase.operations else ""
                rows.append((_shown(party), name, phase.seconds, done))
        return rows

    def times_as_json(self, model: Any) -> dict[str, Any]:
        """See `Kind.times_as_json`."""
        return {
            party: {
                "cpu_seconds": times.cpu_seconds,
                "phases": {name: dataclasses.asdict(p) for name, p in times.phases.items()},
            }
            for party, times in model.times_.items()
        }

    def same_model(
        self, federated: Any, pooled: Any, owner: Mapping[str, Sequence[str]], halves: Path
    ) -> bool:
        """See `Kind.same_model`: in every split and leaf."""
        half = federated.label_half_
        joined = joined_trees(half, [load_half(halves / f"{half.model_id}.json", PartyHalf)])
        twin = joined_trees(pooled.label_half_, column_owner=owner)
        return all(bool((one == other).all()) for one, other in zip(joined, twin, strict=True))

    def busy_text(self, result: RunResult) -> str:
        """See `Kind.busy_text`."""
        wall = result.seconds["train"]
        times_of: Any = result.model
        parts = [
            f"{_shown(party)} {format_seconds(times.cpu_seconds)} "
            f"({times.cpu_seconds / wall:.2f} cores)"
            for party, times in times_of.times_.items()
        ]
        return f"processor time in {format_seconds(wall)} of training: {', '.join(parts)}"


def trees_a_round(data: RunData, result: RunResult) -> int:
    """One for each output, unless a tree has them all."""
    model: Any = result.model
    return 1 if model.multi_strategy == "multi_output_tree" else data.objective.n_outputs


def _encryption(model: Any) -> str:
    """Say in a few words what protected the gradients."""
    if not model.label_half_.partners:
        return "none needed: one party"
    if model.scheme == "plain":
        return "none (scheme 'plain', for tests in one process)"
    return f"{model.scheme.capitalize()}, {model.key_bits} bits"


def _shown(party: str) -> str:
    return "label party" if party == LABEL_PARTY else party


KIND = Trees()
