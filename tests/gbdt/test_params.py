import dataclasses

import numpy as np
import pytest

from secureboost.gbdt.params import BoosterParams


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_estimators": 0}, "n_estimators=0 must be at least 1"),
        ({"max_bin": 256}, "max_bin=256 must be 2 to 255"),
        ({"max_bin": 32.0}, "max_bin=32.0 is not an integer"),
        ({"max_depth": True}, "max_depth=True is not an integer"),
        ({"max_depth": -1}, "max_depth=-1 must be at least 0"),
        ({"learning_rate": 0.0}, "learning_rate=0.0 must be above 0"),
        ({"subsample": 1.5}, "subsample=1.5 must be above 0 and at most 1"),
        ({"gamma": -0.1}, "gamma=-0.1 must be at least 0"),
        ({"reg_lambda": float("nan")}, "reg_lambda=nan is not a finite number"),
        ({"reg_alpha": "1"}, "reg_alpha='1' is not a finite number"),
        ({"min_child_samples": 0}, "min_child_samples=0 must be at least 1"),
        ({"grow_policy": "best"}, "grow_policy='best' is not one of depthwise, lossguide"),
        ({"max_depth": 0}, "max_depth=0 and max_leaves=0: a tree needs a limit"),
        ({"max_leaves": 1}, "max_leaves=1: a tree with a split has 2 leaves"),
        ({"base_score": float("inf")}, "base_score=inf is not a finite number"),
        ({"random_state": -1}, "random_state=-1 must be at least 0"),
    ],
)
def test_refusals_name_parameter_value_and_limit(changes, message):
    with pytest.raises(ValueError) as caught:
        BoosterParams(**changes)
    assert message in str(caught.value)


def test_numpy_numbers_are_numbers():
    params = BoosterParams(max_depth=np.int64(3), gamma=np.float32(0.5), reg_lambda=1)
    assert dataclasses.replace(params, max_leaves=4).max_depth == 3
