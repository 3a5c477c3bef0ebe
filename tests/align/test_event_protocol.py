"""Joins by time between companies: what comes out, what travels, and what is refused."""

from dataclasses import replace
from functools import partial
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.aligning import AlignParty, Conversation, Faulty, align_parties, keys_of

from parties.errors import PartyError, PeerRefusedError
from parties.messages import Ack, Failure
from secureboost.align import join_asker, join_finders
from secureboost.align.asker import Asked
from secureboost.align.event_table import EventTable, different_keys, read_event_table
from secureboost.align.join_asker import join_with
from secureboost.align.join_finders import WindowFinder
from secureboost.align.join_options import AsOfOptions, AsOfTerms, WindowOptions, WindowTerms
from secureboost.align.join_protocol import (
    JOIN_MESSAGES,
    BeginJoin,
    ConcludeJoin,
    KeepRows,
    Matches,
    TimesOf,
)
from secureboost.align.policy import AlignBudget, AlignPolicy
from secureboost.align.window_join import WindowJoin, join_streams
from secureboost.alignment import FolderAlignments
from secureboost.dates import NO_DATE, TIME_LIMIT
from secureboost.errors import AlignmentError, ConfigError, DataError, IntegrityError
from secureboost.trainers import ALIGN_TRAINER

LABEL = [("ann", 10), ("bob", 12), ("eve", 11), ("ann", 30), ("dan", 5), ("bob", 31)]
BUREAU = [("bob", 12), ("zoe", 9), ("ann", 9), ("ann", 8), ("ann", 29), ("ann", 31), ("dan", 6)]
AS_OF = AsOfOptions(unit="numbers", window=10)


def table_of(rows, **options: Any) -> EventTable:
    keys = keys_of([customer for customer, _ in rows], duplicates="all")
    times = np.array([time for _, time in rows], np.int64)
    return EventTable(keys, times, "numbers", **options)


def party_of(rows, name="bureau", events=None, **options: Any) -> AlignParty:
    table = table_of(rows, **(events or {}))
    return AlignParty(table, name, **options)


def align_customers(table: EventTable, options, *parties: AlignParty, **changes: Any):
    """Align the different keys, on the terms on which rows will be joined."""
    return align_parties(different_keys(table.keys), *parties, join=options.terms(), **changes)


def asked(*parties: AlignParty) -> list[Asked]:
    return [Asked(party.name, partial(party.connect, ALIGN_TRAINER)) for party in parties]


def join(label, options, *parties: AlignParty):
    """Align keys, then join; the outcome and, for each party, pairs of rows in agreed order."""
    table = table_of(label)
    aligned = align_customers(table, options, *parties)
    joined = join_with(table, aligned.alignments, asked(*parties), options)
    return joined, [pairs_of(joined, party) for party in parties]


def pairs_of(joined, party):
    mine = joined.alignments[party.name]
    (theirs,) = [kept for kept in party.kept if kept.id == mine.id]
    assert len(mine) == len(theirs)
    return list(zip(mine.rows.tolist(), theirs.rows.tolist(), strict=True))


def as_of_twin(label, bureau, window, lag):
    pairs = {}
    for number, (customer, time) in enumerate(label):
        fitting = [
            (its_time, position)
            for position, (its_customer, its_time) in enumerate(bureau)
            if its_customer == customer and lag <= time - its_time <= window
        ]
        pairs[number] = max(fitting)[1] if fitting else -1
    return pairs


# --- what comes out


def test_an_as_of_join():
    joined, [pairs] = join(LABEL, AS_OF, party_of(BUREAU))
    assert pairs == [(0, 2), (1, 0), (3, 4)]  # in order of time
    assert joined.alignments["bureau"].rows.dtype == np.int32
    assert joined.matches.unmatched == 2  # dan came too late, bob's second loan finds too old a row
    assert str(joined) == "3 rows find a row of bureau in time, 2 do not and are dropped"


def test_a_left_join_keeps_rows_without_a_match():
    left = msgspec.structs.replace(AS_OF, keep_unmatched=1.0)
    joined, [pairs] = join(LABEL, left, party_of(BUREAU))
    assert str(joined).endswith("in time, 2 do not, of which 2 were drawn to stay")
    assert pairs == [(4, -1), (0, 2), (1, 0), (3, 4), (5, -1)]


some_rows = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.integers(-9, 9)), min_size=1, max_size=25
)


@settings(max_examples=40)
@given(some_rows, some_rows, st.integers(0, 12), st.integers(0, 2), st.booleans())
def test_as_of_equals_the_definition(label, bureau, window, lag, left):
    options = AsOfOptions(unit="numbers", window=window + lag, lag=lag, keep_unmatched=float(left))
    twin = as_of_twin(label, bureau, window + lag, lag)
    common = {customer for customer, _ in bureau}
    wanted = {
        number: row
        for number, row in twin.items()
        if row >= 0 or (left and label[number][0] in common)
    }
    if not common & {customer for customer, _ in label}:
        return
    if not wanted:
        with pytest.raises(DataError, match="No row is left"):
            join(label, options, party_of(bureau))
        return
    _, [pairs] = join(label, options, party_of(bureau))
    assert dict(pairs) == wanted
    assert len(pairs) == len(wanted)
    assert [label[row][1] for row, _ in pairs] == sorted(label[row][1] for row in wanted)


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(join_asker, "TIMES_CHUNK", 3)
    monkeypatch.setattr(join_finders, "BLOCK", 4)


window_options = st.builds(
    WindowOptions,
    unit=st.just("numbers"),
    before=st.integers(0, 5),
    after=st.integers(0, 5),
    lateness=st.integers(0, 20),
    match=st.sampled_from(["all", "first", "nearest", "last"]),
    max_matches=st.integers(1, 4),
    keep_unmatched=st.sampled_from([0.0, 0.5, 1.0]),
    seed=st.integers(0, 2),
)


@settings(max_examples=60)
@given(some_rows, some_rows, window_options)
def test_a_window_join_equals_the_join_in_one_process(label, bureau, options):
    party, table = party_of(bureau), table_of(label)
    if not {customer for customer, _ in label} & {customer for customer, _ in bureau}:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(join_asker, "TIMES_CHUNK", 3)
        patch.setattr(join_finders, "BLOCK", 4)
        aligned = align_customers(table, options, party)
        mine = aligned.alignments["bureau"]
        (theirs,) = party.kept
        local = WindowJoin(options)
        streams = [
            [(side.customers(keyed), side.times)]
            for side, keyed in ((table, mine), (party.table.rows, theirs))
        ]
        blocks = list(join_streams(local, *streams))
        expected = [
            pair
            for block in blocks
            for pair in zip(block.label.tolist(), block.partner.tolist(), strict=True)
        ]
        if not expected:
            with pytest.raises(DataError, match="No row is left"):
                join_with(table, aligned.alignments, asked(party), options)
            return
        joined = join_with(table, aligned.alignments, asked(party), options)
        assert pairs_of(joined, party) == expected
        assert joined.rows == local.counts[0]
        assert msgspec.structs.replace(local.counts[2], cut=0) == joined.matches
        kept = party.kept[-1].details
        assert kept["own events too late"] <= local.counts[1].late  # it reads no further
        assert kept["matches above max_matches"] == local.counts[2].cut


def test_several_parties_agree_on_the_same_rows():
    telco = [("ann", 1), ("bob", 30), ("dan", 4), ("ann", 28)]
    parties = party_of(BUREAU), party_of(telco, "telco")
    joined, (bureau_pairs, telco_pairs) = join(LABEL, AS_OF, *parties)
    assert [a for a, _ in bureau_pairs] == [a for a, _ in telco_pairs] == [0, 3]
    assert [b for _, b in bureau_pairs] == [2, 4]
    assert [b for _, b in telco_pairs] == [0, 3]
    assert joined.matches.matched == 2
    left = msgspec.structs.replace(AS_OF, keep_unmatched=1.0)
    _, (bureau_pairs, telco_pairs) = join(LABEL, left, *parties)
    assert bureau_pairs == [(4, -1), (0, 2), (1, 0), (3, 4), (5, -1)]
    assert telco_pairs == [(4, 2), (0, 0), (1, -1), (3, 3), (5, 1)]


def test_what_is_kept(tmp_path):
    store = FolderAlignments(tmp_path / "kept")
    party = party_of(BUREAU, alignments=store)
    table = table_of(LABEL)
    aligned = align_customers(table, AS_OF, party)
    joined = join_with(table, aligned.alignments, asked(party), AS_OF)
    mine = joined.alignments["bureau"]
    theirs = store.load(mine.id)
    assert theirs.rows.tolist() == [2, 0, 4]
    assert (theirs.party, theirs.peer) == ("bureau", "label-party") == (mine.peer, mine.party)
    assert theirs.table_digest == party.table.rows.digest
    mine.check_table(table.digest)
    assert theirs.details["window"] == mine.details["window"] == 10
    assert theirs.details["agreed rows"] == 3
    assert theirs.details["alignment of keys"] == aligned.alignments["bureau"].id.hex()
    again = join_with(table, aligned.alignments, asked(party), AS_OF)
    assert again.alignments["bureau"].id == mine.id  # the same was said about the same keys


def test_the_partner_holds_only_what_can_still_match():
    n = 50_000
    events = table_of([("ann", 0)])
    times = np.arange(n, dtype=np.int64)
    events = replace(
        events,
        keys=replace(events.keys, number=np.zeros(n, np.int32)),
        times=times,
        max_held=3000,
    )
    terms = WindowTerms(unit="numbers", before=5, after=5, lateness=10)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(join_finders, "BLOCK", 1000)
        finder = WindowFinder(terms, events, np.zeros(n, np.int32), "bureau")
        asked_times = np.arange(0, n, 500, dtype=np.int64)  # one chunk over the whole stream
        n_matches, rows = finder.find(np.zeros(100, np.int32), asked_times)
    assert n_matches.tolist() == [6, *[11] * 99]
    assert rows[:7].tolist() == [0, 1, 2, 3, 4, 5, 495]


# --- what travels


def test_only_times_of_common_customers_travel_and_no_id():
    frames = []
    for others in ([("eve", 11), ("mallory", 12)], [("trudy", 1)]):
        party = party_of([*BUREAU, ("peggy", 3)])
        join([*LABEL[:2], *LABEL[3:], *others], AS_OF, party)
        said = [request for request, _ in party.messages() if isinstance(request, TimesOf)]
        assert [request.times.tolist() for request in said] == [[5, 10, 12, 30, 31]]
        frames += party.frames()
    for name in {*(customer for customer, _ in LABEL + BUREAU), "mallory", "trudy", "peggy"}:
        assert not any(name.encode() in frame for frame in frames)


def test_every_message_says_what_it_reveals():
    for message in JOIN_MESSAGES:
        assert "Reveals: to the " in message.__doc__
        assert message in ALIGN_TRAINER.messages


# --- what is refused, by the label party


@pytest.mark.parametrize(
    ("options", "aligning", "message"),
    [
        (AsOfOptions(unit="days", window=1), {}, "unit: is 'days'; the times were read as 'numb"),
        (AS_OF, {"padding": 1}, "with 'bureau' hides by padding which customers are common"),
        (AS_OF, {"result": "label-party"}, "Align keys with result='both' and padding=0."),
    ],
)
def test_joins_that_cannot_be_had(options, aligning, message):
    party, table = party_of(BUREAU), table_of(LABEL)
    aligned = align_customers(table, AS_OF, party, **aligning)
    with pytest.raises(ConfigError) as caught:
        join_with(table, aligned.alignments, asked(party), options)
    assert message in str(caught.value)


def test_all_matches_need_one_party():
    options = WindowOptions(unit="numbers", before=1, after=1)
    with pytest.raises(ConfigError, match="match: 'all' pairs a row with every match"):
        join(LABEL, options, party_of(BUREAU), party_of(BUREAU, "telco"))


def test_another_table_than_the_one_that_was_aligned():
    party, table = party_of(BUREAU), table_of(LABEL)
    aligned = align_customers(table, AS_OF, party)
    with pytest.raises(AlignmentError, match="is not the one that alignment"):
        join_with(table_of([*LABEL, ("new", 1)]), aligned.alignments, asked(party), AS_OF)
    party.table = replace(party.table, rows=table_of([*BUREAU, ("new", 1)]))
    with pytest.raises(PeerRefusedError, match=r"join_refused.*its log says why"):
        join_with(table, aligned.alignments, asked(party), AS_OF)


def test_rows_that_would_have_to_wait_too_long():
    late = WindowOptions(unit="numbers", before=1, after=1, lateness=99, max_held=2)
    with pytest.raises(
        DataError, match=r"label-party: 5 rows have to be held, more than max_held=2. Take less"
    ):
        join(LABEL, late, party_of(BUREAU))


@pytest.mark.parametrize(
    ("lie", "message"),
    [
        (lambda n: n[:-1], "sent 4 answers for 5 rows"),
        (lambda n: n + np.uint16(1), "says that a row has 2 matches; at most 1 were agreed"),
    ],
)
def test_a_party_that_answers_what_cannot_be(lie, message):
    def alter(_request, reply):
        return Matches(n_matches=lie(reply.n_matches)) if isinstance(reply, Matches) else reply

    party = party_of(BUREAU, alter=alter)
    with pytest.raises(IntegrityError) as caught:
        join(LABEL, AS_OF, party)
    assert message in str(caught.value)
    assert len(party.kept) == 1  # of keys
    assert party.released


def test_a_changed_answer_is_noticed_by_both():
    """A middle man would have to change what both sides hash."""

    def alter(_request, reply):
        if isinstance(reply, Matches):
            return Matches(n_matches=np.minimum(reply.n_matches, 0).astype(np.uint16))
        return reply

    party = party_of(BUREAU, alter=alter)
    left = msgspec.structs.replace(AS_OF, keep_unmatched=1.0)
    with pytest.raises(PeerRefusedError, match="transcripts_differ"):
        join(LABEL, left, party)
    assert len(party.kept) == 1


# --- what is refused, by the feature party


def keyed_conversation(events=None, **options: Any):
    """A session of a party that has aligned keys; the alignment's id and its customers' numbers."""
    party = party_of(BUREAU, events=events, **options)
    table = table_of(LABEL)
    terms = party.table.rows.terms or AS_OF.terms()
    mine = align_parties(different_keys(table.keys), party, join=terms).alignments["bureau"]
    customers = table.customers(mine)
    number = {customer: int(customers[row]) for row, (customer, _) in enumerate(LABEL)}
    return Conversation(party.table), mine.id, number


def begin(alignment, **changes: Any) -> BeginJoin:
    given = {"n_rows": 5, "terms": AsOfTerms(unit="numbers", window=10)} | changes
    return BeginJoin(alignment=alignment, **given)


def times_of(customers, times) -> TimesOf:
    return TimesOf(customers=np.array(customers, np.int32), times=np.array(times, np.int64))


def assert_refused(reply, code, text, *, ends_session):
    assert isinstance(reply, Failure), reply
    assert reply.code == code
    assert text in reply.detail
    assert reply.ends_session is ends_session


WINDOW = WindowTerms(unit="numbers", before=1, after=1)


@pytest.mark.parametrize(
    ("events", "changes", "code", "text"),
    [
        ({}, {"alignment": bytes(32)}, "join_refused", "holds no alignment 00000000 of keys"),
        ({}, {"n_rows": 101}, "too_many_keys", "101 rows are above this party's limit of 100"),
        ({}, {"n_rows": 60}, "align_budget_spent", "60 rows are more than this party still lets"),
        (
            {},
            {"terms": AsOfTerms(unit="days", window=10)},
            "join_terms_differ",
            "unit is 'days' at the label party and 'numbers' at this party",
        ),
        (
            {"terms": AsOfTerms(unit="numbers", window=9, lag=1)},
            {},
            "join_terms_differ",
            "differ: window is 10 at the label party and 9 at this party; lag is 0 at the label",
        ),
        (
            {"terms": WINDOW},
            {},
            "join_terms_differ",
            "join is 'as-of' at the label party and 'window' at this party",
        ),
        (
            {"dates": {"opened": np.zeros(len(BUREAU), np.int64)}},
            {"terms": WINDOW},
            "join_terms_differ",
            "checks in as-of joins alone",
        ),
    ],
)
def test_begin_refusals(events, changes, code, text):
    policy = AlignPolicy(max_rows=100, max_probed_keys=50)
    talk, alignment, _ = keyed_conversation(events, policy=policy, budget=AlignBudget(policy))
    reply = talk.ask(begin(**{"alignment": alignment, **changes}))
    assert_refused(reply, code, text, ends_session=False)
    assert talk.answerer.state == "open"
    spent = talk.table.budget.spent.probed_keys
    terms = events.get("terms", AsOfTerms(unit="numbers", window=10))
    assert isinstance(talk.ask(begin(alignment, terms=terms)), Ack)  # it goes on
    assert talk.table.budget.spent.probed_keys == spent + 5


def test_a_party_without_times_joins_nothing():
    talk, alignment, _ = keyed_conversation()
    talk = Conversation(replace(talk.table, rows=keys_of("ab")))
    reply = talk.ask(begin(alignment))
    assert_refused(reply, "join_refused", "has no column of times", ends_session=False)


@pytest.mark.parametrize(
    ("customers", "times", "text"),
    [
        ([0, 0], [2, 1], "times must ascend"),
        ([0], [-1], "times must ascend"),  # below the chunk before
        ([0], [TIME_LIMIT + 1], "within plus and minus 2**61"),
        ([3], [5], "customers must be rows 0..2"),
        ([-1], [5], "customers must be rows 0..2"),
        ([0] * 5, [5] * 5, "6 rows came; at most 5 were announced"),
        ([], [], "0 customers and 0 times came; a chunk has 1 to 65536 of both"),
        ([0], [5, 6], "1 customers and 2 times came"),
    ],
)
def test_hostile_times(customers, times, text):
    talk, alignment, _ = keyed_conversation()
    talk.ask(begin(alignment))
    assert isinstance(talk.ask(times_of([0], [0])), Matches)
    reply = talk.ask(times_of(customers, times))
    assert_refused(reply, "times_refused", text, ends_session=True)
    assert talk.answerer.closed
    assert len(talk.table.alignments.alignments) == 1


@pytest.mark.parametrize(
    ("sent", "changed"),
    [
        (b"\xa6window\x0a", b"\xa6window\xff"),  # -1
        (b"\xa3lag\x00", b"\xa3lag\x0b"),  # above the window
        (b"\xa7numbers", b"\xa7minutes"),
        (b"\xa5as-of", b"\xa5as-if"),
    ],
)
def test_terms_that_cannot_be(sent, changed):
    talk, alignment, _ = keyed_conversation()
    frame = talk.answerer.codec.encode(begin(alignment))
    assert frame.count(sent) == 1
    reply = talk.answerer.codec.decode(talk.answerer.answer(frame.replace(sent, changed)), "bureau")
    assert_refused(reply, "malformed_frame", "BeginJoin", ends_session=True)


def matched(talk, alignment, number):
    talk.ask(begin(alignment))
    reply = talk.ask(times_of([number["ann"], number["bob"], number["ann"]], [10, 12, 12]))
    assert reply.n_matches.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("kept", "n_agreed", "text"),
    [
        ([0b111], 2, "2 agreed rows are announced, 3 are kept"),
        ([0b1111], 4, "rows behind the 3 that were told are kept"),
        ([0b111, 0], 3, "2 bytes say which of 3 rows are kept"),
        ([], 3, "0 bytes say which of 3 rows are kept"),
    ],
)
def test_hostile_choices(kept, n_agreed, text):
    talk, alignment, number = keyed_conversation()
    matched(talk, alignment, number)
    reply = talk.ask(KeepRows(kept=np.array(kept, np.uint8), n_agreed=n_agreed))
    assert_refused(reply, "list_refused", text, ends_session=True)


def test_nothing_is_kept_under_another_name():
    talk, alignment, number = keyed_conversation()
    matched(talk, alignment, number)
    assert isinstance(talk.ask(KeepRows(kept=np.array([7], np.uint8), n_agreed=3)), Ack)
    reply = talk.ask(ConcludeJoin(alignment=bytes(32)))
    assert_refused(reply, "transcripts_differ", "Nothing is kept; join again", ends_session=True)
    assert len(talk.table.alignments.alignments) == 1


@pytest.mark.parametrize(
    "request_", [times_of([0], [0]), KeepRows(kept=np.zeros(1, np.uint8), n_agreed=1)]
)
def test_questions_out_of_turn_end_the_session(request_):
    talk, _, _ = keyed_conversation()
    assert_refused(talk.ask(request_), "out_of_turn", "state 'open'", ends_session=True)


def test_matches_above_the_limit_of_rows():
    policy = AlignPolicy(max_rows=5)
    talk, alignment, number = keyed_conversation(policy=policy, budget=AlignBudget(policy))
    wide = WindowTerms(unit="numbers", before=99, after=99, lateness=99)
    talk.ask(begin(alignment, terms=wide))
    reply = talk.ask(times_of([number["ann"], number["ann"]], [10, 12]))
    assert_refused(reply, "too_many_keys", "this party's limit of 5 rows", ends_session=True)


def test_more_events_in_a_window_than_the_party_holds():
    talk, alignment, number = keyed_conversation({"max_held": 2})
    talk.ask(begin(alignment, terms=WindowTerms(unit="numbers", before=99, after=99)))
    reply = talk.ask(times_of([number["ann"]], [10]))
    assert_refused(reply, "too_many_keys", "more than 2 events of this party", ends_session=True)


# --- dates after the application


def dated(rule):
    opened = np.array([12, 9, 11, 8, NO_DATE, 31, 6], np.int64)  # ann's row 2 of time 9 knows 11
    return {"dates": {"opened": opened}, "later_dates": rule}


def test_matches_that_know_the_future_are_refused(caplog):
    party = party_of(BUREAU, events=dated("error"))
    with pytest.raises(PeerRefusedError, match="dates_after_application") as caught:
        join(LABEL, AS_OF, party)
    assert "opened" not in str(caught.value)  # names of columns stay
    assert "column 'opened' in 1 row (data row 3)" in caplog.text
    assert len(party.kept) == 1


def test_or_dropped(caplog):
    party = party_of(BUREAU, events=dated("drop"))
    _, [pairs] = join(LABEL, AS_OF, party)
    assert pairs == [(1, 0), (3, 4)]
    assert party.kept[-1].details["matches dropped for a later date"] == 1
    assert "data row 3" in caplog.text


# --- stops


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("told", [False, True])
def test_a_cut_at_any_message_leaves_nothing_and_can_be_done_again(told):
    party, table = party_of(BUREAU), table_of(LABEL)
    aligned = align_customers(table, AS_OF, party)
    options = WindowOptions(unit="numbers", before=9, after=2, lateness=30)
    run = partial(join_with, table, aligned.alignments, asked(party), options)
    pairs = [(4, 6), (0, 3), (0, 2), (1, 0), (3, 4), (3, 5)]
    whole = run()
    assert pairs_of(whole, party) == pairs
    n_requests = len(party.transports[-1].exchanges) - 1  # without the goodbye
    assert n_requests == 6  # hello, begin, times of 3 rows and of 2, keep, conclude
    for where in range(n_requests):
        del party.table.alignments.alignments[whole.alignments["bureau"].id]
        party.wrap = partial(Faulty, where=where, told=told)
        with pytest.raises(PartyError, match="the line was cut"):
            run()
        assert party.released
        # the very last answer may be lost on its way
        assert len(party.kept) == 1 + (told and where == n_requests - 1)
        party.wrap = lambda transport: transport
        assert pairs_of(run(), party) == pairs


# --- tables


def test_columns_of_times():
    frame = pd.DataFrame(
        {
            "id": ["a", "b", "a"],
            "day": ["2023-01-31", "2023-02-01T15:00", "1969-12-31"],
            "opened": ["2023-01-01", None, "2022-12-31"],
        }
    )
    keys = keys_of(frame["id"], duplicates="all")
    table = read_event_table(
        frame, keys, time="day", unit="days", dates=["opened"], party="bureau.csv"
    )
    assert table.times.tolist() == [19388, 19389, -1]
    assert table.dates["opened"].tolist() == [19358, NO_DATE, 19357]
    assert "bureau" not in repr(table)
    with pytest.raises(
        DataError, match=r"bureau.csv: there is no column 'dya'. Did you mean 'day'"
    ):
        read_event_table(frame, keys, time="dya", unit="days", party="bureau.csv")
    with pytest.raises(DataError, match=r"bureau.csv: column 'opened': the date is missing in 1 r"):
        read_event_table(frame, keys, time="opened", unit="days", party="bureau.csv")
    with pytest.raises(DataError, match=r"2 times for 3 rows"):
        EventTable(keys, np.zeros(2, np.int64), "days")
