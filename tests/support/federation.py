"""A label party and feature parties over one random table, and the pooled twin."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from support.keys import insecure_key
from support.tables import Table

from crypto.scheme import PrivateKey
from parties.answerer import Answerer
from parties.local import LocalTransport, RecordingTransport
from parties.messages import Reply, Request
from parties.peer import Peer, Transport
from parties.service import Service
from secureboost import FeatureParty, SecureBoostClassifier, joined_trees, pool_tables
from secureboost._version import __version__
from secureboost.gbdt.feature import FeatureSession
from secureboost.trainers import Trainer

INSECURE_BITS = 256


class InsecureKeyClassifier(SecureBoostClassifier):
    """Takes keys of `INSECURE_BITS`, which protect nothing, from a cache: for tests alone."""

    def _generate_key(self) -> PrivateKey:
        return insecure_key(self.scheme, INSECURE_BITS)


class WatchedService(Service):
    """Passes on; `alter` may change a reply, and `closed` counts, after `ended` is set."""

    transitions = FeatureSession.transitions

    def __init__(self, inner: Service, alter: Callable[[Request[Any], Reply], Reply]) -> None:
        self.transitions = inner.transitions
        self._inner = inner
        self._alter = alter
        self.closed = 0
        self.ended = threading.Event()

    def answer(self, request: Request[Any]) -> Reply:
        return self._alter(request, self._inner.answer(request))

    def close(self) -> None:
        self._inner.close()
        self.closed += 1
        self.ended.set()


class WatchedParty(FeatureParty):
    """A party in this process whose services and frames are kept, and whose replies may lie."""

    def __init__(
        self,
        name: str,
        table: pd.DataFrame,
        *,
        alter: Callable[[Request[Any], Reply], Reply] = lambda _request, reply: reply,
        wrap: Callable[[Transport], Transport] = lambda transport: transport,
        **options: Any,
    ) -> None:
        super().__init__(name, table, insecure_test_keys=True, **options)
        self.alter = alter
        self.wrap = wrap
        self.services: list[WatchedService] = []
        self.transports: list[RecordingTransport] = []
        self.peers: list[Peer] = []

    @property
    def budget(self):
        return self._table.budget

    def connect(self, trainer: Trainer) -> Peer:
        def open_service(_hello):
            self.services.append(WatchedService(self._open_session(trainer), self.alter))
            return self.services[-1]

        codec = trainer.codec()
        answerer = Answerer(
            self.name, codec, {trainer.name: open_service}, software_version=__version__
        )
        self.transports.append(RecordingTransport(self.wrap(LocalTransport(answerer))))
        self.peers.append(Peer(self.name, self.transports[-1], codec))
        return self.peers[-1]

    @property
    def released(self) -> bool:
        """Whether every session has ended, once; an answer under way may end it a little later."""
        return all(service.ended.wait(10) and service.closed == 1 for service in self.services)

    def messages(self, trainer: Trainer):
        """All requests and replies so far, decoded."""
        codec = trainer.codec()
        return [
            (codec.decode(exchange.request, "label"), codec.decode(exchange.reply, self.name))
            for transport in self.transports
            for exchange in transport.exchanges
        ]


class Federation:
    """A random table, its columns shared out; party tables have more rows, in another order.

    Attributes
    ----------
    X : DataFrame
        The label party's columns.
    y : Series of "good" and "bad"
    weight : array
    tables : dict of str to DataFrame
        Of party1, party2, ...
    """

    def __init__(self, table: Table, counts: Sequence[int], seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        n_rows, n_features = table.X.shape
        ids = [f"K{number:05d}" for number in rng.permutation(3 * n_rows)]
        frame = pd.DataFrame(
            table.X, index=ids[:n_rows], columns=[f"c{i}" for i in range(n_features)]
        )
        others = pd.DataFrame(
            rng.normal(size=(n_rows // 3, n_features)),
            index=ids[n_rows : n_rows + n_rows // 3],
            columns=frame.columns,
        )
        everybody = pd.concat([frame, others])
        ends = np.cumsum(counts)
        self.X = frame.iloc[:, : counts[0]]
        self.y = pd.Series(np.where(table.y > 0, "good", "bad"), index=frame.index)
        self.weight = table.weight
        self.tables = {
            f"party{i}": everybody.iloc[rng.permutation(len(everybody)), end - count : end]
            for i, (end, count) in enumerate(zip(ends, counts, strict=True))
            if i > 0
        }
        self.unseen = others.iloc[:, : counts[0]]

    def parties(self, **options: Any) -> list[FeatureParty]:
        return [
            FeatureParty(name, table, insecure_test_keys=True, **options)
            for name, table in self.tables.items()
        ]

    def watched(self, **options: Any) -> list[WatchedParty]:
        return [WatchedParty(name, table, **options) for name, table in self.tables.items()]

    def pooled(self, X: pd.DataFrame) -> pd.DataFrame:
        return pool_tables(X, self.tables)[0]

    def fit(self, parties: Sequence[Any], **parameters: Any) -> InsecureKeyClassifier:
        return InsecureKeyClassifier(**parameters).fit(
            self.X, self.y, parties=parties, sample_weight=self.weight
        )

    def fit_pooled(self, **parameters: Any) -> SecureBoostClassifier:
        """The plaintext twin."""
        pooled, owner = pool_tables(self.X, self.tables)
        return SecureBoostClassifier(**parameters).fit(
            pooled, self.y, sample_weight=self.weight, column_owner=owner
        )

    def assert_twins(
        self, model: SecureBoostClassifier, halves: Any, **parameters: Any
    ) -> SecureBoostClassifier:
        """`model` with the parties' `halves` is the pooled model: ``==``, never a tolerance."""
        twin = self.fit_pooled(**parameters)
        assert model.label_half_.base_score == twin.label_half_.base_score
        joined = joined_trees(model.label_half_, halves)
        expected = joined_trees(twin.label_half_, column_owner=twin.column_owner_)
        assert len(joined) == len(expected)
        for tree, other in zip(joined, expected, strict=True):
            assert tree.dtype == other.dtype
            assert tree.tolist() == other.tolist()
        for rows in (self.X, self.X.iloc[::-3], self.unseen):
            assert np.array_equal(
                model.decision_function(rows), twin.decision_function(self.pooled(rows))
            )
            assert np.array_equal(model.predict(rows), twin.predict(self.pooled(rows)))
        return twin

    def check(self, parties: Sequence[FeatureParty] | None = None, **parameters: Any) -> Any:
        """Train both ways in process and compare; returns the federated model."""
        parties = self.parties() if parties is None else parties
        model = self.fit(parties, **parameters)
        halves = [party.half(model.label_half_.model_id) for party in parties]
        self.assert_twins(model, halves, **parameters)
        return model
