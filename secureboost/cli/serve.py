"""``secureboost serve``: a feature party's side between companies."""

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from secureboost.cli.app import command

if TYPE_CHECKING:
    from parties.errors import PartyError
    from parties.link import Link
    from secureboost.cli.answering import Answer
    from secureboost.config import ServeConfig

DIAL_SECONDS = 10.0
RETRY_SECONDS = 1.0
ONCE_SECONDS = 5.0
"""With --once: a session that begins so soon after another belongs to the same run, as the scoring
does that follows a training."""

DATE = "%Y-%m-%d %H:%M:%S"

log = logging.getLogger(__name__)


@command
def serve(
    config: Annotated[Path, typer.Argument(help="TOML file; --example writes one to start from.")],
    settings: Annotated[
        list[str], typer.Option("--set", help="KEY=VALUE, over the file; repeat.")
    ] = [],  # noqa: B006 - typer copies it
    trainer: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Serve only this: secureboost (trees) or splitnn (networks).",
        ),
    ] = None,
    once: Annotated[
        bool,
        typer.Option("--once", help="End after one run: a training with its scoring, say."),
    ] = False,
    passphrase_file: Annotated[
        Path | None, typer.Option(help="Of the signing key, if the configuration names one.")
    ] = None,
    example: Annotated[
        bool, typer.Option("--example", help="Write a commented example to CONFIG.")
    ] = False,
) -> None:
    """Answer a label party's questions about your columns, by your own rules.

    It may find the common rows, train and score. Rows, column names and thresholds stay here.
    Ctrl-C (code 130) and SIGTERM (code 0) end it; a session under way is cut then.
    """
    from secureboost.cli.answering import answer_everything
    from secureboost.cli.train import with_trainer
    from secureboost.config import load_serve_config, write_example

    if example:
        write_example("serve", config)
        typer.echo(f"{config} written; edit it, then: secureboost serve {config}")
        return
    log_to_stderr()
    with ending_by_signal():
        loaded = load_serve_config(config, with_trainer(settings, trainer))
        answer = answer_everything(loaded, passphrase_file)
        if loaded.dial:
            answer_by_dialling(loaded, loaded.dial, answer, once=once)
        else:
            answer_by_listening(loaded, loaded.listen or "", answer, once=once)


def log_to_stderr() -> None:
    """Write the log of what is answered to stderr, with the time."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s  %(message)s", datefmt=DATE)


@contextlib.contextmanager
def ending_by_signal() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end what has no end of its own."""
    from secureboost.errors import ExitCode, Terminated

    try:
        yield
    except Terminated as end:
        log.info("stopped by SIGTERM")
        raise typer.Exit(ExitCode.OK) from end
    except KeyboardInterrupt as end:
        log.info("stopped by Ctrl-C")
        raise typer.Exit(ExitCode.INTERRUPTED) from end


def answer_by_listening(
    config: "ServeConfig",
    address: str,
    answer: "Answer",
    *,
    once: bool,
    grace: float = ONCE_SECONDS,
) -> None:
    """Listen, and answer whoever is pinned, one session at a time.

    Parameters
    ----------
    config : ServeConfig
    address : str
        ``host:port``
    answer : callable
        See `answering.Answer`.
    once : bool
        End after a run.
    grace : float
        A session that begins within so many seconds after another belongs to the same run.
    """
    from parties.errors import PartyError
    from parties.grpc_server import listen
    from secureboost.cli.answering import make_tls

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
            wait_for_run(outcomes, under_way, grace)
        else:
            server.wait()


def wait_for_run(
    outcomes: "queue.SimpleQueue[PartyError | None]", under_way: threading.Event, grace: float
) -> None:
    """Wait until a session has ended and none has followed within `grace` seconds.

    Raises
    ------
    parties.errors.PartyError
        As soon as a session ends with one.
    """
    outcome = outcomes.get()
    while outcome is None:
        try:
            outcome = outcomes.get(timeout=grace)
        except queue.Empty:
            if not under_way.is_set():
                return
    raise outcome


def answer_by_dialling(
    config: "ServeConfig",
    address: str,
    answer: "Answer",
    *,
    once: bool,
    grace: float = ONCE_SECONDS,
) -> None:
    """Dial the label party, again and again until it waits for us, and answer it.

    Parameters are those of `answer_by_listening`.
    """
    from parties.errors import LocalError, PartyError
    from parties.grpc_transport import dial
    from secureboost.cli.answering import make_tls

    tls = make_tls(config)
    typer.echo(f"dialling {address}")
    served, said = False, ""
    while not (once and served and not grace):
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
