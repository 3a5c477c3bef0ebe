"""Several peers, asked side by side."""

from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from types import TracebackType

from parties.errors import PartyNameError
from parties.messages import ReplyT, Request
from parties.peer import Peer
from parties.traffic import Traffic


class Session:
    """Peers in a fixed order.

    A context manager: when the block ends well every peer is told goodbye; when it ends with an
    error all connections are cut at once, so that no party waits for a message that never comes.

    Parameters
    ----------
    peers : sequence of Peer

    Raises
    ------
    PartyNameError
        If two peers have the same name.
    """

    def __init__(self, peers: Sequence[Peer]) -> None:
        self.peers = tuple(peers)
        seen: set[str] = set()
        for peer in self.peers:
            if peer.name in seen:
                raise PartyNameError(
                    peer.name, "two parties have this name; give each party its own"
                )
            seen.add(peer.name)

    def ask_all(
        self, requests: Sequence[Request[ReplyT]], timeout: float | None = None
    ) -> list[ReplyT]:
        """Ask every peer its own request, side by side.

        Parameters
        ----------
        requests : sequence of Request
            One per peer, in the order of the peers.
        timeout : float or None
            Deadline of each request in seconds.

        Returns
        -------
        list of Reply
            In the order of the peers.

        Raises
        ------
        PartyError
            The first error, as soon as it happens, without waiting for the other peers.
        """
        futures = [
            peer.submit(request, timeout)
            for peer, request in zip(self.peers, requests, strict=True)
        ]
        done, _ = wait(futures, return_when=FIRST_EXCEPTION)
        for future in done:
            future.result()
        return [future.result() for future in futures]

    @property
    def traffic(self) -> dict[str, dict[str, Traffic]]:
        """What has crossed so far, by peer and request type."""
        return {peer.name: peer.traffic for peer in self.peers}

    def close(self) -> None:
        """Say goodbye to all peers, side by side."""
        if self.peers:
            with ThreadPoolExecutor(len(self.peers)) as pool:
                list(pool.map(Peer.close, self.peers))

    def abort(self) -> None:
        """Cut all connections at once."""
        for peer in self.peers:
            peer.abort()

    def __enter__(self) -> "Session":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        else:
            self.abort()
