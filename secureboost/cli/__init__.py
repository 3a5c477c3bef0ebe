"""The command line. Heavy imports happen inside commands, so that ``--help`` is instant."""

import os
import signal
import sys
from types import FrameType

from secureboost.cli.app import app
from secureboost.errors import ExitCode, Terminated


def main() -> None:
    """Run the command line; Ctrl-C and SIGTERM end it within moments, a second one at once."""
    stopped: ExitCode | None = None

    def stop(number: int, _frame: FrameType | None) -> None:
        nonlocal stopped
        signal.signal(number, signal.SIG_DFL)
        if number == signal.SIGINT:
            stopped = ExitCode.INTERRUPTED
            raise KeyboardInterrupt
        stopped = ExitCode.TERMINATED
        raise Terminated

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    try:
        from secureboost.cli import commands  # noqa: F401 - registers the commands

        app()
    except (KeyboardInterrupt, SystemExit) as end:
        if stopped is None:
            raise
        clean = isinstance(end, SystemExit) and end.code == 0  # as `serve` ends on SIGTERM
        # Threads in the middle of a long sum must not hold up the end.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0 if clean else stopped)
