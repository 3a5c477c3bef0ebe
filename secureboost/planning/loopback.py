"""What a message over mutual TLS costs its two ends, timed between two ends in this process."""

import tempfile
import threading
from pathlib import Path
from queue import SimpleQueue

import numpy as np

from parties.certificates import TLS, create_certificate
from parties.errors import PartyError
from parties.grpc_server import listen
from parties.grpc_transport import dial
from parties.link import Link, LinkTransport
from parties.messages import Ack
from parties.peer import HELLO_SECONDS
from secureboost.gbdt.protocol import GradientBlock
from secureboost.gbdt.remote import BLOCK_ROWS
from secureboost.planning.rates import Cost, Time
from secureboost.planning.watch import timed_cost
from secureboost.trainers import get_trainer

_ENDS = ("asking", "answering")
_FEW_ROWS = 8


def message_cost(ciphertext_words: int, seconds: float) -> Cost:
    """Time messages of ciphertexts: encoding, sending, receiving, decoding, acknowledging.

    Parameters
    ----------
    ciphertext_words : int
    seconds : float
        About how long.

    Returns
    -------
    Cost
        Of a message, and of each byte: wall time, and the processor time of one of both ends.

    Raises
    ------
    parties.errors.PartyError
        If this machine cannot be reached from itself.
    """
    codec = get_trainer("secureboost").codec()
    arrived: SimpleQueue[Link] = SimpleQueue()
    with tempfile.TemporaryDirectory() as name:
        files = {end: (Path(name) / f"{end}.crt", Path(name) / f"{end}.key") for end in _ENDS}
        for end, paths in files.items():
            create_certificate(end, *paths)
        asking, answering = (
            TLS(*files[one], files[other][0]) for one, other in (_ENDS, _ENDS[::-1])
        )
        with listen("127.0.0.1:0", answering, arrived.put) as server:
            link = dial(f"127.0.0.1:{server.port}", asking)
            threading.Thread(target=_answer, args=(arrived.get(),), daemon=True).start()
            transport = LinkTransport(link)

            def exchange(rows: int) -> None:
                ciphertexts = np.zeros((rows, ciphertext_words), np.uint64)
                block = GradientBlock(
                    tree=0, rows=np.arange(rows, dtype=np.int32), ciphertexts=ciphertexts
                )
                reply = transport.exchange(codec.encode(block), HELLO_SECONDS)
                codec.decode(reply, "answering")

            both = timed_cost(
                lambda rows: lambda: exchange(rows),
                _FEW_ROWS,
                BLOCK_ROWS,
                seconds,
                unit=8 * ciphertext_words + 4,
            )
            link.close()
    return Cost(Time(both.call.wall, both.call.cpu / 2), Time(both.each.wall, both.each.cpu / 2))


def _answer(link: Link) -> None:
    codec = get_trainer("secureboost").codec()
    try:
        while True:
            codec.decode(link.receive(HELLO_SECONDS), "asking")
            link.send(codec.encode(Ack()), HELLO_SECONDS)
    except (PartyError, TimeoutError):
        link.close()
