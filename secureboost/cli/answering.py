"""What a feature party answers with: its table, its rules, the sessions over one connection."""

import contextlib
import dataclasses
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import msgspec

from crypto.errors import KeyFileError
from crypto.keyfile import read_signing_key
from parties.answerer import Answerer
from parties.certificates import TLS, read_identity
from parties.errors import PartyError, SessionRefusedError
from parties.link import Link, serve_link
from parties.messages import Hello
from parties.service import Service
from secureboost._version import __version__
from secureboost.align.event_table import EventTable
from secureboost.align.keys import Keys
from secureboost.align.policy import AlignPolicy, kept_align_budget
from secureboost.align.signer import Signer, kept_signature_budget
from secureboost.align.table import AlignTable
from secureboost.alignment import AlignmentStore, FolderAlignments
from secureboost.cli.answering_nets import net_terms, refuse_nets
from secureboost.cli.passphrase import read_passphrase
from secureboost.config import ServeConfig
from secureboost.errors import ConfigError
from secureboost.gbdt.feature_table import FeatureTable
from secureboost.gbdt.policy import Policy, kept_budget
from secureboost.gbdt.store import FolderStore
from secureboost.keyed_table import KeyColumns, KeyedTable, read_keyed_table
from secureboost.party import data_digest, feature_table
from secureboost.trainers import (
    ALIGN_TRAINER,
    GBDT_TRAINER,
    NET_TRAINER,
    Trainer,
    codec_of,
    get_model_trainer,
)

BUDGET_FILE = "budget.json"
ALIGNMENTS, INTERRUPTED = "alignments", "interrupted"
"""In the store the folder of alignments, and in that one those that are under way."""
SIGNED_FILE, TAGS_FILE = "signed.json", "own.tags"
"""In that folder too: how much was signed, and tags of our own ids."""

Answer = Callable[[Link], bool]
"""Answers one connection. Returns whether the label party asked anything, and raises `PartyError`
if it did and did not end well."""

Open = Callable[[str], Service]
"""Makes the service of a session with the label party of that name."""

log = logging.getLogger(__name__)


def answer_everything(config: ServeConfig, passphrase_file: Path | None = None) -> Answer:
    """Read the table; answer who aligns, trains or scores.

    Parameters
    ----------
    config : ServeConfig
    passphrase_file : Path, optional
        Of the signing key, if the configuration names one.

    Raises
    ------
    ConfigError, DataError, parties.errors.CertificateError, crypto.errors.CryptoError
    """
    served, party = served_trainers(config), our_name(config)
    store, alignments = open_store(config.store), open_alignments(config.store)
    signer = read_signer(config, passphrase_file)
    keyed = read_keyed_table(config.data.file, config.data.id, config.align)
    frame, digest = keyed.frame, keyed.read_keys().digest()
    log.info("%s holds %d rows and %d columns", party, len(frame), frame.shape[1])
    policy, data = Policy(**msgspec.structs.asdict(config.policy)), data_digest(frame)
    table = feature_table(
        party,
        frame if keyed.comparable else frame.reset_index(drop=True),
        policy=policy,
        budget=kept_budget(policy, config.store / BUDGET_FILE, data),
        store=store,
        categorical=config.data.categorical,
        monotone=config.data.monotone,
        alignments=alignments,
        nets=net_terms(config, data) if NET_TRAINER in served else None,
    )
    table = dataclasses.replace(
        table,
        # a table without ids of its own never equals another as it is: rows must be aligned
        ids=table.ids if keyed.comparable else (),
        key_digest=lambda: digest,
    )
    timed = keyed if config.align.time is not None else None
    rows = align_table(config, party, alignments, keyed.source, timed, digest, signer)
    log.info("trainers: %s", ", ".join(trainer.name for trainer in served))
    answered: dict[Trainer, Open] = {NET_TRAINER: refuse_nets}
    for trainer in served:
        answered[trainer] = partial(_open, trainer, table)
    answered[ALIGN_TRAINER] = lambda asker: ALIGN_TRAINER.open_session(rows, asker=asker, n_jobs=-1)
    return _answer(party, answered)


def served_trainers(config: ServeConfig) -> list[Trainer]:
    """The trainers of models that are served: the one that is named, or trees and perhaps nets.

    Raises
    ------
    ConfigError
        If there is none of that name.
    """
    if config.trainer is not None:
        return [get_model_trainer(config.trainer)]
    return [GBDT_TRAINER] if config.nets is None else [GBDT_TRAINER, NET_TRAINER]


def _open(trainer: Trainer, table: FeatureTable, _asker: str) -> Service:
    return trainer.open_session(table, n_jobs=-1)


def answer_alignments(
    config: ServeConfig, alignments: AlignmentStore, passphrase_file: Path | None = None
) -> Answer:
    """Read the table; answer who aligns. See `answer_everything`."""
    party, signer = our_name(config), read_signer(config, passphrase_file)
    source, timed = KeyColumns(config.data.file, config.data.id, config.align), None
    if config.align.time is not None:  # else only the key columns need be read
        timed = read_keyed_table(config.data.file, config.data.id, config.align)
    keys = source.read()
    log.info("%s: %s", config.data.file.name, keys.counts)
    rows = align_table(config, party, alignments, source, timed, keys.digest(), signer)
    return _answer(
        party,
        {ALIGN_TRAINER: lambda asker: ALIGN_TRAINER.open_session(rows, asker=asker, n_jobs=-1)},
    )


def align_table(
    config: ServeConfig,
    party: str,
    alignments: AlignmentStore,
    source: KeyColumns,
    timed: KeyedTable | None,
    digest: bytes,
    signer: Signer | None,
) -> AlignTable:
    """What this party brings to alignments, with its own limits.

    Keys are read again for each session: they need not lie in memory while nobody asks.

    Parameters
    ----------
    config : ServeConfig
    party : str
    alignments : AlignmentStore
    source : KeyColumns
        Where the keys come from.
    timed : KeyedTable, optional
        The whole table, if its rows are joined by time.
    digest : bytes
        Of its keys.
    signer : Signer, optional

    Raises
    ------
    DataError
        If times cannot be read.
    """
    fields = dataclasses.fields(AlignPolicy)
    policy = AlignPolicy(**{field.name: getattr(config.align, field.name) for field in fields})
    folder = config.store / ALIGNMENTS

    def rows() -> Keys | EventTable:
        keys = source.read_again(digest)
        return keys if timed is None else timed.events(keys)

    if timed is not None:
        rows()  # what cannot be read is told now
    return AlignTable(
        party=party,
        rows=rows,
        alignments=alignments,
        state_folder=folder / INTERRUPTED,
        policy=policy,
        budget=kept_align_budget(policy, folder / BUDGET_FILE, digest.hex()),
        signer=signer,
    )


def read_signer(config: ServeConfig, passphrase_file: Path | None) -> Signer | None:
    """What we sign with, if the configuration names a key.

    Raises
    ------
    ConfigError
        If the count of signatures is damaged.
    crypto.errors.CryptoError
    """
    file = config.align.signing_key
    if file is None:
        return None
    if not file.is_file():  # before anybody is asked for its passphrase
        raise KeyFileError(f"key file {file}: there is no such file")
    key = read_signing_key(file, read_passphrase(file, passphrase_file))
    folder = config.store / ALIGNMENTS
    budget = kept_signature_budget(config.align.max_signatures, folder / SIGNED_FILE, key)
    return Signer(key, folder / TAGS_FILE, budget)


def our_name(config: ServeConfig) -> str:
    """Our name, from our certificate."""
    return read_identity(make_tls(config)).certificate.party


def make_tls(config: ServeConfig) -> TLS:
    """Our certificate and the label party's."""
    return TLS(config.tls.certificate, config.tls.key, config.label_party.certificate)


def open_store(folder: Path) -> FolderStore:
    """Open the folder of our halves.

    Raises
    ------
    ConfigError
        If it cannot be made or written into.
    """
    with _naming_store(folder):
        return FolderStore(folder)


def open_alignments(folder: Path) -> FolderAlignments:
    """Open the folder of our alignments, inside that of our halves.

    Raises
    ------
    ConfigError
        If it cannot be made or written into.
    """
    with _naming_store(folder / ALIGNMENTS):
        return FolderAlignments(folder / ALIGNMENTS)


@contextlib.contextmanager
def _naming_store(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(f"{folder} cannot be made: {error.strerror}", "store") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(f"{folder} cannot be written into; change its permissions", "store")


def _answer(party: str, trainers: Mapping[Trainer, Open]) -> Answer:
    """Answer one connection with one of these trainers."""
    codec = codec_of(trainers)

    def answer(link: Link) -> bool:
        asked = False

        def opened(open_session: Open, _hello: Hello) -> Service:
            nonlocal asked
            asked = True
            return open_session(link.party)

        log.info("%s is connected", link.party)
        answerer = Answerer(
            party,
            codec,
            {trainer.name: partial(opened, session) for trainer, session in trainers.items()},
            software_version=__version__,
            asker=link.party,
        )
        try:
            serve_link(link, answerer)
        except PartyError as error:
            if not asked:
                log.info("nothing was asked: %s", error)
                return False
            if not answerer.refusal:  # else they hung up because of it
                log.warning("the session ended early: %s", error)
                raise
        if asked and answerer.refusal:
            problem = f"the session ended with our refusal ({answerer.refusal})"
            log.info("%s: %s", link.party, problem)
            raise SessionRefusedError(link.party, f"{problem}; the log says why")
        log.info("%s has finished", link.party)
        return asked

    return answer
