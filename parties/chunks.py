"""A frame in chunks of at most 1 MiB, and back, with the limit held before memory grows.

A chunk is one flag byte (1 on the last chunk of a frame, else 0) and a piece of the frame. The
chunk `END` says that a side leaves on purpose; a stream that stops without it was lost.
"""

from collections.abc import Iterator

from parties.errors import FrameTooLargeError, MalformedFrameError

CHUNK_BYTES = 1 << 20
"""Most bytes of a frame in one chunk: large enough that per-chunk costs vanish, small enough that
many sessions together need little memory and that a deadline is noticed between chunks."""

END = b"\x02"
_MORE, _LAST = b"\x00", b"\x01"


def split(frame: bytes) -> Iterator[bytes]:
    """Cut a frame into chunks."""
    view = memoryview(frame)
    for start in range(0, len(frame), CHUNK_BYTES):
        piece = view[start : start + CHUNK_BYTES]
        yield (_LAST if start + CHUNK_BYTES >= len(frame) else _MORE) + piece


class Reassembler:
    """Collects chunks until a frame is complete.

    Parameters
    ----------
    frame_bytes : int
        Largest frame that is accepted.
    sender : str
        Party named in errors.
    """

    def __init__(self, frame_bytes: int, sender: str) -> None:
        self._limit = frame_bytes
        self._sender = sender
        self._pieces: list[bytes | memoryview] = []
        self._size = 0

    def feed(self, chunk: bytes) -> bytes | None:
        """Take the next chunk; return the frame if this was its last one.

        Raises
        ------
        FrameTooLargeError
            If the chunk or the frame so far exceeds its limit. What was collected is dropped.
        MalformedFrameError
            If the chunk has no valid flag or no content.
        """
        size = len(chunk) - 1
        if size > CHUNK_BYTES:
            self._drop()
            raise FrameTooLargeError(
                self._sender, f"sent a chunk of {size} bytes; the limit is {CHUNK_BYTES}"
            )
        if size < 1 or chunk[:1] not in (_MORE, _LAST):
            self._drop()
            raise MalformedFrameError(self._sender, "sent a chunk without content or flag")
        if self._size + size > self._limit:
            self._drop()
            raise FrameTooLargeError(
                self._sender,
                f"sent a frame of more than {self._limit} bytes, the limit of this party. "
                "Send fewer rows at a time",
            )
        self._pieces.append(memoryview(chunk)[1:])
        self._size += size
        if chunk[:1] == _MORE:
            return None
        frame = b"".join(self._pieces)
        self._drop()
        return frame

    def _drop(self) -> None:
        self._pieces = []
        self._size = 0
