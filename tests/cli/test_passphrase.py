import getpass
import os
import sys
import threading
from pathlib import Path

import pytest

from crypto.errors import KeyFileError, KeyFileExposedError
from secureboost.cli.passphrase import VARIABLE, new_passphrase, read_passphrase

PHRASE = "correct horse battery"


@pytest.fixture(autouse=True)
def no_variable(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)


@pytest.fixture
def write(tmp_path):
    def write(data: bytes, mode: int = 0o600):
        path = tmp_path / "phrase"
        path.write_bytes(data)
        path.chmod(mode)
        return path

    return write


@pytest.fixture
def typed(monkeypatch):
    """What a person types, prompt by prompt."""

    def typed(*answers):
        remaining, prompts = list(answers), []

        def ask(prompt):
            prompts.append(prompt)
            answer = remaining.pop(0)
            if isinstance(answer, BaseException):
                raise answer
            return answer

        monkeypatch.setattr(getpass, "getpass", ask)
        monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
        return prompts

    return typed


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"correct horse battery\n", PHRASE),
        (b"correct horse battery\r\n", PHRASE),
        (b"correct horse battery", PHRASE),
        (b" spaces count \n", " spaces count "),
        ("\ufeffschlüssel\n".encode(), "schlüssel"),
    ],
)
def test_a_file_holds_one_line(write, data, expected):
    assert read_passphrase("key", write(data)) == expected


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "phrase is empty; write the passphrase into it"),
        (b"\n", "phrase is empty"),
        (b"xyzzy\nplugh\n", "phrase has 2 lines; it must hold the passphrase alone"),
        (b"\xff\xfe\n", "phrase is not UTF-8 text"),
        (b"x" * 5000, "phrase is longer than 4096 bytes"),
    ],
)
def test_a_bad_file_is_named_and_not_quoted(write, data, message):
    with pytest.raises(KeyFileError) as caught:
        read_passphrase("key", write(data))
    assert message in str(caught.value)
    assert "xyzzy" not in str(caught.value)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_file_that_others_can_read_is_refused(write, mode):
    path = write(PHRASE.encode(), mode)
    with pytest.raises(KeyFileExposedError, match=f"mode {mode:03o}.*run: chmod 600 {path}"):
        read_passphrase("key", path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(KeyFileError, match=r"passphrase file .*nix cannot be read: No such file"):
        read_passphrase("key", tmp_path / "nix")


def test_a_pipe_will_do():
    reader, writer = os.pipe()
    sender = threading.Thread(target=lambda: (os.write(writer, b"phrase\n"), os.close(writer)))
    sender.start()
    try:
        assert read_passphrase("key", Path(f"/dev/fd/{reader}")) == "phrase"
    finally:
        sender.join()
        os.close(reader)


def test_a_file_goes_before_the_environment(write, monkeypatch):
    monkeypatch.setenv(VARIABLE, "other")
    assert read_passphrase("key", write(PHRASE.encode())) == PHRASE
    assert read_passphrase("key", None) == "other"


def test_an_empty_variable_is_named(monkeypatch):
    monkeypatch.setenv(VARIABLE, "")
    with pytest.raises(KeyFileError, match=f"{VARIABLE} is set but empty"):
        read_passphrase("key", None)


def test_without_a_terminal_the_ways_are_told(monkeypatch):
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False)
    with pytest.raises(KeyFileError, match=f"no terminal.*--passphrase-file, set {VARIABLE}"):
        read_passphrase("key", None)


def test_an_existing_one_is_asked_for_once(typed):
    prompts = typed(PHRASE)
    assert read_passphrase("lender.key.json", None) == PHRASE
    assert prompts == ["Passphrase of lender.key.json: "]


def test_a_new_one_is_asked_for_twice(typed):
    prompts = typed(PHRASE, PHRASE)
    assert new_passphrase("lender.key.json", None) == PHRASE
    assert prompts == ["New passphrase for lender.key.json: ", "The same again: "]


def test_two_that_differ_are_refused(typed):
    typed(PHRASE, PHRASE + "!")
    with pytest.raises(KeyFileError, match="the two passphrases differ; nothing was written"):
        new_passphrase("key", None)


@pytest.mark.parametrize(
    ("answer", "message"),
    [("", "an empty passphrase was typed"), (EOFError(), "no passphrase was typed")],
)
def test_nothing_typed(typed, answer, message):
    typed(answer)
    with pytest.raises(KeyFileError, match=message):
        read_passphrase("key", None)


def test_a_short_new_one_earns_a_warning(monkeypatch, capsys):
    monkeypatch.setenv(VARIABLE, "secret")
    assert new_passphrase("key", None) == "secret"
    warning = capsys.readouterr().err
    assert "shorter than 12 characters" in warning
    assert "secret" not in warning
