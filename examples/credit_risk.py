"""A lender and a credit bureau train one model in one process, under real encryption.

Run it with ``python examples/credit_risk.py``; it takes well under a minute. It prints what the
bureau's columns are worth to the lender, compares the federated model with its plaintext twin, and
saves the two halves of the model in a temporary folder.
"""

import tempfile
from pathlib import Path

from secureboost import FeatureParty, Policy, SecureBoostClassifier, joined_trees, pool_tables
from secureboost.metrics import evaluate
from secureboost.portfolio import make_portfolio

CUSTOMERS = 2_000
SETTINGS = {"n_estimators": 5, "max_depth": 4, "max_bin": 32, "min_child_samples": 20}


def main() -> None:
    """Train three models on the same customers and compare them."""
    portfolio = make_portfolio(CUSTOMERS)
    own, defaulted = portfolio.lender.drop(columns="default"), portfolio.lender["default"]
    train, test = own.index[: CUSTOMERS * 4 // 5], own.index[CUSTOMERS * 4 // 5 :]

    # The bureau sets its own limits; a run that breaks them is refused.
    bureau = FeatureParty("bureau", portfolio.bureau, policy=Policy(min_child_samples=20))

    alone = SecureBoostClassifier(**SETTINGS)
    alone.fit(own.loc[train], defaulted.loc[train])

    federated = SecureBoostClassifier(**SETTINGS, key_bits=2048)
    federated.fit(own.loc[train], defaulted.loc[train], parties=[bureau])

    # The twin needs both tables in one place. Only a simulation can make it.
    pooled_table, column_owner = pool_tables(own, {"bureau": portfolio.bureau})
    pooled = SecureBoostClassifier(**SETTINGS)
    pooled.fit(pooled_table.loc[train], defaulted.loc[train], column_owner=column_owner)

    scores = {
        "lender alone": alone.predict_proba(own.loc[test])[:, 1],
        "federated": federated.predict_proba(own.loc[test])[:, 1],
        "pooled plaintext": pooled.predict_proba(pooled_table.loc[test])[:, 1],
    }
    print(f"{len(test)} held-out customers")
    for name, score in scores.items():
        metrics = evaluate(defaulted.loc[test].to_numpy(), score)
        print(f"  {name:<17} AUC {metrics.auc:.4f}   KS {metrics.ks:.4f}   Gini {metrics.gini:.4f}")

    joined = joined_trees(federated.label_half_, [bureau.half(federated.label_half_.model_id)])
    twin = joined_trees(pooled.label_half_, column_owner=column_owner)
    same_trees = all((one == other).all() for one, other in zip(joined, twin, strict=True))
    same_scores = (scores["federated"] == scores["pooled plaintext"]).all()
    print(f"trees equal: {same_trees}, scores equal: {same_scores}")

    print("what mattered most (the lender does not know the bureau's names):")
    importances = zip(federated.feature_importances_, federated.feature_names_out_, strict=True)
    for importance, name in sorted(importances, reverse=True)[:5]:
        print(f"  {importance:.3f}  {name}")

    sent = sum(count.bytes_sent for count in federated.traffic_["bureau"].values())
    received = sum(count.bytes_received for count in federated.traffic_["bureau"].values())
    print(f"to the bureau {sent:,} bytes, from the bureau {received:,} bytes")

    with tempfile.TemporaryDirectory() as folder:
        federated.save(folder)
        print("saved:", ", ".join(sorted(path.name for path in Path(folder).iterdir())))
        again = SecureBoostClassifier.load(folder)
        bureau_again = FeatureParty("bureau", portfolio.bureau)
        loaded = again.predict_proba(own.loc[test], parties=[bureau_again])[:, 1]
        print(f"scores after loading equal: {(loaded == scores['federated']).all()}")


if __name__ == "__main__":
    main()
