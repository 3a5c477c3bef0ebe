"""`secureboost align` on both sides as a whole, from the start of Python to the files."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from align_companies import end_of, write_companies
from align_party import FEATURE, ID, LABEL
from align_tables import Job
from measure import memory_mb

POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Command:
    """A whole run of `secureboost align` on one side.

    Attributes
    ----------
    cpu, peak_mb : float
    """

    cpu: float
    peak_mb: float


def measure_commands(rows: int) -> tuple[float, dict[str, Command]]:
    """Run both sides; the label party's wall seconds, and what each side has used."""
    with tempfile.TemporaryDirectory(prefix="secureboost-bench-") as name:
        folder = Path(name)
        write_companies(folder, Job(rows))
        write_configurations(folder)
        return run_commands(folder)


def write_configurations(folder: Path) -> None:
    """Write what the commands take."""
    home = folder / FEATURE
    (home / "serve.toml").write_text(
        'listen = "127.0.0.1:0"\nstore = "models"\n[data]\nfile = "table.parquet"\n'
        f'id = "{ID}"\n[tls]\ncertificate = "party.crt"\nkey = "party.key"\n'
        '[label_party]\ncertificate = "../lender.crt"\n'
    )
    (folder / "train.toml").write_text(
        f'out = "run"\n[data]\nfile = "lender.parquet"\nid = "{ID}"\ntarget = "y"\n'
        '[tls]\ncertificate = "lender.crt"\nkey = "lender.key"\n'
        f'[party.{FEATURE}]\naddress = "127.0.0.1:1"\ncertificate = "{FEATURE}/party.crt"\n'
    )


def run_commands(folder: Path) -> tuple[float, dict[str, Command]]:
    """Start both sides and wait for them."""
    logs = {LABEL: folder / "label.log", FEATURE: folder / "feature.log"}
    feature = start_command(folder / FEATURE / "serve.toml", (), logs[FEATURE])
    began = time.perf_counter()
    try:
        address = (feature.stdout.readline() if feature.stdout else "").split()[-1]
        setting = ("--set", f"party.{FEATURE}.address='{address}'")
        began = time.perf_counter()
        label = start_command(folder / "train.toml", setting, logs[LABEL])
        used = wait_for({LABEL: label, FEATURE: feature})
        wall = time.perf_counter() - began
    finally:
        if feature.returncode is None:
            feature.kill()
            feature.wait()
    if label.returncode or feature.returncode:
        raise RuntimeError("align failed:\n" + "\n".join(map(end_of, logs.values())))
    return wall, used


def start_command(config: Path, more: Sequence[str], log: Path) -> subprocess.Popen[str]:
    """Start `secureboost align` of one side."""
    words = [sys.executable, "-m", "secureboost", "align", str(config), *more]
    with log.open("w") as said:
        return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=said, text=True)


def wait_for(processes: dict[str, subprocess.Popen[str]]) -> dict[str, Command]:
    """Wait for all of them, or the first that fails; what each has used.

    The peak is looked at while they run: that of `os.wait4` begins with the memory of the process
    that started them.
    """
    peaks, used = dict.fromkeys(processes, 0.0), {}
    while len(used) < len(processes):
        for name, process in processes.items():
            if name in used:
                continue
            with suppress(KeyError):  # it has ended, and has no memory any more
                peaks[name] = max(peaks[name], memory_mb(process.pid)["peak"])
            ended, status, usage = os.wait4(process.pid, os.WNOHANG)
            if ended:
                process.returncode = os.waitstatus_to_exitcode(status)
                used[name] = Command(usage.ru_utime + usage.ru_stime, peaks[name])
                if process.returncode:
                    return used
        time.sleep(POLL_SECONDS)
    return used
