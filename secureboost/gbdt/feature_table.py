"""What a feature party brings to all of its sessions."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

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
        NaN is missing.
    policy : Policy
    budget : Budget
        What has been given out, over all sessions.
    store : HalfStore
    """

    party: str
    ids: Sequence[str]
    feature_names: tuple[str, ...]
    columns: NDArray[np.float32]
    policy: Policy = field(default_factory=Policy)
    budget: Budget = field(default_factory=lambda: Budget(Policy()))
    store: HalfStore = field(default_factory=MemoryStore)
