"""A feature party's side of ``secureboost align``: one alignment is answered."""

import logging
from collections.abc import Sequence
from pathlib import Path

import typer
from joblib import effective_n_jobs

from secureboost.align.tag_set import write_tag_set
from secureboost.alignment import Alignment, AlignmentStore
from secureboost.cli.answering import (
    answer_alignments,
    open_alignments,
    our_name,
    read_signer,
)
from secureboost.cli.console import stderr
from secureboost.cli.predict import check_file
from secureboost.cli.serve import (
    ONCE_SECONDS,
    answer_by_dialling,
    answer_by_listening,
    ending_by_signal,
    log_to_stderr,
)
from secureboost.config import load_serve_config
from secureboost.errors import ConfigError
from secureboost.keyed_table import KeyColumns

log = logging.getLogger(__name__)


class NotedAlignments:
    """A store that also remembers what was saved last.

    Parameters
    ----------
    store : AlignmentStore

    Attributes
    ----------
    last : Alignment or None
    """

    def __init__(self, store: AlignmentStore) -> None:
        self._store = store
        self.last: Alignment | None = None

    def save(self, alignment: Alignment) -> None:
        """Keep an alignment."""
        self._store.save(alignment)
        self.last = alignment

    def load(self, alignment_id: bytes) -> Alignment | None:
        """Return the alignment of that id, or None where there is none."""
        return self._store.load(alignment_id)


def sign_ahead(
    config: Path, settings: Sequence[str], passphrase_file: Path | None, out: Path
) -> None:
    """Sign all own ids, and write what the label party may be given ahead."""
    loaded = load_serve_config(config, settings)
    check_file(out, force=None, option="--tag-set")
    open_alignments(loaded.store)
    signer = read_signer(loaded, passphrase_file)
    if signer is None:
        raise ConfigError(
            "name the key that signs, of `secureboost keygen --signing`", "align.signing_key"
        )
    party = our_name(loaded)
    encoded = KeyColumns(loaded.data.file, loaded.data.id, loaded.align).read().encoded
    stderr().print(f"signing {len(encoded):,} ids, but for those that were signed before ...")
    write_tag_set(out, signer.tag_set(encoded, n_jobs=effective_n_jobs(-1)))
    stderr().print(
        f"{out} written: tags of {len(encoded):,} ids. They tell nothing to whoever has no "
        f"signature of ours. The label party puts it into its align.signatures as {party}.tagset"
    )


def answer_one(config: Path, settings: Sequence[str], passphrase_file: Path | None) -> None:
    """Answer one alignment, and say how many rows are common."""
    log_to_stderr()
    with ending_by_signal():
        loaded = load_serve_config(config, settings)
        folder = open_alignments(loaded.store)
        noted = NotedAlignments(folder)
        answer = answer_alignments(loaded, noted, passphrase_file)
        # with times, a session over keys is followed by one over rows
        grace = 0.0 if loaded.align.time is None else ONCE_SECONDS
        if loaded.dial:
            answer_by_dialling(loaded, loaded.dial, answer, once=True, grace=grace)
        else:
            answer_by_listening(loaded, loaded.listen or "", answer, once=True, grace=grace)
    if noted.last is None:
        typer.echo(
            "No rows were agreed on. If the log above does not say why, the label party knows: "
            "with several parties, too few ids may be common to all."
        )
        return
    details, peer = noted.last.details, noted.last.peer
    common = (
        f"{details['agreed rows']:,} rows of {peer} are matched with ours"
        if "agreed rows" in details
        else f"{details['common keys']:,} of our {details['keys of the feature party']:,} ids are "
        f"common with {peer}"
    )
    typer.echo(f"{common}; kept in {folder.path(noted.last.id)}")
