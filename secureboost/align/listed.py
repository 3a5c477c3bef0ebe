"""The agreed rows as a feature party takes them down: in range, none twice, as many as said."""

import numpy as np
from numpy.typing import NDArray

from parties.messages import Refusal
from secureboost.align.protocol import Code, ListKeys


class ListedKeys:
    """Takes down chunks of `ListKeys`.

    Parameters
    ----------
    total : int
        How many rows are announced.
    n_keys : int
        Keys of this party.

    Attributes
    ----------
    n_named : int
        How many of this party's keys are listed so far.
    """

    def __init__(self, total: int, n_keys: int) -> None:
        self.total = total
        self.n_keys = n_keys
        self.n_named = 0
        self._seen = np.zeros(n_keys, dtype=bool)
        self._chunks: list[NDArray[np.int32]] = []
        self._n = 0

    @property
    def complete(self) -> bool:
        """Whether all have come."""
        return self._n == self.total

    def take(self, request: ListKeys) -> None:
        """Check a chunk and take it down.

        Raises
        ------
        Refusal
            It ends the session.
        """
        positions = request.positions
        end = self._n + len(positions)
        if request.total != self.total or request.first != self._n or end > self.total:
            raise _refused(
                f"rows {request.first} to {request.first + len(positions) - 1} of "
                f"{request.total} came where row {self._n} of {self.total} was due"
            )
        outside = (positions < -1) | (positions >= self.n_keys)
        if not len(positions) or outside.any():
            where = f"row {self._n + int(outside.argmax())}" if len(positions) else "an empty list"
            raise _refused(f"{where} names none of this party's {self.n_keys} keys")
        named = positions[positions >= 0]
        if self._seen[named].any() or len(np.unique(named)) != len(named):
            raise _refused(f"rows {self._n} to {end - 1} name a key twice, or one named before")
        self._seen[named] = True
        self.n_named += len(named)
        self._chunks.append(positions.copy())
        self._n = end

    def positions(self) -> NDArray[np.int32]:
        """Return all of them, shape (total,), int32; -1 for a row of which this party has none."""
        return np.concatenate(self._chunks)


def _refused(problem: str) -> Refusal:
    return Refusal(Code.LIST, f"the list of agreed rows: {problem}", ends_session=True)
