"""What has been given out of a data set so far, over all sessions, kept beyond the process."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from secureboost.errors import ConfigError
from secureboost.files import write_atomically

SpentT = TypeVar("SpentT", bound=msgspec.Struct)


class Ledger(Generic[SpentT]):
    """Counts what is given out, one number for each kind; shared by all sessions of a data set.

    Parameters
    ----------
    spent : SpentT
        Already given out: a structure of whole numbers.
    keep : callable, optional
        Called with the new state before anything more is given out, to keep it beyond the process.
    """

    def __init__(self, spent: SpentT, keep: Callable[[SpentT], None] | None = None) -> None:
        self._keep = keep
        self._lock = threading.Lock()
        self.spent = spent

    def allows(self, what: str, amount: int, limit: int | None) -> bool:
        """Whether `spend` would take that much; nothing is taken."""
        return limit is None or getattr(self.spent, what) + amount <= limit

    def spend(self, what: str, amount: int, limit: int | None) -> bool:
        """Take `amount` of the kind `what`; False, and nothing is taken, where too little is left.

        Parameters
        ----------
        what : str
            A field of `spent`.
        amount : int
        limit : int or None
            Most of this kind that may ever be given out.
        """
        with self._lock:
            if not self.allows(what, amount, limit):
                return False
            total = getattr(self.spent, what) + amount
            spent = msgspec.structs.replace(self.spent, **{what: total})
            if self._keep is not None:
                self._keep(spent)
            self.spent = spent
            return True


def kept_spending(
    path: Path, data_digest: str, nothing: SpentT
) -> tuple[SpentT, Callable[[SpentT], None]]:
    """Read what earlier processes gave out of a data set, and return what keeps the next state.

    Parameters
    ----------
    path : Path
        JSON file with the spending of every data set by its digest; made where it is absent.
    data_digest : str
        Names the data set by its content, so that a renamed file is the same data set.
    nothing : SpentT
        The state of a data set of which nothing was given out.

    Raises
    ------
    secureboost.errors.ConfigError
        If the file is damaged; it is not overwritten, since that would reset the budget.
    """
    spent_by_digest: dict[str, SpentT] = {}
    if path.exists():
        try:
            spent_by_digest = msgspec.json.decode(
                path.read_bytes(),
                type=dict[str, type(nothing)],  # type: ignore[misc]
            )
        except msgspec.DecodeError as error:
            raise ConfigError(
                f"{path} is damaged ({error}). It counts what was given out of each data set: "
                "restore it from a backup, or delete it if the counts may start again.",
                "store",
            ) from error

    def keep(spent: SpentT) -> None:
        spent_by_digest[data_digest] = spent
        write_atomically(path, msgspec.json.encode(spent_by_digest), mode=0o600)

    return spent_by_digest.get(data_digest, nothing), keep
