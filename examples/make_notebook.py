"""Makes a notebook of a script whose cells begin with ``# %%``, and runs it if wanted.

``python examples/make_notebook.py examples/credit_scorecard.py`` writes ``credit_scorecard.ipynb``
beside it; with ``--run`` the outputs are in it (``pip install nbclient ipykernel``).
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

CELL = re.compile(r"^# %%( \[markdown\])?\n", re.MULTILINE)


def notebook(script: str) -> dict[str, Any]:
    """The cells of a script, in the form of a notebook (format 4.5), without outputs.

    What stands before the first cell is about the script and is left out.
    """
    _, *pieces = CELL.split(script)
    cells: list[dict[str, Any]] = []
    for number, (mark, text) in enumerate(zip(pieces[::2], pieces[1::2], strict=True)):
        text = text.strip("\n")
        cell: dict[str, Any] = {"id": f"cell-{number}", "metadata": {}}
        if mark:
            text = re.sub(r"^# ?", "", text, flags=re.MULTILINE)
            cell["cell_type"] = "markdown"
        else:
            cell |= {"cell_type": "code", "execution_count": None, "outputs": []}
        cells.append(cell | {"source": text.splitlines(keepends=True)})
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


def run(cells: dict[str, Any]) -> dict[str, Any]:
    """The notebook with what its cells give."""
    import nbformat
    from nbclient import NotebookClient

    node = nbformat.reads(json.dumps(cells), as_version=4)
    NotebookClient(node, timeout=600, coalesce_streams=True).execute()
    for cell in node.cells:
        cell.metadata.pop("execution", None)  # times of the day
        outputs = cell.get("outputs", [])
        outputs[:] = [output for output in outputs if output.get("name") != "stderr"]
    return dict(json.loads(nbformat.writes(node)))


def main() -> None:
    """Convert the script that is named."""
    script = Path(sys.argv[1])
    made = notebook(script.read_text(encoding="utf-8"))
    if "--run" in sys.argv:
        made = run(made)
    text = json.dumps(made, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    script.with_suffix(".ipynb").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
