"""How results are shown: tables for the terminal and for Markdown, JSON, and plots."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).with_name("results")
WIDTH = 100
"""Characters of a terminal that every table fits."""


@dataclass(frozen=True)
class Grid:
    """A table of results; the first column names what the others measure.

    Attributes
    ----------
    title : str
    columns : tuple of str
    rows : tuple of tuples of str
    note : str
        What a reader must know to read the numbers.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""

    def print(self) -> None:
        """Write to the terminal."""
        table = Table(box=box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
        for position, column in enumerate(self.columns):
            first = position == 0
            table.add_column(column, justify="left" if first else "right", no_wrap=first)
        for row in self.rows:
            table.add_row(*row)
        console = Console(width=WIDTH, highlight=False)
        console.print(self.title, style="bold", markup=False)
        console.print(table)
        console.print(self.note, style="dim", markup=False)
        console.print()

    def markdown(self) -> str:
        """Write as GitHub does tables."""
        lines = [
            f"**{self.title}**",
            "",
            f"| {' | '.join(self.columns)} |",
            f"|{'|'.join(['---'] + ['---:'] * (len(self.columns) - 1))}|",
            *(f"| {' | '.join(row)} |" for row in self.rows),
        ]
        return "\n".join([*lines, "", self.note] if self.note else lines) + "\n"


def publish(
    name: str,
    machine: dict[str, Any],
    settings: dict[str, Any],
    results: Any,
    grids: Sequence[Grid],
) -> None:
    """Print the tables and write ``results/<name>.json``.

    Parameters
    ----------
    name : str
    machine : dict
        See `measure.machine`.
    settings : dict
        Of the run, as given on the command line.
    results : anything that JSON can hold
    grids : sequence of Grid
    """
    for grid in grids:
        grid.print()
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    content = {
        "machine": machine,
        "settings": settings,
        "tables": [asdict(grid) for grid in grids],
        "results": rounded(results),
    }
    path.write_text(json.dumps(content, indent=1, default=str) + "\n")
    Console(width=WIDTH).print(f"written: {path}", style="dim", highlight=False)


def read_grids(name: str) -> list[Grid]:
    """Return the tables of ``results/<name>.json``."""
    content = json.loads((RESULTS / f"{name}.json").read_text())
    return [
        Grid(t["title"], tuple(t["columns"]), tuple(map(tuple, t["rows"])), t["note"])
        for t in content["tables"]
    ]


def rounded(value: Any) -> Any:
    """The same with floats of six significant digits: the rest is noise."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    return value
