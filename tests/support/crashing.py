"""Runs that are cut off at an exchange of our choice."""

from parties.errors import PeerUnreachableError
from parties.peer import Transport


class Counter:
    """Counts exchanges of a run, and ends the run at one of them."""

    def __init__(self, at: int = -1, *, answered: bool = False) -> None:
        self.at, self.answered, self.seen = at, answered, 0

    def __call__(self, transport: Transport) -> Transport:
        return Breaking(transport, self)


class Breaking(Transport):
    """Loses a question, or its answer."""

    def __init__(self, inner: Transport, counter: Counter) -> None:
        self._inner, self._counter = inner, counter

    def exchange(self, frame: bytes, timeout: float) -> bytes:
        number, self._counter.seen = self._counter.seen, self._counter.seen + 1
        if number != self._counter.at:
            return self._inner.exchange(frame, timeout)
        if self._counter.answered:
            self._inner.exchange(frame, timeout)
        raise PeerUnreachableError("party", "is gone")

    def close(self, *, abort: bool) -> None:
        self._inner.close(abort=abort)
