"""Federated is pooled over real connections too, whoever dials; and a partner may die."""

import signal
import time

import numpy as np
import pytest
from support.federation import Federation, InsecureKeyClassifier
from support.serving import Companies
from support.tables import KINDS, random_table

from parties.errors import PeerRefusedError, PeerUnreachableError
from parties.link import LinkTransport
from parties.peer import Peer, Transport
from secureboost import FeatureParty
from secureboost.gbdt.protocol import Divide, HistogramsOf
from secureboost.party import RemoteParty
from secureboost.trainers import get_trainer

TRAINER = get_trainer("secureboost")
WAYS = {"serve": ("serve", "serve"), "dial": ("dial",), "mixed": ("dial", "serve", "local")}


@pytest.fixture
def companies(tmp_path):
    with Companies(tmp_path) as companies:
        yield companies


@pytest.mark.parametrize("way", WAYS)
def test_federated_is_pooled_over_grpc(way, companies):
    ways = WAYS[way]
    federation = Federation(
        random_table(len(ways), 150, KINDS + KINDS, weighted=True), [1, *[3] * len(ways)]
    )
    parties, stores = [], []
    for kind, (name, table) in zip(ways, federation.tables.items(), strict=True):
        if kind == "local":
            parties.append(FeatureParty(name, table, insecure_test_keys=True))
            stores.append(parties[-1].store)
        else:
            party, served = getattr(companies, kind)(name, table)
            parties.append(party)
            stores.append(served.store)
    parameters = {"n_estimators": 2, "max_bin": 12, "min_child_samples": 3, "max_depth": 3}
    model = federation.fit(parties, **parameters)
    halves = [store.load(model.label_half_.model_id) for store in stores]
    federation.assert_twins(model, halves, **parameters)
    assert set(model.traffic_) == set(federation.tables)


def test_plain_is_refused_over_grpc_and_the_party_stays_usable(companies):
    federation = Federation(random_table(1, 60, KINDS), (2, 3))
    ((name, table),) = federation.tables.items()
    party, _ = companies.serve(name, table)
    with pytest.raises(
        PeerRefusedError, match=r"party1: refused .scheme_refused.: .*hides nothing"
    ):
        federation.fit([party], n_estimators=1, scheme="plain")
    assert len(federation.fit([party], n_estimators=1).label_half_.trees) == 1


def test_other_rows_over_grpc(companies):
    federation = Federation(random_table(1, 60, KINDS), (2, 3))
    ((name, table),) = federation.tables.items()
    party, _ = companies.serve(name, table.iloc[::-1])
    wrong = RemoteParty(name, party.address, tls=party._tls, index=table.index)
    with pytest.raises(PeerRefusedError, match=r"rows_differ.*same order"):
        federation.fit([wrong], n_estimators=1)


def test_parties_whose_splits_are_not_needed_are_left_alone(companies):
    """Prediction connects to those with splits only, and lets go of everybody."""
    table = random_table(3, 100, ("continuous", "few", "constant", "continuous"), missing=0.0)
    federation = Federation(table, (1, 1, 1, 1))
    parties = [companies.serve(*item)[0] for item in federation.tables.items()]
    model = federation.fit(parties, n_estimators=2, max_depth=2)
    assert [p.n_splits == 0 for p in model.label_half_.partners] == [False, True, False]
    first = model.decision_function(federation.X)
    for _ in range(2):  # a connection that stayed open would make the party answer "busy"
        assert np.array_equal(model.decision_function(federation.X), first)
    federation.fit(parties, n_estimators=1)


class Killer(Transport):
    """Kills the party's process just before the n-th request of a kind is sent."""

    def __init__(self, inner, process, kind, number):
        self._inner = inner
        self._process = process
        self._kind, self._number = kind, number
        self._codec = TRAINER.codec()
        self.killed_at = None

    def exchange(self, frame, timeout):
        if isinstance(self._codec.decode(frame, "bank"), self._kind):
            self._number -= 1
            if self._number == 0:
                self._process.send_signal(signal.SIGKILL)
                self.killed_at = time.monotonic()
        return self._inner.exchange(frame, timeout)

    def close(self, *, abort):
        self._inner.close(abort=abort)


class DoomedParty(RemoteParty):
    def doom(self, process, kind, number):
        self._doom = (process, kind, number)
        return self

    def connect(self, trainer):
        self.killer = Killer(LinkTransport(self._dial()), *self._doom)
        return Peer(self.name, self.killer, trainer.codec())


@pytest.mark.parametrize(("kind", "number"), [(HistogramsOf, 3), (Divide, 2)])
def test_a_party_that_dies_within_a_tree(kind, number, companies):
    federation = Federation(random_table(2, 150, KINDS), (1, 2, 2))
    (name, table), (other, other_table) = federation.tables.items()
    remote, process = companies.process(name, table)
    doomed = DoomedParty(name, remote.address, tls=remote._tls, index=table.index)
    doomed.doom(process, kind, number)
    survivor, served = companies.serve(other, other_table)
    with pytest.raises(PeerUnreachableError, match="party1: the connection was lost"):
        federation.fit([doomed, survivor], n_estimators=20, max_bin=8)
    assert time.monotonic() - doomed.killer.killed_at < 5
    assert process.wait(5) == -signal.SIGKILL
    assert served.store.halves == {}
    # the other party is free again
    model = InsecureKeyClassifier(n_estimators=1).fit(
        federation.X, federation.y, parties=[survivor]
    )
    assert served.store.load(model.label_half_.model_id) is not None
