"""Makes xgboost.json: trees and raw scores of XGBoost itself, for every parameter we share.

    python make_xgboost.py      (in an environment with numpy and xgboost; made with 3.2.0)

The table holds small integers, so XGBoost's bins are the distinct values, as ours are.
"""

import json
from pathlib import Path

import numpy as np
import xgboost

CASES = [
    {},
    {"learning_rate": 1.0, "max_depth": 2},
    {"gamma": 2.0},
    {"reg_lambda": 0.0, "min_child_weight": 0.0},
    {"reg_alpha": 1.5},
    {"max_delta_step": 0.3},
    {"max_delta_step": 0.3, "reg_alpha": 1.5},
    {"min_child_weight": 12.0},
    {"grow_policy": "lossguide", "max_leaves": 9, "max_depth": 0},
    {"grow_policy": "depthwise", "max_leaves": 7},
    {"base_score": 0.2},
]
COMMON = {"base_score": 0.5, "learning_rate": 0.3, "max_depth": 4, "max_bin": 64}


def table() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values 0 to 11 with holes, a label that depends on them, weights in steps of 1/8."""
    rng = np.random.default_rng(0)
    X = rng.integers(0, [12, 12, 6, 2, 1], (400, 5)).astype(np.float32)
    y = X[:, 0] * X[:, 2] / 10 - X[:, 1] / 4 + 2 * X[:, 3] + rng.normal(size=400) > 1.5
    X[rng.random(X.shape) < 0.1] = np.nan
    return X, y.astype(int), rng.integers(4, 17, 400) / 8


def main() -> None:
    X, y, weight = table()
    data = xgboost.QuantileDMatrix(X, y, weight=weight, max_bin=64)
    cases = []
    for params in CASES:
        settings = {**COMMON, **params}
        fixed = {"objective": "binary:logistic", "tree_method": "hist", "nthread": 1}
        model = xgboost.train({**fixed, **settings}, data, 5)
        cases.append(
            {
                "params": settings,
                "nodes": [tree.count("\n") for tree in model.get_dump()],
                "raw_scores": [float(f"{s:.7g}") for s in model.predict(data, output_margin=True)],
            }
        )
    vectors = {
        "made_by": f"make_xgboost.py, xgboost {xgboost.__version__}",
        "X": [[None if np.isnan(x) else int(x) for x in row] for row in X],
        "y": y.tolist(),
        "weight": weight.tolist(),
        "cases": cases,
    }
    text = json.dumps(vectors, separators=(",", ":")).replace('{"params"', '\n{"params"')
    Path(__file__).with_name("xgboost.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
