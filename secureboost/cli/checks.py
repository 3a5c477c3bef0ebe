"""What `secureboost doctor` looks at, one function per check; none of them changes anything."""

import importlib
import importlib.metadata
import importlib.util
import os
import platform
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

from secureboost.splitnn.errors import CPU_INDEX

MIN_PYTHON = (3, 11)
_MODULES = {"grpcio": "grpc", "scikit-learn": "sklearn"}
_CHECKED_APART = {"rbcl"}
"""Alignment goes on without it, so its absence is no failure; see `alignment_group`."""
_EXTRAS = {
    "phe": ("phe", "scheme='phe'", "'secureboost[phe]'"),
    "pyarrow": ("pyarrow", "reading Parquet", "'secureboost[parquet]'"),
    "torch": ("torch", "training networks", f"'secureboost[nn]' --extra-index-url {CPU_INDEX}"),
    "safetensors": ("safetensors", "keeping networks", "'secureboost[nn]'"),
    "dp-accounting": ("dp_accounting", "what noise guarantees", "'secureboost[dp]'"),
}
"""By distribution: its module, what needs it, how it is installed."""


class Status(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Check:
    """Result of one check.

    Attributes
    ----------
    name : str
    status : Status
        `WARN`: works, but slower or less safe than it could be. `FAIL`: does not work.
    found : str
    remedy : str
        What to do; the empty string where there is nothing to do.
    """

    name: str
    status: Status
    found: str
    remedy: str = ""


def python_version() -> Check:
    """Check the interpreter's version."""
    found = f"{platform.python_version()} ({sys.executable})"
    if _numbers(platform.python_version()) < MIN_PYTHON:
        return Check("Python", Status.FAIL, found, "Install Python 3.11 or later.")
    return Check("Python", Status.OK, found)


def own_packages() -> Check:
    """Check that `crypto` and `parties` are ours: other packages on PyPI carry these names."""
    ours = Path(__file__).resolve().parents[2]
    for name in ("crypto", "parties"):
        spec = importlib.util.find_spec(name)
        origin = Path(spec.origin).resolve() if spec and spec.origin else None
        if origin == ours / name / "__init__.py":
            continue
        if origin is None:
            return Check(
                "own packages",
                Status.FAIL,
                f"package {name!r} is missing or incomplete",
                "Install SecureBoost again.",
            )
        others = set(importlib.metadata.packages_distributions().get(name, ())) - {"secureboost"}
        uninstall = f"run: pip uninstall {' '.join(sorted(others))}" if others else "rename it"
        return Check(
            "own packages",
            Status.FAIL,
            f"import {name!r} finds {origin.parent}, not {ours / name}",
            f"Another package of that name comes first: {uninstall}, start from another folder, "
            "or install SecureBoost in a virtual environment of its own.",
        )
    return Check("own packages", Status.OK, f"crypto and parties are those in {ours}")


def dependencies() -> list[Check]:
    """Check that each required package can be imported and is new enough."""
    try:
        requirements = importlib.metadata.requires("secureboost") or []
    except importlib.metadata.PackageNotFoundError:
        return [
            Check(
                "dependencies",
                Status.WARN,
                "SecureBoost runs from a folder and is not installed; versions are unknown",
                "Run: pip install --editable .",
            )
        ]
    good, bad = [], []
    for requirement in requirements:
        if "extra" in requirement:
            continue
        name, least = _parse(requirement)
        if name in _CHECKED_APART:
            continue
        problem, version = _try_import(_MODULES.get(name, name), name)
        if not problem and _numbers(version) < _numbers(least):
            problem = f"{version} is older than {least}"
        if problem:
            remedy = f"Run: pip install --upgrade '{name}>={least}'"
            bad.append(Check(name, Status.FAIL, problem, remedy))
        else:
            good.append(f"{name} {version}")
    return [Check("dependencies", Status.OK, ", ".join(good)), *bad]


def extras() -> Iterator[Check]:
    """Say which optional packages are there; their absence is no fault."""
    for distribution, (module, purpose, wanted) in _EXTRAS.items():
        problem, version = _try_import(module, distribution)
        if importlib.util.find_spec(module) is None:
            found = f"not installed; only {purpose} needs it: pip install {wanted}"
            yield Check(f"optional {distribution}", Status.OK, found)
        elif problem:
            remedy = f"Run: pip install --force-reinstall {wanted}"
            yield Check(f"optional {distribution}", Status.WARN, problem, remedy)
        else:
            yield Check(f"optional {distribution}", Status.OK, f"{version}, for {purpose}")


def compute_engine() -> Check:
    """Say which engine does the ciphertext arithmetic, and why."""
    from crypto.errors import EngineUnavailableError
    from crypto.kernels import VARIABLE, describe_choice

    try:
        choice = describe_choice()
    except EngineUnavailableError as error:
        return Check("compute engine", Status.FAIL, str(error), f"Run: unset {VARIABLE}")
    lacks = "".join(f"; {name} needs {what}" for name, what in choice.missing.items())
    return Check("compute engine", Status.OK, f"{choice.name}, {choice.why}{lacks}")


def alignment_group() -> Check:
    """Say in which group alignment compares ids, and why."""
    from crypto.groups import GROUPS, best_group
    from crypto.groups.ristretto import Ristretto255

    name, used, best = "alignment group", best_group(), next(iter(GROUPS.values()))
    if used is best:
        others = ", ".join(other for other in GROUPS if other != used.name)
        way = "eight at a time" if Ristretto255().vectors else "by libsodium"
        found = f"{used.name}, the fastest, {way}; {others} with partners that lack it"
        return Check(name, Status.OK, found)
    return Check(
        name,
        Status.WARN,
        f"{used.name}, because {best.name} {best.missing()}",
        f"Alignment works, but with {used.name} it takes more than twice as long, and its hash is "
        "not in constant time.",
    )


def processor() -> Check:
    """Look for the vector instructions that multiply 52-bit integers."""
    import llvmlite.binding

    has = llvmlite.binding.get_host_cpu_features().get("avx512ifma", False)
    found = f"{platform.machine()}, AVX-512 IFMA (52-bit multiplication in lanes): "
    return Check("processor", Status.OK, found + ("yes" if has else "no"))


def cores() -> Check:
    """Count the cores that this process may use, limits of containers included."""
    import joblib

    usable = joblib.cpu_count()
    found = f"{usable} usable of {os.cpu_count() or usable}"
    if usable == 1:
        remedy = "Training works, but encryption and sums gain from every further core."
        return Check("cores", Status.WARN, found, remedy)
    return Check("cores", Status.OK, found)


def numba_cache() -> Check:
    """Check that compiled kernels can be kept, so that only the first run compiles."""
    import numba

    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined] # set at run time
        return Check(
            "compiled kernels",
            Status.WARN,
            "numba compiles nothing, because NUMBA_DISABLE_JIT is set: training is very slow",
            "Run: unset NUMBA_DISABLE_JIT",
        )
    try:
        # numba takes the first folder that it can write; it raises where there is none
        folder = numba.njit(cache=True)(_numbers).stats.cache_path
    except RuntimeError:
        return Check(
            "compiled kernels",
            Status.FAIL,
            "numba finds no folder to keep compiled kernels in",
            "Set NUMBA_CACHE_DIR to a folder that you may write.",
        )
    return Check("compiled kernels", Status.OK, f"kept from run to run, as in {folder}")


def entropy() -> Check:
    """Check that the operating system's random numbers are ready; all keys come from them."""
    name = "random numbers"
    if not hasattr(os, "getrandom"):
        os.urandom(32)
        return Check(name, Status.OK, "the operating system's (urandom)")
    try:
        os.getrandom(32, os.GRND_NONBLOCK)
    except BlockingIOError:
        return Check(
            name,
            Status.FAIL,
            "the operating system has not gathered enough entropy yet; keys would wait for it",
            "Wait a minute; on a virtual machine, give it a virtio-rng device.",
        )
    return Check(name, Status.OK, "the operating system's (getrandom), ready")


def clock(now: datetime | None = None) -> Check:
    """Compare the clock with the age of our own files: certificates need the right day.

    Parameters
    ----------
    now : datetime, optional
        For tests.
    """
    now = now or datetime.now(UTC)
    installed = datetime.fromtimestamp(Path(__file__).stat().st_mtime, UTC)
    found = f"{now:%Y-%m-%d %H:%M:%S} UTC"
    remedy = "Set the clock (NTP); certificates are refused on the wrong day."
    if now < installed - timedelta(days=1):
        found += f", but SecureBoost was installed on {installed:%Y-%m-%d}"
        return Check("clock", Status.FAIL, found, remedy)
    if now > installed + timedelta(days=20 * 365):
        return Check("clock", Status.WARN, f"{found}, 20 years after the installation", remedy)
    return Check("clock", Status.OK, f"{found}; compare it with the other company's")


def guarded(name: str, check: Callable[[], Check]) -> Check:
    """Run a check; a check that breaks is a failed one, not the end of the others."""
    try:
        return check()
    except Exception as error:
        return Check(
            name,
            Status.FAIL,
            f"cannot be checked: {type(error).__name__}: {error}",
            "Repair the failures above first; otherwise please report this line.",
        )


def _try_import(module: str, distribution: str) -> tuple[str, str]:
    """Return what went wrong (or nothing) and the version."""
    try:
        importlib.import_module(module)
        return "", importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "its version is unknown", ""
    except Exception as error:  # a broken binary raises anything
        return f"cannot be imported: {type(error).__name__}: {error}", ""


def _parse(requirement: str) -> tuple[str, str]:
    """Split ``"numpy>=1.26"`` into name and least version."""
    name, _, least = requirement.partition(">=")
    return name.strip(), least.split(",")[0].split(";")[0].strip()


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])
