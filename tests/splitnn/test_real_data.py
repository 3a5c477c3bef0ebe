"""Split networks on real tables, next to one network over all columns and next to trees."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from support.real_tables import read

from secureboost import FeatureParty, SecureBoostClassifier, SplitNNClassifier, pool_tables

NET = {
    "n_epochs": 12,
    "batch_size": 256,
    "learning_rate": 0.002,
    "bottom_hidden": (32,),
    "top_hidden": (32,),
    "cut_width": 16,
    "random_state": 0,
    "early_stopping_rounds": 4,
    "eval_metric": "auc",
}


def parts(n_rows):
    """Rows for training, early stopping and testing."""
    order = np.random.RandomState(0).permutation(n_rows)
    ends = [n_rows * 7 // 10, n_rows * 8 // 10]
    return np.split(order, ends)


@pytest.mark.data
def test_bank_marketing(data_folder):
    folder = data_folder / "bank_marketing"
    bank = read(folder, "bank").drop(columns="duration")  # known only when the answer is
    partner = read(folder, "partner")
    y, X = bank.pop("y").to_numpy(), bank
    train, held, test = parts(len(X))
    scores = {}

    def fit(name, model, frame, **options):
        model.fit(frame.iloc[train], y[train], eval_set=[(frame.iloc[held], y[held])], **options)
        scores[name] = roc_auc_score(y[test], model.predict_proba(frame.iloc[test])[:, 1])

    pooled, owner = pool_tables(X, {"partner": partner})
    fit("split", SplitNNClassifier(**NET), X, parties=[FeatureParty("partner", partner)])
    fit("pooled", SplitNNClassifier(**NET), pooled, column_owner=owner)
    fit("joint", SplitNNClassifier(**NET), pooled)
    trees = SecureBoostClassifier(
        n_estimators=60, max_depth=4, learning_rate=0.1, eval_metric="auc", early_stopping_rounds=8
    )
    fit("trees", trees, pooled)
    assert scores["split"] == scores["pooled"]
    assert abs(scores["split"] - scores["joint"]) < 0.01
    assert scores["split"] > scores["trees"] - 0.02
    assert scores["split"] > 0.86
