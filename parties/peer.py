"""The asking side: one party that can be asked, over any transport.

`Peer.ask` is the one blocking line of the asking side. Requests to one peer are carried out in
order by one worker thread, so that a block of gradients can travel while the next is encrypted,
and at most a few are in flight, so that memory stays bounded. Requests that are sent ahead travel
while those before them are still being answered; a second thread then takes the answers in. After
the first failure of transport or protocol the peer is closed, and every later request fails at once
with that first cause.
"""

import contextlib
import copy
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import Any

from parties.codec import Codec
from parties.errors import (
    PartyError,
    PeerRefusedError,
    PeerTimeoutError,
    SessionClosedError,
    UnexpectedReplyError,
    VersionMismatchError,
)
from parties.messages import (
    PROTOCOL_VERSION,
    Failure,
    Goodbye,
    Hello,
    Message,
    Reply,
    ReplyT,
    Request,
    SessionCode,
    Welcome,
    check_name,
)
from parties.traffic import Traffic

REPLY_SECONDS = 3600.0
"""Default deadline. A dead machine is noticed by the transport long before; this ends the wait for
one that is alive and stuck."""

HELLO_SECONDS = 60.0
GOODBYE_SECONDS = 5.0
IN_FLIGHT = 8


class Transport(ABC):
    """Carries a frame to one party and brings one back."""

    @abstractmethod
    def exchange(self, frame: bytes, timeout: float) -> bytes:
        """Send a frame and wait for the answer.

        Raises
        ------
        TimeoutError
            If there is no answer within `timeout` seconds.
        PeerUnreachableError, ProtocolError
        """

    @property
    def sends_ahead(self) -> bool:
        """Whether `send` and `receive` may be used, from a thread each; frames keep their order."""
        return False

    def send(self, frame: bytes, timeout: float) -> None:
        """Send a frame without waiting for its answer.

        Raises
        ------
        TimeoutError
            If the other side does not take it within `timeout` seconds.
        """
        raise NotImplementedError

    def receive(self, timeout: float) -> bytes:
        """Wait for the answer to the oldest frame that was sent and has none yet.

        Raises
        ------
        TimeoutError, PeerUnreachableError, ProtocolError
            As `exchange`.
        """
        raise NotImplementedError

    @abstractmethod
    def close(self, *, abort: bool) -> None:
        """Release the party, from any thread; an exchange under way ends with an error.

        Parameters
        ----------
        abort : bool
            Cut at once instead of letting what was sent arrive.
        """


@dataclass(frozen=True)
class _Job:
    request: Request[Any]
    frame: bytes
    timeout: float
    future: Future[Any]
    ahead: bool


@dataclass(frozen=True)
class _Sent:
    """A job whose frame is on its way."""

    job: _Job
    started: float


class Peer:
    """A party that answers requests.

    Parameters
    ----------
    name : str
        How this side calls the party.
    transport : Transport
    codec : Codec
    timeout : float
        Default deadline of a request in seconds, counted from when it is sent.
    in_flight : int
        Requests that may wait or travel at a time; `submit` blocks when so many do.

    Raises
    ------
    PartyNameError
        If the name is malformed.
    """

    def __init__(
        self,
        name: str,
        transport: Transport,
        codec: Codec,
        *,
        timeout: float = REPLY_SECONDS,
        in_flight: int = IN_FLIGHT,
    ) -> None:
        self.name = check_name(name)
        self._transport = transport
        self._codec = codec
        self._timeout = timeout
        self._slots = threading.BoundedSemaphore(in_flight)
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._sent: SimpleQueue[_Sent | None] = SimpleQueue()
        self._n_sent = 0
        self._answered = threading.Condition()
        self._collector: threading.Thread | None = None
        self._lock = threading.Lock()
        self._cause: PartyError | None = None
        self._traffic: dict[str, Traffic] = {}
        # A daemon, so that a forgotten peer does not keep the interpreter from ending.
        threading.Thread(target=self._work, name=f"peer-{name}", daemon=True).start()

    def submit(
        self, request: Request[ReplyT], timeout: float | None = None, *, ahead: bool = False
    ) -> Future[ReplyT]:
        """Queue a request; blocks while too many are in flight.

        The message is encoded before this returns, so its arrays may be overwritten afterwards.

        Parameters
        ----------
        request : Request
        timeout : float or None
            Deadline in seconds from when the request is sent. None: the peer's default.
        ahead : bool
            Send it although requests before it, sent ahead too, are not answered yet. Requests are
            answered in order all the same; one may be answered although one before it was refused.

        Raises
        ------
        InvalidMessageError
            If the request breaks its own declaration; the peer stays open.
        PartyError
            The first cause, if the peer is closed.
        """
        frame = self._codec.encode(request)
        future: Future[ReplyT] = Future()
        deadline = self._timeout if timeout is None else timeout
        self._slots.acquire()
        with self._lock:
            if self._cause is None:
                self._jobs.put(_Job(request, frame, deadline, future, ahead))
                return future
        self._slots.release()
        raise copy.copy(self._cause) from self._cause

    def ask(self, request: Request[ReplyT], timeout: float | None = None) -> ReplyT:
        """Ask and wait for the reply.

        Parameters
        ----------
        request : Request
        timeout : float or None
            As for `submit`.

        Raises
        ------
        PeerRefusedError
            If the party answers `Failure`. The peer stays open unless the party ended the session.
        PeerTimeoutError, PeerUnreachableError, ProtocolError
            The peer is closed.
        InvalidMessageError, SessionClosedError
        """
        return self.submit(request, timeout).result()

    def greet(self, *, trainer: str, party: str, software_version: str) -> Welcome:
        """Open the session: say `Hello` and check the `Welcome`.

        Parameters
        ----------
        trainer : str
        party : str
            Our own name, as the other side shall read it.
        software_version : str

        Raises
        ------
        VersionMismatchError
        UnexpectedReplyError
            If the party calls itself by another name than `name`.
        PeerRefusedError
            For instance ``trainer_mismatch`` or ``busy``.
        """
        hello = make_hello(trainer, party, software_version)
        return self.check_welcome(self.submit(hello, HELLO_SECONDS))

    def check_welcome(self, future: Future[Welcome]) -> Welcome:
        """Wait for the reply to `Hello` and compare version and name."""
        try:
            welcome = future.result()
        except PeerRefusedError as refusal:
            if refusal.code != SessionCode.VERSION_MISMATCH:
                raise
            raise self._fail(VersionMismatchError(self.name, refusal.detail)) from None
        if welcome.protocol_version != PROTOCOL_VERSION:
            raise self._fail(
                VersionMismatchError(
                    self.name,
                    f"speaks protocol {welcome.protocol_version} (software "
                    f"{welcome.software_version!r}); this side speaks {PROTOCOL_VERSION}. "
                    "Install the same version on both sides",
                )
            )
        if welcome.party != self.name:
            raise self._fail(
                UnexpectedReplyError(
                    self.name,
                    f"calls itself {welcome.party!r}; use one name on both sides, or check "
                    "whether the address is the right one",
                )
            )
        return welcome

    @property
    def closed(self) -> bool:
        """Whether every further request will fail."""
        return self._cause is not None

    @property
    def traffic(self) -> dict[str, Traffic]:
        """What has crossed so far, by request type."""
        with self._lock:
            return dict(self._traffic)

    def close(self) -> None:
        """Say goodbye and release the party. Errors on the way out are not raised."""
        if not self.closed and self._slots.acquire(timeout=GOODBYE_SECONDS):
            self._slots.release()
            with contextlib.suppress(PartyError, TimeoutError):
                self.submit(Goodbye(), GOODBYE_SECONDS).exception(2 * GOODBYE_SECONDS)
        self._release(SessionClosedError(self.name, "this side has closed the session"), False)

    def abort(self) -> None:
        """Cut the connection at once; what is in flight fails."""
        self._release(SessionClosedError(self.name, "this side has cut the session"), True)

    def _fail(self, cause: PartyError) -> PartyError:
        self._release(cause, True)
        return cause

    def _release(self, cause: PartyError, abort: bool) -> None:
        with self._lock:
            if self._cause is not None:
                return
            self._cause = cause
            self._jobs.put(None)
        self._transport.close(abort=abort)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            if not job.future.set_running_or_notify_cancel():
                self._slots.release()
            elif job.ahead and self._transport.sends_ahead:
                self._send_ahead(job)
            else:
                self._settle()
                self._conclude(job, partial(self._exchange, job))
        self._sent.put(None)

    def _exchange(self, job: _Job) -> Reply:
        started = time.perf_counter()
        frame = self._transport.exchange(job.frame, job.timeout)
        return self._read(job, frame, started)

    def _send_ahead(self, job: _Job) -> None:
        if self._collector is None:
            self._collector = threading.Thread(
                target=self._collect, name=f"peer-{self.name}-answers", daemon=True
            )
            self._collector.start()
        started = time.perf_counter()
        try:
            if self._cause is None:
                self._transport.send(job.frame, job.timeout)
        except TimeoutError:
            self._fail(PeerTimeoutError(self.name, type(job.request).__name__, job.timeout))
        except PartyError as error:
            self._fail(error)
        except Exception as error:
            self._fail(self._transport_error(error))
        with self._answered:
            self._n_sent += 1
        self._sent.put(_Sent(job, started))

    def _collect(self) -> None:
        """Take the answers to what was sent ahead, in order; the second thread's whole life."""
        while (sent := self._sent.get()) is not None:
            self._conclude(sent.job, partial(self._receive, sent))
            with self._answered:
                self._n_sent -= 1
                self._answered.notify_all()

    def _receive(self, sent: _Sent) -> Reply:
        left = sent.job.timeout - (time.perf_counter() - sent.started)
        frame = self._transport.receive(max(0.0, left))
        return self._read(sent.job, frame, sent.started)

    def _settle(self) -> None:
        """Wait until everything that was sent ahead is answered."""
        with self._answered:
            self._answered.wait_for(lambda: self._n_sent == 0)

    def _conclude(self, job: _Job, carry_out: Callable[[], Reply]) -> None:
        """Let a job's future have its reply or its error."""
        try:
            job.future.set_result(self._carry_out(job, carry_out))
        except Exception as error:
            job.future.set_exception(error)
        finally:
            self._slots.release()

    def _carry_out(self, job: _Job, carry_out: Callable[[], Reply]) -> Reply:
        if self._cause is not None:
            raise copy.copy(self._cause) from self._cause
        try:
            return carry_out()
        except PeerRefusedError:
            raise
        except TimeoutError:
            kind = type(job.request).__name__
            raise self._first(PeerTimeoutError(self.name, kind, job.timeout)) from None
        except PartyError as error:
            raise self._first(error) from error.__cause__
        except Exception as error:
            raise self._first(self._transport_error(error)) from error

    def _transport_error(self, error: Exception) -> PartyError:
        return PartyError(self.name, f"the transport failed with {type(error).__name__}")

    def _read(self, job: _Job, frame: bytes, started: float) -> Reply:
        seconds = time.perf_counter() - started
        self._count(type(job.request).__name__, Traffic(1, len(job.frame), len(frame), seconds))
        return self._check_reply(job.request, self._codec.decode(frame, self.name))

    def _first(self, error: PartyError) -> PartyError:
        """Close the peer; the cause is whatever closed it first."""
        self._fail(error)
        cause = self._cause
        return error if cause is None or cause is error else copy.copy(cause)

    def _check_reply(self, request: Request[Any], reply: Message) -> Reply:
        kind = type(request).__name__
        if isinstance(reply, Failure):
            refusal = PeerRefusedError(self.name, reply.code, reply.detail)
            if reply.ends_session:
                self._fail(refusal)
            raise refusal
        if type(reply) is not request.reply_type:
            raise UnexpectedReplyError(
                self.name,
                f"answered {kind} with {type(reply).__name__}; "
                f"{request.reply_type.__name__} was expected",
            )
        return reply

    def _count(self, kind: str, traffic: Traffic) -> None:
        with self._lock:
            self._traffic[kind] = self._traffic.get(kind, Traffic()) + traffic


def make_hello(trainer: str, party: str, software_version: str) -> Hello:
    """Make the first request of a session."""
    return Hello(
        protocol_version=PROTOCOL_VERSION,
        software_version=software_version,
        trainer=trainer,
        party=party,
    )
