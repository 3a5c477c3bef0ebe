"""What one addition of a histogram costs in effect, when columns share their additions.

    python bench/histogram.py              # 100,000 rows, some 20 seconds
    python bench/histogram.py --quick

An *effective addition* is one row of one column: a feature party that is asked for the histogram
of a node owes ``rows * columns`` of them, and the time it takes is divided by that. It may do with
fewer: `secureboost.gbdt.joint` first adds up the combinations of several columns' bins. Beside it,
in the same run, stands the plain way, which adds each row once for each column.

Two kinds of data. *Uniform*: independent columns, all bins equally likely, none missing. Nearly all
combinations occur, so little can be shared: the worst case for its size. *Credit*: the ten columns
of the credit card company, where few combinations occur and some bins hold most rows (skipped where
the table is absent).
"""

import argparse
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import plots
from data import credit
from measure import machine
from numpy.typing import NDArray
from show import Grid, publish

from crypto.packing import GradientPacking
from crypto.paillier import PaillierScheme
from crypto.paillier_private import PaillierPrivateKey
from crypto.scheme import Ciphertexts, PublicKey
from secureboost.binning import BinMapper
from secureboost.clock import Clock, Phase
from secureboost.gbdt.cells import CellLayout
from secureboost.gbdt.feature_sums import mask_cells, sum_nodes

MICRO = 1e6
MUST, AIM = 0.16, 0.10
"""Microseconds, of uniform bins at 2048 bits: 100,000 rows, 10 columns, 32 bins, two threads."""
TARGET = (100_000, 10, 32, 2048, 2)
MAX_GRADIENT, MAX_HESSIAN = 1 << 30, 1 << 28


@dataclass(frozen=True, repr=False)
class Binned:
    """Columns of a feature party, cut into bins.

    Attributes
    ----------
    name : str
    bins : array of shape (n_columns, n_rows), uint8
    n_bins : array of shape (n_columns,), int32
        Bins of each column, without the missing bin.
    max_bin : int
        The missing bin.
    """

    name: str
    bins: NDArray[np.uint8]
    n_bins: NDArray[np.int32]
    max_bin: int

    @property
    def layout(self) -> CellLayout:
        """Order of the cells."""
        return CellLayout(self.n_bins, self.max_bin)

    @property
    def cell_of(self) -> NDArray[np.int64]:
        """Cell of each row in each column, shape (n_columns, n_rows)."""
        n_bins = self.n_bins[:, None]
        within = np.where(self.bins == self.max_bin, n_bins, self.bins)
        return within + np.cumsum(n_bins + 1, axis=0) - (n_bins + 1)


@dataclass(frozen=True)
class Result:
    """What a node's histogram took, in seconds.

    Attributes
    ----------
    name : str
    rows, columns : int
    plain : float
        One addition for each row and column, sorting not counted.
    phases : dict of str to float
        Of the joint way: ``plan``, ``sum`` (conversions and complements included), and what comes
        after either way: ``pack``, ``rerandomise``.
    additions : int
        That the joint way takes.
    equal : bool
        Whether both ways decrypt to the sums of the plain numbers.
    """

    name: str
    rows: int
    columns: int
    plain: float
    phases: dict[str, float]
    additions: int
    equal: bool

    def each(self, seconds: float) -> float:
        """Microseconds for each row and column."""
        return seconds / (self.rows * self.columns) * MICRO

    @property
    def joint(self) -> float:
        """Seconds from the ciphertexts of the rows to those of the cells."""
        return self.phases["plan"] + self.phases["sum"]


def uniform(rows: int, columns: int, bins: int) -> Binned:
    """Independent columns, all bins equally likely, nothing missing."""
    drawn = np.random.default_rng(0).integers(0, bins, (columns, rows), dtype=np.uint8)
    name = f"uniform, {rows:,} x {columns}, {bins} bins"
    return Binned(name, drawn, np.full(columns, bins, np.int32), bins)


def credit_card_company(bins: int) -> Binned:
    """Read all rows of the feature party's columns.

    Raises
    ------
    FileNotFoundError
        If the table is absent.
    """
    table = credit().features["partner"].to_numpy(np.float32)
    mapper = BinMapper.fit(table, bins)
    name = f"credit, {len(table):,} x {table.shape[1]}, up to {bins} bins"
    return Binned(name, mapper.transform(table), mapper.n_bins, bins)


def measure(data: Binned, key: PaillierPrivateKey, threads: int, repeats: int) -> Result:
    """Time the histogram of a node of all rows, both ways in turn; the least of each counts."""
    n_columns, n_rows = data.bins.shape
    gradients = random_gradients(n_rows)
    packing = GradientPacking(n_rows, MAX_GRADIENT, MAX_HESSIAN)
    ciphertexts = key.encrypt(packing.pack(gradients), n_jobs=threads)
    public, cell_of = key.public_key, data.cell_of
    starts = np.append(0, np.cumsum(np.bincount(cell_of.ravel()))).astype(np.int64)
    order = np.argsort(cell_of, axis=1, kind="stable").ravel()

    best: dict[str, Phase] = {}
    plain = float("inf")
    for _ in range(repeats):
        began = time.perf_counter()
        plain_sums = public.sum_by_segment(ciphertexts, order, starts, n_jobs=threads)
        plain = min(plain, time.perf_counter() - began)
        sums, phases = answer(data, public, ciphertexts, packing, threads)
        if not best or joint_seconds(phases) < joint_seconds(best):
            best = phases
    slots = packing.cells_per_ciphertext(public.plaintext_bits)
    expected = true_sums(cell_of, gradients, data.layout.cells_per_node)
    return Result(
        data.name,
        n_rows,
        n_columns,
        plain,
        {name: phase.seconds for name, phase in best.items()},
        best["sum"].operations,
        all(
            np.array_equal(packing.unpack(key.decrypt(packed), len(expected), slots), expected)
            for packed in (
                public.pack(cells, packing.cell_bits, slots) for cells in (plain_sums, sums)
            )
        ),
    )


def answer(
    data: Binned,
    public: PublicKey,
    ciphertexts: Ciphertexts,
    packing: GradientPacking,
    threads: int,
) -> tuple[Ciphertexts, dict[str, Phase]]:
    """Do what a feature party does when it is asked for the root's histogram."""
    n_columns, n_rows = data.bins.shape
    clock = Clock()
    (sums,) = sum_nodes(
        public,
        [ciphertexts],
        data.bins,
        [np.arange(n_rows, dtype=np.int32)],
        np.arange(n_columns, dtype=np.int32),
        data.layout,
        clock=clock,
        n_jobs=threads,
    )
    cells = packing.cells_per_ciphertext(public.plaintext_bits)
    mask_cells(public, sums, packing.cell_bits, cells, clock=clock, n_jobs=threads)
    return sums, dict(clock.phases)


def joint_seconds(phases: dict[str, Phase]) -> float:
    return phases["plan"].seconds + phases["sum"].seconds


def random_gradients(count: int) -> NDArray[np.int64]:
    rng = np.random.default_rng(1)
    return np.stack(
        [
            rng.integers(-MAX_GRADIENT, MAX_GRADIENT, count, endpoint=True),
            rng.integers(0, MAX_HESSIAN, count, endpoint=True),
        ],
        axis=1,
    )


def true_sums(
    cell_of: NDArray[np.int64], gradients: NDArray[np.int64], n_cells: int
) -> NDArray[np.int64]:
    """Add up the plain numbers, shape (n_cells, 2)."""
    sums = np.zeros((n_cells, 2), np.int64)
    for cells in cell_of:
        np.add.at(sums, cells, gradients)
    return sums


def grid(title: str, results: list[Result], has_target: bool) -> Grid:
    """One row per kind of data; the target is that of the first."""
    rows = []
    for result in results:
        targets = (f"{MUST:.2f}", f"{AIM:.2f}") if has_target and not rows else ("-", "-")
        phases = {name: result.each(seconds) for name, seconds in result.phases.items()}
        rows.append(
            (
                result.name,
                f"{result.each(result.plain):.3f}",
                *targets,
                f"{result.each(result.joint):.3f}",
                f"{phases['plan']:.3f}",
                f"{phases['sum']:.3f}",
                f"{phases['pack'] + phases['rerandomise']:.3f}",
                f"{result.additions / (result.rows * result.columns):.2f}",
                "yes" if result.equal else "NO",
            )
        )
    return Grid(
        title,
        ("data", "plain", "must", "aim", "joint", "plan", "sum", "mask", "adds", "equal"),
        tuple(rows),
        "Wall microseconds for each row and column. Plain: one addition for each, sorting not "
        "counted. Joint: from the rows' ciphertexts to those of the cells, so plan and sum. Mask: "
        "packing and re-randomising the cells, which comes after either way and does not grow with "
        "the rows. Adds: additions of the joint way for each row and column. Equal: both ways "
        "decrypt to the true sums. Uniform: independent columns, all bins equally likely, so that "
        "nearly all combinations occur; the targets were set with such columns. Least of the "
        "repeats.",
    )


def plot(title: str, results: list[Result], has_target: bool) -> None:
    """Bars of both ways."""
    with plots.figure("histogram", (1, 1), (8.0, 1.0 + 0.9 * len(results))) as axes:
        if axes is None:
            return
        bars = {}
        for result in results:
            bars[f"{result.name}: plain"] = {"sum": result.each(result.plain)}
            bars[f"{result.name}: joint"] = {
                phase: result.each(result.phases[phase]) for phase in ("plan", "sum")
            }
        if has_target:
            for name, value, style in (("must", MUST, "-"), ("aim", AIM, "--")):
                axes[0].axvline(value, color="black", linestyle=style, linewidth=1, label=name)
        plots.stacks(axes[0], bars)
        axes[0].set_xlabel("microseconds for each row and column")
        axes[0].set_title(title)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="20,000 rows, fewer repeats")
    parser.add_argument("--rows", type=int, default=100_000, help="of the uniform data")
    parser.add_argument("--columns", type=int, default=10, help="of the uniform data")
    parser.add_argument("--bins", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--key-bits", type=int, default=2048)
    args = parser.parse_args()
    if args.quick:
        args.rows, args.repeats = 20_000, 3
    where = machine()
    key = PaillierScheme().generate(args.key_bits)
    tables = [uniform(args.rows, args.columns, args.bins)]
    try:
        tables.append(credit_card_company(args.bins))
    except FileNotFoundError as error:
        print(f"no credit data: there is no {Path(error.filename)} (set SECUREBOOST_DATA)")
    results = [measure(table, key, args.threads, args.repeats) for table in tables]
    has_target = (args.rows, args.columns, args.bins, args.key_bits, args.threads) == TARGET
    title = f"An effective addition, joint groups, {args.key_bits} bits, {args.threads} threads"
    content = [
        asdict(r) | {"us_plain": r.each(r.plain), "us_joint": r.each(r.joint)} for r in results
    ]
    publish("histogram", where, vars(args), content, [grid(title, results, has_target)])
    plot(title, results, has_target)


if __name__ == "__main__":
    main()
