"""Kernels work where nothing can be cached, and slow compilations are announced."""

import logging
import subprocess
import sys
from pathlib import Path
from threading import Event

import pytest

from crypto import compiling
from crypto.kernels.portable import PortableEngine

ROOT = Path(__file__).parents[2]
UNWRITABLE = "/dev/null/cache"  # below a file, so that not even root can make it

pytestmark = pytest.mark.skipif(not compiling.compiles(), reason="the JIT is switched off")


def run(script: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, script],
        env={"PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )


def test_an_unwritable_cache_folder_is_reported_once_and_the_engine_works(tmp_path):
    script = tmp_path / "use_engine.py"
    script.write_text(
        "from crypto import wide\n"
        "from crypto.kernels.portable import PortableEngine\n"
        "modulus = PortableEngine().modulus(10_007)\n"
        "print(wide.to_integers(modulus.powers(wide.from_integers([3], 2), 5, n_jobs=1)))\n"
    )
    process = run(script, NUMBA_CACHE_DIR=UNWRITABLE)
    assert process.stdout == "[243]\n"
    (line,) = [line for line in process.stderr.splitlines() if "cannot be written" in line]
    assert line.startswith(f"NUMBA_CACHE_DIR='{UNWRITABLE}' cannot be written; compiled kernels ")


def test_kernels_work_where_no_folder_can_be_written(tmp_path):
    script = tmp_path / "use_kernel.py"
    script.write_text(
        "from crypto.compiling import kernel, prepare\n"
        "import numba\n"
        "@kernel\n"
        "def twice(x):\n"
        "    return 2 * x\n"
        "@kernel\n"
        "def thrice(x):\n"
        "    return x + twice(x)\n"
        "prepare('small', [(thrice, (numba.int64,))])\n"
        "print(thrice(5), thrice.stats.cache_path)\n"
    )
    process = run(
        script,
        NUMBA_CACHE_DIR=UNWRITABLE,
        NUMBA_CACHE_LOCATOR_CLASSES="UserProvidedCacheLocator",
    )
    assert process.stdout == "15 None\n"
    # on a busy machine it is also announced that the compilation takes its time
    (line,) = [line for line in process.stderr.splitlines() if line.startswith("no folder")]
    assert line.startswith("no folder for compiled kernels can be written")
    assert "set NUMBA_CACHE_DIR to a folder that you may write" in line


class Slow:
    """Stands for a kernel whose compilation ends once it has been announced."""

    class Stats:
        cache_path = "/some/folder"

    stats = Stats()
    py_func = run  # any function: only its file is looked at

    def __init__(self, announced: Event) -> None:
        self.announced = announced

    def compile(self, types):
        assert self.announced.wait(60)


def test_a_slow_compilation_is_announced_while_it_runs(monkeypatch):
    announced, messages = Event(), []

    class Handler(logging.Handler):
        def emit(self, record):
            messages.append(record.getMessage())
            announced.set()

    handler = Handler()
    log = logging.getLogger("crypto.compiling")
    log.addHandler(handler)
    monkeypatch.setattr(compiling, "SLOW_SECONDS", 0.01)
    try:
        compiling.prepare("slow", [(Slow(announced), ())])
    finally:
        log.removeHandler(handler)
    assert messages == ["compiling the slow kernels, once; they are kept in /some/folder"]


def test_compiled_kernels_are_cached():
    PortableEngine()
    from crypto.kernels import portable_powers, portable_sums

    for kernel in (portable_sums.fold, portable_powers.raise_all):
        assert kernel.stats.cache_path
        assert kernel.signatures


def test_what_an_older_source_made_is_compiled_again(tmp_path):
    """A kernel's constants may come from another file, which numba does not look at."""
    (tmp_path / "constants.py").write_text("FACTOR = 2\n")
    (tmp_path / "kernels.py").write_text(
        "from constants import FACTOR\n"
        "from crypto.compiling import kernel\n"
        "@kernel\n"
        "def scaled(x):\n"
        "    return FACTOR * x\n"
    )
    script = tmp_path / "use.py"
    script.write_text(
        "import numba\n"
        "from crypto.compiling import prepare\n"
        "from kernels import scaled\n"
        "prepare('small', [(scaled, (numba.int64,))])\n"
        "print(scaled(10), sum(scaled.stats.cache_hits.values()))\n"
    )
    cache = str(tmp_path / "cache")
    assert run(script, NUMBA_CACHE_DIR=cache).stdout == "20 0\n"
    assert run(script, NUMBA_CACHE_DIR=cache).stdout == "20 1\n"
    (tmp_path / "constants.py").write_text("FACTOR = 3\n")
    assert run(script, NUMBA_CACHE_DIR=cache).stdout == "30 0\n"
