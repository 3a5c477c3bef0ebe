"""Feature parties behind real gRPC with mutual TLS: in threads, or in a process of their own."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from support.talk import Wires

from parties.answerer import Answerer
from parties.certificates import TLS
from parties.errors import PartyError
from parties.grpc_server import listen
from parties.grpc_transport import dial
from parties.link import Link, serve_link
from parties.messages import Hello
from parties.service import Service
from secureboost._version import __version__
from secureboost.align.keys import Keys, make_keys
from secureboost.align.rules import key_rules
from secureboost.align.table import AlignTable
from secureboost.alignment import MemoryAlignments
from secureboost.gbdt.feature_table import FeatureTable
from secureboost.party import RemoteParty, feature_table
from secureboost.splitnn.terms import NetTerms
from secureboost.tables import read_table
from secureboost.trainers import ALIGN_TRAINER, GBDT_TRAINER, NET_TRAINER, Trainer, codec_of


def answer_with_short_keys(
    table: FeatureTable, link: Link, align_table: AlignTable | None = None
) -> None:
    """One session about trees or networks; accepts keys that protect nothing."""

    def opens(trainer: Trainer, over: Any, **options: Any) -> Callable[[Hello], Service]:
        return lambda _hello: trainer.open_session(over, **options)

    sessions = {
        trainer: opens(trainer, table, insecure_test_keys=True)
        for trainer in (GBDT_TRAINER, NET_TRAINER)
    }
    if align_table is not None:
        sessions[ALIGN_TRAINER] = opens(ALIGN_TRAINER, align_table)
    answerer = Answerer(
        table.party,
        codec_of(sessions),
        {trainer.name: session for trainer, session in sessions.items()},
        software_version=__version__,
        asker=link.party,
    )
    serve_link(link, answerer)


class Companies:
    """A bank and feature parties on this machine, each with a certificate of its own.

    A context manager; closing it stops all servers.
    """

    def __init__(self, folder: Path) -> None:
        self._wires = Wires(folder)
        self._closing = contextlib.ExitStack()

    def __enter__(self) -> "Companies":
        return self

    def __exit__(self, *_error: object) -> None:
        self._closing.close()

    def tls(self, own: str, pin: str) -> TLS:
        for party in (own, pin):
            if not (self._wires.folder / f"{party}.pem").exists():
                self._wires.make(party)
        return self._wires.tls(own, pin)

    def serve(
        self, name: str, table: pd.DataFrame, nets: NetTerms | None = None
    ) -> tuple[RemoteParty, FeatureTable]:
        """The feature party listens, the bank dials."""
        served = feature_table(name, table, nets=nets)
        server = listen(
            "127.0.0.1:0",
            self.tls(name, "bank"),
            lambda link: answer_with_short_keys(served, link),
        )
        self._closing.callback(server.stop)
        address = f"127.0.0.1:{server.port}"
        party = RemoteParty(name, address, tls=self.tls("bank", name), index=table.index)
        return party, served

    def serve_aligning(
        self, name: str, table: pd.DataFrame, nets: NetTerms | None = None
    ) -> tuple[RemoteParty, FeatureTable]:
        """The feature party listens; its ids are not known to the bank."""
        alignments = MemoryAlignments()

        def keys() -> Keys:
            return make_keys([table.index.to_series()], key_rules(["id"]), party=name)

        served = feature_table(name, table, nets=nets, alignments=alignments, keys=keys)
        align_table = AlignTable(name, keys, alignments)
        server = listen(
            "127.0.0.1:0",
            self.tls(name, "bank"),
            lambda link: answer_with_short_keys(served, link, align_table),
        )
        self._closing.callback(server.stop)
        address = f"127.0.0.1:{server.port}"
        return RemoteParty(name, address, tls=self.tls("bank", name)), served

    def dial(self, name: str, table: pd.DataFrame) -> tuple[RemoteParty, FeatureTable]:
        """The bank listens, the feature party dials, for each session anew."""
        served = feature_table(name, table)
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = f"127.0.0.1:{free.getsockname()[1]}"
        party = RemoteParty(
            name, address, tls=self.tls("bank", name), index=table.index, listen=True
        )
        tls, stop = self.tls(name, "bank"), threading.Event()

        def keep_dialling() -> None:
            while not stop.is_set():
                with contextlib.suppress(PartyError):
                    answer_with_short_keys(served, dial(address, tls, timeout=1))

        thread = threading.Thread(target=keep_dialling)
        thread.start()
        self._closing.callback(thread.join)
        self._closing.callback(party.close)
        self._closing.callback(stop.set)
        return party, served

    def process(self, name: str, table: pd.DataFrame) -> tuple[RemoteParty, subprocess.Popen[str]]:
        """The feature party listens in a process that can be killed."""
        folder = self._wires.folder
        tls = self.tls(name, "bank")
        table.to_csv(folder / f"{name}.csv", index_label="id")
        process = subprocess.Popen(
            [sys.executable, "-c", "from support.serving import main; main()", str(folder), name],
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
            stdout=subprocess.PIPE,
            text=True,
        )
        self._closing.callback(process.wait)
        self._closing.callback(process.kill)
        assert process.stdout is not None
        self._closing.callback(process.stdout.close)
        port = process.stdout.readline().strip()
        assert tls.certificate.exists()
        party = RemoteParty(
            name, f"127.0.0.1:{port}", tls=self.tls("bank", name), index=table.index
        )
        return party, process


def main() -> None:
    """Serve one party until killed; the life of `Companies.process`."""
    folder, name = Path(sys.argv[1]), sys.argv[2]
    table = feature_table(name, read_table(folder / f"{name}.csv", "id"))
    tls = TLS(folder / f"{name}.pem", folder / f"{name}.key", folder / "bank.pem")
    with listen("127.0.0.1:0", tls, lambda link: answer_with_short_keys(table, link)) as server:
        print(server.port, flush=True)
        server.wait()
