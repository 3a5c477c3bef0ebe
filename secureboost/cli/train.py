"""``secureboost train``: the label party's side between companies."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from secureboost.cli.app import command

if TYPE_CHECKING:
    import pandas as pd

    from crypto.scheme import PrivateKey
    from secureboost.config import TrainConfig
    from secureboost.party import RemoteParty


@command
def train(
    config: Annotated[Path, typer.Argument(help="TOML file; --example writes one to start from.")],
    settings: Annotated[
        list[str], typer.Option("--set", help="KEY=VALUE, over the file; repeat.")
    ] = [],  # noqa: B006 - typer copies it
    passphrase_file: Annotated[
        Path | None, typer.Option(help="Of the key file, if the configuration names one.")
    ] = None,
    force: Annotated[bool, typer.Option(help="Write into a folder that is not empty.")] = False,
    example: Annotated[bool, typer.Option(help="Write a commented example to CONFIG.")] = False,
) -> None:
    """Train with other companies: you hold the label, they answer with `secureboost serve`."""
    from secureboost.config import load_train_config, write_example

    if example:
        write_example("train", config)
        typer.echo(f"{config} written; edit it, then: secureboost train {config}")
        return

    from secureboost.cli.training import train_and_report
    from secureboost.data import encode_labels
    from secureboost.run import RunData, make_model, prepare_folder
    from secureboost.tables import read_table, take_target
    from secureboost.trainers import get_trainer

    loaded = load_train_config(config, settings)
    get_trainer(loaded.trainer)
    model = make_model(dict(loaded.model))
    make_key = key_from_file(loaded.key, passphrase_file) if loaded.key else None
    table = read_table(loaded.data.file, loaded.data.id)
    X, y = take_target(table, loaded.data.target, str(loaded.data.file))
    labels = encode_labels(y, loaded.data.positive, str(loaded.data.file))
    data = RunData(X, labels, loaded.test_size, loaded.seed)
    prepare_folder(loaded.out, force=force)
    parties = remote_parties(loaded, X.index)
    try:
        train_and_report(
            data,
            parties,
            model,
            loaded.out,
            title=f"{', '.join(loaded.party)} and the label party",
            make_key=make_key,
        )
    finally:
        for party in parties:
            party.close()


def remote_parties(config: "TrainConfig", ids: "pd.Index") -> list["RemoteParty"]:
    """Make the feature parties that a configuration names, over these common ids."""
    from parties.certificates import TLS
    from secureboost.party import RemoteParty

    return [
        RemoteParty(
            name,
            partner.address or partner.listen or "",
            tls=TLS(config.tls.certificate, config.tls.key, partner.certificate),
            index=ids,
            timeout=partner.timeout,
            connect_timeout=min(partner.timeout, 60.0),
            listen=partner.listen is not None,
        )
        for name, partner in config.party.items()
    ]


def key_from_file(path: Path, passphrase_file: Path | None) -> "Callable[[], PrivateKey]":
    """Read a key file now, so that a wrong passphrase is told before anything begins."""
    from crypto.keyfile import read_private_key
    from secureboost.cli.passphrase import read_passphrase

    key = read_private_key(path, read_passphrase(path, passphrase_file))
    return lambda: key
