"""Every architecture learns from real tables about as well as the perceptron.

Bank marketing (13 columns at the bank, without the length of the call, and 7 at the partner) and
credit default (5 columns at the lender, six months of status, bills and payments at the partner).
"""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from support.real_tables import Folds, read

from secureboost import FeatureParty, SplitNNClassifier

pytestmark = pytest.mark.data

QUICK = {
    "n_epochs": 6,
    "batch_size": 128,
    "learning_rate": 0.002,
    "cut_width": 16,
    "random_state": 0,
}
KINDS = ["wide_deep", "deepfm", "bst", "mmoe"]


class Table:
    """A label party's training and test rows, and its partner."""

    def __init__(self, folder, own, label, n_rows):
        lender, self.partner = read(folder, own), read(folder, "partner")
        lender = lender.loc[lender.index.intersection(self.partner.index).sort_values()]
        X = lender.drop(columns=[label, "duration"], errors="ignore")
        self.folds = Folds.of(X, lender[label], n_rows)
        self.long = np.asarray(lender.get("duration", 0.0) > 300.0, np.float64)

    def auc(self, y=None, **parameters):
        y = self.folds.y if y is None else y
        train, test = self.folds.train, self.folds.test
        model = SplitNNClassifier(**QUICK | parameters)
        model.fit(
            self.folds.X.iloc[train], y[train], parties=[FeatureParty("partner", self.partner)]
        )
        probability = model.predict_proba(self.folds.X.iloc[test])
        if y.ndim == 2:
            return roc_auc_score(y[test], probability, average=None)
        return roc_auc_score(y[test], probability[:, 1])


@pytest.fixture(scope="module")
def bank(data_folder):
    return Table(data_folder / "bank_marketing", "bank", "y", 6_000)


@pytest.fixture(scope="module")
def credit(data_folder):
    return Table(data_folder / "credit_default", "lender", "default", 8_000)


@pytest.fixture(scope="module")
def marks(bank, credit):
    return {"bank": bank.auc(), "credit": credit.auc()}


@pytest.mark.parametrize("architecture", KINDS)
def test_bank_marketing(bank, marks, architecture):
    assert marks["bank"] > 0.88
    assert bank.auc(architecture=architecture) > marks["bank"] - 0.01


@pytest.mark.parametrize("architecture", KINDS)
def test_credit_default(credit, marks, architecture):
    assert marks["credit"] > 0.76
    assert credit.auc(architecture=architecture) > marks["credit"] - 0.01


def test_two_labels_at_once(bank, marks):
    """The answer, and whether the call is a long one, which is known after it as well."""
    y = np.stack([bank.folds.y, bank.long], axis=1)
    answer, long = bank.auc(y, architecture="mmoe")
    assert answer > marks["bank"] - 0.01
    assert long > 0.52  # there is little to be known of it beforehand
