"""Five seconds of the real operations, to know what one takes on this machine.

The encryption is timed on its own, each operation with few and with many numbers. Everything else
(own histograms, splits, questions) is timed in a small training whose cipher costs nothing.
"""

import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from joblib import effective_n_jobs

from crypto import sampling
from crypto.fixed_point import FixedPoint
from crypto.packing import GradientPacking
from crypto.paillier import PaillierScheme
from crypto.paillier_private import PaillierPrivateKey
from crypto.plain import PlainScheme
from crypto.scheme import Ciphertexts, PrivateKey, PublicKey
from secureboost.clock import Phase
from secureboost.gbdt.label import TrainingTable, train
from secureboost.gbdt.params import BoosterParams
from secureboost.gbdt.partner import LABEL_PARTY
from secureboost.gbdt.remote import BLOCK_ROWS
from secureboost.objectives import OBJECTIVES
from secureboost.partners import make_partners
from secureboost.party import FeatureParty
from secureboost.planning.rates import Cost, Rates, Time
from secureboost.trainers import get_trainer

Work = Callable[[], object]

FEW, MANY = 8, 64
"""Ciphertexts in a small and in a large call; a question has some ten to some hundred."""

_SUMMANDS = 16_384
_NOMINAL_ROWS = 100_000
"""Rows that the width of a timed cell is for; the time of packing is taken per bit."""

_TREES, _DEPTH, _COLUMNS, _BINS = 3, 4, 4, 32
_SMALL_TABLE, _LARGE_TABLE = 512, 8_192


def calibrate(
    key_bits: int = 2048,
    seconds: float = 5.0,
    *,
    key: PaillierPrivateKey | None = None,
    n_jobs: int = -1,
) -> Rates:
    """Time every kind of operation on this machine, as busy as it is now.

    Parameters
    ----------
    key_bits : int
    seconds : float
        About how long; each operation is timed at least twice, whatever that takes.
    key : PaillierPrivateKey, optional
        Of that length; by default one is made, and its making timed.
    n_jobs : int
        Threads; -1 is one per core.

    Raises
    ------
    crypto.errors.KeySizeError
    """
    n_jobs = effective_n_jobs(n_jobs)
    watch = _Watch()
    key = key or PaillierScheme().generate(key_bits)
    start = watch.read()
    packing = _nominal_packing()
    key.encrypt(packing.pack(np.zeros((1, 2), np.int64)), n_jobs=n_jobs)  # loads what is compiled
    watch = _Watch()
    PaillierPrivateKey(key.p, key.q).prepare()
    start += watch.read()
    framework = _framework(n_jobs)
    public = key.public_key
    encrypt, decrypt = _owner_rates(key, packing, 0.4 * seconds, n_jobs)
    check, pack, rerandomise = _partner_rates(public, packing, 0.3 * seconds, n_jobs)
    addition, segment = _sum_rates(public, 0.15 * seconds, n_jobs)
    return Rates(
        key_bits=key_bits,
        n_jobs=n_jobs,
        process_bytes=_resident_bytes(),
        start=start,
        encrypt=encrypt,
        decrypt=decrypt,
        check=check,
        addition=addition,
        segment=segment,
        pack=pack,
        rerandomise=rerandomise,
        bin=framework.bin,
        histogram=framework.histogram,
        split=framework.split,
        divide=framework.divide,
        sort=framework.sort,
        question=framework.question,
    )


class _Watch:
    """Reads the time since it was made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def read(self) -> Time:
        return Time(time.perf_counter() - self._wall, time.process_time() - self._cpu)


def timed(work: Work, seconds: float) -> Time:
    """Repeat `work` for so long, at least twice; the median of all but the first."""
    watch = _Watch()
    times: list[Time] = []
    work()
    while not times or watch.read().wall < seconds:
        once = _Watch()
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


def _nominal_packing() -> GradientPacking:
    objective = OBJECTIVES["binary:logistic"]()
    encoding = FixedPoint.for_bound(objective.max_abs_gradient, _NOMINAL_ROWS)
    return GradientPacking(
        _NOMINAL_ROWS,
        encoding.max_integer(objective.max_abs_gradient),
        encoding.max_integer(objective.max_hessian),
    )


def _owner_rates(
    key: PrivateKey, packing: GradientPacking, seconds: float, n_jobs: int
) -> tuple[Time, Cost]:
    """What the label party does with its key: encrypt, decrypt."""
    rows = np.zeros((BLOCK_ROWS, 2), np.int64)
    block = timed(lambda: key.encrypt(packing.pack(rows), n_jobs=n_jobs), 0.6 * seconds)
    slots = packing.cells_per_ciphertext(key.public_key.plaintext_bits)

    def decrypt(count: int) -> Work:
        ciphertexts = key.encrypt(packing.pack(rows[:count]), n_jobs=n_jobs)
        return lambda: packing.unpack(key.decrypt(ciphertexts, n_jobs=n_jobs), count * slots, slots)

    return block * (1 / BLOCK_ROWS), _timed_cost(decrypt, FEW, MANY, 0.4 * seconds)


def _partner_rates(
    public: PublicKey, packing: GradientPacking, seconds: float, n_jobs: int
) -> tuple[Time, Cost, Cost]:
    """What a feature party does with ciphertexts, sums apart: check, pack, re-randomise."""
    arrived = random_ciphertexts(public, BLOCK_ROWS)
    check = timed(lambda: public.check(arrived), 0.1 * seconds)
    bits, slots = packing.cell_bits, packing.cells_per_ciphertext(public.plaintext_bits)
    cells = random_ciphertexts(public, MANY * slots)

    def pack(count: int) -> Work:
        return lambda: public.pack(cells[: count * slots], bits, slots, n_jobs=n_jobs)

    def rerandomise(count: int) -> Work:
        return lambda: public.rerandomise(cells[:count], n_jobs=n_jobs)

    shifted = bits * slots
    return (
        check * (1 / BLOCK_ROWS),
        _timed_cost(pack, FEW, MANY, 0.4 * seconds, unit=shifted),
        _timed_cost(rerandomise, FEW, MANY, 0.5 * seconds),
    )


def _sum_rates(public: PublicKey, seconds: float, n_jobs: int) -> tuple[Time, Time]:
    """An addition, and the rest of making a sum: from a few long sums and many short ones."""
    ciphertexts = random_ciphertexts(public, _SUMMANDS)
    rows = np.random.default_rng(0).permutation(_SUMMANDS)

    def sums(count: int) -> Time:
        starts = np.linspace(0, _SUMMANDS, count + 1).astype(np.int64)
        return timed(
            lambda: public.sum_by_segment(ciphertexts, rows, starts, n_jobs=n_jobs), seconds / 2
        )

    few, many = _SUMMANDS // 256, _SUMMANDS // 8
    cost = fit_cost((few, sums(few)), (many, sums(many)))
    return cost.call * (1 / _SUMMANDS), cost.each


def random_ciphertexts(public: PublicKey, count: int) -> Ciphertexts:
    """Draw ciphertexts of numbers that nobody knows; faster than encrypting."""
    n = int.from_bytes(public.to_bytes().partition(b":")[2], "big")
    return np.hstack([sampling.below(n, count), sampling.below(n, count)])


def _timed_cost(
    work_on: Callable[[int], Work], few: int, many: int, seconds: float, unit: float = 1.0
) -> Cost:
    times = [(count * unit, timed(work_on(count), seconds / 2)) for count in (few, many)]
    return fit_cost(*times)


@dataclass(frozen=True)
class _Framework:
    """Rates of everything but the encryption; fields as in `Rates`."""

    bin: Time
    histogram: Time
    split: Time
    divide: Time
    sort: Time
    question: Cost


def _framework(n_jobs: int) -> _Framework:
    """Train two small tables without encryption and see where the time went."""
    _PlainRun(_SMALL_TABLE, n_jobs)  # loads what is compiled
    small, large = _PlainRun(_SMALL_TABLE, n_jobs), _PlainRun(_LARGE_TABLE, n_jobs)
    nodes, values = large.label["split"].operations, large.label["histogram"].operations
    rows = _LARGE_TABLE * _TREES * _DEPTH

    def rate(phase: Phase, count: float) -> Time:
        return Time(phase.seconds, phase.seconds) * (1 / count)

    return _Framework(
        bin=rate(large.label["bin"], large.label["bin"].operations),
        histogram=rate(large.label["histogram"], values),
        split=rate(large.label["split"], nodes * 2 * _COLUMNS * (_BINS + 1)),
        divide=rate(large.label["divide"], rows),
        sort=rate(large.partner["plan"], values),
        question=fit_cost(
            (_SMALL_TABLE, Time(small.rest, small.rest) * (1 / (_TREES * _DEPTH))),
            (_LARGE_TABLE, Time(large.rest, large.rest) * (1 / (_TREES * _DEPTH))),
        ),
    )


class _PlainRun:
    """A small training with the cipher that hides nothing, in this process.

    Attributes
    ----------
    label, partner : mapping of str to Phase
    rest : float
        Seconds that are in no phase.
    """

    def __init__(self, n_rows: int, n_jobs: int) -> None:
        draws = np.random.default_rng(0)
        X = draws.standard_normal((n_rows, 2 * _COLUMNS), dtype=np.float32)
        y = (X.sum(axis=1) + draws.logistic(size=n_rows) > 0).astype(np.float64)
        ids = pd.RangeIndex(n_rows).astype(str)
        own = pd.DataFrame(X[:, :_COLUMNS], ids, [f"own{i}" for i in range(_COLUMNS)])
        party = FeatureParty("partner", pd.DataFrame(X[:, _COLUMNS:], ids))
        params = BoosterParams(n_estimators=_TREES, max_depth=_DEPTH, max_bin=_BINS)
        watch = _Watch()
        trained = train(
            TrainingTable(own.to_numpy(), y, np.ones(n_rows), tuple(own.columns), True),
            make_partners([party], own, get_trainer("secureboost")),
            params,
            OBJECTIVES["binary:logistic"](),
            make_key=lambda: PlainScheme().generate(0),
            classes=(0, 1),
            parameters={},
            n_jobs=n_jobs,
        )
        self.label = trained.times[LABEL_PARTY].phases
        self.partner = trained.times["partner"].phases
        known = sum(phase.seconds for name, phase in self.label.items() if name != "wait")
        asked = ("plan", "sum", "pack", "rerandomise")
        known += sum(self.partner[name].seconds for name in asked)
        self.rest = max(0.0, watch.read().wall - known)


def _resident_bytes() -> int:
    """Most memory that this process has held."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
