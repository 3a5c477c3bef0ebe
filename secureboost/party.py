"""The other companies, as a user of the Python interface names them.

`FeatureParty` is a table in this process, for simulations and tests: the same messages under the
same encryption, no network. `RemoteParty` is another company's `secureboost serve`.
"""

import functools
import hashlib
import queue
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from parties.answerer import Answerer
from parties.certificates import TLS, read_identity, read_pins
from parties.errors import CertificateError, PeerUnreachableError
from parties.grpc_server import Server, listen
from parties.grpc_transport import CONNECT_SECONDS, dial
from parties.link import Link, LinkTransport
from parties.local import LocalTransport
from parties.messages import check_name
from parties.peer import REPLY_SECONDS, Peer
from parties.service import Service
from parties.traffic import Traffic
from secureboost._version import __version__
from secureboost.align.duplicates import Duplicates
from secureboost.align.keys import Keys, make_keys
from secureboost.align.options import AlignOptions
from secureboost.align.rules import key_rules
from secureboost.align.table import AlignTable
from secureboost.aligned_rows import AlignedRows
from secureboost.alignment import AlignmentStore, MemoryAlignments
from secureboost.data import check_ids
from secureboost.errors import DataError, ModelError
from secureboost.export.consent import Release, release_half
from secureboost.features import feature_matrix, monotone_signs
from secureboost.gbdt.feature_table import FeatureTable
from secureboost.gbdt.model import PartyHalf
from secureboost.gbdt.policy import Budget, Policy
from secureboost.gbdt.store import HalfStore, MemoryStore
from secureboost.partner import LABEL_PARTY
from secureboost.splitnn.errors import needing_torch
from secureboost.splitnn.protocol import TRAINER as NET_TRAINER
from secureboost.splitnn.terms import NetTerms
from secureboost.trainers import ALIGN_TRAINER, Trainer

MOST_HELD = 8
"""Aligned tables that a party remembers: who scores batch after batch would run out of memory."""


class Party(ABC):
    """A feature party that can be asked.

    Attributes
    ----------
    name : str
    index : pandas.Index or None
        Ids of the rows that both sides hold, in the agreed order; None where both sides do not
        know them: then common rows are found first (`align_tables`), by itself if need be.
    align_options : AlignOptions or None
        How common rows are found, if they are; None: as by default.
    peer : Peer or None
        The connection of the latest session; its traffic shows how far that is.
    """

    name: str
    index: pd.Index | None = None
    align_options: AlignOptions | None = None
    peer: Peer | None = None
    _held: tuple[AlignedRows, ...] = ()
    _ended: Traffic = Traffic()
    """What crossed in sessions before the latest."""

    @abstractmethod
    def connect(self, trainer: Trainer) -> Peer:
        """Open a connection for one session of `trainer`."""

    @property
    def traffic(self) -> Traffic:
        """What has crossed so far, in all sessions."""
        latest = () if self.peer is None else self.peer.traffic.values()
        return sum(latest, self._ended)

    def _begin(self, peer: Peer) -> Peer:
        """Take note of the connection of a new session."""
        self._ended, self.peer = self.traffic, peer
        return peer

    def hold(self, rows: AlignedRows) -> None:
        """Take note of rows that were aligned with it; the newest `MOST_HELD` are kept."""
        self._held = (*self._held, rows)[-MOST_HELD:]

    def rows_of(self, index: pd.Index, *, complete: bool = False) -> AlignedRows | None:
        """Look up an aligned table that has all rows with these ids; the newest, None if none has.

        Parameters
        ----------
        index : pandas.Index
        complete : bool
            Only a table of which it has no row but those that were agreed on.
        """
        fitting = (
            rows
            for rows in reversed(self._held)
            if rows.covers(index) and (rows.complete or not complete)
        )
        return next(fitting, None)

    def close(self) -> None:  # noqa: B027 - most parties hold nothing open
        """Release what is held between sessions."""


def feature_table(
    name: str,
    table: pd.DataFrame,
    *,
    policy: Policy | None = None,
    budget: Budget | None = None,
    store: HalfStore | None = None,
    categorical: Sequence[str] | None = None,
    monotone: Mapping[str, int] | None = None,
    nets: NetTerms | None = None,
    alignments: AlignmentStore | None = None,
    keys: Callable[[], Keys] | None = None,
) -> FeatureTable:
    """Check a feature party's table and bring it into the form in which it is served.

    Parameters
    ----------
    name : str
        Name of the party.
    table : DataFrame
        Feature columns, indexed by row id.
    policy : Policy, optional
    budget : Budget, optional
        What has been spent before; nothing by default.
    store : HalfStore, optional
        In memory by default.
    categorical : sequence of str, optional
        Columns to take as categories; text and pandas' "category" are without being named.
    monotone : mapping of column name to sign, optional
        Declared directions of effect, see `features.monotone_signs`.
    nets : NetTerms, optional
        What the party allows and keeps of neural networks; by default everything is allowed and
        halves are kept in memory.
    alignments : AlignmentStore, optional
        In memory by default.
    keys : callable, optional
        Makes the keys of the table's rows, by which it is aligned; called at most once. Without,
        no alignment fits the table.

    Raises
    ------
    secureboost.errors.DataError
        If ids are missing or repeated, or a column or a declaration cannot be used, see
        `features.feature_matrix`.
    parties.errors.PartyNameError
        If `name` cannot name a party.
    """
    check_name(name)
    if not isinstance(table, pd.DataFrame):
        raise DataError(
            f"party {name!r}: its table is a {type(table).__name__}. Give a pandas DataFrame "
            "indexed by row id, with feature columns only."
        )
    check_ids(table.index, name)
    policy = policy or Policy()
    names = tuple(map(str, table.columns))
    matrix = feature_matrix(table, name, categorical=categorical)
    return FeatureTable(
        party=name,
        ids=row_ids(table.index),
        feature_names=names,
        columns=matrix.values.T,
        policy=policy,
        budget=budget or Budget(policy),
        store=store or MemoryStore(),
        categories=matrix.categories,
        monotone=monotone_signs(monotone, names, matrix.categories, name),
        terms={NET_TRAINER: nets or NetTerms()},
        alignments=alignments or MemoryAlignments(),
        key_digest=bytes if keys is None else _digest_of(keys),
    )


def _digest_of(keys: Callable[[], Keys]) -> Callable[[], bytes]:
    """Names the keys of a table, which are made when they are first wanted."""

    @functools.cache
    def digest() -> bytes:
        return keys().digest()

    return digest


def data_digest(table: pd.DataFrame) -> str:
    """Name a table by its content, whatever its file is called: SHA-256 in hexadecimal."""
    digest = hashlib.sha256(repr(list(table.columns)).encode())
    digest.update(pd.util.hash_pandas_object(table, index=True).to_numpy().tobytes())
    return digest.hexdigest()


def row_ids(index: pd.Index) -> list[str]:
    """Write row ids as both sides must write them: as text."""
    return [str(row_id) for row_id in index]


class FeatureParty(Party):
    """A feature party that lives in this process.

    Parameters
    ----------
    name : str
        Letters, digits, '.', '_' and '-'.
    table : DataFrame
        Its columns, indexed by row id: numbers, text, pandas' "category". Empty cells are missing
        values. Columns of text and of "category" are categories.
    policy : Policy, optional
        Limits that it enforces. They count in this process; a copy in another one (as
        `GridSearchCV` makes with ``n_jobs``) counts for itself.
    categorical : sequence of str, optional
        Columns of integers or booleans to take as categories too.
    monotone : mapping of column name to sign, optional
        What the party declares of its columns: predictions must not fall (1) or not rise (-1) as
        the column grows. The label party is told the sign, not the name.
    nets : NetTerms, optional
        What it allows and keeps of neural networks.
    align : bool or AlignOptions
        Do as a company does whose ids are not known here: common rows are found by the messages of
        an alignment, and rows that are not common are left out of training.
    keys : DataFrame, optional
        By which columns rows are aligned, one row for each of `table`'s; by default its index.
    rules : mapping of column name to rule, optional
        How these columns are written, see `secureboost.align.rules`; ``"exact"`` by default. The
        index goes by its name, or ``"id"``.
    duplicates : {"error", "first", "last"}
        What happens to rows of one key.
    insecure_test_keys : bool
        Accept keys that are too short. For tests.

    Raises
    ------
    secureboost.errors.DataError
        See `feature_table`; and if `keys` has another number of rows.

    Examples
    --------
    >>> bureau = FeatureParty("bureau", bureau_table, monotone={"income": -1})
    >>> model.fit(lender, defaulted, parties=[bureau])
    """

    def __init__(
        self,
        name: str,
        table: pd.DataFrame,
        *,
        policy: Policy | None = None,
        categorical: Sequence[str] | None = None,
        monotone: Mapping[str, int] | None = None,
        nets: NetTerms | None = None,
        align: bool | AlignOptions = False,
        keys: pd.DataFrame | None = None,
        rules: Mapping[str, str] | None = None,
        duplicates: Duplicates = "error",
        insecure_test_keys: bool = False,
    ) -> None:
        if keys is not None and len(keys) != len(table):
            raise DataError(
                f"party {name!r}: keys has {len(keys):,} rows for the {len(table):,} of its table."
            )
        self.store = MemoryStore()
        self.nets = nets or NetTerms()
        self.alignments = MemoryAlignments()
        make = functools.partial(_keys_of, table, keys, rules, duplicates, name)
        self._table = feature_table(
            name,
            table,
            policy=policy,
            store=self.store,
            categorical=categorical,
            monotone=monotone,
            nets=self.nets,
            alignments=self.alignments,
            keys=make,
        )
        self._align_table = AlignTable(name, make, self.alignments)
        options = {
            "policy": policy,
            "categorical": categorical,
            "monotone": monotone,
            "nets": self.nets,
            "align": align,
            "keys": keys,
            "rules": rules,
            "duplicates": duplicates,
            "insecure_test_keys": insecure_test_keys,
        }
        self._arguments = (name, table, options)
        self._insecure_test_keys = insecure_test_keys
        self.name = name
        self.index = None if align else table.index
        self.align_options = align if isinstance(align, AlignOptions) else None

    def __repr__(self) -> str:
        n_features, n_rows = self._table.columns.shape
        return f"FeatureParty({self.name!r}, {n_rows} rows, {n_features} columns)"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (*self._arguments, self.store.halves, self.alignments, self._held)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Its columns; the label party sees them only in simulations."""
        return self._table.feature_names

    def half(self, model_id: str) -> PartyHalf | None:
        """Its half of a model, or None."""
        return self.store.load(model_id)

    def to_onnx(self, model_id: str, folder: str | Path) -> list[Path]:
        """Write its part of a network as ONNX graphs into which raw columns go, checked.

        Raises
        ------
        secureboost.errors.ModelError
            If it has none of that name.
        secureboost.splitnn.onnx_graph.ExportError
            See `splitnn.export.write_onnx`.
        """
        with needing_torch():
            from secureboost.splitnn.export import write_onnx
        return write_onnx(self._net_half(model_id), folder)

    def to_torch(self, model_id: str, folder: str | Path) -> list[Path]:
        """Write the weights of its part of a network; see `splitnn.export.write_torch`.

        Raises
        ------
        secureboost.errors.ModelError
            If it has none of that name.
        """
        with needing_torch():
            from secureboost.splitnn.export import write_torch
        return write_torch(self._net_half(model_id), folder)

    def _net_half(self, model_id: str) -> bytes:
        half = self.nets.store.load(model_id)
        if half is None:
            raise ModelError(f"{self.name} keeps no half of model {model_id}.")
        return half

    def release(
        self,
        model_id: str,
        *,
        purpose: str,
        released_to: str = LABEL_PARTY,
        tls: TLS | None = None,
    ) -> Release:
        """Agree that a model is taken out; see `consent.release_half` for what that reveals.

        Parameters
        ----------
        model_id : str
            ``model.label_half_.model_id``.
        purpose : str
            What the half may be used for.
        released_to : str
            Name of the label party.
        tls : TLS, optional
            Signs the consent.
        """
        return release_half(self.store, model_id, purpose=purpose, released_to=released_to, tls=tls)

    def connect(self, trainer: Trainer) -> Peer:
        """Open a session in this process; frames cross as bytes all the same."""
        codec = trainer.codec()
        answerer = Answerer(
            self.name,
            codec,
            {trainer.name: lambda _hello: self._open_session(trainer)},
            software_version=__version__,
        )
        return self._begin(Peer(self.name, LocalTransport(answerer), codec))

    def _open_session(self, trainer: Trainer) -> Service:
        if trainer is ALIGN_TRAINER:
            return trainer.open_session(self._align_table)
        return trainer.open_session(
            self._table, in_process=True, insecure_test_keys=self._insecure_test_keys
        )


def _keys_of(
    table: pd.DataFrame,
    keys: pd.DataFrame | None,
    rules: Mapping[str, str] | None,
    duplicates: Duplicates,
    party: str,
) -> Keys:
    """The keys of a table's rows: of its index, or of columns that are given beside it."""
    if keys is None:
        name = "id" if table.index.name is None else str(table.index.name)
        keys = table.index.to_frame(name=name)
    chosen = key_rules(list(map(str, keys.columns)), rules)
    return make_keys(keys, chosen, duplicates=duplicates, party=party)


def _rebuild(
    name: str,
    table: pd.DataFrame,
    options: dict[str, Any],
    halves: dict[str, PartyHalf],
    alignments: MemoryAlignments,
    held: tuple[AlignedRows, ...],
) -> FeatureParty:
    party = FeatureParty(name, table, **options)
    party.store.halves.update(halves)
    party.alignments.alignments.update(alignments.alignments)
    party._held = held
    return party


class RemoteParty(Party):
    """Another company, reached over mutual TLS.

    Parameters
    ----------
    name : str
        As the party calls itself.
    address : str
        ``host:port``: theirs to dial, or with ``listen=True`` ours to wait on while they dial.
    tls : TLS
        Our certificate and key, and their pinned certificate.
    index : pandas.Index or sequence of ids, optional
        Ids of the rows that both sides hold, in the agreed order. Positions in it travel, ids
        never do; a digest proves that both sides mean the same. Without, the rows that are common
        are found before they are trained on or scored, by the ids in the index of the label party's
        table and the key of the other company's; `align_tables` finds them by other columns.
    align : AlignOptions, optional
        How they are found.
    timeout : float
        Seconds that an answer may take.
    connect_timeout : float
        Seconds until the connection must stand.
    listen : bool
        Wait for the party to dial instead of dialling.

    Examples
    --------
    >>> tls = TLS("lender.crt", "lender.key", "bureau.crt")
    >>> bureau = RemoteParty("bureau", "bureau.example:7443", tls=tls)
    """

    def __init__(
        self,
        name: str,
        address: str,
        *,
        tls: TLS,
        index: Any = None,
        align: AlignOptions | None = None,
        timeout: float = REPLY_SECONDS,
        connect_timeout: float = CONNECT_SECONDS,
        listen: bool = False,
    ) -> None:
        self.name = check_name(name)
        if index is not None:
            self.index = index if isinstance(index, pd.Index) else pd.Index(index)
            check_ids(self.index, name)
        self.align_options = align
        self.address = address
        self._tls = tls
        self._timeout = timeout
        self._connect_timeout = connect_timeout
        self._listen = listen
        self._server: Server | None = None
        self._links: queue.SimpleQueue[Link] = queue.SimpleQueue()

    def __repr__(self) -> str:
        way = "listening on" if self._listen else "at"
        rows = "" if self.index is None else f", {len(self.index)} rows"
        return f"RemoteParty({self.name!r}, {way} {self.address}{rows})"

    def prepare(self) -> None:
        """Check certificates and begin to listen, so that a mistake shows before any work.

        `connect` does the same, later.

        Raises
        ------
        parties.errors.CertificateError
            If a file cannot be used, or the pinned certificate is another party's.
        parties.errors.ListenError
            If the address cannot be listened on.
        """
        read_identity(self._tls)
        for pin in read_pins(self._tls.peer_certificate):
            if pin.party != self.name:
                raise CertificateError(
                    self.name,
                    f"{self._tls.peer_certificate} is the certificate of {pin.party!r}. Pin the "
                    f"one of {self.name!r}, or call the party as its certificate does",
                )
        if self._listen and self._server is None:
            self._server = listen(self.address, self._tls, self._links.put)
            self.address = f"{self.address.rpartition(':')[0]}:{self._server.port}"

    def connect(self, trainer: Trainer) -> Peer:
        """Dial, or wait for the party to dial.

        Raises
        ------
        parties.errors.PartyError
            If the connection cannot be made.
        """
        self.prepare()
        link = self._accept() if self._listen else self._dial()
        transport = LinkTransport(link)
        return self._begin(Peer(self.name, transport, trainer.codec(), timeout=self._timeout))

    def close(self) -> None:
        """Stop listening, if it does."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def _dial(self) -> Link:
        return dial(self.address, self._tls, timeout=self._connect_timeout)

    def _accept(self) -> Link:
        deadline = time.monotonic() + self._connect_timeout
        try:
            link = self._links.get(timeout=self._connect_timeout)
            while link.ended:  # it had dialled and gone again
                link = self._links.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            raise PeerUnreachableError(
                self.name,
                f"did not dial {self.address} within {self._connect_timeout:g} seconds; is it "
                "running, does it dial this address, and does it pin our certificate?",
            ) from None
        return link
