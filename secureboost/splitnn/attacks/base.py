"""What an attack is given and what it finds."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from secureboost.errors import DataError

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

NOTHING = {"AUC": 0.5, "R2": 0.0}
"""By measure what an attacker reaches who knows nothing."""


@dataclass(frozen=True, repr=False)
class Recording:
    """What crossed the cut between the label party and one feature party, for each training row.

    Attributes
    ----------
    gradients : array of shape (n_epochs, n_rows, width), float64
        What the feature party got, as it read it: after protections and codec. Several epochs tell
        more than one where each has noise of its own.
    activations : array of shape (n_rows, width), float64
        What the label party got, in the last epoch.
    batch : array of shape (n_epochs, n_rows), int64
        Number of the batch that a row was in. Gradients of different batches have different sizes.

    Raises
    ------
    secureboost.errors.DataError
        If shapes do not fit, or a number is not finite.
    """

    gradients: Floats
    activations: Floats
    batch: NDArray[np.int64]

    def __post_init__(self) -> None:
        shape = self.gradients.shape
        if len(shape) != 3 or self.activations.shape != shape[1:] or self.batch.shape != shape[:2]:
            raise DataError(
                f"a recording of gradients {shape}, activations {self.activations.shape} and "
                f"batches {self.batch.shape}: gradients must have three dimensions, activations "
                "the last two of them, batches the first two"
            )
        if not (np.isfinite(self.gradients).all() and np.isfinite(self.activations).all()):
            raise DataError("a recording has numbers that are not finite")

    def __len__(self) -> int:
        return len(self.activations)

    @property
    def directions(self) -> Floats:
        """Gradients of length 1, shape (n_epochs, n_rows, width); those of length 0 stay."""
        return unit(self.gradients)

    def summed(self, scores: Floats) -> Floats:
        """Scores of shape (n_epochs, n_rows), in units of their batch's deviation, added up."""
        total = np.zeros(len(self))
        for of_epoch, batch in zip(scores, self.batch, strict=True):
            numbers, place, counts = np.unique(batch, return_inverse=True, return_counts=True)
            mean = np.bincount(place, of_epoch, len(numbers)) / counts
            centred = of_epoch - mean[place]
            variance = np.bincount(place, np.square(centred), len(numbers)) / counts
            deviation = np.sqrt(variance)[place]
            total += centred / np.where(deviation > 0.0, deviation, 1.0)
        return total


@dataclass(frozen=True)
class Finding:
    """How much an attack learns.

    Attributes
    ----------
    attack : str
        A name of `attacks.ATTACKS`.
    measure : str
        ``"AUC"`` of the label (0.5: nothing, 1: everything), or ``"R2"``, the explained share of
        the variance of columns (0: nothing).
    value : float
    baseline : float
        What the attacker reaches without what crossed the cut: from its own columns alone, if it
        has some.
    """

    attack: str
    measure: str
    value: float
    baseline: float

    def __str__(self) -> str:
        return (
            f"{self.attack}: {self.measure} {self.value:.3f}, without the cut {self.baseline:.3f}"
        )


def leak_auc(scores: Floats, labels: Floats) -> float:
    """AUC of scores, at least 0.5: an attacker who is always wrong knows the label.

    Parameters
    ----------
    scores, labels : arrays of shape (n,), float64
        Labels are 0 or 1; 0.5 where there is one class alone.
    """
    if labels.min() == labels.max():
        return 0.5
    auc = float(roc_auc_score(labels, scores))
    return max(auc, 1.0 - auc)


def others(n_rows: int, known: Rows) -> NDArray[np.bool_]:
    """Which rows are not among the known ones: those that an attack is measured on."""
    unknown = np.ones(n_rows, np.bool_)
    unknown[known] = False
    return unknown


def unit(vectors: Floats) -> Floats:
    """Vectors of length 1; those of length 0 stay."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0.0, lengths, 1.0))
