"""A model as the JSON that XGBoost 2.1 and later load.

The base score is in the first trees (`xgboost_trees.export_trees`), and the file's own stands for a
raw score of 0. So one file serves all versions: before XGBoost 3.1 there is one number for all
classes, since then a list, and a probability or a mean would lose digits on the way to a raw score.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from secureboost.export.whole import Column, Whole
from secureboost.export.xgboost_trees import ExportedTree
from secureboost.objectives import make_objective

_FILE_VERSION = [2, 1, 4]  # XGBoost's; later ones read it, with the column dictionary of 3.1
_NO_WEIGHT = {"scale_pos_weight": "1"}  # our weights are in the trees

_ZERO_SCORE = {"probability": "5E-1", "positive": "1E0", "real": "0E0", "raw": "0E0"}
"""By `Objective.predicts` the prediction whose raw score is 0."""

_SETTINGS: Mapping[str, tuple[str, Callable[[Any], dict[str, str]]]] = MappingProxyType(
    {
        "binary:logistic": ("reg_loss_param", lambda _: _NO_WEIGHT),
        "reg:squarederror": ("reg_loss_param", lambda _: _NO_WEIGHT),
        "reg:gamma": ("reg_loss_param", lambda _: _NO_WEIGHT),
        "reg:pseudohubererror": (
            "pseudo_huber_param",
            lambda objective: {"huber_slope": repr(float(objective.huber_slope))},
        ),
        "count:poisson": (
            "poisson_regression_param",
            lambda objective: {"max_delta_step": repr(float(objective.max_delta_step))},
        ),
        "reg:tweedie": (
            "tweedie_regression_param",
            lambda objective: {
                "tweedie_variance_power": repr(float(objective.tweedie_variance_power))
            },
        ),
        "multi:softprob": (
            "softmax_multiclass_param",
            lambda objective: {"num_class": str(objective.n_outputs)},
        ),
    }
)
"""For each objective how XGBoost names and writes its parameters."""


def make_document(
    whole: Whole,
    trees: list[ExportedTree],
    attributes: Mapping[str, str],
    *,
    category_names: bool = False,
) -> dict[str, Any]:
    """The whole file.

    An objective that is a function becomes ``reg:squarederror``, as in XGBoost: it predicts raw
    scores.

    Parameters
    ----------
    whole : Whole
    trees : list of ExportedTree
    attributes : mapping of str to str
        Texts that XGBoost keeps with the model.
    category_names : bool
        Give the names of the codes too.
    """
    n_outputs = whole.ensemble.n_outputs
    objective, base_score = _objective(whole)
    n_rounds = len(trees) // n_outputs
    several_classes = objective["name"] == "multi:softprob"
    return {
        "learner": {
            "attributes": dict(attributes),
            "feature_names": [column.name for column in whole.columns],
            "feature_types": [_kind(column) for column in whole.columns],
            "gradient_booster": {
                "model": {
                    "cats": _dictionary(whole.columns if category_names else ()),
                    "gbtree_model_param": {
                        "num_parallel_tree": "1",
                        "num_trees": str(len(trees)),
                    },
                    "iteration_indptr": [n_outputs * i for i in range(n_rounds + 1)],
                    "tree_info": [i % n_outputs for i in range(len(trees))],
                    "trees": [tree.fields for tree in trees],
                },
                "name": "gbtree",
            },
            "learner_model_param": {
                "base_score": base_score,
                "boost_from_average": "1",
                "num_class": str(n_outputs if several_classes else 0),
                "num_feature": str(len(whole.columns)),
                "num_target": str(1 if several_classes else n_outputs),
            },
            "objective": objective,
        },
        "version": _FILE_VERSION,
    }


def _objective(whole: Whole) -> tuple[dict[str, Any], str]:
    """The objective and the prediction that stands for a raw score of 0."""
    label = whole.label
    if label.objective == "custom":
        return {"name": "reg:squarederror", "reg_loss_param": _NO_WEIGHT}, _ZERO_SCORE["raw"]
    objective = make_objective(
        label.objective, n_classes=len(label.classes) or 1, **label.objective_parameters
    )
    key, settings = _SETTINGS[objective.name]
    several = objective.n_outputs > 1  # the base scores of classes are raw scores
    zero = _ZERO_SCORE["raw" if several else objective.predicts]
    return {"name": objective.name, key: settings(objective)}, zero


def _kind(column: Column) -> str:
    return "float" if column.categories is None else "c"


def _dictionary(columns: tuple[Column, ...]) -> dict[str, Any]:
    """The names of the codes, by which XGBoost 3.1 and later translate a data frame's categories.

    Each column's names stand behind each other as UTF-8 bytes, from -128 on.
    """
    if all(column.categories is None for column in columns):
        return {"enc": [], "feature_segments": [], "sorted_idx": []}
    entries, segments, order = [], [0], []
    for column in columns:
        names = [name.encode() for name in column.categories or ()]
        offsets = np.cumsum([0, *map(len, names)]).tolist() if names else []
        values = np.frombuffer(b"".join(names), np.int8).tolist()
        entries.append({"offsets": offsets, "values": values})
        segments.append(segments[-1] + len(names))
        order += sorted(range(len(names)), key=names.__getitem__)
    return {"enc": entries, "feature_segments": segments, "sorted_idx": order}
