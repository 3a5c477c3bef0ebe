"""The examples at small size, with a key of full length; the scorecard as a notebook, too."""

import json
import os
import runpy
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
SCRIPT, NOTEBOOK = EXAMPLES / "credit_scorecard.py", EXAMPLES / "credit_scorecard.ipynb"
RUN_CELLS = """
import json, sys
cells = json.load(open(sys.argv[1], encoding="utf-8"))["cells"]
names = {"__name__": "__main__"}
for cell in cells:
    if cell["cell_type"] == "code":
        exec("".join(cell["source"]), names)
"""


def run(arguments, out, **environment):
    """What a program prints at small size."""
    small = {"CUSTOMERS": "900", "ROUNDS": "6", "SCORECARD_OUT": str(out), "MPLBACKEND": "agg"}
    ended = subprocess.run(
        [sys.executable, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(EXAMPLES.parent), **small, **environment},
        cwd=out,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def check(printed, out):
    assert "encrypted and pooled scores are equal: True" in printed
    assert "never rises: True" in printed
    assert "XGBoostExport(model " in printed
    assert (out / "scorecard.json").is_file()
    if find_spec("matplotlib"):
        assert {path.name for path in out.glob("*.png")} >= {"auc.png", "importances.png"}
    if find_spec("xgboost"):
        assert "XGBoost's margins differ from ours by at most " in printed
    if find_spec("xgboost") and find_spec("shap"):
        assert "largest effects on the log-odds" in printed


def test_the_script_runs_on_generated_tables(tmp_path):
    printed = run([SCRIPT], tmp_path, SECUREBOOST_DATA="")
    assert printed.startswith("generated portfolio: 900 of 1800 customers of both companies")
    check(printed, tmp_path)


def test_trees_and_a_network_are_compared(tmp_path):
    for package in ("torch", "safetensors"):
        pytest.importorskip(package, reason="make test-nn installs it")
    small = {"EPOCHS": "3", "TREES_AND_NET_OUT": str(tmp_path)}
    printed = run([EXAMPLES / "trees_and_net.py"], tmp_path, **small | {"ROUNDS": "2"})
    assert "900 rows are common to all" in printed
    rows = {line.split("  ")[0]: line.split() for line in printed.splitlines()}
    assert rows.keys() >= {"trees", "network", "trees, lender alone", "network, lender alone"}
    for name in ("trees", "network"):
        auc, _ks, _seconds, megabytes = map(float, rows[name][1:5])
        assert auc > 0.6
        assert megabytes > 0.1
    assert "a gradient for each customer" in printed
    if find_spec("matplotlib"):
        assert (tmp_path / "trees_and_net.png").is_file()


@pytest.mark.data
def test_the_notebook_runs_on_real_tables(tmp_path, data_folder):
    if not (data_folder / "credit_default").is_dir():
        pytest.skip(f"no real tables: {data_folder / 'credit_default'} is absent")
    printed = run(["-c", RUN_CELLS, NOTEBOOK], tmp_path, SECUREBOOST_DATA=str(data_folder))
    assert printed.startswith("UCI 350, credit card clients: 900 of 27620 customers of both")
    check(printed, tmp_path)


def test_the_notebook_is_the_script():
    make = runpy.run_path(str(EXAMPLES / "make_notebook.py"))["notebook"]
    cells = make(SCRIPT.read_text(encoding="utf-8"))["cells"]
    kept = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    assert [(cell["cell_type"], "".join(cell["source"])) for cell in kept] == [
        (cell["cell_type"], "".join(cell["source"])) for cell in cells
    ], "run: python examples/make_notebook.py examples/credit_scorecard.py --run"


def test_the_notebook_shows_what_it_gives():
    """Numbers and three charts, and no path of the machine that it ran on."""
    text = NOTEBOOK.read_text(encoding="utf-8")
    outputs = [output for cell in json.loads(text)["cells"] for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 3
    assert "encrypted and pooled scores are equal: True" in text
    assert "/tmp" not in text  # noqa: S108 - it is looked for
    assert "/work" not in text
    assert all(output["output_type"] != "error" for output in outputs)
