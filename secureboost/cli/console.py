"""What the command line prints: results to stdout, everything else to stderr.

Neither console reads markup, so that a column called ``[red]`` prints as it is; give a `style`
instead. In a pipe there are no colours and no wrapping, and ``NO_COLOR`` is obeyed.
"""

import io
import sys
from collections.abc import Collection, Sequence
from typing import TextIO

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from secureboost.errors import (
    AlignmentError,
    ConfigError,
    DataError,
    ExitCode,
    IntegrityError,
    ModelError,
    Terminated,
)

_PIPE_WIDTH = 10_000
_NAME_WIDTH = 16

_TITLES = {
    ExitCode.INTERNAL: "Unexpected error",
    ExitCode.CONFIG: "Bad configuration",
    ExitCode.DATA: "Bad data",
    ExitCode.UNREACHABLE: "Peer unreachable",
    ExitCode.REFUSED: "Peer refused",
    ExitCode.INTEGRITY: "Integrity check failed",
    ExitCode.KEYS: "Key or certificate cannot be used",
    ExitCode.INTERRUPTED: "Stopped",
    ExitCode.TERMINATED: "Stopped by SIGTERM",
}
_STOPPED = "Other parties were released, and nothing was left half written."
_ADVICE = {
    ExitCode.INTERNAL: "If the text does not help, please report it with the end of the run's log.",
    ExitCode.CONFIG: "Correct the setting in the file or with --set, then start again.",
    ExitCode.DATA: "Correct the table, then start again.",
    ExitCode.UNREACHABLE: "Check that the other party is running and how it is reached, then start "
    "again.",
    ExitCode.REFUSED: "Settle it with the other party; its log says more.",
    ExitCode.INTEGRITY: "Do not use the result. Compare versions and files with the other party.",
    ExitCode.KEYS: "`secureboost keygen` and `secureboost cert` make what is needed.",
    ExitCode.INTERRUPTED: _STOPPED,
    ExitCode.TERMINATED: _STOPPED,
}
_BY_NAME = {
    "LimitError": (
        "Stopped by a limit",
        "The table is good. Change the limit, or settle it with the other party, then start again.",
    ),
    "AlignmentError": (
        "Alignment cannot be used",
        "Align again, or name the table and the files that belong together.",
    ),
    "SessionRefusedError": (
        "Refused by this side",
        "Settle it with the other party, then start again.",
    ),
}
"""By name of the error title and advice, where those of the exit code would mislead."""


def stdout() -> Console:
    """Return a console for results."""
    return _console(sys.stdout)


def stderr() -> Console:
    """Return a console for logs, progress and errors."""
    return _console(sys.stderr)


def _console(file: TextIO | None) -> Console:
    if file is None:  # closed by whoever started us
        file = io.StringIO()
    width = None if file.isatty() else _PIPE_WIDTH
    return Console(file=file, width=width, highlight=False, markup=False, emoji=False)


def result_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    title: str | None = None,
    *,
    texts: Collection[str] = (),
) -> Table:
    """Make an aligned table; columns of numbers are set to the right.

    Parameters
    ----------
    columns : sequence of str
        Headings.
    rows : sequence of sequences
        Floats are written with four digits, integers with thousands, None as a dash; anything
        else as its text.
    title : str, optional
    texts : collection of str
        Columns that are set to the left, and wrapped where the terminal is narrow.
    """
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    # The first column names the row, also in a narrow terminal; the others line up by their last
    # digit.
    longest = max((len(_cell(row[0])) for row in rows), default=0)
    table.add_column(Text(columns[0]), min_width=min(longest, _NAME_WIDTH), no_wrap=bool(texts))
    for column in columns[1:]:
        if column in texts:
            table.add_column(Text(column), overflow="fold")
        else:
            table.add_column(Text(column), justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(_cell(value)) for value in row))
    return table


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value)


def exit_code(error: BaseException) -> ExitCode:
    """Return the exit code for an error; `secureboost.errors` has the table."""
    # Only a failing command needs these, and --help must stay fast.
    from crypto import errors as crypto
    from parties import errors as parties
    from secureboost.splitnn import errors as nets

    codes: list[tuple[tuple[type[BaseException], ...], ExitCode]] = [
        ((Terminated,), ExitCode.TERMINATED),
        ((KeyboardInterrupt,), ExitCode.INTERRUPTED),
        (
            (
                IntegrityError,
                ModelError,
                AlignmentError,
                crypto.CellRangeError,
                crypto.FaultError,
            ),
            ExitCode.INTEGRITY,
        ),
        ((DataError, crypto.PlaintextError), ExitCode.DATA),
        (
            (
                ConfigError,
                crypto.CapacityError,
                crypto.UnavailableError,
                nets.DivergedError,
                nets.TorchMissingError,
                parties.PartyNameError,
                parties.ListenError,
            ),
            ExitCode.CONFIG,
        ),
        (
            (
                crypto.KeySizeError,
                crypto.KeyFormatError,
                crypto.KeyFileError,
                parties.CertificateError,
            ),
            ExitCode.KEYS,
        ),
        (
            (
                parties.PeerUnreachableError,
                parties.PeerTimeoutError,
                ConnectionError,
                TimeoutError,
            ),
            ExitCode.UNREACHABLE,
        ),
        (
            (
                parties.PeerRefusedError,
                parties.SessionRefusedError,
                parties.ProtocolError,
                crypto.BlindedValueError,
                crypto.CiphertextError,
                crypto.ElementError,
                crypto.SignatureError,
            ),
            ExitCode.REFUSED,
        ),
    ]
    return next((code for kinds, code in codes if isinstance(error, kinds)), ExitCode.INTERNAL)


def print_error(error: BaseException, console: Console | None = None) -> ExitCode:
    """Print an error without a traceback: a red title, its text, its notes, and what to do.

    Parameters
    ----------
    error : BaseException
    console : rich.console.Console, optional
        Default: `stderr`.

    Returns
    -------
    ExitCode
        What the process should end with.
    """
    code = exit_code(error)
    console = console or stderr()
    title, advice = _BY_NAME.get(type(error).__name__, (_TITLES[code], _ADVICE[code]))
    if code is ExitCode.INTERNAL:
        title = f"{title} ({type(error).__name__})"
    if code is ExitCode.CONFIG and str(error).startswith("--"):
        advice = "Correct the command line, then start again."
    console.print(title, style="bold red")
    text = _printable(str(error)).strip()
    for line in (text, *getattr(error, "__notes__", ())):
        if line:
            console.print(line)
    console.print(advice, style="dim")
    return code


def _printable(text: str) -> str:
    """Replace control characters: a peer's own words must not steer this terminal."""
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text)
