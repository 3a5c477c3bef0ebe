"""The application object, and how an error of a command becomes a message and an exit code."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import typer

from secureboost.cli.console import print_error

P = ParamSpec("P")
R = TypeVar("R")

EXIT_CODES = (
    "Exit codes: 0 ok, 1 internal error, 2 wrong usage, 3 bad configuration, 4 bad data, 5 peer "
    "unreachable, 6 peer refused, 7 integrity check failed, 8 key or certificate, 130 Ctrl-C, "
    "143 SIGTERM. Results go to stdout, progress and errors to stderr."
)

app = typer.Typer(
    name="secureboost",
    help="Train one model on two companies' tables without either showing its rows.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def command(function: Callable[P, R]) -> Callable[P, R]:
    """Register a command; its errors end it with a message and a code of `ExitCode`."""
    return _register(app, function)


def group(name: str, text: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make ``secureboost <name> ...``; the result registers the commands below it.

    Parameters
    ----------
    name : str
    text : str
        What ``--help`` says of it.
    """
    inner = typer.Typer(
        help=text,
        epilog=EXIT_CODES,
        no_args_is_help=True,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.add_typer(inner, name=name)
    return lambda function: _register(inner, function)


def _register(commands: typer.Typer, function: Callable[P, R]) -> Callable[P, R]:
    @commands.command(function.__name__.rstrip("_").replace("_", "-"))
    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except (typer.Exit, typer.Abort, typer.BadParameter, BrokenPipeError):
            raise  # typer's own; also of a pipe whose reader has gone, as with ``| head``
        except (Exception, KeyboardInterrupt) as error:
            raise typer.Exit(int(print_error(error))) from error

    return run
