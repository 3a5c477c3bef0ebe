"""``secureboost train``: the label party's side between companies."""

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from secureboost.cli.app import command
from secureboost.cli.options import RegistryFile, TrainerName

if TYPE_CHECKING:
    import pandas as pd

    from crypto.scheme import PrivateKey
    from secureboost.config import TrainConfig
    from secureboost.estimator import SecureBoostModel
    from secureboost.kinds import Model
    from secureboost.outcome import RunData
    from secureboost.party import RemoteParty
    from secureboost.planning import Link

CONNECT_SECONDS = 60.0
"""How long a party is waited for, unless its `timeout` is shorter."""


@command
def train(
    config: Annotated[Path, typer.Argument(help="TOML file; --example writes one to start from.")],
    settings: Annotated[
        list[str], typer.Option("--set", help="KEY=VALUE, over the file; repeat.")
    ] = [],  # noqa: B006 - typer copies it
    trainer: TrainerName = None,
    passphrase_file: Annotated[
        Path | None, typer.Option(help="Of the key file, if the configuration names one.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Write into a folder that is not empty.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run that was interrupted.")
    ] = False,
    plan: Annotated[
        bool, typer.Option("--plan", help="Time this machine first; show plan and truth.")
    ] = False,
    link: Annotated[float, typer.Option(help="For --plan: Mbit/s of your line.")] = 100.0,
    latency: Annotated[float, typer.Option(help="For --plan: round trip in ms.")] = 20.0,
    registry: RegistryFile = None,
    example: Annotated[
        bool, typer.Option("--example", help="Write a commented example to CONFIG.")
    ] = False,
) -> None:
    """Train with other companies: you hold the label, they answer with `secureboost serve`.

    Every party keeps each round; what was interrupted goes on with --resume.
    """
    from secureboost.config import load_train_config, write_example

    if example:
        write_example("train", config)
        typer.echo(f"{config} written; edit it, then: secureboost train {config}")
        return

    from secureboost.cli.aligning import common_data
    from secureboost.cli.training import new_record, train_and_report
    from secureboost.estimator import CHECKPOINT_FILE, SecureBoostModel
    from secureboost.keyed_table import read_keyed_table
    from secureboost.kinds import get_kind
    from secureboost.recovery import Recovery
    from secureboost.run import check_names
    from secureboost.run_folder import ALIGNMENT_FOLDER, prepare_folder

    loaded = load_train_config(config, with_trainer(settings, trainer))
    model = model_of(loaded)
    kind = get_kind(loaded.trainer)
    if plan:
        kind.check_plannable(model)
    plan_over = line_to(loaded, link, latency) if plan else None
    make_key = None
    if loaded.key and isinstance(model, SecureBoostModel):  # a network has no key
        make_key = key_from_file(loaded, model, passphrase_file)
    prepare_folder(loaded.out, force=force, resume=resume)
    keyed = read_keyed_table(
        loaded.data.file, loaded.data.id, loaded.align, keep=[loaded.data.date]
    )
    data = label_data(loaded, model, keyed.frame)  # its mistakes are told before anybody is asked
    check_names(model, data, list(loaded.party))
    with remote_parties(loaded) as parties:
        read = {keyed.name: keyed.frame}
        train_and_report(
            lambda log: common_data(
                keyed,
                parties,
                loaded.align,
                partial(label_data, loaded, model),
                log,
                keep_in=loaded.out / ALIGNMENT_FOLDER,
                resume=resume,
            ),
            parties,
            model,
            loaded.out,
            title=f"{', '.join(loaded.party)} and the label party",
            record=new_record("train", loaded.trainer, data, model, parties, read, loaded.out),
            registry=registry,
            make_key=make_key,
            plan_over=plan_over,
            recovery=Recovery(loaded.out / CHECKPOINT_FILE, resume),
        )


def with_trainer(settings: list[str], trainer: str | None) -> list[str]:
    """Settings of ``--set`` with that of ``--trainer``."""
    return settings if trainer is None else [*settings, f"trainer='{trainer}'"]


def model_of(config: "TrainConfig") -> "Model":
    """Make the estimator that a configuration describes.

    Raises
    ------
    ConfigError
        If a parameter cannot be used, or not between companies.
    """
    from secureboost.kinds import get_kind

    kind = get_kind(config.trainer)
    model = kind.make_model(parameters_of(config), kind.section)
    kind.check_between_companies(model)
    return model


def label_data(
    config: "TrainConfig",
    model: "Model",
    frame: "pd.DataFrame",
    file: str | None = None,
) -> "RunData":
    """What is learnt of a table, as a configuration has it.

    Raises
    ------
    ConfigError, DataError
    """
    from secureboost.targets import read_data

    return read_data(
        model,
        frame,
        config.data.target,
        config.hold_out,
        positive=config.data.positive,
        file=file or config.data.file.name,
    )


def parameters_of(config: "TrainConfig") -> dict[str, Any]:
    """The estimator's parameters: of its trainer's table, and what ``[data]`` says of columns.

    Raises
    ------
    ConfigError
        If both name columns of categories.
    """
    from secureboost.errors import ConfigError
    from secureboost.kinds import get_kind

    section = get_kind(config.trainer).section
    parameters = dict(getattr(config, section))
    if config.data.categorical:
        if "categorical_features" in parameters:
            raise ConfigError(
                "is given in [data] as categorical already; give one of them",
                f"{section}.categorical_features",
            )
        parameters["categorical_features"] = config.data.categorical
    return parameters


def line_to(config: "TrainConfig", megabits: float, latency: float) -> "Link":
    """Describe the line to the parties; none is needed where all of them are on this machine.

    Raises
    ------
    ConfigError
    """
    from secureboost.planning import ONE_MACHINE, Link

    line = Link(megabits, latency)
    hosts = {
        (partner.address or partner.listen or "").rpartition(":")[0]
        for partner in config.party.values()
    }
    return ONE_MACHINE if hosts <= {"127.0.0.1", "localhost", "[::1]"} else line


@contextlib.contextmanager
def remote_parties(config: "TrainConfig") -> Iterator[list["RemoteParty"]]:
    """Prepare the feature parties that a configuration names.

    Says on stderr who is connected to how; a mistake in certificates or addresses shows here.
    """
    from parties.certificates import TLS
    from secureboost.cli.console import stderr
    from secureboost.party import RemoteParty

    parties = []
    with contextlib.ExitStack() as stack:
        for name, partner in config.party.items():
            patience = min(partner.timeout, CONNECT_SECONDS)
            party = RemoteParty(
                name,
                partner.address or partner.listen or "",
                tls=TLS(config.tls.certificate, config.tls.key, partner.certificate),
                timeout=partner.timeout,
                connect_timeout=patience,
                listen=partner.listen is not None,
            )
            stack.callback(party.close)
            party.prepare()
            parties.append(party)
            way = f"dialling {name} at" if partner.address else f"waiting for {name} to dial"
            stderr().print(f"{way} {party.address}, for up to {patience:g} s")
        yield parties


def key_from_file(
    config: "TrainConfig", model: "SecureBoostModel", passphrase_file: Path | None
) -> "Callable[[], PrivateKey]":
    """Read the key file now, so that a wrong passphrase is told before anything begins.

    Raises
    ------
    ConfigError
        If ``[model]`` asks for another length than the file's key has, or for a scheme that is not
        Paillier.
    crypto.errors.CryptoError
    """
    from crypto.errors import KeyFileError
    from crypto.keyfile import read_private_key
    from crypto.paillier import PaillierScheme
    from crypto.schemes import get_scheme
    from secureboost.cli.passphrase import read_passphrase
    from secureboost.errors import ConfigError

    path = config.key or Path()
    if not path.is_file():  # before anybody is asked for its passphrase
        raise KeyFileError(f"key file {path}: there is no such file")
    scheme = get_scheme(model.scheme)
    if not isinstance(scheme, PaillierScheme):
        raise ConfigError(
            f"is {scheme.name!r}, but {path} holds a Paillier key; leave it out", "model.scheme"
        )
    key = read_private_key(path, read_passphrase(path, passphrase_file))
    key_bits = key.public_key.key_bits
    if config.model.get("key_bits", key_bits) != key_bits:
        raise ConfigError(
            f"is {config.model['key_bits']!r}, but the key in {path} has {key_bits}; leave it out",
            "model.key_bits",
        )
    model.set_params(key_bits=key_bits)
    key = scheme.adopt(key)
    return lambda: key
