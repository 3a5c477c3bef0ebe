"""A feature party's session that counts rows in an order agreed on before."""

import numpy as np
import pytest
from support.asking import (
    MIXED,
    MODEL,
    TABLE,
    Conversation,
    N,
    assert_refused,
    bits_of,
    block,
    divide,
    divide_by,
    finish,
    histograms_of,
    route,
    setup,
)

from parties.messages import Ack, UseAlignment
from parties.rows import match_rows
from secureboost.align.keys import make_keys
from secureboost.align.rules import key_rules
from secureboost.alignment import (
    ABSENT,
    Alignment,
    FolderAlignments,
    MemoryAlignments,
    keys_digest,
)
from secureboost.gbdt.policy import Policy
from secureboost.gbdt.protocol import Division, Finished, Histograms, Keep, Ready, Routes

ID = b"\x07" * 32
PERMUTED = [5, 0, 11, 3, 8, 1, 2, 10, 9, 4, 7, 6]


def keys_of(frame):
    return make_keys([frame.index.to_series()], key_rules(["id"]))


def alignment_of(frame, rows, alignment_id=ID):
    keys = keys_of(frame)
    digest = keys_digest(keys.encoded, keys.number)
    rows = np.array(rows, np.int32)
    return Alignment(alignment_id, rows, digest, "bureau", "bank", {})


def talk_over(frame, rows, *, now=None, **options):
    """A session with a party that has kept an alignment of `frame`; its table is now `now`."""
    now = frame if now is None else now
    alignments = MemoryAlignments()
    alignments.save(alignment_of(frame, rows))
    return Conversation(now, alignments=alignments, keys=lambda: keys_of(now), **options)


def use(n_rows=N, alignment=ID):
    return UseAlignment(alignment=alignment, n_rows=n_rows)


def in_order(frame, rows):
    """The same rows as a table of their own; rows that `frame` does not have hold nothing."""
    taken = frame.iloc[np.maximum(rows, 0)].copy()
    taken[np.array(rows) == ABSENT] = np.nan
    return taken.set_axis([f"row{i}" for i in range(len(rows))])


def tell(talk, frame, opening):
    """All that a party says in a small training over rows 0..n, and then of each of them."""
    n = talk.rows
    assert talk.ask(opening) == Ack()
    ready = talk.ask(setup(rows=np.arange(n, dtype=np.int32), min_child_samples=1, min_group=1))
    assert isinstance(ready, Ready), ready
    features = tuple(range(frame.shape[1]))
    assert talk.ask(block(range(n))) == Ack()
    sums = talk.ask(histograms_of(placed=[0] * n, features=features))
    assert isinstance(sums, Histograms), sums
    split = divide_by(0, missing_left=1) if frame is MIXED else divide(bins=(0,), missing_left=(1,))
    division = talk.ask(split)
    assert isinstance(division, Division), division
    assert isinstance(talk.ask(finish(1)), Finished)
    sides = talk.ask(route(range(n)))
    assert isinstance(sides, Routes), sides
    return [ready, sums, division, sides, talk.ask(route([n - 1, 0, 1]))]


@pytest.mark.parametrize(
    "rows",
    [
        PERMUTED,
        [4, 2, 9, 0],
        [ABSENT, 4, 2, ABSENT, 9, 0, 11, ABSENT],
        [4, 2, 4, 4, 9, ABSENT],  # of a join: several rows of the label party share one
    ],
    ids=["all", "some", "absent", "shared"],
)
@pytest.mark.parametrize("frame", [TABLE, MIXED], ids=["numbers", "categories"])
def test_a_table_is_seen_in_the_agreed_order(frame, rows):
    same = in_order(frame, rows)
    expected, talk = Conversation(same), talk_over(frame, rows)
    expected.rows = talk.rows = len(rows)
    answers = tell(talk, frame, use(len(rows)))
    assert answers == tell(expected, frame, match_rows(list(same.index)))


def test_the_table_stays_as_it_is():
    talk = talk_over(TABLE, PERMUTED)
    before = talk.table.columns.copy()
    talk.rows = N
    tell(talk, TABLE, use())
    np.testing.assert_array_equal(talk.table.columns, before)


def test_a_session_may_count_in_one_order_after_another():
    talk = talk_over(TABLE, [0, 11])
    talk.rows = 2
    tell(talk, TABLE, use(2))
    assert bits_of(talk.ask(route()), 2) == [1, 0]  # the first and the last row of the table
    assert talk.ask(match_rows(talk.table.ids)) == Ack()
    assert bits_of(talk.ask(route()), 2) == [1, 1]
    assert_refused(talk.ask(use(2, b"\1" * 32)), "unknown_alignment", "align again")
    assert bits_of(talk.ask(route()), 2) == [1, 1]
    assert talk.ask(use(2)) == Ack()
    assert bits_of(talk.ask(route()), 2) == [1, 0]


# --- What is refused, and leaves the session usable


def test_an_unknown_alignment():
    talk = talk_over(TABLE, PERMUTED)
    assert_refused(talk.ask(use(alignment=b"\1" * 32)), "unknown_alignment", "01010101; align")
    assert talk.ask(use()) == Ack()


def test_another_number_of_rows():
    talk = talk_over(TABLE, PERMUTED)
    assert_refused(talk.ask(use(N - 1)), "rows_differ", "has 12 rows here, 11 at the label party")


@pytest.mark.parametrize(
    "now",
    [TABLE.iloc[:-1], TABLE.iloc[::-1], TABLE.rename({"id3": "id33"})],
    ids=["a row less", "another order", "another key"],
)
def test_a_table_that_has_changed(now):
    talk = talk_over(TABLE, PERMUTED, now=now)
    refused = talk.ask(use())
    assert_refused(refused, "unknown_alignment", "which has changed since, or is damaged; align")
    assert "id3" not in refused.detail
    assert talk.ask(match_rows(talk.table.ids)) == Ack()


def test_keys_of_a_table_that_has_grown_since():
    """They may be read anew from a file that the columns were read from before."""
    alignments = MemoryAlignments()
    alignments.save(alignment_of(TABLE, PERMUTED))
    talk = Conversation(TABLE.iloc[:-1], alignments=alignments, keys=lambda: keys_of(TABLE))
    assert_refused(talk.ask(use()), "unknown_alignment", "align again")


def test_other_values_of_the_same_rows_are_fine():
    talk = talk_over(TABLE, PERMUTED, now=TABLE + 1.0)
    assert talk.ask(use()) == Ack()


def test_a_table_without_keys_fits_no_alignment():
    alignments = MemoryAlignments()
    alignments.save(alignment_of(TABLE, PERMUTED))
    talk = Conversation(TABLE, alignments=alignments)
    assert_refused(talk.ask(use()), "unknown_alignment", "align again")


def test_a_damaged_file(tmp_path):
    alignments = FolderAlignments(tmp_path)
    alignments.save(alignment_of(TABLE, PERMUTED))
    talk = Conversation(TABLE, alignments=alignments, keys=lambda: keys_of(TABLE))
    path = alignments.path(ID)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    refused = talk.ask(use())
    assert_refused(refused, "unknown_alignment", "cannot be used with this party's table")
    assert str(tmp_path) not in refused.detail
    path.write_bytes(whole)
    assert talk.ask(use()) == Ack()


@pytest.mark.parametrize("rows", [[0, 3], [-1, 0], [0, 2**31 - 1], []])
def test_positions_outside_the_agreed_rows(rows):
    talk = talk_over(TABLE, [4, 2, 9])
    assert talk.ask(use(3)) == Ack()
    rows = np.array(rows, np.int32)
    text = "rows must be positions in 0..2, and at least one"
    assert_refused(talk.ask(setup(rows=rows)), "rows_refused", text)
    talk = talk_over(TABLE, [4, 2, 9])
    talk.rows = 3
    tell(talk, TABLE, use(3))
    assert_refused(talk.ask(route(rows)), "rows_refused", text)


def test_a_place_named_twice():
    talk = talk_over(TABLE, [4, 4, 9])
    assert talk.ask(use(3)) == Ack()
    rows = np.array([0, 0], np.int32)
    assert_refused(talk.ask(setup(rows=rows)), "rows_refused", "a row is named twice")


def test_rows_that_the_party_does_not_have_are_not_its_floor():
    rows = [0, 1, ABSENT, ABSENT, ABSENT, 5]
    talk = talk_over(TABLE, rows, policy=Policy(min_child_samples=3))
    assert talk.ask(use(6)) == Ack()
    few = setup(rows=np.arange(6, dtype=np.int32), n_training=5, min_child_samples=3)
    text = "2 rows are fewer than this party's floor of 3"
    assert_refused(talk.ask(few), "policy", text)
    enough = setup(rows=np.arange(6, dtype=np.int32), n_training=6, min_child_samples=3)
    assert isinstance(talk.ask(enough), Ready)


def test_keys_are_made_once():
    made = []

    def keys():
        made.append(1)
        return keys_of(TABLE)

    alignments = MemoryAlignments()
    alignments.save(alignment_of(TABLE, PERMUTED))
    talk = Conversation(TABLE, alignments=alignments, keys=keys)
    assert not made
    assert talk.ask(use()) == talk.ask(use()) == Ack()
    assert len(made) == 1


def test_going_on_needs_rows_that_are_the_same():
    """Of another alignment of the same rows too; the party compares its own rows and bins."""
    alignments = MemoryAlignments()
    for number, rows in enumerate(([4, 2, 9, 0, 7, 6], [6, 7, 0, 9, 2, 4], [4, 2, 9, 0, 7, 8])):
        alignments.save(alignment_of(TABLE, rows, bytes([number]) * 32))
    store = Conversation(TABLE).table.store
    options = {"alignments": alignments, "keys": lambda: keys_of(TABLE), "store": store}
    chosen = {"min_child_samples": 1, "min_group": 1}

    def again(number, rows, base):
        talk = Conversation(TABLE, **options)
        assert talk.ask(use(6, bytes([number]) * 32)) == Ack()
        return talk, talk.ask(setup(rows=np.array(rows, np.int32), base=base, **chosen))

    talk, ready = again(0, range(6), "")
    assert isinstance(ready, Ready)
    table = talk.table
    assert talk.ask(block(range(6))) == Ack()
    assert talk.ask(Keep(n_splits=0)) == Ack()
    assert isinstance(again(0, range(6), MODEL)[1], Ready)
    assert isinstance(again(1, range(5, -1, -1), MODEL)[1], Ready)
    assert isinstance(again(1, range(6), MODEL)[1], Ready)
    refused = again(2, range(6), MODEL)[1]
    assert_refused(refused, "resume_refused", "over other rows, values or bins")
    assert table.store.kept(MODEL) is not None
