import pytest
from support.credit import Credit, make_credit

from secureboost import SecureBoostClassifier

PARAMETERS = {
    "n_estimators": 4,
    "max_depth": 3,
    "max_bin": 16,
    "min_data_per_group": 10,
    "scheme": "plain",
}


@pytest.fixture(scope="session")
def credit() -> Credit:
    return make_credit()


@pytest.fixture(scope="session")
def parameters():
    return PARAMETERS


@pytest.fixture(scope="session")
def model(credit):
    """A classifier of two classes over both tables."""
    fitted = SecureBoostClassifier(**PARAMETERS)
    return fitted.fit(credit.lender, credit.bad, parties=[credit.party])


@pytest.fixture
def release(credit, model):
    """What the bureau released of `model`."""
    return credit.party.release(model.label_half_.model_id, purpose="monitoring")
