import inspect
import io
import json
import subprocess
import sys

import numpy as np
import pytest
from rich.console import Console

import crypto.errors
import parties.errors
from secureboost.cli import console
from secureboost.cli.runlog import RunLog
from secureboost.errors import (
    AlignmentError,
    ConfigError,
    DataError,
    ExitCode,
    IntegrityError,
    LimitError,
    ModelError,
)
from secureboost.units import format_bytes, format_seconds


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("is bad", "a.b"), 3),
        (DataError("bad"), 4),
        (parties.errors.PeerUnreachableError("bureau", "gone"), 5),
        (parties.errors.PeerTimeoutError("bureau", "Setup", 5.0), 5),
        (ConnectionResetError(), 5),
        (parties.errors.PeerRefusedError("bureau", "policy"), 6),
        (parties.errors.FrameTooLargeError("bureau", "too large"), 6),
        (crypto.errors.CiphertextError("bad"), 6),
        (crypto.errors.CellRangeError("bad"), 7),
        (IntegrityError("bureau", "bad"), 7),
        (ModelError("bad"), 7),
        (LimitError("too few"), 4),
        (AlignmentError("of another table"), 7),
        (parties.errors.SessionRefusedError("lender", "refused"), 6),
        (crypto.errors.WrongPassphraseError("bad"), 8),
        (crypto.errors.KeySizeError("bad"), 8),
        (parties.errors.CertificateError("", "expired"), 8),
        (crypto.errors.SchemeUnavailableError("bad"), 3),
        (KeyboardInterrupt(), 130),
        (ZeroDivisionError("bad"), 1),
    ],
)
def test_exit_codes(error, code):
    assert console.exit_code(error) == code


OUR_FAULTS = {  # these end in "please report"
    "CryptoError", "SegmentError", "PartyError", "LocalError", "InvalidMessageError",
    "SessionClosedError", "HashInputError", "ScalarError",
}  # fmt: skip


def test_every_error_of_the_other_packages_has_an_exit_code():
    for module in (crypto.errors, parties.errors):
        for name, kind in inspect.getmembers(module, inspect.isclass):
            if issubclass(kind, Exception) and kind.__module__ == module.__name__:
                code = console.exit_code(kind.__new__(kind))
                assert (code is ExitCode.INTERNAL) == (name in OUR_FAULTS), name


def test_errors_print_without_traceback_colour_or_control_characters():
    out = io.StringIO()
    error = parties.errors.PeerRefusedError("bureau", "policy", "\x1b[31mno [red]\r")
    code = console.print_error(error, Console(file=out, markup=False, highlight=False, width=200))
    assert code is ExitCode.REFUSED
    assert out.getvalue() == (
        "Peer refused\nbureau: refused (policy): ?[31mno [red]?\n"
        "Settle it with the other party; its log says more.\n"
    )


@pytest.mark.parametrize(
    ("error", "title", "advice"),
    [
        (DataError("bad"), "Bad data", "Correct the table, then start again."),
        (LimitError("few"), "Stopped by a limit", "The table is good. Change the limit"),
        (AlignmentError("old"), "Alignment cannot be used", "Align again, or name the table"),
        (ModelError("old"), "Integrity check failed", "Do not use the result."),
        (ConfigError("bad", "align.rules"), "Bad configuration", "Correct the setting in the file"),
        (ConfigError("there", "--out"), "Bad configuration", "Correct the command line, then"),
        (ConfigError("--a and --b"), "Bad configuration", "Correct the command line, then"),
        (
            parties.errors.SessionRefusedError("lender", "refused"),
            "Refused by this side",
            "Settle it with the other party",
        ),
    ],
)
def test_the_advice_is_about_what_went_wrong(error, title, advice):
    out = io.StringIO()
    console.print_error(error, Console(file=out, width=200))
    lines = out.getvalue().splitlines()
    assert lines[0] == title
    assert lines[-1].startswith(advice)


def test_pipes_get_plain_unwrapped_text(capsys):
    console.stdout().print("x" * 300 + " [bold] y", style="red")
    console.stderr().print("log")
    captured = capsys.readouterr()
    assert captured.out == "x" * 300 + " [bold] y\n"
    assert captured.err == "log\n"


def test_result_table_is_aligned(capsys):
    console.stdout().print(
        console.result_table(["model", "AUC", "rows"], [["alone", 0.72, 1000], ["both", 0.8, None]])
    )
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert lines[0].split() == ["model", "AUC", "rows"]
    assert lines[2].split() == ["alone", "0.7200", "1,000"]
    assert lines[3].split() == ["both", "0.8000", "-"]
    assert len(lines[2]) == len(lines[3])


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1_430_000, "1.43 MB"), (999_600, "1 MB"), (5e12, "5 TB")],
)
def test_bytes(number, text):
    assert format_bytes(number) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.5, "0.50 s"),
        (42, "42.0 s"),
        (59.96, "1 min 00 s"),
        (185, "3 min 05 s"),
        (3599.7, "1 h 00 min"),
        (3720, "1 h 02 min"),
    ],
)
def test_seconds(number, text):
    assert format_seconds(number) == text


def test_run_log_holds_plain_fields_only(tmp_path):
    path = tmp_path / "log.jsonl"
    with RunLog(path) as log:
        log.write("tree", number=np.int64(1), auc=np.float64(0.5), party="bureau", done=True)
        log.write("tree", gain=float("nan"), none=None)
        with pytest.raises(TypeError, match="field 'y' of a log event is a ndarray"):
            log.write("labels", y=np.zeros(3))
    first, second = map(json.loads, path.read_text().splitlines())
    assert first["time"].endswith("+00:00")
    del first["time"], second["time"]
    assert first == {"event": "tree", "number": 1, "auc": 0.5, "party": "bureau", "done": True}
    assert second == {"event": "tree", "gain": None, "none": None}


def test_console_imports_nothing_heavy():
    code = (
        "import sys, secureboost.cli.console, secureboost.progress, secureboost.cli.runlog\n"
        "print({'numpy', 'pandas', 'sklearn', 'numba', 'grpc', 'gmpy2'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
