"""The streaming join against its definition, in any blocks, with stops, and in bounded memory."""

from dataclasses import dataclass

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secureboost.align.events import Events
from secureboost.align.held import HeldEvents, find_windows, merge_events
from secureboost.align.join_options import WindowOptions
from secureboost.align.streams import Watermark
from secureboost.align.window_join import WindowJoin, join_streams
from secureboost.dates import TIME_LIMIT
from secureboost.errors import ConfigError, DataError

# --- the definition, event by event


def in_time(stream, lateness):
    """Events that are not late, with their numbers, by time and number."""
    kept, newest = [], None
    for number, (customer, time) in enumerate(stream):
        if newest is None or time >= newest - lateness:
            kept.append((time, number, customer))
        newest = time if newest is None else max(newest, time)
    return sorted(kept), len(stream) - len(kept)


def choose(fitting, time, match, max_matches):
    if match == "all":
        return fitting[:max_matches]
    if match == "first":
        return fitting[:1]
    if match == "last":
        return fitting[-1:]
    return sorted(fitting, key=lambda other: (abs(other[0] - time), *other))[:1]


def twin(label, partner, options):
    """Pairs of numbers, and what was dropped."""
    labels, label_late = in_time(label, options.lateness)
    partners, partner_late = in_time(partner, options.lateness)
    draws = iter(np.random.Generator(np.random.PCG64(options.seed)).random(len(label)))
    pairs, cut, dropped = [], 0, 0
    for time, number, customer in labels:
        if customer < 0:
            continue
        fitting = [
            (other, its_number)
            for other, its_number, its_customer in partners
            if its_customer == customer and -options.before <= other - time <= options.after
        ]
        chosen = choose(fitting, time, options.match, options.max_matches)
        cut += len(fitting) - len(chosen) if options.match == "all" else 0
        pairs += [(number, its_number) for _, its_number in chosen]
        if not fitting and next(draws) < options.keep_unmatched:
            pairs.append((number, -1))
        elif not fitting:
            dropped += 1
    return pairs, (label_late, partner_late, cut, dropped)


# --- streams in blocks


def arrays(events):
    customers = np.array([customer for customer, _ in events], np.int32)
    return customers, np.array([time for _, time in events], np.int64)


def blocks_of(stream, sizes):
    """The stream in blocks of the sizes, over and over."""
    first, turn = 0, 0
    while first < len(stream):
        size = sizes[turn % len(sizes)]
        yield arrays(stream[first : first + size])
        first, turn = first + size, turn + 1


def pairs_of(joined):
    return list(zip(joined.label.tolist(), joined.partner.tolist(), strict=True))


def run(label, partner, options, label_sizes=(7,), partner_sizes=(5,)):
    join = WindowJoin(options)
    streams = blocks_of(label, label_sizes), blocks_of(partner, partner_sizes)
    pairs = [pair for joined in join_streams(join, *streams) for pair in pairs_of(joined)]
    assert join.held == 0
    return pairs, join


def dropped_of(join):
    label, partner, matches = join.counts
    return label.late, partner.late, matches.cut, matches.unmatched - matches.kept_unmatched


streams = st.lists(st.tuples(st.integers(-1, 2), st.integers(-15, 15)), max_size=30)
sizes = st.lists(st.integers(1, 9), min_size=1, max_size=4)
all_options = st.builds(
    WindowOptions,
    before=st.integers(0, 6),
    after=st.integers(0, 6),
    lateness=st.integers(0, 8),
    match=st.sampled_from(["all", "first", "nearest", "last"]),
    max_matches=st.integers(1, 4),
    keep_unmatched=st.sampled_from([0.0, 0.4, 1.0]),
    seed=st.integers(0, 3),
)


@pytest.mark.kernels
@given(streams, streams, all_options, sizes, sizes)
def test_equals_the_definition_in_any_blocks(label, partner, options, label_sizes, partner_sizes):
    pairs, join = run(label, partner, options, label_sizes, partner_sizes)
    assert (pairs, dropped_of(join)) == twin(label, partner, options)


@given(streams, streams, all_options)
def test_streams_in_order_and_those_within_the_lateness_give_the_plain_join(
    label, partner, options
):
    def plain(label, partner):
        """No watermark at all."""
        return twin(label, partner, msgspec.structs.replace(options, lateness=99))

    in_order = [sorted(stream, key=lambda event: event[1]) for stream in (label, partner)]
    assert run(*in_order, msgspec.structs.replace(options, lateness=0))[0] == plain(*in_order)[0]
    jolted = [
        [event for event, _ in sorted(zip(stream, range(len(stream)), strict=True), key=late)]
        for stream in in_order
        for late in [lambda item: item[0][1] + (item[1] * 7) % (options.lateness + 1)]
    ]
    pairs, join = run(*jolted, options)
    assert dropped_of(join)[:2] == (0, 0)
    assert pairs == plain(*jolted)[0]


@given(streams, streams, all_options, st.randoms())
def test_which_stream_is_fed_first_does_not_matter(label, partner, options, random):
    join, pairs = WindowJoin(options), []
    waiting = {"label": list(blocks_of(label, [3])), "partner": list(blocks_of(partner, [4]))}
    while waiting:
        side = random.choice(sorted(waiting))
        if waiting[side]:
            joined = join.push(side, *waiting[side].pop(0))
        else:
            del waiting[side]
            joined = join.end(side)
        pairs += pairs_of(joined)
    assert (pairs, dropped_of(join)) == twin(label, partner, options)


@given(streams, streams, all_options)
def test_a_stop_after_any_block_changes_nothing(label, partner, options):
    pairs, state = [], WindowJoin(options).to_bytes()
    ended = set()
    while len(ended) < 2:
        join = WindowJoin(options, state)
        counts = dict(zip(("label", "partner"), join.counts, strict=False))
        side = join.behind if join.behind not in ended else min({"label", "partner"} - ended)
        came = counts[side].came
        rest = {"label": label, "partner": partner}[side][came : came + 4]
        if rest:
            joined = join.push(side, *arrays(rest))
        else:
            ended.add(side)
            joined = join.end(side)
        pairs += pairs_of(joined)
        state = join.to_bytes()
    assert (pairs, dropped_of(WindowJoin(options, state))) == twin(label, partner, options)


# --- memory


def long_stream(n_blocks, size, rate, jolt, seed):
    """Blocks of `size` events, `rate` of them in a unit of time, out of order by up to `jolt`."""
    rng = np.random.default_rng(seed)
    for block in range(n_blocks):
        times = (block * size + np.arange(size)) // rate + rng.integers(0, jolt + 1, size)
        yield rng.integers(0, 500, size).astype(np.int32), times.astype(np.int64)


def test_memory_is_bounded_by_time_and_not_by_the_length_of_the_streams():
    options = WindowOptions(before=20, after=5, lateness=10, match="last")
    label = long_stream(100, 1000, 20, 9, 1)
    partner = long_stream(200, 2000, 80, 9, 2)
    join, most, n_pairs = WindowJoin(options), 0, 0
    for joined in join_streams(join, label, partner):
        most, n_pairs = max(most, join.held), n_pairs + len(joined)
    came, partner_came, matches = join.counts
    assert (came.came, partner_came.came) == (100_000, 400_000)
    assert (came.late, partner_came.late) == (0, 0)
    assert n_pairs == matches.pairs > 50_000
    # before + after, and lateness and jolt of both streams, and a block of each
    assert most <= (20 + 5 + 2 * 19) * (20 + 80) + 1000 + 2000
    assert len(join.to_bytes()) < 2000  # at the end nothing is left


def test_a_stream_that_runs_away_is_stopped():
    options = WindowOptions(before=5, after=5, max_held=2500)
    join = WindowJoin(options)
    blocks = list(long_stream(3, 1000, 20, 0, 1))
    join.push("partner", *blocks[0])
    join.push("partner", *blocks[1])
    with pytest.raises(DataError) as caught:
        join.push("partner", *blocks[2])
    assert "3,000 events would have to be held, more than max_held=2,500. Feed the stream" in str(
        caught.value
    )


# --- what is said


def test_counts_are_said():
    options = WindowOptions(before=2, after=2, lateness=1, max_matches=1)
    label = [(0, 10), (0, 5), (-1, 11), (1, 20)]
    partner = [(0, 9), (0, 10), (-1, 10), (0, 30), (0, 28)]
    pairs, join = run(label, partner, options)
    assert pairs == [(0, 0)]
    said = [str(counts) for counts in join.counts]
    assert said[0] == (
        "4 came, 1 dropped that came too late, 1 of customers that the other side does not have"
    )
    assert said[1].startswith("5 came, 1 dropped that came too late, 1 of customers")
    assert said[2] == (
        "1 label events matched, in 1 pairs (1 more dropped above max_matches); 1 had no match, "
        "of which 0 were drawn and 1 dropped"
    )


def test_negatives_are_drawn_at_the_asked_rate():
    options = WindowOptions(before=0, after=0, keep_unmatched=0.25, seed=7)
    pairs, join = run([(0, time) for time in range(4000)], [], options, label_sizes=(900,))
    assert len(pairs) == join.counts[2].kept_unmatched
    assert 900 < len(pairs) < 1100
    assert {partner for _, partner in pairs} == {-1}
    other, _ = run([(0, time) for time in range(4000)], [], options, label_sizes=(1,))
    assert other == pairs
    another = msgspec.structs.replace(options, seed=8)
    assert run([(0, time) for time in range(4000)], [], another)[0] != pairs


# --- bad input


@pytest.mark.parametrize(
    ("given_options", "message"),
    [
        ({"before": -1}, "before: is -1; it must lie between 0 and 2**61"),
        ({"after": TIME_LIMIT + 1}, "after: is"),
        ({"lateness": -5}, "lateness: is -5"),
        ({"match": "any"}, "match: is 'any'; use one of: all, first, nearest, last"),
        ({"keep_unmatched": 1.5}, "keep_unmatched: is 1.5; it must lie between 0 and 1"),
        ({"keep_unmatched": float("nan")}, "keep_unmatched: is nan"),
        ({"max_matches": 0}, "max_matches: is 0; it must lie between 1 and 65535"),
        ({"max_held": 0}, "max_held: is 0"),
        ({"seed": -1}, "seed: is -1"),
    ],
)
def test_options_that_cannot_be(given_options, message):
    with pytest.raises(ConfigError) as caught:
        WindowOptions(**{"before": 1, "after": 1, **given_options})
    assert str(caught.value).startswith(message)


def test_events_that_cannot_be_used():
    join = WindowJoin(WindowOptions(before=1, after=1))
    with pytest.raises(DataError, match=r"label party: the customer number .*data row 2"):
        join.push("label", *arrays([(0, 1), (-2, 1)]))
    with pytest.raises(DataError, match=r"partner: the time lies beyond .*data row 1"):
        join.push("partner", *arrays([(0, TIME_LIMIT + 1)]))
    join.end("label")
    with pytest.raises(DataError, match="label: the stream has ended"):
        join.push("label", *arrays([(0, 1)]))


def test_a_state_that_cannot_be_used():
    options = WindowOptions(before=1, after=1)
    state = WindowJoin(options).to_bytes()
    with pytest.raises(DataError, match="is damaged"):
        WindowJoin(options, state[:-1] + b"\1")
    with pytest.raises(DataError, match="begun with after=1 and cannot go on with 2"):
        WindowJoin(WindowOptions(before=1, after=2), state)


@pytest.mark.parametrize("time", [TIME_LIMIT, -TIME_LIMIT])
@pytest.mark.parametrize("match", ["all", "nearest"])
def test_no_overflow_at_the_limits(time, match):
    options = WindowOptions(before=TIME_LIMIT, after=TIME_LIMIT, lateness=TIME_LIMIT, match=match)
    partner = [(0, -TIME_LIMIT), (0, TIME_LIMIT)]
    assert run([(0, time)], partner, options)[0] == [(0, int(time > 0))]


# --- kernels against their twins


@dataclass
class Held:
    """Lists as the kernels want them."""

    customers: np.ndarray
    times: np.ndarray
    numbers: np.ndarray


def held_of(stream, first=0):
    ordered = sorted((customer, time, number) for number, (customer, time) in enumerate(stream))
    customers, times, numbers = np.array(ordered, np.int64).reshape(-1, 3).T
    return Held(customers.astype(np.int32), times.copy(), numbers + first)


@pytest.mark.kernels
@given(streams, streams)
def test_merge_against_twin(one, other):
    mine, block = held_of(one), held_of(other, first=len(one))
    n = len(one) + len(other)
    out = Held(np.empty(n, np.int32), np.empty(n, np.int64), np.empty(n, np.int64))
    merge_events(
        *(mine.customers, mine.times, mine.numbers),
        *(block.customers, block.times, block.numbers),
        *(out.customers, out.times, out.numbers),
    )
    both = held_of([*one, *other])
    assert out.numbers.tolist() == both.numbers.tolist()
    assert out.customers.tolist() == both.customers.tolist()
    assert out.times.tolist() == both.times.tolist()


@pytest.mark.kernels
@given(streams, streams, st.integers(0, 5), st.integers(0, 5), st.integers(0, 2))
def test_windows_against_twin(held, label, before, after, choice):
    events, (customers, times) = held_of(held), arrays(label)
    starts, counts = np.empty(len(label), np.int64), np.empty(len(label), np.int64)
    find_windows(
        *(events.customers, events.times, customers, times),
        *(before, after, choice, starts, counts),
    )
    listed = list(zip(events.customers.tolist(), events.times.tolist(), strict=True))
    for i, (customer, time) in enumerate(label):
        inside = [
            position
            for position, (its_customer, its_time) in enumerate(listed)
            if its_customer == customer and -before <= its_time - time <= after
        ]
        assert counts[i] == len(inside)
        if inside:
            nearest = min(inside, key=lambda position: (abs(listed[position][1] - time), position))
            assert starts[i] == (inside[0], nearest, inside[-1])[choice]


def test_held_events_forget():
    held = HeldEvents()
    held.add(Events(*arrays([(1, 5), (0, 7), (1, 3)]), np.arange(3)))
    held.forget_before(5)
    assert held.events.numbers.tolist() == [1, 0]
    assert len(held) == 2


def test_a_watermark_counts_from_what_came_before():
    watermark = Watermark(2)
    assert watermark.admit(np.array([5, 3, 2, 9, 7, 6])).tolist() == [
        *(True, True, False),
        *(True, True, False),
    ]
    assert watermark.value == 7
    assert watermark.admit(np.zeros(0, np.int64)).tolist() == []
    assert Watermark(2, newest=9).admit(np.array([6])).tolist() == [False]
