"""Timing of single operations: medians of repeats, and lines through few and many."""

import statistics
import time
from collections.abc import Callable

from secureboost.planning.rates import Cost, Time

Work = Callable[[], object]


class Watch:
    """Reads the time since it was made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def read(self) -> Time:
        """Wall time, and processor time of this process."""
        return Time(time.perf_counter() - self._wall, time.process_time() - self._cpu)


def timed(work: Work, seconds: float) -> Time:
    """Repeat `work` for so long, at least twice; the median of all but the first."""
    watch = Watch()
    times: list[Time] = []
    work()
    while not times or watch.read().wall < seconds:
        once = Watch()
        work()
        times.append(once.read())
    return Time(
        statistics.median(taken.wall for taken in times),
        statistics.median(taken.cpu for taken in times),
    )


def fit_cost(few: tuple[float, Time], many: tuple[float, Time]) -> Cost:
    """Cost of a call from two calls, each with its count and its time."""
    (few_count, few_time), (many_count, many_time) = few, many

    def line(small: float, large: float) -> tuple[float, float]:
        slope = max(0.0, (large - small) / (many_count - few_count))
        return max(0.0, small - slope * few_count), slope

    wall_call, wall_each = line(few_time.wall, many_time.wall)
    cpu_call, cpu_each = line(few_time.cpu, many_time.cpu)
    return Cost(Time(wall_call, cpu_call), Time(wall_each, cpu_each))


def timed_cost(
    work_on: Callable[[int], Work], few: int, many: int, seconds: float, unit: float = 1.0
) -> Cost:
    """Cost of work on `few` and on `many` things of so many units each."""
    return fit_cost(
        (few * unit, timed(work_on(few), seconds / 2)),
        (many * unit, timed(work_on(many), seconds / 2)),
    )
