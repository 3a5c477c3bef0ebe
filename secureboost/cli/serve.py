"""``secureboost serve``: a feature party's side between companies."""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from secureboost.cli.app import command

if TYPE_CHECKING:
    from parties.certificates import TLS
    from parties.link import Link
    from secureboost.config import ServeConfig

DIAL_SECONDS = 10.0
BUDGET_FILE = "budget.json"

log = logging.getLogger(__name__)


@command
def serve(
    config: Annotated[Path, typer.Argument(help="TOML file; --example writes one to start from.")],
    settings: Annotated[
        list[str], typer.Option("--set", help="KEY=VALUE, over the file; repeat.")
    ] = [],  # noqa: B006 - typer copies it
    once: Annotated[bool, typer.Option(help="End after one session.")] = False,
    example: Annotated[bool, typer.Option(help="Write a commented example to CONFIG.")] = False,
) -> None:
    """Answer a label party's questions about your columns, by your own rules.

    Rows, column names and thresholds stay here. Ctrl-C ends it.
    """
    from secureboost.config import load_serve_config, write_example

    if example:
        write_example("serve", config)
        typer.echo(f"{config} written; edit it, then: secureboost serve {config}")
        return
    logging.basicConfig(level=logging.INFO, format="%(asctime)s  %(message)s", datefmt="%H:%M:%S")
    loaded = load_serve_config(config, settings)
    answer = make_answer(loaded)
    if loaded.dial:
        answer_by_dialling(loaded, loaded.dial, answer, once=once)
    else:
        answer_by_listening(loaded, loaded.listen or "", answer, once=once)


def make_answer(config: "ServeConfig") -> "Callable[[Link], None]":
    """Read the table and return what answers one connection."""
    import msgspec

    from parties.answerer import Answerer
    from parties.certificates import read_identity
    from parties.link import serve_link
    from secureboost._version import __version__
    from secureboost.gbdt.policy import Policy, kept_budget
    from secureboost.gbdt.store import FolderStore
    from secureboost.party import data_digest, feature_table
    from secureboost.tables import read_table
    from secureboost.trainers import get_trainer

    trainer = get_trainer(config.trainer)
    codec = trainer.codec()
    party = read_identity(make_tls(config)).certificate.party
    policy = Policy(**msgspec.structs.asdict(config.policy))
    frame = read_table(config.data.file, config.data.id)
    table = feature_table(
        party,
        frame,
        policy=policy,
        budget=kept_budget(policy, config.store / BUDGET_FILE, data_digest(frame)),
        store=FolderStore(config.store),
    )
    log.info("%s holds %d rows and %d columns", party, len(frame), frame.shape[1])

    def answer(link: "Link") -> None:
        log.info("%s is connected", link.party)
        answerer = Answerer(
            party,
            codec,
            lambda _hello: trainer.open_session(table, n_jobs=-1),
            trainer=trainer.name,
            software_version=__version__,
            asker=link.party,
        )
        serve_link(link, answerer)
        log.info("%s has finished", link.party)

    return answer


def make_tls(config: "ServeConfig") -> "TLS":
    """Our certificate and the label party's."""
    from parties.certificates import TLS

    return TLS(config.tls.certificate, config.tls.key, config.label_party.certificate)


def answer_by_listening(
    config: "ServeConfig", address: str, answer: "Callable[[Link], None]", *, once: bool
) -> None:
    """Listen, and answer whoever is pinned, one session at a time."""
    import threading

    from parties.errors import PartyError
    from parties.grpc_server import listen

    ended = threading.Event()

    def on_link(link: "Link") -> None:
        try:
            answer(link)
        except PartyError as error:
            log.warning("the session ended early: %s", error)
        finally:
            if once:
                ended.set()

    with listen(address, make_tls(config), on_link) as server:
        host = address.rpartition(":")[0]
        typer.echo(f"listening on {host}:{server.port}")
        if once:
            ended.wait()
        else:
            server.wait()


def answer_by_dialling(
    config: "ServeConfig", address: str, answer: "Callable[[Link], None]", *, once: bool
) -> None:
    """Dial the label party, again and again until it waits for us, and answer it."""
    from parties.errors import PartyError, PeerUnreachableError
    from parties.grpc_transport import dial

    tls = make_tls(config)
    typer.echo(f"dialling {address}")
    while True:
        try:
            link = dial(address, tls, timeout=DIAL_SECONDS)
        except PeerUnreachableError as error:
            if once:
                raise
            log.info("not yet: %s", error)
            time.sleep(1.0)
            continue
        try:
            answer(link)
        except PartyError as error:
            log.warning("the session ended early: %s", error)
        if once:
            return
