"""Callbacks: what a user may do after every round."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from secureboost.estimator import SecureBoostModel
    from secureboost.monitor import History


class TrainingCallback:
    """A base class; override what is needed. `xgboost.callback` objects of this form work too.

    Examples
    --------
    >>> class Budget(TrainingCallback):
    ...     def after_iteration(self, model, epoch, evals_log):
    ...         return time.monotonic() > self.deadline
    """

    def before_training(self, model: "SecureBoostModel") -> "SecureBoostModel":
        """Called once, before the first round."""
        return model

    def after_iteration(
        self, model: "SecureBoostModel", epoch: int, evals_log: "History"
    ) -> bool | None:
        """Called after each round; True ends training.

        Parameters
        ----------
        model : estimator
            Not fitted yet.
        epoch : int
            Number of the round, from 0.
        evals_log : dict
            By evaluation set and metric the values so far.
        """
        return None

    def after_training(self, model: "SecureBoostModel") -> "SecureBoostModel":
        """Called once, after the last round."""
        return model

    def close(self) -> None:
        """Called at the end, also where training failed."""
