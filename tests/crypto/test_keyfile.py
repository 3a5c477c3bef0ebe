"""Key files: what is refused, and that nothing half is left behind."""

import json
import os

import numpy as np
import pytest
from support.keys import full_paillier_key, insecure_paillier_key

from crypto import keyfile, wide
from crypto.errors import (
    KeyFileError,
    KeyFileExposedError,
    KeyFormatError,
    KeySizeError,
    WrongPassphraseError,
)
from crypto.paillier_private import PaillierPrivateKey
from crypto.primes import KnownPrime

PASSPHRASE = "correct horse"


@pytest.fixture(autouse=True)
def cheap_scrypt(monkeypatch):
    monkeypatch.setattr(keyfile, "SCRYPT_N", 1 << 10)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "label.key"
    keyfile.write_private_key(path, insecure_paillier_key(256), PASSPHRASE)
    return path


def read(path, passphrase=PASSPHRASE):
    return keyfile.read_private_key(path, passphrase, allow_insecure=True)


def change(path, edit):
    envelope = json.loads(path.read_text())
    edit(envelope)
    path.write_text(json.dumps(envelope))


def test_round_trip_keeps_the_primitive_roots(path):
    original, loaded = insecure_paillier_key(256), read(path)
    assert (loaded.p, loaded.q) == (original.p, original.q)
    assert loaded.p.primitive_root is not None
    one = np.array([[1]], dtype=np.uint64)
    assert wide.to_integers(original.decrypt(loaded.encrypt(one))) == [1]


def test_an_imported_key_has_no_roots_before_or_after(tmp_path):
    key = insecure_paillier_key(256)
    bare = PaillierPrivateKey(KnownPrime(key.p.value, None), KnownPrime(key.q.value, None))
    keyfile.write_private_key(tmp_path / "k", bare, PASSPHRASE)
    assert read(tmp_path / "k").p == bare.p


def test_the_full_length_needs_no_permission(tmp_path, monkeypatch):
    monkeypatch.undo()  # the real cost of scrypt, once
    key = full_paillier_key()
    keyfile.write_private_key(tmp_path / "k", key, PASSPHRASE)
    assert keyfile.read_private_key(tmp_path / "k", PASSPHRASE).public_key.n == key.public_key.n
    assert json.loads((tmp_path / "k").read_text())["private_key"]["scrypt"]["n"] == 1 << 16


def test_only_the_owner_can_read_it_and_no_secret_is_in_it(path):
    assert path.stat().st_mode & 0o777 == 0o600
    key, text = insecure_paillier_key(256), path.read_bytes()
    for number in (key.p.value, key.q.value):
        assert str(number).encode() not in text
        assert f"{number:x}".encode() not in text.lower()
    assert os.listdir(path.parent) == [path.name]


def test_a_wrong_passphrase(path):
    with pytest.raises(WrongPassphraseError, match="the passphrase is wrong, or the file was"):
        read(path, "wrong horse")


def test_an_empty_passphrase(tmp_path):
    with pytest.raises(KeyFileError, match="the passphrase is empty"):
        keyfile.write_private_key(tmp_path / "k", insecure_paillier_key(256), "")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620])
def test_a_file_that_others_can_read(path, mode):
    path.chmod(mode)
    with pytest.raises(KeyFileExposedError, match=rf"\(mode {mode:03o}\); run: chmod 600 {path}"):
        read(path)


def test_a_truncated_file(path):
    data = path.read_bytes()
    for length in (0, 1, len(data) // 2, len(data) - 3):
        path.write_bytes(data[:length])
        with pytest.raises(KeyFormatError, match=r"label\.key is not a key file"):
            read(path)


def flip(data):
    return ("B" if data[0] == "A" else "A") + data[1:]


@pytest.mark.parametrize(
    "edit",
    [
        lambda e: e["private_key"].update(ciphertext=flip(e["private_key"]["ciphertext"])),
        lambda e: e["private_key"].update(ciphertext=""),
        lambda e: e["private_key"].update(nonce=flip(e["private_key"]["nonce"])),
        lambda e: e["private_key"].update(nonce=""),
        lambda e: e["private_key"]["scrypt"].update(salt=""),
        lambda e: e["private_key"]["scrypt"].update(n=2048),
        lambda e: e["private_key"]["scrypt"].update(p=2),
    ],
)
def test_a_tampered_private_part(path, edit):
    change(path, edit)
    with pytest.raises(WrongPassphraseError, match="the file was changed after it was written"):
        read(path)


def test_another_public_key_in_the_envelope(path, tmp_path):
    keyfile.write_public_key(tmp_path / "other", insecure_paillier_key(512).public_key)
    other = json.loads((tmp_path / "other").read_text())
    change(path, lambda e: e.update(other))
    with pytest.raises(WrongPassphraseError, match="the file was changed"):
        read(path)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda e: e.update(version=2), "version 2 is not 'secureboost-key' version 1"),
        (lambda e: e.update(format="ssh"), "format 'ssh'"),
        (lambda e: e.update(scheme="phe"), "scheme='phe' cannot be used here"),
        (lambda e: e.update(fingerprint="00"), "the fingerprint does not belong to the key"),
        (lambda e: e.update(key_bits=2048), "key_bits=2048 or the fingerprint"),
        (lambda e: e.update(extra=1), "unknown field `extra`"),
        (lambda e: e.pop("public_key"), "missing required field `public_key`"),
        (lambda e: e.update(public_key="cGhlLzE6"), "not a paillier public key of format 1"),
    ],
)
def test_a_damaged_envelope(path, edit, message):
    change(path, edit)
    with pytest.raises(KeyFormatError, match=message):
        read(path)


@pytest.mark.parametrize(
    "hostile",
    [
        {"n": 1 << 30},
        {"r": 1 << 30},
        {"p": 1 << 20},
        {"n": 0},
        {"n": 1000},
        {"n": -1024},
        {"r": 0},
        {"p": 0},
    ],
)
def test_scrypt_parameters_that_cost_too_much(path, hostile):
    change(path, lambda e: e["private_key"]["scrypt"].update(hostile))
    ((name, value),) = hostile.items()
    with pytest.raises(KeyFormatError, match=rf"scrypt with .*{name}={value}.* is refused"):
        read(path)


def test_an_endless_file(path):
    path.write_bytes(b" " * (keyfile.MAX_FILE_BYTES + 1))
    with pytest.raises(KeyFormatError, match="is longer than 65536 bytes"):
        read(path)


def test_a_short_key_is_refused_by_default(path):
    with pytest.raises(KeySizeError, match=r"label\.key: key_bits=256 is insecure"):
        keyfile.read_private_key(path, PASSPHRASE)


def test_a_key_is_not_overwritten_by_accident(path):
    before = path.read_bytes()
    with pytest.raises(KeyFileError, match=r"label\.key exists; remove it first"):
        keyfile.write_private_key(path, insecure_paillier_key(512), PASSPHRASE)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]
    keyfile.write_private_key(path, insecure_paillier_key(512), PASSPHRASE, overwrite=True)
    assert read(path).public_key.key_bits == 512
    assert os.listdir(path.parent) == [path.name]


def test_a_missing_file_or_folder(tmp_path):
    with pytest.raises(KeyFileError, match="nothing cannot be read: No such file"):
        read(tmp_path / "nothing")
    with pytest.raises(KeyFileError, match="cannot be written: No such file"):
        keyfile.write_private_key(tmp_path / "no" / "k", insecure_paillier_key(256), PASSPHRASE)


def test_public_key_files(path, tmp_path):
    public = insecure_paillier_key(256).public_key
    target = tmp_path / "label.pub"
    keyfile.write_public_key(target, public)
    assert target.stat().st_mode & 0o777 == 0o644
    for source in (target, path):
        loaded = keyfile.read_public_key(source, allow_insecure=True)
        assert loaded.fingerprint == public.fingerprint
    with pytest.raises(KeySizeError, match=r"label\.pub: key_bits=256 is insecure"):
        keyfile.read_public_key(target)
    target.chmod(0o600)
    with pytest.raises(KeyFileError, match="holds a public key only"):
        read(target)
