"""Where a passphrase comes from: a file, the environment, or the terminal. Never an argument.

Arguments are seen by every user of a machine (``ps``) and stay in the shell's history.
"""

import getpass
import os
import stat
import sys
from pathlib import Path

from crypto.errors import KeyFileError, KeyFileExposedError
from secureboost.cli.console import stderr

VARIABLE = "SECUREBOOST_PASSPHRASE"
MAX_FILE_BYTES = 4096
SHORT = 12
"""Characters; a new passphrase below this earns a warning."""

_WAYS = f"Give --passphrase-file, set {VARIABLE}, or start the command in a terminal."


def read_passphrase(key_file: Path, passphrase_file: Path | None) -> str:
    """Obtain the passphrase of an existing key file.

    Parameters
    ----------
    key_file : Path
        Named in the prompt.
    passphrase_file : Path or None
        A file of one line. None: `VARIABLE` if it is set, else the terminal.

    Raises
    ------
    KeyFileError
        If there is no passphrase, or its file cannot be used.
    KeyFileExposedError
        If others can read the file.
    """
    given = _from_file_or_environment(passphrase_file)
    return given if given is not None else _ask(f"Passphrase of {key_file}: ")


def new_passphrase(key_file: Path, passphrase_file: Path | None) -> str:
    """Obtain a passphrase for a new key file; at the terminal it is asked for twice.

    Parameters and errors as in `read_passphrase`; also

    Raises
    ------
    KeyFileError
        If the two differ.
    """
    passphrase = _from_file_or_environment(passphrase_file)
    if passphrase is None:
        passphrase = _ask(f"New passphrase for {key_file}: ")
        if passphrase != _ask("The same again: "):
            raise KeyFileError("the two passphrases differ; nothing was written")
    if len(passphrase) < SHORT:
        stderr().print(
            f"Warning: the passphrase is shorter than {SHORT} characters. Whoever copies the key "
            "file can guess at leisure; take a longer one.",
            style="yellow",
        )
    return passphrase


def _from_file_or_environment(passphrase_file: Path | None) -> str | None:
    if passphrase_file is not None:
        return _read_file(passphrase_file)
    if VARIABLE not in os.environ:
        return None
    if not os.environ[VARIABLE]:
        raise KeyFileError(
            f"the environment variable {VARIABLE} is set but empty; give it a value, "
            "or unset it to be asked in a terminal"
        )
    return os.environ[VARIABLE]


def _read_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            # A pipe, as of the shell's <(...), has no mode that matters.
            if stat.S_ISREG(mode) and mode & 0o077:
                raise KeyFileExposedError(
                    f"passphrase file {path} can be read by others (mode "
                    f"{stat.S_IMODE(mode):03o}); run: chmod 600 {path}"
                )
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise KeyFileError(f"passphrase file {path} cannot be read: {error.strerror}") from error
    if len(data) > MAX_FILE_BYTES:
        raise KeyFileError(
            f"passphrase file {path} is longer than {MAX_FILE_BYTES} bytes; "
            "it must hold the passphrase alone, in one line"
        )
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:  # its text would quote the bytes
        raise KeyFileError(f"passphrase file {path} is not UTF-8 text") from None
    if not any(lines):
        raise KeyFileError(f"passphrase file {path} is empty; write the passphrase into it")
    if len(lines) > 1:
        raise KeyFileError(
            f"passphrase file {path} has {len(lines)} lines; "
            "it must hold the passphrase alone, in one line"
        )
    return lines[0]


def _ask(prompt: str) -> str:
    if not sys.stdin.isatty():
        raise KeyFileError(f"there is no terminal to ask for the passphrase. {_WAYS}")
    try:
        passphrase = getpass.getpass(prompt)
    except EOFError:
        raise KeyFileError(f"no passphrase was typed. {_WAYS}") from None
    if not passphrase:
        raise KeyFileError(f"an empty passphrase was typed. {_WAYS}")
    return passphrase
