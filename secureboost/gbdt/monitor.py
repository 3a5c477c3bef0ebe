"""Metrics of evaluation rows after every round, as the booster's callers know them.

Rows for evaluation ride along in training (`columns.Gradients.active`), so their scores are there
after each round and no party has to be asked for them.
"""

from secureboost.monitor import Callback, EvalSet, History, Monitor

__all__ = ["Callback", "EvalSet", "History", "Monitor"]
