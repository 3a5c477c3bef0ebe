"""What both sides said in a join: a hash, which names the alignment, and details for people."""

from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from secureboost.align.join_options import listed_terms
from secureboost.align.join_protocol import BeginJoin, KeepRows, TimesOf
from secureboost.align.transcript import Record


class JoinTranscript:
    """Takes what is said in its order; see `transcript.Record`.

    Parameters
    ----------
    begin : BeginJoin
        It names the alignment of keys, which no other session has.
    """

    def __init__(self, begin: BeginJoin) -> None:
        self._said = Record(b"secureboost join 1")
        self._said.add("alignment of keys", begin.alignment)
        self._said.add("n_rows", begin.n_rows)
        for name, value in listed_terms(begin.terms).items():
            self._said.add(f"terms.{name}", value)

    def add_times(self, request: TimesOf, n_matches: NDArray[np.uint16]) -> None:
        """Add a chunk of rows and its answer."""
        self._said.add_array("customers", request.customers)
        self._said.add_array("times", request.times)
        self._said.add_array("matches", n_matches)

    def add_kept(self, request: KeepRows) -> None:
        """Add which rows are agreed on."""
        self._said.add_array("kept", request.kept)
        self._said.add("n_agreed", request.n_agreed)

    def digest(self) -> bytes:
        """Return the hash, 32 bytes."""
        return self._said.digest()


def join_details(begin: BeginJoin, n_agreed: int, counts: dict[str, int]) -> dict[str, str | int]:
    """Say how an alignment of rows came about, for people.

    Parameters
    ----------
    begin : BeginJoin
    n_agreed : int
        Agreed rows.
    counts : dict of str to int
        What this side dropped.
    """
    return {
        **listed_terms(begin.terms),
        "alignment of keys": begin.alignment.hex(),
        "agreed rows": n_agreed,
        **counts,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
    }
