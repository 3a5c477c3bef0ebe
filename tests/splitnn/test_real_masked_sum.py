"""What a sum under masks costs on real data: quality and bytes."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from support.real_tables import read

from secureboost import FeatureParty, NetTerms, SplitNNClassifier
from secureboost.splitnn.mask_terms import simulated_masks


@pytest.mark.data
def test_a_sum_of_two_parties_scores_like_both_side_by_side(data_folder):
    """Credit card clients; the columns of the bank's partner are divided between two."""
    folder = data_folder / "credit_default"
    lender, partner = read(folder, "lender"), read(folder, "partner")
    X = lender.loc[lender.index.intersection(partner.index)]
    y = X.pop("default").to_numpy()
    masks = simulated_masks(["bureau", "telco"])
    tables = {"bureau": partner.iloc[:, ::2], "telco": partner.iloc[:, 1::2]}
    order = np.random.RandomState(0).permutation(len(X))[:16_000]
    train, held, test = np.split(order, [11_000, 12_500])
    aucs, n_bytes = {}, {}
    for codec in ("identity", "masked_sum"):
        parties = [
            FeatureParty(name, table, nets=NetTerms(masks=masks[name]))
            for name, table in tables.items()
        ]
        model = SplitNNClassifier(
            n_epochs=8,
            learning_rate=0.002,
            batch_size=512,
            bottom_hidden=(32,),
            top_hidden=(32,),
            cut_width=16,
            random_state=0,
            early_stopping_rounds=4,
            eval_metric="auc",
            codec=codec,
        )
        model.fit(X.iloc[train], y[train], parties=parties, eval_set=[(X.iloc[held], y[held])])
        aucs[codec] = roc_auc_score(y[test], model.predict_proba(X.iloc[test])[:, 1])
        exchanged = model.traffic_["telco"]["Exchange"]
        both_ways = exchanged.bytes_sent + exchanged.bytes_received
        n_bytes[codec] = both_ways / exchanged.messages
    assert aucs["masked_sum"] > aucs["identity"] - 0.01
    assert aucs["masked_sum"] > 0.76
    # words of 8 bytes for floats of 4 one way, floats the other
    assert n_bytes["masked_sum"] / n_bytes["identity"] == pytest.approx(1.5, rel=0.02)
