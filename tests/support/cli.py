"""Run commands of the command line in this process."""

from typing import Any

from typer.testing import CliRunner

from secureboost.cli import commands  # noqa: F401 - registers them
from secureboost.cli.app import app


def run(*arguments: object, **environment: str) -> Any:
    """Run one command; the result has ``exit_code``, ``stdout`` and ``stderr``."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env=environment)
