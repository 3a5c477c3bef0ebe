"""How fast Paillier is: every engine against gmpy2 and python-paillier, in one run.

    python bench/kernels.py                       # 2048 bits, some two minutes
    python bench/kernels.py --key-bits 3072
    python bench/kernels.py --quick --engines ifma portable

Times are CPU seconds of one thread (least of several runs) unless the row says threads; those are
wall seconds. The yardsticks, a gmpy2 loop ``a * b % n2`` and python-paillier, are timed in the same
run, before and after each engine, and the least counts. On a busy machine ratios suffer less than
times.

The *port limit* is what an IFMA core could do at best: a product of a number modulo ``n**2`` by one
of half the length takes ``8 * limbs**2`` multiply-adds for eight numbers, two per cycle.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import gmpy2
import numpy as np
import phe
from gmpy2 import mpz
from numba import njit
from rich.console import Console
from rich.table import Table
from show import WIDTH

from crypto.kernels import ENGINES, VARIABLE
from crypto.kernels.ifma_constants import IfmaConstants
from crypto.paillier import PaillierScheme, ShortExponentPaillierScheme
from crypto.paillier_private import PaillierPrivateKey

MICRO = 1e6
ADD, GMPY2, PHE = "add in a histogram", "gmpy2 loop", "python-paillier"
CELL_BITS = 80
LANES, PORTS = 8, 2


@dataclass(frozen=True)
class Sizes:
    """How much to measure."""

    rows: int
    columns: int
    bins: int
    encryptions: int
    decryptions: int
    masks: int
    repeats: int

    def scaled(self, engine: str) -> "Sizes":
        """Fewer for the engines that are slower by an order of magnitude."""
        if engine == "ifma":
            return self
        fewer = {key: max(16, value // 8) for key, value in asdict(self).items()}
        return Sizes(**{**fewer, "columns": 2, "bins": self.bins, "repeats": self.repeats})


FULL = Sizes(30_000, 10, 32, 4096, 512, 128, 5)
QUICK = Sizes(4_000, 8, 32, 512, 64, 32, 3)


@dataclass(frozen=True)
class Measurement:
    """One operation of one engine, in microseconds each."""

    operation: str
    engine: str
    threads: int
    microseconds: float


def least(
    work: Callable[[], object],
    count: int,
    repeats: int,
    clock: Callable[[], float] = time.thread_time,
) -> float:
    """Microseconds per item, the least of several runs."""
    best = float("inf")
    for _ in range(repeats):
        start = clock()
        work()
        best = min(best, clock() - start)
    return best / count * MICRO


@njit
def _dependent_products(steps: int) -> int:
    x = 3
    for i in range(steps):
        x = x * x + i
    return x


def gigahertz() -> float:
    """Clock of this core: a product takes 3 cycles and a sum 1, and each waits for the last."""
    _dependent_products(1)
    steps = 10_000_000
    return 4.0 / (least(lambda: _dependent_products(steps), steps, 5) * 1e3)


def yardsticks(key: PaillierPrivateKey, sizes: Sizes) -> list[Measurement]:
    """Time gmpy2 and python-paillier on the same key."""
    n = key.public_key.n
    public = phe.PaillierPublicKey(n)
    private = phe.PaillierPrivateKey(public, key.p.value, key.q.value)
    square = mpz(n) ** 2
    numbers = [mpz(public.raw_encrypt(m)) for m in range(4)]

    def multiply() -> None:
        product = numbers[0]
        for _ in range(500):
            product = product * numbers[1] % square

    x, y = (phe.EncryptedNumber(public, int(number)) for number in numbers[:2])

    def add() -> None:
        for _ in range(200):
            x + y

    def pack() -> None:
        x * (1 << CELL_BITS) + y

    repeats = 2 * sizes.repeats
    times = {
        (ADD, GMPY2): least(multiply, 500, repeats),
        (ADD, PHE): least(add, 200, repeats),
        ("encrypt", PHE): least(lambda: public.raw_encrypt(5), 1, repeats),
        ("re-randomise", PHE): least(lambda: public.raw_encrypt(0), 1, repeats),
        ("decrypt", PHE): least(lambda: private.raw_decrypt(int(numbers[2])), 1, repeats),
        (f"pack a cell of {CELL_BITS} bits", PHE): least(pack, 1, repeats),
    }
    return [Measurement(what, who, 1, value) for (what, who), value in times.items()]


def measure(key: PaillierPrivateKey, engine: str, sizes: Sizes, threads: int) -> list[Measurement]:
    """Time every operation of one engine."""
    os.environ[VARIABLE] = engine
    key = PaillierPrivateKey(key.p, key.q)
    short = ShortExponentPaillierScheme().adopt(key)
    for owner in (key, short):
        owner.prepare()
    public, rng = key.public_key, np.random.default_rng(0)
    messages = rng.integers(0, 2**40, (sizes.encryptions, 2)).astype(np.uint64)
    ciphertexts = key.encrypt(messages)
    pool = np.resize(ciphertexts, (sizes.rows, public.ciphertext_words))
    bins = rng.integers(0, sizes.bins, (sizes.rows, sizes.columns))
    rows = np.concatenate([np.argsort(column, kind="stable") for column in bins.T])
    counts = [np.bincount(column, minlength=sizes.bins) for column in bins.T]
    starts = np.concatenate([[0], np.cumsum(np.concatenate(counts))])
    some = ciphertexts[: sizes.decryptions]
    slots = public.plaintext_bits // CELL_BITS
    masked = ciphertexts[: sizes.masks]
    operations: dict[str, tuple[Callable[[int], object], int]] = {
        ADD: (lambda n: public.sum_by_segment(pool, rows, starts, n_jobs=n), len(rows)),
        "encrypt": (lambda n: key.encrypt(messages, n_jobs=n), len(messages)),
        "encrypt, short exponents": (lambda n: short.encrypt(messages, n_jobs=n), len(messages)),
        "decrypt": (lambda n: key.decrypt(some, n_jobs=n), len(some)),
        f"pack a cell of {CELL_BITS} bits": (
            lambda n: public.pack(some, CELL_BITS, slots, n_jobs=n),
            len(some),
        ),
        "re-randomise": (lambda n: public.rerandomise(masked, n_jobs=n), len(masked)),
        "check": (lambda n: public.check(ciphertexts, n_jobs=n), len(ciphertexts)),
    }
    results = []
    for name, (work, count) in operations.items():
        work(1)
        one = least(lambda work=work: work(1), count, sizes.repeats)
        results.append(Measurement(name, engine, 1, one))
        if threads > 1:
            many = least(
                lambda work=work: work(threads), count, sizes.repeats, clock=time.perf_counter
            )
            results.append(Measurement(name, engine, threads, many))
    return results


def merged(measurements: list[Measurement]) -> list[Measurement]:
    """Keep the least of what was measured more than once."""
    best: dict[tuple[str, str, int], Measurement] = {}
    for m in measurements:
        key = (m.operation, m.engine, m.threads)
        if key not in best or m.microseconds < best[key].microseconds:
            best[key] = m
    return list(best.values())


def against(results: list[Measurement], of: Measurement, who: str) -> float | None:
    """How many times faster than a yardstick."""
    operation = of.operation.removesuffix(", short exponents")
    for other in results:
        if (other.operation, other.engine, other.threads) == (operation, who, 1):
            return other.microseconds / of.microseconds
    return None


def port_limit(n: int, clock: float) -> float:
    """Microseconds of a half-length product that no IFMA core can beat."""
    limbs = IfmaConstants(n).limbs
    return 8 * limbs**2 / LANES / PORTS / clock / 1e3


def show(results: list[Measurement], limit: float, title: str) -> None:
    table = Table(title=title)
    table.add_column("operation")
    table.add_column("by")
    for heading in (
        "threads",
        "us",
        f"x {GMPY2}",
        f"x {PHE}",
        "of one thread",
        "of the port limit",
    ):
        table.add_column(heading, justify="right")
    one_thread = {(m.operation, m.engine): m.microseconds for m in results if m.threads == 1}
    order = {name: i for i, name in enumerate(dict.fromkeys(m.operation for m in results))}
    for m in sorted(results, key=lambda m: order[m.operation]):
        ratios = [against(results, m, who) if m.engine != who else None for who in (GMPY2, PHE)]
        table.add_row(
            m.operation,
            m.engine,
            str(m.threads),
            f"{m.microseconds:,.3g}" if m.microseconds < 100 else f"{m.microseconds:,.0f}",
            *[f"{ratio:.3g}" if ratio else "" for ratio in ratios],
            f"{one_thread[m.operation, m.engine] / m.microseconds:.2f}" if m.threads > 1 else "",
            f"{limit / m.microseconds:.0%}"
            if (m.operation, m.engine, m.threads) == (ADD, "ifma", 1)
            else "",
        )
    Console(width=WIDTH).print(table)


def plot(results: list[Measurement], title: str, path: Path) -> bool:
    """Draw times by operation and engine; tell whether matplotlib is there."""
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        return False
    single = [m for m in results if m.threads == 1]
    operations = list(dict.fromkeys(m.operation for m in single))
    engines = list(dict.fromkeys(m.engine for m in single))
    figure, axes = plt.subplots(figsize=(9, 6), layout="constrained")
    height = 0.8 / len(engines)
    for i, engine in enumerate(engines):
        mine = {m.operation: m.microseconds for m in single if m.engine == engine}
        places = [operations.index(name) + i * height for name in mine]
        axes.barh(places, list(mine.values()), height, label=engine)
    axes.set_yticks([i + 0.4 - height / 2 for i in range(len(operations))], operations)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlabel("microseconds, one thread")
    axes.set_title(title)
    axes.legend()
    figure.savefig(path)
    return True


def cpu_name() -> str:
    """What the system calls the processor."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def main() -> None:
    available = [name for name, kind in ENGINES.items() if kind.available()]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--key-bits", type=int, default=2048, choices=(2048, 3072, 4096))
    parser.add_argument("--engines", nargs="+", default=available, choices=available)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--quick", action="store_true", help="rougher, in some twenty seconds")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    sizes = QUICK if arguments.quick else FULL
    clock = gigahertz()
    key = PaillierScheme().generate(arguments.key_bits)
    measurements = yardsticks(key, sizes)
    for engine in arguments.engines:
        measurements += measure(key, engine, sizes.scaled(engine), arguments.threads)
        measurements += yardsticks(key, sizes)
    results = merged(measurements)
    limit = port_limit(key.public_key.n, clock)
    title = f"Paillier, {arguments.key_bits} bits, {cpu_name()} at {clock:.2f} GHz"
    show(results, limit, title)
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / f"kernels-{arguments.key_bits}.json"
    path.write_text(
        json.dumps(
            {
                "cpu": cpu_name(),
                "gigahertz": clock,
                "load": os.getloadavg()[0],
                "key_bits": arguments.key_bits,
                "quick": arguments.quick,
                "port_limit_microseconds": limit,
                "gmpy2": gmpy2.version(),
                "phe": phe.__version__,
                "measurements": [asdict(m) for m in results],
            },
            indent=1,
        )
    )
    drawn = plot(results, title, path.with_suffix(".png"))
    print(f"written: {path}" + (f" and {path.with_suffix('.png')}" if drawn else ""))


if __name__ == "__main__":
    main()
