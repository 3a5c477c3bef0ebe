"""The streaming join in bounded memory: two streams that are made as they are read.

    python bench/align_stream.py 4000000    (started by `align.py`)

A process of its own, so that its memory is that of the join. Events come in rough order of time,
five of a customer; each label event takes the newest of its customer's events in the hour before.
What is joined is counted and let go.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
from measure import memory_mb, reset_peak, timed

from secureboost.align.join_options import WindowOptions
from secureboost.align.window_join import Block, WindowJoin, join_streams

BLOCK = 1 << 16
A_SECOND = 100
"""Events of each stream in a second of their time."""
CUSTOMERS = 50_000
SPREAD = 30
WINDOW = 3600
OPTIONS = WindowOptions(before=WINDOW, after=0, lateness=2 * SPREAD, match="last")


def stream(seed: int, n_events: int) -> Iterator[Block]:
    """Events of a stream, in blocks."""
    rng = np.random.default_rng(seed)
    for first in range(0, n_events, BLOCK):
        numbers = np.arange(first, min(first + BLOCK, n_events), dtype=np.int64)
        times = numbers // A_SECOND + rng.integers(-SPREAD, SPREAD + 1, len(numbers))
        yield rng.integers(CUSTOMERS, size=len(numbers)).astype(np.int32), times


def join(n_events: int) -> dict[str, float]:
    """Join two streams of so many events."""
    run = WindowJoin(OPTIONS)
    pairs = most = 0
    for joined in join_streams(run, stream(1, n_events), stream(2, n_events)):
        pairs, most = pairs + len(joined), max(most, run.held)
    return {"pairs": pairs, "held": most}


def measure_stream(n_events: int) -> dict[str, Any]:
    """Run it in a process of its own; what it measured."""
    done = subprocess.run(
        [sys.executable, __file__, str(n_events)], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def main() -> None:
    n_events = int(sys.argv[1])
    join(4 * BLOCK)  # loads the kernels, and fills what is held
    before = memory_mb(os.getpid())["now"]
    reset_peak(os.getpid())
    result, wall, cpu = timed(lambda: join(n_events))
    peak = memory_mb(os.getpid())["peak"]
    result |= {"wall": wall, "cpu": cpu, "before_mb": before, "peak_mb": peak}
    result["events_a_second"] = 2 * n_events / wall
    print(json.dumps(result))


if __name__ == "__main__":
    main()
