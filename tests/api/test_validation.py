"""Cross-validation and tuning: federated is pooled, over one session and one key."""

import re
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import loguniform
from sklearn.model_selection import KFold, PredefinedSplit, TimeSeriesSplit
from support.federation import Federation, InsecureKeyClassifier, WatchedParty
from support.options import InsecureRegressor
from support.tables import KINDS, random_table

from secureboost import (
    FeatureParty,
    Policy,
    SecureBoostClassifier,
    SecureBoostRegressor,
    cv,
    pool_tables,
    tune,
)
from secureboost.errors import DataError
from secureboost.trainers import GBDT_TRAINER

PARAMETERS = {"n_estimators": 4, "max_bin": 8, "max_depth": 2, "random_state": 3}
FEDERATION = Federation(random_table(5, 120, ("continuous", *KINDS)), (2, 2, 2))
X, Y, WEIGHT = FEDERATION.X, FEDERATION.y, FEDERATION.weight
POOLED, OWNER = pool_tables(X, FEDERATION.tables)


def by_round(result):
    return result.history.to_dict("list")


def assert_same(one, other):
    """With ``==``: histories of all folds, their summary, the best round."""
    assert one.folds == other.folds
    assert by_round(one) == by_round(other)
    assert (one.best_iteration, one.best_score) == (other.best_iteration, other.best_score)
    assert (one.metric, one.maximise) == (other.metric, other.maximise)


# --- cv


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"eval_metric": ["logloss", "auc"], "early_stopping_rounds": 1},
        {"subsample": 0.7, "colsample_bynode": 0.5, "min_child_samples": 3},
    ],
    ids=str,
)
def test_federated_is_pooled(parameters):
    options = {"folds": 3, "sample_weight": WEIGHT + np.arange(120) / 100}
    federated = cv(
        InsecureKeyClassifier(**PARAMETERS, **parameters),
        X,
        Y,
        parties=FEDERATION.parties(),
        **options,
    )
    pooled = cv(SecureBoostClassifier(**PARAMETERS, **parameters), POOLED, Y, **options)
    assert_same(federated, pooled)


@settings(max_examples=8)
@given(seed=st.integers(0, 1000), folds=st.integers(2, 4), regression=st.booleans())
def test_federated_is_pooled_for_random_tables(seed, folds, regression):
    federation = Federation(random_table(seed, 60, ("few", *KINDS)), (1, 3, 2), seed)
    pooled, _ = pool_tables(federation.X, federation.tables)
    y = federation.y
    kinds = InsecureKeyClassifier, SecureBoostClassifier
    if regression:
        y = np.random.default_rng(seed).normal(size=60)
        kinds = InsecureRegressor, SecureBoostRegressor
    splits = KFold(folds, shuffle=True, random_state=seed)
    parameters = PARAMETERS | {"n_estimators": 2}
    assert_same(
        cv(kinds[0](**parameters), federation.X, y, parties=federation.parties(), folds=splits),
        cv(kinds[1](**parameters), pooled, y, folds=splits),
    )


def test_one_session_one_key_and_nothing_is_kept():
    parties = FEDERATION.watched()
    keys = []

    class CountingKeys(InsecureKeyClassifier):
        def _generate_key(self):
            keys.append(super()._generate_key())
            return keys[-1]

    cv(CountingKeys(**PARAMETERS), X, Y, parties=parties, folds=3)
    assert len(keys) == 1
    for party in parties:
        requests = Counter(type(request).__name__ for request, _ in party.messages(GBDT_TRAINER))
        assert requests["Hello"] == requests["MatchRows"] == len(party.transports) == 1
        assert requests["Setup"] == requests["Finish"] == 3
        assert requests["Route"] == requests["RouteRows"] == 0  # nobody is asked for predictions
        setups = [m for m, _ in party.messages(GBDT_TRAINER) if type(m).__name__ == "Setup"]
        assert len({setup.public_key for setup in setups}) == 1
        assert len({setup.model_id for setup in setups}) == 3
        assert [(setup.n_training, len(setup.rows)) for setup in setups] == [(80, 120)] * 3
        finishes = [m for m, _ in party.messages(GBDT_TRAINER) if type(m).__name__ == "Finish"]
        assert not any(finish.keep for finish in finishes)
        assert party.store.halves == {}
        assert party.released


def test_test_rows_do_not_move_bins():
    """Each fold is the model that `fit` gives on its training rows, scored on the others."""
    splits = list(KFold(3, shuffle=True, random_state=1).split(POOLED))
    result = cv(SecureBoostClassifier(**PARAMETERS), POOLED, Y, folds=splits)
    for history, (train, test) in zip(result.folds, splits, strict=True):
        alone = SecureBoostClassifier(**PARAMETERS).fit(
            POOLED.iloc[train],
            Y.iloc[train],
            eval_set=[(POOLED.iloc[part], Y.iloc[part]) for part in (train, test)],
        )
        assert list(history.values()) == list(alone.evals_result_.values())
        p = alone.predict_proba(POOLED.iloc[test])[:, 1]
        loss = -np.log(np.where(Y.iloc[test] == "good", p, 1 - p)).mean()
        assert history["test"]["logloss"][-1] == pytest.approx(loss)


def test_the_summary():
    result = cv(
        SecureBoostClassifier(**PARAMETERS, eval_metric=["logloss", "auc"]), POOLED, Y, folds=3
    )
    assert list(result.history) == [
        f"{part}-{metric}-{number}"
        for part in ("train", "test")
        for metric in ("logloss", "auc")
        for number in ("mean", "std")
    ]
    assert len(result.history) == 4
    aucs = np.array([fold["test"]["auc"] for fold in result.folds])
    assert by_round(result)["test-auc-mean"] == aucs.mean(axis=0).tolist()
    assert by_round(result)["test-auc-std"] == aucs.std(axis=0).tolist()
    assert (result.metric, result.maximise) == ("auc", True)
    assert result.best_iteration == int(aucs.mean(axis=0).argmax())
    assert result.best_score == aucs.mean(axis=0).max()
    assert result.deviation == aucs.std(axis=0)[result.best_iteration]
    assert repr(result) == (
        f"CVResult(3 folds: test auc {result.best_score:.5g} in round {result.best_iteration})"
    )


def test_every_round_of_every_fold_is_told():
    seen = []

    def on_round(now):
        values = [len(by_metric["logloss"]) for by_metric in now.history.values()]
        assert list(now.history) == ["train", "test"]
        seen.append((now.trial, now.fold, now.n_folds, now.rounds, now.n_rounds, *values))

    model = SecureBoostClassifier(**PARAMETERS | {"n_estimators": 2})
    cv(model, POOLED, Y, folds=2, on_round=on_round)
    assert seen == [(1, fold, 2, done, 2, done, done) for fold in (1, 2) for done in (1, 2)]
    seen.clear()
    space = {"n_estimators": [1, 3]}
    result = tune(model, POOLED, Y, space=space, n_trials=2, folds=2, on_round=on_round)
    n_rounds = dict(result.trials["n_estimators"].sort_index())
    assert seen == [
        (trial, fold, 2, done, most, done, done)
        for trial, most in n_rounds.items()
        for fold in (1, 2)
        for done in range(1, most + 1)
    ]


def test_a_key_that_is_given_is_used():
    keys = []

    def make_key():
        keys.append(InsecureKeyClassifier()._generate_key())
        return keys[-1]

    parties = FEDERATION.watched()
    cv(SecureBoostClassifier(**PARAMETERS), X, Y, parties=parties, folds=2, make_key=make_key)
    assert len(keys) == 1
    setups = [m for m, _ in parties[0].messages(GBDT_TRAINER) if type(m).__name__ == "Setup"]
    assert {setup.public_key for setup in setups} == {keys[0].public_key.to_bytes()}


def test_folds_that_stop_in_different_rounds_are_summed_up_to_the_first():
    model = SecureBoostClassifier(
        **PARAMETERS | {"n_estimators": 40, "learning_rate": 1.0}, early_stopping_rounds=1
    )
    result = cv(model, POOLED, Y, folds=4)
    lengths = [len(fold["test"]["logloss"]) for fold in result.folds]
    assert len(set(lengths)) > 1
    assert max(lengths) < 40
    assert len(result.history) == min(lengths)


@pytest.mark.parametrize(
    "folds",
    [
        TimeSeriesSplit(3),
        PredefinedSplit(np.arange(120) % 3),
        [(np.arange(80), np.arange(80, 120))],
        3,
    ],
    ids=lambda folds: type(folds).__name__,
)
def test_splitters(folds):
    result = cv(SecureBoostClassifier(**PARAMETERS), POOLED, Y, folds=folds)
    assert len(result.folds) == (1 if isinstance(folds, list) else 3)


def test_arrays_and_several_classes():
    y = np.arange(120) % 3
    one = cv(SecureBoostClassifier(**PARAMETERS), POOLED, y, folds=2)
    two = cv(SecureBoostClassifier(**PARAMETERS), POOLED.to_numpy(), y, folds=2)
    assert_same(one, two)
    assert one.metric == "mlogloss"


def test_the_model_stays_as_it_was():
    model = SecureBoostClassifier(**PARAMETERS)
    cv(model, POOLED, Y, folds=2)
    assert not hasattr(model, "label_half_")
    assert model.get_params() == SecureBoostClassifier(**PARAMETERS).get_params()


def test_a_partys_budget_counts_every_fold():
    """One session with many trainings is no way around what a party has set."""
    spent = {}
    for folds in (2, 4):
        party = WatchedParty("party1", FEDERATION.tables["party1"])
        cv(InsecureKeyClassifier(**PARAMETERS), X, Y, parties=[party], folds=folds)
        spent[folds] = party.budget.spent.node_histograms
    assert spent[4] > 1.5 * spent[2] > 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"folds": 1}, "k-fold cross-validation requires at least one train/test split"),
        ({"folds": 61}, "n_splits=61 cannot be greater than the number of members in each class"),
        ({"y": Y[:50]}, "inconsistent numbers of samples: [120, 50]"),
        ({"sample_weight": [-1.0] * 120}, "Negative values in data passed to `sample_weight`"),
        ({"parties": [FeatureParty("party1", X.iloc[:80])]}, "lacks 40 of the 120 rows asked for"),
        (
            {"folds": [(np.flatnonzero(Y == "good"), np.flatnonzero(Y == "bad"))]},
            "y has one class; a classifier needs two classes among the training rows",
        ),
        (
            {"folds": [(np.r_[0:60], np.flatnonzero(Y == "bad")[-9:])], "eval_metric": "auc"},
            "eval_metric='auc' needs rows of every class; 1 of the 2 classes have none",
        ),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_bad_input_of_cv(arguments, text):
    arguments = dict(arguments)
    parameters = PARAMETERS | {k: arguments.pop(k) for k in ("eval_metric",) if k in arguments}
    y = arguments.pop("y", Y)
    with pytest.raises(ValueError, match=re.escape(text)):
        cv(InsecureKeyClassifier(**parameters), X, y, **arguments)


def test_an_array_has_no_ids():
    with pytest.raises(DataError, match="X is a ndarray without row ids, so its rows cannot be"):
        cv(InsecureKeyClassifier(), X.to_numpy(), Y, parties=FEDERATION.parties())


def test_a_party_that_refuses_ends_it():
    strict = FeatureParty(
        "party1",
        FEDERATION.tables["party1"],
        policy=Policy(min_child_samples=50),
        insecure_test_keys=True,
    )
    with pytest.raises(Exception, match="min_child_samples"):
        cv(InsecureKeyClassifier(**PARAMETERS), X, Y, parties=[strict])


# --- tune

SPACE = {"max_depth": [1, 2, 3], "learning_rate": loguniform(0.05, 1.0)}


def table_of(result):
    return result.trials.drop(columns="seconds").to_dict("list")


def test_tuning_is_the_same_federated_and_pooled():
    options = {"space": SPACE, "n_trials": 4, "folds": 2, "random_state": 7}
    parties = FEDERATION.watched()
    federated = tune(InsecureKeyClassifier(**PARAMETERS), X, Y, parties=parties, **options)
    pooled = tune(SecureBoostClassifier(**PARAMETERS), POOLED, Y, **options)
    assert table_of(federated) == table_of(pooled)
    assert federated.best_params == pooled.best_params
    assert_same(federated.best_result, pooled.best_result)
    for party in parties:
        requests = Counter(type(request).__name__ for request, _ in party.messages(GBDT_TRAINER))
        assert requests["Hello"] == 1
        assert requests["Setup"] == requests["Finish"] == 8
        assert party.store.halves == {}


def test_trials_are_draws_from_the_space_best_first():
    seen = []
    result = tune(
        SecureBoostClassifier(**PARAMETERS, eval_metric="auc"),
        POOLED,
        Y,
        space=SPACE,
        n_trials=5,
        folds=2,
        random_state=0,
        on_trial=seen.append,
    )
    assert [trial.number for trial in seen] == [1, 2, 3, 4, 5]
    numbers = ["score", "deviation", "round", "seconds"]
    assert list(result.trials.columns) == [*SPACE, *numbers]
    best_first = sorted(seen, key=lambda trial: -trial.result.best_score)
    assert list(result.trials.index) == [trial.number for trial in best_first]
    assert result.trials["score"].tolist() == [t.result.best_score for t in best_first]
    assert result.trials["deviation"].tolist() == [t.result.deviation for t in best_first]
    assert set(result.trials["max_depth"]) <= {1, 2, 3}
    assert result.trials["learning_rate"].between(0.05, 1.0).all()
    assert result.best_params == result.trials[list(SPACE)].iloc[0].to_dict()
    best = cv(
        SecureBoostClassifier(**PARAMETERS | result.best_params, eval_metric="auc"),
        POOLED,
        Y,
        folds=2,
    )
    assert_same(best, result.best_result)
    assert repr(result) == f"TuneResult(5 trials, best {best!r})"


def test_the_same_seed_gives_the_same_trials():
    def trials(seed):
        return tune(
            SecureBoostClassifier(**PARAMETERS), POOLED, Y, n_trials=3, folds=2, random_state=seed
        )

    assert table_of(trials(1)) == table_of(trials(1))
    assert table_of(trials(1)) != table_of(trials(2))


def test_a_space_that_is_used_up_ends_it():
    result = tune(
        SecureBoostClassifier(**PARAMETERS),
        POOLED,
        Y,
        space={"max_depth": [1, 2], "reg_lambda": [1.0, 5.0]},
        seconds=600,
        folds=2,
    )
    assert len(result.trials) == 4
    assert len(result.trials[["max_depth", "reg_lambda"]].drop_duplicates()) == 4


class Clock:
    """Each look at it takes so many seconds."""

    def __init__(self, step):
        self.now, self.step = 0.0, step

    def monotonic(self):
        self.now += self.step
        return self.now


def test_time_is_kept(monkeypatch):
    """No trial begins that would probably end too late; the first one always is made.

    The clock is looked at twice a trial, so each takes two seconds.
    """
    for seconds, expected in ((0.5, 1), (10.0, 5), (20.0, 10)):
        clock = Clock(1.0)
        monkeypatch.setattr("secureboost.validation.time", clock)
        result = tune(
            SecureBoostClassifier(**PARAMETERS | {"n_estimators": 1}),
            POOLED,
            Y,
            space=SPACE,
            seconds=seconds,
            folds=2,
            random_state=0,
        )
        assert len(result.trials) == expected


def test_the_default_space_holds_parameters():
    from secureboost.validation import DEFAULT_SPACE, default_space

    for name, values in DEFAULT_SPACE.items():
        for value in values:
            SecureBoostClassifier(**PARAMETERS | {name: value}).fit(POOLED, Y)
    goss = SecureBoostClassifier(sampling_method="goss")
    assert set(DEFAULT_SPACE) - set(default_space(goss)) == {"subsample"}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({}, "tune needs a limit: seconds or n_trials"),
        ({"n_trials": 0}, "n_trials=0 must be above 0"),
        ({"n_trials": 2.5}, "n_trials=2.5 is not an integer"),
        ({"seconds": 0}, "seconds=0 must be above 0"),
        ({"seconds": float("nan")}, "seconds=nan must be above 0"),
        (
            {"n_trials": 1, "space": {"max_dept": [1]}},
            "space names 'max_dept', which is no parameter of SecureBoostClassifier. "
            "Did you mean 'max_depth'?",
        ),
        ({"n_trials": 1, "space": {"max_depth": [-3]}}, "max_depth=-3 must be at least 0"),
        (
            {"n_trials": 1, "space": {"eval_metric": ["auc", "logloss"]}},
            "space names 'eval_metric', which says what is measured or how, not how to learn",
        ),
        (
            {"n_trials": 1, "space": {"sampling_method": ["goss"], "subsample": [0.5]}},
            "space gave values that cannot be used: subsample=0.5: sampling_method='goss' draws",
        ),
        ({"n_trials": 1, "folds": 1}, "k-fold cross-validation requires at least one"),
    ],
    ids=str,
)
def test_bad_input_of_tune(arguments, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        tune(SecureBoostClassifier(**PARAMETERS), POOLED, Y, **arguments)


def test_a_space_of_single_values():
    with pytest.raises(TypeError, match="max_depth"):
        tune(SecureBoostClassifier(), POOLED, Y, space={"max_depth": 3}, n_trials=1)


def test_a_frame_of_trials_can_be_sorted_and_read(tmp_path):
    result = tune(SecureBoostClassifier(**PARAMETERS), POOLED, Y, n_trials=2, folds=2)
    result.trials.to_csv(tmp_path / "trials.csv", index=False)
    assert len(pd.read_csv(tmp_path / "trials.csv")) == 2
