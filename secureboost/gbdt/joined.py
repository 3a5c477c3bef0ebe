"""What the halves of a model are joined into when their owners meet."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from secureboost.dictionary import Categories
from secureboost.errors import ModelError
from secureboost.gbdt.model import (
    LabelHalf,
    PartnerSplit,
    PartnerSummary,
    PartyHalf,
    TreeArrays,
    half_digest,
)


def joined_dtype(n_values: int = 1) -> np.dtype[np.void]:
    """What a joined tree's records are.

    Parameters
    ----------
    n_values : int
        Outputs that the tree adds to; with 1 the field ``value`` is a number, else an array.
    """
    return np.dtype(
        [
            ("party", np.object_),  # text; empty for the label party, and for a leaf
            ("column", np.object_),  # text; empty for a leaf
            ("bin", np.int32),  # -1 for a leaf and in a split by categories
            ("threshold", np.float64),  # 0 for a leaf, by categories, and where missing is cut off
            ("categories", np.object_),  # tuple of text, sorted: what goes left; empty elsewhere
            ("missing_left", np.bool_),
            ("left", np.int32),
            ("right", np.int32),
            ("value", np.float64, () if n_values == 1 else (n_values,)),
            ("gain", np.float64),  # 0 for a partner's split, as in the label half
            ("cover", np.float64),
            ("output", np.int32),  # that the tree adds to; -1 for all of them
        ]
    )


def joined_trees(
    label_half: LabelHalf,
    party_halves: Mapping[str, PartyHalf] | Sequence[PartyHalf] = (),
    *,
    column_owner: Mapping[str, Sequence[str]] | None = None,
) -> list[NDArray[np.void]]:
    """Put the halves together: what their owners would see if they shared everything.

    Parameters
    ----------
    label_half : LabelHalf
    party_halves : mapping of name to PartyHalf, or a sequence of them
        The half of every partner that the label half names.
    column_owner : mapping of party name to column names, optional
        For a model trained on pooled columns: who would own which. The named columns then
        appear under their party, so that the result can be compared with a federated model.

    Returns
    -------
    list of record arrays with dtype `joined_dtype`
        One per tree. A federated model and its pooled twin give arrays equal with ``==``.

    Raises
    ------
    secureboost.errors.ModelError
        If a partner's half is absent or does not belong to the label party's.
    """
    halves = halves_of(label_half, party_halves)
    owners = {
        column: party for party, columns in (column_owner or {}).items() for column in columns
    }
    return [_joined(tree, label_half, halves, owners) for tree in label_half.trees]


def _joined(
    tree: TreeArrays,
    label_half: LabelHalf,
    halves: Sequence[PartyHalf],
    owners: Mapping[str, str],
) -> NDArray[np.void]:
    n_values = len(tree.value) // len(tree.owner)
    nodes = np.zeros(len(tree.owner), dtype=joined_dtype(n_values))
    nodes["party"], nodes["column"], nodes["bin"] = "", "", -1
    for name in ("left", "right", "gain", "cover", "output"):
        nodes[name] = getattr(tree, name)
    nodes["value"] = np.reshape(tree.value, nodes["value"].shape)
    for i, owner in enumerate(tree.owner):
        nodes["categories"][i] = ()
        if owner == -1:
            continue
        if owner == 0:
            split = own_split(tree, i)
            columns, categories = label_half.feature_names, label_half.categories
            party = owners.get(columns[split.feature], "")
        else:
            half = halves[owner - 1]
            split, party = half.splits[tree.split[i]], half.party
            columns, categories = half.feature_names, half.categories
        nodes["party"][i], nodes["column"][i] = party, columns[split.feature]
        if party:
            nodes["gain"][i] = 0.0
        nodes["bin"][i], nodes["missing_left"][i] = split.bin, split.missing_left
        nodes["threshold"][i] = 0.0 if split.threshold is None else split.threshold
        nodes["categories"][i] = _names_of(split, categories)
    return nodes


def own_split(tree: TreeArrays, node: int) -> PartnerSplit:
    """A split of the label party as its owner's table would have it."""
    return PartnerSplit(
        feature=tree.split[node],
        bin=tree.bin[node],
        threshold=tree.threshold[node],
        codes=tree.codes[node],
        missing_left=tree.missing_left[node],
    )


def _names_of(split: PartnerSplit, categories: Categories) -> tuple[str, ...]:
    """The categories that go left, sorted; none in a split of numbers."""
    names = categories[split.feature]
    if names is None or split.codes is None:
        return ()
    return tuple(sorted(names[code] for code in split.codes))


def halves_of(
    label_half: LabelHalf, party_halves: Mapping[str, PartyHalf] | Sequence[PartyHalf]
) -> list[PartyHalf]:
    """The halves of a label half's partners, in its order.

    Raises
    ------
    secureboost.errors.ModelError
        If one is absent or does not belong to the label party's.
    """
    given = party_halves.values() if isinstance(party_halves, Mapping) else party_halves
    by_name = {half.party: half for half in given}
    halves = []
    for partner in label_half.partners:
        half = by_name.get(partner.name)
        if half is None:
            raise ModelError(f"The half of party {partner.name!r} is missing.")
        check_party_half(label_half, partner, half)
        halves.append(half)
    return halves


def check_party_half(label_half: LabelHalf, partner: PartnerSummary, half: PartyHalf) -> None:
    """Refuse a half that is not the one that `label_half` was trained with.

    Raises
    ------
    secureboost.errors.ModelError
    """
    if half.party != partner.name:
        raise ModelError(f"The half of party {half.party!r} was given for {partner.name!r}.")
    if half.model_id != label_half.model_id:
        raise ModelError(
            f"The half of party {partner.name!r} belongs to model {half.model_id}, the label "
            f"party's to model {label_half.model_id}. Use the halves of one training run."
        )
    if len(half.splits) != partner.n_splits or len(half.feature_names) != partner.n_features:
        raise ModelError(
            f"The half of party {partner.name!r} has {len(half.splits)} splits over "
            f"{len(half.feature_names)} columns; the label party's half expects "
            f"{partner.n_splits} over {partner.n_features}."
        )
    if partner.digest and half_digest(half).hex() != partner.digest:
        raise ModelError(
            f"The halves do not belong together: that of party {partner.name!r} is not the one "
            "whose hash the label party's half holds. Use the halves of one training run, as they "
            "were saved."
        )
