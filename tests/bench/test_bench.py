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
