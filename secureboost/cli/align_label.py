"""The label party's side of ``secureboost align``: all parties are asked, files are written."""

import contextlib
import shlex
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import typer

from parties.errors import PeerTimeoutError, PeerUnreachableError
from secureboost.align.aligned import Aligned
from secureboost.align.event_table import EventTable
from secureboost.align.keys import Keys
from secureboost.align.options import AlignOptions
from secureboost.align.rules import example
from secureboost.alignment_folder import (
    alignment_file,
    prepare_alignment_folder,
    remove_state,
    write_alignments,
)
from secureboost.alignment_progress import AlignmentProgress
from secureboost.cli.console import result_table, stderr, stdout
from secureboost.cli.train import remote_parties
from secureboost.cli.watching import all_bytes_of, log_compilations
from secureboost.config import (
    FEATURE_PARTY,
    TrainConfig,
    load_serve_config,
    load_train_config,
)
from secureboost.config_align import check_keys
from secureboost.keyed_table import KeyColumns, read_keyed_table
from secureboost.matching import Matched, match_tables
from secureboost.party import Party
from secureboost.units import format_bytes, format_seconds

FOLDER = "alignment"
RESULTS = {"both": "both sides", "label-party": "the label party", "size": "their number alone"}


def print_rules(config: Path, settings: Sequence[str], side: str) -> None:
    """Show on made-up values what the rules of a configuration do."""
    load = load_serve_config if side == FEATURE_PARTY else load_train_config
    loaded = load(config, settings)
    typer.echo(example(check_keys(loaded.data.id, loaded.align)))


def ask_all(
    config: Path,
    settings: Sequence[str],
    out: Path | None,
    *,
    size_only: bool,
    resume: bool,
    force: bool,
) -> None:
    """Align with all feature parties of a configuration."""
    loaded = load_train_config(config, settings)
    options = loaded.align.options(size_only=size_only)
    folder = (out or loaded.align.file or config.resolve().parent / FOLDER).resolve()
    state = None
    if not size_only:
        state = prepare_alignment_folder(folder, list(loaded.party), force=force, resume=resume)
    log_compilations()
    with kept_or_deleted(state, resume=resume) as attempt:
        rows = read_rows(loaded)
        keys = rows.keys if isinstance(rows, EventTable) else rows
        stderr().print(f"{loaded.data.file.name}: {keys.counts}")
        with remote_parties(loaded) as parties:
            started = time.perf_counter()
            with attempt.progress(keys, parties) as progress:
                matched = match_tables(
                    *(rows, parties, loaded.align, options),
                    state=state,
                    progress=progress.show_step,
                )
            seconds = time.perf_counter() - started
        print_aligned(matched.found, parties, seconds)
        say_learnt(matched, keys, options)
        if state is not None:
            matched.found.check()
            write_alignments(folder, matched.alignments)
            remove_state(state)
            say_written(config, loaded, folder)


def read_rows(config: TrainConfig) -> Keys | EventTable:
    """What is aligned of the label party's table.

    Raises
    ------
    ConfigError, DataError
    """
    data, settings = config.data, config.align
    if settings.time is None:  # only the key columns need be read
        return KeyColumns(data.file, data.id, settings).read()
    return read_keyed_table(data.file, data.id, settings).rows


class Attempt:
    """What one start of the command has come to."""

    def __init__(self) -> None:
        self._progress: AlignmentProgress | None = None

    def progress(self, keys: Keys, parties: Sequence[Party]) -> AlignmentProgress:
        """Make the bar."""
        self._progress = AlignmentProgress(
            len(keys.encoded), len(parties), lambda: all_bytes_of(parties)[0], stderr()
        )
        return self._progress

    @property
    def begun(self) -> bool:
        """Whether keys were exchanged."""
        return self._progress is not None and self._progress.begun


@contextlib.contextmanager
def kept_or_deleted(state: Path | None, *, resume: bool) -> Iterator[Attempt]:
    """Keep what an interruption has left, and delete it where nothing goes on with it."""
    attempt = Attempt()
    try:
        yield attempt
    except BaseException as error:
        interrupted = (KeyboardInterrupt, PeerUnreachableError, PeerTimeoutError, OSError)
        if state is not None and (resume or (attempt.begun and isinstance(error, interrupted))):
            if state.is_dir():
                error.add_note(
                    "What was exchanged is kept: --resume goes on with it as it was begun, --force "
                    "begins anew."
                )
        elif state is not None:
            remove_state(state)
        raise


def say_written(config: Path, loaded: TrainConfig, folder: Path) -> None:
    """Say where the files are, and how to train with them."""
    stderr().print(
        f"Written: {', '.join(str(alignment_file(folder, name)) for name in loaded.party)}"
    )
    if loaded.align.file != folder:
        setting = shlex.quote(f"align.file={folder}")
        stderr().print(f"To train with it: secureboost train {config} --set {setting}")


def print_aligned(aligned: Aligned, parties: Sequence[Party], seconds: float) -> None:
    """Print how many rows are common with whom, and what it took."""
    sizes = aligned.sizes
    rows: list[tuple[object, ...]] = [("label party", sizes.own, *[None] * 5)]
    for party in parties:
        theirs, common = sizes.parties[party.name], sizes.common[party.name]
        sent, received = map(format_bytes, all_bytes_of([party]))
        pace = round((sizes.own + theirs) / seconds)
        rows.append((party.name, theirs, common, _share(common, sizes.own), sent, received, pace))
    if len(parties) > 1 and sizes.agreed is not None:
        rows.append(("all", None, sizes.agreed, _share(sizes.agreed, sizes.own), *[None] * 3))
    columns = ("party", "ids", "common", "of ours", "sent", "received", "ids/s")
    title = f"Common ids, found in {format_seconds(seconds)}"
    stdout().print(result_table(columns, rows, title=title))


def say_learnt(matched: Matched, keys: Keys, options: AlignOptions) -> None:
    """Say what was agreed, and in a line what each side has learnt."""
    aligned, joined = matched.found, matched.joined
    parties = list(aligned.sizes.parties)
    one = next(iter(aligned.alignments.values()), None)
    group = one.details["group"] if one else options.group
    say = stderr().print
    say(
        f"agreed: ids by the rules {', '.join(keys.rules)}; method {options.method}"
        f"{f' in the group {group}' if group else ''}; result for {RESULTS[options.result]}"
    )
    if joined is not None:
        say(str(joined))
    which = "" if options.result == "size" or not one else " and which of our ids it has too"
    if joined is not None:
        which += ", and which of our rows find one of its rows in time"
    say(f"we have learnt: of each party, how many ids it has, how many are common{which}")
    told = "how many ids we have, how many are common"
    if one and options.result == "both":
        hidden = f", among {options.padding:,} others" if options.padding else ""
        everybody = " to all of us" if len(parties) > 1 else ""
        told += f", and which of its own are common{everybody}{hidden}"
    if joined is not None:
        told += ", and the times of our rows of these ids"
    say(f"{', '.join(parties)} {'has' if len(parties) == 1 else 'have'} learnt: {told}")


def _share(count: int, of: int) -> str:
    return f"{100 * count / of:.1f} %"
