"""Files of tags: what they give back, what a crash leaves, and what is refused."""

import hashlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.keys import insecure_signing_key

from crypto.errors import KeyFormatError, KeySizeError
from secureboost.align.elements import sorting
from secureboost.align.tag_file import TagFile
from secureboost.align.tag_set import MAGIC, TagSet, digest_tags, read_tag_set, write_tag_set
from secureboost.errors import AlignmentError

FINGERPRINT, OTHER = "ab" * 32, "cd" * 32


def keys(*numbers):
    return [f"key {number}".encode() for number in numbers]


def tags(*numbers):
    """A made-up tag for each key; the last of 256 ends in zeros."""
    digests = [hashlib.sha256(b"%d" % number).digest() for number in numbers]
    rows = np.array([list(digest) for digest in digests], dtype=np.uint8).reshape(-1, 32)
    rows[np.array(numbers, dtype=int) % 3 == 0, -2:] = 0
    return rows


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "folder" / "own.tags"
    file = TagFile(path, FINGERPRINT)
    file.add(keys(0, 1, 2), tags(0, 1, 2))
    file.add(keys(3), tags(3))
    return path


# tags by key


@settings(max_examples=30)
@given(st.lists(st.sets(st.integers(0, 30), max_size=8), max_size=4), st.booleans())
def test_what_was_added_is_found(tmp_path_factory, groups, on_disk):
    path = tmp_path_factory.mktemp("tags") / "own.tags" if on_disk else None
    file, expected = TagFile(path, FINGERPRINT), {}
    for group in groups:
        new = [number for number in group if number not in expected]
        file.add(keys(*new), tags(*new))
        expected |= {number: tags(number)[0] for number in new}
        for reader in (file, TagFile(path, FINGERPRINT)) if on_disk else (file,):
            found, known = reader.find(keys(*range(31)))
            assert known.tolist() == [number in expected for number in range(31)]
            assert all((found[number] == expected[number]).all() for number in expected)
            assert not found[~known].any()


def test_an_empty_file_has_nothing(tmp_path):
    found, known = TagFile(tmp_path / "none", FINGERPRINT).find(keys(1, 2))
    assert found.shape == (2, 32)
    assert not known.any()
    assert TagFile(None, FINGERPRINT).find([])[0].shape == (0, 32)
    assert not list(tmp_path.iterdir())


def test_only_the_owner_can_read_it_and_no_key_or_plain_hash_is_in_it(path):
    assert path.stat().st_mode & 0o777 == 0o600
    data = path.read_bytes()
    for key in keys(0, 1, 2, 3):
        assert key not in data
        assert hashlib.sha256(key).digest() not in data
    again = TagFile(path.with_name("other.tags"), FINGERPRINT)
    again.add(keys(0, 1, 2), tags(0, 1, 2))
    assert again.find(keys(1))[1].all()
    names = data[104 + 8 : 104 + 8 + 96]
    assert names not in (path.parent / "other.tags").read_bytes()  # salted


def test_names_depend_on_the_secret(path):
    assert TagFile(path, FINGERPRINT).find(keys(0))[1].all()
    assert not TagFile(path, FINGERPRINT, b"secret").find(keys(0))[1].any()


@pytest.mark.parametrize("lost", [1, 31, 32, 33, 95, 96, 103])
def test_a_chunk_that_a_crash_left_unfinished_is_dropped(path, caplog, lost):
    path.write_bytes(path.read_bytes()[:-lost])
    file = TagFile(path, FINGERPRINT)
    assert file.find(keys(0, 1, 2, 3))[1].tolist() == [True, True, True, False]
    assert f"the last {104 - lost} bytes were not finished and are dropped" in caplog.text
    file.add(keys(3, 4), tags(3, 4))
    found, known = TagFile(path, FINGERPRINT).find(keys(0, 1, 2, 3, 4))
    assert known.all()
    assert (found == tags(0, 1, 2, 3, 4)).all()


def test_a_last_chunk_of_other_bytes_is_dropped(path):
    data = bytearray(path.read_bytes())
    data[-40] ^= 1
    path.write_bytes(data)
    assert TagFile(path, FINGERPRINT).find(keys(0, 3))[1].tolist() == [True, False]


@pytest.mark.parametrize("place", [0, 10, 50, 100, 120, 200, 300])
def test_damage_before_the_end_is_refused(path, place):
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    with pytest.raises(AlignmentError, match=r"own\.tags is damaged, or holds no tags. Restore"):
        TagFile(path, FINGERPRINT)


@pytest.mark.parametrize("data", [b"", b"SBTAG", b"SBTAGS1\n", b"SBTAGS1\n" + bytes(95)])
def test_a_header_that_a_crash_left_unfinished(tmp_path, data):
    (tmp_path / "f").write_bytes(data)
    file = TagFile(tmp_path / "f", FINGERPRINT)
    file.add(keys(1), tags(1))
    assert (TagFile(tmp_path / "f", FINGERPRINT).find(keys(1))[0] == tags(1)).all()


def test_several_sessions_add_to_one_file(tmp_path):
    """Each has read the file before the others wrote to it."""
    path = tmp_path / "own.tags"
    files = [TagFile(path, FINGERPRINT) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        work = [
            pool.submit(file.add, keys(number), tags(number))
            for first in range(0, 40, 4)
            for number, file in enumerate(files, first)
        ]
    assert [future.result() for future in work] == [None] * 40
    for file in (TagFile(path, FINGERPRINT), *files):
        file.add(keys(100), tags(100))
        found, known = file.find(keys(*range(40), 100))
        assert known.all()
        assert (found == tags(*range(40), 100)).all()


@pytest.mark.parametrize("data", [b"x", b"SBTAGS2", b"SBTAGS1\n" + bytes(96), b"x" * 200])
def test_what_is_no_such_file(tmp_path, data):
    (tmp_path / "f").write_bytes(data)
    with pytest.raises(AlignmentError, match="is damaged, or holds no tags"):
        TagFile(tmp_path / "f", FINGERPRINT)


def test_tags_under_another_signing_key(path):
    with pytest.raises(
        AlignmentError, match="under the signing key abababababababab, but keys are now signed with"
    ):
        TagFile(path, OTHER)


# tag sets


@pytest.fixture(scope="module")
def tag_set():
    key, some = insecure_signing_key(512), tags(*range(9))
    return TagSet(key.public_key, key.proof, some[sorting(some)])


def test_a_tag_set_comes_back(tmp_path, tag_set):
    write_tag_set(tmp_path / "set", tag_set)
    assert (tmp_path / "set").stat().st_mode & 0o777 == 0o600
    read = read_tag_set(tmp_path / "set", allow_insecure=True)
    assert read.digest == tag_set.digest == digest_tags(tag_set.key, tag_set.tags)
    assert (read.tags == tag_set.tags).all()
    assert (read.proof == tag_set.proof).all()
    with pytest.raises(KeySizeError, match=r"set: key_bits=512 is insecure"):
        read_tag_set(tmp_path / "set")


def test_a_tag_set_without_tags(tmp_path, tag_set):
    write_tag_set(tmp_path / "set", TagSet(tag_set.key, tag_set.proof, tag_set.tags[:0]))
    assert read_tag_set(tmp_path / "set", allow_insecure=True).tags.shape == (0, 32)


def sealed(content):
    return content + hashlib.sha256(content).digest()


def test_every_damage_is_found(tmp_path, tag_set):
    path = tmp_path / "set"
    write_tag_set(path, tag_set)
    data = path.read_bytes()
    for length in (0, 5, 32, 42, 100, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(AlignmentError, match="set is damaged, or no tag set; ask the feature"):
            read_tag_set(path, allow_insecure=True)
    for place in range(0, len(data), 37):
        path.write_bytes(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])
        with pytest.raises(AlignmentError, match="set is damaged"):
            read_tag_set(path, allow_insecure=True)


@pytest.mark.parametrize(
    "content",
    [
        MAGIC,
        MAGIC + b"\xff\xff\xff\xff",
        MAGIC + bytes(4) + b"\x09\0\0\0" + bytes(9) + bytes(8),
        MAGIC + bytes(8) + (1 << 63).to_bytes(8, "little"),
        MAGIC + bytes(8) + b"\1" + bytes(7) + bytes(31),
    ],
)
def test_lengths_that_do_not_fit(tmp_path, content):
    (tmp_path / "set").write_bytes(sealed(content))
    with pytest.raises(AlignmentError, match="set is damaged"):
        read_tag_set(tmp_path / "set", allow_insecure=True)


def test_what_is_well_sealed_but_not_made_by_the_rules(tmp_path, tag_set):
    path = tmp_path / "set"
    for order in ([1, 0, *range(2, 9)], [0, 0, *range(2, 9)]):
        write_tag_set(path, TagSet(tag_set.key, tag_set.proof, tag_set.tags[order]))
        with pytest.raises(AlignmentError, match="not in ascending order, or one occurs twice"):
            read_tag_set(path, allow_insecure=True)
    write_tag_set(path, TagSet(tag_set.key, tag_set.proof[::-1].copy(), tag_set.tags))
    with pytest.raises(KeyFormatError, match=r"set: .*does not come with a valid proof"):
        read_tag_set(path, allow_insecure=True)
