import pytest
from support.insecure_group import insecure_group


@pytest.fixture(scope="module", autouse=True)
def _insecure_group():
    """`options` of support.aligning name a group that is in no registry of the program."""
    with insecure_group():
        yield
