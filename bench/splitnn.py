"""Split neural networks: rows a second, AUC, bytes, memory.

    python bench/splitnn.py
    python bench/splitnn.py --quick

Beside two companies' processes the same network is trained in one process, by a plain loop in torch
and by our own trainer; on real tables it is compared with SecureBoost and with what the label party
reaches alone. See `net_speed` and `net_quality`.
"""

import argparse
from dataclasses import asdict
from pathlib import Path

from data import bank_marketing, credit_default
from measure import machine
from net_quality import SETTINGS, measure_quality
from net_show import codec_grid, effects_grid, memory_grid, plot, quality_grid, speed_grid
from net_speed import Way, measure_memory, measure_speed
from show import publish


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=125_000, help="made-up rows to time")
    parser.add_argument("--epochs", type=int, default=4, help="of these; the first is not counted")
    parser.add_argument("--repeats", type=int, default=3, help="the best counts")
    parser.add_argument("--splits", type=int, default=5, help="random splits of real tables")
    parser.add_argument("--learning", type=int, default=150, help="epochs on real tables, at most")
    parser.add_argument("--many", type=int, default=1_000_000, help="rows, to see the memory")
    parser.add_argument("--data", type=Path, help="folder of the real tables")
    parser.add_argument("--quick", action="store_true", help="small sizes, one repeat")
    args = parser.parse_args()
    if args.quick:
        args.rows, args.epochs, args.repeats, args.many = 25_000, 3, 1, 100_000
        args.splits, args.learning = 1, 6
    where = machine()
    speed = measure_speed(args.rows, args.epochs, args.repeats)
    print(f"  {speed.share(Way(1)):.2f} of plain torch, one batch after the other", flush=True)
    memory = measure_memory((args.many // 4, args.many))
    tables = [credit_default(args.data), bank_marketing(args.data)]
    quality = measure_quality(tables, SETTINGS, args.splits, args.learning)
    grids = [
        speed_grid(f"Rows a second: {args.rows * 4 // 5:,} training rows", speed),
        quality_grid(quality),
        codec_grid(quality),
        effects_grid(quality, speed),
        memory_grid(memory),
    ]
    results = {
        "speed": speed.record(),
        "quality": {
            table: {name: [asdict(run) for run in runs] for name, runs in settings.items()}
            for table, settings in quality.items()
        },
        "memory": memory,
    }
    publish("splitnn", where, vars(args), results, grids)
    plot(quality, speed)


if __name__ == "__main__":
    main()
