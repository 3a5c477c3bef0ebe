"""XGBoost with the parameters of one of our estimators."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from secureboost.estimator import SecureBoostModel

xgboost = pytest.importorskip("xgboost", reason="the references need XGBoost")

NAMES = {
    "learning_rate": "eta",
    "max_depth": "max_depth",
    "max_bin": "max_bin",
    "max_leaves": "max_leaves",
    "grow_policy": "grow_policy",
    "reg_lambda": "lambda",
    "reg_alpha": "alpha",
    "gamma": "gamma",
    "min_child_weight": "min_child_weight",
    "subsample": "subsample",
    "colsample_bytree": "colsample_bytree",
    "colsample_bylevel": "colsample_bylevel",
    "colsample_bynode": "colsample_bynode",
    "multi_strategy": "multi_strategy",
}
OF_OBJECTIVES = {
    "reg:pseudohubererror": "huber_slope",
    "reg:tweedie": "tweedie_variance_power",
}


def xgboost_parameters(model: SecureBoostModel, metric: str) -> dict[str, Any]:
    """What makes XGBoost train as this fitted model was trained."""
    half = model.label_half_
    params = {theirs: getattr(model, ours) for ours, theirs in NAMES.items()}
    params |= {
        "objective": half.objective,
        "tree_method": "hist",
        "eval_metric": metric,
        "nthread": 1,
        "seed": 0,
    }
    if half.objective in OF_OBJECTIVES:
        name = OF_OBJECTIVES[half.objective]
        params[name] = getattr(model, name)
    if model.max_delta_step is not None:
        params["max_delta_step"] = model.max_delta_step
    if model.scale_pos_weight != 1.0:
        params["scale_pos_weight"] = model.scale_pos_weight
    if len(half.classes) > 2:
        params["num_class"] = len(half.classes)
    if model.base_score is not None:
        params["base_score"] = model.base_score
    return params


def histories(
    model: SecureBoostModel, sets: Sequence[Any], **more: Any
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Train both on the first of `sets`; `more` are parameters of XGBoost alone.

    Returns
    -------
    ours, theirs : arrays of shape (n_sets, n_rounds)
        The first metric of each set after each round.
    """
    model.fit(*sets[0], eval_set=sets)
    metric = next(iter(model.evals_result_["validation_0"]))
    _, theirs = train_xgboost(model, sets, metric, **more)
    return np.array([values[metric] for values in model.evals_result_.values()]), theirs


def train_xgboost(
    model: SecureBoostModel, sets: Sequence[Any], metric: str, **more: Any
) -> tuple[Any, NDArray[np.float64]]:
    """XGBoost on the first of `sets`: its booster, and the metric of each set after each round."""
    history: dict[str, dict[str, list[float]]] = {}
    tables = [xgboost.DMatrix(X.to_numpy(np.float32), label=y) for X, y in sets]
    booster = xgboost.train(
        xgboost_parameters(model, metric) | more,
        tables[0],
        model.n_estimators,
        evals=[(table, str(number)) for number, table in enumerate(tables)],
        evals_result=history,
        verbose_eval=False,
    )
    return booster, np.array([history[str(number)][metric] for number in range(len(tables))])
