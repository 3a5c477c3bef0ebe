"""Tables that overlap partly, in different orders: found, trained on and scored by the parties."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.model_selection import GroupKFold
from support.crashing import Counter
from support.federation import InsecureKeyClassifier, WatchedParty
from support.overlap import overlaps
from support.serving import Companies

from parties.errors import PartyError, PeerRefusedError
from parties.messages import MatchRows, UseAlignment
from secureboost import (
    FeatureParty,
    SecureBoostClassifier,
    SecureBoostRegressor,
    align_tables,
    cv,
    joined_trees,
    load_alignments,
    pool_tables,
    tune,
)
from secureboost.align.options import AlignOptions
from secureboost.align.protocol import Propose
from secureboost.alignment import ABSENT
from secureboost.errors import AlignmentError, ConfigError, DataError, UnmatchedRowsWarning
from secureboost.gbdt import scoring
from secureboost.gbdt.protocol import HistogramsOf, Route, Setup
from secureboost.party import MOST_HELD
from secureboost.trainers import ALIGN_TRAINER, GBDT_TRAINER, codec_of

CODEC = codec_of([GBDT_TRAINER, ALIGN_TRAINER])
SETTINGS = settings(
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@SETTINGS
@given(overlaps())
def test_aligned_is_joined(overlap):
    parties = overlap.parties()
    model = overlap.federated(parties)
    overlap.case.assert_twins(model, parties, overlap.pooled())
    assert model.n_rows_trained_ == sum(row in overlap.case.own.index for row in overlap.train)


@SETTINGS
@given(overlaps(padding=True))
def test_padding_is_rows_of_weight_zero(overlap):
    parties = overlap.parties(AlignOptions(padding=20))
    model = overlap.federated(parties)
    overlap.case.assert_twins(model, parties, overlap.padded(parties))
    assert model.n_rows_trained_ == sum(row in overlap.case.own.index for row in overlap.train)


@settings(SETTINGS, max_examples=10)
@given(overlaps(padding=True), st.booleans())
def test_a_model_gone_on_with(overlap, padded):
    overlap.case.parameters["early_stopping_rounds"] = None
    parties = overlap.parties(AlignOptions(padding=20) if padded else True)
    twin_of = overlap.padded if padded else lambda _parties, **options: overlap.pooled(**options)
    first = overlap.federated(parties)
    first_twin = twin_of(parties)
    model = overlap.federated(parties, init_model=first)
    overlap.case.assert_twins(model, parties, twin_of(parties, init_model=first_twin))


# --- Two companies


ROUNDS = {"n_estimators": 3, "max_depth": 3, "max_bin": 16, "random_state": 3, "n_jobs": 1}
PLAIN = ROUNDS | {"scheme": "plain"}


def messages(party):
    """All that was asked and answered, whatever for."""
    return [
        (CODEC.decode(exchange.request, "label"), CODEC.decode(exchange.reply, party.name))
        for transport in party.transports
        for exchange in transport.exchanges
    ]


class Two:
    """A lender and a bureau: each has 160 customers, 100 of them common."""

    def __init__(self, seed=0, n=220):
        rng = np.random.default_rng(seed)
        ids = [f"customer-{number}" for number in rng.permutation(10 * n)[:n]]
        everybody = pd.DataFrame(rng.normal(size=(n, 5)), index=ids, columns=list("abcde"))
        y = everybody.sum(axis=1) + rng.normal(size=n) > 0
        self.lender = everybody.iloc[:160, :2]
        self.bureau = everybody.iloc[60:, 2:].sample(frac=1, random_state=seed)
        self.y = pd.Series(np.where(y, "bad", "good"), index=ids)[self.lender.index]
        self.common = self.lender.index[60:]

    def party(self, align=True, **options):
        return WatchedParty("bureau", self.bureau, align=align, **options)

    def fit(self, party, **changes):
        options = {name: changes.pop(name) for name in ("checkpoint", "resume") if name in changes}
        model = InsecureKeyClassifier(**{**PLAIN, **changes})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UnmatchedRowsWarning)
            return model.fit(self.lender, self.y, parties=[party], **options)

    def joined(self):
        """What `join_tables` and a party with a known index give."""
        party = FeatureParty("bureau", self.bureau.loc[self.common], insecure_test_keys=True)
        model = InsecureKeyClassifier(**PLAIN)
        return model.fit(self.lender.loc[self.common], self.y[self.common], parties=[party])


@pytest.fixture
def two():
    return Two()


def same(one, other, rows):
    return np.array_equal(one.decision_function(rows), other.decision_function(rows))


def test_under_encryption(two):
    party = two.party()
    model = two.fit(party, scheme="paillier", n_estimators=1)
    table, owner = pool_tables(two.lender.loc[two.common], {"bureau": two.bureau})
    twin = SecureBoostClassifier(**ROUNDS | {"n_estimators": 1})
    twin.fit(table, two.y[two.common], column_owner=owner)
    scores = model.decision_function(two.lender.loc[two.common])
    assert np.array_equal(scores, twin.decision_function(table))


def test_rows_that_are_left_out_are_counted(two):
    party = two.party()
    text = (
        r"^60 of 160 rows of X and 10 of 30 rows of eval_set\[0\] are left out: they are not "
        r"common to all parties \(bureau\)\.$"
    )
    watched = two.lender.iloc[50:80]
    with pytest.warns(UnmatchedRowsWarning, match=text) as caught:
        model = InsecureKeyClassifier(**PLAIN).fit(
            two.lender, two.y, parties=[party], eval_set=[(watched, two.y[watched.index])]
        )
    assert caught[0].filename == __file__
    assert model.n_rows_trained_ == 100
    assert same(model, two.joined(), two.lender.loc[two.common])


def test_the_training_rows_may_be_watched(two):
    party = two.party()
    model = InsecureKeyClassifier(**PLAIN)
    with pytest.warns(UnmatchedRowsWarning, match="^60 of 160 rows of X are left out"):
        model.fit(two.lender, two.y, parties=[party], eval_set=[(two.lender, two.y)])
    assert len(model.evals_result_["validation_0"]["logloss"]) == 3


@pytest.mark.parametrize("weight", [None, "series", "list"])
def test_labels_and_weights_of_any_kind(two, weight):
    rng = np.random.default_rng(0)
    weights = pd.Series(rng.uniform(0.5, 2.0, 160), index=two.lender.index)
    given = {None: None, "series": weights, "list": weights.tolist()}[weight]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnmatchedRowsWarning)
        model = InsecureKeyClassifier(**PLAIN).fit(
            two.lender, two.y.tolist(), parties=[two.party()], sample_weight=given
        )
    expected = InsecureKeyClassifier(**PLAIN).fit(
        two.lender.loc[two.common],
        two.y[two.common],
        parties=[FeatureParty("bureau", two.bureau.loc[two.common], insecure_test_keys=True)],
        sample_weight=None if weight is None else weights[two.common],
    )
    assert same(model, expected, two.lender.loc[two.common])


def test_a_mistake_is_told_before_anybody_is_asked(two):
    party = two.party()
    for arguments, text in (
        ({"y": two.y[:-1]}, "inconsistent numbers of samples"),
        ({"sample_weight": [-1.0] * 160}, "Negative values"),
        ({"init_model": SecureBoostRegressor()}, "init_model is a SecureBoostRegressor"),
        ({"eval_set": [(two.lender, two.y.iloc[:3])]}, "inconsistent numbers of samples"),
    ):
        arguments = {"X": two.lender, "y": two.y} | arguments
        with pytest.raises((ValueError, TypeError), match=text):
            InsecureKeyClassifier(**PLAIN).fit(**arguments, parties=[party])
    assert not party.transports


def test_no_id_travels(two):
    party = two.party(AlignOptions(padding=5))
    model = two.fit(party)
    model.predict(two.lender.loc[two.common])
    frames = [
        frame
        for transport in party.transports
        for exchange in transport.exchanges
        for frame in (exchange.request, exchange.reply)
    ]
    assert len(frames) > 30
    assert not [frame for frame in frames if b"customer" in frame]


# --- Known before


def test_tables_are_aligned_once(two):
    party = two.party()
    aligned = align_tables(two.lender, [party])
    assert aligned.index.tolist() == two.common.tolist()
    assert str(aligned) == (
        "100 of 160 ids are also among the 160 of 'bureau'; 100 rows are common to all"
    )
    assert repr(aligned) == "AlignedTables(100 rows, bureau)"
    n_sessions = len(party.transports)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = InsecureKeyClassifier(**PLAIN).fit(
            two.lender.loc[aligned.index], two.y[aligned.index], parties=[party]
        )
    model.predict(two.lender.loc[two.common[::-3]])
    assert len(party.transports) == n_sessions + 2
    assert same(model, two.joined(), two.lender.loc[two.common])


def test_bytes_are_counted_over_all_sessions(two):
    bureau, sent = FeatureParty("bureau", two.bureau, align=True), []
    for _ in range(2):
        align_tables(two.lender, [bureau])
        sent.append(sum(each.bytes_sent for each in bureau.peer.traffic.values()))
    assert min(sent) > 0
    assert bureau.traffic.bytes_sent == sum(sent)


def test_ids_alone_will_do(two):
    ids = two.lender.index.tolist()
    assert align_tables(ids, [two.party()]).index.tolist() == two.common.tolist()
    with pytest.raises(DataError, match=r"on=\['a'\] names columns, and table is a list"):
        align_tables(ids, [two.party()], on=["a"])


def test_an_alignment_survives_the_process(two, tmp_path):
    party = two.party()
    aligned = align_tables(two.lender, [party])
    aligned.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["bureau.alignment"]
    assert (tmp_path / "bureau.alignment").stat().st_mode & 0o777 == 0o600
    later = two.party()
    later.alignments.alignments.update(party.alignments.alignments)
    loaded = load_alignments(tmp_path, two.lender, [later])
    assert loaded.index.equals(aligned.index)
    assert str(loaded) == str(aligned)
    assert same(two.fit(later), two.joined(), two.lender.loc[two.common])
    assert not any(type(request) is Propose for request, _ in messages(later))


def test_an_alignment_of_another_table(two, tmp_path):
    party = two.party()
    align_tables(two.lender, [party]).save(tmp_path)
    with pytest.raises(AlignmentError, match="is not the one that alignment"):
        load_alignments(tmp_path, two.lender.iloc[::-1], [party])
    with pytest.raises(ConfigError, match=r"telco\.alignment: there is no such file"):
        load_alignments(tmp_path, two.lender, [FeatureParty("telco", two.bureau, align=True)])


def test_customers_named_by_several_columns(two):
    """The index is the label party's own affair then."""
    lender = two.lender.assign(surname=["Ann " + name for name in two.lender.index], birth="x")
    lender = lender.reset_index(drop=True)
    keys = pd.DataFrame({"name": [f"ANN  {name}" for name in two.bureau.index], "day": "x"})
    bureau = two.bureau.reset_index(drop=True)
    party = WatchedParty("bureau", bureau, align=True, keys=keys, rules={"name": "text"})
    aligned = align_tables(lender, [party], on=["surname", "birth"], rules={"surname": "text"})
    assert aligned.index.tolist() == list(range(60, 160))
    y = two.y.set_axis(lender.index)
    model = InsecureKeyClassifier(**PLAIN).fit(
        lender.loc[aligned.index, ["a", "b"]], y[aligned.index], parties=[party]
    )
    scores = model.decision_function(lender.loc[aligned.index, ["a", "b"]])
    assert np.array_equal(scores, two.joined().decision_function(two.lender.loc[two.common]))


def test_several_rows_of_a_customer(two):
    lender = pd.concat([two.lender, two.lender.iloc[:3] + 1]).assign(
        key=[*two.lender.index, *two.lender.index[:3]]
    )
    lender.index = pd.RangeIndex(len(lender))
    with pytest.raises(DataError, match="ids occur more than once in 6 rows"):
        align_tables(lender, [two.party()], on=["key"])
    aligned = align_tables(lender, [two.party()], on=["key"], duplicates="first")
    assert len(aligned.index) == 100


def test_parties_that_know_their_ids_may_be_aligned_all_the_same(two):
    party = two.party(align=False)
    align_tables(two.lender, [party], options=AlignOptions(padding=5))
    model = two.fit(party)
    assert model.n_rows_trained_ == 100
    assert not any(type(request) is MatchRows for request, _ in messages(party))


def test_a_party_travels_with_what_it_knows(two):
    party = FeatureParty("bureau", two.bureau, align=True, insecure_test_keys=True)
    aligned = align_tables(two.lender, [party])
    copied = pickle.loads(pickle.dumps(party))  # noqa: S301 - our own
    X, y = two.lender.loc[aligned.index], two.y[aligned.index]
    model = InsecureKeyClassifier(**PLAIN).fit(X, y, parties=[copied])
    assert same(model, two.joined(), X)
    assert model.parties_[0].rows_of(X.index).alignment.id == aligned.alignments["bureau"].id


def test_a_party_does_not_remember_for_ever(two):
    party = two.party()
    model = two.fit(party)
    new = Two(seed=1)
    both = FeatureParty("bureau", new.bureau, align=True)
    both.store.halves.update(party.store.halves)
    for number in range(MOST_HELD + 3):
        model.predict(new.lender.loc[new.common[number : number + 2]], parties=[both])
    assert len(both._held) == MOST_HELD
    assert both.rows_of(new.common[:2]) is None
    assert both.rows_of(new.common[MOST_HELD + 2 : MOST_HELD + 4]) is not None


# --- Prediction


def test_a_row_that_one_party_lacks_keeps_the_others_columns(two):
    telco = two.bureau[["e"]].iloc[20:].rename(columns={"e": "f"})
    two.bureau = two.bureau[["c", "d"]]
    parties = [two.party(), WatchedParty("telco", telco, align=True)]
    with pytest.warns(UnmatchedRowsWarning):
        model = InsecureKeyClassifier(**PLAIN).fit(two.lender, two.y, parties=parties)
    together = parties[0].rows_of(two.lender.index)
    assert not together.complete
    scores = model.decision_function(two.lender, unmatched="missing")
    assert parties[0].rows_of(two.lender.index, complete=True) is not None
    filled = [
        FeatureParty(name, table.reindex(two.lender.index))
        for name, table in (("bureau", two.bureau), ("telco", telco))
    ]
    for party, before in zip(filled, parties, strict=True):
        party.store.halves.update(before.store.halves)
    assert np.array_equal(scores, model.decision_function(two.lender, parties=filled))
    # known by then
    n_sessions = [len(party.transports) for party in parties]
    model.predict(two.lender.iloc[::2], unmatched="missing")
    assert [len(party.transports) for party in parties] == [n + 1 for n in n_sessions]


@pytest.fixture
def model(two):
    return two.fit(two.party())


def test_new_customers_are_aligned_first(two, model):
    new = Two(seed=1)
    party = WatchedParty("bureau", new.bureau, align=True)
    party.store.halves.update(model.parties_[0].store.halves)
    rows = new.lender.loc[new.common]
    scores = model.decision_function(rows, parties=[party])
    known = FeatureParty("bureau", new.bureau.loc[new.common])
    known.store.halves.update(party.store.halves)
    assert np.array_equal(scores, model.decision_function(rows, parties=[known]))
    n_sessions = len(party.transports)
    model.predict(rows.iloc[3:5], parties=[party])
    assert len(party.transports) == n_sessions + 1


@pytest.mark.parametrize("align", [True, False])
def test_rows_that_a_party_lacks(two, model, align):
    party = two.party(align)
    party.store.halves.update(model.parties_[0].store.halves)
    text = r"bureau: .*60 .*rows.*first at data rows 1, 2, 3, 4, 5"
    for method in ("predict", "predict_proba", "decision_function"):
        with pytest.raises(DataError, match=text):
            getattr(model, method)(two.lender, parties=[party])
    with pytest.raises(ValueError, match="unmatched='drop' is not one of 'error', 'missing'"):
        model.predict(two.lender, parties=[party], unmatched="drop")
    before = party.budget.spent.routed_rows
    scores = model.decision_function(two.lender, parties=[party], unmatched="missing")
    assert party.budget.spent.routed_rows == before + 100
    empty = two.bureau.reindex(two.lender.index)
    filled = FeatureParty("bureau", empty)
    filled.store.halves.update(party.store.halves)
    assert np.array_equal(scores, model.decision_function(two.lender, parties=[filled]))


@SETTINGS
@given(overlaps(padding=True), st.sampled_from([1, 2**20]), st.sampled_from([0, 20]))
def test_missing_is_missing_for_every_kind_of_split(overlap, route_bytes, padding):
    """Chunks of eight rows, some of which a party has none of; each party gives what it has."""
    parties = overlap.parties(AlignOptions(padding=padding))
    model = overlap.federated(parties)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scoring, "ROUTE_BYTES", route_bytes)
        scores = model.raw_scores(overlap.own, unmatched="missing")
    filled = [
        FeatureParty(name, table.reindex(overlap.own.index))
        for name, table in overlap.partners.items()
    ]
    for party, before in zip(filled, parties, strict=True):
        party.store.halves.update(before.store.halves)
    assert np.array_equal(scores, model.raw_scores(overlap.own, parties=filled))


def test_nobody_is_asked_about_rows_that_nobody_has(two, model):
    strangers = two.lender.iloc[:20]
    scores = []
    for align in (False, True):
        party = two.party(align)
        party.store.halves.update(model.parties_[0].store.halves)
        scores += [
            model.predict_proba(strangers, parties=[party], unmatched="missing").tolist()
            for _ in range(2)
        ]
        assert {type(request) for request, _ in messages(party)}.isdisjoint({Route, UseAlignment})
        assert len(party.transports) == int(align)
        with pytest.raises(DataError, match="20 "):
            model.predict(strangers, parties=[party])
    assert all(one == scores[0] for one in scores)


# --- Cross-validation


def test_cross_validation_is_that_of_the_joined_tables(two):
    party = two.party(AlignOptions())
    model = InsecureKeyClassifier(**PLAIN)
    with pytest.warns(UnmatchedRowsWarning, match="^60 of 160 rows of X are left out"):
        result = cv(model, two.lender, two.y, parties=[party], folds=3)
    known = [FeatureParty("bureau", two.bureau.loc[two.common], insecure_test_keys=True)]
    joined = cv(model, two.lender.loc[two.common], two.y[two.common], parties=known, folds=3)
    assert result.history.equals(joined.history)
    assert [type(request) for request, _ in messages(party)].count(UseAlignment) == 1


def test_groups_are_left_out_with_their_rows(two):
    groups = np.arange(160) // 10
    with pytest.warns(UnmatchedRowsWarning):
        result = cv(
            InsecureKeyClassifier(**PLAIN),
            two.lender,
            two.y,
            parties=[two.party()],
            folds=GroupKFold(2),
            groups=groups,
        )
    known = [FeatureParty("bureau", two.bureau.loc[two.common], insecure_test_keys=True)]
    joined = cv(
        InsecureKeyClassifier(**PLAIN),
        two.lender.loc[two.common],
        two.y[two.common],
        parties=known,
        folds=GroupKFold(2),
        groups=groups[60:],
    )
    assert result.history.equals(joined.history)


def test_folds_by_position_need_rows_that_all_have(two):
    folds = [(np.arange(80), np.arange(80, 160))]
    with (
        pytest.warns(UnmatchedRowsWarning),
        pytest.raises(DataError, match="folds lists positions of rows"),
    ):
        cv(InsecureKeyClassifier(**PLAIN), two.lender, two.y, parties=[two.party()], folds=folds)


def test_padding_in_cross_validation(two):
    party = two.party(AlignOptions(padding=30))
    model = InsecureKeyClassifier(**PLAIN, min_child_samples=5)
    with pytest.warns(UnmatchedRowsWarning):
        result = tune(
            model, two.lender, two.y, parties=[party], folds=3, n_trials=2, random_state=0
        )
    assert len(result.trials) == 2
    setups = [request for request, _ in messages(party) if type(request) is Setup]
    assert len(setups) == 6
    assert all(len(setup.rows) == 130 for setup in setups)
    # over the folds every row is held out once, and padding goes with other rows
    held_out = [set(setup.rows[setup.n_training :].tolist()) for setup in setups[:3]]
    assert sum(map(len, held_out)) == 130
    assert set.union(*held_out) == set(range(130))


# --- Padding


def test_padding_rows_go_where_other_rows_go(two):
    party = two.party(AlignOptions(padding=40))
    model = two.fit(party)
    rows = two.lender.loc[two.common]
    model.predict(rows.iloc[:50])
    model.predict(rows.iloc[50:])
    alignment = party.rows_of(two.lender.index).alignment
    padding = set(np.flatnonzero(alignment.rows == ABSENT).tolist())
    assert len(padding) == 40
    setup = next(request for request, _ in messages(party) if type(request) is Setup)
    assert setup.rows.tolist() == list(range(140))
    assert setup.n_training == 140
    asked = [rows_asked(transport) for transport in party.transports[-2:]]
    assert asked[0].isdisjoint(asked[1])
    assert asked[0] | asked[1] == set(range(140))
    assert all(len(padding & some) >= 8 for some in asked)


def rows_asked(transport):
    """All rows that were routed in a session."""
    requests = [CODEC.decode(exchange.request, "label") for exchange in transport.exchanges]
    return {row for r in requests if type(r) is Route for row in r.rows.tolist()}


def test_padding_takes_both_sides_of_own_splits(two):
    """Without values all of it would go to one side at every split of the label party's."""
    two.bureau[:] = 1.0
    party = two.party(AlignOptions(padding=40))
    two.fit(party)
    padding = party.rows_of(two.lender.index).alignment.rows == ABSENT
    apart = [
        set(request.node_of_row[padding].tolist())
        for request, _ in messages(party)
        if type(request) is HistogramsOf and len(request.nodes) > 1
    ]
    assert apart
    assert all(len(nodes) > 1 for nodes in apart)


@pytest.mark.parametrize("align", [False, True, AlignOptions(padding=10)])
def test_nobody_learns_the_order_of_the_label_partys_table(two, align):
    """It may be sorted by the label."""
    party = two.party(align)
    index = two.y[two.common].sort_values().index
    train, test = index[::2], index[1::2]
    model = InsecureKeyClassifier(**PLAIN).fit(
        two.lender.loc[train],
        two.y[train],
        parties=[party],
        eval_set=[(two.lender.loc[test], two.y[test])],
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scoring, "ROUTE_BYTES", 16)
        model.predict(two.lender.loc[index])
    asked = [request for request, _ in messages(party)]
    (setup,) = [request for request in asked if type(request) is Setup]
    chunks = [request.rows for request in asked if type(request) is Route]
    assert len(chunks) > 3
    for rows in (setup.rows[: setup.n_training], setup.rows[setup.n_training :], *chunks):
        assert (np.diff(rows) > 0).all()
    firsts = [rows[0] for rows in chunks]
    assert firsts == sorted(firsts)


def test_padding_counts_for_nothing_at_the_label_party(two):
    """Of a partner that never wins the model is the one without padding, floor and all."""
    parameters = {"min_child_samples": 20, "max_bin": 4, "n_estimators": 2}
    two.bureau[:] = 1.0
    padded = two.fit(two.party(AlignOptions(padding=60)), **parameters)
    plain = two.fit(two.party(), **parameters)
    trees = [
        joined_trees(m.label_half_, [m.parties_[0].half(m.label_half_.model_id)])
        for m in (padded, plain)
    ]
    assert [tree.tolist() for tree in trees[0]] == [tree.tolist() for tree in trees[1]]
    assert len(trees[0][0]) > 1


def test_goss_must_hide_who_is_padding(two):
    party = two.party(AlignOptions(padding=10))
    with pytest.raises(ConfigError, match="shows which rows never have large gradients"):
        two.fit(party, sampling_method="goss")
    two.fit(party, sampling_method="goss", goss_hide_rows=True)


def test_padding_of_parties_that_were_aligned_apart(two):
    padded, telco = AlignOptions(padding=10), two.bureau.set_axis(list("fgh"), axis=1)
    parties = [two.party(padded), WatchedParty("telco", telco, align=padded)]
    for party in parties:
        align_tables(two.lender, [party])
    X, y = two.lender.loc[two.common], two.y[two.common]
    with pytest.raises(DataError, match="'bureau' lists padding rows, and 'telco' was aligned ap"):
        InsecureKeyClassifier(**PLAIN).fit(X, y, parties=parties)
    align_tables(two.lender, parties)
    InsecureKeyClassifier(**PLAIN).fit(X, y, parties=parties)
    known = FeatureParty("telco", telco, insecure_test_keys=True)
    with pytest.raises(DataError, match="telco: it was not aligned, and other parties list pad"):
        InsecureKeyClassifier(**PLAIN).fit(X, y, parties=[parties[0], known])


def test_the_label_party_alone_may_know(two):
    party = two.party(AlignOptions(result="label-party"))
    model = two.fit(party)
    assert model.n_rows_trained_ == 100
    setup = next(request for request, _ in messages(party) if type(request) is Setup)
    assert len(setup.rows) == 160


# --- What cannot be


def test_parties_with_different_options(two):
    parties = [two.party(AlignOptions(padding=1)), FeatureParty("telco", two.bureau, align=True)]
    with pytest.raises(ConfigError, match="'bureau', 'telco' were made with different options"):
        InsecureKeyClassifier(**PLAIN).fit(two.lender, two.y, parties=parties)
    assert len(align_tables(two.lender, parties, options=AlignOptions()).index) == 100


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (AlignOptions(min_size=101), "100 ids are common with 'bureau', fewer than min_size=101"),
        (AlignOptions(result="size"), "only the number of common ids was asked for"),
    ],
)
def test_too_few_or_only_a_size(two, options, text):
    with pytest.raises(DataError, match=text):
        two.fit(two.party(options))


def test_bad_tables(two):
    party = two.party()
    with pytest.raises(DataError, match=r"on names 'C', which .* Did you mean 'c'\?"):
        align_tables(two.bureau, [party], on=["C"])
    twice = pd.concat([two.lender, two.lender.iloc[:1]])
    with pytest.raises(DataError, match=r"table: ids occur more than once"):
        align_tables(twice, [party])
    with pytest.raises(DataError, match="keys has 3 rows for the 160 of its table"):
        two.party(keys=pd.DataFrame({"id": list("abc")}))
    strangers = FeatureParty(
        "bureau", two.bureau.set_axis([f"x{i}" for i in range(160)]), align=True
    )
    with pytest.raises(DataError, match="No id is common with 'bureau'"):
        align_tables(two.lender, [strangers])
    assert not party.transports


def test_an_evaluation_set_that_nobody_knows(two):
    party = two.party()
    align_tables(two.lender, [party])
    alone = two.lender.iloc[:9]
    with pytest.raises(DataError, match=r"eval_set\[0\]: none of its 9 rows is common to all"):
        InsecureKeyClassifier(**PLAIN).fit(
            two.lender, two.y, parties=[party], eval_set=[(alone, two.y[alone.index])]
        )


def test_a_party_that_forgot_the_alignment(two):
    party = two.party()
    align_tables(two.lender, [party])
    party.alignments.alignments.clear()
    with pytest.raises(
        PeerRefusedError, match=r"unknown_alignment.*holds no alignment .* align ag"
    ):
        two.fit(party)


# --- Going on


def crashed(two, path, **options):
    counter = Counter(25)
    party = two.party(wrap=counter, **options)
    with pytest.raises(PartyError):
        two.fit(party, checkpoint=path)
    assert path.exists()
    counter.at = -1
    return party


@pytest.mark.parametrize("align", [True, AlignOptions(padding=20)], ids=["plain", "padded"])
def test_going_on_with_the_same_alignment(two, tmp_path, align):
    party = crashed(two, tmp_path / "run", align=align)
    resumed = two.fit(party, checkpoint=tmp_path / "run", resume=True)
    expected = two.fit(party)
    assert same(resumed, expected, two.lender.loc[two.common])


def test_going_on_with_another_alignment_of_the_same_rows(two, tmp_path):
    party = crashed(two, tmp_path / "run")
    first = party.rows_of(two.lender.index)
    party._held = ()
    resumed = two.fit(party, checkpoint=tmp_path / "run", resume=True)
    assert party.rows_of(two.lender.index).alignment.id != first.alignment.id
    assert same(resumed, two.joined(), two.lender.loc[two.common])


def test_going_on_with_other_padding_is_refused(two, tmp_path):
    party = crashed(two, tmp_path / "run", align=AlignOptions(padding=20))
    party._held = ()
    with pytest.raises(ConfigError, match=r"cannot go on with other .*alignment with party 'bur"):
        two.fit(party, checkpoint=tmp_path / "run", resume=True)


# --- Another company


def test_over_grpc(two, tmp_path):
    with Companies(tmp_path) as companies:
        bureau, served = companies.serve_aligning("bureau", two.bureau)
        assert repr(bureau) == f"RemoteParty('bureau', at {bureau.address})"
        with pytest.warns(UnmatchedRowsWarning, match="^60 of 160 rows of X are left out"):
            model = InsecureKeyClassifier(**ROUNDS).fit(two.lender, two.y, parties=[bureau])
        table, owner = pool_tables(two.lender.loc[two.common], {"bureau": two.bureau})
        twin = SecureBoostClassifier(**ROUNDS)
        twin.fit(table, two.y[two.common], column_owner=owner)
        rows = two.lender.loc[two.common]
        assert np.array_equal(model.decision_function(rows), twin.decision_function(table))
        new = two.lender.iloc[40:70].set_axis(
            [*two.bureau.index[:10], *(f"new-{i}" for i in range(20))]
        )
        with pytest.raises(DataError, match=r"bureau: 20 rows .* of the 30 asked for"):
            model.predict(new)
        scores = model.decision_function(new, unmatched="missing")
        filled = pd.concat([new, two.bureau.reindex(new.index)], axis=1)
        assert np.array_equal(scores, twin.decision_function(filled))
        assert len(served.alignments.alignments) == 2
