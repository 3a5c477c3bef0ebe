"""How single facts and fingerprints are laid out on a terminal."""

from collections.abc import Sequence

from rich.padding import Padding
from rich.table import Table
from rich.text import Text


def facts(rows: Sequence[tuple[str, object]]) -> Padding:
    """Lay names and values out in two columns; long values wrap within theirs."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(Text(name, style="dim"), Text(str(value)))
    return Padding(table, (0, 0, 0, 2), expand=False)


def grouped(fingerprint: str) -> str:
    """Write a fingerprint so that two people can compare it on the phone.

    Four groups of four hexadecimal digits a line.
    """
    groups = [fingerprint[i : i + 4] for i in range(0, len(fingerprint), 4)]
    return "\n".join(" ".join(groups[i : i + 4]) for i in range(0, len(groups), 4))
