import subprocess
import sys

import pytest
from support.cli import run

from secureboost.cli.app import app

HEAVY = ("numpy", "numba", "pandas", "sklearn", "grpc", "cryptography", "gmpy2", "msgspec")
COMMANDS = sorted(info.callback.__name__ for info in app.registered_commands)
GROUPS = {
    group.name: sorted(str(info.name) for info in group.typer_instance.registered_commands)
    for group in app.registered_groups
}
LINES = [
    *([name] for name in COMMANDS),
    *([group, name] for group, names in GROUPS.items() for name in names),
]


def test_these_are_the_commands():
    assert GROUPS == {"model": ["inspect"], "runs": ["diff", "list", "show"]}
    assert set(COMMANDS) == {
        *("align", "bundle", "cert", "cv", "demo", "doctor", "evaluate", "export", "keygen"),
        "audit",
        *("messages", "plan", "predict", "release", "score", "serve", "sides", "simulate", "train"),
        "tune",
    }


@pytest.mark.parametrize("arguments", [[], ["runs"], ["model"], *LINES])
def test_help_imports_nothing_heavy(arguments):
    code = (
        "import atexit, sys\n"
        f"heavy = {HEAVY!r}\n"
        "atexit.register(lambda: print([h for h in heavy if h in sys.modules], file=sys.stderr))\n"
        "from secureboost.cli import main\n"
        f"sys.argv = {['secureboost', *arguments, '--help']!r}\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stderr == "[]\n"
    assert "Usage: " in done.stdout


@pytest.mark.parametrize("line", LINES, ids=" ".join)
def test_every_command_describes_itself_and_its_options(line):
    result = run(*line, "--help", COLUMNS="200")
    assert result.exit_code == 0
    assert "Parameters" not in result.stdout  # numpydoc belongs to functions, not to commands
    assert result.stdout.count("--") >= 1
