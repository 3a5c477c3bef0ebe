"""Random combinations of everything that a model can be told, for a federation and its twin."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st
from support.federation import INSECURE_BITS
from support.keys import insecure_key

from crypto.scheme import PrivateKey
from secureboost import (
    FeatureParty,
    SecureBoostClassifier,
    SecureBoostRegressor,
    joined_trees,
    pool_tables,
)
from secureboost.estimator import SecureBoostModel

LETTERS = np.array(["a", "b", "c", "d", "e", "f", "g"])


class _InsecureKey(SecureBoostModel):
    def _generate_key(self) -> PrivateKey:
        return insecure_key(self.scheme, INSECURE_BITS)


class InsecureClassifier(_InsecureKey, SecureBoostClassifier):
    """For tests alone."""


class InsecureRegressor(_InsecureKey, SecureBoostRegressor):
    """For tests alone."""


@dataclass
class Case:
    """Tables of a label party and its partners, what is learnt, and how.

    Attributes
    ----------
    own : DataFrame
        The label party's columns over training and evaluation rows.
    partners : dict of str to DataFrame
        More rows, in another order.
    y, weight : Series
        Over the rows of `own`.
    n_training : int
    parameters : dict
        Of the estimator, names of columns as the federation has them.
    declared : dict
        By partner the signs that it declares.
    """

    own: pd.DataFrame
    partners: dict[str, pd.DataFrame]
    y: pd.Series
    weight: pd.Series
    n_training: int
    parameters: dict[str, Any]
    declared: dict[str, dict[str, int]]
    regression: bool

    def parties(self) -> list[FeatureParty]:
        return [
            FeatureParty(name, table, monotone=self.declared.get(name), insecure_test_keys=True)
            for name, table in self.partners.items()
        ]

    def _fit(self, model: SecureBoostModel, own: pd.DataFrame, **options: Any) -> SecureBoostModel:
        n = self.n_training
        return model.fit(
            own.iloc[:n],
            self.y.iloc[:n],
            sample_weight=self.weight.iloc[:n],
            eval_set=[
                (own.iloc[n // 2 :], self.y.iloc[n // 2 :]),
                (own.iloc[n:], self.y.iloc[n:]),
            ],
            sample_weight_eval_set=[self.weight.iloc[n // 2 :], self.weight.iloc[n:]],
            **options,
        )

    def federated(self, parties: list[FeatureParty], **options: Any) -> SecureBoostModel:
        kind = InsecureRegressor if self.regression else InsecureClassifier
        return self._fit(kind(**self.parameters), self.own, parties=parties, **options)

    def pooled(self, **options: Any) -> SecureBoostModel:
        pooled, owner = pool_tables(self.own, self.partners)
        kind = SecureBoostRegressor if self.regression else SecureBoostClassifier
        return self._fit(
            kind(**self.pooled_parameters(owner)), pooled, column_owner=owner, **options
        )

    def pooled_parameters(self, owner: dict[str, list[str]]) -> dict[str, Any]:
        """Parameters with the names of columns as the pooled table has them."""
        parameters = dict(self.parameters)
        names = {
            f"{party}/{i}": column
            for party, columns in owner.items()
            for i, column in enumerate(columns)
        }
        for name in ("monotone_constraints", "interaction_constraints"):
            spec = parameters.get(name)
            if isinstance(spec, dict):
                parameters[name] = {names.get(c, c): sign for c, sign in spec.items()}
            elif spec:
                parameters[name] = [[names.get(c, c) for c in group] for group in spec]
        return parameters

    def assert_twins(
        self, model: SecureBoostModel, parties: list[FeatureParty], twin: SecureBoostModel
    ) -> None:
        """Everything that both give is equal with ``==``."""
        half, other = model.label_half_, twin.label_half_
        assert half.base_score == other.base_score
        assert half.best_iteration == other.best_iteration
        assert model.evals_result_ == twin.evals_result_
        joined = joined_trees(half, [party.half(half.model_id) for party in parties])
        expected = joined_trees(other, column_owner=twin.column_owner_)
        assert len(joined) == len(expected)
        for tree, theirs in zip(joined, expected, strict=True):
            assert tree.dtype == theirs.dtype
            assert_same_records(tree, theirs)
        everybody, _ = pool_tables(self.own, self.partners)
        scores = model.raw_scores(self.own)
        assert np.array_equal(scores, twin.raw_scores(everybody))
        assert np.array_equal(model.predict(self.own), twin.predict(everybody))


def assert_same_records(one: np.ndarray, two: np.ndarray) -> None:
    for name in one.dtype.names or ():
        assert one[name].tolist() == two[name].tolist(), name


@st.composite
def cases(draw: st.DrawFn, max_rows: int = 90) -> Case:
    """Strategy: one to three partners, every kind of target, column, sampling and constraint."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_training, n_eval = draw(st.integers(40, max_rows)), draw(st.integers(12, 30))
    n = n_training + n_eval
    ids = [f"K{number:04d}" for number in rng.permutation(2 * n)]
    own = _table(draw, rng, ids[:n], "own", 0)
    everybody = [*ids[:n], *ids[n : n + 10]]
    partners = {
        f"party{i}": _table(draw, rng, list(rng.permutation(everybody)), f"p{i}_", 1)
        for i in range(draw(st.integers(1, 3)))
    }
    signal = _signal(rng, [own, *(table.loc[own.index] for table in partners.values())])
    target = draw(
        st.sampled_from(
            [
                "binary:logistic",
                "multi:softprob",
                "multi_output_tree",
                "reg:squarederror",
                "reg:pseudohubererror",
                "count:poisson",
                "reg:gamma",
                "reg:tweedie",
            ]
        )
    )
    parameters: dict[str, Any] = {
        "n_estimators": 3,
        "max_depth": draw(st.integers(1, 4)),
        "max_bin": draw(st.sampled_from([3, 16, 255])),
        "min_child_weight": draw(st.sampled_from([0.0, 1.0])),
        "min_child_samples": draw(st.sampled_from([1, 4])),
        "grow_policy": draw(st.sampled_from(["depthwise", "lossguide"])),
        "colsample_bytree": draw(st.sampled_from([0.6, 1.0])),
        "colsample_bylevel": draw(st.sampled_from([0.6, 1.0])),
        "colsample_bynode": draw(st.sampled_from([0.6, 1.0])),
        "min_data_per_group": draw(st.sampled_from([1, 5])),
        "max_cat_to_onehot": draw(st.sampled_from([1, 4])),
        "max_cat_threshold": draw(st.sampled_from([1, 32])),
        "cat_smooth": draw(st.sampled_from([0.0, 10.0])),
        "label_party_trees": draw(st.sampled_from([0, 0, 1])),
        "early_stopping_rounds": draw(st.sampled_from([None, 1])),
        "random_state": draw(st.integers(0, 99)),
        "n_jobs": draw(st.sampled_from([1, 2])),
        "key_bits": 2048,
    }
    sampling = draw(st.sampled_from(["none", "subsample", "goss", "hidden"]))
    if sampling == "subsample":
        parameters["subsample"] = 0.7
    elif sampling != "none":
        parameters |= {"sampling_method": "goss", "goss_hide_rows": sampling == "hidden"}
    y, regression = _target(target, signal, rng)
    if target == "multi_output_tree":
        parameters["multi_strategy"] = target
    else:
        parameters["objective"] = target
    if not regression:
        parameters["max_shared_purity"] = draw(st.sampled_from([0.7, 1.0]))
    declared: dict[str, dict[str, int]] = {}
    if target != "multi_output_tree" and draw(st.booleans()):
        monotone = {}
        for party, table, prefix in [("", own, "")] + [
            (name, table, f"{name}/") for name, table in partners.items()
        ]:
            for i, column in enumerate(table.columns):
                if table[column].dtype == np.float64 and draw(st.booleans()):
                    sign = draw(st.sampled_from([1, -1]))
                    monotone[f"{prefix}{i}" if party else column] = sign
                    if party:
                        declared.setdefault(party, {})[column] = sign
        parameters["monotone_constraints"] = monotone
    if draw(st.booleans()):
        first = own.columns[0]
        parameters["interaction_constraints"] = draw(
            st.sampled_from([[["party0"], [first, "party0/0"]], [["label-party"], ["party0"]]])
        )
    weight = rng.uniform(0.5, 2.0, n) if draw(st.booleans()) else np.ones(n)
    return Case(
        own,
        partners,
        pd.Series(y, index=own.index),
        pd.Series(weight, index=own.index),
        n_training,
        parameters,
        declared,
        regression,
    )


def _table(
    draw: st.DrawFn, rng: np.random.Generator, ids: list[str], prefix: str, least: int
) -> pd.DataFrame:
    columns = {}
    kinds = draw(st.lists(st.sampled_from(["number", "few", "text"]), min_size=1, max_size=4))
    for i, kind in enumerate(kinds):
        if kind == "number":
            values = rng.normal(size=len(ids))
        elif kind == "few":
            values = rng.integers(0, 4, len(ids)).astype(np.float64)
        else:
            values = rng.choice(LETTERS[: draw(st.integers(2, 7))], len(ids)).astype(object)
        if draw(st.booleans()):
            values[rng.random(len(ids)) < 0.15] = np.nan if kind != "text" else None
        columns[f"{prefix}{i}"] = values
    return pd.DataFrame(columns, index=ids)


def _signal(rng: np.random.Generator, tables: list[pd.DataFrame]) -> np.ndarray:
    total = rng.normal(scale=0.3, size=len(tables[0]))
    for table in tables:
        for column in table.columns:
            values = table[column]
            if values.dtype == np.float64:
                total += rng.normal() * values.fillna(0.5).to_numpy()
            else:
                effect = dict(zip(LETTERS, rng.normal(size=len(LETTERS)), strict=True))
                total += values.map(effect).fillna(0.0).to_numpy()
    return (total - total.mean()) / (total.std() or 1.0)


def _target(kind: str, signal: np.ndarray, rng: np.random.Generator) -> tuple[Any, bool]:
    if kind == "binary:logistic":
        y = np.where(signal > 0.3, "bad", "good")
        y[:2], y[-2:] = ["bad", "good"], ["bad", "good"]
        return y, False
    if kind in ("multi:softprob", "multi_output_tree"):
        y = np.digitize(signal, [-0.5, 0.5])
        y[:3] = y[-3:] = [0, 1, 2]
        return y, False
    if kind == "count:poisson":
        return rng.poisson(np.exp(0.4 * signal)).astype(np.float64), True
    if kind == "reg:gamma":
        return np.exp(signal) + 0.1, True
    if kind == "reg:tweedie":
        return np.where(signal > 0, np.exp(signal), 0.0), True
    return 1000.0 * signal + 50.0, True
