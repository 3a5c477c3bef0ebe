"""Settings as plain nested tables: checked against structures, overridden from the command line.

`config` says what the settings are; here is how a table from TOML becomes such a structure, with
errors that carry the full path of the bad key.
"""

import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import msgspec
from msgspec import Meta, Struct, structs

from secureboost.errors import ConfigError, did_you_mean

_Text = Annotated[str, Meta(min_length=1)]
_S = TypeVar("_S", bound=Struct)

_EXPECTED = re.compile(r"Expected '([^']+)'(?:,.*| (of length )?([<>]=?) (\S+))?")
_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "text",
    "array": "a list",
    "object": "a table",
    "date": "a date such as 2025-12-31",
}
_LIMITS = {">=": "at least", ">": "above", "<=": "at most", "<": "below"}


def decode_settings(settings: Mapping[str, Any], kind: type[_S], folder: Path) -> _S:
    """Check a table of settings against a structure.

    Parameters
    ----------
    settings : mapping
        Nested tables as read from TOML.
    kind : type of msgspec.Struct
        The structure; its fields are structures, dicts of structures, paths or plain values.
    folder : Path
        Relative paths are relative to it.

    Raises
    ------
    ConfigError
        If a key is unknown, missing, of the wrong type or out of its limits.
    """
    decoded: _S = _decode(settings, kind, "", folder)
    return decoded


def apply_overrides(settings: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Return `settings` with ``--set a.b=value`` applied.

    A value is read as TOML; what is not TOML and looks like a word is taken as text, so that
    ``grow_policy=lossguide`` needs no quotes in a shell.

    Parameters
    ----------
    settings : mapping
        Nested tables as read from TOML; left as they are.
    overrides : sequence of str

    Raises
    ------
    ConfigError
        If an override has no ``=``, its value is not TOML, or its path leads through a value.
    """
    result = _copy_tables(settings)
    for override in overrides:
        path, equals, text = override.partition("=")
        keys = [key.strip() for key in path.split(".")]
        if not equals or not all(keys):
            raise ConfigError(f"--set {override!r} is not of the form name=value or a.b=value")
        table = result
        for depth, key in enumerate(keys[:-1], start=1):
            table = table.setdefault(key, {})
            if not isinstance(table, dict):
                raise ConfigError("is a value, not a table", ".".join(keys[:depth]))
        table[keys[-1]] = _parse_value(text.strip(), path)
    return result


def check_names(names: Collection[str], known: Collection[str], path: str) -> None:
    """Refuse an unknown key, naming the nearest known one.

    Parameters
    ----------
    names : collection of str
        Keys of the table at `path`.
    known : collection of str
        Keys that may be there.
    path : str
        Where the table is, ``model``; empty for the whole file.

    Raises
    ------
    ConfigError
    """
    for name in names:
        if name not in known:
            raise ConfigError(
                f"there is no such setting.{did_you_mean(name, known)} "
                f"Known here: {', '.join(known)}.",
                _join(path, name),
            )


def _decode(value: Any, kind: Any, path: str, folder: Path) -> Any:
    """Check `value` against `kind`, table by table, so that errors know the full path."""
    if get_origin(kind) is dict and issubclass(get_args(kind)[1], Struct):
        _check_table(value, path)
        item = get_args(kind)[1]
        return {name: _decode(v, item, _join(path, name), folder) for name, v in value.items()}
    if isinstance(kind, type) and issubclass(kind, Struct):
        _check_table(value, path)
        fields = {field.name: field for field in structs.fields(kind)}
        check_names(value, fields, path)
        for name, field in fields.items():
            if field.required and name not in value:
                raise ConfigError("is missing", _join(path, name))
        decoded = {
            name: _decode(v, fields[name].type, _join(path, name), folder)
            for name, v in value.items()
        }
        try:
            return kind(**decoded)
        except ConfigError as error:
            raise ConfigError(error.message, _join(path, error.path)) from None
    table = _table_of(kind)
    if table is not None:
        return _decode(value, table, path, folder)
    if kind in (Path, Path | None):
        return (folder / Path(_convert(value, _Text, path)).expanduser()).resolve()
    return _convert(value, kind, path)


def _table_of(kind: Any) -> type[Struct] | None:
    """The structure of a table that may be absent; None if `kind` is no such table."""
    kinds = [choice for choice in get_args(kind) if choice is not type(None)]
    one = kinds[0] if len(kinds) == 1 else None
    return one if isinstance(one, type) and issubclass(one, Struct) else None


def _convert(value: Any, kind: Any, path: str) -> Any:
    """Check one value."""
    if get_origin(kind) is Literal and value not in get_args(kind):
        choices = list(map(str, get_args(kind)))
        near = did_you_mean(str(value), choices)
        raise ConfigError(f"{value!r} is not one of: {', '.join(choices)}.{near}", path)
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{value!r} cannot be used: {_reason(error)}", path) from error


def _reason(error: msgspec.ValidationError) -> str:
    """Say in plain words what msgspec says in names of types."""
    text = str(error).replace("`", "'").partition(" - at ")[0]
    if "date" in text:
        return f"it must be {_KINDS['date']}"
    expected = _EXPECTED.fullmatch(text)
    if expected is None:
        return text
    kinds, of_length, sign, limit = expected.groups()
    if sign:
        return f"{'its length' if of_length else 'it'} must be {_LIMITS[sign]} {limit}"
    named = [_KINDS.get(kind, kind) for kind in kinds.split(" | ") if kind != "null"]
    return f"it must be {' or '.join(named)}"


def _check_table(value: Any, path: str) -> None:
    if not isinstance(value, dict):
        raise ConfigError(f"is {value!r} but must be a table: [{path}]", path)


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path and key else path or key


def _copy_tables(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {k: _copy_tables(v) if isinstance(v, dict) else v for k, v in settings.items()}


def _parse_value(text: str, path: str) -> Any:
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError as error:
        if re.fullmatch(r"[^\s\"'\[\]{}#=,][^\n\"'\[\]{}#]*", text):
            return text
        raise ConfigError(f"--set value is not TOML: {error}", path) from error
    if set(parsed) != {"value"}:
        raise ConfigError("--set takes one value", path)
    return parsed["value"]
