"""``secureboost messages``: everything that can be said between two companies."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from secureboost.cli.app import command

if TYPE_CHECKING:
    from parties.catalogue import Entry


@command
def messages(
    trainer: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Only of this kind of model, or of `align`, which finds common rows. Default: "
            "all.",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """List every message that can cross the wire, and what its receiver learns.

    The label party asks and a feature party answers; no other message exists, and both sides
    refuse what is not on this list. It is made from the program itself, for an auditor.
    """
    from parties.catalogue import catalogue
    from parties.messages import PROTOCOL_VERSION, SESSION_MESSAGES
    from secureboost.cli.console import stdout
    from secureboost.cli.layout import print_json
    from secureboost.trainers import TRAINERS, get_trainer

    trainers = TRAINERS.values() if trainer is None else [get_trainer(trainer)]
    every_session = catalogue(SESSION_MESSAGES)
    of_trainers = {known.name: catalogue(known.messages) for known in trainers}
    if json:
        print_json(
            {
                "protocol_version": PROTOCOL_VERSION,
                "every session": [_listed(entry) for entry in every_session],
                "trainers": {
                    name: [_listed(entry) for entry in entries]
                    for name, entries in of_trainers.items()
                },
            }
        )
        return
    n_messages = len(every_session) + sum(map(len, of_trainers.values()))
    stdout().print(
        f"{n_messages} messages, protocol version {PROTOCOL_VERSION}. "
        "-> is a question of the label party, <- an answer of a feature party. "
        "Arrays are written dtype[dimensions]."
    )
    _print_group("Messages of every session", every_session)
    for name, entries in of_trainers.items():
        _print_group(f"Messages of trainer {name!r}", entries)


def _listed(entry: "Entry") -> dict[str, object]:
    return {
        "name": entry.name,
        "direction": entry.direction,
        "reply": entry.reply or None,
        "fields": dict(entry.fields),
        "reveals": _plain(entry.reveals),
    }


def _print_group(title: str, entries: "Sequence[Entry]") -> None:
    from secureboost.cli.console import stdout

    stdout().print(f"\n{title}", style="bold")
    for entry in entries:
        _print(entry)


def _print(entry: "Entry") -> None:
    from rich.text import Text

    from secureboost.cli.console import stdout
    from secureboost.cli.layout import print_hanging

    console = stdout()
    asks = entry.direction == "asks"
    heading = Text.assemble(
        ("-> " if asks else "<- ", "cyan" if asks else "magenta"),
        (entry.name, "bold"),
        (f"  answered by {entry.reply}" if asks else "", "dim"),
    )
    fields = ", ".join(f"{name}: {kind}" for name, kind in entry.fields)
    console.print()
    console.print(heading)
    print_hanging(console, Text("   reveals  ", style="dim"), _plain(entry.reveals))
    print_hanging(console, Text("   fields   ", style="dim"), fields or "none")


def _plain(text: str) -> str:
    """Drop the docstring's markup."""
    return text.replace("``", "").replace("*", "")
