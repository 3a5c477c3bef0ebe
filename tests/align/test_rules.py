import builtins
import datetime
import sys
import unicodedata
from decimal import Decimal

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secureboost.align.normal_forms import fold
from secureboost.align.rules import (
    KINDS,
    MAX_KEY_COLUMNS,
    Rule,
    example,
    key_rules,
    parse_rule,
)
from secureboost.errors import ConfigError

WITHOUT_LIBRARY = [kind for kind in KINDS if kind != "phone"]
ANY_TEXT = st.text(st.characters(), max_size=12)  # lone surrogates too


def read(rule, value):
    parsed = parse_rule(rule)
    return KINDS[parsed.kind].reader(parsed.option)(value)


@pytest.mark.parametrize(
    ("rule", "value", "expected"),
    [
        ("exact", " 007\t", "007"),
        ("exact", 7, "7"),
        ("exact", "Zoë b", "Zoë b"),
        ("exact", "NA", "NA"),
        ("exact", " \u3000 ", ""),
        ("exact", "a\u200bb", None),
        ("exact", "a\u00a0b", None),
        ("exact", "a\tb", None),
        ("exact", "\ufeffa", None),
        ("text", "  Zoë \t  MÜLLER\n", "zoë müller"),
        ("text", "STRASSE", "strasse"),
        ("text", "Straße", "strasse"),
        ("text", "ΣΊΣΥΦΟΣ", "σίσυφοσ"),
        ("text", "\uff21\uff22\u3000\uff23", "ab c"),
        ("text", "ﬁle", "file"),
        ("text", "a\u200b\u00ad\ufeffb\x00", "ab"),
        ("text", "\u200b\u2060", ""),
        ("text", "NULL", "null"),
        ("text", "a\u0378", None),  # a place without a character
        ("text", "\ud800", None),
        ("text", 12, "12"),
        ("code", "gb29 nwbk-6016/13_x.", "GB29NWBK601613X"),
        ("code", "12\u2013345", "12345"),
        ("code", " - ", ""),
        ("code", "1+2", None),
        ("code", "é1", None),
        ("code", "ß", None),
        ("code", 1234, "1234"),
        ("email", " Zoë.Müller+Bank@EXAMPLE.org ", "zoë.müller+bank@example.org"),
        ("email", "a.b@x.org", "a.b@x.org"),
        ("email", "strasse@straße.de", "strasse@straße.de"),
        ("email", "a\uff20x.org", "a@x.org"),
        ("email", "a.x.org", None),
        ("email", "a@b@x.org", None),
        ("email", "@x.org", None),
        ("email", "a@", None),
        ("email", "a b@x.org", None),
        ("email", "a@x.org,b@x.org", None),
        ("email", "<a@x.org>", None),
        ("email", "N/A", ""),
        ("date", "1980-02-03", "1980-02-03"),
        ("date", " 1980-02-03T23:59:59.5Z ", "1980-02-03"),
        ("date", "1980-02-03 00:00:00+02:00", "1980-02-03"),
        ("date", "0001-01-01", "0001-01-01"),
        ("date", "9999-12-31", "9999-12-31"),
        ("date", datetime.date(1980, 2, 3), "1980-02-03"),
        ("date", pd.Timestamp("1980-02-03 23:00", tz="America/New_York"), "1980-02-03"),
        ("date", "1980-02-30", None),
        ("date", "1980-2-3", None),
        ("date", "1980-02", None),
        ("date", "1980-02-03 or later", None),
        ("date", "03.02.1980", None),
        ("date", 19800203, None),
        ("date", "NULL", ""),
        ("date:%d.%m.%Y", " 3.02.1980", "1980-02-03"),
        ("date:%d.%m.%Y", "1980-02-03", None),
        ("date:%d.%m.%Y", "31.02.1980", None),
        ("date:%d.%m.%Y", datetime.date(1980, 2, 3), "1980-02-03"),
        ("date:%Y%m%d", 19800203, "1980-02-03"),
        ("integer", "007", "7"),
        ("integer", " +7.00 ", "7"),
        ("integer", "-0", "0"),
        ("integer", "-07", "-7"),
        ("integer", 7, "7"),
        ("integer", 7.0, "7"),
        ("integer", 2.0**53, None),
        ("integer", 7.5, None),
        ("integer", float("inf"), None),
        ("integer", Decimal("7.00"), "7"),
        ("integer", Decimal("7.5"), None),
        ("integer", Decimal(10) ** 40, "1" + 40 * "0"),
        ("integer", Decimal("1E+999999"), None),
        ("integer", 10**400, None),
        ("integer", "9" * 101, None),
        ("integer", "7e3", None),
        ("integer", "1_000", None),
        ("integer", "1,000", None),
        ("integer", "nan", ""),
    ],
)
def test_normal_forms(rule, value, expected):
    assert read(rule, value) == expected


@pytest.mark.parametrize("kind", ["exact", "text", "email"])
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a", "\u0430"),  # Cyrillic
        ("o", "\u03bf"),  # Greek
        ("i", "\u0131"),  # Turkish, without its dot
        ("e", "é"),
        ("ü", "ue"),
        ("'", "\u2019"),
    ],
)
def test_look_alikes_stay_different(kind, one, other):
    frame = "x{}@y" if kind == "email" else "x{}y"
    first, second = read(kind, frame.format(one)), read(kind, frame.format(other))
    assert None not in (first, second)
    assert first != second


def test_codes_refuse_look_alikes():
    assert read("code", "AB12") == "AB12"
    assert read("code", "\u0410\u041212") is None


@pytest.mark.parametrize("kind", WITHOUT_LIBRARY)
@given(text=ANY_TEXT)
def test_what_is_normal_stays_and_can_be_written(kind, text):
    normal = read(kind, f"a{text}@b" if kind == "email" else text)
    if normal is not None:
        assert normal.encode().decode() == normal
        assert read(kind, normal) == normal
        assert normal == normal.strip()


def test_every_character_has_one_normal_form():
    """All of the basic plane: alone, in a word, and under an accent."""
    for code in range(0x10000):
        for text in (chr(code), f"A{chr(code)}b", f"{chr(code)}\u0301"):
            normal = fold(text)
            if normal is None:
                continue
            assert fold(normal) == normal, hex(code)
            for form in ("NFC", "NFD", "NFKC", "NFKD"):
                assert fold(unicodedata.normalize(form, text)) == normal, (hex(code), form)


@given(st.text(st.characters(max_codepoint=127)))
def test_the_short_way_of_ascii_is_the_long_one(text):
    assert fold(text + " \u0430") == f"{fold(text)} \u0430".strip()


@given(st.text(st.characters(categories=["L", "N", "P", "Zs"]), max_size=10))
def test_case_and_composition_do_not_matter(text):
    for other in (text.upper(), text.lower()):
        if other.casefold() == text.casefold():
            assert fold(other) == fold(text)
    assert fold(f"  {unicodedata.normalize('NFD', text)}\u00a0") == fold(text)


def test_what_both_sides_must_have_alike_is_the_kinds():
    columns = ["name", "birth", "no"]
    here = key_rules(columns, {"name": "text", "birth": "date:%d.%m.%Y"})
    there = key_rules(["surname", "born", "customer"], {"surname": "text", "born": "date"})
    assert here.agreed == there.agreed == ("text", "date", "exact")
    assert here != there
    assert str(here) == "text, date:%d.%m.%Y, exact"
    assert here.rules[1] == Rule("date", "%d.%m.%Y")
    assert key_rules(["id"]).agreed == ("exact",)


@pytest.mark.parametrize(
    ("columns", "rules", "message"),
    [
        ([], None, "id: 0 key columns; use 1 to 16"),
        ([str(n) for n in range(MAX_KEY_COLUMNS + 1)], None, "id: 17 key columns; use 1 to 16"),
        ("id", None, "id: 'id' is one text; give a list of key columns"),
        (["a", "a"], None, "id: a key column occurs twice: a, a"),
        (["a"], ["text"], "rules: must map key columns to rules"),
        (["name"], {"nam": "text"}, "rules.nam: is no key column; those are: name. Did you mean"),
        (["a"], {"a": "txt"}, "rules.a: 'txt' is no rule; there are: exact, text, code, email"),
        (["a"], {"a": "txt"}, "Did you mean 'text'?"),
        (["a"], {"a": 7}, "rules.a: is 7; a rule is a text such as 'text' or 'phone:GB'"),
        (["a"], {"a": "text:GB"}, "rules.a: 'text:GB': the rule 'text' takes nothing after its"),
        (["a"], {"a": "date:"}, "the rule 'date' takes a format such as %d.%m.%Y after the colon"),
        (["a"], {"a": "date:%d.%m.%y"}, "rules.a: date:%d.%m.%y: this format does not give a day"),
        (["a"], {"a": "date:%d.%m"}, "write it like date:%d.%m.%Y"),
        (["a"], {"a": "date:%d.%m.%Y %"}, "write it like date:%d.%m.%Y"),
    ],
)
def test_bad_rules_are_named(columns, rules, message):
    with pytest.raises(ConfigError) as caught:
        key_rules(columns, rules)
    assert message in str(caught.value)


def test_examples_are_made_up_and_show_every_rule():
    rules = key_rules(WITHOUT_LIBRARY, {kind: kind for kind in WITHOUT_LIBRARY})
    lines = example(rules).splitlines()
    assert {line.partition(":")[0] for line in lines} == set(WITHOUT_LIBRARY)
    assert "text: '  Zoë   MÜLLER ' -> 'zoë müller'" in lines
    assert "date: '03.02.1980' -> cannot be read" in lines
    ours = example(key_rules(["d"], {"d": "date:%d.%m.%Y"}))
    assert ours == "date:%d.%m.%Y: '03.02.1980' -> '1980-02-03'"


@pytest.mark.parametrize(
    ("rule", "value", "expected"),
    [
        ("phone:GB", "020 7946 0018", "+442079460018"),
        ("phone:GB", 2079460018, "+442079460018"),
        ("phone:GB", "\u202a+44 (0)20 7946\u00a00018\u202c", "+442079460018"),
        ("phone:DE", "0044 20 79460018 ext. 5", "+442079460018"),
        ("phone", "+442079460018", "+442079460018"),
        ("phone", "020 7946 0018", None),
        ("phone:GB", "0000000000", None),
        ("phone:GB", "call me", None),
        ("phone:GB", "NULL", ""),
    ],
)
def test_phone_numbers(rule, value, expected):
    pytest.importorskip("phonenumbers", reason="the extra 'phone' is not installed")
    assert read(rule, value) == expected


def test_phone_regions():
    pytest.importorskip("phonenumbers", reason="the extra 'phone' is not installed")
    with pytest.raises(ConfigError, match=r"rules\.p: phone:gb: 'gb' is no region"):
        key_rules(["p"], {"p": "phone:gb"})
    assert key_rules(["p"], {"p": "phone:GB"}).agreed == ("phone",)
    assert "-> '+44" in example(key_rules(["p"], {"p": "phone:GB"}))
    assert "-> '+44" in example(key_rules(["p"], {"p": "phone"}))


def test_phone_numbers_without_their_library(monkeypatch):
    real_import = builtins.__import__

    def without_phonenumbers(name, *args, **kwargs):
        if name.startswith("phonenumbers"):
            raise ImportError(name)
        return real_import(name, *args, **kwargs)

    monkeypatch.delitem(sys.modules, "phonenumbers", raising=False)
    monkeypatch.setattr(builtins, "__import__", without_phonenumbers)
    with pytest.raises(ConfigError, match=r"rules\.p: .*pip install 'secureboost\[phone\]'"):
        key_rules(["p"], {"p": "phone:GB"})
