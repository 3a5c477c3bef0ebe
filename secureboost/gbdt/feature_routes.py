"""A feature party's answer to `protocol.Route`: on which side of each of its splits rows lie."""

import logging

import numpy as np
from numpy.typing import NDArray

from parties.messages import Refusal
from secureboost.agreed_rows import AgreedRows
from secureboost.alignment import ABSENT
from secureboost.compiling import kernel
from secureboost.dictionary import Categories, map_codes
from secureboost.errors import DataError, ModelError
from secureboost.gbdt.codes import left_bins
from secureboost.gbdt.feature_table import FeatureTable
from secureboost.gbdt.feature_tree import route_bits
from secureboost.gbdt.model import PartnerSplit, PartyHalf
from secureboost.gbdt.protocol import Code, Route, Routes

log = logging.getLogger(__name__)

_MISSING = 255  # codes of a model are below this


def answer_route(request: Route, table: FeatureTable, agreed: AgreedRows) -> Routes:
    """Send rows past every split of a model.

    Parameters
    ----------
    request : Route
    table : FeatureTable
    agreed : AgreedRows
        What `Route.rows` count in.

    Raises
    ------
    Refusal
        If there is no half of that model, it is of other columns, the rows do not exist or the
        budget is spent.
    """
    half, lookups = _load(request.model_id, table)
    rows = agreed.at(request.rows)
    if not table.budget.spend_routes(len(rows)):
        raise Refusal(
            Code.BUDGET,
            f"this data set's budget of {table.policy.max_routed_rows} scored rows is spent",
        )
    log.info("%d rows scored with model %s", len(rows), half.model_id)
    return Routes(goes_left=sides_of_rows(half.splits, table.columns, rows, lookups))


def sides_of_rows(
    splits: tuple[PartnerSplit, ...],
    columns: NDArray[np.float32],
    rows: NDArray[np.int32],
    lookups: list[NDArray[np.int32] | None],
) -> NDArray[np.uint8]:
    """One bit per split and row, lowest bit first.

    Parameters
    ----------
    splits : tuple of PartnerSplit
    columns : array of shape (n_features, n_all_rows), float32
    rows : array of shape (n,), int32
        `alignment.ABSENT` for a row of missing values.
    lookups : list of (array, int32, or None)
        For columns of categories the model's code of each of the table's codes, -1 where it has
        none (`dictionary.map_codes`).

    Returns
    -------
    array of shape (n_splits, ceil(n / 8)), uint8
    """
    bits = np.zeros((len(splits), -(-len(rows) // 8)), np.uint8)
    by_codes = np.array([split.codes is not None for split in splits], np.bool_)
    features = np.array([split.feature for split in splits], np.int32)
    thresholds = [np.inf if split.threshold is None else split.threshold for split in splits]
    missing_left = np.array([split.missing_left for split in splits], np.bool_)
    route_bits(
        columns,
        rows,
        np.where(by_codes, np.int32(-1), features),
        np.array(thresholds, np.float32),
        missing_left,
        bits,
    )
    for feature in np.unique(features[by_codes]).tolist():
        codes = model_codes(columns[feature], rows, lookups[feature])
        for number in np.flatnonzero(by_codes & (features == feature)).tolist():
            split = splits[number]
            left = left_bins(split.codes or (), _MISSING, split.missing_left)
            route_codes(codes, left, bits[number])
    return bits


def model_codes(
    column: NDArray[np.float32], rows: NDArray[np.int32], lookup: NDArray[np.int32] | None
) -> NDArray[np.uint8]:
    """Codes that some rows have in the model, 255 for missing and for what it does not know.

    Parameters
    ----------
    column : array of shape (n_all_rows,), float32
        The table's codes; NaN is missing.
    rows : array of shape (n,), int32
        `alignment.ABSENT` for a row of missing values.
    lookup : array, int32, or None
        The model's code of each of the table's codes, or -1; None where the table has no value.
    """
    known = np.full(1 if lookup is None else len(lookup) + 1, _MISSING, np.uint8)
    if lookup is not None:
        known[:-1] = np.where(lookup < 0, _MISSING, lookup)
    values = column[rows]
    missing = np.isnan(values) | (rows == ABSENT)
    return known[np.where(missing, len(known) - 1, values).astype(np.int32)]


@kernel
def route_codes(codes: NDArray[np.uint8], left: NDArray[np.bool_], line: NDArray[np.uint8]) -> None:
    """Write one bit per row into `line`, lowest bit first: what `left` says of its code."""
    for b in range(len(line)):
        byte = np.uint8(0)
        for i in range(8 * b, min(8 * b + 8, len(codes))):
            byte |= np.uint8(left[codes[i]]) << np.uint8(i & 7)
        line[b] = byte


def _load(model_id: str, table: FeatureTable) -> tuple[PartyHalf, list[NDArray[np.int32] | None]]:
    """The half of a model, and its code of each of the table's codes."""
    try:
        half = table.store.load(model_id)
    except ModelError as error:
        log.warning("%s", error)
        raise Refusal(Code.MODEL, "this party's half of the model cannot be read") from error
    if half is None:
        raise Refusal(Code.MODEL, f"this party has no half of model {model_id}")
    if half.feature_names != table.feature_names:
        log.warning("model %s was trained on other columns", model_id)
        raise Refusal(Code.MODEL, "this party's table has other columns than the model's")
    try:
        lookups = map_codes(table.categories, half.categories, empty=_empty(table, half.categories))
    except DataError as error:
        raise Refusal(Code.MODEL, str(error)[:300]) from error
    return half, lookups


def _empty(table: FeatureTable, categories: Categories) -> list[bool]:
    """Which columns have no value, where that matters: those of another kind than the model's."""
    return [
        (mine is None) != (theirs is None) and bool(np.isnan(column).all())
        for mine, theirs, column in zip(table.categories, categories, table.columns, strict=True)
    ]
