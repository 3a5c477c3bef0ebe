"""Codes of categories in a model that begins with the trees of an earlier one.

Each model has its own codes: those of the categories that were frequent among its training rows.
Any other category counts as missing. So trees are carried into a new model by the *names* of their
categories, and each split must send every category where it did: one that the earlier model did not
know goes, at its splits, where missing values go; and so does, at the new splits, one that the new
table does not know.
"""

from collections.abc import Sequence

from secureboost.dictionary import Categories

MAX_CODES = 255
"""Most codes of a column: a code is a byte, and one value is left for missing."""


def join_names(names: Sequence[str], before: Sequence[str]) -> tuple[str, ...]:
    """Names of the codes of a column in a model that begins with the trees of an earlier one.

    Parameters
    ----------
    names : sequence of str
        Names of the codes that the new table has; they keep their numbers.
    before : sequence of str
        Names of the earlier model's codes; those that are not in `names` follow.

    Raises
    ------
    ValueError
        If there are more than `MAX_CODES`.
    """
    today = set(names)
    joined = (*names, *(name for name in before if name not in today))
    if len(joined) > MAX_CODES:
        raise ValueError(
            f"the table and the earlier model have {len(joined)} categories together, more than "
            f"{MAX_CODES}; lower max_bin or begin without the earlier model"
        )
    return joined


def join_categories(categories: Categories, before: Categories) -> Categories:
    """`join_names` column by column; both must be of the same kinds of columns.

    Raises
    ------
    ValueError
        Naming the column by its position, from 0 on.
    """
    joined: list[tuple[str, ...] | None] = []
    for column, (names, earlier) in enumerate(zip(categories, before, strict=True)):
        try:
            joined.append(None if names is None else join_names(names, earlier or ()))
        except ValueError as error:
            raise ValueError(f"column {column}: {error}") from None
    return tuple(joined)


def carry_over(
    codes: Sequence[int], missing_left: bool, before: Sequence[str], joined: Sequence[str]
) -> tuple[int, ...]:
    """The codes that go left at a split of the earlier model, in the new model.

    Parameters
    ----------
    codes : sequence of int
        In the earlier model.
    missing_left : bool
        Where the split sends missing values, and therefore categories that it did not know.
    before, joined : sequence of str
        Names of the codes in the earlier model and in the new one.

    Returns
    -------
    tuple of int
        Ascending.
    """
    known, left = set(before), {before[code] for code in codes}
    return tuple(
        code
        for code, name in enumerate(joined)
        if name in left or (missing_left and name not in known)
    )
