"""Train one model on two companies' tables without either showing its rows.

The names below load on first use, so that ``import secureboost`` and the command line's help stay
fast.
"""

import importlib
from typing import TYPE_CHECKING, Any

from secureboost._version import __version__

if TYPE_CHECKING:
    from parties.certificates import TLS
    from secureboost.api import SecureBoostClassifier
    from secureboost.gbdt.model import joined_trees
    from secureboost.gbdt.policy import Policy
    from secureboost.partners import pool_tables
    from secureboost.party import FeatureParty, RemoteParty

_HOME = {
    "TLS": "parties.certificates",
    "FeatureParty": "secureboost.party",
    "Policy": "secureboost.gbdt.policy",
    "RemoteParty": "secureboost.party",
    "SecureBoostClassifier": "secureboost.api",
    "joined_trees": "secureboost.gbdt.model",
    "pool_tables": "secureboost.partners",
}

__all__ = [
    "TLS",
    "FeatureParty",
    "Policy",
    "RemoteParty",
    "SecureBoostClassifier",
    "__version__",
    "joined_trees",
    "pool_tables",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'secureboost' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
