"""What the label party chooses about finding common customers."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from secureboost.align.join_options import Terms
from secureboost.errors import ConfigError, did_you_mean

Result: TypeAlias = Literal["both", "label-party", "size"]
"""Who learns which rows are common: both sides; the label party alone; nobody, only how many."""

RESULTS: tuple[Result, ...] = get_args(Result)

MAX_CHUNK = 1 << 16
MAX_ROWS = 1 << 30


@dataclass(frozen=True)
class AlignOptions:
    """How common customers are found, and who learns what.

    Attributes
    ----------
    method : str
        A name in `align.methods.METHODS`: ``"ecdh"``, ``"rsa"``.
    group : str or None
        A name in `crypto.groups.GROUPS`, for methods that work in a group. None: the fastest that
        both sides have.
    result : str
        ``"both"``: both sides learn which rows are common. ``"label-party"``: every feature party
        lists all its rows, so it does not learn which of them matched. ``"size"``: both learn how
        many match; no alignment is made.
    min_size : int
        With fewer common keys nobody is told which they are. A feature party may have a higher
        minimum of its own. Both count on the label party to tell the size truly.
    padding : int
        So many rows of each feature party that did *not* match are listed among those that did, so
        that it does not know exactly which of its customers the label party has. A party with fewer
        such rows lists all of them. Not together with ``result="label-party"``, which lists them
        all.
    max_rows : int
        Most different keys that a feature party may bring.
    chunk : int
        Keys in one message, up to `MAX_CHUNK`.
    n_jobs : int
        Threads; -1 is one per core.
    signatures : Path or None
        Folder where the method ``"rsa"`` keeps, for each feature party, what it has signed and its
        tags, so that they need not be asked for again; a tag set that a party gave ahead lies there
        as ``<party>.tagset``. None: nothing outlives the run.
    join : AsOfTerms, WindowTerms or None
        How `align.join_rows` will join rows of common customers by time. The feature parties must
        want the same, or refuse before a key is compared. None: rows are their keys.

    Raises
    ------
    secureboost.errors.ConfigError
        If a value is outside its limits.
    """

    method: str = "ecdh"
    group: str | None = None
    result: Result = "both"
    min_size: int = 1
    padding: int = 0
    max_rows: int = 100_000_000
    chunk: int = 8192
    n_jobs: int = -1
    signatures: Path | None = None
    join: Terms | None = None

    def __post_init__(self) -> None:
        if self.result not in RESULTS:
            raise ConfigError(
                f"{self.result!r} is not a result; choose one of {', '.join(RESULTS)}."
                f"{did_you_mean(str(self.result), RESULTS)}",
                "align.result",
            )
        limits = {
            "min_size": (1, MAX_ROWS),
            "padding": (0, MAX_ROWS),
            "max_rows": (1, MAX_ROWS),
            "chunk": (1, MAX_CHUNK),
            "n_jobs": (-1, 4096),
        }
        for field in fields(self):
            if field.name in limits:
                _check_whole(getattr(self, field.name), *limits[field.name], f"align.{field.name}")
        if self.n_jobs == 0:
            raise ConfigError("0 is not allowed; give -1 for one thread per core.", "align.n_jobs")
        if self.padding and self.result != "both":
            raise ConfigError(
                f"{self.padding} has no meaning with result={self.result!r}; leave it at 0, or "
                "take result='both'.",
                "align.padding",
            )


def _check_whole(value: object, low: int, high: int, path: str) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ConfigError(
            f"{value!r} is not allowed; give a whole number from {low} to {high}.", path
        )
