"""Made-up rates, so that no test depends on how fast its machine is."""

from typing import Any

from secureboost.planning import Rates
from secureboost.planning.rates import Cost, Time


def time_of(seconds: float, threads: int = 2) -> Time:
    return Time(seconds / threads, seconds)


def cost_of(call: float, each: float) -> Cost:
    return Cost(time_of(call), time_of(each))


def make_rates(**changes: Any) -> Rates:
    """Rates of some 2048-bit machine with two cores."""
    rates: dict[str, Any] = {
        "key_bits": 2048,
        "n_jobs": 2,
        "process_bytes": 200_000_000,
        "start": time_of(0.5),
        "encrypt": time_of(40e-6),
        "decrypt": cost_of(1e-3, 0.3e-3),
        "check": time_of(0.5e-6),
        "addition": time_of(0.4e-6),
        "segment": time_of(3e-6),
        "pack": cost_of(1e-4, 0.4e-6),
        "rerandomise": cost_of(1e-3, 0.9e-3),
        "bin": time_of(0.1e-6),
        "histogram": time_of(5e-9),
        "split": time_of(20e-9),
        "divide": time_of(20e-9),
        "sort": cost_of(1e-4, 20e-9),
        "message": cost_of(1e-3, 2e-9),
        "question": cost_of(1e-3, 0.1e-6),
    }
    return Rates(**(rates | changes))
