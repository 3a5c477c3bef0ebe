"""The outcome of an alignment outlives a crash until its user has it, and is not paid for again."""

from functools import partial

import numpy as np
import pytest
from support.aligning import AlignParty, keys_of, options

from secureboost.align.asker import Asked, align_with
from secureboost.align.policy import AlignBudget, AlignPolicy
from secureboost.align.state import State
from secureboost.errors import AlignmentError, NothingCommonError
from secureboost.trainers import ALIGN_TRAINER

OWN = [f"id{i}" for i in range(14)]
THEIRS = [f"id{i}" for i in range(5, 15)]


def party_of(name="bureau", ids=THEIRS) -> AlignParty:
    policy = AlignPolicy(max_probed_keys=1000)
    return AlignParty(keys_of(ids), name, policy=policy, budget=AlignBudget(policy))


def find(state, *parties, **changes):
    asked = [Asked(party.name, partial(party.connect, ALIGN_TRAINER)) for party in parties]
    return align_with(keys_of(OWN), asked, options(**changes), state=state)


def names(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def test_the_same_call_returns_it_and_asks_nobody(tmp_path):
    parties = party_of(), party_of("telco")
    first = find(tmp_path / "state", *parties, padding=2)
    assert names(tmp_path / "state") == {"run", "outcome"}  # no scalar, no order, no nonce
    again = find(tmp_path / "state", *parties, padding=2)
    assert (again.sizes, again.shortfall) == (first.sizes, "")
    assert list(again.alignments) == ["bureau", "telco"]
    for name, alignment in first.alignments.items():
        other = again.alignments[name]
        np.testing.assert_array_equal(other.rows, alignment.rows)
        for field in ("id", "table_digest", "party", "peer", "details", "secret"):
            assert getattr(other, field) == getattr(alignment, field)
    for party in parties:
        assert len(party.answerers) == 1
        assert party.table.budget.spent.probed_keys == len(OWN)


def test_it_is_of_these_parties_alone(tmp_path):
    find(tmp_path / "state", party_of())
    other = party_of("telco")
    assert list(find(tmp_path / "state", other).alignments) == ["telco"]
    assert len(other.answerers) == 1


def test_one_that_is_damaged_is_named(tmp_path):
    find(tmp_path / "state", party_of())
    piece = tmp_path / "state" / "outcome"
    piece.write_bytes(piece.read_bytes()[:-1] + b"?")
    with pytest.raises(AlignmentError, match=r"outcome is damaged. Delete the folder"):
        find(tmp_path / "state", party_of())


def test_nothing_is_kept_where_nothing_was_told(tmp_path):
    assert not find(tmp_path / "state", party_of(), result="size").alignments
    assert not find(tmp_path / "state", party_of(), min_size=12).alignments
    with pytest.raises(NothingCommonError):
        find(tmp_path / "state", party_of(ids=["x"]))
    assert list(tmp_path.iterdir()) == []


def test_what_a_crash_leaves_of_deleting_is_deleted_by_the_next(tmp_path):
    """At the feature party, whose sessions have folders of random names."""
    party = AlignParty(keys_of(THEIRS), state_folder=tmp_path / "kept")
    trash = tmp_path / "kept" / ".0badcafe.deleted"
    trash.mkdir(parents=True)
    (trash / "secrets").write_bytes(b"a scalar")
    find(None, party)
    assert list((tmp_path / "kept").iterdir()) == []


def test_a_state_that_is_swept_stays(tmp_path):
    state = State(tmp_path / "interrupted")
    state.put("run", b"1")
    (tmp_path / ".interrupted.deleted").mkdir()
    state.sweep()
    assert names(tmp_path) == {"interrupted", "interrupted/run"}
    state.clear()
    State(None).sweep()
    assert names(tmp_path) == set()
