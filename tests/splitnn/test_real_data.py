"""Split networks on real tables, next to one network over all columns and next to trees."""

import msgspec
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from support.real_tables import read

from secureboost import (
    FeatureParty,
    MissingPartyWarning,
    SecureBoostClassifier,
    SplitNNClassifier,
    pool_tables,
)

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


@pytest.mark.data
def test_a_missing_party_costs_less_after_dropout(data_folder):
    """Of two partners one is down: with what it knows left out, the other one still counts."""
    folder = data_folder / "credit_default"
    lender, partner = read(folder, "lender"), read(folder, "partner")
    lender = lender.loc[lender.index.intersection(partner.index)]
    y = lender.pop("default").to_numpy()
    tables = {"bureau": partner.iloc[:, :9], "telco": partner.iloc[:, 9:]}
    pooled, owner = pool_tables(lender, tables)
    train, held, test = parts(len(lender))
    losses, aucs = {}, {}
    for rate in (0.0, 0.2):
        model = SplitNNClassifier(**NET, party_dropout=rate)
        sets = [(pooled.iloc[held], y[held])]
        model.fit(pooled.iloc[train], y[train], column_owner=owner, eval_set=sets)
        # without dropout it is refused; here it is what dropout is compared with
        model.label_half_ = msgspec.structs.replace(model.label_half_, party_dropout=0.2)
        aucs[rate] = roc_auc_score(y[test], model.raw_scores(pooled.iloc[test]))
        with pytest.warns(MissingPartyWarning):
            raw = model.raw_scores(pooled.iloc[test], without=["bureau"])
        losses[rate] = np.mean(np.logaddexp(0.0, np.where(y[test] == 1, -raw, raw)))
    assert aucs[0.2] > aucs[0.0] - 0.01
    assert losses[0.2] < losses[0.0] - 0.01
