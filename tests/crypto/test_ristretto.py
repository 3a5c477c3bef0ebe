"""ristretto255, libsodium's and eight at a time, against rbcl's own functions; the library."""

import os
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from crypto.errors import ElementError
from crypto.groups import GROUPS, sodium
from crypto.groups.expand import expand_message_xmd
from crypto.groups.ristretto import Ristretto255
from crypto.kernels.ifma_engine import IfmaEngine

ROOT = Path(__file__).parents[2]
GROUP = GROUPS["ristretto255"]
TAG = b"SecureBoost-tests-v1"
DATA = [b"", b"a", b"customer", bytes(127), bytes(300), b"\xff" * 128]


@pytest.fixture
def rbcl():
    return pytest.importorskip("rbcl")


@pytest.fixture(params=[False, True], ids=["libsodium", "vectors"])
def group(request):
    if request.param and not IfmaEngine.available():
        pytest.skip("needs a CPU with AVX-512 IFMA, and numba's compiler")
    return Ristretto255(vectors=request.param)


@pytest.fixture
def fresh():
    """Let the library be looked for again, now and afterwards."""
    sodium.load.cache_clear()
    yield
    sodium.load.cache_clear()


@pytest.mark.kernels
@pytest.mark.parametrize("tag", [b"t", TAG, bytes(255)], ids=len)
def test_hashing_is_expansion_and_map(rbcl, group, tag):
    expected = [
        rbcl.crypto_core_ristretto255_from_hash(expand_message_xmd(item, tag, 64, "sha512"))
        for item in DATA
    ]
    assert [row.tobytes() for row in group.hash_to_group(DATA, tag=tag)] == expected


@pytest.mark.kernels
def test_products_are_those_of_the_library(rbcl, group):
    scalar, hashed = group.random_scalar(), group.hash_to_group(DATA, tag=TAG)
    expected = [
        rbcl.crypto_scalarmult_ristretto255(scalar.to_bytes(), row.tobytes()) for row in hashed
    ]
    assert [row.tobytes() for row in group.multiply(hashed, scalar)] == expected


@pytest.mark.kernels
def test_bad_elements_are_named(rbcl, group):
    hashed = group.hash_to_group(DATA, tag=TAG)
    hashed[4] = 0
    with pytest.raises(ElementError, match="element 4 of 6 is refused: it is the identity"):
        group.multiply(hashed, group.random_scalar())


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_an_element_has_one_encoding(rbcl, group, n_jobs):
    """libsodium 1.0.18 takes elements with the highest bit set for those without it."""
    good = group.hash_to_group([b"%d" % number for number in range(80)], tag=TAG)
    for position in (79, 41, 40, 0):
        good[position, 31] |= 128
        with pytest.raises(ElementError, match="no element has this encoding") as caught:
            group.multiply(good, group.random_scalar(), n_jobs=n_jobs)
        assert caught.value.position == position
    identity = np.zeros((1, 32), dtype=np.uint8)
    identity[0, 31] = 128
    with pytest.raises(ElementError, match="no element has this encoding"):
        group.multiply(identity, group.random_scalar())


def test_an_earlier_bad_element_is_named_before_one_with_the_highest_bit(rbcl, group):
    elements = group.hash_to_group(DATA, tag=TAG)
    elements[3, 31] |= 128
    elements[1] = 0
    with pytest.raises(ElementError, match="element 1 of 6 is refused: it is the identity"):
        group.multiply(elements, group.random_scalar())


def test_no_library(fresh, monkeypatch):
    monkeypatch.setitem(sys.modules, "rbcl", None)
    assert GROUP.missing() == "needs the package rbcl: run: pip install 'rbcl>=1.1.2'"


def test_a_library_that_cannot_be_loaded(fresh, monkeypatch, tmp_path):
    (tmp_path / "rbcl.py").write_text("raise OSError('failed to map segment')", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "rbcl", raising=False)
    monkeypatch.setattr("tempfile.gettempdir", lambda: "/locked")
    assert GROUP.missing() == (
        "cannot load libsodium: OSError: failed to map segment; rbcl puts it into the temporary "
        "folder /locked: set TMPDIR to a folder that may hold programs, or install rbcl again"
    )


def test_a_library_without_the_functions(fresh, monkeypatch):
    monkeypatch.setitem(sys.modules, "rbcl", types.ModuleType("rbcl"))
    assert GROUP.missing() == (
        "finds no libsodium that it can use in rbcl (module 'rbcl' has no attribute '_sodium'): "
        "run: pip install 'rbcl>=1.1.2'"
    )


@pytest.mark.skipif(os.name == "nt", reason="a loaded library cannot be deleted there")
def test_nothing_is_left_in_the_temporary_folder(rbcl, tmp_path):
    script = (
        "from crypto.groups import GROUPS; group = GROUPS['ristretto255']; "
        "group.hash_to_group([b'x'], tag=b't'); group.multiply(group.hash_to_group([b'x'], "
        "tag=b't'), group.random_scalar())"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", script], check=True, env=environment, timeout=120)
    assert not list(tmp_path.iterdir())
