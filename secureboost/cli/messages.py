"""``secureboost messages``: everything that can be said between two companies."""

from typing import TYPE_CHECKING, Annotated

import typer

from secureboost.cli.app import command

if TYPE_CHECKING:
    from rich.table import Table

    from parties.catalogue import Entry


@command
def messages(
    trainer: Annotated[str, typer.Option(help="Which kind of model.")] = "secureboost",
    json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """List every message that can cross the wire, and what its receiver learns.

    The label party asks and a feature party answers; no other message exists, and both sides
    refuse what is not on this list. It is made from the program itself, for an auditor.
    """
    from parties.catalogue import catalogue
    from parties.messages import PROTOCOL_VERSION
    from secureboost.cli.console import stdout
    from secureboost.trainers import get_trainer

    entries = catalogue(get_trainer(trainer).codec().message_types)
    console = stdout()
    if json:
        import msgspec

        listing = {"trainer": trainer, "protocol_version": PROTOCOL_VERSION, "messages": entries}
        print(msgspec.json.format(msgspec.json.encode(listing)).decode())
        return
    console.print(
        f"{len(entries)} messages of trainer {trainer!r}, protocol version {PROTOCOL_VERSION}. "
        "-> is a question of the label party, <- an answer of a feature party. "
        "An array is written dtype[dimensions].",
    )
    for entry in entries:
        console.print()
        console.print(_block(entry))


def _block(entry: "Entry") -> "Table":
    from rich.table import Table
    from rich.text import Text

    asks = entry.direction == "asks"
    heading = Text(f"{'->' if asks else '<-'} ", style="cyan" if asks else "magenta")
    heading.append(entry.name, style="bold")
    if entry.reply:
        heading.append(f"  answered by {entry.reply}", style="dim")
    body = Table.grid(padding=(0, 2, 0, 0))
    body.add_column(no_wrap=True)
    body.add_column()
    fields = ", ".join(f"{name}: {kind}" for name, kind in entry.fields)
    body.add_row(Text("   reveals", style="dim"), Text(entry.reveals))
    body.add_row(Text("   fields", style="dim"), Text(fields or "none"))
    block = Table.grid()
    block.add_row(heading)
    block.add_row(body)
    return block
