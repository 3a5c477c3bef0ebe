"""How fast a split network trains, beside the same network in one process, and what it holds.

Whatever else a machine does takes its share from both sides of a ratio, so each is the best of
several runs that take turns.
"""

from dataclasses import asdict, dataclass
from typing import Any

from data import Vertical, made_up
from net_companies import Run, measure
from net_party import EpochEnds
from net_plain import Sizes, rows_a_second

from secureboost import SplitNNClassifier, pool_tables

SIZES = Sizes()
NET: dict[str, Any] = {
    "bottom_hidden": SIZES.hidden,
    "top_hidden": SIZES.hidden,
    "cut_width": SIZES.cut,
    "batch_size": SIZES.batch,
    "random_state": 0,
}
GIGABIT = 1000.0
FAR_MS = 20.0
OWN, PARTNER = 20, 20


@dataclass(frozen=True)
class Way:
    """One way to train the network between two processes.

    Attributes
    ----------
    in_flight, local_steps : int
    codec : str
    round_trip_ms : float
        0 is loopback as it is; otherwise the line carries 10^9 bits a second.
    """

    in_flight: int = 1
    local_steps: int = 1
    codec: str = "identity"
    round_trip_ms: float = 0.0

    def run(self, epochs: int) -> Run:
        """As a job for two processes."""
        options = {name: getattr(self, name) for name in ("in_flight", "local_steps", "codec")}
        far = {"mbit": GIGABIT, "round_trip_ms": self.round_trip_ms}
        return Run(NET | options | {"n_epochs": epochs}, far if self.round_trip_ms else None)


WAYS = (
    *(Way(in_flight) for in_flight in (1, 2, 4, 8)),
    *(Way(in_flight, round_trip_ms=FAR_MS) for in_flight in (1, 2, 4, 8)),
    *(Way(1, steps, round_trip_ms=ms) for ms in (0.0, FAR_MS) for steps in (2, 4)),
    *(Way(8, codec=codec) for codec in ("int8", "int8:4")),
    *(Way(8, codec=codec, round_trip_ms=FAR_MS) for codec in ("int8", "int8:4")),
)


@dataclass(frozen=True)
class Speed:
    """Rows a second.

    Attributes
    ----------
    plain : dict of str to float
        Of loops in one process, by name.
    ways : dict of Way to dict
        See `net_party.Label.run`.
    """

    plain: dict[str, float]
    ways: dict[Way, dict[str, Any]]

    @property
    def best_plain(self) -> float:
        """The faster loop: what split training is compared with."""
        return max(rate for name, rate in self.plain.items() if name.startswith("torch"))

    def share(self, way: Way) -> float:
        """Rows a second of a way, as a share of `best_plain`."""
        return self.ways[way]["rows_a_second"] / self.best_plain

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "plain": self.plain,
            "ways": [asdict(way) | result for way, result in self.ways.items()],
        }


def measure_speed(rows: int, epochs: int, repeats: int) -> Speed:
    """Train in every way, in turns; of each the best run counts."""
    data = made_up(rows, OWN, PARTNER)
    plain: dict[str, float] = {}
    ways: dict[Way, dict[str, Any]] = {}
    for _ in range(repeats):
        rates = {
            f"torch, {threads} thread{'s'[: threads - 1]}": rows_a_second(
                data, SIZES, threads, epochs
            )
            for threads in (1, 2)
        }
        rates["pooled twin"] = pooled_rows_a_second(data, epochs)
        plain = {name: max(rate, plain.get(name, 0.0)) for name, rate in rates.items()}
        results = measure(data, [way.run(epochs) for way in WAYS])
        for way, result in zip(WAYS, results, strict=True):
            known = ways.get(way, result)
            ways[way] = max(known, result, key=lambda run: run["rows_a_second"])
    return Speed(plain, ways)


def pooled_rows_a_second(data: Vertical, epochs: int) -> float:
    """The same network by our own trainer, both bottoms in this process."""
    table, owner = pool_tables(data.label, data.features)
    ends = EpochEnds()
    model = SplitNNClassifier(**NET, n_epochs=epochs, callbacks=[ends])
    model.fit(table.iloc[data.train], data.y[data.train], column_owner=owner)
    return len(data.train) * (epochs - 1) / ends.spent["wall"]


def measure_memory(sizes: tuple[int, int]) -> dict[int, dict[str, Any]]:
    """Train few and many rows for two epochs, 2 in flight; the processes' memory is in it."""
    job = [Way(2).run(2)]
    return {rows: measure(made_up(rows, OWN, PARTNER), job)[0] for rows in sizes}
