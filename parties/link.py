"""A connection as a stream of frames, whoever opened it, and the two roles on top of it.

The party that listens and the party that dials get the same `Link`. Which of them asks is another
matter: `LinkTransport` is for the side that asks, `serve_link` for the side that answers.

Each link has a reader thread (network -> inbox). Frames wait in the inbox one at a time, so a peer
that sends more than it was asked for is stopped by flow control and not by our memory.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator

from parties.answerer import Answerer
from parties.chunks import END, Reassembler, split
from parties.errors import PartyError, PeerUnreachableError, ProtocolError
from parties.mailbox import Mailbox
from parties.peer import Transport

CLOSE_SECONDS = 2.0
IDLE_SECONDS = 24 * 3600.0
FIRST_REQUEST_SECONDS = 30.0
SEND_SECONDS = 600.0
_OUTBOX_CHUNKS = 4


class Link:
    """Frames to and from one party.

    Parameters
    ----------
    party : str
        The other side's name, from its pinned certificate.
    fingerprint : str
        SHA-256 of the other side's certificate.
    frame_bytes : int
        Largest frame that is accepted.
    cut : callable
        Ends the connection at once; may be called more than once and from any thread.
    """

    def __init__(
        self, party: str, fingerprint: str, frame_bytes: int, cut: Callable[[], None]
    ) -> None:
        self.party = party
        self.fingerprint = fingerprint
        self._reassembler = Reassembler(frame_bytes, party)
        self._cut = cut
        self._inbox: Mailbox[bytes] = Mailbox(1)
        self._outbox: Mailbox[bytes] = Mailbox(_OUTBOX_CHUNKS)
        self._ended = threading.Event()

    def send(self, frame: bytes, timeout: float | None = None) -> None:
        """Send a frame. If the link is closed nothing happens: `receive` tells why.

        Raises
        ------
        TimeoutError
            If the other side does not take the frame within `timeout` seconds.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        for chunk in split(frame):
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not self._outbox.put(chunk, left):
                return

    def receive(self, timeout: float | None = None) -> bytes:
        """Wait for the next frame.

        Raises
        ------
        TimeoutError
            If none is complete within `timeout` seconds.
        PeerUnreachableError
            If the other side is gone.
        ProtocolError
            If the other side broke the rules of frames; the connection is cut by `close`.
        """
        return self._inbox.get(timeout)

    def close(self, *, abort: bool = False) -> None:
        """End the link: let what was sent arrive (for up to two seconds), or cut at once."""
        closed = PeerUnreachableError(self.party, "the link was closed here")
        if not abort:
            with contextlib.suppress(TimeoutError):
                self._outbox.put(END, CLOSE_SECONDS)
        self._outbox.close(closed)
        if not abort:
            self._ended.wait(CLOSE_SECONDS)
        self._inbox.close(closed)
        self._cut()
        self._ended.set()

    @property
    def ended(self) -> bool:
        """Whether the connection has ended."""
        return self._ended.is_set()

    def wait(self) -> None:
        """Block until the connection has ended."""
        self._ended.wait()

    def outgoing(self) -> Iterator[bytes]:
        """Chunks for the network, until the link is closed; driven by the network's own thread."""
        while True:
            try:
                yield self._outbox.get()
            except PartyError:
                return

    def read(self, incoming: Iterable[bytes], explain: Callable[[Exception], str]) -> None:
        """Take chunks from the network until it ends; the reader thread's whole life.

        Parameters
        ----------
        incoming : iterable of bytes
            Chunks; it may raise anything when the connection fails.
        explain : callable
            Puts such an exception into a few words.
        """
        error = self._lost()
        try:
            for chunk in incoming:
                if chunk == END:
                    error = PeerUnreachableError(self.party, "the other side has ended the session")
                    break
                frame = self._reassembler.feed(chunk)
                if frame is not None and not self._inbox.put(frame):
                    break
        except ProtocolError as broken:
            # The frame is refused before the sender is through. The outbox stays open so that
            # the sender can be told why.
            self._inbox.close(broken)
            return
        except Exception as failure:
            error = self._lost(f" ({explain(failure)})")
        self._inbox.close(error)
        self._outbox.close(error)
        self._ended.set()

    def lost(self) -> None:
        """Note that the connection is gone; called by the network."""
        self._outbox.close(self._lost())
        self._ended.set()

    def _lost(self, reason: str = "") -> PeerUnreachableError:
        return PeerUnreachableError(
            self.party, f"the connection was lost{reason}; is the other side still running?"
        )


class LinkTransport(Transport):
    """Asks over a link.

    Parameters
    ----------
    link : Link
    """

    def __init__(self, link: Link) -> None:
        self._link = link

    def exchange(self, frame: bytes, timeout: float) -> bytes:
        """Send the frame and wait for one back, both within `timeout` seconds."""
        deadline = time.monotonic() + timeout
        self._link.send(frame, timeout)
        return self._link.receive(max(0.0, deadline - time.monotonic()))

    @property
    def sends_ahead(self) -> bool:
        """Frames may travel while others are being answered."""
        return True

    def send(self, frame: bytes, timeout: float) -> None:
        """Send a frame."""
        self._link.send(frame, timeout)

    def receive(self, timeout: float) -> bytes:
        """Wait for the next frame."""
        return self._link.receive(timeout)

    def close(self, *, abort: bool) -> None:
        """Close the link."""
        self._link.close(abort=abort)


def serve_link(link: Link, answerer: Answerer, *, idle_seconds: float = IDLE_SECONDS) -> None:
    """Answer what comes over a link until the session ends; the link is closed afterwards.

    Parameters
    ----------
    link : Link
    answerer : Answerer
    idle_seconds : float
        How long to wait for the next request. The first one must come within 30 seconds, since a
        silent session keeps others out.

    Raises
    ------
    PartyError
        If the session did not end with a goodbye or a failure that we sent.
    """
    patience = min(FIRST_REQUEST_SECONDS, idle_seconds)
    try:
        while not answerer.closed:
            link.send(answerer.answer(link.receive(patience)), SEND_SECONDS)
            patience = idle_seconds
    except ProtocolError as error:
        with contextlib.suppress(TimeoutError):
            link.send(answerer.reject(error), CLOSE_SECONDS)
        raise
    except TimeoutError:
        raise PeerUnreachableError(
            link.party,
            f"neither asked for {patience:g} seconds nor took an answer within "
            f"{SEND_SECONDS:g}; the session is over",
        ) from None
    finally:
        answerer.close()
        link.close()
