"""The command line. Heavy imports happen inside commands, so that ``--help`` is instant."""

from secureboost.cli.app import app


def main() -> None:
    """Run the command line."""
    from secureboost.cli import commands  # noqa: F401 - registers the commands

    app()
