"""``secureboost release`` and ``secureboost bundle``: a feature party hands on its half of a model.

Released, it goes to the label party; bundled, to another machine of the same company.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from secureboost.cli.app import command

if TYPE_CHECKING:
    from secureboost.config import ServeConfig
    from secureboost.gbdt.model import PartyHalf
    from secureboost.gbdt.store import FolderStore

ModelId = Annotated[
    str, typer.Argument(metavar="MODEL_ID", help="32 hexadecimal digits, as label.json names it.")
]
Config = Annotated[
    Path | None, typer.Option(help="Your TOML file of `secureboost serve`: store, certificate.")
]
Settings = Annotated[
    list[str], typer.Option("--set", help="KEY=VALUE, over the configuration; repeat.")
]
Store = Annotated[
    Path | None, typer.Option(help="Folder with your halves, instead of a configuration.")
]


@command
def release(
    model_id: ModelId,
    purpose: Annotated[str, typer.Option(help="What the half may be used for, in words.")],
    out: Annotated[Path, typer.Option(help="File to write, such as bureau-half.json.")],
    config: Config = None,
    settings: Settings = [],  # noqa: B006 - typer copies it
    store: Store = None,
    to: Annotated[
        str | None,
        typer.Option(help="Name of the label party; by default that of its pinned certificate."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask; for scripts.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
) -> None:
    """Release your half of one model to the label party, with your consent on record.

    With both halves the label party has the whole model and can export it. It learns the names of
    your columns in this model, every threshold (an edge between values of your rows) and the names
    of your categories; no row and no id. It cannot be taken back.

    The consent names model, purpose and time, is signed with your certificate's key if --config is
    given, and is noted in your store (releases.jsonl).
    """
    from parties.certificates import read_pins
    from secureboost.cli.answering import make_tls
    from secureboost.cli.console import stderr
    from secureboost.cli.predict import check_file
    from secureboost.export.consent import release_half
    from secureboost.partner import LABEL_PARTY

    check_file(out, force=force)
    loaded, halves = open_halves(config, settings, store)
    half = find_half(halves, model_id)
    tls = None if loaded is None else make_tls(loaded)
    pin = None if tls is None else read_pins(tls.peer_certificate)[0]
    released_to = to or (LABEL_PARTY if pin is None else pin.party)
    console = stderr()
    for line in what_it_tells(half, released_to):
        console.print(line)
    if not yes and not typer.confirm("Release it?", err=True):
        console.print("Nothing was released.")
        raise typer.Exit(1)
    released = release_half(
        halves,
        model_id,
        purpose=purpose,
        released_to=released_to,
        released_to_certificate="" if pin is None else pin.fingerprint,
        tls=tls,
    )
    released.save(out)
    signed = "signed" if released.signature else "not signed: no --config with a certificate"
    console.print(f"{out} written ({signed}); the label party exports with: secureboost export")


@command
def bundle(
    model_id: ModelId,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder to write.")],
    config: Config = None,
    settings: Settings = [],  # noqa: B006 - typer copies it
    store: Store = None,
    force: Annotated[bool, typer.Option("--force", help="Write into an existing folder.")] = False,
) -> None:
    """Put your half of a model into a folder, to score offline on another machine of yours.

    Nothing is revealed: the folder stays in your company. `secureboost sides` uses it; what goes to
    the label party is the file of sides that it writes. The label party needs no bundle: its own is
    the folder with label.json.
    """
    from secureboost.cli.console import stderr
    from secureboost.errors import ConfigError
    from secureboost.export.bundle import write_bundle

    if out.exists() and not (force and out.is_dir()):
        raise ConfigError(
            f"{out} exists; name another folder, or --force to write into it", "--out"
        )
    _, halves = open_halves(config, settings, store)
    write_bundle(find_half(halves, model_id), out)
    stderr().print(f"{out} written; score with: secureboost sides {out}")


def open_halves(
    config: Path | None, settings: list[str], store: Path | None
) -> tuple["ServeConfig | None", "FolderStore"]:
    """Open our store, and read the configuration if there is one.

    Raises
    ------
    ConfigError
        If neither or both are given, or there is no store.
    """
    from secureboost.cli.answering import open_store
    from secureboost.config import load_serve_config
    from secureboost.errors import ConfigError

    if (config is None) == (store is None):
        raise ConfigError("give your configuration with --config, or the folder with --store")
    loaded = None if config is None else load_serve_config(config, settings)
    folder = store or (loaded.store if loaded else Path())
    if not folder.is_dir():
        raise ConfigError(f"{folder} is no folder; the store of `secureboost serve` is", "store")
    return loaded, open_store(folder)


def find_half(store: "FolderStore", model_id: str) -> "PartyHalf":
    """Our half of a model.

    Raises
    ------
    ConfigError
        If the id is none.
    secureboost.errors.ModelError
        If there is no such half.
    """
    from secureboost.errors import ConfigError, ModelError
    from secureboost.gbdt.model import is_model_id

    if not is_model_id(model_id):
        raise ConfigError(f"{model_id!r} is no model id: 32 hexadecimal digits", "MODEL_ID")
    half = store.load(model_id)
    if half is None:
        raise ModelError(
            f"{store.folder} holds no finished half of model {model_id}. The label party's half "
            "(label.json) names its model_id."
        )
    return half


def what_it_tells(half: "PartyHalf", released_to: str) -> list[str]:
    """What somebody learns from a half, column by column."""
    used: dict[int, int] = {}
    for split in half.splits:
        used[split.feature] = used.get(split.feature, 0) + 1
    lines = [f"Half of {half.party} of model {half.model_id}: {released_to} will learn"]
    for number, (name, names) in enumerate(zip(half.feature_names, half.categories, strict=True)):
        splits = f"{used.get(number, 0):,} splits"
        what = "their thresholds" if names is None else f"the names of {len(names)} categories"
        lines.append(f"  column {name!r}: its name, {splits}, {what}")
    return [*lines, "It cannot be taken back."]
