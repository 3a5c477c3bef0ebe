"""How many bytes a training takes: the sizes of the real messages, without making their arrays.

Sizes of gradients, questions and sums are exact, but for integers in a frame's head that grow with
the number of the tree (at most 8 bytes a message). Who wins which node is not known, so sizes of
divisions are expectations. The greeting and the end of a session, some 400 bytes, are left out.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crypto.modulus import encode_modulus
from crypto.wide import WORD_BYTES
from parties.codec import frame_bytes
from parties.messages import Ack, Message
from parties.traffic import Traffic
from secureboost.gbdt.codes import CODE_WORDS
from secureboost.gbdt.protocol import (
    FEATURE_PHASES,
    Divide,
    Division,
    Finish,
    Finished,
    GradientBlock,
    Histograms,
    HistogramsOf,
    Ready,
    Setup,
)
from secureboost.gbdt.remote import BLOCK_ROWS
from secureboost.planning.counts import Counts


def traffic(counts: Counts) -> tuple[Mapping[str, Traffic], ...]:
    """Messages and bytes of a whole training with each party, by type of request.

    Parameters
    ----------
    counts : Counts
    """
    return tuple(_with_party(counts, number) for number in range(len(counts.partner_bins)))


def _with_party(counts: Counts, number: int) -> dict[str, Traffic]:
    shape = counts.shape
    columns = len(counts.partner_bins[number])
    total: dict[str, Traffic] = {}

    def add(request: Message, reply: Message, times: int) -> None:
        name = type(request).__name__
        one = Traffic(1, frame_bytes(request), frame_bytes(reply))
        total[name] = total.get(name, Traffic()) + Traffic(
            times, times * one.bytes_sent, times * one.bytes_received
        )

    all_columns = len(shape.partner_bins[number])
    ready = Ready(
        n_bins=_zeros("int32", all_columns),
        categorical=_zeros("uint8", all_columns),
        monotone=_zeros("int8", all_columns),
    )
    add(_setup(counts), ready, 1)
    tree = shape.trees - 1
    full, rest = divmod(shape.active_rows, BLOCK_ROWS)
    for rows, times in ((BLOCK_ROWS, full * shape.trees), (rest, shape.trees)):
        if rows and times:
            add(_block(counts, tree, rows), Ack(), times)
    for level, sums in zip(counts.levels, counts.sums[number], strict=True):
        question = HistogramsOf(
            tree=tree,
            nodes=_zeros("int32", level.nodes),
            asked=_zeros("int32", level.asked),
            node_of_row=_zeros("uint16", shape.all_rows),
            features=_zeros("int32", columns),
        )
        cuts = level.nodes * columns * shape.bins * 2
        answer = Histograms(
            ciphertexts=_ciphertexts(counts, sums.ciphertexts),
            allowed=_zeros("uint8", -(-cuts // 8) if shape.min_child_samples > 1 else 0),
        )
        add(question, answer, shape.trees)
        share = counts.share_of_wins(number)
        won, asked = share * level.nodes, 1 - (1 - share) ** level.nodes
        splits = max(1, round(won / asked))
        rows = round(share / asked * shape.all_rows)
        add(
            _divide(tree, splits),
            Division(goes_left=_zeros("uint8", -(-rows // 8))),
            round(asked * shape.trees),
        )
    finish = Finish(n_splits=0, keep=True)
    phases = len(FEATURE_PHASES)
    add(
        finish,
        Finished(
            seconds=_zeros("float64", phases),
            operations=_zeros("int64", phases),
            cpu_seconds=0.0,
            digest=bytes(32),
        ),
        1,
    )
    return total


def _setup(counts: Counts) -> Setup:
    shape = counts.shape
    return Setup(
        model_id="0" * 32,
        base="",
        first_split=0,
        scheme="paillier",
        public_key=encode_modulus("paillier", 1 << (shape.key_bits - 1)),
        rows=_zeros("int32", shape.all_rows),
        n_training=shape.rows,
        max_bin=shape.bins,
        min_child_samples=shape.min_child_samples,
        min_group=shape.min_child_samples,
        max_cat_to_onehot=1,
        n_trees=shape.trees,
        cell_bits=shape.packing.cell_bits,
        cells=shape.cells_per_ciphertext,
        parts=shape.packing.parts,
    )


def _block(counts: Counts, tree: int, rows: int) -> GradientBlock:
    return GradientBlock(
        tree=tree,
        rows=_zeros("int32", rows),
        ciphertexts=_ciphertexts(counts, rows * counts.shape.packing.parts),
    )


def _divide(tree: int, splits: int) -> Divide:
    numbers = _zeros("int32", splits)
    return Divide(
        tree=tree,
        first_split=0,
        nodes=numbers,
        features=numbers,
        bins=numbers,
        missing_left=_zeros("uint8", splits),
        codes=_zeros("uint64", splits, CODE_WORDS),
    )


def _ciphertexts(counts: Counts, count: int) -> NDArray[Any]:
    return _zeros("uint64", count, counts.shape.ciphertext_bytes // WORD_BYTES)


def _zeros(dtype: str, *shape: int) -> NDArray[Any]:
    """An array that takes no memory."""
    return np.broadcast_to(np.zeros((), dtype), shape)
