"""What a feature party's half of a model begins with: nothing, what was kept, or another model.

A run that was cut off goes on with the splits that `protocol.Keep` kept, and only over the very
bins that they were made over. If it was cut off between `protocol.Finish` and the label party's own
last step, all that is left is to finish once more. A new model may begin with the trees of a
finished one; its table may have other rows and other categories.
"""

import logging
from dataclasses import dataclass

import msgspec

from parties.messages import Refusal
from secureboost.dictionary import Categories, map_codes
from secureboost.errors import DataError, ModelError
from secureboost.gbdt.feature_bins import FeatureBins
from secureboost.gbdt.feature_table import FeatureTable
from secureboost.gbdt.model import PartnerSplit, PartyHalf
from secureboost.gbdt.protocol import Code, Setup
from secureboost.gbdt.succession import carry_over, join_categories

log = logging.getLogger(__name__)


@dataclass(frozen=True, repr=False)
class Earlier:
    """The half that a new one begins with.

    Attributes
    ----------
    half : PartyHalf
    bins_digest : bytes or None
        Of the only bins over which its training may go on, if it was cut off.
    ended : bool
        It is the very model that is asked for, with all of its trees.
    """

    half: PartyHalf
    bins_digest: bytes | None = None
    ended: bool = False


def find_earlier(request: Setup, table: FeatureTable) -> Earlier | None:
    """Look up the half that a request builds on; None for a model that begins with no tree.

    Raises
    ------
    Refusal
        If there is none, or it has other columns or too few splits; or if the new model has the
        name of one that this party has a half of.
    """
    try:
        earlier = _look_up(request, table)
        if request.base != request.model_id:
            _check_name_is_free(request.model_id, table)
    except ModelError as error:
        log.warning("%s", error)
        raise Refusal(Code.MODEL, "this party's half of the model cannot be read") from error
    n_splits = 0 if earlier is None else len(earlier.half.splits)
    if request.first_split > n_splits:
        raise Refusal(
            Code.RESUME,
            f"first_split={request.first_split}, and this party has {n_splits} splits to begin "
            "with",
        )
    if earlier is not None:
        _check_columns(earlier.half, table)
    return earlier


def begin_half(
    request: Setup, table: FeatureTable, bins: FeatureBins, earlier: Earlier | None
) -> PartyHalf:
    """The half of the model at the start of training.

    Raises
    ------
    Refusal
        If training is to go on over other bins, or the earlier model and the table have too many
        categories together.
    """
    new = PartyHalf(
        model_id=request.model_id,
        party=table.party,
        feature_names=table.feature_names,
        categories=bins.categories,
        splits=(),
    )
    if earlier is None:
        return new
    splits = earlier.half.splits[: request.first_split]
    if request.base != request.model_id:
        return _succeed(new, earlier.half, splits)
    if earlier.bins_digest not in (None, bins.digest):
        raise Refusal(
            Code.RESUME,
            f"training of model {request.model_id} was cut off over other rows, values or bins of "
            "this party; begin a new model",
        )
    return msgspec.structs.replace(earlier.half, splits=splits)


def _look_up(request: Setup, table: FeatureTable) -> Earlier | None:
    base, store = request.base, table.store
    if not base:
        return None
    kept = store.kept(base) if base == request.model_id else None
    if kept is not None:
        half, digest = kept
        return Earlier(half, digest)
    finished = store.load(base)
    if finished is None:
        raise Refusal(Code.RESUME, f"this party has kept nothing of model {base}")
    return Earlier(finished, ended=base == request.model_id)


def _check_name_is_free(model_id: str, table: FeatureTable) -> None:
    """A new model must not replace one whose splits are in use."""
    finished = table.store.load(model_id)
    if finished is not None and finished.splits:
        raise Refusal(Code.MODEL, f"this party has a half of model {model_id}; take a new name")


def _check_columns(half: PartyHalf, table: FeatureTable) -> None:
    if half.feature_names != table.feature_names:
        log.warning("model %s was trained on other columns", half.model_id)
        raise Refusal(Code.RESUME, "this party's table has other columns than the earlier model's")
    try:
        map_codes(table.categories, half.categories)
    except DataError as error:
        raise Refusal(Code.RESUME, str(error)[:300]) from error


def _succeed(new: PartyHalf, half: PartyHalf, splits: tuple[PartnerSplit, ...]) -> PartyHalf:
    """Give a new half the first splits of an earlier model, in its own codes."""
    try:
        categories = join_categories(new.categories, half.categories)
    except ValueError as error:
        raise Refusal(Code.RESUME, str(error)) from error
    return msgspec.structs.replace(
        new,
        categories=categories,
        splits=tuple(_carry_over(split, half.categories, categories) for split in splits),
    )


def _carry_over(split: PartnerSplit, before: Categories, joined: Categories) -> PartnerSplit:
    names, all_names = before[split.feature], joined[split.feature]
    if split.codes is None or names is None or all_names is None:
        return split
    codes = carry_over(split.codes, split.missing_left, names, all_names)
    return msgspec.structs.replace(split, codes=codes)
