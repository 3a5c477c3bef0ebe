"""What one operation takes on a machine: measured by `calibration`, multiplied by `predict`."""

from dataclasses import dataclass, fields, replace
from typing import Any


@dataclass(frozen=True)
class Time:
    """Seconds.

    Attributes
    ----------
    wall : float
        On all threads that the work may use.
    cpu : float
        Of all threads together.
    """

    wall: float = 0.0
    cpu: float = 0.0

    def __add__(self, other: "Time") -> "Time":
        return Time(self.wall + other.wall, self.cpu + other.cpu)

    def __mul__(self, count: float) -> "Time":
        return Time(self.wall * count, self.cpu * count)

    @property
    def one_thread(self) -> "Time":
        """The same work by one thread."""
        return Time(self.cpu, self.cpu)


@dataclass(frozen=True)
class Cost:
    """Seconds of a call that handles many numbers.

    Attributes
    ----------
    call : Time
        However many they are; vector lanes and threads that few numbers leave idle are in it.
    each : Time
        Of one more.
    """

    call: Time
    each: Time

    def of(self, calls: float, count: float) -> Time:
        """Time of some calls that handle `count` numbers together."""
        return self.call * calls + self.each * count

    def scaled(self, factor: float) -> "Cost":
        """The same, so many times as slow."""
        return Cost(self.call * factor, self.each * factor)


_POWER, _PRODUCT = 3, 2
"""Work grows with this power of the key's length: of a power of a number, of a product."""

_GROWTH = {
    "start": _POWER,
    "encrypt": _POWER,
    "decrypt": _POWER,
    "rerandomise": _POWER,
    "check": _PRODUCT,
    "addition": _PRODUCT,
    "segment": _PRODUCT,
    "pack": _PRODUCT,
}


@dataclass(frozen=True)
class Rates:
    """What operations take on this machine, by all of its threads.

    Attributes
    ----------
    key_bits : int
    n_jobs : int
        Threads.
    process_bytes : int
        Memory of a process that does nothing but can train.
    start : Time
        Making a key and its tables, once a run.
    encrypt : Time
        A row: packing and encrypting.
    decrypt : Cost
        A ciphertext: decrypting, unpacking.
    check : Time
        A ciphertext that arrives.
    addition, segment : Time
        Adding a ciphertext to a sum, and making a sum.
    pack : Cost
        Shifting a cell by one bit.
    rerandomise : Cost
        A ciphertext.
    bin, histogram, split, divide : Time
        Cutting a value into its bin; adding a value to an own histogram; searching a cell of a
        node for the best cut; dividing a row.
    sort : Cost
        Sorting the rows of a node into the cells of one column, grouping it with others.
    message : Cost
        A message with its answer over mutual TLS, and each of their bytes: wall time, and the
        processor time of one end.
    question : Cost
        Everything else that a question costs, and each row of the table in it.
    """

    key_bits: int
    n_jobs: int
    process_bytes: int
    start: Time
    encrypt: Time
    decrypt: Cost
    check: Time
    addition: Time
    segment: Time
    pack: Cost
    rerandomise: Cost
    bin: Time
    histogram: Time
    split: Time
    divide: Time
    sort: Cost
    message: Cost
    question: Cost

    def for_key_bits(self, key_bits: int) -> "Rates":
        """Guess the rates at another key length by how the work grows, without measuring."""
        changed: dict[str, Any] = {"key_bits": key_bits}
        for field in fields(self):
            factor = (key_bits / self.key_bits) ** _GROWTH.get(field.name, 0)
            value = getattr(self, field.name)
            if isinstance(value, Time):
                changed[field.name] = value * factor
            elif isinstance(value, Cost):
                changed[field.name] = value.scaled(factor)
        return replace(self, **changed)
