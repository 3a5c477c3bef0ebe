"""The normal forms of ids: one function for each kind of rule, from a cell to its text.

A reader takes a cell that is not missing and gives its normal form: empty if the cell is blank,
None if it cannot be read. A normal form is its own normal form. What the kinds mean for people is
in `secureboost.align.rules`.

References
----------
Unicode 15.1, section 3.13, D146 (compatibility caseless match); UAX #15, section 3 (stability).
"""

import datetime
import re
import unicodedata
from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from typing import Any, TypeAlias

from secureboost.csv_rows import MISSING_TEXTS
from secureboost.errors import ConfigError

Reader: TypeAlias = Callable[[Any], str | None]
"""From a cell that is not missing to its normal form: empty is blank, None cannot be read."""

# Default_Ignorable_Code_Point of Unicode's DerivedCoreProperties, and the controls that are not
# white space.
_IGNORABLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_ADDRESS = re.compile(r"([^\s@<>,;:]+)@([^\s@<>,;:]+)")
_ISO_DAY = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?\s?(?:Z|[+-]\d\d(?::?\d\d)?)?)?",
    re.ASCII,
)
_WHOLE = re.compile(r"([+-]?\d{1,100})(?:\.0*)?", re.ASCII)
_EXACT_FLOATS = 2**53  # beyond, a float no longer tells neighbouring whole numbers apart
_CACHED_DAYS = 65_536  # 180 years of birthdays


def fold(text: str) -> str | None:
    """Normalise words: what is equal but for case, width, composition or invisibles is equal.

    Returns
    -------
    str or None
        None if the text holds characters that are unknown or no text (lone surrogates).
    """
    clean = _visible(text)
    if clean is None:
        return None
    if clean.isascii():
        return " ".join(clean.lower().split())
    once = _nfkc(unicodedata.normalize("NFD", clean).casefold())
    return " ".join(_nfkc(once.casefold()).split())


def _visible(text: str) -> str | None:
    """Take out what cannot be seen; None if characters are unknown."""
    if text.isprintable() and text.isascii():
        return text
    text = _IGNORABLE.sub("", text)
    if not text.isprintable() and any(unicodedata.category(c) in ("Cn", "Cs") for c in text):
        return None
    return text


def _nfkc(text: str) -> str:
    return unicodedata.normalize("NFKC", text)


def _tidy(value: object) -> str | None:
    """Text that stands for a number, a day or an address; empty also where a file says NULL."""
    text = _visible(str(value))
    if text is None:
        return None
    text = _nfkc(text).strip()
    return "" if text in MISSING_TEXTS else text


def read_exact(value: object) -> str | None:
    """Text as it is, without white space around it; nothing that cannot be seen."""
    text = str(value).strip()
    return text if text.isprintable() else None


def read_text(value: object) -> str | None:
    """Words, see `fold`."""
    return fold(str(value))


def read_code(value: object) -> str | None:
    """ASCII letters and digits, upper case."""
    text = _visible(str(value))
    if text is None:
        return None
    text = _nfkc(text)
    if not text.isalnum():  # white space and punctuation only group the characters
        text = "".join(c for c in text if not (c.isspace() or unicodedata.category(c)[0] == "P"))
    return text.upper() if text.isascii() and (text.isalnum() or not text) else None


def read_email(value: object) -> str | None:
    """An address in one case."""
    text = _tidy(value)
    if not text:
        return text
    parts = _ADDRESS.fullmatch(text)
    if parts is None:
        return None
    # in a domain "ß" and "ss" are two names, so it is in lower case and not folded
    return f"{fold(parts[1])}@{_nfkc(parts[2].lower())}"


def read_integer(value: Any) -> str | None:
    """A whole number, from text, integers, floats or decimals."""
    if isinstance(value, str):
        text = _tidy(value)
        if not text:
            return text
        parts = _WHOLE.fullmatch(text)
        return None if parts is None else str(int(parts[1]))
    limit = 10**100 if isinstance(value, (int, Decimal)) else _EXACT_FLOATS
    if not -limit < value < limit:
        return None
    return str(int(value)) if int(value) == value else None


def date_reader(form: str) -> Reader:
    """Make a reader of days.

    Parameters
    ----------
    form : str
        How text is written, as `datetime.datetime.strptime` takes it; empty: ISO 8601. Dates that
        are no text need none.

    Raises
    ------
    ConfigError
        If a day does not come back from this format.
    """
    if form:
        _check_format(form)

    @lru_cache(maxsize=_CACHED_DAYS)
    def day_of(text: str) -> str | None:
        try:
            if form:
                return datetime.datetime.strptime(text, form).date().isoformat()
            parts = _ISO_DAY.fullmatch(text)
            return None if parts is None else datetime.date.fromisoformat(parts[1]).isoformat()
        except ValueError:  # it quotes the text
            return None

    def read(value: object) -> str | None:
        if isinstance(value, datetime.date):  # pandas' timestamps too
            return value.isoformat()[:10]
        text = _tidy(value)
        return day_of(text) if text else text

    return read


def _check_format(form: str) -> None:
    """Refuse a format from which a day does not come back as it was written."""
    for day in (datetime.date(1935, 11, 28), datetime.date(2004, 2, 3)):
        try:
            back = datetime.datetime.strptime(day.strftime(form), form).date()
        except ValueError:
            back = None
        if back != day:
            raise ConfigError(
                f"date:{form}: this format does not give a day with a year of four digits; write "
                "it like date:%d.%m.%Y"
            )


def phone_reader(region: str) -> Reader:
    """Make a reader of telephone numbers.

    Only numbers that are in use are read: many customers may share a placeholder such as 00000.
    Which are in use, the library knows as of its release.

    Parameters
    ----------
    region : str
        Of numbers without a country code, two letters of ISO 3166; empty: they cannot be read.

    Raises
    ------
    ConfigError
        If the library is not installed or does not know the region.
    """
    phonenumbers = phone_library()
    if region and region not in phonenumbers.SUPPORTED_REGIONS:
        raise ConfigError(
            f"phone:{region}: {region!r} is no region; use the two capital letters of ISO 3166, as "
            "in phone:GB"
        )

    def read(value: object) -> str | None:
        text = _tidy(value)
        if not text:
            return text
        try:
            number = phonenumbers.parse(text, region or None)
        except phonenumbers.NumberParseException:  # it may quote the number
            return None
        if not phonenumbers.is_valid_number(number):
            return None
        written = phonenumbers.PhoneNumberFormat.E164
        return str(phonenumbers.format_number(number, written))

    return read


def phone_library() -> Any:
    """Import phonenumbers.

    Raises
    ------
    ConfigError
        If it is not installed.
    """
    try:
        import phonenumbers
    except ImportError as error:
        raise ConfigError(
            "the rule 'phone' needs the library phonenumbers. Install it: "
            "pip install 'secureboost[phone]'"
        ) from error
    return phonenumbers
