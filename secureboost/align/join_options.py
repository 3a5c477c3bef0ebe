"""What is joined by time, and what is kept: terms that both sides agree on, and own choices.

The terms travel and must be the same on both sides. The label party alone chooses what becomes of
its rows without a match, and each side how much memory it gives.
"""

from typing import TypeAlias, get_args

import msgspec

from secureboost.align.events import check_span
from secureboost.align.held import Match
from secureboost.dates import TimeUnit
from secureboost.errors import ConfigError

MAX_MATCHES = 2**16 - 1


class AsOfTerms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="as-of"):
    """The partner's newest row at or before the label row; times in `unit`.

    Attributes
    ----------
    unit : {"days", "seconds", "numbers"}
        See `secureboost.dates.TimeUnit`.
    window, lag : int
        The partner's row is at least `lag` and at most `window` older, see `as_of`.
    """

    unit: TimeUnit = "days"
    window: int
    lag: int = 0

    def __post_init__(self) -> None:
        _check_unit(self.unit)
        for name in ("window", "lag"):
            check_span(getattr(self, name), name)
        if self.lag > self.window:
            raise ConfigError(f"is {self.lag}, above window={self.window}; no row matches", "lag")


class WindowTerms(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="window"
):
    """Partner events around a label event; times in `unit`.

    Attributes
    ----------
    unit : {"days", "seconds", "numbers"}
        See `secureboost.dates.TimeUnit`.
    before, after : int
        A partner event matches from `before` before the label event to `after` after it.
    lateness : int
        How far out of order each stream may be.
    match : {"all", "first", "nearest", "last"}
        See `held.Match`.
    max_matches : int
        With ``"all"``: only the first so many of a label event; the others are counted.
    """

    unit: TimeUnit = "seconds"
    before: int
    after: int
    lateness: int = 0
    match: Match = "all"
    max_matches: int = 64

    def __post_init__(self) -> None:
        _check_unit(self.unit)
        for name in ("before", "after", "lateness"):
            check_span(getattr(self, name), name)
        if self.match not in get_args(Match):
            known = ", ".join(get_args(Match))
            raise ConfigError(f"is {self.match!r}; use one of: {known}", "match")
        _check_whole(self.max_matches, "max_matches", 1, MAX_MATCHES)


Terms: TypeAlias = AsOfTerms | WindowTerms


class AsOfOptions(AsOfTerms, frozen=True, kw_only=True):
    """`AsOfTerms`, and what the label party chooses.

    Attributes
    ----------
    keep_unmatched : float
        Share of the label rows without a match that is kept, drawn at random: 0 is an inner join,
        1 a left join.
    seed : int
        Of that draw.
    """

    keep_unmatched: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_draw(self.keep_unmatched, self.seed)

    def terms(self) -> AsOfTerms:
        """What travels."""
        return AsOfTerms(unit=self.unit, window=self.window, lag=self.lag)


class WindowOptions(WindowTerms, frozen=True, kw_only=True):
    """`WindowTerms`, and what a side chooses for itself.

    Attributes
    ----------
    keep_unmatched : float
        Share of the label events without a match that is kept, drawn at random: negative examples.
    seed : int
        Of that draw. The draw for the n-th label event without a match is always the same one.
    max_held : int
        Events that may be held in memory, 20 bytes each.
    """

    keep_unmatched: float = 0.0
    seed: int = 0
    max_held: int = 10_000_000

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_draw(self.keep_unmatched, self.seed)
        _check_whole(self.max_held, "max_held", 1, 2**53)

    def terms(self) -> WindowTerms:
        """What travels."""
        return WindowTerms(**{name: getattr(self, name) for name in WindowTerms.__struct_fields__})


def listed_terms(terms: Terms) -> dict[str, str | int]:
    """What terms say, by name; ``"join"`` is their kind."""
    kind = str(type(terms).__struct_config__.tag)
    return {"join": kind, **{name: getattr(terms, name) for name in terms.__struct_fields__}}


def terms_text(terms: Terms) -> str:
    """What terms say, for people: ``"as-of: unit days, window 365, lag 0"``."""
    listed = listed_terms(terms)
    return f"{listed.pop('join')}: " + ", ".join(f"{key} {value}" for key, value in listed.items())


def differences(label: Terms, own: Terms) -> list[str]:
    """Say in what terms differ, as a feature party tells the label party.

    Parameters
    ----------
    label : AsOfTerms or WindowTerms
        The label party's.
    own : AsOfTerms or WindowTerms
        The feature party's.

    Returns
    -------
    list of str
        As ``"window is 90 at the label party and 30 at this party"``.
    """
    theirs, ours = listed_terms(label), listed_terms(own)
    names = ["join"] if theirs["join"] != ours["join"] else list(ours)
    return [
        f"{name} is {theirs[name]!r} at the label party and {ours[name]!r} at this party"
        for name in names
        if theirs[name] != ours[name]
    ]


def _check_unit(unit: str) -> None:
    if unit not in get_args(TimeUnit):
        raise ConfigError(f"is {unit!r}; use one of: {', '.join(get_args(TimeUnit))}", "unit")


def _check_draw(share: float, seed: int) -> None:
    if not 0 <= share <= 1:
        raise ConfigError(f"is {share}; it must lie between 0 and 1", "keep_unmatched")
    _check_whole(seed, "seed", 0, 2**63 - 1)


def _check_whole(value: int, name: str, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ConfigError(f"is {value}; it must lie between {low} and {high}", name)
