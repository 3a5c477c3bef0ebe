"""Tables of several companies that overlap partly, in different orders, and their pooled twins."""

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st
from support.options import Case, InsecureClassifier, InsecureRegressor, cases

from secureboost import FeatureParty, SecureBoostClassifier, SecureBoostRegressor, pool_tables
from secureboost.align.options import AlignOptions
from secureboost.aligned_rows import AlignedRows
from secureboost.alignment import ABSENT
from secureboost.errors import UnmatchedRowsWarning
from secureboost.estimator import SecureBoostModel
from secureboost.padding import Places, draw, place_rows


@dataclass
class Overlap:
    """A case whose parties lack some of the label party's rows.

    Attributes
    ----------
    case : Case
        Of the rows that all have, in the label party's order: what joining the tables leaves.
    own : DataFrame
        The label party's, with rows that others lack.
    partners : dict of str to DataFrame
        Each lacks other rows, and has some that nobody else has.
    y, weight : Series
        Over the rows of `own`.
    train, held_out : list of str
        Ids, in the label party's order.
    """

    case: Case
    own: pd.DataFrame
    partners: dict[str, pd.DataFrame]
    y: pd.Series
    weight: pd.Series
    train: list[str]
    held_out: list[str]

    def parties(self, align: bool | AlignOptions = True) -> list[FeatureParty]:
        return [
            FeatureParty(
                name,
                table,
                monotone=self.case.declared.get(name),
                align=align,
                insecure_test_keys=True,
            )
            for name, table in self.partners.items()
        ]

    def federated(self, parties: list[Any], **options: Any) -> SecureBoostModel:
        """On the tables as they are."""
        kind = InsecureRegressor if self.case.regression else InsecureClassifier
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UnmatchedRowsWarning)
            return self._fit(
                kind(**self.case.parameters), self.own, self.train, parties=parties, **options
            )

    def pooled(self, **options: Any) -> SecureBoostModel:
        """On the joined tables."""
        table, owner = pool_tables(self.case.own, self.case.partners)
        train = [row for row in self.train if row in table.index]
        return self._fit(self._twin(owner), table, train, column_owner=owner, **options)

    def _fit(
        self,
        model: SecureBoostModel,
        table: pd.DataFrame,
        train: list[str],
        y: pd.Series | None = None,
        weight: pd.Series | None = None,
        **options: Any,
    ) -> SecureBoostModel:
        """Train, and watch the second half of the training rows and those held out."""
        y, weight = self.y if y is None else y, self.weight if weight is None else weight
        known = set(table.index)
        half = self.train[len(self.train) // 2 :]
        sets = [
            [row for row in ids if row in known] for ids in (half + self.held_out, self.held_out)
        ]
        return model.fit(
            table.loc[train],
            y[train],
            sample_weight=weight[train],
            eval_set=[(table.loc[ids], y[ids]) for ids in sets],
            sample_weight_eval_set=[weight[ids] for ids in sets],
            **options,
        )

    def _twin(self, owner: dict[str, list[str]]) -> SecureBoostModel:
        """An estimator for pooled columns: constraints name columns as the pooled table does."""
        kind = SecureBoostRegressor if self.case.regression else SecureBoostClassifier
        return kind(**self.case.pooled_parameters(owner))

    def padded(self, parties: list[FeatureParty], **options: Any) -> SecureBoostModel:
        """On the joined tables and padding rows at weight 0, in the order of the federated run."""
        agreements = {party.name: party.rows_of(self.own.index) for party in parties}
        common = self.case.own.index
        train = [row for row in self.train if row in common]
        index = pd.Index(train + [row for row in self.held_out if row in common])
        places = place_rows(agreements, index, len(train))
        assert places is not None
        names = places_by_name(places, index)
        table = pd.concat(
            [
                padded_columns(self.own.loc[index], places, len(train)).set_axis(names),
                *(
                    rows_at(party, agreements[party.name], table, places).set_axis(names)
                    for party, table in zip(parties, self.partners.values(), strict=True)
                ),
            ],
            axis="columns",
        )
        y, weight = self.y.reindex(names), self.weight.reindex(names)
        y[places.padding] = self.y[train[0]]
        weight[places.padding] = 0.0
        owner = {name: list(table) for name, table in self.partners.items()}
        return self._fit(
            self._twin(owner),
            table,
            names[: places.n_training],
            y.astype(self.y.dtype),
            weight,
            column_owner=owner,
            **options,
        )


def places_by_name(places: Places, index: pd.Index) -> list[str]:
    """Ids of rows in their places; padding rows have made-up ones."""
    return [
        f"padding {place}" if row == ABSENT else str(index[row])
        for place, row in enumerate(places.source)
    ]


def padded_columns(own: pd.DataFrame, places: Places, n_training: int) -> pd.DataFrame:
    """Own columns with padding, whose values are drawn from the others of their column."""
    padded = own.iloc[places.source].copy()
    n_padding = int(places.padding.sum())
    for number, name in enumerate(own.columns):
        values = own[name].iloc[draw(places.secret, f"column {number}", n_padding, len(own))]
        if own[name].dtype == object:  # a text that no training row has is a missing value
            values = values.where(values.isin(own[name].iloc[:n_training]), None)
        column = padded[name].to_numpy(copy=True)
        column[places.padding] = values
        padded[name] = column
    return padded


def rows_at(
    party: FeatureParty, agreed: AlignedRows, table: pd.DataFrame, places: Places
) -> pd.DataFrame:
    """What a party has in these places."""
    rows = party.alignments.alignments[agreed.alignment.id].rows[places.agreed]
    taken = table.iloc[np.maximum(rows, 0)].copy()
    taken[rows == ABSENT] = np.nan
    return taken


@st.composite
def overlaps(draw_: st.DrawFn, max_rows: int = 90, *, padding: bool = False) -> Overlap:
    """Strategy: one to three partners that each lack some rows, and whatever a model is told."""
    case = draw_(cases(max_rows))
    rng = np.random.default_rng(draw_(st.integers(0, 2**32 - 1)))
    case.parameters["scheme"] = "plain"
    if padding and case.parameters.get("sampling_method") == "goss":
        case.parameters["goss_hide_rows"] = True
    own = case.own
    # the first and the last rows have all classes
    middle = own.index[4:-4]
    partners = {
        name: table.drop(rng.choice(middle, int(draw_(st.sampled_from([0, 1, 9]))), replace=False))
        for name, table in case.partners.items()
    }
    common = own.index
    for table in partners.values():
        common = common[common.isin(table.index)]
    joined = replace(
        case, own=own.loc[common], partners={name: t.loc[common] for name, t in partners.items()}
    )
    return Overlap(
        joined,
        own,
        partners,
        case.y,
        case.weight,
        list(own.index[: case.n_training]),
        list(own.index[case.n_training :]),
    )
