"""The quality marks on real data: skipped where SECUREBOOST_DATA is not set."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score
from support.boosting import PowerOfTwo

from secureboost.binning import BinMapper
from secureboost.gbdt.booster import Booster
from secureboost.gbdt.local import LocalColumns
from secureboost.gbdt.params import BoosterParams
from secureboost.objectives import BinaryLogistic

DATA = Path(os.environ.get("SECUREBOOST_DATA", "")) / "credit_default_scaled"


@pytest.mark.data
@pytest.mark.skipif(
    "SECUREBOOST_DATA" not in os.environ or not DATA.is_dir(),
    reason="SECUREBOOST_DATA names no folder with credit_default_scaled",
)
def test_auc_is_that_of_xgboost():
    guest, host = (pd.read_csv(DATA / name) for name in ("guest.csv", "host.csv"))
    y = guest["y"].to_numpy(np.float64)
    X = np.hstack(
        [
            guest.drop(columns=["id", "y"]).to_numpy(np.float32),
            host.iloc[:, 1:].to_numpy(np.float32),
        ]
    )
    order = np.random.RandomState(0).permutation(len(y))  # the marks' split
    train, test = order[:24_000], order[24_000:]
    mapper = BinMapper.fit(X[train], 32, n_jobs=2)
    own = LocalColumns("", mapper.transform(X[train]), mapper.n_bins, 32, n_jobs=2)
    aucs = []
    for n_estimators in (3, 50):
        params = BoosterParams(n_estimators=n_estimators, max_depth=5, max_bin=32)
        booster = Booster(params, BinaryLogistic(), PowerOfTwo())
        ensemble = booster.fit([own], y[train], np.ones(len(train)))
        scores = ensemble.with_thresholds(mapper.edges).raw_scores(X[test])
        aucs.append(roc_auc_score(y[test], scores))
    assert aucs[0] >= 0.766
    assert aucs[1] == pytest.approx(0.7735, abs=0.004)  # XGBoost's
