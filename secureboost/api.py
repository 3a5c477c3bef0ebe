"""The scikit-learn estimators."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secureboost.estimator import SecureBoostModel
from secureboost.partners import Unmatched
from secureboost.party import Party
from secureboost.tasks import ClassTask, NumberTask

Rounds = tuple[int, int] | None


class SecureBoostClassifier(ClassTask, SecureBoostModel):
    """Gradient boosting of classes over columns that several parties own.

    Without parties it is an ordinary scikit-learn classifier; with parties the same code trains
    under encryption and gives the very same model as on the pooled columns.

    Parameters
    ----------
    objective : str or callable, optional
        ``"binary:logistic"`` for two classes and ``"multi:softprob"`` for more by default, or a
        function ``(y_true, y_pred) -> (gradient, hessian)`` of raw scores as in XGBoost.
    n_estimators : int, default=100
        Rounds: trees, or with more than two classes as many trees as `multi_strategy` says.
    learning_rate : float, default=0.3
        Factor of each leaf value.
    max_depth : int, default=6
        Deepest level of a tree; 0 is no limit.
    max_leaves : int, default=0
        Most leaves of a tree; 0 is no limit.
    grow_policy : {"depthwise", "lossguide"}, default="depthwise"
        Level by level, or the leaf with the highest gain first.
    max_bin : int, default=64
        Bins of a column, 2 to 255; missing values have one more.
    reg_lambda, reg_alpha : float, default=1, 0
        L2 and L1 penalty of leaf values.
    gamma : float, default=0
        Least gain of a split.
    min_child_weight : float, default=1
        Least sum of hessians in a child.
    min_child_samples : int, default=1
        Fewest rows in a child. Above 1 it also protects: 20 is a good start, and a feature party
        may insist on a floor.
    max_delta_step : float, optional
        Largest absolute leaf value before the learning rate; 0 is no limit. By default 0, and 0.7
        for ``count:poisson``.
    subsample : float, default=1
        Share of rows drawn for each round.
    colsample_bytree, colsample_bylevel, colsample_bynode : float, default=1
        Share of columns drawn for each tree, of those for each level, of those for each node.
    sampling_method : {"uniform", "goss"}, default="uniform"
        "goss" keeps the rows with large gradients and draws among the others (LightGBM). Feature
        parties learn which rows count, so which have large gradients; see `goss_hide_rows`.
    top_rate, other_rate : float, default=0.2, 0.1
        GOSS: share of rows kept, and share of all rows drawn from the rest.
    goss_hide_rows : bool, default=False
        GOSS: send encryptions of zero for the other rows, so that nobody can tell which count.
    multi_strategy : {"one_output_per_tree", "multi_output_tree"}, default="one_output_per_tree"
        With more than two classes: a tree for each class, or one whose leaves have a value for
        each. The latter costs a fraction of the ciphertexts.
    categorical_features : sequence of str, optional
        Own columns of integers or booleans to take as categories; columns of text and of pandas'
        "category" are categories anyway. Parties declare theirs themselves.
    max_cat_to_onehot : int, default=4
        Columns of up to so many categories are split into one category and the others.
    cat_smooth, cat_l2 : float, default=10
        Smoothing of the order of categories, and more L2 penalty for splits by them.
    max_cat_threshold : int, default=32
        Most categories on the left side of a split.
    min_data_per_group : int, default=10
        Categories with fewer rows in a node are not sent left (in columns of up to
        `max_cat_to_onehot` categories: fewer than `min_child_samples`). A floor for each category,
        where LightGBM has one for the sum of several.
    monotone_constraints : mapping of str to int, or sequence of int, optional
        1: predictions must not fall as the column grows, -1: not rise. Own columns by name, a
        partner's by its anonymous name (``"bureau/0"``) and only with the sign that the partner
        has declared for it.
    interaction_constraints : sequence of sequences of str, optional
        Groups of columns that may occur together on a path of a tree. Names of columns, of parties
        (all of its columns), or "label-party".
    label_party_trees : int, default=0
        The trees of the first so many rounds use the label party's own columns only.
    max_shared_purity : float, default=1
        Nodes in which one class has a larger share of the rows are split by own columns only, and
        partners are not told of their rows.
    scale_pos_weight : float, default=1
        Factor of the weight of positive rows; for two classes.
    class_weight : dict or "balanced", optional
        Weights of classes, as in scikit-learn.
    base_score : float, optional
        Prediction before the first tree; by default the best constant.
    huber_slope, tweedie_variance_power : float, default=1, 1.5
        Of the objectives ``reg:pseudohubererror`` and ``reg:tweedie``.
    eval_metric : str, callable or list of these, optional
        What is measured on `eval_set`; by default one that fits the objective.
    early_stopping_rounds : int, optional
        Training ends when the last metric of the last set has not improved for so many rounds, and
        the model keeps the rounds up to the best.
    callbacks : list of TrainingCallback, optional
        See `secureboost.callbacks`.
    importance_type : {"gain", "total_gain", "weight"}, default="gain"
        What `feature_importances_` counts: mean gain per split, total gain, or splits.
    random_state : int, RandomState or None
        Seed of the draws.
    n_jobs : int, optional
        Threads; by default one per core.
    key_bits : int, default=2048
        Length of the key, at least 2048.
    scheme : str, default="paillier"
        How gradients are encrypted: ``"paillier"``, exactly the textbook's law;
        ``"paillier-short-exponent-djn"``, encrypts some three times as fast under one assumption
        more (see SECURITY.md); ``"phe"``, python-paillier; ``"plain"`` (in one process only)
        encrypts nothing.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
    n_features_in_ : int
    feature_names_in_ : array of str
        Only if `X` was a frame with text column names.
    feature_names_out_ : array of str
        Own columns, then each partner's as ``bureau/0``, ``bureau/1``, ...
    feature_importances_ : array
        For each of `feature_names_out_`; sums to 1.
    label_half_ : LabelHalf
        The label party's half of the model.
    parties_ : list of Party
        The feature parties that `fit` was given.
    column_owner_ : dict
        As given to `fit`.
    n_rows_trained_ : int
        Rows that were trained on: those given to `fit` that all parties have.
    evals_result_ : dict
        ``{"validation_0": {"logloss": [...]}, ...}``: each metric after each round.
    best_iteration_, best_score_ : int, float
        With early stopping: the round that is kept last, and its value.
    traffic_ : dict
        Messages and bytes by party and request type.
    times_ : dict
        Seconds and operations by party and phase (`secureboost.gbdt.agreement.PartyTime`).
    partner_bins_ : dict
        By party how many bins each of its columns has.

    Examples
    --------
    >>> bureau = FeatureParty("bureau", bureau_table)
    >>> model = SecureBoostClassifier(n_estimators=50, max_depth=5)
    >>> model.fit(lender, defaulted, parties=[bureau])
    >>> probability = model.predict_proba(new_lender)[:, 1]
    """

    def decision_function(
        self,
        X: Any,
        *,
        parties: Sequence[Party] | None = None,
        iteration_range: Rounds = None,
        unmatched: Unmatched = "error",
    ) -> NDArray[np.float64]:
        """Log-odds of the positive class, or a score for each class; see `raw_scores`."""
        return self.raw_scores(
            X, parties=parties, iteration_range=iteration_range, unmatched=unmatched
        )

    def predict_proba(
        self,
        X: Any,
        *,
        parties: Sequence[Party] | None = None,
        iteration_range: Rounds = None,
        unmatched: Unmatched = "error",
    ) -> NDArray[np.float64]:
        """Probabilities of the classes, shape (n_rows, n_classes), in the order of `classes_`.

        Parameters
        ----------
        X, parties, iteration_range, unmatched
            See `raw_scores`.

        Raises
        ------
        ValueError
            If the objective is a function: its scores are not probabilities.
        """
        raw = self.raw_scores(
            X, parties=parties, iteration_range=iteration_range, unmatched=unmatched
        )
        return self._probabilities(raw)

    def predict(
        self,
        X: Any,
        *,
        parties: Sequence[Party] | None = None,
        iteration_range: Rounds = None,
        unmatched: Unmatched = "error",
    ) -> NDArray[Any]:
        """The likeliest class of each row, shape (n_rows,); see `raw_scores`."""
        raw = self.raw_scores(
            X, parties=parties, iteration_range=iteration_range, unmatched=unmatched
        )
        return self._likeliest(raw)


class SecureBoostRegressor(NumberTask, SecureBoostModel):
    """Gradient boosting of a number over columns that several parties own.

    Parameters
    ----------
    objective : str or callable, optional
        ``"reg:squarederror"`` by default; ``"reg:pseudohubererror"``, ``"count:poisson"``,
        ``"reg:gamma"``, ``"reg:tweedie"``, or a function.
    **parameters
        As of `SecureBoostClassifier`, but for what is about classes: `scale_pos_weight`,
        `class_weight` and `max_shared_purity` must be left alone.

    Examples
    --------
    >>> model = SecureBoostRegressor(objective="reg:gamma", n_estimators=50)
    >>> model.fit(lender, loss_given_default, parties=[bureau])
    >>> model.predict(new_lender)
    """

    def predict(
        self,
        X: Any,
        *,
        parties: Sequence[Party] | None = None,
        iteration_range: Rounds = None,
        unmatched: Unmatched = "error",
    ) -> NDArray[np.float64]:
        """Predicted numbers, shape (n_rows,); see `raw_scores`."""
        raw = self.raw_scores(
            X, parties=parties, iteration_range=iteration_range, unmatched=unmatched
        )
        return self._numbers(raw)
