"""A slow line between two processes on one machine: a transport that delays what passes."""

import threading
import time
from dataclasses import dataclass, field
from queue import SimpleQueue

import pandas as pd

from parties.certificates import TLS
from parties.grpc_transport import dial
from parties.link import LinkTransport
from parties.peer import Peer, Transport
from secureboost.party import Party
from secureboost.trainers import Trainer


@dataclass
class Line:
    """A line as a token bucket and a delay, alike in both directions.

    Parameters
    ----------
    mbit : float
        10^6 bits per second, in each direction.
    round_trip_ms : float
    """

    mbit: float
    round_trip_ms: float
    _free_at: dict[str, float] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def carry(self, direction: str, n_bytes: int) -> None:
        """Sleep until so many bytes, sent now behind all others, would have arrived."""
        sleep_until(self.passes(direction, n_bytes) + self.round_trip_ms / 2000)

    def passes(self, direction: str, n_bytes: int) -> float:
        """When so many bytes, sent now behind all others, are through but for the delay."""
        with self._lock:
            begins = max(time.perf_counter(), self._free_at.get(direction, 0.0))
            self._free_at[direction] = begins + n_bytes * 8 / (self.mbit * 1e6)
            return self._free_at[direction]


def sleep_until(moment: float) -> None:
    """Sleep until `time.perf_counter` shows this."""
    time.sleep(max(0.0, moment - time.perf_counter()))


class ShapedTransport(Transport):
    """Wraps a transport; frames take as long as on a `Line`.

    What is sent ahead waits for the whole round trip before it leaves, and its answer for none:
    for the asking side that is the same as half of it each way, and takes one thread instead of
    two.

    Parameters
    ----------
    transport : Transport
    line : Line
    """

    def __init__(self, transport: Transport, line: Line) -> None:
        self._transport = transport
        self._line = line
        self._leaving: SimpleQueue[tuple[float, bytes, float] | None] = SimpleQueue()
        threading.Thread(target=self._carry_ahead, daemon=True).start()

    def exchange(self, frame: bytes, timeout: float) -> bytes:
        """Delay, pass on, delay the answer."""
        self._line.carry("there", len(frame))
        reply = self._transport.exchange(frame, timeout)
        self._line.carry("back", len(reply))
        return reply

    @property
    def sends_ahead(self) -> bool:
        """As the transport does."""
        return self._transport.sends_ahead

    def send(self, frame: bytes, timeout: float) -> None:
        """Let a frame leave when it is due."""
        due = self._line.passes("there", len(frame)) + self._line.round_trip_ms / 1000
        self._leaving.put((due, frame, timeout))

    def receive(self, timeout: float) -> bytes:
        """Wait for an answer, which takes its share of the line."""
        reply = self._transport.receive(timeout)
        sleep_until(self._line.passes("back", len(reply)))
        return reply

    def close(self, *, abort: bool) -> None:
        """Pass on."""
        self._leaving.put(None)
        self._transport.close(abort=abort)

    def _carry_ahead(self) -> None:
        while (job := self._leaving.get()) is not None:
            due, frame, timeout = job
            sleep_until(due)
            self._transport.send(frame, timeout)


class ShapedParty(Party):
    """A feature party behind a slow line; otherwise as `secureboost.RemoteParty`.

    Parameters
    ----------
    name, address : str
    tls : TLS
    index : Index
    line : Line
        One line may serve several parties, as that of a company does.
    """

    def __init__(self, name: str, address: str, tls: TLS, index: pd.Index, line: Line) -> None:
        self.name, self.index = name, index
        self._address, self._tls, self._line = address, tls, line

    def connect(self, trainer: Trainer) -> Peer:
        """Dial, over the slow line."""
        transport = ShapedTransport(LinkTransport(dial(self._address, self._tls)), self._line)
        self.peer = Peer(self.name, transport, trainer.codec())
        return self.peer
