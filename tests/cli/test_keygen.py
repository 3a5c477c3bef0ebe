import json
import stat

import pytest
from support.cli import run

from crypto.keyfile import read_private_key, read_public_key
from secureboost.cli.keygen import public_path
from secureboost.cli.layout import grouped
from secureboost.cli.passphrase import VARIABLE
from secureboost.cli.train import key_from_file
from secureboost.config import load_train_config, write_example
from secureboost.run import make_model

PHRASE = "correct horse battery"
GIVEN = {VARIABLE: PHRASE}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A key file of 2048 bits and what was printed about it."""
    path = tmp_path_factory.mktemp("keys") / "lender.key.json"
    result = run("keygen", "--out", path, **GIVEN)
    assert result.exit_code == 0, result.stderr
    return path, result


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(
    ("private", "public"),
    [
        ("lender.key.json", "lender.public.json"),
        ("lender.json", "lender.public.json"),
        ("lender", "lender.public.json"),
        (".json", ".json.public.json"),
    ],
)
def test_the_public_file_is_named_after_the_private_one(tmp_path, private, public):
    assert public_path(tmp_path / private) == tmp_path / public


def test_two_files_and_what_is_printed(made):
    path, result = made
    key = read_private_key(path, PHRASE)
    public = read_public_key(path.with_name("lender.public.json"))
    assert key.public_key.key_bits == public.key_bits == 2048
    assert key.public_key.fingerprint == public.fingerprint
    assert mode(path) == 0o600
    assert "Paillier key of 2048 bits, made in" in result.stdout
    for shown in (path, public_path(path), *grouped(public.fingerprint).splitlines()):
        assert str(shown) in result.stdout
    assert "configuration of `secureboost train`" in result.stderr
    assert PHRASE not in result.output


@pytest.mark.parametrize("scheme", [None, "paillier", "paillier-short-exponent-djn"])
def test_the_file_serves_both_schemes(made, tmp_path, monkeypatch, scheme):
    path, _ = made
    monkeypatch.setenv(VARIABLE, PHRASE)
    write_example("train", tmp_path / "train.toml")
    chosen = [f"key='{path}'"] + ([f"model.scheme={scheme}"] if scheme else [])
    config = load_train_config(tmp_path / "train.toml", chosen)
    model = make_model(dict(config.model))
    key = key_from_file(config, model, None)()
    assert model.scheme == (scheme or "paillier")
    assert key.short_exponent_djn == (scheme == "paillier-short-exponent-djn")
    assert key.public_key.fingerprint == read_public_key(path).fingerprint


def test_an_existing_file_is_kept(made):
    path, _ = made
    before = path.read_bytes()
    result = run("keygen", "--out", path, **GIVEN)
    assert result.exit_code == 8
    assert f"{path} exists; remove it first if the key in it is no longer needed" in result.stderr
    assert path.read_bytes() == before


def test_an_existing_public_file_is_kept_and_no_private_one_is_written(tmp_path):
    taken = tmp_path / "a.public.json"
    taken.write_text("mine")
    result = run("keygen", "--out", tmp_path / "a.key.json", **GIVEN)
    assert result.exit_code == 8
    assert f"{taken} exists" in result.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["a.public.json"]
    assert taken.read_text() == "mine"


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ([], 2, "name the key file to write"),
        (["--out", "{}/a", "--key-bits", "1024"], 8, "key_bits=1024 is insecure: at least 2048"),
        (["--out", "{}/a", "--key-bits", "99999"], 8, "key_bits=99999 must be a multiple of 256"),
        (["--out", "{}/a", "--key-bits", "many"], 2, "--key-bits"),
        (["--out", "{}/nix/a"], 8, "there is no folder {}/nix"),
        (["--out", "{}/a", "--passphrase-file", "{}/nix"], 8, "nix cannot be read: No such file"),
        (["--out", "{}/a", "--passphrase-file", "{}/empty"], 8, "empty is empty"),
        (["--out", "{}/a", "--import-phe", "{}/nix"], 8, "nix cannot be read: No such file"),
        (["--out", "{}/a", "--import-phe", "{}/empty"], 8, "empty: not a key of pheutil"),
        (["--out", "{}/a", "--import-phe", "x", "--key-bits", "2048"], 2, "has its length"),
        (["--out", "{}/a", "--export-phe", "x"], 2, "not with --out"),
        (["--export-phe", "{}/a"], 2, "name the key file to export"),
        (["--export-phe", "{}/a", "--key", "{}/nix"], 8, "nix cannot be read"),
        (["--export-phe", "{}/a", "--key", "{}/empty"], 8, "empty is not a key file"),
        (["--out", "{}/a", "--unprotected"], 2, "it goes with --export-phe only"),
        (["--out", "{}/a", "--key", "x"], 2, "it goes with --export-phe only"),
    ],
)
def test_bad_options_write_nothing(tmp_path, options, code, message):
    empty = tmp_path / "empty"
    empty.touch(mode=0o600)
    options = [option.format(tmp_path) for option in options]
    result = run("keygen", *options, COLUMNS="400", **GIVEN)
    assert result.exit_code == code, result.output
    assert message.format(tmp_path) in result.stderr
    assert list(tmp_path.iterdir()) == [empty]


def test_if_the_public_file_fails_the_private_one_goes(tmp_path, monkeypatch):
    import crypto.keyfile
    from crypto.errors import KeyFileError

    def fail(*_):
        raise KeyFileError("the disk is full")

    monkeypatch.setattr(crypto.keyfile, "write_public_key", fail)
    result = run("keygen", "--out", tmp_path / "a.key.json", **GIVEN)
    assert result.exit_code == 8
    assert "the disk is full" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_public_key_needs_no_passphrase_to_leave(made, tmp_path):
    out = tmp_path / "public.phe.json"
    result = run("keygen", "--key", made[0], "--export-phe", out)
    assert result.exit_code == 0, result.stderr
    assert "Only the public key was written" in result.stderr
    assert set(json.loads(out.read_text())) == {"kty", "alg", "key_ops", "n", "kid"}


def test_a_private_key_leaves_with_a_warning_and_comes_back(made, tmp_path):
    path, _ = made
    out = tmp_path / "private.phe.json"
    result = run("keygen", "--key", path, "--export-phe", out, "--unprotected", **GIVEN)
    assert result.exit_code == 0, result.stderr
    assert mode(out) == 0o600
    assert "has no passphrase" in result.stderr
    assert "can decrypt everything" in result.stderr

    back = tmp_path / "back.key.json"
    result = run("keygen", "--import-phe", out, "--out", back, **GIVEN)
    assert result.exit_code == 0, result.stderr
    assert f"2048 bits, imported from {out}" in result.stdout
    assert "without a passphrase; delete it" in result.stderr
    assert "encrypts several times more slowly" in result.stderr
    fingerprints = {read_private_key(p, PHRASE).public_key.fingerprint for p in (path, back)}
    assert len(fingerprints) == 1

    again = run("keygen", "--key", path, "--export-phe", out, "--unprotected", **GIVEN)
    assert again.exit_code == 8
    assert f"{out} exists" in again.stderr


def test_a_wrong_passphrase(made, tmp_path):
    options = ("--key", made[0], "--export-phe", tmp_path / "x", "--unprotected")
    result = run("keygen", *options, **{VARIABLE: "wrong"})
    assert result.exit_code == 8
    assert "the passphrase is wrong, or the file was changed" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_key_file_that_others_can_read(made, tmp_path):
    copy = tmp_path / "copy.key.json"
    copy.write_bytes(made[0].read_bytes())
    copy.chmod(0o644)
    options = ("--key", copy, "--export-phe", tmp_path / "x", "--unprotected")
    result = run("keygen", *options, **GIVEN)
    assert result.exit_code == 8
    assert f"{copy} can be read by others (mode 644); run: chmod 600 {copy}" in result.stderr
