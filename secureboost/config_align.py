"""``[align]`` of both configuration files: how a table's ids are read, and how they are matched.

What both sides must have alike (the kinds of the rules, their order) is agreed in the session; the
rest is each side's own.
"""

import re
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

from secureboost.align.join_options import AsOfOptions, AsOfTerms
from secureboost.align.methods import get_method
from secureboost.align.options import AlignOptions, Result
from secureboost.align.rules import KeyRules, key_rules
from secureboost.config_types import Count, Name, Names
from secureboost.dates import TimeUnit
from secureboost.errors import ConfigError

_SPAN = re.compile(r"([0-9]{1,10}) ?(d|h|min|s)")
_SECONDS = {"s": 1, "min": 60, "h": 3_600}

Id = Name | Names
"""The id column, or several columns that are a key together."""


class KeyRows(Struct, frozen=True, forbid_unknown_fields=True):
    """How the rows of a table get their keys; both sides have these settings.

    Attributes
    ----------
    rules : dict of str to str
        For key columns how values are brought into one form, see `secureboost.align.rules`; a
        column that is not named is taken as it is.
    duplicates : {"error", "first", "last"}
        What happens to rows with the same key; with `time` each is a row of its own.
    blanks, unreadable : {"error", "drop"}
        What happens to rows of which a key column is blank, or cannot be read by its rule.
    time : str, optional
        Column with the day or moment of each row: of a feature party's rows of a customer the
        newest at or before the label party's row is taken.
    window, lag : str or int
        It must be at most `window` and at least `lag` older, and both sides must say the same:
        ``"365d"``, ``"12h"``, ``"90min"``, ``"30s"``, or a number where times are numbers.
    """

    rules: dict[str, str] = {}
    duplicates: Literal["error", "first", "last"] = "error"
    blanks: Literal["error", "drop"] = "error"
    unreadable: Literal["error", "drop"] = "error"
    time: Name | None = None
    window: Name | Annotated[int, Meta(ge=0)] | None = None
    lag: Name | Annotated[int, Meta(ge=0)] | None = None

    def __post_init__(self) -> None:
        if self.time is None:
            for name in ("window", "lag"):
                if getattr(self, name) is not None:
                    raise ConfigError("is for rows with a time; set time, the column of it", name)
            return
        if self.window is None:
            raise ConfigError(
                "say how much older a feature party's row may be, as in '365d'", "window"
            )
        if self.duplicates != "error":
            raise ConfigError("has no meaning with time: each row is one of its own", "duplicates")
        self.terms()

    def terms(self) -> AsOfTerms:
        """How times are compared; only where there is a column of times.

        Raises
        ------
        ConfigError
        """
        unit, window = _span(self.window or 0, "window")
        lag_unit, lag = _span(self.lag, "lag") if self.lag else (unit, 0)
        if lag_unit != unit:
            raise ConfigError(f"is in {lag_unit}, window in {unit}; take one unit", "lag")
        return AsOfTerms(unit=unit, window=window, lag=lag)


class LabelAlign(KeyRows, frozen=True, forbid_unknown_fields=True):
    """``[align]`` of the label party.

    Fields that `secureboost.align.options.AlignOptions` has too have its defaults, which a test
    holds.

    Attributes
    ----------
    file : Path, optional
        Folder that `secureboost align` has written; by default each run aligns by itself where the
        tables do not agree.
    method, group, result, min_size, padding, max_rows, signatures
        See `AlignOptions`.
    keep_unmatched : float
        Share of the rows of common customers that is kept, drawn at random, though no row of theirs
        was known in time: 0 drops them all.
    """

    file: Path | None = None
    method: Name = "ecdh"
    group: Name | None = None
    result: Result = "both"
    min_size: Count = 1
    padding: Annotated[int, Meta(ge=0)] = 0
    max_rows: Count = 100_000_000
    signatures: Path | None = None
    keep_unmatched: Annotated[float, Meta(ge=0, le=1)] = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.result == "size":
            raise ConfigError(
                "'size' is no result to train with; for the number of common ids alone: "
                "secureboost align CONFIG --size-only",
                "result",
            )
        try:
            self.options()
        except ConfigError as error:
            raise ConfigError(error.message, error.path.removeprefix("align.")) from error
        if self.time is None and self.keep_unmatched:
            raise ConfigError("is for rows with a time; set time", "keep_unmatched")
        if self.time is not None and (self.padding or self.result != "both"):
            raise ConfigError(
                "cannot be hidden where rows have times: the times of common customers are told. "
                "Leave padding and result out",
                "padding" if self.padding else "result",
            )

    def options(self, *, size_only: bool = False) -> AlignOptions:
        """How keys are compared.

        Raises
        ------
        ConfigError
        """
        options = AlignOptions(
            method=self.method,
            group=self.group,
            result="size" if size_only else self.result,
            min_size=self.min_size,
            padding=0 if size_only else self.padding,
            max_rows=self.max_rows,
            signatures=self.signatures,
            join=None if self.time is None else self.terms(),
        )
        get_method(self.method).check_options(options)
        return options

    def as_of(self) -> AsOfOptions:
        """How rows with times are joined.

        Raises
        ------
        ConfigError
        """
        terms = self.terms()
        return AsOfOptions(
            unit=terms.unit, window=terms.window, lag=terms.lag, keep_unmatched=self.keep_unmatched
        )


class FeatureAlign(KeyRows, frozen=True, forbid_unknown_fields=True):
    """``[align]`` of a feature party: its own limits for those who look for common customers.

    Limits and their defaults are those of `secureboost.align.policy.AlignPolicy`, which a test
    holds.

    Attributes
    ----------
    min_size, max_rows, max_probed_keys
        See `AlignPolicy`.
    signing_key : Path, optional
        Key file of `secureboost keygen --signing`; with it the method ``"rsa"`` is offered.
    max_signatures : int, optional
        Signatures that are ever given out under it; None is no limit.
    dates : list of str
        With `time`: columns that hold dates, no features. None may lie after the time of the label
        party's row that a row is matched with.
    later : {"error", "drop"}
        What happens where one does.
    """

    min_size: Count = 1
    max_rows: Count = 100_000_000
    max_probed_keys: Count | None = None
    signing_key: Path | None = None
    max_signatures: Annotated[int, Meta(ge=0)] | None = None
    dates: list[Name] = []
    later: Literal["error", "drop"] = "error"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dates and self.time is None:
            raise ConfigError("is for rows with a time; set time", "dates")
        if self.max_signatures is not None and self.signing_key is None:
            raise ConfigError("is for signing_key, the key that signs; set it", "max_signatures")


def columns_of(id_column: Id) -> list[str]:
    """The key columns as a list."""
    return [id_column] if isinstance(id_column, str) else list(id_column)


def check_keys(id_column: Id, align: KeyRows) -> KeyRules:
    """Read the rules of key columns.

    Raises
    ------
    ConfigError
        With the path of the key in the file.
    """
    try:
        return key_rules(columns_of(id_column), align.rules)
    except ConfigError as error:
        table = "data" if error.path == "id" else "align"
        raise ConfigError(error.message, f"{table}.{error.path}") from error


def _span(text: str | int, name: str) -> tuple[TimeUnit, int]:
    """Read a length of time: its unit and how many."""
    if isinstance(text, int):
        return "numbers", text
    parts = _SPAN.fullmatch(text)
    if parts is None:
        raise ConfigError(
            f"{text!r} is no length of time; write it like '365d', '12h', '90min' or '30s', or as "
            "a number where times are numbers",
            name,
        )
    count, unit = int(parts[1]), parts[2]
    return ("days", count) if unit == "d" else ("seconds", count * _SECONDS[unit])
