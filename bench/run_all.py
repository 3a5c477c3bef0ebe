"""Run all benchmarks and put their numbers into README.md, between its markers.

    python bench/run_all.py --quick       # some ten minutes, smaller sizes
    python bench/run_all.py --full        # an hour on two cores
    python bench/run_all.py --readme      # only rewrite README.md from results/
    python bench/run_all.py --full --only credit network

Leave the machine alone meanwhile: the load when each run began is noted with its results.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measure import machine
from show import RESULTS, Grid, publish, read_grids

HERE = Path(__file__).parent
README = HERE / "README.md"
SECTION = re.compile(r"(<!-- results: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
MICRO = ("-m", "pytest", "bench/test_micro.py", "--benchmark-only", "-q")


@dataclass(frozen=True)
class Run:
    """A benchmark with its settings.

    Attributes
    ----------
    name : str
        Of its files in results/ and of its section in README.md.
    quick, full : tuple of str
        What follows ``python``, from the root of the repository.
    """

    name: str
    quick: tuple[str, ...]
    full: tuple[str, ...]


CREDIT = ("bench/train_vs_plaintext.py", "--name", "credit", "--data", "credit")
LARGE = ("bench/train_vs_plaintext.py", "--name", "large", "--own", "20", "--partner", "20")
RUNS = (
    Run("micro", MICRO, MICRO),
    *(
        Run(
            f"kernels-{bits}",
            ("bench/kernels.py", "--key-bits", bits, "--quick"),
            ("bench/kernels.py", "--key-bits", bits),
        )
        for bits in ("2048", "3072")
    ),
    Run("histogram", ("bench/histogram.py", "--quick"), ("bench/histogram.py",)),
    Run(
        "credit",
        (*CREDIT, "--trees", "3"),
        (*CREDIT, "--trees", "6", "--repeats", "3", "--key-bits", "2048", "3072"),
    ),
    Run(
        "large",
        (*LARGE, "--rows", "100000", "--trees", "2"),
        (*LARGE, "--rows", "300000", "--trees", "3"),
    ),
    Run("precision", ("bench/precision.py", "--trees", "10"), ("bench/precision.py",)),
    Run("predict", ("bench/predict.py", "--rows", "200000"), ("bench/predict.py",)),
    Run(
        "network",
        ("bench/network.py", "--trees", "2"),
        ("bench/network.py", "--trees", "3"),
    ),
    Run("scaling", ("bench/scaling.py", "--quick"), ("bench/scaling.py",)),
    Run(
        "additions",
        ("bench/additions.py", "--rows", "4000", "--repeats", "1"),
        ("bench/additions.py",),
    ),
    Run(
        "protection",
        ("bench/protection.py", "--splits", "2"),
        ("bench/protection.py", "--cpu"),
    ),
    Run("splitnn", ("bench/splitnn.py", "--quick"), ("bench/splitnn.py",)),
    Run("align", ("bench/align.py",), ("bench/align.py", "--full")),
    Run("chaos", ("bench/chaos.py", "--kills", "10"), ("bench/chaos.py",)),
    Run(
        "chaos-align",
        ("bench/chaos.py", "alignment", "--kills", "6"),
        ("bench/chaos.py", "alignment"),
    ),
)


def run(command: tuple[str, ...]) -> None:
    """Run a benchmark from the root of the repository; its output goes to the terminal.

    Raises
    ------
    subprocess.CalledProcessError
        If it fails.
    """
    subprocess.run([sys.executable, *command], cwd=HERE.parent, check=True)


def run_micro(command: tuple[str, ...]) -> None:
    """Run the micro benchmarks and keep of pytest-benchmark's JSON what matters."""
    where = machine()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "benchmark.json"
        run((*command, f"--benchmark-json={path}"))
        measured = json.loads(path.read_text())["benchmarks"]
    each = {
        b["name"].removeprefix("test_").replace("_", " "): b["extra_info"]["us_each"]
        for b in measured
    }
    grid = Grid(
        "The operations of a tree, one thread, 2048 bits",
        ("operation", "us each"),
        tuple((name, f"{us:.3g}" if us < 100 else f"{us:.0f}") for name, us in each.items()),
        "Wall time, least of five rounds. Sums, plan and local histogram per row and column; split "
        "search per bin; route per row and split; predict per row and tree of depth 5.",
    )
    publish("micro", where, {}, each, [grid])


def kernels_grid(content: dict[str, Any]) -> Grid:
    """Microseconds of each operation by engine, out of what `kernels.py` writes."""
    measured = {
        (m["operation"], m["engine"], m["threads"]): m["microseconds"]
        for m in content["measurements"]
    }
    operations = dict.fromkeys(operation for operation, _, _ in measured)
    engines = dict.fromkeys((engine, threads) for _, engine, threads in measured)

    def cell(operation: str, engine: tuple[str, int]) -> str:
        us = measured.get((operation, *engine))
        return "-" if us is None else f"{us:.3g}" if us < 100 else f"{us:,.0f}"

    return Grid(
        f"Microseconds an operation, {content['key_bits']} bits, {content['gigahertz']:.2f} GHz",
        ("operation", *(f"{name}, {threads} thr." for name, threads in engines)),
        tuple((o, *(cell(o, engine) for engine in engines)) for o in operations),
        "One thread: least CPU time; more: wall time. The port limit of an addition is "
        f"{content['port_limit_microseconds']:.3g} us.",
    )


def section(name: str) -> str:
    """Markdown of one benchmark's results."""
    path = RESULTS / f"{name}.json"
    if not path.exists():
        return "Not measured yet.\n"
    content = json.loads(path.read_text())
    if "tables" in content:
        where = content["machine"]
        text = (
            f"{where['cpu']}, {where['cores']} cores, engine {where['engine']}, Python "
            f"{where['python']}, {where['date']}; load before: {where['load_before']}.\n\n"
        )
        text += "\n".join(grid.markdown() for grid in read_grids(name))
    else:
        text = f"{content['cpu']}; load: {content['load']:.2f}.\n\n"
        text += kernels_grid(content).markdown()
    if path.with_suffix(".png").exists():
        text += f"\n![{name}](results/{name}.png)\n"
    return text


def write_readme() -> None:
    """Replace what lies between the markers."""

    def replace(match: re.Match[str]) -> str:
        return f"{match[1]}\n{section(match[2])}\n{match[3]}"

    README.write_text(SECTION.sub(replace, README.read_text()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    size = parser.add_mutually_exclusive_group(required=True)
    size.add_argument("--quick", action="store_true")
    size.add_argument("--full", action="store_true")
    size.add_argument("--readme", action="store_true", help="run nothing, only rewrite README.md")
    parser.add_argument("--only", nargs="+", choices=[r.name for r in RUNS], help="run these alone")
    args = parser.parse_args()
    for job in RUNS:
        if args.readme or (args.only and job.name not in args.only):
            continue
        command = job.full if args.full else job.quick
        print(f"== python {' '.join(command)}", flush=True)
        (run_micro if job.name == "micro" else run)(command)
    write_readme()


if __name__ == "__main__":
    main()
