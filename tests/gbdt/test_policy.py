"""The budget that a feature party keeps beyond its process."""

import pytest

from secureboost.errors import ConfigError
from secureboost.gbdt.policy import Policy, Spending, kept_budget


def test_the_next_process_goes_on_where_this_one_left(tmp_path):
    policy, path = Policy(max_node_histograms=5, max_routed_rows=10), tmp_path / "budget.json"
    budget = kept_budget(policy, path, "data set 1")
    assert budget.spend_histograms(3)
    assert budget.spend_routes(10)
    del budget
    again = kept_budget(policy, path, "data set 1")
    assert again.spent == Spending(3, 10)
    assert not again.spend_histograms(3)
    assert again.spent == Spending(3, 10)
    del again
    other = kept_budget(policy, path, "data set 2")
    assert other.spend_histograms(5)
    del other
    assert kept_budget(policy, path, "data set 1").spent == Spending(3, 10)


def test_a_damaged_file_is_not_overwritten(tmp_path):
    path = tmp_path / "budget.json"
    path.write_text('{"data": 7')
    with pytest.raises(ConfigError, match=r"budget.json is damaged .* restore it from a backup"):
        kept_budget(Policy(), path, "data")
    assert path.read_text() == '{"data": 7'
