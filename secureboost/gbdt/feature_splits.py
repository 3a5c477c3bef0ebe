"""A feature party's splits: what it checks before it makes one, which rows go left, what it keeps.

Counts are made here and now: what the label party was told before (`Histograms.allowed`) is no
promise of what it asks for.
"""

import numpy as np
from numpy.typing import NDArray

from parties.messages import Refusal
from secureboost.dictionary import Categories
from secureboost.gbdt.codes import CODE_WORDS, codes_in, left_bins
from secureboost.gbdt.columns import Split
from secureboost.gbdt.feature_bins import FeatureBins
from secureboost.gbdt.feature_tree import FeatureTree, rows_left
from secureboost.gbdt.model import PartnerSplit
from secureboost.gbdt.protocol import Code, Divide


def read_splits(request: Divide) -> list[Split]:
    """The splits of a request, one per node.

    Raises
    ------
    Refusal
        If its lists differ in length, are empty, or name a node twice.
    """
    n = len(request.nodes)
    columns = (request.features, request.bins, request.missing_left, request.codes)
    if n == 0 or any(len(column) != n for column in columns):
        raise Refusal(Code.SPLIT, "the lists of a division differ in length")
    if request.codes.shape[1] != CODE_WORDS:
        raise Refusal(
            Code.SPLIT, f"a set of codes has {CODE_WORDS} words, not {request.codes.shape[1]}"
        )
    if len(np.unique(request.nodes)) != n:
        raise Refusal(Code.SPLIT, "a node can be divided once")
    lists = (column.tolist() for column in (request.nodes, *columns[:-1]))
    return [
        Split(node, feature, cut, bool(missing_left), codes_in(codes))
        for node, feature, cut, missing_left, codes in zip(*lists, request.codes, strict=True)
    ]


def check_split(split: Split, tree: FeatureTree, bins: FeatureBins) -> None:
    """Refuse a split of an unknown node, of a column outside the tree, or by what it has not.

    Raises
    ------
    Refusal
    """
    feature = split.feature
    if split.node not in tree.rows_of_node:
        raise Refusal(Code.SPLIT, f"node {split.node} was not asked for, or was parted since")
    if tree.features is None or feature not in tree.features:
        raise Refusal(Code.SPLIT, f"column {feature} does not take part in this tree")
    n_bins = int(bins.n_bins[feature])
    if bins.categorical[feature]:
        if split.bin != -1 or not split.codes:
            raise Refusal(
                Code.SPLIT, f"column {feature} is split by at least one category and by bin -1"
            )
        if split.codes[-1] >= n_bins:
            raise Refusal(Code.SPLIT, f"column {feature} has no category {split.codes[-1]}")
    elif split.codes:
        raise Refusal(Code.SPLIT, f"column {feature} has no categories to be split by")
    elif not 0 <= split.bin < n_bins:
        raise Refusal(Code.SPLIT, f"column {feature} has no cut after bin {split.bin}")


def check_groups(split: Split, active_bins: NDArray[np.uint8], n_bins: int, min_group: int) -> None:
    """Count the rows of a node by category and check a split by categories.

    Parameters
    ----------
    split : Split
    active_bins : array, uint8
        Bins of the node's active rows.
    n_bins : int
        Codes of the column.
    min_group : int
        Of this column (`counts.group_floors`).

    Raises
    ------
    Refusal
        If a category that goes left has too few rows, or none with enough stays.
    """
    enough = np.bincount(active_bins, minlength=n_bins)[:n_bins] >= min_group
    if not enough[list(split.codes)].all():
        raise Refusal(
            Code.SPLIT,
            f"a category of column {split.feature} that goes left has fewer than {min_group} rows "
            f"in node {split.node}",
        )
    if np.count_nonzero(enough) == len(split.codes):
        raise Refusal(
            Code.SPLIT,
            f"no category of column {split.feature} with {min_group} rows in node {split.node} "
            "stays on the right side",
        )


def sides(split: Split, bins: NDArray[np.uint8], missing_bin: int) -> NDArray[np.bool_]:
    """Which of these bins go left."""
    if split.codes:
        return left_bins(split.codes, missing_bin, split.missing_left)[bins]
    return rows_left(bins, split.bin, missing_bin, split.missing_left)


def keep_split(split: Split, bins: FeatureBins, categories: Categories) -> PartnerSplit:
    """What the party's half keeps of a split.

    Parameters
    ----------
    split : Split
    bins : FeatureBins
    categories : Categories
        Names of the codes in the half. Behind those of `bins` may be categories that only an
        earlier model knows (`succession`): here they count as missing.
    """
    names, all_names = bins.categories[split.feature], categories[split.feature]
    if names is None or all_names is None:
        threshold = bins.mapper.threshold(split.feature, split.bin)
        return PartnerSplit(
            feature=split.feature,
            bin=split.bin,
            threshold=threshold if np.isfinite(threshold) else None,
            missing_left=split.missing_left,
        )
    missing = range(len(names), len(all_names)) if split.missing_left else ()
    return PartnerSplit(
        feature=split.feature,
        bin=-1,
        threshold=None,
        codes=(*split.codes, *missing),
        missing_left=split.missing_left,
    )
