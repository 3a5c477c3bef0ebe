"""Rules by which both sides write the same customer's id in the same way.

Each key column has a rule, written as a short text: ``"text"``, ``"phone:GB"``. The part before the
colon is its *kind*. What a kind gives is the same everywhere, so both sides must use the same kinds
in the same order; that is agreed when a session begins. The part after the colon says how *this*
table writes its values, ``date:%d.%m.%Y`` here and ``date`` there. It stays at home, and so do the
names of the columns.

=========  ========================================================================================
kind       what it gives
=========  ========================================================================================
exact      the default: the text as it is, leading zeros and case too, but for white space around
           it, with which exports of fixed width pad
text       names and words: Unicode NFKC, one case, white space collapsed, nothing invisible
code       numbers of documents, taxes, accounts: ASCII letters and digits alone, upper case
email      NFKC, one case; no tricks of providers with dots or plus signs
phone      E.164 without extension, by the library phonenumbers; after the colon the region of
           numbers without a country code
date       the day as YYYY-MM-DD; a time of day and its zone are cut off, not converted; after the
           colon how text is written if not so
integer    whole numbers without leading zeros: 007, 7.0 and 7 are 7
=========  ========================================================================================

*Blank* is a cell that is missing or has no text. For email, phone, date and integer so is what
files write for "no value" (`csv_rows.MISSING_TEXTS`); for the others it is not: Null is a surname.

*What they do not do.* NFKC leaves look-alikes alone: a Cyrillic "а" is not a Latin "a", so such
names do not match (`code` refuses them). Nor do accents go ("Zoë" is not "Zoe", the Turkish "ı" not
"i"), nor is "Müller" the same as "Mueller", a typographic apostrophe the same as a straight one, or
an international domain the same as its "xn--" form.

*Invisible characters.* `exact` takes what Python calls printable: no control characters, no
invisible ones, no space but the plain one. The other kinds take out control characters and what
Unicode calls default ignorable (zero-width spaces and joiners, direction marks, soft hyphens, byte
order marks, variation selectors), as Unicode's NFKC_Casefold does. They refuse characters that this
Python's Unicode does not know: what is read gives the same under every version of Unicode, since
the standard promises that for known characters.
"""

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from secureboost.align.normal_forms import (
    Reader,
    date_reader,
    phone_library,
    phone_reader,
    read_code,
    read_email,
    read_exact,
    read_integer,
    read_text,
)
from secureboost.errors import ConfigError, did_you_mean

MAX_KEY_COLUMNS = 16


@dataclass(frozen=True)
class Kind:
    """A kind of rule.

    Attributes
    ----------
    needs : str
        What a value must be to be read; completes "it needs ...".
    cells : frozenset of str
        Which cells it reads: "text", "integers", "numbers" (floats and decimals), "dates".
    reader : callable
        From the option (empty if there is none) to the reader; raises `ConfigError`.
    examples : callable
        From the option to made-up values.
    option : str
        What may stand after the colon; empty: nothing.
    """

    needs: str
    cells: frozenset[str]
    reader: Callable[[str], Reader]
    examples: Callable[[str], Sequence[str]]
    option: str = ""


@dataclass(frozen=True)
class Rule:
    """How one key column is normalised.

    Attributes
    ----------
    kind : str
        A key of `KINDS`.
    option : str
        How this table writes its values; empty if not given.
    """

    kind: str
    option: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.option}" if self.option else self.kind


@dataclass(frozen=True)
class KeyRules:
    """The rules of a table's key columns, in their order.

    Attributes
    ----------
    rules : tuple of Rule
    """

    rules: tuple[Rule, ...]

    @property
    def agreed(self) -> tuple[str, ...]:
        """What both sides must have alike: the kinds, without options and column names."""
        return tuple(rule.kind for rule in self.rules)

    def __str__(self) -> str:
        return ", ".join(str(rule) for rule in self.rules)


def key_rules(columns: Sequence[str], rules: Mapping[str, str] | None = None) -> KeyRules:
    """The rules of key columns, as a configuration writes them.

    Parameters
    ----------
    columns : sequence of str
        The key columns, at most `MAX_KEY_COLUMNS`. Their order is agreed with the other side.
    rules : mapping of column name to rule, optional
        Columns that are not named have the rule ``"exact"``.

    Raises
    ------
    ConfigError
        If there is no column, too many or one twice, a rule is of another column, or a rule cannot
        be used.

    Examples
    --------
    >>> print(key_rules(["surname", "birth"], {"surname": "text", "birth": "date:%d.%m.%Y"}))
    text, date:%d.%m.%Y
    """
    if isinstance(columns, str):
        raise ConfigError(f"{columns!r} is one text; give a list of key columns", "id")
    if not 1 <= len(columns) <= MAX_KEY_COLUMNS:
        raise ConfigError(f"{len(columns)} key columns; use 1 to {MAX_KEY_COLUMNS}", "id")
    if len(set(columns)) < len(columns):
        raise ConfigError(f"a key column occurs twice: {', '.join(columns)}", "id")
    rules = {} if rules is None else rules
    if not isinstance(rules, Mapping):
        raise ConfigError("must map key columns to rules: {surname = 'text'}", "rules")
    for column in rules:
        if column not in columns:
            raise ConfigError(
                f"is no key column; those are: {', '.join(columns)}."
                f"{did_you_mean(str(column), columns)}",
                f"rules.{column}",
            )
    return KeyRules(
        tuple(parse_rule(rules.get(name, "exact"), f"rules.{name}") for name in columns)
    )


def parse_rule(text: str, path: str = "rules") -> Rule:
    """Read a rule such as ``"text"`` or ``"phone:GB"``.

    Parameters
    ----------
    text : str
    path : str
        Where it is written, for messages.

    Raises
    ------
    ConfigError
        If the kind is unknown, takes no option, cannot use this one, or lacks a library.
    """
    if not isinstance(text, str):
        raise ConfigError(f"is {text!r}; a rule is a text such as 'text' or 'phone:GB'", path)
    name, colon, option = text.partition(":")
    kind = KINDS.get(name)
    if kind is None:
        raise ConfigError(
            f"{name!r} is no rule; there are: {', '.join(KINDS)}.{did_you_mean(name, KINDS)}", path
        )
    if colon and not (kind.option and option):
        after = f"{kind.option} after the colon" if kind.option else "nothing after its name"
        raise ConfigError(f"{text!r}: the rule {name!r} takes {after}", path)
    try:
        kind.reader(option)
    except ConfigError as error:
        raise ConfigError(error.message, path) from error
    return Rule(name, option)


def example(rules: KeyRules) -> str:
    """Show what rules do, on made-up values: a line for each.

    Examples
    --------
    >>> print(example(key_rules(["passport"], {"passport": "code"})))
    code: 'gb29 nwbk-6016.13' -> 'GB29NWBK601613'
    code: 'Ж-12' -> cannot be read
    """
    lines = []
    for rule in rules.rules:
        kind = KINDS[rule.kind]
        read = kind.reader(rule.option)
        for value in kind.examples(rule.option):
            found = read(value)
            result = "cannot be read" if found is None else repr(found) if found else "blank"
            lines.append(f"{rule}: {value!r} -> {result}")
    return "\n".join(lines)


def _phone_examples(region: str) -> Sequence[str]:
    phonenumbers = phone_library()
    number = phonenumbers.example_number(region or "GB")
    formats = phonenumbers.PhoneNumberFormat
    forms = (formats.INTERNATIONAL, formats.NATIONAL) if region else (formats.INTERNATIONAL,)
    return [*(phonenumbers.format_number(number, form) for form in forms), "0000"]


def _date_examples(form: str) -> Sequence[str]:
    day = datetime.date(1980, 2, 3)
    return [day.strftime(form)] if form else ["1980-02-03", "1980-02-03T00:00:00", "03.02.1980"]


def _always(reader: Reader) -> Callable[[str], Reader]:
    return lambda option: reader


def _shown(*examples: str) -> Callable[[str], Sequence[str]]:
    return lambda option: examples


_WORDS = frozenset({"text", "integers"})

KINDS: dict[str, Kind] = {
    "exact": Kind(
        needs="characters that can be seen, and no space but the plain one; the rule 'text' takes "
        "invisible ones out",
        cells=_WORDS,
        reader=_always(read_exact),
        examples=_shown(" 007 ", "A-12b", "A\u200b12"),
    ),
    "text": Kind(
        needs="characters that this Python's Unicode knows",
        cells=_WORDS,
        reader=_always(read_text),
        examples=_shown("  Zoë   MÜLLER ", "Strasse", "STRAßE", "Zo\u200bë"),
    ),
    "code": Kind(
        needs="ASCII letters and digits, grouped by white space and punctuation at most",
        cells=_WORDS,
        reader=_always(read_code),
        examples=_shown("gb29 nwbk-6016.13", "Ж-12"),
    ),
    "email": Kind(
        needs="one '@' with text on both sides, and no white space, comma or bracket",
        cells=frozenset({"text"}),
        reader=_always(read_email),
        examples=_shown(" Zoe.Muller+Bank@Example.ORG", "zoe.muller.example.org"),
    ),
    "phone": Kind(
        needs="a number that is in use, with its country code or in the region after 'phone:'",
        cells=_WORDS,
        reader=phone_reader,
        examples=_phone_examples,
        option="a region such as GB",
    ),
    "date": Kind(
        needs="a day as YYYY-MM-DD, or in the format after 'date:', as in date:%d.%m.%Y",
        cells=_WORDS | {"dates"},
        reader=date_reader,
        examples=_date_examples,
        option="a format such as %d.%m.%Y",
    ),
    "integer": Kind(
        needs="a whole number of at most 100 digits; floats only below 2**53",
        cells=_WORDS | {"numbers"},
        reader=_always(read_integer),
        examples=_shown("007", "7.0", "-0", "7.5"),
    ),
}
"""The registry: a new kind of rule is a line here."""
