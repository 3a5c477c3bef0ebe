"""A model that begins with the trees of an earlier one."""

from dataclasses import dataclass
from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from secureboost.dictionary import Categories
from secureboost.errors import ModelError
from secureboost.gbdt.booster import ALL_OUTPUTS
from secureboost.gbdt.model import LabelHalf, PartnerSummary, TreeArrays
from secureboost.gbdt.succession import carry_over, join_categories

_Number = TypeVar("_Number", int, float)


@dataclass(frozen=True, repr=False)
class Base:
    """The earlier model.

    Attributes
    ----------
    half : LabelHalf
        The label party's half of it.
    raw : array of shape (n_rows,) or (n_rows, n_outputs), float64
        Its raw scores of all rows of the new run.
    """

    half: LabelHalf
    raw: NDArray[np.float64]

    @property
    def rounds(self) -> int:
        """Its rounds."""
        return len(self.half.trees) // len(self._outputs)

    @property
    def _outputs(self) -> tuple[int, ...]:
        """What the trees of a round add to."""
        if any(tree.output == ALL_OUTPUTS for tree in self.half.trees):
            return (ALL_OUTPUTS,)
        return tuple(range(len(self.half.base_score)))

    def n_splits(self, parties: tuple[str, ...]) -> tuple[int, ...]:
        """Splits that it has of each party; 0 of the label party, which comes first."""
        of_party = {partner.name: partner.n_splits for partner in self.half.partners}
        return (0, *(of_party[party] for party in parties))

    def check(
        self,
        objective: str,
        outputs: tuple[int, ...],
        columns: tuple[str, ...],
        categorical: tuple[bool, ...],
        parties: tuple[str, ...],
    ) -> None:
        """Refuse to go on with a model of another kind.

        Raises
        ------
        secureboost.errors.ModelError
            Naming what differs.
        """
        half = self.half
        for what, before, now in (
            ("objective", half.objective, objective),
            ("outputs of a round's trees", self._outputs, outputs),
            ("columns", half.feature_names, columns),
            (
                "columns of categories",
                tuple(names is not None for names in half.categories),
                categorical,
            ),
            ("parties", tuple(partner.name for partner in half.partners), parties),
        ):
            if before != now:
                raise ModelError(
                    f"init_model: it has other {what} ({_shown(before)}) than this run "
                    f"({_shown(now)}); a model can be gone on with only as what it is."
                )


def extend(base: LabelHalf, new: LabelHalf) -> LabelHalf:
    """The half of a model with the trees of `base` and, behind them, those of `new`.

    Parameters
    ----------
    base : LabelHalf
    new : LabelHalf
        Trained from the scores of `base`; the split numbers of each partner go on from its.
    """
    try:
        categories = join_categories(new.categories, base.categories)
    except ValueError as error:
        raise ModelError(f"init_model: {error}.") from error
    return msgspec.structs.replace(
        new,
        version=min(base.version, new.version),  # what a tree does not say, it never will
        base_score=base.base_score,
        categories=categories,
        gains=_added(base.gains, new.gains),
        split_counts=_added(base.split_counts, new.split_counts),
        partners=tuple(
            PartnerSummary(
                name=after.name,
                n_features=after.n_features,
                n_splits=before.n_splits + after.n_splits,
                gains=_added(before.gains, after.gains),
                split_counts=_added(before.split_counts, after.split_counts),
                digest=after.digest,
            )
            for before, after in zip(base.partners, new.partners, strict=True)
        ),
        trees=(
            *(_carried(tree, base.categories, categories) for tree in base.trees),
            *(_carried(tree, new.categories, categories) for tree in new.trees),
        ),
    )


def _carried(tree: TreeArrays, before: Categories, joined: Categories) -> TreeArrays:
    """A tree with the codes of the joined model."""
    codes: list[tuple[int, ...] | None] = []
    for node, left in enumerate(tree.codes):
        column = tree.split[node]
        names, all_names = (None, None) if left is None else (before[column], joined[column])
        if left is None or names is None or all_names is None:
            codes.append(left)
        else:
            codes.append(carry_over(left, tree.missing_left[node], names, all_names))
    return msgspec.structs.replace(tree, codes=tuple(codes))


def _added(before: tuple[_Number, ...], after: tuple[_Number, ...]) -> tuple[_Number, ...]:
    return tuple(a + b for a, b in zip(before, after, strict=True))


def _shown(value: object) -> str:
    return ", ".join(map(repr, value)) if isinstance(value, tuple) else repr(value)
