"""Seeds and generators: every draw follows from a seed and from when it is made.

A run has one seed (`random_state`, or a secret one). Parties, and what they draw for, have their
own streams of it. Streams are made by numpy's `SeedSequence`, whose values never change between
versions; initial weights and what is drawn in training come from torch, so equality of two runs
holds for one version of it.
"""

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray

TOP = 1 << 20
"""The stream of the top network; bottoms have the numbers of their parties, 0 is the own one."""

BATCHES = TOP + 1
"""The stream of the order of rows."""

BODY = TOP + 2
"""Of a party's seed: the stream of the body that it computes (`body`)."""

ORDER = TOP + 3
"""The stream of the order in which rows are named to partners."""

ABSENCE = TOP + 4
"""The stream of the rows in which a party is missing (`party_dropout`), by the party's number."""

INITIAL, TRAINING, EVALUATION, LABELS = range(4)
"""What a party draws for: weights, an epoch's training, an epoch's evaluation, its labels."""

_lock = threading.Lock()


def new_seed() -> int:
    """A secret seed, 53 bits, so that it fits wherever a number does."""
    return secrets.randbits(53)


def new_run_seed() -> int:
    """A secret seed of a run, 128 bits: partners see seeds that follow from it."""
    return secrets.randbits(128)


def named_order(seed: int, n_training: int, n_rows: int) -> NDArray[np.int32]:
    """In which order the rows of a table are named to partners: those trained on, then the others.

    A table may be sorted by what nobody else must know, as by the label, so the order is drawn.

    Parameters
    ----------
    seed : int
        Of the run. Who guesses a stated one knows the order.
    n_training, n_rows : int

    Returns
    -------
    array of shape (n_rows,), int32
        Which of the table's rows each of the named ones is.
    """
    bits = np.random.MT19937(np.random.SeedSequence([seed, ORDER]))
    draw = np.random.RandomState(bits).permutation
    training = draw(n_training)
    others = n_training + draw(n_rows - n_training)
    return np.concatenate([training, others]).astype(np.int32)


def derive(seed: int, *stream: int) -> int:
    """A seed of 53 bits that follows from another and from what it is for."""
    word = np.random.SeedSequence([seed, *stream]).generate_state(1, np.uint64)[0]
    return int(word) >> 11


def generator_at(seed: int, *stream: int) -> torch.Generator:
    """A generator of its own."""
    return torch.Generator().manual_seed(derive(seed, *stream))


@contextmanager
def seeded(seed: int, *stream: int) -> Iterator[None]:
    """Let torch's global generator stand at a seed; afterwards it is as it was.

    One thread at a time: there is only one such generator.
    """
    with _lock, torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, *stream))
        yield
