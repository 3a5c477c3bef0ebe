"""A feature party enforces its own rules, whatever it is asked; a refusal changes nothing."""

import msgspec
import numpy as np
import pytest
from support.asking import (
    MIXED,
    MODEL,
    PLAIN,
    TABLE,
    TRAINER,
    Conversation,
    N,
    assert_refused,
    bits_of,
    block,
    divide,
    divide_by,
    encrypt,
    finish,
    histograms_of,
    route,
    setup,
)
from support.federation import Federation, WatchedParty
from support.keys import insecure_key
from support.tables import random_table

from crypto.errors import KeySizeError
from crypto.schemes import SCHEMES
from parties.messages import Ack, Failure, Goodbye
from parties.peer import Transport
from parties.rows import match_rows
from secureboost import Policy
from secureboost.errors import ConfigError
from secureboost.gbdt.codes import code_set
from secureboost.gbdt.feature_tree import FeatureTree
from secureboost.gbdt.policy import Budget, Spending
from secureboost.gbdt.protocol import (
    NO_NODE,
    Divide,
    Division,
    Finish,
    Finished,
    GradientBlock,
    Histograms,
    HistogramsOf,
    Keep,
    Ready,
    Route,
    Routes,
    Setup,
)
from secureboost.gbdt.store import FolderStore
from secureboost.party import feature_table


def replace(request, **changes):
    return msgspec.structs.replace(request, **changes)


# --- Setup


@pytest.mark.parametrize(
    ("changes", "code", "text"),
    [
        ({"max_bin": 9}, "policy", "max_bin=9 is above this party's 8"),
        (
            {"min_child_samples": 1},
            "policy",
            "min_child_samples=1 is below this party's floor of 2",
        ),
        (
            {"rows": np.array([4], np.int32)},
            "policy",
            "1 rows are fewer than this party's floor of 2",
        ),
        ({"n_training": 1}, "policy", "1 rows are fewer than this party's floor of 2"),
        ({"n_training": N + 1}, "rows_refused", "n_training=13 of 12 rows"),
        ({"min_group": 1}, "policy", "min_group=1 is below min_child_samples=2"),
        ({"min_child_samples": 5}, "policy", "min_group=3 is below min_child_samples=5"),
        ({"first_split": 1}, "resume_refused", "first_split=1, and this party has 0 splits"),
        ({"base": MODEL}, "resume_refused", f"has kept nothing of model {MODEL}"),
        ({"base": "f" * 32}, "resume_refused", f"has kept nothing of model {'f' * 32}"),
        ({"rows": np.array([0, 5, 0], np.int32)}, "rows_refused", "a row is named twice"),
        ({"rows": np.array([0, N], np.int32)}, "rows_refused", "positions in 0..11"),
        ({"rows": np.array([-1, 3], np.int32)}, "rows_refused", "positions in 0..11"),
        ({"rows": np.zeros(0, np.int32)}, "rows_refused", "at least one"),
        ({"scheme": "rot13"}, "scheme_refused", "scheme='rot13' is unknown; use one of: paillier"),
        ({"scheme": "paillier"}, "key_refused", ""),
        ({"public_key": b"\0" * 40}, "key_refused", ""),
        ({"cells": 3}, "widths_refused", "3 cells of 60 bits exceed the plaintext's 126 bits"),
        ({"cell_bits": 64}, "widths_refused", "2 cells of 64 bits"),
    ],
)
def test_setup_refusals(changes, code, text):
    talk = Conversation(policy=Policy(min_child_samples=2, max_bin=8)).matched()
    assert_refused(talk.ask(setup(**changes)), code, text)
    assert talk.answerer.state == "matched"
    assert talk.table.budget.spent.node_histograms == 0
    assert isinstance(talk.ask(setup()), Ready)  # it goes on


@pytest.mark.parametrize("base", ["../../etc/passwd", "a" * 31, "A" * 32, "a" * 32 + "\n"])
def test_a_base_is_no_path(base):
    talk = Conversation().matched()
    frame = talk.codec.encode(setup(base="b" * 32)).replace(
        b"b" * 32, base.encode().ljust(32, b"/")[:32]
    )
    if base.endswith("\n"):
        frame = talk.codec.encode(setup(base="b" * 32)).replace(b"b" * 32, b"a" * 31 + b"\n")
    reply = talk.codec.decode(talk.answerer.answer(frame), "bureau")
    assert_refused(reply, "malformed_frame", "Setup", ends_session=True)


def test_ready_counts_bins_of_the_asked_rows_only():
    talk = Conversation().matched()
    assert talk.ask(setup()).n_bins.tolist() == [8, 2, 1]
    other = Conversation().matched()
    assert other.ask(setup(rows=np.array([0, 2, 4], np.int32))).n_bins.tolist() == [3, 1, 1]


def test_only_training_rows_decide_where_columns_are_cut():
    talk = Conversation().matched()
    first, last = np.arange(N, dtype=np.int32), np.arange(N, dtype=np.int32)[::-1].copy()
    assert talk.ask(setup(rows=first, n_training=3)).n_bins.tolist() == [3, 2, 1]
    assert talk.ask(finish()).digest
    other = setup(model_id="a" * 32, rows=last, n_training=1, min_child_samples=1)
    assert talk.ask(other).n_bins.tolist() == [1, 1, 1]


def test_ready_tells_what_was_declared():
    talk = Conversation(MIXED, monotone={"up": -1}).matched()
    reply = talk.ask(setup())
    assert reply.n_bins.tolist() == [8, 3]
    assert reply.categorical.tolist() == [0, 1]
    assert reply.monotone.tolist() == [-1, 0]


def test_plain_scheme_is_refused_from_another_process():
    talk = Conversation(in_process=False).matched()
    assert_refused(talk.ask(setup()), "scheme_refused", "scheme 'plain' hides nothing")


@pytest.mark.parametrize("in_process", [True, False])
def test_short_keys_are_refused(in_process):
    key = insecure_key("paillier", 1024).public_key
    talk = Conversation(in_process=in_process, insecure_test_keys=False).matched()
    request = setup(scheme="paillier", public_key=key.to_bytes())
    assert_refused(talk.ask(request), "key_refused", "1024")
    assert "2048" in talk.ask(request).detail
    with pytest.raises(KeySizeError):
        SCHEMES["paillier"].generate(1024)


# --- Gradients


def out_of_range():
    words = encrypt([1] * N)
    words[3] = 2**63  # far above 2**126
    return words


@pytest.mark.parametrize(
    ("request_", "code", "text"),
    [
        (
            block(tree=2),
            "tree_refused",
            "tree 2 is out of order; it must be at least 0 and below 2",
        ),
        (block(range(3, 0, -1)), "rows_refused", "must ascend"),
        (block([0, 0, 1]), "rows_refused", "must ascend"),
        (block([0, N]), "rows_refused", "must lie in 0..11"),
        (block([-1, 2]), "rows_refused", "must lie in 0..11"),
        (block([], ciphertexts=encrypt([])), "rows_refused", "must lie in 0..11"),
        (block(ciphertexts=encrypt([1] * 11)), "ciphertexts_refused", "11 ciphertexts for 12 rows"),
        (block(ciphertexts=out_of_range()), "ciphertexts_refused", "ciphertext 3"),
        (block(ciphertexts=np.zeros((N, 3), np.uint64)), "ciphertexts_refused", "3"),
    ],
)
def test_gradient_refusals(request_, code, text):
    talk = Conversation().set_up()
    assert_refused(talk.ask(request_), code, text)
    assert talk.answerer.state == "set_up"
    assert talk.ask(block()) == Ack()


@pytest.mark.parametrize("value", ["zero", "modulus", "all ones", "factor"])
def test_bad_paillier_ciphertexts(value):
    key = insecure_key("paillier", 256)
    talk = Conversation().set_up(scheme="paillier", public_key=key.public_key.to_bytes())
    words = key.encrypt(np.ones((N, 2), np.uint64))
    half = words.shape[1] // 2
    low = {
        "zero": 0,
        "modulus": key.public_key.n,
        "all ones": 2 ** (64 * half) - 1,
        "factor": key.p.value,
    }[value]
    words[5, :half] = [low >> (64 * i) & (2**64 - 1) for i in range(half)]
    assert_refused(talk.ask(block(ciphertexts=words)), "ciphertexts_refused", "")


def test_blocks_of_a_tree_must_ascend_and_end_with_the_first_question():
    talk = Conversation().set_up()
    assert talk.ask(block(range(4))) == Ack()
    assert_refused(talk.ask(block(range(3, 8))), "rows_refused", "must lie in 4..11")
    assert_refused(talk.ask(block(range(4, 8), tree=2)), "tree_refused", "at least 1 and below 2")
    assert talk.ask(block(range(4, 8))) == Ack()
    assert isinstance(talk.ask(histograms_of()), Histograms)
    late = talk.ask(block(range(8, 12)))
    assert_refused(late, "tree_refused", "tree 0 grows already; its rows cannot change")


def test_no_more_trees_than_agreed():
    talk = Conversation().loaded()
    assert talk.ask(block(tree=1)) == Ack()
    assert_refused(talk.ask(block(tree=0)), "tree_refused", "at least 2 and below 2")
    assert_refused(talk.ask(block(tree=2)), "tree_refused", "at least 2 and below 2")
    assert_refused(talk.ask(histograms_of(tree=0)), "tree_refused", "tree 0 is not the current")


def test_trees_of_the_label_party_alone_are_left_out():
    talk = Conversation().set_up(n_trees=9)
    for tree in (2, 3, 8):
        assert talk.ask(block(tree=tree)) == Ack()
        assert isinstance(talk.ask(histograms_of(tree=tree)), Histograms)
        earlier = talk.ask(block(tree=tree - 1))
        assert_refused(earlier, "tree_refused", f"it must be at least {tree + 1} and below 9")


def test_rows_for_evaluation_have_no_gradients_but_sides():
    talk = Conversation().set_up(n_training=8, cells=1)
    assert_refused(talk.ask(block(range(9))), "rows_refused", "must lie in 0..7")
    assert talk.ask(block(range(8))) == Ack()
    reply = talk.ask(histograms_of(features=(1,)))
    assert PLAIN.decrypt(reply.ciphertexts)[:, 0].tolist() == [1 + 3 + 5 + 7, 2 + 4 + 6 + 8, 0]
    beside = [1] * 7 + [0] + [0] * 4  # one row counts in node 0, and four that are evaluated
    refused = talk.ask(histograms_of((1, 2), (0,), beside, features=(1,)))
    assert_refused(refused, "nodes_refused", "min_child_samples=2")
    division = talk.ask(divide(features=(1,), bins=(0,)))
    assert bits_of(division) == [1, 0] * (N // 2)


@pytest.mark.parametrize("count", [N, 2 * N - 1, 2 * N + 1, 3 * N])
def test_every_row_has_all_its_parts(count):
    talk = Conversation().set_up(parts=2)
    wrong = block(ciphertexts=encrypt([1] * count))
    text = f"{count} ciphertexts for 12 rows of 2 each"
    assert_refused(talk.ask(wrong), "ciphertexts_refused", text)


def test_parts_are_summed_one_after_the_other():
    talk = Conversation().set_up(parts=3, cells=1)
    values = np.column_stack([np.arange(N) + 1, np.full(N, 100), np.arange(N) * 10])
    assert talk.ask(block(range(5), ciphertexts=encrypt(values[:5].ravel()))) == Ack()
    assert talk.ask(block(range(5, N), ciphertexts=encrypt(values[5:].ravel()))) == Ack()
    reply = talk.ask(histograms_of(features=(1, 2)))
    sums = PLAIN.decrypt(reply.ciphertexts)[:, 0].reshape(3, 5)
    for part in range(3):
        even, odd = values[::2, part].sum(), values[1::2, part].sum()
        assert sums[part].tolist() == [even, odd, 0, even + odd, 0]


# --- Histograms

PAIR = [0] * 6 + [1] * 6


@pytest.mark.parametrize(
    ("request_", "code", "text"),
    [
        (histograms_of(tree=1), "tree_refused", "tree 1 is not the current one, 0"),
        (histograms_of(asked=()), "nodes_refused", "asked nodes must lie in 0..0"),
        (histograms_of(asked=(1,)), "nodes_refused", "asked nodes must lie in 0..0"),
        (histograms_of(asked=(-1,)), "nodes_refused", "asked nodes must lie in 0..0"),
        (histograms_of((1, 2), (1, 0), PAIR), "nodes_refused", "asked nodes must ascend"),
        (histograms_of((1, 2), (0, 0), PAIR), "nodes_refused", "asked nodes must ascend"),
        (histograms_of(features=()), "features_refused", "must ascend within 0..2"),
        (histograms_of(features=(1, 0)), "features_refused", "must ascend within 0..2"),
        (histograms_of(features=(0, 0)), "features_refused", "must ascend within 0..2"),
        (histograms_of(features=(0, 3)), "features_refused", "must ascend within 0..2"),
        (histograms_of(features=(-1, 0)), "features_refused", "must ascend within 0..2"),
        (histograms_of(nodes=(), asked=(0,)), "nodes_refused", ""),
        (histograms_of((1, 1), (0,), PAIR), "nodes_refused", "distinct nodes"),
        (histograms_of(placed=[0] * 11), "nodes_refused", "11 rows are placed, there are 12"),
        (histograms_of(placed=[0] * 11 + [1]), "nodes_refused", "beyond the 1 nodes"),
        (histograms_of((1, 2), (0,), [0] * 11 + [1]), "nodes_refused", "min_child_samples=2"),
        (histograms_of((1, 2), (0,), [0] * 12), "nodes_refused", "min_child_samples=2"),
        (histograms_of(placed=[0] * 11 + [NO_NODE]), "nodes_refused", "leave out rows"),
    ],
)
def test_question_refusals(request_, code, text):
    talk = Conversation().loaded()
    assert_refused(talk.ask(request_), code, text)
    assert talk.answerer.state == "loading"
    assert talk.table.budget.spent.node_histograms == 1  # the set-up
    assert isinstance(talk.ask(histograms_of()), Histograms)


def test_sums_of_a_node_are_right():
    talk = Conversation().loaded(cells=1)
    reply = talk.ask(histograms_of(features=(1, 2)))
    sums = PLAIN.decrypt(reply.ciphertexts)[:, 0].tolist()
    assert sums == [36, 42, 0, 78, 0]  # even rows, odd rows, missing; all, missing


def test_rows_without_gradients_do_not_count_towards_the_floor():
    talk = Conversation().set_up()
    assert talk.ask(block([0, 1, 2, 3, 4, 5, 6])) == Ack()
    assert isinstance(talk.ask(histograms_of()), Histograms)
    refused = talk.ask(histograms_of((1, 2), (0,), PAIR))  # 6 and 1 of them are active
    assert_refused(refused, "nodes_refused", "node 2 or a side of its split has fewer than")


def test_the_columns_of_a_tree_do_not_change():
    talk = Conversation().growing()
    changed = talk.ask(histograms_of((1, 2), (0,), PAIR, features=(0, 1)))
    assert_refused(changed, "features_refused", "cannot change while it grows")
    assert talk.ask(block(tree=1)) == Ack()
    assert isinstance(talk.ask(histograms_of(tree=1, features=(0, 1))), Histograms)


def test_a_refused_first_question_leaves_the_columns_open():
    talk = Conversation().loaded()
    mixed = histograms_of((1, 2), (0,), [0] * 12, features=(0,))
    assert_refused(talk.ask(mixed), "nodes_refused", "min_child_samples")
    assert isinstance(talk.ask(histograms_of(features=(1, 2))), Histograms)


def test_nodes_refine_earlier_nodes():
    talk = Conversation().growing()
    assert isinstance(talk.ask(histograms_of((1, 2), (0,), PAIR)), Histograms)
    mixed = talk.ask(histograms_of((3, 4), (0,), [0, 1] * 6))
    assert_refused(mixed, "nodes_refused", "node 3 mixes rows of different earlier nodes")
    again = talk.ask(histograms_of())
    assert_refused(again, "nodes_refused", "node 0 mixes rows")
    deeper = [0, 0, 0, 1, 1, 1] + [NO_NODE] * 6
    assert isinstance(talk.ask(histograms_of((3, 4), (1,), deeper)), Histograms)


def test_no_single_row_by_subtraction():
    """All rows, then all but one: the difference would be one row, below any floor."""
    talk = Conversation().growing()
    all_but_one = histograms_of((1,), (0,), [0] * 11 + [NO_NODE])
    assert_refused(talk.ask(all_but_one), "nodes_refused", "leave out rows of an earlier node")
    part = histograms_of((1, 2), (0,), [0] * 5 + [1] * 6 + [NO_NODE])
    assert_refused(talk.ask(part), "nodes_refused", "leave out rows of an earlier node")


def test_nodes_lie_on_one_side_of_the_partys_own_split():
    talk = Conversation().growing()
    sides = np.unpackbits(talk.ask(divide(bins=(3,))).goes_left, count=N, bitorder="little")
    assert sides.tolist() == sorted(sides.tolist(), reverse=True)
    wrong = [0 if left else 1 for left in sides]
    wrong[0] = 1
    assert_refused(talk.ask(histograms_of((1, 2), (0,), wrong)), "nodes_refused", "mixes rows")
    right = [0 if left else 1 for left in sides]
    assert isinstance(talk.ask(histograms_of((1, 2), (0,), right)), Histograms)


# --- Divisions


@pytest.mark.parametrize(
    ("request_", "code", "text"),
    [
        (divide(tree=1), "tree_refused", "tree 1 is not the current one"),
        (divide(nodes=(7,)), "split_refused", "node 7 was not asked for, or was parted since"),
        (divide(features=(1,)), "split_refused", "column 1 does not take part in this tree"),
        (divide(features=(9,)), "split_refused", "column 9 does not take part"),
        (divide(features=(-1,)), "split_refused", "column -1 does not take part"),
        (divide(bins=(8,)), "split_refused", "column 0 has no cut after bin 8"),
        (divide(bins=(-1,)), "split_refused", "column 0 has no cut after bin -1"),
        (divide(first_split=1), "split_refused", "the next split number is 0"),
        (divide((), (), (), ()), "split_refused", "differ in length"),
        (divide(bins=(1, 2)), "split_refused", "differ in length"),
        (divide(codes=[(), ()]), "split_refused", "differ in length"),
        (divide_by(1, feature=0), "split_refused", "column 0 has no categories to be split by"),
        (divide(missing_left=()), "split_refused", "differ in length"),
        (divide((0, 0), (0, 0), (3, 4), (0, 0)), "split_refused", "a node can be divided once"),
        (divide(features=(2,), bins=(0,)), "nodes_refused", "min_child_samples=2"),
        (divide(bins=(7,)), "nodes_refused", "min_child_samples=2"),
    ],
)
def test_division_refusals(request_, code, text):
    talk = Conversation().loaded()
    assert isinstance(talk.ask(histograms_of(features=(0, 2))), Histograms)
    assert_refused(talk.ask(request_), code, text)
    assert isinstance(talk.ask(divide()), Division)
    assert isinstance(talk.ask(finish(1)), Finished)
    assert len(talk.table.store.load(MODEL).splits) == 1


def test_a_node_is_divided_once():
    talk = Conversation().growing()
    assert isinstance(talk.ask(divide()), Division)
    again = talk.ask(divide(first_split=1))
    assert_refused(again, "split_refused", "node 0 was not asked for, or was parted since")


def test_a_node_that_somebody_else_split_cannot_be_divided():
    talk = Conversation().growing()
    assert isinstance(talk.ask(histograms_of((1, 2), (0,), PAIR)), Histograms)
    assert_refused(talk.ask(divide()), "split_refused", "node 0 was not asked for, or was parted")


def test_a_node_cannot_be_divided_twice_under_two_numbers():
    talk = Conversation().growing()
    assert isinstance(talk.ask(histograms_of((5,), (0,))), Histograms)  # the root once more
    both = divide((0, 5), (0, 1), (3, 0), (0, 0))
    assert_refused(talk.ask(both), "split_refused", "node 0 was not asked for, or was parted")


def test_divisions_are_carried_out_all_or_none():
    talk = Conversation().growing()
    assert isinstance(talk.ask(histograms_of((1, 2), (0,), PAIR)), Histograms)
    second_below = divide((1, 2), (1, 2), (0, 0), (0, 0))
    assert_refused(talk.ask(second_below), "nodes_refused", "node 2 or a side")
    both = talk.ask(divide((1, 2), (1, 1), (0, 0), (0, 0)))
    bits = np.unpackbits(both.goes_left, count=N, bitorder="little")
    assert bits.tolist() == [1, 0] * 6
    assert isinstance(talk.ask(finish(2)), Finished)
    assert [s.feature for s in talk.table.store.load(MODEL).splits] == [1, 1]


# --- Prediction


def finished(**options):
    talk = Conversation(**options).growing()
    assert isinstance(talk.ask(divide()), Division)
    assert isinstance(talk.ask(finish(1)), Finished)
    return talk


@pytest.mark.parametrize(
    ("request_", "code", "text"),
    [
        (route(model_id="f" * 32), "unknown_model", f"no half of model {'f' * 32}"),
        (route(rows=()), "rows_refused", "at least one"),
        (route(rows=(0, N)), "rows_refused", "positions in 0..11"),
        (route(rows=(-1,)), "rows_refused", "positions in 0..11"),
        (route(rows=(1, 1)), "rows_refused", "a row is named twice"),
    ],
)
def test_route_refusals(request_, code, text):
    talk = finished()
    assert_refused(talk.ask(request_), code, text)
    assert talk.table.budget.spent.routed_rows == 0
    assert talk.ask(route((0, 11))).goes_left.tolist() == [[1]]


def test_other_columns_at_prediction():
    store = finished().table.store
    renamed = Conversation(feature_table("bureau", TABLE.rename(columns={"up": "UP"}), store=store))
    assert_refused(renamed.matched().ask(route()), "unknown_model", "other columns than the model")


def test_a_damaged_half(tmp_path):
    talk = finished(store=FolderStore(tmp_path))
    path = tmp_path / f"{MODEL}.json"
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text("{")
    assert_refused(talk.ask(route()), "unknown_model", "cannot be read")
    assert str(tmp_path) not in talk.ask(route()).detail


@pytest.mark.parametrize("model_id", ["../../etc/passwd", "a" * 31, "A" * 32, "a" * 32 + "\n"])
def test_a_model_id_is_no_path(tmp_path, model_id):
    talk = finished(store=FolderStore(tmp_path))
    frame = talk.codec.encode(route()).replace(
        MODEL.encode(), model_id.encode().ljust(32, b"/")[:32]
    )
    if model_id.endswith("\n"):
        frame = talk.codec.encode(route()).replace(MODEL.encode(), b"a" * 31 + b"\n")
    reply = talk.codec.decode(talk.answerer.answer(frame), "bureau")
    assert_refused(reply, "malformed_frame", "Route", ends_session=True)
    with pytest.raises(ValueError, match="32 hexadecimal digits"):
        FolderStore(tmp_path).path(model_id)


# --- Budgets and the policy


def test_the_budget_of_histograms_counts_over_sessions():
    policy = Policy(max_node_histograms=5)  # two set-ups and two roots, and one more set-up
    table = feature_table("bureau", TABLE, policy=policy)
    Conversation(table).growing()
    talk = Conversation(table).growing()
    assert table.budget.spent.node_histograms == 4
    last = Conversation(table).loaded()
    spent = talk.ask(histograms_of((1, 2), (0,), PAIR))
    assert_refused(spent, "budget_spent", "budget of 5 node histograms is spent")
    assert_refused(last.ask(histograms_of()), "budget_spent", "of 5")
    assert_refused(Conversation(table).matched().ask(setup()), "budget_spent", "of 5")
    # the refusal has shown nothing: the root can still be divided
    assert isinstance(talk.ask(divide()), Division)


def test_the_budget_of_scored_rows_counts_over_sessions():
    policy = Policy(max_routed_rows=5)
    talk = finished(policy=policy)
    assert isinstance(talk.ask(route((0, 1, 2))), Routes)
    other = Conversation(talk.table).matched()
    assert_refused(other.ask(route((0, 1, 2))), "budget_spent", "budget of 5 scored rows")
    assert isinstance(other.ask(route((0, 1))), Routes)
    assert talk.table.budget.spent.routed_rows == 5


def test_a_data_set_served_again_keeps_what_was_spent():
    policy = Policy(max_node_histograms=10)
    budget = Budget(policy, Spending(node_histograms=10))
    talk = Conversation(feature_table("bureau", TABLE, policy=policy, budget=budget)).matched()
    assert_refused(talk.ask(setup()), "budget_spent", "of 10")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"min_child_samples": 0}, "policy.min_child_samples: 0 is not allowed"),
        ({"min_child_samples": True}, "policy.min_child_samples: True is not allowed"),
        ({"min_child_samples": None}, "policy.min_child_samples: None is not allowed"),
        ({"max_bin": 1}, "policy.max_bin: 1 is not allowed; give a whole number of at least 2"),
        ({"max_bin": 256}, "policy.max_bin: 256 is more than the limit of 255"),
        ({"max_node_histograms": 0}, "policy.max_node_histograms: 0"),
        ({"max_routed_rows": 1.5}, "policy.max_routed_rows: 1.5"),
    ],
)
def test_a_policy_is_checked(arguments, text):
    with pytest.raises(ConfigError) as error:
        Policy(**arguments)
    assert text in str(error.value)


# --- Order


@pytest.mark.parametrize(
    ("stage", "requests"),
    [
        (
            "open",
            [setup(), block(), histograms_of(), divide(), Keep(n_splits=0), finish(), route()],
        ),
        ("matched", [block(), histograms_of(), divide(), Keep(n_splits=0), finish()]),
        ("set_up", [setup(), histograms_of(), divide(), route()]),
        ("loaded", [setup(), divide(), route(), match_rows(["a"])]),
        ("growing", [setup(), route(), match_rows(["a"])]),
    ],
)
def test_out_of_turn_requests_end_the_session(stage, requests):
    for request in requests:
        talk = Conversation()
        if stage != "open":
            getattr(talk, stage)()
        name = type(request).__name__
        reply = talk.ask(request)
        assert_refused(reply, "out_of_turn", f"sent {name}, which state", ends_session=True)
        after = talk.ask(Goodbye())
        assert_refused(after, "out_of_turn", "closed", ends_session=True)


def test_other_rows():
    talk = Conversation()
    assert_refused(talk.ask(match_rows(TABLE.index[::-1])), "rows_differ", "same order")
    assert_refused(talk.ask(match_rows(TABLE.index[:-1])), "rows_differ", "brings 11 rows")
    assert talk.matched().answerer.state == "matched"


# --- A refusal changes nothing


def provocations(request):
    """Requests that break one rule each, made from a good one."""
    i32 = np.int32
    if isinstance(request, Setup):
        yield replace(request, max_bin=255)
        yield replace(request, min_child_samples=1)
        yield replace(request, cells=1000)
        yield replace(request, rows=np.repeat(request.rows, 2))
        yield replace(request, public_key=b"?")
        yield replace(request, n_training=len(request.rows) + 1)
        yield replace(request, n_training=1)
        yield replace(request, min_group=1)
        yield replace(request, first_split=request.first_split + 1)
        yield replace(request, base=request.model_id)
        yield replace(request, base="0" * 32)
    elif isinstance(request, GradientBlock):
        rows = request.rows
        yield replace(request, tree=request.tree + 1000)
        yield replace(request, ciphertexts=request.ciphertexts[:-1])
        yield replace(request, ciphertexts=np.full_like(request.ciphertexts, 2**64 - 1) >> 1)
        yield replace(request, rows=rows[::-1])
        yield replace(request, rows=rows + i32(10_000))
    elif isinstance(request, HistogramsOf):
        placed, nodes = request.node_of_row, request.nodes
        here = np.flatnonzero(placed != NO_NODE)
        without_one = placed.copy()
        without_one[here[0]] = NO_NODE
        alone = placed.copy()
        alone[here[:-1]] = NO_NODE
        yield replace(request, tree=request.tree + 1)
        yield replace(request, node_of_row=without_one)
        yield replace(request, node_of_row=alone)
        yield replace(request, node_of_row=placed[1:])
        yield replace(request, nodes=np.repeat(nodes, 2))
        yield replace(request, asked=np.array([len(nodes)], i32))
        yield replace(request, features=np.append(request.features, i32(99)))
        yield replace(request, features=request.features[:0])
        if len(nodes) > 1:
            yield replace(request, node_of_row=np.where(placed == 1, 0, placed).astype(np.uint16))
    elif isinstance(request, Divide):
        n = len(request.nodes)
        last = np.append(np.zeros(n - 1, i32), i32(1))
        yield replace(request, first_split=request.first_split + 1)
        yield replace(request, nodes=request.nodes + 1000 * last)
        yield replace(request, features=request.features + 1000 * last)
        yield replace(request, bins=request.bins + 1000 * last)
        yield replace(request, bins=request.bins[:-1])
        yield replace(request, codes=request.codes[:-1])
        yield replace(request, codes=request.codes[:, :-1])
        yield replace(request, codes=np.full_like(request.codes, 2**64 - 1))
        yield replace(
            request, codes=np.where(request.codes.any(), 0, code_set([0]) + request.codes)
        )
        yield replace(
            request,
            nodes=np.append(request.nodes, request.nodes[-1]),
            features=np.append(request.features, request.features[-1]),
            bins=np.append(request.bins, request.bins[-1]),
            missing_left=np.append(request.missing_left, request.missing_left[-1]),
            codes=np.vstack([request.codes, request.codes[-1:]]),
        )
    elif isinstance(request, Keep | Finish):
        yield replace(request, n_splits=request.n_splits + 1)
    elif isinstance(request, Route):
        yield replace(request, model_id="0" * 32)
        yield replace(request, rows=request.rows + i32(10_000))
        yield replace(request, rows=np.repeat(request.rows, 2))


class Provocateur(Transport):
    """Sends bad requests before every good one, and expects each to be refused."""

    def __init__(self, inner):
        self._inner = inner
        self._codec = TRAINER.codec()
        self.refused = 0

    def exchange(self, frame, timeout):
        for bad in provocations(self._codec.decode(frame, "test")):
            answer = self._inner.exchange(self._codec.encode(bad), timeout)
            reply = self._codec.decode(answer, "test")
            assert isinstance(reply, Failure), f"{bad} was answered with {reply}"
            assert not reply.ends_session
            self.refused += 1
        return self._inner.exchange(frame, timeout)

    def close(self, *, abort):
        self._inner.close(abort=abort)


@pytest.mark.parametrize("grow_policy", ["depthwise", "lossguide"])
@pytest.mark.parametrize("subsample", [1.0, 0.7])
def test_refusals_change_nothing(grow_policy, subsample):
    kinds = ("continuous", "few", "few", "mostly_zero", "missing")
    federation = Federation(random_table(4, 160, kinds), (1, 2, 2))
    table = federation.tables["party1"]
    text = table["c1"].map("v{:.0f}".format, na_action="ignore")
    federation.tables["party1"] = table.assign(c1=text)
    transports = []

    def wrap(inner):
        transports.append(Provocateur(inner))
        return transports[-1]

    parties = [
        WatchedParty(name, table, wrap=wrap, policy=Policy(min_child_samples=3, max_bin=16))
        for name, table in federation.tables.items()
    ]
    federation.check(
        parties,
        n_estimators=3,
        max_bin=16,
        max_leaves=10,
        min_child_samples=3,
        min_data_per_group=3,
        cat_smooth=1.0,
        cat_l2=0.0,
        grow_policy=grow_policy,
        subsample=subsample,
        random_state=1,
        scheme="plain",
    )
    assert sum(transport.refused for transport in transports) > 100
    assert any(split.codes for split in parties[0].store.halves.popitem()[1].splits)
    for party in parties:
        asked = [
            len(request.asked)
            for request, reply in party.messages(TRAINER)
            if isinstance(request, HistogramsOf) and isinstance(reply, Histograms)
        ]
        assert party.budget.spent.node_histograms == sum(asked) + 1


def test_a_tree_drops_nodes_that_others_parted():
    tree = FeatureTree(0, 4, 4, 1)
    tree.activate(np.arange(4, dtype=np.int32))
    features = np.zeros(1, np.int32)
    for nodes, placed in [([0], [0, 0, 0, 0]), ([1, 2], [0, 0, 1, 1])]:
        numbers, of_row = np.array(nodes, np.int32), np.array(placed, np.uint16)
        tree.show(features, numbers, tree.check_frontier(numbers, of_row))
    assert {node: rows.tolist() for node, rows in tree.rows_of_node.items()} == {
        1: [0, 1],
        2: [2, 3],
    }
