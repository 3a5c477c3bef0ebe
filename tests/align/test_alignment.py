"""The outcome of an alignment: its file, its stores, its digest of a table."""

import stat

import numpy as np
import pytest
from support.aligning import keys_of

from secureboost.alignment import (
    Alignment,
    FolderAlignments,
    MemoryAlignments,
    keys_digest,
    read_alignment,
    write_alignment,
)
from secureboost.errors import AlignmentError


def alignment(**changes):
    fields = {
        "id": bytes(range(32)),
        "rows": np.array([3, -1, 0, 2], np.int32),
        "table_digest": b"t" * 32,
        "party": "label-party",
        "peer": "bureau",
        "details": {"method": "ecdh", "common keys": 3},
    }
    return Alignment(**(fields | changes))


def assert_same(one, other):
    for name in ("id", "table_digest", "party", "peer", "details", "secret"):
        assert getattr(one, name) == getattr(other, name)
    assert one.rows.dtype == other.rows.dtype == np.int32
    assert one.rows.tolist() == other.rows.tolist()


def test_the_file_gives_back_what_was_written(tmp_path):
    path = tmp_path / "folder" / "a.alignment"
    written = alignment()
    write_alignment(path, written)
    assert_same(read_alignment(path), written)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_every_changed_byte_and_every_cut_is_noticed(tmp_path):
    path = tmp_path / "a.alignment"
    write_alignment(path, alignment())
    whole = path.read_bytes()
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(AlignmentError, match=r"damaged|no alignment file|another version"):
            read_alignment(path)
        path.write_bytes(whole[:position])
        with pytest.raises(AlignmentError, match=r"damaged|no alignment file|another version"):
            read_alignment(path)


def test_a_file_of_another_version_is_named(tmp_path):
    path = tmp_path / "a.alignment"
    write_alignment(path, alignment())
    path.write_bytes(b"SBALIGN9" + path.read_bytes()[8:])
    with pytest.raises(AlignmentError, match=r"another version; make it again"):
        read_alignment(path)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"id": b"x"}, "its id has 1 bytes, not 32"),
        ({"table_digest": b""}, "its table_digest has 0 bytes"),
        ({"rows": np.array([1, -2], np.int32)}, "agreed row 1 stands for a row below -1"),
        ({"rows": np.array([1], np.int64)}, r"its rows are int64\[1\], not a list of int32"),
    ],
)
def test_an_alignment_that_cannot_be_is_refused(changes, problem):
    with pytest.raises(AlignmentError, match=f"alignment of 'label-party' cannot be: {problem}"):
        alignment(**changes)


def test_a_changed_table_is_refused_by_name():
    alignment().check_table(b"t" * 32)
    with pytest.raises(AlignmentError, match=r"table of 'label-party' is not the one.*Align again"):
        alignment().check_table(b"u" * 32)


def test_nothing_of_the_content_shows():
    assert repr(alignment()) == "Alignment(00010203, 'label-party' with 'bureau', 4 rows)"


def test_two_alignments_have_different_secrets():
    assert alignment().secret != alignment().secret


@pytest.mark.parametrize("kind", ["memory", "folder"])
def test_stores_find_by_id(kind, tmp_path):
    store = MemoryAlignments() if kind == "memory" else FolderAlignments(tmp_path / "kept")
    kept = alignment()
    store.save(kept)
    assert_same(store.load(kept.id), kept)
    assert store.load(b"?" * 32) is None


def test_a_folder_is_its_owners_alone(tmp_path):
    store = FolderAlignments(tmp_path / "kept")
    assert stat.S_IMODE((tmp_path / "kept").stat().st_mode) == 0o700
    with pytest.raises(ValueError, match="has 32 bytes, this one 9"):
        store.path(b"../../etc")


def test_the_digest_names_keys_rows_and_their_order():
    tables = [
        keys_of(["a", "b", "c"]),
        keys_of(["b", "a", "c"]),
        keys_of(["a", "b"]),
        keys_of(["a", "b", None, "c"]),
        keys_of(["ab", "c", "d"]),
        keys_of(["a", "bc", "d"]),
        keys_of(["a", "b", "c", "b"], duplicates="first"),
        keys_of(["a", "b", "c", "b"], duplicates="last"),
    ]
    digests = [keys_digest(keys.encoded, keys.number) for keys in tables]
    assert len(set(digests)) == len(digests)
    again = keys_of(["a", "b", "c"])
    assert keys_digest(again.encoded, again.number) == digests[0]


def test_the_digest_goes_over_all_keys(monkeypatch):
    monkeypatch.setattr("secureboost.alignment._KEYS_AT_A_TIME", 7)
    keys = keys_of([f"id{i}" for i in range(50)])
    digests = {keys_digest(keys.encoded, keys.number)}
    for position in range(50):
        changed = [*keys.encoded]
        changed[position] = b"other"
        digests.add(keys_digest(changed, keys.number))
    assert len(digests) == 51
