"""What the label party gets from `secureboost.align.align`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from secureboost.alignment import Alignment
from secureboost.errors import DataError, LimitError

STEPS = ("send", "fetch", "compare", "tell")
"""What the label party does with a party, in this order: sends its own keys, fetches the party's,
compares, and tells which rows are agreed on."""


@dataclass(frozen=True)
class AlignProgress:
    """How far one party is; what `align` calls `progress` with.

    Attributes
    ----------
    party : str
    step : str
        One of `STEPS`.
    done, total : int
        Keys of that step.
    """

    party: str
    step: str
    done: int
    total: int


Progress: TypeAlias = Callable[[AlignProgress], None]
"""Called now and then while rows are aligned, from one thread at a time."""


@dataclass(frozen=True)
class Sizes:
    """How many different keys there are and how many are common.

    Attributes
    ----------
    own : int
        The label party's.
    parties : dict of str to int
        Each feature party's.
    common : dict of str to int
        Common to the label party and each feature party.
    agreed : int or None
        Common to all; None where it stayed unknown.
    """

    own: int
    parties: dict[str, int]
    common: dict[str, int]
    agreed: int | None

    @property
    def nothing(self) -> bool:
        """Whether nothing is common to all, as far as is known."""
        return self.agreed == 0 or 0 in self.common.values()

    def __str__(self) -> str:
        lines = [
            f"{self.common[party]:,} of {self.own:,} ids are among the {theirs:,} of {party!r}"
            for party, theirs in self.parties.items()
        ]
        if self.agreed is not None and len(self.parties) > 1:
            lines.append(f"{self.agreed:,} are common to all")
        return "; ".join(lines)


@dataclass(frozen=True)
class Aligned:
    """The outcome: an agreed order of rows, or how many keys are common and no more.

    Agreed row k is the same customer at every party.

    Attributes
    ----------
    alignments : dict of str to Alignment
        For each feature party the label party's view: `Alignment.rows` is the same in all of them,
        positions in the label party's table, -1 for a padding row. Empty where nothing was told.
    sizes : Sizes
    shortfall : str
        Why nothing was told though it was asked for; empty otherwise.
    """

    alignments: dict[str, Alignment]
    sizes: Sizes
    shortfall: str = ""

    def check(self) -> "Aligned":
        """Return itself if rows were agreed on.

        Raises
        ------
        secureboost.errors.LimitError
            If there are too few common keys.
        secureboost.errors.DataError
            If only their number was asked for.
        """
        if self.shortfall:
            raise LimitError(f"No rows were agreed on: {self.shortfall}")
        if not self.alignments:
            raise DataError(
                "No rows were agreed on: only the number of common ids was asked for "
                "(result='size')."
            )
        return self
