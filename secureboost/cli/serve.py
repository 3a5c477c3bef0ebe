"""``secureboost serve``: a feature party's side between companies."""

import logging
import os
import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from secureboost.cli.app import command

if TYPE_CHECKING:
    from parties.certificates import TLS
    from parties.errors import PartyError
    from parties.link import Link
    from parties.service import Service
    from secureboost.config import ServeConfig
    from secureboost.gbdt.store import FolderStore

    Answer = Callable[[Link], bool]

DIAL_SECONDS = 10.0
RETRY_SECONDS = 1.0
ONCE_SECONDS = 5.0
"""With --once: a session that begins so soon after another belongs to the same run, as the scoring
does that follows a training."""
BUDGET_FILE = "budget.json"

DATE = "%Y-%m-%d %H:%M:%S"

log = logging.getLogger(__name__)


@command
def serve(
    config: Annotated[Path, typer.Argument(help="TOML file; --example writes one to start from.")],
    settings: Annotated[
        list[str], typer.Option("--set", help="KEY=VALUE, over the file; repeat.")
    ] = [],  # noqa: B006 - typer copies it
    once: Annotated[
        bool, typer.Option("--once", help="End after one run: a training with its scoring.")
    ] = False,
    example: Annotated[
        bool, typer.Option("--example", help="Write a commented example to CONFIG.")
    ] = False,
) -> None:
    """Answer a label party's questions about your columns, by your own rules.

    Rows, column names and thresholds stay here. Ctrl-C (code 130) and SIGTERM (code 0) end it;
    a session under way is cut then.
    """
    from secureboost.config import load_serve_config, write_example
    from secureboost.errors import ExitCode, Terminated

    if example:
        write_example("serve", config)
        typer.echo(f"{config} written; edit it, then: secureboost serve {config}")
        return
    logging.basicConfig(level=logging.INFO, format="%(asctime)s  %(message)s", datefmt=DATE)
    try:
        loaded = load_serve_config(config, settings)
        answer = make_answer(loaded)
        if loaded.dial:
            answer_by_dialling(loaded, loaded.dial, answer, once=once)
        else:
            answer_by_listening(loaded, loaded.listen or "", answer, once=once)
    except Terminated as end:
        log.info("stopped by SIGTERM")
        raise typer.Exit(ExitCode.OK) from end
    except KeyboardInterrupt as end:
        log.info("stopped by Ctrl-C")
        raise typer.Exit(ExitCode.INTERRUPTED) from end


def make_answer(config: "ServeConfig") -> "Answer":
    """Read the table and return what answers one connection.

    It returns whether the label party asked anything, and raises `parties.errors.PartyError` if
    it did and did not end well.
    """
    import msgspec

    from parties.answerer import Answerer
    from parties.certificates import read_identity
    from parties.errors import PartyError
    from parties.link import serve_link
    from secureboost._version import __version__
    from secureboost.gbdt.policy import Policy, kept_budget
    from secureboost.party import data_digest, feature_table
    from secureboost.tables import read_table
    from secureboost.trainers import get_trainer

    trainer = get_trainer(config.trainer)
    codec = trainer.codec()
    party = read_identity(make_tls(config)).certificate.party
    policy = Policy(**msgspec.structs.asdict(config.policy))
    store = open_store(config.store)
    frame = read_table(config.data.file, config.data.id)
    table = feature_table(
        party,
        frame,
        policy=policy,
        budget=kept_budget(policy, config.store / BUDGET_FILE, data_digest(frame)),
        store=store,
        categorical=config.data.categorical,
        monotone=config.data.monotone,
    )
    log.info("%s holds %d rows and %d columns", party, len(frame), frame.shape[1])

    def answer(link: "Link") -> bool:
        asked = False

        def open_session(_hello: object) -> "Service":
            nonlocal asked
            asked = True
            return trainer.open_session(table, n_jobs=-1)

        log.info("%s is connected", link.party)
        answerer = Answerer(
            party,
            codec,
            open_session,
            trainer=trainer.name,
            software_version=__version__,
            asker=link.party,
        )
        try:
            serve_link(link, answerer)
        except PartyError as error:
            if asked:
                log.warning("the session ended early: %s", error)
                raise
            log.info("nothing was asked: %s", error)
        else:
            log.info("%s has finished", link.party)
        return asked

    return answer


def open_store(folder: Path) -> "FolderStore":
    """Open the folder of our halves.

    Raises
    ------
    secureboost.errors.ConfigError
        If it cannot be made or written into.
    """
    from secureboost.errors import ConfigError
    from secureboost.gbdt.store import FolderStore

    try:
        store = FolderStore(folder)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be made: {error.strerror}", "store") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(f"{folder} cannot be written into; change its permissions", "store")
    return store


def make_tls(config: "ServeConfig") -> "TLS":
    """Our certificate and the label party's."""
    from parties.certificates import TLS

    return TLS(config.tls.certificate, config.tls.key, config.label_party.certificate)


def answer_by_listening(
    config: "ServeConfig", address: str, answer: "Answer", *, once: bool
) -> None:
    """Listen, and answer whoever is pinned, one session at a time."""
    from parties.errors import PartyError
    from parties.grpc_server import listen

    outcomes: queue.SimpleQueue[PartyError | None] = queue.SimpleQueue()
    under_way = threading.Event()

    def on_link(link: "Link") -> None:
        under_way.set()
        try:
            if answer(link):
                outcomes.put(None)
        except PartyError as error:  # logged already, and no reason to stop serving
            outcomes.put(error)
        finally:
            under_way.clear()

    with listen(address, make_tls(config), on_link) as server:
        host = address.rpartition(":")[0]
        typer.echo(f"listening on {host}:{server.port}")
        if once:
            wait_for_run(outcomes, under_way)
        else:
            server.wait()


def wait_for_run(
    outcomes: "queue.SimpleQueue[PartyError | None]", under_way: threading.Event
) -> None:
    """Wait until a session has ended and none has followed soon.

    Raises
    ------
    parties.errors.PartyError
        As soon as a session ends with one.
    """
    outcome = outcomes.get()
    while outcome is None:
        try:
            outcome = outcomes.get(timeout=ONCE_SECONDS)
        except queue.Empty:
            if not under_way.is_set():
                return
    raise outcome


def answer_by_dialling(
    config: "ServeConfig", address: str, answer: "Answer", *, once: bool
) -> None:
    """Dial the label party, again and again until it waits for us, and answer it."""
    from parties.errors import LocalError, PartyError
    from parties.grpc_transport import dial

    tls = make_tls(config)
    typer.echo(f"dialling {address}")
    served, said = False, ""
    while True:
        try:
            link = dial(address, tls, timeout=ONCE_SECONDS if served else DIAL_SECONDS)
        except LocalError:
            raise
        except PartyError as error:
            if once and served:
                return
            if str(error) != said:
                said = str(error)
                log.info("dialling on: %s", said)
            time.sleep(RETRY_SECONDS)
            continue
        said = ""
        try:
            served = answer(link) or served
        except PartyError:  # logged already, and no reason to stop serving
            if once:
                raise
