"""Whether an exported model does what ours does, read by two readers that know nothing of ours."""

import importlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secureboost.errors import ModelError
from secureboost.export.reader import Walked, walk_document

OWN_READER = "SecureBoost's reader"


def check_model(
    data: bytes,
    document: Mapping[str, Any],
    rows: NDArray[np.float32],
    expected: Walked,
    tolerance: NDArray[np.float64],
) -> tuple[str, ...]:
    """Send rows through an exported model and compare leaves and margins.

    Parameters
    ----------
    data : bytes
        The model file.
    document : mapping
        The same, parsed.
    rows : array of shape (n_rows, n_columns), float32
    expected : Walked
    tolerance : array of shape (n_rows, n_outputs), float64

    Returns
    -------
    tuple of str
        Who has read it: our own walk through the JSON and, where it is installed, XGBoost.

    Raises
    ------
    secureboost.errors.ModelError
        If a row reaches another leaf, or its margin lies further apart than the tolerance.
    """
    _compare(OWN_READER, walk_document(document, rows), expected, tolerance)
    try:
        xgboost = importlib.import_module("xgboost")
    except ImportError:
        return (OWN_READER,)
    name = f"xgboost {xgboost.__version__}"
    _compare(name, _read_by_xgboost(xgboost, data, document, rows), expected, tolerance)
    return OWN_READER, name


def _read_by_xgboost(
    xgboost: Any, data: bytes, document: Mapping[str, Any], rows: NDArray[np.float32]
) -> Walked:
    try:
        booster = xgboost.Booster(model_file=bytearray(data))
        matrix = xgboost.DMatrix(rows, **matrix_options(document))
        leaves = booster.predict(matrix, pred_leaf=True)
        margins = booster.predict(matrix, output_margin=True)
    except xgboost.core.XGBoostError as error:
        raise ModelError(
            f"xgboost {xgboost.__version__} cannot read the exported model: {error}"
        ) from error
    return Walked(
        leaves.astype(np.int32).reshape(len(rows), -1),
        margins.astype(np.float64).reshape(len(rows), -1),
    )


def matrix_options(document: Mapping[str, Any]) -> dict[str, Any]:
    """What `xgboost.DMatrix` must be told of rows of numbers and codes."""
    learner = document["learner"]
    return {
        "feature_names": list(learner["feature_names"]),
        "feature_types": list(learner["feature_types"]),
        "enable_categorical": True,
    }


def _compare(reader: str, found: Walked, expected: Walked, tolerance: NDArray[np.float64]) -> None:
    if found.leaves.shape != expected.leaves.shape:
        raise ModelError(
            f"{reader} finds {found.leaves.shape[1]} trees in the exported model, not "
            f"{expected.leaves.shape[1]}. Nothing was written; please report it."
        )
    wrong = np.argwhere(found.leaves != expected.leaves)
    if len(wrong):
        row, tree = wrong[0].tolist()
        raise ModelError(
            f"{reader} sends test row {row} to another leaf of tree {tree} than SecureBoost does, "
            f"and {len(wrong) - 1} more. Nothing was written; please report it."
        )
    difference = np.abs(found.margins - expected.margins)
    if not (difference <= tolerance).all():  # NaN is not
        raise ModelError(
            f"{reader} gives margins that differ by up to {np.max(difference):.3g} from "
            f"SecureBoost's; {np.max(tolerance):.3g} is allowed. Nothing was written."
        )
