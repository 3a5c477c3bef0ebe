"""A feature party reads labels off the gradients that it gets (Li et al. 2022, arXiv 2102.08504).

With a binary label the gradient of row i at the cut is ``(p_i - y_i) d(score)/d(activation)``. Its
length is larger for the rarer class (section 3.1: the norm attack), and its sign is the label's:
rows of one label point one way (section 3.2: the direction attack).
"""

import numpy as np

from secureboost.errors import DataError
from secureboost.splitnn.attacks.base import Floats, Recording, Rows, leak_auc, others


def norm_attack(recording: Recording, labels: Floats) -> float:
    """Score rows by the length of their gradients; needs to know nothing.

    Parameters
    ----------
    recording : Recording
    labels : array of shape (n_rows,), float64
        0 or 1, to measure with.

    Returns
    -------
    float
        AUC.
    """
    return leak_auc(recording.summed(np.linalg.norm(recording.gradients, axis=2)), labels)


def direction_attack(recording: Recording, labels: Floats, known: Rows) -> float:
    """Score rows by the cosine of their gradients with those of known positive rows, in the mean.

    Parameters
    ----------
    recording : Recording
    labels : array of shape (n_rows,), float64
        0 or 1; those of `known` are used, the others to measure with.
    known : array of int
        Positions of rows whose label the attacker knows; one positive among them is enough.

    Returns
    -------
    float
        AUC over the other rows.

    Raises
    ------
    secureboost.errors.DataError
        If no known row is positive.
    """
    positive = known[labels[known] == 1.0]
    if not len(positive):
        raise DataError("none of the known rows is positive; the direction attack needs one")
    directions = recording.directions
    likeness = np.einsum("erw,ew->er", directions, directions[:, positive].mean(axis=1))
    rest = others(len(recording), known)
    return leak_auc(recording.summed(likeness)[rest], labels[rest])
