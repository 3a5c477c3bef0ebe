"""Networks over rows that were found first: tables that overlap partly and know no common order."""

import copy
import warnings

import numpy as np
import pandas as pd
import pytest
from support import nets
from support.nets import QUICK, Conversation, Net, weights_of
from support.serving import Companies

from parties.errors import PartyError, PeerUnreachableError
from parties.messages import Failure, UseAlignment
from secureboost import FeatureParty, SplitNNClassifier, align_tables
from secureboost.align.keys import make_keys
from secureboost.align.options import AlignOptions
from secureboost.align.protocol import Propose
from secureboost.align.rules import key_rules
from secureboost.aligned_rows import AlignedRows
from secureboost.alignment import ABSENT, Alignment
from secureboost.errors import ConfigError, DataError, UnmatchedRowsWarning
from secureboost.splitnn.protocol import Predict, SetupBottom
from secureboost.splitnn.store import MemoryBottoms
from secureboost.splitnn.terms import NetTerms


class Apart:
    """Parties each of which lacks other rows of the label party's.

    Attributes
    ----------
    own : Net
        The label party's table, and those of the others as they are.
    joined : Net
        Rows that all have, in the label party's order.
    """

    def __init__(self, n_parties: int) -> None:
        self.own = Net(n_parties)
        index = self.own.X.index
        for number, (name, table) in enumerate(self.own.tables.items()):
            self.own.tables[name] = table.drop(index[number :: 7 + number])
        common = np.all([index.isin(table.index) for table in self.own.tables.values()], axis=0)
        self.joined = copy.copy(self.own)
        self.joined.X, self.joined.y = self.own.X[common], self.own.y[common]
        self.joined.n_training = int(common[: self.own.n_training].sum())

    def fit(self, parties, **parameters):
        """On the tables as they are."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UnmatchedRowsWarning)
            return self.own.fit(parties, **parameters)


@pytest.fixture(scope="module")
def apart():
    return {n_parties: Apart(n_parties) for n_parties in (1, 2, 3)}


def index_of(rows, parties):
    """The alignment of each party that has these rows."""
    return [party.rows_of(rows).alignment for party in parties]


@pytest.mark.parametrize("n_parties", [1, 2, 3])
def test_split_is_pooled_over_the_common_rows(apart, n_parties):
    tables = apart[n_parties]
    parties = tables.own.parties(align=True)
    text = r"rows of X and .* of eval_set\[0\] are left"
    with pytest.warns(UnmatchedRowsWarning, match=text) as caught:
        model = tables.own.fit(parties, in_flight=2)
    assert caught[0].filename == nets.__file__  # where `fit` is called, and not inside of it
    tables.joined.assert_twins(model, parties, in_flight=2)


def test_aligned_once_and_by_other_columns(apart):
    """The index of each side is its own affair then; rows are trained on in other orders too."""
    tables = apart[2]
    own, joined = tables.own, tables.joined
    ids = pd.RangeIndex(len(own.X))
    parties = [
        FeatureParty(
            name,
            table.reset_index(drop=True),
            align=True,
            keys=pd.DataFrame({"who": [f" {row.lower()} " for row in table.index]}),
            rules={"who": "text"},
        )
        for name, table in own.tables.items()
    ]
    lender = own.X.assign(customer=own.X.index).set_axis(ids)
    aligned = align_tables(lender, parties, on=["customer"], rules={"customer": "text"})
    assert own.X.index[aligned.index].equals(joined.X.index)
    before = index_of(aligned.index, parties)
    n = joined.n_training
    train, watched = aligned.index[:n], aligned.index[n:]
    X, y = own.X.set_axis(ids), pd.Series(own.y, ids)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = SplitNNClassifier(**QUICK).fit(
            X.loc[train],
            y[train],
            parties=parties,
            eval_set=[(X.loc[watched], y[watched])],
        )
    assert index_of(aligned.index, parties) == before
    twin = joined.fit_pooled()
    own_weights, expected = weights_of(model, parties), weights_of(twin, [])
    assert all(np.array_equal(own_weights[name], expected[name]) for name in expected)
    assert model.evals_result_ == twin.evals_result_
    known = joined.fit(joined.parties())
    scores = model.raw_scores(X.loc[aligned.index[::-3]])
    assert np.array_equal(scores, known.raw_scores(joined.X[::-3]))


def test_new_customers_are_aligned_first(apart):
    tables = apart[1]
    parties = tables.own.watched(align=True)
    model = tables.fit(parties)
    new = tables.own.tables["party1"].index[:20].union(tables.joined.X.index[:20], sort=False)
    X = Net(1).X.reindex(new)  # the label party's columns are missing where it knows them not
    known = FeatureParty("party1", tables.own.tables["party1"], nets=parties[0].nets)
    scores = model.raw_scores(X)
    assert np.array_equal(scores, model.raw_scores(X, parties=[known]))
    proposals = [r for r, _ in parties[0].messages() if isinstance(r, Propose)]
    assert len(proposals) == 2
    with pytest.raises(DataError, match=r"party1: .*rows.* are not common to all parties"):
        model.raw_scores(tables.own.X)


def test_over_grpc(apart, tmp_path):
    tables = apart[2]
    with Companies(tmp_path) as companies:
        terms = {name: NetTerms(store=MemoryBottoms()) for name in tables.own.tables}
        parties = [
            companies.serve_aligning(name, table, terms[name])[0]
            for name, table in tables.own.tables.items()
        ]
        model = tables.fit(parties, in_flight=4)
        for party in parties:
            party.nets = terms[party.name]
        tables.joined.assert_twins(model, parties, in_flight=4)


# --- Rows of which a party has nothing, as an as-of join leaves them


class Joined:
    """One party has kept an order with rows that it lacks; the other shares the list of ids."""

    def __init__(self) -> None:
        self.net = Net(2)
        rng = np.random.default_rng(3)
        index, table = self.net.X.index, self.net.tables["party1"]
        self.lacks = index[rng.random(len(index)) < 0.3]
        order = rng.permutation(len(index)).astype(np.int32)
        rows = table.index.get_indexer(index[order]).astype(np.int32)
        rows[index[order].isin(self.lacks)] = ABSENT
        keys = make_keys([table.index.to_series()], key_rules(["id"]), party="party1")
        theirs = Alignment(b"\7" * 32, rows, keys.digest(), "party1", "bank", {})
        ours = Alignment(b"\7" * 32, order, bytes(32), "bank", "party1", {})
        self.parties = self.net.watched()
        self.parties[0].alignments.save(theirs)
        self.parties[0].hold(AlignedRows(index, ours))
        self.filled = copy.copy(self.net)
        empty = table.drop(self.lacks).reindex(index)
        self.filled.tables = {**self.net.tables, "party1": empty}


def test_a_row_that_one_of_two_parties_lacks_is_one_of_missing_values():
    joined = Joined()
    assert len(joined.lacks) > 20
    model = joined.net.fit(joined.parties, in_flight=2)
    joined.filled.assert_twins(model, joined.parties, in_flight=2)
    scores = model.raw_scores(joined.net.X.loc[joined.lacks])
    assert len(np.unique(scores)) == len(scores)  # the other party's columns count


# --- Padding


def padded(apart, **options):
    """A trained model, and a party that lists padding in its place."""
    tables = apart[1]
    parties = tables.own.parties(align=True)
    model = tables.fit(parties)
    (party,) = tables.own.watched(align=AlignOptions(padding=15), nets=parties[0].nets, **options)
    return model, party, tables.joined.X


def test_training_with_padding_is_refused_before_anybody_is_asked(apart):
    (party,) = apart[1].own.watched(align=AlignOptions(padding=15))
    with pytest.raises(ConfigError, match=r"networks cannot be trained with padding rows: .*") as e:
        apart[1].fit([party])
    assert "Align again with align.padding = 0" in str(e.value)
    assert not any(isinstance(request, SetupBottom) for request, _ in party.messages())


def test_a_prediction_asks_for_padding_rows_too(apart):
    model, party, X = padded(apart)
    scores = model.raw_scores(X, parties=[party])
    assert np.array_equal(scores, model.raw_scores(X))
    padding = np.flatnonzero(party.rows_of(X.index).padding)
    assert len(padding) == 15
    (asked,) = [r for r, _ in party.messages() if isinstance(r, Predict)]
    assert len(asked.rows) == len(X) + 15
    assert set(padding.tolist()) <= set(asked.rows.tolist())
    assert (np.diff(asked.rows) > 0).all()


def test_padding_goes_with_the_same_rows_each_time(apart):
    model, party, X = padded(apart)
    model.raw_scores(X, parties=[party])
    asked = []
    for rows in (X.iloc[:60], X.iloc[60:], X.iloc[::2], X.iloc[1::2]):
        assert np.array_equal(model.raw_scores(rows, parties=[party]), model.raw_scores(rows))
        request = party.messages()[-2][0]
        asked.append(set(request.rows.tolist()))
    assert asked[0].isdisjoint(asked[1])
    assert asked[2].isdisjoint(asked[3])
    assert len(asked[0] | asked[1]) == len(asked[2] | asked[3]) == len(X) + 15


# --- Going on, and what is refused


class Gone:
    """A transport that loses one question."""

    def __init__(self, at: int) -> None:
        self.at, self.seen = at, 0

    def __call__(self, inner):
        self._inner = inner
        return self

    def exchange(self, frame, timeout):
        self.seen += 1
        if self.seen == self.at:
            raise PeerUnreachableError("party1", "is gone")
        return self._inner.exchange(frame, timeout)

    def close(self, *, abort):
        self._inner.close(abort=abort)


@pytest.mark.parametrize("again", [False, True], ids=["the-same", "aligned-again"])
def test_a_run_goes_on_over_an_alignment(apart, tmp_path, again):
    """Of another alignment of the same rows too: rows are named in the order of the run."""
    tables = apart[1]
    options = {"checkpoint": tmp_path / "run", "n_epochs": 3}
    (party,) = tables.own.watched(align=True, wrap=Gone(30))
    align_tables(tables.own.X, [party])
    with pytest.raises(PartyError, match="is gone"):
        tables.fit([party], **options)
    first = party.rows_of(tables.own.X.index).alignment
    if again:
        party._held = ()
    model = tables.fit([party], **options, resume=True)
    second = party.rows_of(tables.own.X.index).alignment
    assert (first.id != second.id) == again
    tables.joined.assert_twins(model, [party], n_epochs=3)


def test_another_alignment_than_those_that_are_kept():
    talk = Conversation()
    refused = talk.ask(UseAlignment(alignment=b"\1" * 32, n_rows=12))
    assert isinstance(refused, Failure)
    assert refused.code == "unknown_alignment"
    assert "01010101; align" in refused.detail
    talk.set_up()
