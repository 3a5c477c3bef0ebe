"""Five seconds of the real operations, to know what one takes on this machine.

The encryption is timed on its own, each operation with few and with many numbers. Everything else
(own histograms, splits, questions) is timed in a small training whose cipher costs nothing.
"""

import resource
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import effective_n_jobs

from crypto import sampling
from crypto.packing import GradientPacking
from crypto.paillier import PaillierScheme
from crypto.paillier_private import PaillierPrivateKey
from crypto.plain import PlainScheme
from crypto.scheme import Ciphertexts, PrivateKey, PublicKey
from secureboost.clock import Phase
from secureboost.gbdt.label import Task, TrainingTable, train
from secureboost.gbdt.params import BoosterParams
from secureboost.gbdt.remote import BLOCK_ROWS
from secureboost.monitor import Monitor
from secureboost.objectives import make_objective
from secureboost.partner import LABEL_PARTY
from secureboost.partners import make_partners
from secureboost.party import FeatureParty
from secureboost.planning.loopback import message_cost
from secureboost.planning.rates import Cost, Rates, Time
from secureboost.planning.shape import gradient_packing
from secureboost.planning.watch import Watch, Work, fit_cost, timed, timed_cost
from secureboost.trainers import get_trainer

FEW, MANY = 8, 64
"""Ciphertexts in a small and in a large call; a question has some ten to some hundred."""

_SUMMANDS = 16_384
_NOMINAL_ROWS = 100_000
"""Rows that the width of a timed cell is for; the time of packing is taken per bit."""

_TREES, _DEPTH, _COLUMNS, _BINS = 2, 4, 6, 32
_SMALL_TABLE, _LARGE_TABLE = 1_024, 32_768


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
    watch = Watch()
    key = key or PaillierScheme().generate(key_bits)
    start = watch.read()
    packing = gradient_packing(_NOMINAL_ROWS)
    key.encrypt(packing.pack(np.zeros((1, 2), np.int64)), n_jobs=n_jobs)  # loads what is compiled
    watch = Watch()
    PaillierPrivateKey(key.p, key.q).prepare()
    start += watch.read()
    process_bytes = _resident_bytes()
    framework = _framework(n_jobs)
    public = key.public_key
    encrypt, decrypt = _owner_rates(key, packing, 0.4 * seconds, n_jobs)
    check, pack, rerandomise = _partner_rates(public, packing, 0.3 * seconds, n_jobs)
    message = message_cost(public.ciphertext_words, 0.1 * seconds)
    addition, segment = _sum_rates(public, 0.15 * seconds, n_jobs)
    return Rates(
        key_bits=key_bits,
        n_jobs=n_jobs,
        process_bytes=process_bytes,
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
        message=message,
        question=framework.question,
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

    return block * (1 / BLOCK_ROWS), timed_cost(decrypt, FEW, MANY, 0.4 * seconds)


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
        timed_cost(pack, FEW, MANY, 0.4 * seconds, unit=shifted),
        timed_cost(rerandomise, FEW, MANY, 0.5 * seconds),
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


@dataclass(frozen=True)
class _Framework:
    """Rates of everything but the encryption; fields as in `Rates`."""

    bin: Time
    histogram: Time
    split: Time
    divide: Time
    sort: Cost
    question: Cost


def _framework(n_jobs: int) -> _Framework:
    """Train two small tables without encryption and see where the time went."""
    _PlainRun(_SMALL_TABLE, n_jobs)  # loads what is compiled
    small, large = _PlainRun(_SMALL_TABLE, n_jobs), _PlainRun(_LARGE_TABLE, n_jobs)
    cells = large.label["split"].operations * 2 * _COLUMNS * (_BINS + 1)
    return _Framework(
        bin=_rate(large.label["bin"], large.label["bin"].operations),
        histogram=_rate(large.label["histogram"], large.label["histogram"].operations),
        split=_rate(large.label["split"], cells),
        divide=_rate(large.label["divide"], _LARGE_TABLE * _TREES * _DEPTH),
        sort=fit_cost(small.sorting, large.sorting),
        question=fit_cost((_SMALL_TABLE, small.question), (_LARGE_TABLE, large.question)),
    )


def _rate(phase: Phase, count: float) -> Time:
    return Time(phase.seconds, phase.seconds) * (1 / count)


class _PlainRun:
    """A small training with the cipher that hides nothing, in this process.

    Attributes
    ----------
    label, partner : mapping of str to Phase
    question : Time
        Of a question, what is in no phase.
    sorting : tuple of float and Time
        Rows of an asked node, and the time of sorting one of its columns into cells.
    """

    def __init__(self, n_rows: int, n_jobs: int) -> None:
        draws = np.random.default_rng(0)
        X = draws.standard_normal((n_rows, 2 * _COLUMNS), dtype=np.float32)
        y = (X.sum(axis=1) + draws.logistic(size=n_rows) > 0).astype(np.float64)
        ids = pd.RangeIndex(n_rows).astype(str)
        own = pd.DataFrame(X[:, :_COLUMNS], ids, [f"own{i}" for i in range(_COLUMNS)])
        party = FeatureParty("partner", pd.DataFrame(X[:, _COLUMNS:], ids))
        params = BoosterParams(n_estimators=_TREES, max_depth=_DEPTH, max_bin=_BINS)
        watch = Watch()
        objective = make_objective("binary:logistic")
        trained = train(
            TrainingTable(
                own.to_numpy(),
                (None,) * _COLUMNS,
                y,
                np.ones(n_rows),
                tuple(own.columns),
                True,
                ("",) * _COLUMNS,
            ),
            make_partners([party], ids, get_trainer("secureboost")),
            Task(params, objective, None, None, Monitor([], [], objective.predict), (0, 1), {}),
            make_key=lambda: PlainScheme().generate(0),
            n_jobs=n_jobs,
        )
        self.label = trained.times[LABEL_PARTY].phases
        self.partner = trained.times["partner"].phases
        known = sum(phase.seconds for name, phase in self.label.items() if name != "wait")
        asked = ("plan", "sum", "pack", "rerandomise")
        known += sum(self.partner[name].seconds for name in asked)
        rest = max(0.0, watch.read().wall - known)
        self.question = Time(rest, rest) * (1 / (_TREES * _DEPTH))
        columns = _TREES * 2 ** (_DEPTH - 1) * _COLUMNS  # of asked nodes
        self.sorting = (
            self.label["histogram"].operations / columns,
            _rate(self.partner["plan"], columns),
        )


def _resident_bytes() -> int:
    """Memory that this process holds now; where only its peak is known, that."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * resource.getpagesize()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS counts in bytes
