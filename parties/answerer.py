"""The answering side: frame -> frame. No input or output happens here.

============  =================================  ==============================================
state         requests                           next state
============  =================================  ==============================================
``new``       `Hello`, which names the trainer   ``open``
``open`` ...  those of the service's table       as the table says; `Failure` leaves it alone
any but new   `Goodbye`                          ``closed``
``closed``    none
============  =================================  ==============================================

What is not in the table is answered with `Failure` and ends the session, as does every other
breach of the protocol and every unexpected exception. Only a `Refusal` of the service leaves the
session usable (unless it says otherwise).
"""

import logging
import threading
from collections.abc import Mapping
from typing import Any

from parties.codec import Codec
from parties.errors import (
    DETAIL_LENGTH,
    FrameTooLargeError,
    MalformedFrameError,
    OutOfTurnError,
    ProtocolError,
    UnknownMessageError,
    VersionMismatchError,
    printable,
)
from parties.messages import (
    PROTOCOL_VERSION,
    Ack,
    Failure,
    Goodbye,
    Hello,
    Refusal,
    Reply,
    Request,
    SessionCode,
    Welcome,
    check_name,
)
from parties.service import START, OpenService, Service

NEW, CLOSED = "new", "closed"
_ANONYMOUS = "asking party"

_CODES: dict[type[ProtocolError], SessionCode] = {
    VersionMismatchError: SessionCode.VERSION_MISMATCH,
    OutOfTurnError: SessionCode.OUT_OF_TURN,
    UnknownMessageError: SessionCode.UNKNOWN_MESSAGE,
    FrameTooLargeError: SessionCode.FRAME_TOO_LARGE,
    MalformedFrameError: SessionCode.MALFORMED_FRAME,
}

_log = logging.getLogger(__name__)


class Answerer:
    """Answers the frames of one session.

    Parameters
    ----------
    name : str
        The answering party's own name.
    codec : Codec
        Knows the messages of all trainers that are served.
    trainers : mapping of str to OpenService
        The trainers that are served, by name. `Hello` chooses one; its function is called once with
        the accepted `Hello`, and what it returns answers this session.
    software_version : str
    asker : str or None
        The asking party's name where the transport knows it (``Link.party``, from the pinned
        certificate). None: the name that it gives itself in `Hello`.

    Raises
    ------
    PartyNameError
        If the name is malformed.
    """

    def __init__(
        self,
        name: str,
        codec: Codec,
        trainers: Mapping[str, OpenService],
        *,
        software_version: str,
        asker: str | None = None,
    ) -> None:
        self.name = check_name(name)
        self.codec = codec
        self.asker = asker or _ANONYMOUS
        self._trainers = dict(trainers)
        self._software_version = software_version
        self._service: Service | None = None
        self._state = NEW
        self._answering = False
        self._refusal = ""
        self._lock = threading.Lock()

    @property
    def state(self) -> str:
        """Where the session stands: ``new``, a state of the service, or ``closed``."""
        return self._state

    @property
    def closed(self) -> bool:
        """Whether the session is over."""
        return self._state == CLOSED

    @property
    def refusal(self) -> str:
        """The code of the last answer if it was a `Failure`, or an empty string."""
        return self._refusal

    def answer(self, frame: bytes) -> bytes:
        """Answer one frame. Never raises for what the frame contains."""
        with self._lock:
            self._answering = True
        try:
            reply = self._guarded(frame)
            self._refusal = reply.code if isinstance(reply, Failure) else ""
            return self._encode(reply)
        finally:
            with self._lock:
                self._answering = False
            if self.closed:
                self._close_service()

    def reject(self, error: ProtocolError) -> bytes:
        """End the session for what the transport found; return the `Failure` to send."""
        reply = self._reject(error)
        self.close()
        return self._encode(reply)

    def close(self) -> None:
        """End the session, from any thread; an answer under way closes the service itself."""
        with self._lock:
            self._state = CLOSED
            if self._answering:
                return
        self._close_service()

    def _guarded(self, frame: bytes) -> Reply:
        try:
            message = self.codec.decode(frame, self.asker)
            if not isinstance(message, Request):
                raise OutOfTurnError(self.asker, f"sent {type(message).__name__} as a request")
            return self._dispatch(message)
        except Refusal as refusal:
            _log.warning("%s: refused with %s", self.asker, refusal)
            if refusal.ends_session:
                self._state = CLOSED
            return Failure(
                code=refusal.code.value,
                detail=refusal.detail[:DETAIL_LENGTH],
                ends_session=refusal.ends_session,
            )
        except ProtocolError as error:
            return self._reject(error)
        except Exception:
            return self._internal_error()

    def _dispatch(self, request: Request[Any]) -> Reply:
        kind = type(request)
        if self._state == NEW and isinstance(request, Hello):
            return self._welcome(request)
        if self._service is not None and not self.closed:
            if kind is Goodbye:
                self._move(CLOSED)
                return Ack()
            after = self._service.transitions.get(self._state, {}).get(kind)
            if after is not None:
                reply = self._service.answer(request)
                if type(reply) is not kind.reply_type:
                    raise TypeError(f"{kind.__name__} was answered with {type(reply).__name__}")
                self._move(after)
                return reply
        raise OutOfTurnError(
            self.asker, f"sent {kind.__name__}, which state {self._state!r} does not allow"
        )

    def _welcome(self, hello: Hello) -> Welcome:
        if self.asker == _ANONYMOUS:
            self.asker = hello.party
        if hello.protocol_version != PROTOCOL_VERSION:
            raise VersionMismatchError(
                self.asker,
                f"asks for protocol {hello.protocol_version} (software "
                f"{printable(hello.software_version)!r}); this party speaks {PROTOCOL_VERSION} "
                f"(software {self._software_version!r}). Install the same version on both sides",
            )
        open_service = self._trainers.get(hello.trainer)
        if open_service is None:
            served = ", ".join(map(repr, self._trainers))
            raise Refusal(
                SessionCode.TRAINER_MISMATCH,
                f"trainer {hello.trainer!r} was asked for; this party serves {served}",
                ends_session=True,
            )
        self._service = open_service(hello)
        self._move(START)
        return Welcome(
            protocol_version=PROTOCOL_VERSION,
            software_version=self._software_version,
            party=self.name,
        )

    def _move(self, state: str) -> None:
        with self._lock:
            if self._state != CLOSED:  # it may have been closed while the service worked
                self._state = state

    def _reject(self, error: ProtocolError) -> Failure:
        _log.warning("session ended: %s", error)
        self._state = CLOSED
        return Failure(
            code=_CODES.get(type(error), SessionCode.MALFORMED_FRAME).value,
            detail=error.problem[:DETAIL_LENGTH],
            ends_session=True,
        )

    def _internal_error(self) -> Failure:
        # The text of an unexpected exception may hold anything, so it stays on this machine.
        _log.exception("%s: answering failed; the session is over", self.asker)
        self._state = CLOSED
        return Failure(code=SessionCode.INTERNAL_ERROR.value, ends_session=True)

    def _encode(self, reply: Reply) -> bytes:
        try:
            return self.codec.encode(reply)
        except Exception:
            return self.codec.encode(self._internal_error())

    def _close_service(self) -> None:
        with self._lock:
            service, self._service = self._service, None
        if service is not None:
            try:
                service.close()
            except Exception:
                _log.exception("%s: closing the service failed", self.asker)
