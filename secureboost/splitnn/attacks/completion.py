"""A feature party completes the model: a head of its own over its bottom (Fu et al. 2022).

"Label inference attacks against vertical federated learning", USENIX Security 2022: training has
made what a bottom gives as telling of the label as it can, so a few labels are enough to learn the
rest of the model, and to label every row that the party has, shared or not.
"""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from secureboost.errors import DataError
from secureboost.splitnn.attacks.base import Floats, Rows, leak_auc, others


def completion_attack(vectors: Floats, labels: Floats, known: Rows) -> float:
    """Fit a logistic regression to the known rows and score the others.

    Parameters
    ----------
    vectors : array of shape (n_rows, n), float64
        What the bottom gives; or, for comparison, the party's own columns.
    labels : array of shape (n_rows,), float64
        0 or 1; those of `known` are used, the others to measure with.
    known : array of int
        Positions of rows whose label the attacker knows.

    Returns
    -------
    float
        AUC over the other rows.

    Raises
    ------
    secureboost.errors.DataError
        If the known rows are all of one class.
    """
    if len(np.unique(labels[known])) != 2:
        raise DataError("the known rows are of one class; model completion needs both")
    head = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    head.fit(vectors[known], labels[known])
    rest = others(len(vectors), known)
    return leak_auc(head.decision_function(vectors[rest]), labels[rest])
