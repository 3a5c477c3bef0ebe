"""Whether and how rows are joined by time is agreed before a key is compared."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from support.aligning import AlignParty, Faulty, align_parties, keys_of
from support.signing import signer

from parties.errors import PeerRefusedError, PeerUnreachableError
from parties.messages import Goodbye, Hello
from secureboost import align_tables
from secureboost.align.event_table import EventTable
from secureboost.align.join_options import AsOfTerms, WindowTerms
from secureboost.align.options import AlignOptions
from secureboost.align.policy import AlignBudget, AlignPolicy
from secureboost.align.protocol import Propose
from secureboost.errors import ConfigError

OWN, THEIRS = "abcdef", "cdefgh"
AS_OF = AsOfTerms(unit="days", window=365)
WINDOW = WindowTerms(unit="days", before=3, after=0)


def rows_of(ids: str, terms, *, timed: bool = True, unit="days", dates=()):
    """Keys alone, or rows with times."""
    keys = keys_of(ids, duplicates="all")
    if not timed:
        return keys
    times = np.arange(len(ids), dtype=np.int64)
    return EventTable(keys, times, unit, terms=terms, dates=dict.fromkeys(dates, times))


def party_of(folder, name="bureau", terms=AS_OF, **options) -> AlignParty:
    policy = AlignPolicy(max_probed_keys=1000)
    return AlignParty(
        rows_of(THEIRS, terms, **options),
        name,
        state_folder=folder / name,
        policy=policy,
        budget=AlignBudget(policy),
        signer=signer(),
    )


def find(parties, terms, **options):
    if options.get("method") == "rsa":
        options["group"] = None
    return align_parties(keys_of(OWN), *parties, join=terms, **options)


def assert_untouched(party: AlignParty) -> None:
    """Nothing was compared with it, paid for or kept, and it is free."""
    assert {type(request) for request, _ in party.messages()} <= {Hello, Propose, Goodbye}
    assert party.kept == []
    assert party.table.budget.spent.probed_keys == 0
    assert party.table.signer.budget.spent.signatures == 0
    assert not list(party.table.state_folder.glob("*"))
    assert party.released


DIFFER = [
    (
        AS_OF,
        {"terms": None, "timed": False},
        "rows are joined by time at the label party (as-of: unit days, window 365, lag 0) and not "
        "at this party. Set align.time on both sides, or on neither",
    ),
    (
        None,
        {},
        "rows are joined by time at this party (as-of: unit days, window 365, lag 0) and not at "
        "the label party. Set align.time on both sides, or on neither",
    ),
    (None, {"terms": None}, "rows are joined by time at this party and not at the label party"),
    (
        AS_OF,
        {"terms": AsOfTerms(unit="days", window=90, lag=1)},
        "window is 365 at the label party and 90 at this party; lag is 0 at the label party and 1 "
        "at this party",
    ),
    (
        AsOfTerms(unit="seconds", window=365),
        {},
        "unit is 'seconds' at the label party and 'days' at this party",
    ),
    (
        AsOfTerms(unit="seconds", window=365),
        {"terms": None},
        "unit is 'seconds' at the label party and 'days' at this party",
    ),
    (WINDOW, {}, "join is 'window' at the label party and 'as-of' at this party"),
    (WINDOW, {"terms": None, "dates": ["paid"]}, "which it checks in as-of joins alone"),
]


@pytest.mark.parametrize("method", ["ecdh", "rsa"])
@pytest.mark.parametrize(("terms", "theirs", "text"), DIFFER)
def test_terms_that_differ_are_refused_before_a_key_is_compared(
    tmp_path, method, terms, theirs, text
):
    party = party_of(tmp_path, **theirs)
    with pytest.raises(PeerRefusedError) as refused:
        find([party], terms, method=method)
    assert str(refused.value).startswith("bureau: refused (join_terms_differ): ")
    assert text in str(refused.value)
    assert_untouched(party)
    rows = party.table.rows
    agreed = (rows.terms or AS_OF) if isinstance(rows, EventTable) else None
    assert find([party], agreed, method=method).sizes.agreed == 4


@pytest.mark.parametrize("result", ["size", "label-party"])
def test_whatever_the_result_is_to_be(tmp_path, result):
    party = party_of(tmp_path)
    with pytest.raises(PeerRefusedError, match="join_terms_differ"):
        find([party], None, result=result)
    assert_untouched(party)


@pytest.mark.parametrize("method", ["ecdh", "rsa"])
@pytest.mark.parametrize("odd", range(3))
def test_one_of_several_parties_spares_the_others(tmp_path, method, odd):
    parties = [
        party_of(tmp_path, name, AsOfTerms(unit="days", window=90) if number == odd else AS_OF)
        for number, name in enumerate(["bureau", "telco", "bank"])
    ]
    with pytest.raises(PeerRefusedError, match=f"^{parties[odd].name}: refused .join_terms_differ"):
        find(parties, AS_OF, method=method)
    for party in parties:
        assert_untouched(party)
    parties[odd].table = replace(parties[odd].table, rows=rows_of(THEIRS, AS_OF))
    assert find(parties, AS_OF, method=method).sizes.agreed == 4


def test_what_is_proposed_is_part_of_the_record(tmp_path):
    ids = set()
    for terms in (AS_OF, msgspec.structs.replace(AS_OF, window=9)):
        party = party_of(tmp_path, terms=None)
        ids.add(find([party], terms).alignments["bureau"].id)
    assert len(ids) == 2


def test_an_interrupted_alignment_goes_on_with_the_same_terms_alone(tmp_path):
    party, state = party_of(tmp_path, terms=None), tmp_path / "state"
    party.wrap = lambda inner: Faulty(inner, 4, told=True)
    with pytest.raises(PeerUnreachableError):
        find([party], AS_OF, state=state)
    party.wrap = lambda inner: inner
    other = msgspec.structs.replace(AS_OF, window=9)
    with pytest.raises(ConfigError, match=r"cannot go on with other join \(AsOfTerms.*window=365"):
        find([party], other, state=state)
    assert find([party], AS_OF, state=state).sizes.agreed == 4
    assert party.table.budget.spent.probed_keys == len(OWN)


def test_tables_without_times_are_not_aligned_for_a_join(tmp_path):
    with pytest.raises(ConfigError, match=r"^align.join: is for rows with times"):
        align_tables(list(OWN), [party_of(tmp_path)], options=AlignOptions(join=AS_OF))


def test_a_budget_that_another_session_has_spent_meanwhile(tmp_path):
    """It is looked at when an alignment is proposed, and taken when the first keys come."""
    party = party_of(tmp_path)

    def spend(request, reply):
        if isinstance(request, Propose):
            assert party.table.budget.spend_keys(995)
        return reply

    party.alter = spend
    with pytest.raises(PeerRefusedError, match=r"align_budget_spent.*995 of 1000 have been"):
        find([party], AS_OF)
    assert party.released
    assert party.kept == []
    assert not list(party.table.state_folder.glob("*"))
