"""A feature party groups gradients into two clusters and takes one for the positive rows."""

import numpy as np
from sklearn.cluster import KMeans

from secureboost.splitnn.attacks.base import Floats, Recording, leak_auc


def clustering_attack(recording: Recording, labels: Floats) -> float:
    """Find two clusters of directions, of all epochs side by side; score rows by their distances.

    Needs to know nothing: which cluster is which is guessed from its size.

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
    directions = np.concatenate(list(recording.directions), axis=1)
    clusters = KMeans(n_clusters=2, n_init=4, random_state=0).fit(directions)
    distances = np.asarray(clusters.transform(directions))
    return leak_auc(distances[:, 0] - distances[:, 1], labels)
