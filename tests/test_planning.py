"""Plans: counts and bytes against a real run, and what must hold whatever the rates are."""

import dataclasses
import math
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from support.keys import full_paillier_key, insecure_paillier_key
from support.rates import cost_of, make_rates, time_of

from crypto.errors import KeySizeError
from parties.codec import frame_bytes
from parties.messages import Ack
from secureboost import FeatureParty, SecureBoostClassifier
from secureboost.errors import ConfigError
from secureboost.gbdt.label import PartyTime
from secureboost.gbdt.protocol import GradientBlock, Setup
from secureboost.planning import (
    ONE_MACHINE,
    ONE_PROCESS,
    Link,
    Shape,
    calibrate,
    equal_bins,
    predict,
)
from secureboost.planning.calibration import random_ciphertexts
from secureboost.planning.compare import compare, numbered, plan_rows
from secureboost.planning.counts import SMALLER_SHARE, Counts, expected_combinations
from secureboost.planning.rates import Time
from secureboost.planning.traffic import traffic
from secureboost.planning.watch import fit_cost
from secureboost.trainers import get_trainer

ROWS, TREES, DEPTH, BINS = 2500, 2, 3, 8


class FullKeyClassifier(SecureBoostClassifier):
    """Takes a key of full length from a cache."""

    def _generate_key(self):
        return full_paillier_key()


class Run:
    """A real training at 2048 bits over three parties, and its plan.

    With several `classes` a tree is for all of them, and some rows are only evaluated.
    """

    def __init__(self, min_child_samples: int, classes: int = 2) -> None:
        draws = np.random.default_rng(0)
        ids = [f"row{number}" for number in range(ROWS)]
        X = draws.standard_normal((ROWS, 7))
        X[:, 5] = draws.integers(0, 3, ROWS)
        raw = X.sum(axis=1) + draws.logistic(size=ROWS)
        y = np.digitize(raw, np.quantile(raw, np.linspace(0, 1, classes + 1)[1:-1]))
        eval_rows = 0 if classes == 2 else 300
        training = ROWS - eval_rows
        own = pd.DataFrame(X[:, :3], ids)
        tables = {"one": pd.DataFrame(X[:, 3:6], ids), "two": pd.DataFrame(X[:, 6:], ids)}
        self.model = FullKeyClassifier(
            n_estimators=TREES,
            max_depth=DEPTH,
            max_bin=BINS,
            min_child_weight=0,
            min_child_samples=min_child_samples,
            multi_strategy="multi_output_tree",
        ).fit(
            own[:training],
            y[:training],
            parties=[FeatureParty(name, table) for name, table in tables.items()],
            eval_set=[(own[training:], y[training:])] if eval_rows else None,
        )
        self.shape = Shape(
            rows=training,
            own_columns=3,
            partner_bins=tuple(self.model.partner_bins_.values()),
            bins=BINS,
            depth=DEPTH,
            trees=TREES,
            min_child_samples=min_child_samples,
            eval_rows=eval_rows,
            outputs=1 if classes == 2 else classes,
        )
        self.plan = predict(self.shape, make_rates(), ONE_PROCESS)


@pytest.fixture(scope="module")
def real():
    return Run(min_child_samples=5)


@pytest.fixture(scope="module", params=[2, 30], ids=["one output", "two parts of outputs"])
def any_real(request, real):
    return real if request.param == 2 else Run(min_child_samples=5, classes=request.param)


def small(**changes):
    given = {"rows": 20_000, "own_columns": 5, "partner_bins": equal_bins([6], 32), "bins": 32}
    return Shape(**(given | {"depth": 4, "trees": 10} | changes))


def test_partners_bins_are_what_they_said(real):
    assert real.model.partner_bins_ == {"one": (8, 8, 3), "two": (8,)}


def test_counts_of_a_real_run(any_real):
    """All nodes are split here, so what does not depend on how evenly is exact."""
    real, measured = any_real, any_real.model.times_
    assert real.shape.packing.parts == (1 if real.shape.outputs == 1 else 2)
    assert measured["label-party"].phases["split"].operations == TREES * 7
    planned = real.plan.label.phases
    for name in ("bin", "encrypt", "send", "wait", "decrypt", "split", "divide"):
        assert planned[name].operations == measured["label-party"].phases[name].operations, name
    for party, plan in zip(("one", "two"), real.plan.partners, strict=True):
        for name in ("check", "pack", "rerandomise"):
            assert plan.phases[name].operations == measured[party].phases[name].operations, name
        # as far as the smaller siblings' rows are guessed: a half is the most they can be
        least, most = 1, 1 + (DEPTH - 1) / 2
        ratio = plan.phases["sum"].operations / measured[party].phases["sum"].operations
        assert least / most < ratio < most / least


def test_bytes_of_a_real_run(any_real):
    """Exact but for greetings, divisions, and integers in heads."""
    real = any_real
    for party, planned in zip(("one", "two"), traffic(Counts(real.shape)), strict=True):
        measured = real.model.traffic_[party]
        for kind in ("Setup", "GradientBlock", "HistogramsOf", "Finish"):
            one, other = planned[kind], measured[kind]
            assert one.messages == other.messages, kind
            assert 0 <= one.bytes_sent - other.bytes_sent <= 8 * one.messages, kind
            assert 0 <= one.bytes_received - other.bytes_received <= 8 * one.messages, kind
    sent = sum(t.bytes_sent for by in real.model.traffic_.values() for t in by.values())
    assert real.plan.bytes_sent == pytest.approx(sent, rel=0.01)


def test_the_size_of_a_frame_is_what_the_codec_makes():
    codec = get_trainer("secureboost").codec()
    block = GradientBlock(
        tree=3, rows=np.arange(5, dtype=np.int32), ciphertexts=np.ones((5, 7), np.uint64)
    )
    setup = Setup(
        model_id="0" * 32,
        base="",
        first_split=0,
        scheme="paillier",
        public_key=b"key",
        rows=np.arange(7, dtype=np.int32),
        n_training=5,
        max_bin=8,
        min_child_samples=1,
        min_group=1,
        max_cat_to_onehot=4,
        n_trees=1,
        cell_bits=90,
        cells=20,
        parts=1,
    )
    for message in (block, setup, Ack()):
        assert frame_bytes(message) == len(codec.encode(message))


def test_levels():
    levels = Counts(small(rows=1000, depth=5)).levels
    assert [level.nodes for level in levels] == [1, 2, 4, 8, 16]
    assert [level.asked for level in levels] == [1, 1, 2, 4, 8]
    assert [level.rows for level in levels] == [1000, *4 * [1000 * SMALLER_SHARE]]


def test_levels_end_where_the_rows_do():
    levels = Counts(small(rows=100, depth=9, min_child_samples=20)).levels
    assert [level.nodes for level in levels] == [1, 2, 4, 4, 4, 4, 4, 4, 4]
    assert [level.nodes for level in Counts(small(rows=10, min_child_samples=20)).levels] == [1]


def test_shares_of_rows_and_columns_are_drawn():
    counts = Counts(small(subsample=0.5, colsample_bytree=0.5, own_columns=4))
    assert counts.levels[0].rows == 10_000
    assert counts.own_columns == 2
    assert counts.partner_bins == ((32,) * 3,)
    assert counts.blocks == 5
    few = Counts(small(partner_bins=((2, 8, 2, 32),), colsample_bytree=0.5))
    assert few.partner_bins == ((2, 32),)


def test_combinations_are_few_where_bins_are():
    assert expected_combinations(10_000, (2, 3)) == 6
    assert expected_combinations(10, (100, 100)) == 10
    drawn = np.random.default_rng(0).integers(0, 1000, 1000)
    assert expected_combinations(1000, (10, 100)) == pytest.approx(len(np.unique(drawn)), rel=0.05)


def test_joint_histograms_are_counted():
    plain = 20_000 * 6
    root = Counts(small(partner_bins=((2,) * 6,))).sums[0][0]
    assert root.groups == 1
    assert root.additions == 20_000 + 6 * 2**6
    many = Counts(small(partner_bins=equal_bins([6], 255), bins=255)).sums[0][0]
    assert many.additions == plain


GROWING = {
    "rows": 40_000,
    "own_columns": 50,
    "partner_bins": equal_bins([6, 6], 32),
    "depth": 5,
    "trees": 20,
    "key_bits": 3072,
}


@pytest.mark.parametrize("name", GROWING)
@pytest.mark.parametrize("link", [Link(), ONE_MACHINE, ONE_PROCESS], ids=lambda link: link.place)
def test_more_takes_longer(name, link):
    before = predict(small(), make_rates(), link)
    after = predict(small(**{name: GROWING[name]}), make_rates(), link)
    assert after.wall_seconds > before.wall_seconds
    assert after.label.cpu_seconds > before.label.cpu_seconds
    assert after.label.memory_bytes >= before.label.memory_bytes
    if name != "own_columns":  # which win nodes from the partner
        assert after.bytes_sent > before.bytes_sent
        assert sum(p.cpu_seconds for p in after.partners) > before.partners[0].cpu_seconds
    assert after.partners[0].memory_bytes >= before.partners[0].memory_bytes


@pytest.mark.parametrize("changes", [{"outputs": 40}, {"eval_rows": 30_000}])
def test_more_outputs_and_rows_that_ride_along_cost(changes):
    before, after = (predict(small(**more), make_rates(), Link()) for more in ({}, changes))
    assert after.wall_seconds > before.wall_seconds
    assert after.bytes_sent > before.bytes_sent
    assert after.label.memory_bytes > before.label.memory_bytes
    assert after.partners[0].memory_bytes > before.partners[0].memory_bytes
    if "eval_rows" in changes:  # these have no ciphertexts
        sums = [plan.partners[0].phases["sum"] for plan in (before, after)]
        assert sums[0] == sums[1]
        assert after.label.phases["encrypt"] == before.label.phases["encrypt"]


def test_outputs_that_share_a_ciphertext_cost_little():
    one, ten = (Counts(small(outputs=n)) for n in (1, 10))
    assert ten.shape.packing.parts == 1
    assert ten.sums[0][0].additions == one.sums[0][0].additions
    assert ten.sums[0][0].ciphertexts > 5 * one.sums[0][0].ciphertexts


def test_more_bins_take_longer():
    plans = [predict(small().with_bins(bins), make_rates(), Link()) for bins in (8, 16, 32, 64)]
    for fewer, more in pairwise(plans):
        assert fewer.wall_seconds < more.wall_seconds
        assert fewer.bytes_received < more.bytes_received
    assert small(partner_bins=((2, 32),)).with_bins(64).partner_bins == ((2, 64),)
    assert small(partner_bins=((2, 20),)).with_bins(16).partner_bins == ((2, 16),)


@pytest.mark.parametrize("name", ["encrypt", "addition", "segment", "check", "bin", "histogram"])
def test_a_slower_machine_takes_longer(name):
    slower = make_rates(**{name: getattr(make_rates(), name) * 3})
    before = predict(small(), make_rates(), ONE_MACHINE)
    after = predict(small(), slower, ONE_MACHINE)
    assert after.wall_seconds >= before.wall_seconds
    total = [p.label.cpu_seconds + p.partners[0].cpu_seconds for p in (before, after)]
    assert total[1] > total[0]


def test_a_slower_line_takes_longer():
    rates = make_rates()
    fast, slow, far = (
        predict(small(), rates, Link(*line)) for line in ((1e3, 1), (5, 1), (1e3, 90))
    )
    assert slow.wall_seconds > fast.wall_seconds
    assert slow.transfer_seconds > fast.transfer_seconds
    assert far.latency_seconds > fast.latency_seconds
    bits = 8 * (slow.bytes_sent + slow.bytes_received)
    assert slow.wall_seconds > bits / 5e6
    # every block and question waits for its answer
    questions = 10 * (Counts(small()).blocks + 2 * 4)
    assert far.wall_seconds > questions * 0.09
    alone = predict(small(), rates, ONE_PROCESS)
    assert alone.transfer_seconds == alone.latency_seconds == 0


def test_what_is_made_ahead_is_not_waited_for():
    waiting = make_rates(addition=time_of(40e-6))  # the label party waits long
    plan = predict(small(), waiting, Link(1e4, 0.0))
    encrypt, masks = plan.label.phases["encrypt"], plan.partners[0].phases["rerandomise"]
    rates = make_rates()
    assert encrypt.operations == 200_000
    # the first tree finds nothing made
    assert encrypt.seconds == pytest.approx(20_000 * rates.encrypt.wall)
    work = rates.rerandomise.of(4 * 10, masks.operations).wall
    assert work / 10 <= masks.seconds < work / 2
    one_thread = dataclasses.replace(waiting, n_jobs=1)
    alone = predict(small(), one_thread, Link(1e4, 0.0))
    assert alone.label.phases["encrypt"].seconds == pytest.approx(200_000 * rates.encrypt.wall)
    assert plan.label.cpu_seconds == alone.label.cpu_seconds


def test_one_machine_is_not_two():
    shape, rates = small(), make_rates()
    apart, together = (predict(shape, rates, link) for link in (Link(math.inf, 0.0), ONE_MACHINE))
    assert together.wall_seconds > apart.wall_seconds
    work = together.label.cpu_seconds + together.partners[0].cpu_seconds
    assert together.wall_seconds > 0.9 * work / rates.n_jobs


def test_rates_of_another_key():
    rates = make_rates().for_key_bits(4096)
    assert rates.key_bits == 4096
    assert rates.encrypt == make_rates().encrypt * 8
    assert rates.rerandomise.call == make_rates().rerandomise.call * 8
    assert rates.addition == make_rates().addition * 4
    assert rates.histogram == make_rates().histogram
    shape = small(key_bits=4096)
    assert predict(shape, make_rates(), Link()) == predict(shape, rates, Link())


def test_a_line_through_two_calls():
    cost = fit_cost((10, Time(2.0, 3.0)), (20, Time(3.0, 5.0)))
    assert cost == dataclasses.replace(cost, call=Time(1.0, 1.0), each=Time(0.1, 0.2))
    assert cost.of(2, 30) == Time(5.0, 8.0)
    # a busy machine may make the small call look dearer; nothing is negative
    assert fit_cost((10, Time(2.0, 2.0)), (20, Time(1.0, 1.0))).each == Time(0.0, 0.0)


def test_a_plan_beside_the_truth(real):
    rows = compare(real.plan, real.model.times_, 5.0, 10, 0)
    by_name = {(row.party, row.what): row for row in rows}
    assert by_name["all", "training"].measured == 5.0
    assert by_name["all", "training"].planned == real.plan.wall_seconds
    assert by_name["all", "training"].ratio == pytest.approx(real.plan.wall_seconds / 5.0)
    assert by_name["all", "received"].ratio is None
    assert ("label party", "encrypt") in by_name
    assert ("two", "sum") in by_name
    assert ("all", "processor") in by_name
    assert ("label party", "other") not in by_name  # a run does not time it
    apart = predict(real.shape, make_rates(), Link())
    times = dict.fromkeys(("label-party", "one", "two"), PartyTime({}, 2.0))
    rows = compare(apart, times, 5.0, 10, 10)
    assert [row.party for row in rows if row.what == "processor"] == ["label party", "one", "two"]


def test_rows_of_a_plan(real):
    rows = plan_rows(real.plan)
    assert rows[0][:2] == ("label party", "start")
    assert {row[0] for row in rows} == {"label party", *numbered(2)}
    assert ("label party", "encrypt", "5,000 rows") in [(r[0], r[1], r[3]) for r in rows]
    assert numbered(1) == ["feature party"]


def test_calibration_times_everything():
    key = insecure_paillier_key(256)
    rates = calibrate(256, 0.01, key=key, n_jobs=1)
    assert (rates.key_bits, rates.n_jobs) == (256, 1)
    assert rates.process_bytes > 10**7
    for field in dataclasses.fields(rates):
        value = getattr(rates, field.name)
        if isinstance(value, Time):
            assert value.wall > 0, field.name
        elif not isinstance(value, int):
            assert value.of(1, 1).wall > 0, field.name


def test_made_up_ciphertexts_are_valid():
    public = insecure_paillier_key(256).public_key
    public.check(random_ciphertexts(public, 100))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"rows": 1}, "rows: 1 must be 2 to 2147483647"),
        ({"rows": 2.5}, "rows: 2.5 is not a whole number"),
        ({"depth": 0}, "depth: 0 must be 1 to 15"),
        ({"depth": 16}, "depth: 16 must be 1 to 15"),
        ({"bins": 256}, "bins: 256 must be 2 to 255"),
        ({"trees": 0}, "trees: 0 must be 1 to 1000000"),
        ({"trees": True}, "trees: True is not a whole number"),
        ({"outputs": 0}, "outputs: 0 must be 1 to 10000"),
        ({"eval_rows": -1}, "eval_rows: -1 must be 0 to 2147483647"),
        ({"min_child_samples": 0}, "min_child_samples: 0 must be 1 to"),
        ({"subsample": 0}, "subsample: 0 must be above 0 and at most 1"),
        ({"colsample_bytree": "all"}, "colsample_bytree: 'all' is not a number"),
        ({"own_columns": -1}, "own_columns: -1 must be 0 to 65536"),
        ({"partner_bins": ()}, "partner_columns: name the columns of at least one"),
        ({"partner_bins": ((),)}, "partner_columns: 0 must be 1 to 65536"),
        ({"partner_bins": ((33,),)}, "partner_bins: 33 must be 1 to 32"),
    ],
)
def test_a_shape_that_cannot_be(changes, text):
    with pytest.raises(ConfigError) as error:
        small(**changes)
    assert text in str(error.value)


def test_keys_and_rows_that_cannot_be():
    with pytest.raises(KeySizeError, match="key_bits=1024 is insecure"):
        small(key_bits=1024)
    with pytest.raises(ConfigError, match="partner_columns: 0 must be 1 to 65536"):
        equal_bins([0], 32)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ((0.0, 1.0), "megabits: 0.0 must be above 0 Mbit/s"),
        ((float("nan"), 1.0), "megabits: nan is not a number"),
        ((1.0, -1.0), "latency: -1.0 must be 0 to 60000 ms"),
        ((1.0, "ping"), "latency: 'ping' is not a number"),
    ],
)
def test_a_line_that_cannot_be(line, text):
    with pytest.raises(ConfigError) as error:
        Link(*line)
    assert str(error.value) == text


def test_costs_add_up():
    assert cost_of(1.0, 0.5).of(2, 4) == Time(2.0, 4.0)
    assert time_of(1.0).one_thread == Time(1.0, 1.0)
