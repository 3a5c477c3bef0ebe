"""Which rows are agreed on, and in which order: the intersection over all parties, and padding.

Pure functions on the label party's side, over positions; no messages.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from secureboost.align.permutation import permutation
from secureboost.alignment import ABSENT


@dataclass(frozen=True, repr=False)
class Pairs:
    """The common keys of the label party and one feature party.

    Attributes
    ----------
    mine : array of shape (n_common,), int32
        Positions in the label party's keys; distinct.
    theirs : array of shape (n_common,), int32
        Of each the place in the order in which the feature party told its keys; distinct.
    n_theirs : int
        Keys of the feature party.
    """

    mine: NDArray[np.int32]
    theirs: NDArray[np.int32]
    n_theirs: int


@dataclass(frozen=True, repr=False)
class Listing:
    """The agreed rows, in their order.

    Attributes
    ----------
    mine : array of shape (n_agreed,), int32
        Positions in the label party's keys; -1 for padding.
    theirs : tuple of arrays of shape (n_agreed,), int32
        For each party places in its own order; -1 for a row of which it has none.
    """

    mine: NDArray[np.int32]
    theirs: tuple[NDArray[np.int32], ...]


def common_to_all(pairs: Sequence[Pairs], n_keys: int) -> NDArray[np.int32]:
    """Return the positions of the label party's keys that all parties have, ascending.

    Parameters
    ----------
    pairs : sequence of Pairs
        One for each party.
    n_keys : int
        Keys of the label party.
    """
    parties = np.zeros(n_keys, dtype=np.int32)
    for pair in pairs:
        parties[pair.mine] += 1
    return np.flatnonzero(parties == len(pairs)).astype(np.int32)


def list_rows(
    pairs: Sequence[Pairs],
    common: NDArray[np.int32],
    n_keys: int,
    padding: Sequence[int],
    seed: bytes,
) -> Listing:
    """Put the common keys and the padding into an order that says nothing.

    Parameters
    ----------
    pairs : sequence of Pairs
        One for each party.
    common : array of shape (n_common,), int32
        `common_to_all`.
    n_keys : int
        Keys of the label party.
    padding : sequence of int
        For each party how many of its other keys are listed too, at most as many as it has.
    seed : bytes
        Of the label party's secret orders.
    """
    n_padding = max(padding)
    order = permutation(seed, "agreed rows", len(common) + n_padding)
    none = np.full(n_padding, ABSENT, dtype=np.int32)
    theirs = []
    for number, (pair, n_others) in enumerate(zip(pairs, padding, strict=True)):
        place_of_key = np.full(n_keys, ABSENT, dtype=np.int32)
        place_of_key[pair.mine] = pair.theirs
        matched = place_of_key[common]
        others = none.copy()
        others[:n_others] = _others(pair, matched, n_others, seed, number)
        others = others[permutation(seed, f"places of padding {number}", n_padding)]
        theirs.append(np.concatenate([matched, others])[order])
    return Listing(mine=np.concatenate([common, none])[order], theirs=tuple(theirs))


def _others(
    pair: Pairs, matched: NDArray[np.int32], n: int, seed: bytes, number: int
) -> NDArray[np.int32]:
    """Draw `n` of a party's keys that are not among the matched ones."""
    unmatched = np.ones(pair.n_theirs, dtype=bool)
    unmatched[matched] = False
    places = np.flatnonzero(unmatched).astype(np.int32)
    return places[permutation(seed, f"padding {number}", len(places))[:n]]
