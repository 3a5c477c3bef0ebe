"""Seconds, bytes and memory of a federated training, before anybody commits to it."""

from secureboost.planning.calibration import calibrate
from secureboost.planning.predict import PartyPlan, Plan, predict
from secureboost.planning.rates import Rates
from secureboost.planning.shape import ONE_MACHINE, ONE_PROCESS, Link, Shape, equal_bins

__all__ = [
    "ONE_MACHINE",
    "ONE_PROCESS",
    "Link",
    "PartyPlan",
    "Plan",
    "Rates",
    "Shape",
    "calibrate",
    "equal_bins",
    "predict",
]
