"""Train one model on two companies' tables without either showing its rows.

The names below load on first use, so that ``import secureboost`` and the command line's help stay
fast. `SplitNNClassifier` and `SplitNNRegressor` need the extra ``nn``, so ``import *`` leaves them
out.
"""

import importlib
from typing import TYPE_CHECKING, Any

from secureboost._version import __version__

if TYPE_CHECKING:
    from parties.certificates import TLS
    from secureboost.aligned_tables import align_tables, load_alignments
    from secureboost.api import SecureBoostClassifier, SecureBoostRegressor
    from secureboost.callbacks import TrainingCallback
    from secureboost.dates import out_of_time
    from secureboost.errors import MissingPartyWarning, UnmatchedRowsWarning
    from secureboost.eval_metrics import EvalMetric
    from secureboost.gbdt.joined import joined_trees
    from secureboost.gbdt.policy import Policy
    from secureboost.partners import pool_tables
    from secureboost.party import FeatureParty, RemoteParty
    from secureboost.progress import ProgressBar
    from secureboost.splitnn.estimator import SplitNNClassifier as SplitNNClassifier
    from secureboost.splitnn.estimator import SplitNNRegressor as SplitNNRegressor
    from secureboost.splitnn.policy import NetPolicy
    from secureboost.splitnn.terms import NetTerms
    from secureboost.validation import cv, tune

_HOME = {
    "TLS": "parties.certificates",
    "EvalMetric": "secureboost.eval_metrics",
    "FeatureParty": "secureboost.party",
    "MissingPartyWarning": "secureboost.errors",
    "NetPolicy": "secureboost.splitnn.policy",
    "NetTerms": "secureboost.splitnn.terms",
    "Policy": "secureboost.gbdt.policy",
    "ProgressBar": "secureboost.progress",
    "RemoteParty": "secureboost.party",
    "SecureBoostClassifier": "secureboost.api",
    "SecureBoostRegressor": "secureboost.api",
    "SplitNNClassifier": "secureboost.splitnn.estimator",
    "SplitNNRegressor": "secureboost.splitnn.estimator",
    "TrainingCallback": "secureboost.callbacks",
    "UnmatchedRowsWarning": "secureboost.errors",
    "align_tables": "secureboost.aligned_tables",
    "cv": "secureboost.validation",
    "joined_trees": "secureboost.gbdt.joined",
    "load_alignments": "secureboost.aligned_tables",
    "out_of_time": "secureboost.dates",
    "pool_tables": "secureboost.partners",
    "tune": "secureboost.validation",
}

__all__ = [
    "TLS",
    "EvalMetric",
    "FeatureParty",
    "MissingPartyWarning",
    "NetPolicy",
    "NetTerms",
    "Policy",
    "ProgressBar",
    "RemoteParty",
    "SecureBoostClassifier",
    "SecureBoostRegressor",
    "TrainingCallback",
    "UnmatchedRowsWarning",
    "__version__",
    "align_tables",
    "cv",
    "joined_trees",
    "load_alignments",
    "out_of_time",
    "pool_tables",
    "tune",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'secureboost' has no attribute {name!r}")
    try:
        home = importlib.import_module(_HOME[name])
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "safetensors"):
            raise
        from secureboost.splitnn.errors import TorchMissingError

        raise TorchMissingError(error.name) from error
    return getattr(home, name)


def __dir__() -> list[str]:
    return sorted({*__all__, *_HOME})
