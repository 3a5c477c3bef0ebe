"""One side of an alignment between companies.

    python bench/align_party.py FOLDER label|feature    (started by `align_companies`)

It is a process of its own so that its memory and its processor time are those of one party and of
nothing else: it imports what `secureboost align` imports, and reads its keys as that does.
`FOLDER` has ``job.json`` and the tables. The feature party says where it listens and answers until
it is terminated; the label party aligns, and writes ``result.json`` and ``label.alignment``.
"""

import json
import os
import sys
import time
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
from measure import memory_mb, process_cpu, timed

from crypto.blind_rsa import generate_signing_key
from crypto.groups import GROUPS, get_group
from crypto.groups.ristretto import Ristretto255
from parties.answerer import Answerer
from parties.certificates import TLS
from parties.grpc_server import listen
from parties.link import Link, serve_link
from parties.messages import Hello
from parties.service import Service
from secureboost._version import __version__
from secureboost.align import align, join_rows
from secureboost.align.aligned import STEPS, AlignProgress
from secureboost.align.event_table import EventTable, different_keys, read_event_table
from secureboost.align.join_options import AsOfOptions, WindowOptions
from secureboost.align.keys import Keys, make_keys
from secureboost.align.options import AlignOptions
from secureboost.align.rules import key_rules
from secureboost.align.signer import Signer
from secureboost.align.table import AlignTable
from secureboost.alignment import Alignment, FolderAlignments, write_alignment
from secureboost.config_align import LabelAlign
from secureboost.keyed_table import KeyColumns
from secureboost.party import RemoteParty
from secureboost.trainers import ALIGN_TRAINER

LABEL, FEATURE = "lender", "bureau"
ID, TIME = "id", "time"
UNIT = "seconds"
JOINS = {"as-of": AsOfOptions, "window": WindowOptions}


def load_kernels(job: dict[str, Any]) -> None:
    """Take the group of the job, and load what is compiled: a run pays for that once."""
    if job["vectors"] is not None:
        GROUPS["ristretto255"] = Ristretto255(vectors=job["vectors"])
    if job["group"]:
        group = get_group(job["group"])
        scalar = group.random_scalar()
        group.multiply(group.blind([b"0"] * 64, scalar, tag=b"load"), scalar)


def read_own_keys(path: Path) -> Keys:
    """Read the keys of a table as the commands do, which hold nothing else of it."""
    return KeyColumns(path, ID, LabelAlign()).read()


def read_events(path: Path) -> EventTable:
    """Read a table of which customers have many rows."""
    table = pd.read_parquet(path)
    keys = make_keys(table[[ID]], key_rules([ID]), duplicates="all")
    return read_event_table(table, keys, time=TIME, unit=UNIT)


def feature_table(folder: Path, job: dict[str, Any]) -> AlignTable:
    """What the feature party brings; with method ``"rsa"`` it has signed its keys ahead."""
    home = folder / FEATURE
    path = home / "table.parquet"
    store = FolderAlignments(home / "alignments")
    if job["join"]:
        events = read_events(path)
        return AlignTable(FEATURE, events, store)
    signer = None
    if job["method"] == "rsa":
        signer = Signer(generate_signing_key(), home / "own.tags")
        keys = read_own_keys(path)
        _, wall, cpu = timed(lambda: signer.own_tags(keys.encoded, n_jobs=-1))
        (home / "ahead.json").write_text(json.dumps({"wall": wall, "cpu": cpu}))
    return AlignTable(
        FEATURE,
        partial(read_own_keys, path),
        store,
        state_folder=home / "interrupted",
        signer=signer,
    )


def answer(table: AlignTable, link: Link) -> None:
    """Answer one session."""

    def open_session(_hello: Hello) -> Service:
        return ALIGN_TRAINER.open_session(table, asker=link.party, n_jobs=-1)

    trainers = {ALIGN_TRAINER.name: open_session}
    codec = ALIGN_TRAINER.codec()
    serve_link(link, Answerer(FEATURE, codec, trainers, software_version=__version__))


def run_feature(folder: Path, job: dict[str, Any]) -> None:
    """Serve until somebody ends the process."""
    home = folder / FEATURE
    load_kernels(job)
    table = feature_table(folder, job)
    tls = TLS(home / "party.crt", home / "party.key", folder / "lender.crt")
    with listen("127.0.0.1:0", tls, partial(answer, table)) as server:
        print(f"listening on 127.0.0.1:{server.port}", flush=True)
        server.wait()


class Steps:
    """When each step of an alignment ended."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._ended: dict[str, float] = {}

    def __call__(self, event: AlignProgress) -> None:
        """Take down how far it is."""
        self._ended[event.step] = time.perf_counter() - self._began

    def seconds(self) -> dict[str, float]:
        """Wall seconds of each step: from the last report of one to that of the next."""
        ended = {step: self._ended[step] for step in STEPS if step in self._ended}
        moments = [0.0, *ended.values()]
        return {step: b - a for step, (a, b) in zip(ended, pairwise(moments), strict=True)}


class Label:
    """The label party, which measures both.

    Parameters
    ----------
    folder : Path
    job : dict
    """

    def __init__(self, folder: Path, job: dict[str, Any]) -> None:
        self.folder, self.job = folder, job
        tls = TLS(folder / "lender.crt", folder / "lender.key", folder / FEATURE / "party.crt")
        self.party = RemoteParty(FEATURE, job["address"], tls=tls)
        self.pids = {LABEL: os.getpid(), FEATURE: job["pid"]}
        self.runs: list[dict[str, Any]] = []

    def run(self) -> dict[str, Any]:
        """Do the job; all that was measured."""
        load_kernels(self.job)
        path = self.folder / "lender.parquet"
        if self.job["join"]:
            events, seconds, _ = timed(lambda: read_events(path))
            alignment = self.join(events)
        else:
            keys, seconds, _ = timed(lambda: read_own_keys(path))
            alignment = self.align(keys)
        write_alignment(self.folder / "label.alignment", alignment)
        peaks = {name: memory_mb(pid)["peak"] for name, pid in self.pids.items()}
        return {"keys_seconds": seconds, "runs": self.runs, "peak_mb": peaks}

    def align(self, keys: Keys) -> Alignment:
        """Find the common keys, several times."""
        rsa = self.job["method"] == "rsa"
        options = AlignOptions(
            method=self.job["method"],
            group=self.job["group"],
            signatures=self.folder / "signatures" if rsa else None,
        )
        for _ in range(self.job["repeats"]):
            steps = Steps()
            aligned = self.measured(
                lambda steps=steps: align(
                    keys, [self.party], options, state=self.folder / "state", progress=steps
                ),
                steps,
            )
        return aligned.alignments[FEATURE]

    def join(self, events: EventTable) -> Alignment:
        """Join rows by time, several times; before it their customers are matched."""
        settings = dict(self.job["join"])
        options = JOINS[settings.pop("kind")](unit=UNIT, **settings)
        terms = AlignOptions(join=options.terms())
        keyed = align(different_keys(events.keys), [self.party], terms).alignments
        for _ in range(self.job["repeats"]):
            joined = self.measured(lambda: join_rows(events, keyed, [self.party], options))
        return joined.alignments[FEATURE]

    def measured(self, work: Any, steps: Steps | None = None) -> Any:
        """Do the work and take down what it cost both parties."""
        before = {name: process_cpu(pid) for name, pid in self.pids.items()}
        began = time.perf_counter()
        result = work()
        wall = time.perf_counter() - began
        traffic = self.party.peer.traffic
        self.runs.append(
            {
                "wall": wall,
                "cpu": {name: process_cpu(pid) - before[name] for name, pid in self.pids.items()},
                "steps": steps.seconds() if steps else {},
                "bytes_sent": sum(t.bytes_sent for t in traffic.values()),
                "bytes_received": sum(t.bytes_received for t in traffic.values()),
            }
        )
        return result


def main() -> None:
    folder, role = Path(sys.argv[1]), sys.argv[2]
    job = json.loads((folder / "job.json").read_text())
    os.sched_setaffinity(0, range(job["cores"]))
    if role == "feature":
        run_feature(folder, job)
    else:
        (folder / "result.json").write_text(json.dumps(Label(folder, job).run()))


if __name__ == "__main__":
    main()
