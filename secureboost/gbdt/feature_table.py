"""What a feature party brings to all of its sessions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secureboost.alignment import AlignmentStore, MemoryAlignments
from secureboost.dictionary import Categories, is_categorical
from secureboost.gbdt.policy import Budget, Policy
from secureboost.gbdt.store import HalfStore, MemoryStore


@dataclass(frozen=True, repr=False)
class FeatureTable:
    """What a feature party brings, for all of its sessions.

    Attributes
    ----------
    party : str
    ids : sequence of str
        Row ids, in order.
    feature_names : tuple of str
    columns : array of shape (n_features, n_rows), float32
        NaN is missing; columns of categories hold codes.
    policy : Policy
    budget : Budget
        What has been given out, over all sessions.
    store : HalfStore
    categories : Categories
        For each column of categories the names of its codes; None for a column of numbers. By
        default all columns are numbers.
    monotone : array of shape (n_features,), int8
        The declared sign of each column's effect; 0, the default, where none is declared.
    terms : mapping of str to object
        What the party allows and keeps of other trainers than this one, by the trainer's name.
    alignments : AlignmentStore
        Orders of rows that were agreed on with a label party; in memory by default.
    key_digest : callable
        Gives `alignment.keys_digest` of the table; called when a session begins with an alignment.
        By default no alignment fits the table.
    """

    party: str
    ids: Sequence[str]
    feature_names: tuple[str, ...]
    columns: NDArray[np.float32]
    policy: Policy = field(default_factory=Policy)
    budget: Budget = field(default_factory=lambda: Budget(Policy()))
    store: HalfStore = field(default_factory=MemoryStore)
    categories: Categories = ()
    monotone: NDArray[np.int8] = field(default_factory=lambda: np.zeros(0, dtype=np.int8))
    terms: Mapping[str, Any] = field(default_factory=dict)
    alignments: AlignmentStore = field(default_factory=MemoryAlignments)
    key_digest: Callable[[], bytes] = bytes

    def __post_init__(self) -> None:
        n_features = len(self.columns)
        if not self.categories:
            object.__setattr__(self, "categories", (None,) * n_features)
        if not len(self.monotone):
            object.__setattr__(self, "monotone", np.zeros(n_features, dtype=np.int8))

    @property
    def categorical(self) -> NDArray[np.bool_]:
        """Which columns are of categories, shape (n_features,), bool."""
        return is_categorical(self.categories)
