"""The pool of randomness: bounded, each row once, never shared between processes."""

import os
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from support.keys import insecure_paillier_key

from crypto import wide
from crypto.paillier_private import PaillierPrivateKey
from crypto.pool import Pool, drawn_or_pooled
from crypto.schemes import SCHEMES

BLOCK = 50
SECONDS = 30.0  # more than enough; nothing waits that long


class Counter:
    """Draws 0, 1, 2, ..., and remembers the most rows asked for at once."""

    def __init__(self):
        self.next, self.most, self.lock = 0, 0, threading.Lock()

    def __call__(self, count):
        with self.lock:
            first, self.next = self.next, self.next + count
            self.most = max(self.most, count)
        return np.arange(first, first + count, dtype=np.uint64)[:, None]


@pytest.fixture
def pool():
    pool = Pool(Counter(), 3 * BLOCK, BLOCK)
    pool.start()
    assert pool.wait_until_full(SECONDS)
    yield pool
    pool.stop()


def taken(pool, count):
    blocks = pool.take(count)
    return np.concatenate([*blocks, np.empty((0, 1), np.uint64)])[:, 0].tolist()


def test_it_fills_to_its_capacity_and_no_further(pool):
    assert pool.available == pool.capacity == 3 * BLOCK
    assert pool._draw.next == 3 * BLOCK
    assert pool._draw.most == BLOCK
    assert repr(pool) == f"<pool of {3 * BLOCK} of {3 * BLOCK} rows>"


def test_every_row_comes_out_once_and_in_order(pool):
    rows = taken(pool, 5) + taken(pool, BLOCK)
    pool.wait_until_full(SECONDS)
    rows += taken(pool, 10 * BLOCK)
    assert rows == list(range(len(rows)))
    assert len(rows) == BLOCK + 5 + 3 * BLOCK


def test_threads_never_get_the_same_row(pool):
    rows = [[] for _ in range(4)]

    def work(mine):
        while len(mine) < 5 * BLOCK:
            mine += taken(pool, 7)

    threads = [threading.Thread(target=work, args=(mine,)) for mine in rows]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    everything = [row for mine in rows for row in mine]
    assert len(everything) == len(set(everything)) >= 20 * BLOCK


def test_stopping_forgets_and_starting_again_draws_afresh(pool):
    pool.stop()
    assert pool.available == 0
    assert taken(pool, 5) == []
    pool.start()
    pool.start()
    assert pool.wait_until_full(SECONDS)
    assert min(taken(pool, 5)) >= 3 * BLOCK


def test_what_the_pool_lacks_is_drawn(pool):
    fresh = np.array([[999]], dtype=np.uint64)
    rows = drawn_or_pooled(pool, lambda count: np.repeat(fresh, count, axis=0), 3 * BLOCK)
    assert rows[0, 0] == 0
    assert len(rows) == 3 * BLOCK
    assert drawn_or_pooled(None, lambda count: np.repeat(fresh, count, axis=0), 2).tolist() == [
        [999],
        [999],
    ]
    assert drawn_or_pooled(pool, lambda count: np.repeat(fresh, count, axis=0), 0).shape == (0, 1)


def test_an_error_stops_the_pool_and_is_logged(caplog):
    def fail(count):
        raise RuntimeError("no randomness")

    pool = Pool(fail, 10)
    pool.start()
    pool._thread.join(SECONDS)
    assert pool.take(3) == []
    assert "the pool of randomness stops" in caplog.text
    pool.stop()


def test_a_pool_is_not_pickled(pool):
    with pytest.raises(TypeError, match="never pickled or copied"):
        pickle.dumps(pool)


def test_a_capacity_below_one_is_refused():
    with pytest.raises(ValueError, match="capacity=0 must be at least 1"):
        Pool(Counter(), 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_child_of_a_fork_finds_it_empty(pool):
    child = os.fork()
    if child == 0:
        os._exit(0 if pool.available == 0 and pool.take(1) == [] else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert pool.available == 3 * BLOCK


def drain(pool, count):
    """Take so many rows from a pool that refills itself."""
    blocks = []
    while count:
        assert pool.wait_until_full(SECONDS)
        taken = pool.take(min(count, 1777))  # cuts the pool's own blocks
        count -= sum(map(len, taken))
        blocks += taken
    return blocks


def count_distinct(rows):
    ordered = rows[np.lexsort(rows.T)]
    return 1 + np.count_nonzero((ordered[1:] != ordered[:-1]).any(axis=1))


@pytest.mark.parametrize(
    ("scheme", "side", "total"),
    [
        ("paillier", "label party", 10**6),
        ("paillier-short-exponent-djn", "label party", 10**5),
        ("paillier", "feature party", 2 * 10**4),
    ],
)
def test_no_randomness_is_drawn_or_handed_out_twice(scheme, side, total):
    """Two owners of one key, a pool for each that works ahead, two takers at each pool.

    With 128 bits the chance of a repeat is below ``2**-60`` in all three cases.
    """
    original = insecure_paillier_key(128)
    owners = [SCHEMES[scheme].adopt(original) for _ in range(2)]
    if side == "feature party":
        owners = [owner.public_key for owner in owners]
    pools = [owner.start_pool(8192) for owner in owners]
    try:
        with ThreadPoolExecutor(4) as takers:
            shares = takers.map(drain, pools * 2, [total // 4] * 4)
            rows = np.concatenate([block for blocks in shares for block in blocks])
    finally:
        for owner in owners:
            owner.stop_pool()
    # a = r**n mod n belongs to one r only, so equal r show as equal a, whatever t is
    words = original.public_key.words
    assert len(rows) == count_distinct(rows[:, :words]) == total
    # and they are what they should be: encryptions of zero
    assert not original.decrypt(rows[:: total // 100]).any()


@pytest.mark.parametrize("short_exponent_djn", [False, True])
def test_encryption_and_rerandomising_draw_from_pools(short_exponent_djn):
    original = insecure_paillier_key(256)
    key = PaillierPrivateKey(original.p, original.q, short_exponent_djn=short_exponent_djn)
    pools = [key.start_pool(20), key.public_key.start_pool(20)]
    for pool in pools:
        assert pool.wait_until_full(SECONDS)
    numbers = [0, 1, -1, 2**100] * 8  # more than the pool holds
    ciphertexts = key.encrypt(wide.from_integers(numbers, 2, signed=True))
    fresh = key.public_key.rerandomise(ciphertexts)
    assert len({row.tobytes() for row in np.concatenate([ciphertexts, fresh])}) == 64
    for batch in (ciphertexts, fresh):
        assert wide.to_integers(key.decrypt(batch), signed=True) == numbers
    public = pickle.loads(pickle.dumps(key.public_key))  # noqa: S301
    assert public.n == key.public_key.n
    assert public._pool is None
    for owner in (key, key.public_key):
        owner.stop_pool()
        owner.stop_pool()
    assert [pool.available for pool in pools] == [0, 0]
