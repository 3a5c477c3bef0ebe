"""The benchmarks still fit the program: they load, and one of them runs at the smallest size."""

import json
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).parents[2] / "bench"
SCRIPTS = sorted(path.stem for path in BENCH.glob("*.py"))

TRAIN = """
import json
from companies import federated
from data import made_up

data = made_up(300, 2, 2)
outcome = federated(data, {"n_estimators": 2, "max_depth": 2, "max_bin": 8, "key_bits": 2048})
print(json.dumps({"parties": outcome.parties, "scores": len(outcome.scores), **outcome.result}))
"""

ALIGN = """
import json
from align_companies import measure
from align_plain import Plain
from align_plan import fit, plan_grid
from align_show import Measured, aligned_grid, joins_grid
from align_stream import join
from align_tables import Job

if __name__ == "__main__":
    small, large = (measure(Job(rows, share=0.1)) for rows in (100, 300))
    joined = measure(Job(300, join={"kind": "as-of", "window": 10**9}))
    costs = fit(small, large, 20.0)
    stream = join(1000) | {"wall": 1.0, "events_a_second": 1.0, "peak_mb": 1.0, "before_mb": 1.0}
    aligned = [("ecdh", small), ("ecdh", large)]
    plain = Plain(9, 1.0, 1.0, 3)
    measured = Measured(aligned, {"as-of": joined}, {1000: stream}, {}, plain, costs)
    grids = [
        plan_grid(costs, large),
        aligned_grid(measured),
        joins_grid(measured.joins, measured.streams),
    ]
    print(json.dumps({"rows": [len(grid.rows) for grid in grids], **large.record()}))
"""


def run(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=BENCH.parent,
        env={"PYTHONPATH": f"{BENCH}:{BENCH.parent}", "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_benchmark_loads():
    assert "train_vs_plaintext" in SCRIPTS
    run(f"import importlib\nfor name in {SCRIPTS}: importlib.import_module(name)")


def test_two_companies_are_measured():
    result = json.loads(run(TRAIN))
    assert result["parties"] == ["label-party", "partner"]
    assert result["scores"] == 60
    assert result["bytes_sent"] > 2 * 240 * 512  # a ciphertext for each row and tree
    assert set(result["phases"]["partner"]) >= {"sum", "pack", "rerandomise"}


def test_two_companies_are_aligned():
    # what they agree on is compared with the plain intersection by the benchmark itself
    result = json.loads(run(ALIGN))
    assert result["rows"] == [3, 3, 2]
    (once,) = result["runs"]
    assert set(once["steps"]) == {"send", "fetch", "compare", "tell"}
    assert once["bytes_sent"] > 300 * 32
    assert once["bytes_received"] > 2 * 300 * 32
