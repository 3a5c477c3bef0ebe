"""The scikit-learn estimators of split neural networks."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from secureboost.objectives import Objective
from secureboost.partners import Unmatched
from secureboost.party import Party
from secureboost.splitnn.base_estimator import SplitNNModel
from secureboost.splitnn.model import TopHead
from secureboost.splitnn.params import choices
from secureboost.splitnn.protections import label_protections
from secureboost.splitnn.several import (
    NAMES_OF_EACH,
    SeveralLabels,
    are_several,
    label_shares,
    several_labels,
)
from secureboost.tasks import ClassTask, NumberTask


class SplitNNClassifier(ClassTask, SplitNNModel):
    """A neural network for classes over columns that several parties own.

    Each party has a network over its own columns, the bottom; the label party has the top network
    over what the bottoms give, and the loss. Without parties it is an ordinary scikit-learn
    classifier. What bottoms give travels in the clear, unlike gradients of `SecureBoostClassifier`:
    see SECURITY.md for what that tells, and `label_protections`, `feature_protections` and `codec`
    for what lessens it.

    Parameters
    ----------
    objective : str or callable, optional
        ``"binary:logistic"`` for two classes and ``"multi:softprob"`` for more by default, or a
        function ``(y_true, y_pred) -> (gradient, hessian)`` of raw scores; the hessian is not used.
    architecture : str or Architecture, default="mlp"
        Kind of the networks: "mlp", "wide_deep", "deepfm", "bst", "mmoe", or modules of your own
        (`secureboost.splitnn.architectures.FromModules`). A feature party may have its own bottom.
    bottom_hidden, top_hidden : sequence of int, optional
        Units of the hidden layers; by default the architecture's: (64, 64) and (64,) for "mlp".
    cut_width : int, default=32
        Numbers that each bottom gives for a row.
    bottom_options, top_options : mapping of str to option, optional
        More of the architecture's options: ``{"dropout": 0.1, "embedding": 8}``.
    bottoms : mapping of str, optional
        Bottoms that differ, by party; the empty name is the label party's own. A name, a name with
        options, or an architecture: ``{"": "mlp", "bureau": {"bst": {"sequences": "PAY"}}}``. To a
        feature party it is proposed.
    body : str, optional
        U-shaped configuration: the feature party that computes the top but for its last layer. The
        label party keeps this layer and the loss. See `secureboost.splitnn.body`.
    body_width : int, default=32
        Numbers that the body gives for a row.
    n_epochs : int, default=30
        Passes over the training rows.
    batch_size : int, default=1024
        Most rows of a batch; an epoch's rows are divided evenly.
    optimizer : {"adam", "adamw", "sgd"}, default="adam"
        Each party has its own.
    learning_rate, momentum, weight_decay : float, default=0.001, 0, 0
        Momentum is for "sgd".
    max_norm : float, optional
        To which the gradient of each party's weights is clipped; by default it is not.
    in_flight : int, default=1
        Batches under way at a time, 1 to 8. Above 1 parties work side by side and the network's
        delay is hidden, but gradients come late by one step less.
    local_steps : int, default=1
        Steps of the optimisers for each exchange.
    dtype : {"float32", "float64"}, default="float32"
        In which networks compute.
    codec : str, default="identity"
        How numbers at the cut travel, see `secureboost.splitnn.codecs`.
    label_protections, feature_protections : list of (str or mapping), optional
        What makes the cut tell less, see `secureboost.splitnn.protections`.
    party_dropout : float, default=0
        Probability that a feature party is left out of a row in training, drawn for each row and
        party: what it gives is 0 there, and so is its gradient. A model that was trained with it
        can do without a party (`unmatched` and `without` of `raw_scores`).
    max_wait : float, optional
        Seconds that a batch waits for feature parties, counted from when their answers are all
        that is missing; by default as long as it takes. Whoever is late is left out of that batch.
        Such a run cannot be repeated exactly. Needs `party_dropout`. The end of an epoch, and the
        party of `body`, are waited for all the same.
    categorical_features : sequence of str, optional
        Own columns of integers or booleans to take as categories; columns of text and of pandas'
        "category" are categories anyway. Parties declare theirs themselves.
    scale_pos_weight : float, default=1
        Factor of the weight of positive rows; for two classes.
    class_weight : dict or "balanced", optional
        Weights of classes, as in scikit-learn.
    label_weights : mapping of str to float, optional
        With several labels: by which the loss of each is multiplied; 1 by default.
    huber_slope, tweedie_variance_power : float, default=1, 1.5
        Of the objectives ``reg:pseudohubererror`` and ``reg:tweedie``.
    eval_metric : str, callable or list of these, optional
        What is measured on `eval_set` after each epoch; by default one that fits the objective.
    early_stopping_rounds : int, optional
        Training ends when the last metric of the last set has not improved for so many epochs, and
        every party keeps the weights of the best one.
    callbacks : list of TrainingCallback, optional
        See `secureboost.callbacks`; a round is an epoch.
    random_state : int, RandomState or None
        Seed of initial weights and of all draws. If it is given, parties draw from it too, so the
        label party knows their initial weights; with None each draws in secret.
    n_jobs : int, optional
        Threads of torch, by default 1; see `secureboost.splitnn.threads`.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
    labels_ : tuple of str
        With several labels their names: the columns of a frame, or ``y0``, ``y1``, ...; otherwise
        empty.
    n_features_in_ : int
    feature_names_in_ : array of str
        Only if `X` was a frame with text column names.
    label_half_ : TopHead
        What the label party's half is, besides the weights.
    parties_ : list of Party
        The feature parties that `fit` was given.
    column_owner_ : dict
        As given to `fit`.
    evals_result_ : dict
        ``{"validation_0": {"logloss": [...]}, ...}``: each metric after each epoch.
    training_loss_ : list of float
        Mean loss of the training rows in each epoch, each row at its own step.
    metrics_without_ : dict
        With `party_dropout` and evaluation sets: by the party that is missing ("" for nobody) the
        metrics of each set by the weights that are kept:
        ``{"": {"validation_0": {"logloss": 0.43}}, "bureau": {...}}``.
    late_batches_ : dict
        With `max_wait`: how many batches each feature party was left out of.
    best_iteration_, best_score_ : int, float
        With early stopping: the epoch whose weights are kept, and its value.
    traffic_ : dict
        Messages and bytes by party and request type.
    seconds_ : dict
        How long each partner computed, and the whole training ("").

    Examples
    --------
    >>> bureau = FeatureParty("bureau", bureau_table)
    >>> model = SplitNNClassifier(n_epochs=20, random_state=0)
    >>> model.fit(lender, defaulted, parties=[bureau])
    >>> probability = model.predict_proba(new_lender)[:, 1]
    """

    def decision_function(
        self,
        X: Any,
        *,
        parties: Sequence[Party] | None = None,
        unmatched: Unmatched = "error",
        without: Sequence[str] | None = None,
    ) -> NDArray[np.float64]:
        """Log-odds of the positive class, or a score for each class; see `raw_scores`."""
        return self.raw_scores(X, parties=parties, unmatched=unmatched, without=without)

    def predict_proba(
        self,
        X: Any,
        *,
        parties: Sequence[Party] | None = None,
        unmatched: Unmatched = "error",
        without: Sequence[str] | None = None,
    ) -> NDArray[np.float64]:
        """Probabilities of the classes, shape (n_rows, n_classes), in the order of `classes_`.

        With several labels the probability that each is 1, in the order of `labels_`.

        Parameters
        ----------
        X, parties, unmatched, without
            See `raw_scores`.

        Raises
        ------
        ValueError
            If the objective is a function: its scores are not probabilities.
        """
        raw = self.raw_scores(X, parties=parties, unmatched=unmatched, without=without)
        return self._probabilities(raw)

    def predict(
        self,
        X: Any,
        *,
        parties: Sequence[Party] | None = None,
        unmatched: Unmatched = "error",
        without: Sequence[str] | None = None,
    ) -> NDArray[Any]:
        """The likeliest class of each row, shape (n_rows,), or (n_rows, n_labels) of 0 and 1."""
        raw = self.raw_scores(X, parties=parties, unmatched=unmatched, without=without)
        if self.labels_:
            return (raw > 0).astype(np.int64)
        return self._likeliest(raw)

    def _targets(
        self, y: ArrayLike, weight: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], Objective]:
        self.labels_: tuple[str, ...] = ()
        if are_several(y):
            return self._several_targets(y, weight)
        if self.label_weights is not None:
            raise ValueError("label_weights is for several labels, and y has one")
        self._check_class_weights()
        return super()._targets(y, weight)

    def _check_class_weights(self) -> None:
        """Refuse weights that tell labels past a protection."""
        weighted = [
            name
            for name, default in (("class_weight", None), ("scale_pos_weight", 1.0))
            if getattr(self, name) != default
        ]
        for protection in label_protections(choices("label_protections", self.label_protections)):
            for name in weighted:
                if not protection.takes_class_weights:
                    raise ValueError(
                        f"{name}={getattr(self, name)!r}: weights follow the true labels and show "
                        f"in gradients, past label_protections={protection.name!r}. Leave "
                        f"{name} alone, or choose another protection"
                    )

    def _several_targets(
        self, y: ArrayLike, weight: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], Objective]:
        self.labels_, labels = several_labels(y)
        self.classes_ = np.array([0, 1])
        objective = SeveralLabels(self.labels_, label_shares(self.label_weights, self.labels_))
        self._check_for_several()
        return labels, weight, objective

    def _check_for_several(self) -> None:
        """Refuse parameters that are about one label."""
        for name, fitting in (
            ("objective", NAMES_OF_EACH),
            ("class_weight", (None,)),
            ("scale_pos_weight", (1.0,)),
        ):
            if getattr(self, name) not in fitting:
                raise ValueError(
                    f"{name}={getattr(self, name)!r} is for one label, and y has "
                    f"{len(self.labels_)}; leave it alone"
                )
        for protection in label_protections(choices("label_protections", self.label_protections)):
            if not protection.takes_several:
                raise ValueError(
                    f"label_protections: {protection.name!r} is for one label, and y has "
                    f"{len(self.labels_)}; choose another, or train a network for each label"
                )

    def _eval_labels(self, y: ArrayLike, name: str) -> NDArray[np.float64]:
        if self.labels_:
            return several_labels(y, self.labels_, name)[1]
        return super()._eval_labels(y, name)

    def _restore(self, head: TopHead) -> None:
        super()._restore(head)
        self.labels_ = head.labels


class SplitNNRegressor(NumberTask, SplitNNModel):
    """A neural network for a number over columns that several parties own.

    Labels of any sign are standardised for the network, so they may be in any unit.

    Parameters
    ----------
    objective : str or callable, optional
        ``"reg:squarederror"`` by default; ``"reg:pseudohubererror"``, ``"count:poisson"``,
        ``"reg:gamma"``, ``"reg:tweedie"``, or a function.
    **parameters
        As of `SplitNNClassifier`, but for what is about classes: `scale_pos_weight`, `class_weight`
        and `label_weights` must be left alone.

    Examples
    --------
    >>> model = SplitNNRegressor(objective="reg:gamma", n_epochs=20)
    >>> model.fit(lender, loss_given_default, parties=[bureau])
    >>> model.predict(new_lender)
    """

    _about_classes: ClassVar[dict[str, Any]] = {**NumberTask._about_classes, "label_weights": None}

    def predict(
        self,
        X: Any,
        *,
        parties: Sequence[Party] | None = None,
        unmatched: Unmatched = "error",
        without: Sequence[str] | None = None,
    ) -> NDArray[np.float64]:
        """Predicted numbers, shape (n_rows,); see `raw_scores`."""
        raw = self.raw_scores(X, parties=parties, unmatched=unmatched, without=without)
        return self._numbers(raw)
