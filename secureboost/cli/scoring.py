"""The parties of a scoring, and which rows they have."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from secureboost.alignment_folder import read_alignments
from secureboost.cli.aligning import show_common
from secureboost.cli.console import stderr
from secureboost.cli.predict import Unmatched
from secureboost.cli.simulate import parse_parties
from secureboost.cli.train import remote_parties
from secureboost.config import TrainConfig
from secureboost.config_align import Id, LabelAlign, columns_of
from secureboost.data import positions_text
from secureboost.errors import AlignmentError, ConfigError, DataError
from secureboost.keyed_table import KeyedTable
from secureboost.party import FeatureParty, Party
from secureboost.tables import read_table


@contextlib.contextmanager
def open_parties(
    options: list[str], config: TrainConfig | None, id_column: Id
) -> Iterator[list[Party]]:
    """Tables on this machine as parties, or the companies of a configuration."""
    if config is not None:
        with remote_parties(config) as parties:
            yield list(parties)
        return
    yield [
        FeatureParty(name, read_table(file, columns_of(id_column)))
        for name, file in parse_parties(options).items()
    ]


def common_rows(
    keyed: KeyedTable,
    parties: Sequence[Party],
    settings: LabelAlign,
    unmatched: Unmatched,
    *,
    new_rows: bool,
) -> pd.DataFrame:
    """Find the rows that parties have, and return those to score.

    Parameters
    ----------
    keyed : KeyedTable
    parties : sequence of Party
    settings : LabelAlign
    unmatched : {"error", "missing", "drop"}
        What happens to rows that a party does not have.
    new_rows : bool
        The rows are not those of the configuration, so its alignment may be of others.

    Raises
    ------
    DataError
        If a party does not have all rows, and that is an error; if no row is left.
    ConfigError, AlignmentError, IntegrityError, parties.errors.PartyError
    """
    settings = msgspec.structs.replace(settings, keep_unmatched=0.0)  # `unmatched` decides here
    if new_rows and settings.file is not None and not _aligned(keyed, settings.file, parties):
        settings = msgspec.structs.replace(settings, file=None)
    frame = keyed.frame
    held, common = np.ones((2, len(frame)), dtype=np.bool_)
    for group in _groups(parties, settings, unmatched):
        if group[0].index is None:
            table = show_common(keyed, group, settings)
            held, has = table.held, table.common
        else:  # a table on this machine
            has = frame.index.isin(group[0].index)
        _check_lacking(keyed.name, [party.name for party in group], held & ~has, unmatched)
        common &= has
    kept = held if unmatched == "missing" else common
    if not kept.any():
        raise DataError(f"{keyed.name}: no row is left to score; the parties have none of them.")
    return frame if kept.all() else frame.loc[kept]


def _groups(
    parties: Sequence[Party], settings: LabelAlign, unmatched: Unmatched
) -> list[list[Party]]:
    """Which parties are aligned together.

    Together they have one list of rows, those that all of them have. Where rows may be missing
    each has its own, but for an alignment that was made before, or one that hides rows.
    """
    apart = unmatched == "missing" and settings.file is None and settings.result == "both"
    if not parties:
        return []
    return [[party] for party in parties] if apart and not settings.padding else [list(parties)]


def _aligned(keyed: KeyedTable, folder: Path, parties: Sequence[Party]) -> bool:
    """Whether the alignment in a folder is of these rows."""
    try:
        read_alignments(folder, [party.name for party in parties], keyed.digest)
    except (AlignmentError, ConfigError):
        return False
    return True


def _check_lacking(
    file: str, names: Sequence[str], lacking: NDArray[np.bool_], unmatched: Unmatched
) -> None:
    """Refuse rows that parties lack, or say what happens to them."""
    if not lacking.any():
        return
    who = names[0] if len(names) == 1 else f"one of {', '.join(names)}"
    what = f"{file}: {who} does not have {positions_text(lacking)} of {len(lacking):,}"
    if unmatched == "error":
        raise DataError(
            f"{what}. Score them as if all columns were missing there (--unmatched missing), or "
            "leave them out (--unmatched drop)."
        )
    done = "scored with missing values there" if unmatched == "missing" else "left out"
    stderr().print(f"{what}: {done}")
