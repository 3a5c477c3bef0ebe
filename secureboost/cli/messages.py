"""``secureboost messages``: everything that can be said between two companies."""

from typing import TYPE_CHECKING, Annotated

import typer

from secureboost.cli.app import command

if TYPE_CHECKING:
    from parties.catalogue import Entry


@command
def messages(
    trainer: Annotated[
        str,
        typer.Option(metavar="NAME", help="Kind of model, or `align`: what finds common rows."),
    ] = "secureboost",
    json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """List every message that can cross the wire, and what its receiver learns.

    The label party asks and a feature party answers; no other message exists, and both sides
    refuse what is not on this list. It is made from the program itself, for an auditor.
    """
    from parties.catalogue import catalogue
    from parties.messages import PROTOCOL_VERSION
    from secureboost.cli.console import stdout
    from secureboost.cli.layout import print_json
    from secureboost.trainers import get_trainer

    entries = catalogue(get_trainer(trainer).codec().message_types)
    if json:
        listed = [_listed(entry) for entry in entries]
        print_json({"trainer": trainer, "protocol_version": PROTOCOL_VERSION, "messages": listed})
        return
    stdout().print(
        f"{len(entries)} messages of trainer {trainer!r}, protocol version {PROTOCOL_VERSION}. "
        "-> is a question of the label party, <- an answer of a feature party. "
        "Arrays are written dtype[dimensions]."
    )
    for entry in entries:
        _print(entry)


def _listed(entry: "Entry") -> dict[str, object]:
    return {
        "name": entry.name,
        "direction": entry.direction,
        "reply": entry.reply or None,
        "fields": dict(entry.fields),
        "reveals": _plain(entry.reveals),
    }


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
