"""Transports within one process: straight to an answerer, and one that keeps every frame.

Frames are split into chunks and put together again as they would be on a network, so that a
simulation on one machine tests the real messages and their limits.
"""

from dataclasses import dataclass

from parties.answerer import Answerer
from parties.chunks import Reassembler, split
from parties.errors import MalformedFrameError, PeerUnreachableError, ProtocolError
from parties.peer import Transport


class LocalTransport(Transport):
    """Hands frames to an answerer in this process, in the calling thread.

    There is no deadline: the answer is computed by this very thread.

    Parameters
    ----------
    answerer : Answerer
    """

    def __init__(self, answerer: Answerer) -> None:
        self._answerer = answerer

    def exchange(self, frame: bytes, timeout: float) -> bytes:
        """Pass the frame and the answer through chunks."""
        name, limit = self._answerer.name, self._answerer.codec.limits.frame_bytes
        if self._answerer.closed:
            raise PeerUnreachableError(name, "has ended the session")
        try:
            question = through_chunks(frame, limit, self._answerer.asker)
        except ProtocolError as error:
            answer = self._answerer.reject(error)
        else:
            answer = self._answerer.answer(question)
        return through_chunks(answer, limit, name)

    def close(self, *, abort: bool) -> None:
        """End the session; an answer under way is finished but not delivered."""
        self._answerer.close()


@dataclass(frozen=True)
class Exchange:
    """A frame and its answer.

    Attributes
    ----------
    request, reply : bytes
        Whole frames; `Codec.decode` reads them.
    """

    request: bytes
    reply: bytes


class RecordingTransport(Transport):
    """Wraps a transport and keeps all frames of both directions, for transcript tests.

    Parameters
    ----------
    transport : Transport

    Attributes
    ----------
    exchanges : list of Exchange
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.exchanges: list[Exchange] = []

    def exchange(self, frame: bytes, timeout: float) -> bytes:
        """Pass on and keep."""
        reply = self._transport.exchange(frame, timeout)
        self.exchanges.append(Exchange(frame, reply))
        return reply

    def close(self, *, abort: bool) -> None:
        """Pass on."""
        self._transport.close(abort=abort)


def through_chunks(frame: bytes, frame_bytes: int, sender: str) -> bytes:
    """Split a frame and put it together again under the receiver's limit.

    Raises
    ------
    FrameTooLargeError
    MalformedFrameError
        If the frame is empty.
    """
    reassembler = Reassembler(frame_bytes, sender)
    for chunk in split(frame):
        whole = reassembler.feed(chunk)
        if whole is not None:
            return whole
    raise MalformedFrameError(sender, "sent an empty frame")
