"""The same trees as XGBoost, parameter by parameter (see vectors/make_xgboost.py)."""

import json
from pathlib import Path

import numpy as np
import pytest
from support.boosting import train
from support.tables import Table

from secureboost.gbdt.params import BoosterParams

VECTORS = json.loads(
    (Path(__file__).parent / "vectors" / "xgboost.json").read_text(encoding="utf-8")
)


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: str(case["params"]))
def test_trees_are_those_of_xgboost(case):
    table = Table(
        np.array(VECTORS["X"], dtype=np.float32),
        np.array(VECTORS["y"], dtype=np.float64),
        np.array(VECTORS["weight"]),
    )
    ensemble = train(table, BoosterParams(n_estimators=5, **case["params"]))
    assert [len(tree) for tree in ensemble.trees] == case["nodes"]
    np.testing.assert_allclose(ensemble.raw_scores(table.X), case["raw_scores"], atol=2e-6)
