"""What is measured, and of what: processor time and memory of processes, the machine's name."""

import os
import platform
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from crypto.kernels import describe_choice

T = TypeVar("T")


def process_cpu(pid: int) -> float:
    """CPU seconds that a process has used, all its threads together."""
    # The clock that clock_getcpuclockid(3) gives for a process, to the nanosecond.
    return time.clock_gettime(~pid << 3 | 2)


def memory_mb(pid: int) -> dict[str, float]:
    """Resident memory of a process, in 10^6 bytes: ``now`` and ``peak``."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    fields = dict(line.partition(":")[::2] for line in lines)
    return {
        name: int(fields[field].split()[0]) * 1024 / 1e6
        for name, field in (("now", "VmRSS"), ("peak", "VmHWM"))
    }


def reset_peak(pid: int) -> None:
    """Forget the peak so far: what was needed to read tables is not what training needs."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def timed(work: Callable[[], T]) -> tuple[T, float, float]:
    """Result, wall seconds and CPU seconds of this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return result, time.perf_counter() - wall, time.process_time() - cpu


def machine() -> dict[str, Any]:
    """Name what was measured on, and how quiet it was when that began."""
    return {
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "engine": describe_choice().name,
        "python": platform.python_version(),
        "date": datetime.now(UTC).date().isoformat(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def cpu_name() -> str:
    """Name of the processor with its family and model, since cloud machines tell little else."""
    fields = {}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    if "model name" not in fields:
        return platform.processor() or platform.machine()
    return f"{fields['model name']} (family {fields['cpu family']}, model {fields['model']})"
