"""Keys in messages of a fixed size, and asking for several of them at a time."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass

from parties.messages import ReplyT, Request
from parties.peer import Peer

AHEAD = 2
"""Messages under way while one is being worked on: enough to keep both sides busy."""


@dataclass(frozen=True)
class Chunks:
    """How `n` things are dealt out to messages.

    Attributes
    ----------
    n : int
    size : int
        Things in a message; the last may hold fewer.
    """

    n: int
    size: int

    def __len__(self) -> int:
        return -(-self.n // self.size)

    def bounds(self, chunk: int) -> slice:
        """Which things are in that chunk."""
        return slice(chunk * self.size, min((chunk + 1) * self.size, self.n))

    def length(self, chunk: int) -> int:
        """How many things are in that chunk."""
        bounds = self.bounds(chunk)
        return int(bounds.stop - bounds.start)


def ask_ahead(peer: Peer, requests: Iterable[Request[ReplyT]]) -> Iterator[ReplyT]:
    """Ask one request after the other and give the replies in order.

    While the caller works on a reply, and while the next request is made, `AHEAD` others are under
    way.

    Raises
    ------
    parties.errors.PartyError
    """
    waiting: deque[Future[ReplyT]] = deque()
    for request in requests:
        waiting.append(peer.submit(request))
        if len(waiting) > AHEAD:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
