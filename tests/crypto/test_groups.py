"""What every registered group must do."""

import copy
import pickle
import secrets

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto.errors import ElementError, GroupUnavailableError, HashInputError, ScalarError
from crypto.groups import GROUPS, best_group, get_group, sodium
from crypto.groups.ristretto import Ristretto255

TAG = b"SecureBoost-tests-v1"
MANY = 100
"""Enough for three threads."""
CUSTOMERS = [b"customer %d" % number for number in range(MANY)]


VARIANTS = {**GROUPS, "ristretto255, libsodium's products": Ristretto255(vectors=False)}


@pytest.fixture(params=VARIANTS)
def group(request):
    found = VARIANTS[request.param]
    if found.missing():
        pytest.skip(f"{found.name} {found.missing()}")
    return found


def scalar_of(group, number):
    return group.scalar_from_bytes(number.to_bytes(group.scalar_bytes, group.byte_order))


def rows(elements):
    return [row.tobytes() for row in elements]


@settings(max_examples=20)
@given(data=st.lists(st.binary(max_size=300), max_size=4))
def check_laws(group, data):
    a, b = group.random_scalar(), group.random_scalar()
    hashed = group.hash_to_group(data, tag=TAG)
    assert hashed.shape == (len(data), group.element_bytes)
    assert hashed.dtype == np.uint8
    assert len(set(rows(hashed))) == len(set(data))
    blinded = group.blind(data, a, tag=TAG)
    assert rows(blinded) == rows(group.multiply(hashed, a))
    assert rows(group.multiply(blinded, b)) == rows(
        group.multiply(group.blind(data, b, tag=TAG), a)
    )
    assert not set(rows(blinded)) & set(rows(hashed))


def test_laws(group):
    check_laws(group)


@pytest.mark.parametrize("count", [0, 1, 31, MANY])
@pytest.mark.parametrize("n_jobs", [2, 3])
def test_threads_change_nothing(group, count, n_jobs):
    data, a = CUSTOMERS[:count], group.random_scalar()
    hashed, blinded = group.hash_to_group(data, tag=TAG), group.blind(data, a, tag=TAG)
    assert rows(group.hash_to_group(data, tag=TAG, n_jobs=n_jobs)) == rows(hashed)
    assert rows(group.blind(data, a, tag=TAG, n_jobs=n_jobs)) == rows(blinded)
    assert rows(group.multiply(hashed, a, n_jobs=n_jobs)) == rows(blinded)
    assert hashed.shape == blinded.shape == (count, group.element_bytes)


def test_an_element_depends_on_its_own_input_alone(group):
    a = group.random_scalar()
    together = group.blind(CUSTOMERS, a, tag=TAG)
    assert rows(together[7:9]) == rows(group.blind(CUSTOMERS[7:9], a, tag=TAG))
    assert rows(together[::-1]) == rows(group.blind(CUSTOMERS[::-1], a, tag=TAG))


def test_hashes_differ_by_tag(group):
    data = [b"", b"a", b"a\0", b"\0a", b"tests-v1"]
    tags = [TAG, TAG + b"1", TAG[:-1], b"\0", bytes(255)]
    hashed = [row for tag in tags for row in rows(group.hash_to_group(data, tag=tag))]
    assert len(set(hashed)) == len(data) * len(tags)


def test_multiplying_by_one_and_by_minus_one(group):
    hashed = group.hash_to_group(CUSTOMERS[:3], tag=TAG)
    minus_one = scalar_of(group, group.order - 1)
    assert rows(group.multiply(hashed, scalar_of(group, 1))) == rows(hashed)
    assert rows(group.multiply(group.multiply(hashed, minus_one), minus_one)) == rows(hashed)


def test_scalars_multiply_modulo_the_order(group):
    hashed = group.hash_to_group(CUSTOMERS[:3], tag=TAG)
    a = secrets.randbelow(group.order - 1) + 1
    inverse = scalar_of(group, pow(a, -1, group.order))
    assert rows(group.multiply(group.multiply(hashed, scalar_of(group, a)), inverse)) == rows(
        hashed
    )


def test_any_layout_of_rows_is_taken_and_left_alone(group):
    a = group.random_scalar()
    hashed = group.hash_to_group(CUSTOMERS[:8], tag=TAG)
    before = rows(hashed)
    read_only = np.frombuffer(hashed.tobytes(), dtype=np.uint8).reshape(hashed.shape)
    expected = rows(group.multiply(hashed, a))
    assert rows(group.multiply(read_only, a)) == expected
    assert rows(group.multiply(hashed[::2], a)) == expected[::2]
    assert rows(group.multiply(np.asfortranarray(hashed), a)) == expected
    assert rows(hashed) == before


@pytest.mark.parametrize("n_jobs", [1, 2, 3])
def test_the_first_bad_element_is_named(group, n_jobs):
    hashed = group.hash_to_group(CUSTOMERS, tag=TAG)
    for position in (99, 60, 34, 0):  # in another thread's part, then before those
        hashed[position] = 255
        with pytest.raises(ElementError) as caught:
            group.multiply(hashed, group.random_scalar(), n_jobs=n_jobs)
        assert caught.value.position == position
        assert str(caught.value).startswith(f"element {position} of 100 is refused: ")


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((2, 31), dtype=np.uint8),
        np.zeros((2, 33), dtype=np.uint8),
        np.zeros(32, dtype=np.uint8),
        np.zeros((2, 4), dtype=np.uint64),
        np.zeros((2, 32), dtype=np.int8),
        np.zeros((1, 2, 32), dtype=np.uint8),
    ],
    ids=lambda wrong: f"{wrong.dtype}-{wrong.shape}",
)
def test_elements_of_another_shape_are_refused(group, wrong):
    with pytest.raises(ElementError) as caught:
        group.multiply(wrong, group.random_scalar())
    assert caught.value.position is None
    assert str(caught.value) == (
        f"elements has shape {wrong.shape} and dtype {wrong.dtype}; {group.name} takes shape "
        "(n, 32) and dtype uint8"
    )


def test_random_scalars_are_uniform_but_not_zero(group, monkeypatch):
    limits = []
    for drawn, expected in ((0, 1), (group.order - 2, group.order - 1)):
        monkeypatch.setattr(
            secrets, "randbelow", lambda n, drawn=drawn: (limits.append(n), drawn)[1]
        )
        data = group.random_scalar().to_bytes()
        assert int.from_bytes(data, group.byte_order) == expected
    assert limits == [group.order - 1] * 2
    monkeypatch.undo()
    assert len({group.random_scalar().to_bytes() for _ in range(50)}) == 50


def test_a_scalar_is_kept_in_a_file_and_nowhere_else(group):
    scalar = group.random_scalar()
    assert repr(scalar) == str(scalar) == f"<secret scalar of {group.name}>"
    for leak in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match=r"is never pickled or copied: keep it in this session"):
            leak(scalar)
    kept = group.scalar_from_bytes(scalar.to_bytes())
    hashed = group.hash_to_group([b"x"], tag=TAG)
    assert rows(group.multiply(hashed, kept)) == rows(group.multiply(hashed, scalar))


def test_scalars_out_of_range_are_refused(group):
    for number in (0, group.order, 2**256 - 1):
        with pytest.raises(
            ScalarError, match=r"the scalar is not from 1 to the order of"
        ) as caught:
            scalar_of(group, number)
        assert str(number) not in str(caught.value)[20:]
    for size in (0, 31, 33):
        with pytest.raises(ScalarError, match=f"has 32 bytes, not {size}"):
            group.scalar_from_bytes(bytes([1]) * size)


def test_scalars_of_another_group_are_refused(group):
    other = next(other for other in GROUPS.values() if other.name != group.name)
    for use in (
        lambda scalar: group.multiply(group.hash_to_group([b"x"], tag=TAG), scalar),
        lambda scalar: group.blind([b"x"], scalar, tag=TAG),
    ):
        with pytest.raises(
            ScalarError, match=f"scalar is one of {other.name}, not of {group.name}"
        ):
            use(other.random_scalar())


def test_input_that_cannot_be_hashed_is_refused(group):
    a = group.random_scalar()
    for hashing in (group.hash_to_group, lambda data, tag: group.blind(data, a, tag=tag)):
        for tag in (b"", bytes(256)):
            with pytest.raises(HashInputError, match=f"tag has {len(tag)} bytes; give 1 to 255"):
                hashing([], tag=tag)
        for item in ("anna@example.com", 4711, bytearray(b"x"), None):
            with pytest.raises(HashInputError) as caught:
                hashing([b"x", item], tag=TAG)
            assert str(caught.value) == (
                f"data[1] is of type {type(item).__name__}; encode it as bytes first"
            )


def test_registry(monkeypatch):
    assert list(GROUPS) == ["ristretto255", "p256"]
    assert all(get_group(name) is GROUPS[name] for name in GROUPS if not GROUPS[name].missing())
    with pytest.raises(GroupUnavailableError) as caught:
        get_group("x25519" + 100 * "!")
    assert str(caught.value) == (
        f"group='x25519{34 * '!'}' is unknown; use one of: ristretto255, p256"
    )


def test_without_its_library_a_group_is_passed_over(monkeypatch):
    monkeypatch.setattr(sodium, "load", lambda: "needs the package rbcl: run: pip install rbcl")
    assert best_group().name == "p256"
    with pytest.raises(GroupUnavailableError) as caught:
        get_group("ristretto255")
    assert str(caught.value) == (
        "group='ristretto255' needs the package rbcl: run: pip install rbcl; or use one of: p256"
    )
    with pytest.raises(GroupUnavailableError, match="group ristretto255 needs the package rbcl"):
        GROUPS["ristretto255"].hash_to_group([b"x"], tag=TAG)


def test_the_best_group_is_the_first_that_runs():
    assert best_group() is next(group for group in GROUPS.values() if not group.missing())
