import importlib.metadata
import importlib.util
import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.cli import run
from support.rates import cost_of, make_rates, time_of

from secureboost.cli import checks, selftest
from secureboost.cli.checks import Check, Status


@pytest.fixture
def quick(monkeypatch):
    """Do not spend a second on measuring."""
    rates = make_rates(
        encrypt=time_of(400e-6),
        addition=time_of(3e-6),
        rerandomise=cost_of(0.0, 9e-3),
        decrypt=cost_of(0.0, 2.5e-3),
    )
    monkeypatch.setattr(selftest, "measure", lambda: rates)


def by_name(results):
    return {check.name: check for check in results}


def test_this_machine_is_well(quick):
    result = run("doctor")
    assert result.exit_code == 0, result.output
    assert "self-test" in result.stdout
    assert "paillier: encrypt 400 us, decrypt 2.5 ms, add 3.0 us, re-randomise 9.0 ms" in (
        result.stdout
    )
    assert "over 30,000 rows (depth 5, 10 partner columns, 32 bins)" in result.stdout
    assert "fail" not in result.stdout


def test_json(quick):
    listing = json.loads(run("doctor", "--json").stdout)
    assert listing["ok"] is True
    assert listing["rates"]["encrypt"]["cpu"] == 400e-6
    assert {"name", "status", "found", "remedy"} == set(listing["checks"][0])
    names = [check["name"] for check in listing["checks"]]
    assert names == [
        "Python",
        "own packages",
        "dependencies",
        "optional phe",
        "optional pyarrow",
        "optional torch",
        "optional safetensors",
        "optional dp-accounting",
        "processor",
        "cores",
        "compiled kernels",
        "random numbers",
        "clock",
        "compute engine",
        "self-test",
        "alignment group",
        "speed, 2048 bits",
        "cost of a tree",
    ]


def test_an_engine_that_is_not_there_fails(quick, monkeypatch):
    monkeypatch.setenv("SECUREBOOST_ENGINE", "cuda")
    result = run("doctor", "--json")
    listing = json.loads(result.stdout)
    assert result.exit_code == 1
    assert listing["ok"] is False
    assert listing["rates"] is None
    check = listing["checks"][-1]
    assert (check["name"], check["status"]) == ("compute engine", "fail")
    assert check["found"].startswith(
        "SECUREBOOST_ENGINE='cuda' is not an engine; use one of: auto, "
    )
    assert check["remedy"] == "Run: unset SECUREBOOST_ENGINE"
    assert "1 of 14 checks failed." in result.stderr


def test_the_alignment_group(monkeypatch):
    monkeypatch.setattr("crypto.groups.sodium.load", lambda: "needs the package rbcl: run: x")
    check = checks.alignment_group()
    assert check.status is Status.WARN
    assert check.found == "p256, because ristretto255 needs the package rbcl: run: x"
    assert "with p256 it takes more than twice as long" in check.remedy
    monkeypatch.setattr("crypto.groups.sodium.load", lambda: object())
    for vectors, way in ((False, "by libsodium"), (True, "eight at a time")):
        monkeypatch.setattr("crypto.groups.ristretto.Ristretto255.vectors", vectors)
        check = checks.alignment_group()
        assert (check.status, check.remedy) == (Status.OK, "")
        assert check.found == (f"ristretto255, the fastest, {way}; p256 with partners that lack it")


def test_a_package_with_a_check_of_its_own_is_no_dependency(monkeypatch):
    """Without rbcl alignment uses another group; that is no failure."""
    monkeypatch.setattr("importlib.metadata.requires", lambda name: ["rbcl>=999", "numpy>=1.26"])
    (check,) = checks.dependencies()
    assert check.status is Status.OK
    assert check.found.startswith("numpy ")


def test_an_engine_that_was_asked_for(monkeypatch):
    monkeypatch.setenv("SECUREBOOST_ENGINE", "gmpy2")
    assert checks.compute_engine().found.startswith("gmpy2, because SECUREBOOST_ENGINE=gmpy2")


@pytest.mark.parametrize("name", ["crypto", "parties"])
def test_a_package_that_shadows_ours_is_named(tmp_path, name):
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").touch()
    code = (
        "import sys\n"
        f"sys.path.insert(0, {str(tmp_path)!r})\n"
        "from secureboost.cli import main\n"
        "sys.argv = ['secureboost', 'doctor', '--json']\n"
        "main()\n"
    )
    root = Path(checks.__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=120
    )
    assert done.returncode == 1, done.stderr
    listing = json.loads(done.stdout)
    (failed,) = [check for check in listing["checks"] if check["status"] == "fail"]
    assert failed["found"] == f"import {name!r} finds {tmp_path / name}, not {root / name}"
    assert "Another package of that name comes first" in failed["remedy"]


def test_a_package_is_missing(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    check = checks.own_packages()
    assert check.status is Status.FAIL
    assert check.found == "package 'crypto' is missing or incomplete"


def test_an_old_python(monkeypatch):
    monkeypatch.setattr("platform.python_version", lambda: "3.10.4")
    assert checks.python_version().status is Status.FAIL


@pytest.mark.parametrize(
    ("requirement", "problem"),
    [
        ("numpy>=999.1", "is older than 999.1"),
        ("no-such-package>=1.0", "cannot be imported: ModuleNotFoundError"),
    ],
)
def test_dependencies_that_fail_have_a_remedy(monkeypatch, requirement, problem):
    requirements = ["typer>=0.15", requirement, "phe>=1.5; extra == 'phe'"]
    monkeypatch.setattr("importlib.metadata.requires", lambda name: requirements)
    good, bad = checks.dependencies()
    assert good.found.startswith("typer ")
    assert bad.status is Status.FAIL
    assert problem in bad.found
    assert bad.remedy == f"Run: pip install --upgrade '{requirement}'"


def test_running_from_a_folder_is_a_warning(monkeypatch):
    def absent(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.requires", absent)
    (check,) = checks.dependencies()
    assert check.status is Status.WARN
    assert check.remedy == "Run: pip install --editable ."


def test_an_absent_extra_is_no_fault(monkeypatch):
    monkeypatch.setattr(checks, "_EXTRAS", {"nix": ("nix_nix", "nothing", "'nix' --now")})
    (check,) = checks.extras()
    assert check.status is Status.OK
    assert check.found == "not installed; only nothing needs it: pip install 'nix' --now"


def test_it_says_whether_networks_can_be_trained():
    found = by_name(checks.extras())["optional torch"].found
    if importlib.util.find_spec("torch") is None:
        assert "pip install 'secureboost[nn]' --extra-index-url https://download.py" in found
    else:
        assert re.match(r"2\.\d+.*, for training networks$", found)


def test_one_core_is_a_warning(monkeypatch):
    monkeypatch.setattr("joblib.cpu_count", lambda: 1)
    assert checks.cores().status is Status.WARN


def test_kernels_that_cannot_be_kept(monkeypatch):
    def refuse(**options):
        raise RuntimeError("cannot cache function: no locator available")

    monkeypatch.setattr("numba.config.DISABLE_JIT", 0)
    monkeypatch.setattr("numba.njit", refuse)
    check = checks.numba_cache()
    assert check.status is Status.FAIL
    assert "NUMBA_CACHE_DIR" in check.remedy


def test_kernels_that_are_not_compiled(monkeypatch):
    monkeypatch.setattr("numba.config.DISABLE_JIT", 1)
    assert checks.numba_cache().status is Status.WARN


@pytest.mark.skipif(not hasattr(os, "getrandom"), reason="Linux only")
def test_entropy_that_is_not_ready(monkeypatch):
    def blocks(size, flags):
        raise BlockingIOError

    monkeypatch.setattr(os, "getrandom", blocks)
    check = checks.entropy()
    assert check.status is Status.FAIL
    assert "entropy" in check.found


@pytest.mark.parametrize(
    ("year", "status"), [(1970, Status.FAIL), (2020, Status.FAIL), (2099, Status.WARN)]
)
def test_a_wrong_clock(year, status):
    check = checks.clock(datetime(year, 1, 1, tzinfo=UTC))
    assert check.status is status
    assert "Set the clock" in check.remedy


def test_a_check_that_breaks_is_a_failed_one():
    check = checks.guarded("x", lambda: 1 // 0)
    assert check == Check(
        "x",
        Status.FAIL,
        "cannot be checked: ZeroDivisionError: integer division or modulo by zero",
        "Repair the failures above first; otherwise please report this line.",
    )


def test_wrong_sums_fail(quick, monkeypatch):
    monkeypatch.setattr(selftest, "sums_agree", lambda: False)
    result = run("doctor")
    assert result.exit_code == 1
    assert "decrypted sums are wrong: do not train on this machine" in result.stdout


def test_the_self_test():
    assert selftest.sums_agree()


def test_the_cost_of_a_tree():
    label, feature = selftest.tree_seconds(make_rates(encrypt=time_of(400e-6)))
    dearer, same = selftest.tree_seconds(make_rates(encrypt=time_of(500e-6)))
    assert label > 12.0  # 30,000 rows
    assert dearer - label == pytest.approx(3.0)
    assert feature == same > 0
