"""The label party reconstructs columns from activations: a regression the other way round.

What a label party can do that has, or can buy, the columns of some rows: it learns to invert the
bottom from those (as in the model inversion of He et al. 2019 with a shadow model).
"""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from secureboost.splitnn.attacks.base import Floats, Rows, others

UNITS = 64


def reconstruction_attack(vectors: Floats, columns: Floats, known: Rows) -> float:
    """Fit a ridge regression and a small perceptron to the known rows; measure on the others.

    Parameters
    ----------
    vectors : array of shape (n_rows, n), float64
        What the label party got; or, for comparison, its own columns.
    columns : array of shape (n_rows, n_columns), float64
        The feature party's, without gaps; those of `known` are used, the others to measure with.
    known : array of int
        Positions of rows whose columns the attacker knows.

    Returns
    -------
    float
        R2 of the better one, in the mean over columns, each at least 0; of those that vary among
        the known rows and among the others.
    """
    rest = others(len(vectors), known)
    varies = (np.ptp(columns[known], axis=0) > 0.0) & (np.ptp(columns[rest], axis=0) > 0.0)
    if not varies.any():
        return 0.0
    wanted = StandardScaler().fit(columns[known][:, varies]).transform(columns[:, varies])
    perceptron = MLPRegressor(
        hidden_layer_sizes=(UNITS,), early_stopping=True, random_state=0, max_iter=300
    )
    found = []
    for regression in (Ridge(alpha=1.0), perceptron):
        model = make_pipeline(StandardScaler(), regression)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(vectors[known], wanted[known] if wanted.shape[1] > 1 else wanted[known, 0])
        guessed = model.predict(vectors[rest]).reshape(wanted[rest].shape)
        by_column = r2_score(wanted[rest], guessed, multioutput="raw_values")
        found.append(float(np.maximum(by_column, 0.0).mean()))
    return max(found)
