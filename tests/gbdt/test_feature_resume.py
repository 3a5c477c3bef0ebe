"""A feature party's half over its life: kept, gone on with, finished, succeeded."""

import msgspec
import numpy as np
import pandas as pd
import pytest
from support.asking import (
    COLOURS,
    IDS,
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

from parties.messages import Ack, Failure
from secureboost.gbdt.model import half_digest
from secureboost.gbdt.protocol import Division, Finished, Histograms, Keep, Ready
from secureboost.gbdt.store import FolderStore, MemoryStore
from secureboost.party import feature_table

OTHER = "f" * 32
PAIR = [0 if colour == "red" else 1 for colour in COLOURS]


def first_tree(talk):
    """Reds left, then those up to 8 of the others; keeps the two splits."""
    assert isinstance(talk.ask(divide_by(2)), Division)
    pair = histograms_of((1, 2), (0,), PAIR, features=(0, 1))
    assert isinstance(talk.ask(pair), Histograms)
    assert isinstance(talk.ask(divide((2,), (0,), (5,), first_split=1)), Division)
    assert talk.ask(Keep(n_splits=2)) == Ack()
    return talk


def second_tree(talk, first_split=2):
    assert talk.ask(block(tree=1)) == Ack()
    assert isinstance(talk.ask(histograms_of(features=(0, 1), tree=1)), Histograms)
    request = divide_by(0, missing_left=1, first_split=first_split, tree=1)
    assert isinstance(talk.ask(request), Division)
    return talk


def cut_off(table=MIXED, **options):
    """A party whose training was cut off after the first tree."""
    talk = first_tree(Conversation(table, **options).growing())
    talk.answerer.close()
    return talk.table


def over(store, frame=MIXED, **options):
    return Conversation(feature_table("bureau", frame, store=store, **options)).matched()


@pytest.fixture(params=["memory", "folder"])
def store(request, tmp_path):
    return MemoryStore() if request.param == "memory" else FolderStore(tmp_path / "halves")


# --- Going on after a crash


def test_training_goes_on_and_gives_the_same_half(store):
    undisturbed = second_tree(first_tree(Conversation(MIXED).growing()))
    assert isinstance(undisturbed.ask(finish(3)), Finished)
    expected = undisturbed.table.store.load(MODEL)

    salt = cut_off(store=store).store.kept(MODEL)[0].salt
    assert store.load(MODEL) is None
    talk = over(store)
    assert isinstance(talk.ask(setup(base=MODEL, first_split=2)), Ready)
    done = second_tree(talk).ask(finish(3))
    half = store.load(MODEL)
    assert half == msgspec.structs.replace(expected, salt=salt)
    assert done.digest == half_digest(half)
    assert store.kept(MODEL) is None


def test_splits_behind_those_that_the_label_party_counts_are_forgotten(store):
    cut_off(store=store)
    talk = over(store)
    assert isinstance(talk.ask(setup(base=MODEL, first_split=1)), Ready)
    assert_refused(talk.ask(Keep(n_splits=2)), "split_refused", "this party counts 1 splits")
    assert isinstance(second_tree(talk, first_split=1).ask(finish(2)), Finished)
    assert [split.codes for split in store.load(MODEL).splits] == [(2,), (0,)]


@pytest.mark.parametrize("base", ["", MODEL])
def test_training_can_start_again_under_the_same_name(store, base):
    cut_off(store=store)
    talk = over(store)
    assert isinstance(talk.ask(setup(base=base)), Ready)
    assert talk.ask(block()) == Ack()


def changed(value=None, name=None):
    frame = MIXED.copy()
    if value is not None:
        frame.loc["id3", "up"] = value
    if name is not None:
        frame["colour"] = frame["colour"].replace("green", name)
    return frame


@pytest.mark.parametrize(
    ("frame", "changes"),
    [
        (changed(value=3.5), {}),  # other edges, the same bins
        (changed(value=np.nan), {}),
        (changed(name="grey"), {}),  # other names, the same bins
        (MIXED, {"max_bin": 7}),
        (MIXED, {"n_training": N - 1}),
        (MIXED, {"rows": np.arange(N - 1, dtype=np.int32)}),
    ],
)
def test_training_does_not_go_on_over_other_bins(frame, changes):
    store = cut_off().store
    talk = over(store, frame)
    reply = talk.ask(setup(base=MODEL, first_split=2, **changes))
    assert_refused(reply, "resume_refused", "was cut off over other rows, values or bins")
    assert talk.answerer.state == "matched"
    assert talk.table.budget.spent.node_histograms == 1  # the answer to "are they the same?"
    assert len(store.kept(MODEL)[0].splits) == 2


def test_nobody_learns_whether_rows_are_alike_by_going_on_with_others():
    same = pd.DataFrame({"up": [1.0] * N, "colour": COLOURS}, index=IDS)
    first, second = (np.delete(np.arange(N, dtype=np.int32), row) for row in (0, 1))
    talk = Conversation(same).set_up(rows=first)
    assert talk.ask(Keep(n_splits=0)) == Ack()
    again = over(talk.table.store, same)
    reply = again.ask(setup(base=MODEL, rows=second, n_training=N - 1))
    assert_refused(reply, "resume_refused", "was cut off over other rows")


@pytest.mark.parametrize("swapped", [(0, 1), (0, N - 1)])
def test_the_same_rows_in_another_order_tell_nothing(swapped):
    """Alike or not: training goes on."""
    rows = np.arange(N, dtype=np.int32)
    rows[list(swapped)] = rows[list(swapped[::-1])]
    reply = over(cut_off().store).ask(setup(base=MODEL, first_split=2, rows=rows))
    assert isinstance(reply, Ready)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"base": MODEL, "first_split": 3}, "first_split=3, and this party has 2 splits"),
        ({"base": MODEL, "first_split": 2**53}, "and this party has 2 splits to begin with"),
        ({"base": OTHER}, f"has kept nothing of model {OTHER}"),
        ({"base": MODEL, "model_id": OTHER}, f"has kept nothing of model {MODEL}"),
        ({"base": "", "first_split": 1}, "first_split=1, and this party has 0 splits"),
    ],
)
def test_too_little_was_kept(changes, text):
    talk = over(cut_off().store)
    assert_refused(talk.ask(setup(**changes)), "resume_refused", text)
    assert talk.table.budget.spent.node_histograms == 0


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        (MIXED.rename(columns={"up": "UP"}), "has other columns than the earlier model's"),
        (MIXED[["up"]], "has other columns than the earlier model's"),
        (MIXED.assign(colour=1.0), "column 2 holds numbers, and the model was trained with cat"),
        (MIXED.assign(up="a"), "column 1 holds categories, and the model was trained with num"),
    ],
)
@pytest.mark.parametrize("finished", [False, True])
def test_other_columns(frame, text, finished):
    store = cut_off().store
    if finished:
        store.save(store.kept(MODEL)[0])
    talk = over(store, frame)
    request = setup(base=MODEL, first_split=2, model_id=OTHER if finished else MODEL)
    assert_refused(talk.ask(request), "resume_refused", text)


def test_a_damaged_checkpoint(tmp_path):
    store = cut_off(store=FolderStore(tmp_path)).store
    (path,) = (tmp_path / "unfinished").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text("{")
    reply = over(store).ask(setup(base=MODEL, first_split=2))
    assert_refused(reply, "unknown_model", "this party's half of the model cannot be read")
    assert str(tmp_path) not in reply.detail


# --- Keep


@pytest.mark.parametrize("state", ["set_up", "loaded", "growing"])
def test_splits_are_kept_in_every_state(state):
    talk = getattr(Conversation(), state)()
    before = talk.answerer.state
    refused = talk.ask(Keep(n_splits=1))
    assert_refused(refused, "split_refused", "n_splits=1, and this party counts 0 splits")
    assert talk.table.store.kept(MODEL) is None
    assert talk.ask(Keep(n_splits=0)) == Ack()
    assert talk.answerer.state == before
    half, digest = talk.table.store.kept(MODEL)
    assert (half.splits, len(digest)) == ((), 32)


def test_a_checkpoint_is_no_model():
    talk = over(cut_off().store)
    assert_refused(talk.ask(route()), "unknown_model", f"no half of model {MODEL}")


# --- The end


def test_a_finished_half_has_the_first_splits(store):
    talk = first_tree(Conversation(MIXED, store=store).growing())
    refused = talk.ask(finish(3))
    assert_refused(refused, "split_refused", "n_splits=3, and this party counts 2 splits")
    done = talk.ask(finish(1))
    half = store.load(MODEL)
    assert [split.codes for split in half.splits] == [(2,)]
    assert half.categories == (None, ("blue", "green", "red"))
    assert done.digest == half_digest(half)
    assert talk.ask(route(range(N))).goes_left.shape == (1, 2)


def test_a_model_that_was_only_measured_is_forgotten(store):
    talk = first_tree(Conversation(MIXED, store=store).growing())
    assert talk.ask(finish(2, keep=False)).digest == b""
    assert store.load(MODEL) is None
    assert store.kept(MODEL) is None
    # the next fold, in the same session
    assert isinstance(talk.ask(setup(model_id=OTHER, rows=np.arange(6, dtype=np.int32))), Ready)
    assert isinstance(talk.ask(finish(0, keep=False)), Finished)


def test_a_finished_model_can_be_finished_again_and_no_more(store):
    """The label party may have fallen between the parties' last step and its own."""
    talk = first_tree(Conversation(MIXED, store=store).growing())
    digest = talk.ask(finish(2)).digest
    again = over(store)
    assert isinstance(again.ask(setup(base=MODEL, first_split=2)), Ready)
    refused = again.ask(block(tree=1))
    assert_refused(refused, "resume_refused", f"model {MODEL} is finished; begin a new one")
    assert again.ask(finish(2)).digest == digest


def test_a_finished_model_is_not_replaced_by_a_new_one():
    talk = first_tree(Conversation(MIXED).growing())
    assert isinstance(talk.ask(finish(2)), Finished)
    refused = talk.ask(setup())
    assert_refused(refused, "unknown_model", f"has a half of model {MODEL}; take a new name")
    # as the base of itself it can be finished only; as the base of another it is left alone
    assert isinstance(talk.ask(setup(base=MODEL, first_split=1, model_id=OTHER)), Ready)
    assert isinstance(talk.ask(finish(0, keep=False)), Finished)
    assert len(talk.table.store.load(MODEL).splits) == 2


def test_a_model_without_our_splits_can_be_finished_again():
    talk = Conversation(MIXED).growing()
    assert isinstance(talk.ask(finish(0)), Finished)
    assert isinstance(talk.ask(setup()), Ready)


# --- A new model that begins with another's trees

TODAY = pd.DataFrame(
    {
        "up": np.arange(N, dtype=float),
        "colour": ["amber"] * 4 + ["red"] * 4 + ["white"] * 3 + ["blue"],
    },
    index=IDS,
)


def finished_before():
    """Red and green left, missing left; then up <= 5 in the same node."""
    talk = Conversation(MIXED).growing(min_group=2)
    assert isinstance(talk.ask(divide_by(1, 2, missing_left=1)), Division)
    assert talk.ask(block(tree=1)) == Ack()
    assert isinstance(talk.ask(histograms_of(features=(0, 1), tree=1)), Histograms)
    assert isinstance(talk.ask(divide(bins=(5,), first_split=1, tree=1)), Division)
    assert isinstance(talk.ask(finish(2)), Finished)
    return talk.table.store


def test_a_new_model_knows_the_categories_of_both():
    store = finished_before()
    talk = over(store, TODAY)
    reply = talk.ask(setup(model_id=OTHER, base=MODEL, first_split=2, max_bin=3, min_group=4))
    assert reply.n_bins.tolist() == [3, 3]
    assert talk.ask(block()) == Ack()
    assert isinstance(talk.ask(histograms_of(features=(0, 1))), Histograms)
    request = divide_by(1, missing_left=1, first_split=2)  # red, and what is missing today
    assert bits_of(talk.ask(request)) == [0] * 4 + [1] * 4 + [0] * 3 + [1]
    assert isinstance(talk.ask(finish(3)), Finished)

    half = store.load(OTHER)
    # blue is too rare today for a code of its own, but the earlier trees know it
    assert half.categories == (None, ("amber", "red", "white", "blue", "green"))
    first, second, third = half.splits
    assert first.codes == (0, 1, 2, 4)  # amber and white were unknown, so missing, so left
    assert (second.bin, second.codes) == (5, None)
    assert third.codes == (1, 3, 4)  # blue and green are missing today
    assert store.load(MODEL).splits[0].codes == (1, 2)

    everybody = pd.DataFrame({"up": np.nan, "colour": COLOURS}, index=IDS)
    for frame in (TODAY, everybody, MIXED):
        sides = over(store, frame).ask(route(range(N), OTHER)).goes_left
        before = over(store, frame).ask(route(range(N))).goes_left
        assert sides[:2].tolist() == before.tolist()
        names = frame["colour"].to_list()
        expected = [name not in ("amber", "white") for name in names]
        assert np.unpackbits(sides[2], count=N, bitorder="little").tolist() == expected


def test_a_new_model_may_begin_with_some_of_the_trees():
    store = finished_before()
    talk = over(store, TODAY)
    assert isinstance(talk.ask(setup(model_id=OTHER, base=MODEL, first_split=1)), Ready)
    assert isinstance(talk.ask(finish(1)), Finished)
    assert len(store.load(OTHER).splits) == 1
    assert store.load(OTHER).salt != store.load(MODEL).salt


def test_a_model_that_began_with_another_goes_on_after_a_crash():
    store = finished_before()
    talk = over(store, TODAY)
    request = setup(model_id=OTHER, base=MODEL, first_split=2)
    assert isinstance(talk.ask(request), Ready)
    assert talk.ask(Keep(n_splits=2)) == Ack()
    names = store.kept(OTHER)[0].categories
    again = over(store, TODAY)
    assert isinstance(again.ask(msgspec.structs.replace(request, base=OTHER)), Ready)
    assert isinstance(again.ask(finish(2)), Finished)
    assert store.load(OTHER).categories == names


def test_too_many_categories_together():
    frame = pd.DataFrame({"colour": [f"a{i}" for i in range(200)]})
    talk = Conversation(frame).matched()
    rows = np.arange(200, dtype=np.int32)
    request = setup(rows=rows, n_training=200, max_bin=255, min_child_samples=1)
    assert isinstance(talk.ask(request), Ready)
    assert isinstance(talk.ask(finish(0)), Finished)
    later = over(talk.table.store, frame.replace("^a", "b", regex=True))
    refused = later.ask(msgspec.structs.replace(request, model_id=OTHER, base=MODEL))
    text = "column 0: the table and the earlier model have 400 categories together, more than 255"
    assert_refused(refused, "resume_refused", text)


def test_setup_refused_is_setup_undone():
    talk = over(finished_before(), TABLE[["up"]])
    for request in (setup(), setup(base=MODEL), setup(base=OTHER)):
        assert isinstance(talk.ask(request), Failure)
    assert isinstance(talk.ask(setup(model_id=OTHER)), Ready)
