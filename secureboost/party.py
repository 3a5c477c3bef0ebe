"""The other companies, as a user of the Python interface names them.

`FeatureParty` is a table in this process, for simulations and tests: the same messages under the
same encryption, no network. `RemoteParty` is another company's `secureboost serve`.
"""

import hashlib
import queue
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
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
from secureboost._version import __version__
from secureboost.data import check_ids
from secureboost.errors import DataError
from secureboost.export.consent import Release, release_half
from secureboost.features import feature_matrix, monotone_signs
from secureboost.gbdt.feature_table import FeatureTable
from secureboost.gbdt.model import PartyHalf
from secureboost.gbdt.partner import LABEL_PARTY
from secureboost.gbdt.policy import Budget, Policy
from secureboost.gbdt.store import HalfStore, MemoryStore
from secureboost.splitnn.protocol import TRAINER as NET_TRAINER
from secureboost.splitnn.terms import NetTerms
from secureboost.trainers import Trainer


class Party(ABC):
    """A feature party that can be asked.

    Attributes
    ----------
    name : str
    index : pandas.Index
        Ids of the rows that both sides hold, in the agreed order.
    peer : Peer or None
        The connection of the latest session; its traffic shows how far that is.
    """

    name: str
    index: pd.Index
    peer: Peer | None = None

    @abstractmethod
    def connect(self, trainer: Trainer) -> Peer:
        """Open a connection for one session of `trainer`."""

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
    )


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
    insecure_test_keys : bool
        Accept keys that are too short. For tests.

    Raises
    ------
    secureboost.errors.DataError
        See `feature_table`.

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
        insecure_test_keys: bool = False,
    ) -> None:
        self.store = MemoryStore()
        self.nets = nets or NetTerms()
        self._table = feature_table(
            name,
            table,
            policy=policy,
            store=self.store,
            categorical=categorical,
            monotone=monotone,
            nets=self.nets,
        )
        options = {
            "policy": policy,
            "categorical": categorical,
            "monotone": monotone,
            "nets": self.nets,
            "insecure_test_keys": insecure_test_keys,
        }
        self._arguments = (name, table, options)
        self._insecure_test_keys = insecure_test_keys
        self.name = name
        self.index = table.index

    def __repr__(self) -> str:
        n_features, n_rows = self._table.columns.shape
        return f"FeatureParty({self.name!r}, {n_rows} rows, {n_features} columns)"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (*self._arguments, self.store.halves)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Its columns; the label party sees them only in simulations."""
        return self._table.feature_names

    def half(self, model_id: str) -> PartyHalf | None:
        """Its half of a model, or None."""
        return self.store.load(model_id)

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
            lambda _hello: trainer.open_session(
                self._table, in_process=True, insecure_test_keys=self._insecure_test_keys
            ),
            trainer=trainer.name,
            software_version=__version__,
        )
        self.peer = Peer(self.name, LocalTransport(answerer), codec)
        return self.peer


def _rebuild(
    name: str, table: pd.DataFrame, options: dict[str, Any], halves: dict[str, PartyHalf]
) -> FeatureParty:
    party = FeatureParty(name, table, **options)
    party.store.halves.update(halves)
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
    index : pandas.Index or sequence of ids
        Ids of the rows that both sides hold, in the agreed order. Positions in it travel, ids
        never do; a digest proves that both sides mean the same.
    timeout : float
        Seconds that an answer may take.
    connect_timeout : float
        Seconds until the connection must stand.
    listen : bool
        Wait for the party to dial instead of dialling.

    Examples
    --------
    >>> tls = TLS("lender.crt", "lender.key", "bureau.crt")
    >>> bureau = RemoteParty("bureau", "bureau.example:7443", tls=tls, index=common_ids)
    """

    def __init__(
        self,
        name: str,
        address: str,
        *,
        tls: TLS,
        index: Any,
        timeout: float = REPLY_SECONDS,
        connect_timeout: float = CONNECT_SECONDS,
        listen: bool = False,
    ) -> None:
        self.name = check_name(name)
        self.index = index if isinstance(index, pd.Index) else pd.Index(index)
        check_ids(self.index, name)
        self.address = address
        self._tls = tls
        self._timeout = timeout
        self._connect_timeout = connect_timeout
        self._listen = listen
        self._server: Server | None = None
        self._links: queue.SimpleQueue[Link] = queue.SimpleQueue()

    def __repr__(self) -> str:
        way = "listening on" if self._listen else "at"
        return f"RemoteParty({self.name!r}, {way} {self.address}, {len(self.index)} rows)"

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
        self.peer = Peer(self.name, LinkTransport(link), trainer.codec(), timeout=self._timeout)
        return self.peer

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
