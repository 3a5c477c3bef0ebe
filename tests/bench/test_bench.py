"""The benchmarks still fit the program: they load, and one of them runs at the smallest size."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench"
SCRIPTS = sorted(path.stem for path in BENCH.glob("*.py"))
OF_NETWORKS = [name for name in SCRIPTS if name.startswith("net_") or name == "splitnn"]

TRAIN = """
import json
from companies import federated
from data import made_up

data = made_up(300, 2, 2)
outcome = federated(data, {"n_estimators": 2, "max_depth": 2, "max_bin": 8, "key_bits": 2048})
print(json.dumps({"parties": outcome.parties, "scores": len(outcome.scores), **outcome.result}))
"""

NET = """
import json
from data import made_up
from net_companies import Run, measure

if __name__ == "__main__":
    net = {"n_epochs": 2, "batch_size": 100, "cut_width": 8, "in_flight": 2}
    far = {"mbit": 1000.0, "round_trip_ms": 5.0}
    print(json.dumps(measure(made_up(500, 2, 2), [Run(net), Run(net, far)])))
"""

NET_GRIDS = """
import json
from net_quality import SETTINGS, Trained
from net_show import codec_grid, effects_grid, memory_grid, quality_grid, speed_grid
from net_speed import WAYS, Speed

party = {"before_mb": 1.0, "peak_mb": 2.0}
run = {
    "rows_a_second": 50.0,
    "cpu_a_million_rows": {"label-party": 1.0, "partner": 1.0},
    "rows": 100,
    "bytes_sent": 1000,
    "bytes_received": 1000,
    "memory": {"label-party": party, "partner": party},
}
speed = Speed({"torch, 1 thread": 100.0, "pooled twin": 80.0}, {way: run for way in WAYS})
quality = {"bank": {setting.name: [Trained(0.75, 5, 100, 512.0)] * 2 for setting in SETTINGS}}
grids = [
    speed_grid("speed", speed),
    quality_grid(quality),
    codec_grid(quality),
    effects_grid(quality, speed),
    memory_grid({10: run, 20: run}),
]
assert all(len(row) == len(grid.columns) for grid in grids for row in grid.rows)
print(json.dumps(grids[0].rows))
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
    here = [name for name in SCRIPTS if name not in OF_NETWORKS or find_spec("torch")]
    run(f"import importlib\nfor name in {here}: importlib.import_module(name)")


def test_two_companies_are_measured():
    result = json.loads(run(TRAIN))
    assert result["parties"] == ["label-party", "partner"]
    assert result["scores"] == 60
    assert result["bytes_sent"] > 2 * 240 * 512  # a ciphertext for each row and tree
    assert set(result["phases"]["partner"]) >= {"sum", "pack", "rerandomise"}


def test_two_companies_train_a_network():
    if not find_spec("torch"):
        pytest.skip("torch is not installed; make test-nn installs it")
    near, far = json.loads(run(NET))
    for result in (near, far):
        assert result["rows"] == 2 * 400
        assert result["bytes_sent"] > 800 * 8 * 4
        assert result["bytes_received"] > 800 * 8 * 4
        assert set(result["cpu_a_million_rows"]) == {"label-party", "partner"}
    assert far["rows_a_second"] < 400 / 0.005  # an epoch has more than one round trip


def test_what_was_measured_of_networks_is_shown():
    if not find_spec("torch"):
        pytest.skip("torch is not installed; make test-nn installs it")
    rows = {row[0]: row[1:] for row in json.loads(run(NET_GRIDS))}
    assert rows["torch, 1 thread"][:2] == ["100", "1.00"]
    assert rows["1 in flight"] == ["50", "0.50", "-", "1.0 + 1.0", "20", "0.40 of torch"]
    assert rows["8 in flight, 20 ms"][2:] == ["1.00", "1.0 + 1.0", "20", "0.70 of near"]


def test_two_companies_are_aligned():
    # what they agree on is compared with the plain intersection by the benchmark itself
    result = json.loads(run(ALIGN))
    assert result["rows"] == [3, 3, 2]
    (once,) = result["runs"]
    assert set(once["steps"]) == {"send", "fetch", "compare", "tell"}
    assert once["bytes_sent"] > 300 * 32
    assert once["bytes_received"] > 2 * 300 * 32
