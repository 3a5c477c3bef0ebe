"""What every registered scheme must do."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.keys import full_paillier_key, insecure_key

from crypto import wide
from crypto.errors import (
    CapacityError,
    CiphertextError,
    KeyFormatError,
    PlaintextError,
    SchemeUnavailableError,
    SegmentError,
)
from crypto.packing import GradientPacking
from crypto.schemes import SCHEMES, get_scheme, load_public_key

BITS = 120
NUMBERS = st.integers(-(2**BITS) + 1, 2**BITS - 1)


@pytest.fixture(params=[(name, bits) for name in SCHEMES for bits in (256, 512)], ids=str)
def key(request):
    return insecure_key(*request.param)


def words(numbers):
    return wide.from_integers(numbers, 2, signed=True)


def decrypted(key, ciphertexts, n_jobs=1):
    return wide.to_integers(key.decrypt(ciphertexts, n_jobs=n_jobs), signed=True)


def few(test):
    return settings(max_examples=15)(test)


@few
@given(numbers=st.lists(NUMBERS, max_size=6), n_jobs=st.integers(1, 3))
def check_round_trip(key, numbers, n_jobs):
    ciphertexts = key.encrypt(words(numbers), n_jobs=n_jobs)
    assert ciphertexts.shape == (len(numbers), key.public_key.ciphertext_words)
    assert ciphertexts.dtype == np.uint64
    key.public_key.check(ciphertexts)
    assert decrypted(key, ciphertexts, n_jobs) == numbers


@few
@given(data=st.data(), numbers=st.lists(NUMBERS, min_size=1, max_size=6))
def check_sums(key, data, numbers):
    segments = data.draw(st.lists(st.lists(st.integers(0, len(numbers) - 1), max_size=5)))
    rows = np.array([row for segment in segments for row in segment], dtype=np.int64)
    starts = np.cumsum([0] + [len(segment) for segment in segments]).astype(np.int64)
    sums = key.public_key.sum_by_segment(key.encrypt(words(numbers)), rows, starts)
    assert decrypted(key, sums) == [sum(numbers[row] for row in segment) for segment in segments]


@few
@given(
    numbers=st.lists(st.integers(-(2**19), 2**19), max_size=8),
    slots=st.integers(1, 6),
    n_jobs=st.integers(1, 2),
)
def check_packing(key, numbers, slots, n_jobs):
    packed = key.public_key.pack(key.encrypt(words(numbers)), 21, slots, n_jobs=n_jobs)
    assert decrypted(key, packed) == [
        sum(number << (21 * j) for j, number in enumerate(numbers[i : i + slots]))
        for i in range(0, len(numbers), slots)
    ]


def test_round_trip(key):
    check_round_trip(key)


def test_sums(key):
    check_sums(key)


def test_packing(key):
    check_packing(key)


def test_negatives(key):
    numbers = [0, 1, -1, 12345, -(2**90)]
    negated = key.public_key.negate(key.encrypt(words(numbers)))
    assert decrypted(key, negated) == [-number for number in numbers]


def test_the_largest_plaintexts(key):
    limit = 2**key.public_key.plaintext_bits
    width = wide.words_for(key.public_key.plaintext_bits + 2)
    extremes = [limit - 1, -limit + 1]
    ciphertexts = key.encrypt(wide.from_integers(extremes, width, signed=True))
    assert decrypted(key, ciphertexts) == extremes
    for outside in (limit, -limit):
        with pytest.raises(PlaintextError, match="plaintext 1 does not lie within") as caught:
            key.encrypt(wide.from_integers([0, outside], width, signed=True))
        assert caught.value.position == 1


def test_rerandomised_ciphertexts_decrypt_to_the_same(key):
    numbers = [0, 1, -1, 2**100, -(2**100)]
    ciphertexts = key.encrypt(words(numbers))
    fresh = key.public_key.rerandomise(ciphertexts, n_jobs=2)
    assert decrypted(key, fresh) == numbers
    if not key.public_key.in_process_only:
        assert (fresh != ciphertexts).any(axis=1).all()


def test_two_encryptions_of_one_value_differ(key):
    ciphertexts = key.encrypt(words([7] * 20))
    distinct = len({row.tobytes() for row in ciphertexts})
    assert distinct == (1 if key.public_key.in_process_only else 20)


def test_gradients_through_encryption_sums_and_packing(key):
    packing = GradientPacking(8, 2**20, 2**18)
    rng = np.random.default_rng(3)
    gradients = np.stack([rng.integers(-(2**20), 2**20, 8), rng.integers(0, 2**18, 8)], axis=1)
    gradients[0] = -(2**20), 0
    ciphertexts = key.encrypt(packing.pack(gradients))
    rows, starts = np.array([0, 1, 2, 3, 0, 0, 4, 5, 6, 7]), np.array([0, 4, 5, 5, 10])
    public = load_public_key(key.public_key.scheme, key.public_key.to_bytes(), allow_insecure=True)
    slots = packing.cells_per_ciphertext(public.plaintext_bits)
    sums = public.sum_by_segment(ciphertexts, rows, starts)
    packed = public.rerandomise(public.pack(sums, packing.cell_bits, slots))
    assert packing.unpack(key.decrypt(packed), 4, slots).tolist() == [
        gradients[:4].sum(axis=0).tolist(),
        gradients[0].tolist(),
        [0, 0],
        gradients[rows[5:]].sum(axis=0).tolist(),
    ]


def test_the_public_key_travels(key):
    public = key.public_key
    loaded = load_public_key(public.scheme, public.to_bytes(), allow_insecure=True)
    assert type(loaded) is type(public)
    assert loaded.fingerprint == public.fingerprint
    assert len(public.fingerprint) == 64
    assert (loaded.key_bits, loaded.plaintext_bits) == (public.key_bits, public.plaintext_bits)
    # what the copy computes the original's owner can read
    total = loaded.sum_by_segment(key.encrypt(words([3, 4])), np.array([0, 1]), np.array([0, 2]))
    assert decrypted(key, total) == [7]


@pytest.mark.parametrize("data", [b"", b"nonsense", b"paillier/1:", b"phe/1:", b"plain/1:x"])
def test_bytes_that_are_no_key_are_refused(key, data):
    with pytest.raises(KeyFormatError):
        load_public_key(key.public_key.scheme, data, allow_insecure=True)


def test_slots_that_do_not_fit_are_refused(key):
    bits = key.public_key.plaintext_bits
    with pytest.raises(CapacityError, match=rf"slots=2 of slot_bits={bits} must be positive"):
        key.public_key.pack(key.encrypt(words([1, 2])), bits, 2)


@pytest.mark.parametrize(
    ("rows", "starts", "message"),
    [
        ([0, 2], [0, 2], r"rows\[1\] is outside the 2 ciphertexts"),
        ([0, -1], [0, 2], r"rows\[1\] is outside the 2 ciphertexts"),
        ([0, 1], [0, 1], "starts must rise from 0 to the 2 rows"),
        ([0, 1], [1, 2], "starts must rise from 0 to the 2 rows"),
        ([0, 1], [0, 2, 1, 2], "starts must rise from 0 to the 2 rows"),
        ([0, 1], [], "starts must rise from 0 to the 2 rows"),
    ],
)
def test_segments_that_point_outside_are_refused(key, rows, starts, message):
    with pytest.raises(SegmentError, match=message):
        key.public_key.sum_by_segment(
            key.encrypt(words([1, 2])), np.array(rows, np.int64), np.array(starts, np.int64)
        )


def test_segments_of_another_dtype_are_refused(key):
    with pytest.raises(SegmentError, match=r"rows \(int32, 1 dimensions\)"):
        key.public_key.sum_by_segment(
            key.encrypt(words([1])), np.zeros(1, np.int32), np.array([0, 1])
        )


def test_ciphertexts_of_another_shape_or_dtype_are_refused(key):
    good = key.encrypt(words([1, 2]))
    for bad in (good[:, :-1], good[0], good.astype(np.int64), np.hstack([good, good])):
        with pytest.raises(CiphertextError, match="ciphertexts must be uint64 of shape"):
            key.public_key.check(bad)
        with pytest.raises(CiphertextError, match="ciphertexts must be uint64 of shape"):
            key.decrypt(bad)


def test_numbers_out_of_range_are_refused_with_their_position(key):
    ciphertexts = key.encrypt(words([1, 2, 3]))
    ciphertexts[1] = 2**64 - 1
    if key.public_key.scheme == "plain":
        ciphertexts[1, -1] >>= np.uint64(1)  # there, all ones are -1
    for check in (key.public_key.check, key.decrypt):
        with pytest.raises(CiphertextError, match="ciphertext 1") as caught:
            check(ciphertexts)
        assert caught.value.position == 1


def test_private_keys_are_neither_shown_nor_pickled_nor_copied(key):
    for text in (repr(key), str(key), f"{key}"):
        assert key.public_key.fingerprint[:16] in text
        assert len(text) < 100
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match=r"never pickled or copied.*write_private_key"):
            attempt(key)
    with pytest.raises(TypeError, match="never pickled"):
        key.__getstate__()


def test_only_the_plain_scheme_is_in_process_only(key):
    assert key.public_key.in_process_only == (key.public_key.scheme == "plain")


def test_the_full_length():
    key = full_paillier_key()
    numbers = [0, 1, -1, 2**2046 - 1, -(2**2046) + 1]
    ciphertexts = key.encrypt(wide.from_integers(numbers, 32, signed=True), n_jobs=2)
    assert ciphertexts.shape == (5, 64)
    public = load_public_key("paillier", key.public_key.to_bytes())
    public.check(ciphertexts)
    assert decrypted(key, ciphertexts, 2) == numbers
    sums = public.sum_by_segment(ciphertexts, np.array([1, 1, 2, 3, 4, 1]), np.array([0, 3, 3, 6]))
    assert decrypted(key, public.rerandomise(sums, n_jobs=2)) == [1, 0, 1]
    assert decrypted(key, public.pack(ciphertexts[1:3], 60, 2)) == [1 - 2**60]


def test_an_unknown_scheme_is_an_error_that_lists_the_known():
    with pytest.raises(
        SchemeUnavailableError,
        match="scheme='rsa' is unknown; use one of: paillier, paillier-short-exponent-djn, plain",
    ):
        get_scheme("rsa")


def test_without_python_paillier_its_scheme_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "phe", None)
    with pytest.raises(SchemeUnavailableError, match=r"pip install 'secureboost\[phe\]'"):
        SCHEMES["phe"].generate(2048)


@pytest.mark.parametrize(
    ("name", "short"), [("paillier", False), ("paillier-short-exponent-djn", True)]
)
def test_short_exponents_are_used_under_their_own_name_only(name, short):
    scheme = SCHEMES[name]
    assert scheme.insecure_test_key(64).short_exponent_djn is short
    for other in ("paillier", "paillier-short-exponent-djn"):
        key = insecure_key(other, 256)
        adopted = scheme.adopt(key)
        assert adopted.short_exponent_djn is short
        # nothing that a feature party sees is different
        assert adopted.public_key.to_bytes() == key.public_key.to_bytes()
        assert adopted.public_key.scheme == "paillier"
        assert decrypted(key, adopted.encrypt(words([5, -5]))) == [5, -5]
