"""The list of all messages for an auditor, made from the message types themselves."""

import re
import typing
from collections.abc import Iterable
from dataclasses import dataclass

from parties.messages import Array, Message, Request, array_fields

_REVEALS = re.compile(r"^\s*Reveals:\s*(.+?)(?:\n\s*\n|\Z)", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Entry:
    """One message.

    Attributes
    ----------
    name : str
    direction : str
        ``"asks"`` for a request (label party to feature party) or ``"answers"``.
    fields : tuple of (str, str)
        Name and type of each field.
    reply : str
        Name of the reply; the empty string for a reply.
    reveals : str
        What the receiver learns.
    """

    name: str
    direction: str
    fields: tuple[tuple[str, str], ...]
    reply: str
    reveals: str


def catalogue(message_types: Iterable[type[Message]]) -> list[Entry]:
    """Describe messages in the given order (`Codec.message_types` for a whole trainer).

    Raises
    ------
    TypeError
        As `reveals`.
    """
    return [_entry(message_type) for message_type in message_types]


def reveals(message_type: type[Message]) -> str:
    """Read the ``Reveals:`` paragraph of a message's docstring.

    Raises
    ------
    TypeError
        If there is none.
    """
    found = _REVEALS.search(message_type.__doc__ or "")
    if found is None:
        raise TypeError(
            f"{message_type.__name__} has no 'Reveals: ...' in its docstring; "
            "say what its receiver learns"
        )
    return " ".join(found[1].split())


def _entry(message_type: type[Message]) -> Entry:
    asks = issubclass(message_type, Request)
    arrays = array_fields(message_type)
    hints = typing.get_type_hints(message_type)
    return Entry(
        name=message_type.__name__,
        direction="asks" if asks else "answers",
        fields=tuple(
            (name, _field(hints[name], arrays.get(name))) for name in message_type.__struct_fields__
        ),
        reply=message_type.reply_type.__name__ if issubclass(message_type, Request) else "",
        reveals=reveals(message_type),
    )


def _field(hint: object, array: Array | None) -> str:
    if array is not None:
        return str(array)
    return hint.__name__ if type(hint) is type else str(hint)
