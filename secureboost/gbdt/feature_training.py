"""A feature party between `protocol.Setup` and `protocol.Finish`: its state and its answers."""

import logging
import time
from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from crypto.errors import CiphertextError
from crypto.pool import Pool
from crypto.scheme import PublicKey
from parties.messages import Ack, Refusal
from secureboost.clock import Clock, Phase
from secureboost.gbdt.cells import CellLayout
from secureboost.gbdt.counts import NodeCounts, group_floors
from secureboost.gbdt.feature_bins import FeatureBins
from secureboost.gbdt.feature_splits import (
    check_groups,
    check_split,
    keep_split,
    read_splits,
    sides,
)
from secureboost.gbdt.feature_sums import mask_cells, sum_nodes
from secureboost.gbdt.feature_table import FeatureTable
from secureboost.gbdt.feature_tree import FeatureTree
from secureboost.gbdt.model import PartyHalf, half_digest
from secureboost.gbdt.protocol import (
    FEATURE_PHASES,
    Code,
    Divide,
    Division,
    Finish,
    Finished,
    GradientBlock,
    Histograms,
    HistogramsOf,
    Keep,
    Setup,
)

T = TypeVar("T")

log = logging.getLogger(__name__)


class FeatureTraining:
    """One model in the making.

    Parameters
    ----------
    setup : Setup
        Checked.
    key : PublicKey
    table : FeatureTable
    bins : FeatureBins
    half : PartyHalf
        What the model begins with.
    ended : bool
        It has all of its trees already and may only be finished once more.
    n_jobs : int
        Threads for sums over ciphertexts.
    """

    def __init__(
        self,
        setup: Setup,
        key: PublicKey,
        table: FeatureTable,
        bins: FeatureBins,
        half: PartyHalf,
        *,
        ended: bool,
        n_jobs: int,
    ) -> None:
        self._setup = setup
        self._key = key
        self._table = table
        self._bins = bins
        self._half = half
        self._splits = list(half.splits)
        self._ended = ended
        self._n_jobs = n_jobs
        self._clock = Clock()
        self._cpu_before = time.process_time()
        self._floors = group_floors(
            bins.n_bins, setup.max_cat_to_onehot, setup.min_child_samples, setup.min_group
        )
        self._counts = NodeCounts(
            bins.binned, setup.max_bin, setup.min_child_samples, bins.categorical, self._floors
        )
        # one array per part: sums want the ciphertexts of all rows next to each other
        shape = (setup.n_training, key.ciphertext_words)
        self._ciphertexts = [np.zeros(shape, np.uint64) for _ in range(setup.parts)]
        self._tree: FeatureTree | None = None
        self._pool: Pool | None = None
        self._n_masked = 0

    def close(self) -> None:
        """Stop what works ahead."""
        self._key.stop_pool()

    def load(self, request: GradientBlock) -> Ack:
        """Take gradients of rows of a new or the current tree."""
        n_rows, tree = len(request.rows), self._tree
        if tree is None or request.tree != tree.tree:
            tree = self._next_tree(request.tree)
        if len(request.ciphertexts) != n_rows * self._setup.parts:
            raise Refusal(
                Code.CIPHERTEXTS,
                f"{len(request.ciphertexts)} ciphertexts for {n_rows} rows of "
                f"{self._setup.parts} each",
            )
        try:
            with self._clock.phase("check", len(request.ciphertexts)):
                self._key.check(request.ciphertexts)
        except CiphertextError as error:
            raise Refusal(Code.CIPHERTEXTS, str(error)[:300]) from error
        tree.activate(request.rows)
        for part, ciphertexts in enumerate(self._ciphertexts):
            ciphertexts[request.rows] = request.ciphertexts[part :: self._setup.parts]
        if tree is not self._tree:
            log.info("tree %d of %d", tree.tree + 1, self._setup.n_trees)
            self._work_ahead(tree.tree)
            self._tree = tree
        return Ack()

    def _next_tree(self, number: int) -> FeatureTree:
        if self._ended:
            raise Refusal(
                Code.RESUME, f"model {self._half.model_id} is finished; begin a new one with it"
            )
        first, behind = 0 if self._tree is None else self._tree.tree + 1, self._setup.n_trees
        if not first <= number < behind:
            raise Refusal(
                Code.TREE,
                f"tree {number} is out of order; it must be at least {first} and below {behind}",
            )
        return FeatureTree(
            number,
            self._bins.binned.shape[1],
            self._setup.n_training,
            self._setup.min_child_samples,
        )

    def _work_ahead(self, tree: int) -> None:
        """From the second tree on, make randomness while waiting, as much as a tree took."""
        if self._n_jobs > 1 and self._pool is None and self._n_masked:
            self._pool = self._key.start_pool(self._n_masked)
        if self._pool is not None and tree == self._setup.n_trees - 1:
            self._pool.pause()

    def histograms(self, request: HistogramsOf) -> Histograms:
        """Sum the gradients of nodes by bin."""
        tree = self._expect_tree(request.tree)
        asked = request.asked
        if len(asked) == 0 or asked[0] < 0 or asked[-1] >= len(request.nodes):
            raise Refusal(Code.NODES, f"asked nodes must lie in 0..{len(request.nodes) - 1}")
        if np.any(np.diff(asked) <= 0):
            raise Refusal(Code.NODES, "asked nodes must ascend")
        tree.check_features(request.features, len(self._bins.binned))
        rows_of_nodes = tree.check_frontier(request.nodes, request.node_of_row)
        spend_histograms(self._table, len(asked))
        if tree.features is None:
            self._counts.begin_tree(tree.active.view(np.uint8), request.features)
        tree.show(request.features, request.nodes, rows_of_nodes)
        with self._clock.phase("plan"):
            allowed = self._counts.allowed(request.nodes.tolist(), rows_of_nodes)
        return Histograms(
            ciphertexts=self._sums(tree, [rows_of_nodes[i] for i in asked]),
            allowed=np.zeros(0, np.uint8)
            if allowed is None
            else np.packbits(allowed, bitorder="little"),
        )

    def _sums(
        self, tree: FeatureTree, rows_of_nodes: list[NDArray[np.int32]]
    ) -> NDArray[np.uint64]:
        """Add up, pack and re-randomise the cells of the asked nodes, part after part."""
        setup, features = self._setup, not_none(tree.features)
        layout = CellLayout(self._bins.n_bins[features], setup.max_bin)
        sums = sum_nodes(
            self._key,
            self._ciphertexts,
            self._bins.binned,
            [rows[tree.active[rows]] for rows in rows_of_nodes],
            features,
            layout,
            clock=self._clock,
            n_jobs=self._n_jobs,
        )
        answers = [
            mask_cells(
                self._key,
                cells,
                setup.cell_bits,
                setup.cells,
                clock=self._clock,
                n_jobs=self._n_jobs,
            )
            for cells in sums
        ]
        answer = np.concatenate(answers)
        self._n_masked += len(answer)
        return answer

    def divide(self, request: Divide) -> Division:
        """Make splits of cuts that won their nodes, all of them or none."""
        tree = self._expect_tree(request.tree)
        with self._clock.phase("divide", len(request.nodes)):
            return self._divide(tree, request)

    def _divide(self, tree: FeatureTree, request: Divide) -> Division:
        splits = read_splits(request)
        if request.first_split != len(self._splits):
            raise Refusal(Code.SPLIT, f"the next split number is {len(self._splits)}")
        for split in splits:
            check_split(split, tree, self._bins)
        goes_left = []
        for split in splits:
            rows = tree.rows_of_node[split.node]
            bins = self._bins.binned[split.feature][rows]
            if split.codes:
                n_codes = int(self._bins.n_bins[split.feature])
                floor = int(self._floors[split.feature])
                check_groups(split, bins[tree.active[rows]], n_codes, floor)
            goes_left.append(sides(split, bins, self._setup.max_bin))
            tree.check_division(split.node, goes_left[-1])
        for split, left in zip(splits, goes_left, strict=True):
            tree.divide(split.node, left)
            self._splits.append(keep_split(split, self._bins, self._half.categories))
        return Division(goes_left=np.packbits(np.concatenate(goes_left), bitorder="little"))

    def keep(self, request: Keep) -> Ack:
        """Keep the splits so far beyond this process."""
        n_splits = len(self._splits)
        if request.n_splits != n_splits:
            raise Refusal(
                Code.SPLIT, f"n_splits={request.n_splits}, and this party counts {n_splits} splits"
            )
        self._table.store.keep(self._first(n_splits), self._bins.digest)
        return Ack()

    def finish(self, request: Finish) -> Finished:
        """Save the half, or forget all of it."""
        n_splits = len(self._splits)
        if request.n_splits > n_splits:
            raise Refusal(
                Code.SPLIT, f"n_splits={request.n_splits}, and this party counts {n_splits} splits"
            )
        half = self._first(request.n_splits)
        if request.keep:
            self._table.store.save(half)
        else:
            self._table.store.forget(half.model_id)
        log.info(
            "training ends: %d splits %s for model %s",
            len(half.splits),
            "kept" if request.keep else "forgotten",
            half.model_id,
        )
        phases = [self._clock.phases.get(name, Phase()) for name in FEATURE_PHASES]
        return Finished(
            seconds=np.array([phase.seconds for phase in phases]),
            operations=np.array([phase.operations for phase in phases], np.int64),
            cpu_seconds=time.process_time() - self._cpu_before,
            digest=half_digest(half) if request.keep else b"",
        )

    def _first(self, n_splits: int) -> PartyHalf:
        return msgspec.structs.replace(self._half, splits=tuple(self._splits[:n_splits]))

    def _expect_tree(self, number: int) -> FeatureTree:
        tree = not_none(self._tree)
        if number != tree.tree:
            raise Refusal(Code.TREE, f"tree {number} is not the current one, {tree.tree}")
        return tree


def spend_histograms(table: FeatureTable, nodes: int) -> None:
    """Take histograms of so many nodes from the budget.

    Raises
    ------
    Refusal
        If too little is left.
    """
    if not table.budget.spend_histograms(nodes):
        raise Refusal(
            Code.BUDGET,
            f"this data set's budget of {table.policy.max_node_histograms} node "
            "histograms is spent",
        )


def not_none(value: T | None) -> T:
    """What the transition table guarantees to be there."""
    if value is None:
        raise RuntimeError("the transition table let a request pass before its time")
    return value
