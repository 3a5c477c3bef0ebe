"""What a bottom must know to be trained, wherever it is."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from secureboost.splitnn.options import Choice


@dataclass(frozen=True, repr=False)
class BottomPlan:
    """What the label party asks of a bottom; `protocol.SetupBottom` says it to another company.

    Attributes
    ----------
    rows : array of shape (n_rows,), int32
        Rows of the training, as positions in the table; those to train on first.
    n_training, batch_size, batch_seed : int
        See `batches.Batches`.
    in_flight : int
    skips : bool
        Whether batches may be left out (`late`).
    local_steps : int
    width : int
    dtype : str
    architecture : Choice
    optimizer : str
    learning_rate, momentum, weight_decay : float
    max_norm : float or None
    codec : str
    protections : tuple of Choice
    seed : int
        Of initial weights and of all draws.
    """

    rows: NDArray[np.int32]
    n_training: int
    batch_size: int
    batch_seed: int
    in_flight: int
    skips: bool
    local_steps: int
    width: int
    dtype: str
    architecture: Choice
    optimizer: str
    learning_rate: float
    momentum: float
    weight_decay: float
    max_norm: float | None
    codec: str
    protections: tuple[Choice, ...]
    seed: int
