"""How single facts, fingerprints and JSON are laid out on stdout."""

import textwrap
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from secureboost.cli.console import stdout


def print_facts(rows: Sequence[tuple[str, object]]) -> None:
    """Print names and values in two columns; long values wrap within theirs."""
    console = stdout()
    longest = max(len(name) for name, _ in rows)
    for name, value in rows:
        print_hanging(console, Text(f"  {name:<{longest}}  ", style="dim"), str(value))


def print_hanging(console: Console, head: Text, body: str) -> None:
    """Print text beside a heading; what does not fit goes on below the text."""
    indent = len(head)
    lines = [
        line
        for paragraph in body.splitlines()
        for line in textwrap.wrap(
            paragraph,
            max(20, console.width - indent),
            break_long_words=False,  # a path stays one piece, to be copied
            break_on_hyphens=False,
        )
    ]
    text = Text().append_text(head).append(("\n" + " " * indent).join(lines))
    console.print(text, soft_wrap=True)


def print_json(value: object) -> None:
    """Print JSON for programs: indented, unbroken, without colours."""
    import msgspec

    text = msgspec.json.format(msgspec.json.encode(value)).decode()
    stdout().out(text, highlight=False)


def grouped(fingerprint: str) -> str:
    """Write a fingerprint so that two people can compare it on the phone.

    Four groups of four hexadecimal digits a line.
    """
    groups = [fingerprint[i : i + 4] for i in range(0, len(fingerprint), 4)]
    return "\n".join(" ".join(groups[i : i + 4]) for i in range(0, len(groups), 4))
