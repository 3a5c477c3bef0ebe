"""The folder that `secureboost align` writes at the label party: one file for each feature party.

::

    alignment/<party>.alignment    which rows are common with the party, in the agreed order
    alignment/interrupted/         while it is made: what `secureboost align --resume` goes on with

The files hold positions and no ids. They belong to one table, and to each other: agreed row k is
the same customer in all of them.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from secureboost.align.state import State
from secureboost.alignment import SUFFIX, Alignment, read_alignment, write_alignment
from secureboost.errors import AlignmentError, ConfigError
from secureboost.files import check_writable, remove_leftovers

INTERRUPTED = "interrupted"


def alignment_file(folder: Path, party: str) -> Path:
    """Where the alignment with a party lies."""
    return folder / f"{party}{SUFFIX}"


def prepare_alignment_folder(
    folder: Path, parties: Sequence[str], *, force: bool, resume: bool = False
) -> Path:
    """Make the folder, before any work.

    Parameters
    ----------
    folder : Path
    parties : sequence of str
    force : bool
        Replace alignments that are there.
    resume : bool
        Go on with the interrupted one.

    Returns
    -------
    Path
        The folder for what it takes to go on after a crash.

    Raises
    ------
    ConfigError
        If it cannot be written into, holds alignments or an interrupted one that `force` or
        `resume` would be for, or has nothing to resume.
    """
    state = folder / INTERRUPTED
    if resume and force:
        raise ConfigError("--resume goes on and --force begins anew; give one of them")
    if resume and not state.is_dir():
        raise ConfigError(f"{folder} holds no interrupted alignment; leave --resume out", "--out")
    if state.is_dir() and not (force or resume):
        raise ConfigError(
            f"{folder} holds an interrupted alignment; go on with it by --resume, or --force to "
            "begin anew",
            "--out",
        )
    there = [path.name for party in parties if (path := alignment_file(folder, party)).exists()]
    if there and not (force or resume):
        raise ConfigError(
            f"{folder} holds {' and '.join(there)} already; name another folder, or --force to "
            "replace",
            "--out",
        )
    try:
        if force:
            remove_state(state)
        check_writable(folder)
        State(state).sweep()
        for party in parties:
            remove_leftovers(alignment_file(folder, party))
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written into: {error.strerror}", "--out") from error
    return state


def remove_state(state: Path) -> None:
    """Delete what is kept of an alignment, and the folder around it if it is empty."""
    State(state).clear()
    if state.parent.is_dir() and not any(state.parent.iterdir()):
        state.parent.rmdir()


def write_alignments(folder: Path, alignments: Mapping[str, Alignment]) -> None:
    """Write the alignment with each party.

    Raises
    ------
    OSError
    """
    written: list[Path] = []
    try:
        for party, alignment in alignments.items():
            write_alignment(alignment_file(folder, party), alignment)
            written.append(alignment_file(folder, party))
    except BaseException:
        for path in written:  # all or none
            path.unlink()
        raise


def read_alignments(
    folder: Path, parties: Sequence[str], table_digest: bytes
) -> dict[str, Alignment]:
    """Read the alignments with these parties.

    Parameters
    ----------
    folder : Path
    parties : sequence of str
    table_digest : bytes
        `alignment.keys_digest` of the table that they are to be of.

    Raises
    ------
    ConfigError
        If there is none with a party.
    AlignmentError
        If one is damaged, is of another table or party, or they were not made together.
    """
    alignments: dict[str, Alignment] = {}
    for party in parties:
        path = alignment_file(folder, party)
        try:
            alignment = read_alignment(path)
        except FileNotFoundError:
            raise ConfigError(
                f"{path}: there is no such file; `secureboost align` makes it", "align.file"
            ) from None
        except OSError as error:
            raise ConfigError(f"{path} cannot be read: {error.strerror}", "align.file") from error
        if alignment.peer != party:
            raise AlignmentError(f"{path} is an alignment with {alignment.peer!r}.")
        alignment.check_table(table_digest)
        alignments[party] = alignment
    made = list(alignments.values())
    if any(not np.array_equal(made[0].rows, other.rows) for other in made[1:]):
        raise AlignmentError(
            f"The alignments in {folder} with {', '.join(parties)} do not have the same rows in "
            "the same order: they were not made together. Align again with all of them."
        )
    return alignments
