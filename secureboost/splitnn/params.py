"""Hyperparameters of a network, checked."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from secureboost.errors import ConfigError, did_you_mean
from secureboost.splitnn.architectures import ColumnsSpec, get_architecture, name_of
from secureboost.splitnn.codecs import MASKED_SUM, get_codec
from secureboost.splitnn.optimisers import check_optimiser
from secureboost.splitnn.options import Choice, Option
from secureboost.splitnn.protections import feature_protections, label_protections
from secureboost.splitnn.protocol import MOST_IN_FLIGHT

_WHOLE = {
    "n_epochs": (1, 10**6),
    "batch_size": (1, 2**24),
    "in_flight": (1, MOST_IN_FLIGHT),
    "local_steps": (1, 1000),
    "width": (1, 65_536),
    "body_width": (1, 65_536),
}
_REAL = {
    "learning_rate": (0.0, 1e3),
    "momentum": (0.0, 1.0),
    "weight_decay": (0.0, 1e3),
    "party_dropout": (0.0, 1.0),
}
LONGEST_WAIT = 3600.0
_DTYPES = ("float32", "float64")


@dataclass(frozen=True)
class NetParams:
    """Hyperparameters.

    Attributes
    ----------
    architecture : str
        Of top and bottoms; a feature party may have its own bottom.
    bottom, top : mapping of str to option
        Options of the architecture.
    body : str or None
        The party that computes the body of the top (`body`); None: it is the label party's.
    body_width : int
        Numbers that the body gives for a row.
    bottoms : mapping of str to Choice
        Bottoms of another kind, or with other options, by party; the empty name is the label party.
    width : int
        Numbers of a row that each bottom gives.
    n_epochs, batch_size : int
    optimizer : str
    learning_rate, momentum, weight_decay : float
    max_norm : float or None
        To which the gradient of each party's weights is clipped.
    in_flight : int
        Batches under way at a time; above 1 gradients come late by one batch less.
    local_steps : int
        Steps for one exchange.
    dtype : str
    codec : str
    label_protections, feature_protections : tuple of Choice
    party_dropout : float
        Probability that a feature party is missing in a row of training (`party_dropout`).
    max_wait : float or None
        Seconds that a batch waits for feature parties (`late`); None: as long as it takes.

    Raises
    ------
    secureboost.errors.ConfigError
        If one is unknown or out of its limits; parameter, value and limit are named.
    """

    architecture: str = "mlp"
    bottom: Mapping[str, Option] = field(default_factory=dict)
    top: Mapping[str, Option] = field(default_factory=dict)
    bottoms: Mapping[str, Choice] = field(default_factory=dict)
    body: str | None = None
    body_width: int = 32
    width: int = 32
    n_epochs: int = 20
    batch_size: int = 1024
    optimizer: str = "adam"
    learning_rate: float = 0.001
    momentum: float = 0.0
    weight_decay: float = 0.0
    max_norm: float | None = None
    in_flight: int = 1
    local_steps: int = 1
    dtype: str = "float32"
    codec: str = "identity"
    label_protections: tuple[Choice, ...] = ()
    feature_protections: tuple[Choice, ...] = ()
    party_dropout: float = 0.0
    max_wait: float | None = None

    def __post_init__(self) -> None:
        for name, (low, high) in _WHOLE.items():
            _check_whole(name, getattr(self, name), low, high)
        for name, limits in _REAL.items():
            _check_real(name, getattr(self, name), *limits)
        if self.learning_rate == 0.0:
            raise ConfigError("is 0; it must lie above", "learning_rate")
        if self.max_norm is not None:
            _check_real("max_norm", self.max_norm, 0.0, 1e30)
        self._check_absence()
        self._check_masked()
        if self.dtype not in _DTYPES:
            raise ConfigError(f"is {self.dtype!r}; it must be one of {', '.join(_DTYPES)}", "dtype")
        check_optimiser(self)
        kind = get_architecture(self.architecture)
        kind.check_options(self.bottom, self.top, self.body_width if self.body else 1)
        for choice in self.bottoms.values():
            get_architecture(choice.name).check_bottom(choice.options)
        get_codec(self.codec)
        label_protections(self.label_protections)
        feature_protections(self.feature_protections)

    def _check_absence(self) -> None:
        if self.party_dropout == 1.0:
            raise ConfigError("is 1; it must lie below", "party_dropout")
        if self.max_wait is None:
            return
        _check_real("max_wait", self.max_wait, 0.0, LONGEST_WAIT)
        if self.max_wait == 0.0:
            raise ConfigError("is 0; it must lie above", "max_wait")
        if self.party_dropout == 0.0:
            raise ConfigError(
                f"is {self.max_wait:g} and party_dropout is 0. Batches that come too late are left "
                "out, and only a network that was trained with rows left out bears it: set "
                "party_dropout, for instance 0.1",
                "max_wait",
            )

    def _check_masked(self) -> None:
        if self.codec != MASKED_SUM:
            return
        if self.body is not None:
            raise ConfigError(
                f"is {self.body!r}, and codec is {MASKED_SUM!r}: whoever computes the body would "
                "read the sum, and knows a summand of it. Leave body out, or take another codec",
                "body",
            )
        if self.party_dropout:
            raise ConfigError(
                f"is {self.party_dropout:g}, and codec is {MASKED_SUM!r}: the masks of a sum "
                "cancel only if all members are there. Set party_dropout=0, or take another codec",
                "party_dropout",
            )

    @property
    def top_choice(self) -> Choice:
        """The label party's network: the whole top, or the head over a body."""
        if self.body:
            return Choice("mlp", {"hidden": ()})
        return Choice(self.architecture, dict(self.top))

    @property
    def cut_width(self) -> int:
        """Numbers that each party's bottom gives for a row."""
        return get_architecture(self.architecture).cut_width(self.width, self.bottom)

    def own_width(self, columns: ColumnsSpec) -> int:
        """Numbers that the label party's own bottom gives for a row."""
        choice = self.bottom_of("")
        kind = get_architecture(choice.name)
        return kind.own_width(columns, self.cut_width, choice.options)

    def bottom_of(self, owner: str) -> Choice:
        """The bottom of a party; it is proposed to a feature party."""
        return self.bottoms.get(owner, Choice(self.architecture, dict(self.bottom)))

    def may_be_late(self, owner: str) -> bool:
        """Whether a party is left out of batches that it is late for; that of the body is not."""
        return self.max_wait is not None and owner not in ("", self.body)

    def codec_of(self, owner: str) -> str:
        """How what a party's bottom gives travels."""
        return self.codec if self._leaves(owner) else "identity"

    def protections_of(self, owner: str) -> tuple[Choice, ...]:
        """What a party's bottom is protected by."""
        return self.feature_protections if self._leaves(owner) else ()

    def _leaves(self, owner: str) -> bool:
        """Whether what a party's bottom gives goes to another one."""
        return bool(owner) or self.body is not None


def bottom_choices(value: Any) -> dict[str, Choice]:
    """Bottoms by party as a user writes them: names, mappings of a name to options, architectures.

    Parameters
    ----------
    value : None or mapping of str to (str, mapping or Architecture)

    Raises
    ------
    secureboost.errors.ConfigError

    Examples
    --------
    >>> bottom_choices({"": "mlp", "bureau": {"bst": {"sequences": "PAY, BILL_AMT"}}})
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ConfigError(f"is a {type(value).__name__}; give a mapping by party", "bottoms")
    found = {}
    for owner, bottom in value.items():
        chosen = choices(f"bottoms[{owner!r}]", name_of(bottom))
        if len(chosen) != 1:
            raise ConfigError(
                f"holds {len(chosen)} architectures; a party has one bottom", f"bottoms[{owner!r}]"
            )
        found[str(owner)] = chosen[0]
    return found


def check_owners(params: NetParams, owners: Sequence[str]) -> None:
    """Check that whose bottoms are described, and who computes the body, take part.

    Raises
    ------
    secureboost.errors.ConfigError
    """
    others = [name for name in owners if name]
    known = ", ".join(map(repr, others)) or "nobody else"
    if params.party_dropout and not others:
        raise ConfigError(
            f"is {params.party_dropout:g}, and there is no feature party to be left out; pass "
            "parties, or column_owner",
            "party_dropout",
        )
    if params.codec == MASKED_SUM and len(others) < 2:
        raise ConfigError(
            f"is {MASKED_SUM!r}, and there is: {known}. A sum hides its summands if there are two "
            "or more: name more feature parties, or take another codec",
            "codec",
        )
    for owner in params.bottoms:
        if owner not in owners:
            raise ConfigError(
                f"names {owner!r}; there is '' for the label party, and: {known}."
                f"{did_you_mean(owner, others)}",
                "bottoms",
            )
    if params.body is not None and params.body not in others:
        raise ConfigError(
            f"is {params.body!r}, which is none of the parties; there is: {known}."
            f"{did_you_mean(params.body, others)}",
            "body",
        )


def choices(name: str, value: Any) -> tuple[Choice, ...]:
    """Protections as a user writes them: names, or mappings of names to options.

    Parameters
    ----------
    name : str
        The parameter, for messages.
    value : None, str, mapping or sequence of these

    Examples
    --------
    >>> choices("label_protections", ["marvell", {"max_norm": {"norm": 1.0}}])
    """
    if value is None:
        return ()
    items: Sequence[Any] = [value] if isinstance(value, str | Mapping) else value
    made: list[Choice] = []
    for item in items:
        if isinstance(item, str):
            made.append(Choice(item))
        elif isinstance(item, Mapping):
            made += [Choice(str(kind), dict(options)) for kind, options in item.items()]
        else:
            raise ConfigError(f"holds a {type(item).__name__}; give names or mappings", name)
    return tuple(made)


def _check_whole(name: str, value: Any, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ConfigError(f"is {value!r}; it must be a whole number from {low} to {high}", name)


def _check_real(name: str, value: Any, low: float, high: float) -> None:
    real = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not real or not low <= value <= high:
        raise ConfigError(f"is {value!r}; it must be a number from {low:g} to {high:g}", name)
