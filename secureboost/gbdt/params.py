"""The hyperparameters of boosting, under XGBoost's names, checked in one place."""

import math
from dataclasses import dataclass, fields
from numbers import Integral, Real

# name -> (smallest, largest); None: no limit. Open ends are in _ABOVE_ZERO.
_INTEGERS: dict[str, tuple[int, int | None]] = {
    "n_estimators": (1, None),
    "max_depth": (0, None),
    "max_leaves": (0, None),
    "max_bin": (2, 255),
    "min_child_samples": (1, None),
    "max_cat_to_onehot": (1, 255),
    "max_cat_threshold": (1, 255),
    "min_data_per_group": (1, None),
    "label_party_trees": (0, None),
}
_REALS: dict[str, tuple[float, float | None]] = {
    "learning_rate": (0.0, None),
    "reg_lambda": (0.0, None),
    "reg_alpha": (0.0, None),
    "gamma": (0.0, None),
    "min_child_weight": (0.0, None),
    "max_delta_step": (0.0, None),
    "subsample": (0.0, 1.0),
    "colsample_bytree": (0.0, 1.0),
    "colsample_bylevel": (0.0, 1.0),
    "colsample_bynode": (0.0, 1.0),
    "top_rate": (0.0, 1.0),
    "other_rate": (0.0, 1.0),
    "cat_smooth": (0.0, None),
    "cat_l2": (0.0, None),
    "max_shared_purity": (0.0, 1.0),
}
_ABOVE_ZERO = frozenset(
    {
        "learning_rate",
        "subsample",
        "colsample_bytree",
        "colsample_bylevel",
        "colsample_bynode",
        "other_rate",
        "max_shared_purity",
    }
)
_CHOICES: dict[str, tuple[str, ...]] = {
    "grow_policy": ("depthwise", "lossguide"),
    "sampling_method": ("uniform", "goss"),
    "multi_strategy": ("one_output_per_tree", "multi_output_tree"),
}
_FLAGS = ("goss_hide_rows",)


@dataclass(frozen=True)
class BoosterParams:
    """Hyperparameters with XGBoost's names, meaning and, but for `max_bin`, defaults.

    Attributes
    ----------
    n_estimators : int
        Trees.
    learning_rate : float
        Factor of each leaf value.
    max_depth, max_leaves : int
        Limits of a tree; 0 is no limit, but not both can be 0.
    grow_policy : str
        "depthwise" (level by level) or "lossguide" (the leaf with the highest gain first).
    max_bin : int
        Bins of a column, 2 to 255, without the missing bin.
    reg_lambda, reg_alpha : float
        L2 and L1 penalty of leaf values.
    gamma : float
        Least gain of a split.
    min_child_weight : float
        Least sum of hessians in a child.
    min_child_samples : int
        Fewest (sampled) rows in a child.
    max_delta_step : float
        Largest absolute leaf value before the learning rate; 0 is no limit.
    subsample : float
        Share of rows drawn, without replacement, for each round.
    colsample_bytree, colsample_bylevel, colsample_bynode : float
        Share of columns drawn, without replacement, for each tree, of those for each level, and of
        those for each node.
    sampling_method : str
        "uniform" draws `subsample` of the rows; "goss" keeps the rows with the largest gradients
        and draws among the others (Ke et al., "LightGBM", 2017, algorithm 2).
    top_rate, other_rate : float
        GOSS: share of rows kept for their gradients, and share (of all rows) drawn from the rest.
    goss_hide_rows : bool
        GOSS: send encryptions of zero for the rows that do not count, so that feature parties
        cannot tell which rows have large gradients. Every row then counts as a row of a node.
    multi_strategy : str
        With several outputs: "one_output_per_tree" or "multi_output_tree".
    max_cat_to_onehot : int
        Columns of up to so many categories are split into one category and the others.
    cat_smooth, cat_l2 : float
        Categories are ordered by ``G / (H + cat_smooth)``; splits by them have ``cat_l2`` more L2
        penalty in their gain.
    max_cat_threshold : int
        Most categories on the left side of a split.
    min_data_per_group : int
        Categories with fewer (sampled) rows in a node are not sent left; see `least_group`. A floor
        for each category, where LightGBM has one for the sum of several.
    label_party_trees : int
        The trees of the first so many rounds use the label party's own columns only.
    max_shared_purity : float
        Nodes in which one class has a larger share of the rows are split by the label party's
        columns alone, and so are their siblings and descendants; 1 is no limit.
    base_score : float or None
        What is predicted before the first tree; None takes it from the training labels.
    random_state : int or None
        Seed of the draws.

    Raises
    ------
    ValueError
        Naming the parameter, its value and the limit.
    """

    n_estimators: int = 100
    learning_rate: float = 0.3
    max_depth: int = 6
    max_leaves: int = 0
    grow_policy: str = "depthwise"
    max_bin: int = 64
    reg_lambda: float = 1.0
    reg_alpha: float = 0.0
    gamma: float = 0.0
    min_child_weight: float = 1.0
    min_child_samples: int = 1
    max_delta_step: float = 0.0
    subsample: float = 1.0
    colsample_bytree: float = 1.0
    colsample_bylevel: float = 1.0
    colsample_bynode: float = 1.0
    sampling_method: str = "uniform"
    top_rate: float = 0.2
    other_rate: float = 0.1
    goss_hide_rows: bool = False
    multi_strategy: str = "one_output_per_tree"
    max_cat_to_onehot: int = 4
    cat_smooth: float = 10.0
    cat_l2: float = 10.0
    max_cat_threshold: int = 32
    min_data_per_group: int = 10
    label_party_trees: int = 0
    max_shared_purity: float = 1.0
    base_score: float | None = None
    random_state: int | None = None

    def __post_init__(self) -> None:
        for name in (field.name for field in fields(self)):
            value = getattr(self, name)
            if name in _INTEGERS:
                _check_integer(name, value, *_INTEGERS[name])
            elif name in _REALS:
                _check_real(name, value, *_REALS[name])
            elif name in _CHOICES and value not in _CHOICES[name]:
                raise ValueError(f"{name}={value!r} is not one of {', '.join(_CHOICES[name])}")
            elif name in _FLAGS and not isinstance(value, bool):
                raise ValueError(f"{name}={value!r} is not True or False")
        if self.max_depth == 0 and self.max_leaves == 0:
            raise ValueError(
                "max_depth=0 and max_leaves=0: a tree needs a limit; set one of them above 0"
            )
        if self.max_leaves == 1:
            raise ValueError("max_leaves=1: a tree with a split has 2 leaves; 0 is no limit")
        if self.sampling_method == "goss":
            self._check_goss()
        if self.base_score is not None:
            _check_real("base_score", self.base_score, None, None)
        if self.random_state is not None:
            _check_integer("random_state", self.random_state, 0, None)

    @property
    def least_group(self) -> int:
        """Fewest active rows of a category that may be sent left.

        Never below `min_child_samples`: if each category on the left has so many rows, and one
        that stays on the right as well, then both sides have, without a count having to travel.
        """
        return max(self.min_data_per_group, self.min_child_samples)

    def _check_goss(self) -> None:
        if self.subsample != 1.0:
            raise ValueError(
                f"subsample={self.subsample}: sampling_method='goss' draws rows by top_rate and "
                "other_rate; leave subsample at 1"
            )
        if self.top_rate + self.other_rate > 1.0:
            raise ValueError(
                f"top_rate={self.top_rate}, other_rate={self.other_rate}: together they must be "
                "at most 1"
            )


def _check_integer(name: str, value: object, low: int, high: int | None) -> None:
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise ValueError(f"{name}={value!r} is not an integer")
    if int(value) < low or (high is not None and int(value) > high):
        limit = f"at least {low}" if high is None else f"{low} to {high}"
        raise ValueError(f"{name}={value} must be {limit}")


def _check_real(name: str, value: object, low: float | None, high: float | None) -> None:
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise ValueError(f"{name}={value!r} is not a finite number")
    number = float(value)
    open_end = name in _ABOVE_ZERO
    below = low is not None and (number < low or (open_end and number == low))
    if below or (high is not None and number > high):
        limit = f"{'above' if open_end else 'at least'} {low:g}"
        raise ValueError(
            f"{name}={value} must be {limit}" + ("" if high is None else f" and at most {high:g}")
        )
