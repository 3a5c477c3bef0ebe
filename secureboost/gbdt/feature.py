"""The feature party's role: answers what `gbdt.protocol` allows, by its own rules.

It holds columns and no label. It sees ciphertexts under the label party's key, adds them up by bin
and lets nothing leave that is not re-randomised. What it knows of the tree is in `feature_tree`;
what it allows is in `policy`.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from joblib import effective_n_jobs
from numpy.typing import NDArray

from crypto.errors import CiphertextError, CryptoError, UnavailableError
from crypto.pool import Pool
from crypto.scheme import PublicKey
from crypto.schemes import load_public_key
from parties.messages import Ack, MatchRows, Message, Refusal, Reply, Request
from parties.rows import check_rows
from parties.service import Service
from secureboost.binning import BinMapper
from secureboost.clock import Clock, Phase
from secureboost.errors import ModelError
from secureboost.gbdt.cells import CellLayout
from secureboost.gbdt.counts import NodeCounts
from secureboost.gbdt.feature_sums import mask_cells, sum_nodes
from secureboost.gbdt.feature_table import FeatureTable
from secureboost.gbdt.feature_tree import FeatureTree, check_split, route_bits, rows_left
from secureboost.gbdt.model import PartnerSplit, PartyHalf
from secureboost.gbdt.protocol import (
    FEATURE_PHASES,
    TRANSITIONS,
    Code,
    Divide,
    Division,
    Finish,
    Finished,
    GradientBlock,
    Histograms,
    HistogramsOf,
    Ready,
    Route,
    Routes,
    Setup,
)

T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass(repr=False)
class _Training:
    """State between `Setup` and `Finish`."""

    setup: Setup
    key: PublicKey
    mapper: BinMapper
    binned: NDArray[np.uint8]
    ciphertexts: NDArray[np.uint64]
    counts: NodeCounts
    splits: list[PartnerSplit]
    clock: Clock
    cpu_before: float
    tree: FeatureTree | None = None
    pool: Pool | None = None
    n_masked: int = 0


class FeatureSession(Service):
    """One session with a label party.

    Parameters
    ----------
    table : FeatureTable
    in_process : bool
        The label party lives in this process, so that there is nothing to hide from it; schemes
        that hide nothing are accepted then only.
    insecure_test_keys : bool
        Accept keys that are too short. For tests.
    n_jobs : int
        Threads for sums over ciphertexts; -1 is one per core.
    """

    transitions = TRANSITIONS

    def __init__(
        self,
        table: FeatureTable,
        *,
        in_process: bool = False,
        insecure_test_keys: bool = False,
        n_jobs: int = 1,
    ) -> None:
        self._table = table
        self._in_process = in_process
        self._insecure_test_keys = insecure_test_keys
        self._n_jobs = effective_n_jobs(n_jobs)
        self._training: _Training | None = None
        self._answers: Mapping[type[Message], Callable[[Any], Reply]] = {
            MatchRows: self._match_rows,
            Setup: self._setup,
            GradientBlock: self._load,
            HistogramsOf: self._histograms,
            Divide: self._divide,
            Finish: self._finish,
            Route: self._route,
        }

    def answer(self, request: Request[Any]) -> Reply:
        """Answer a request that is in turn.

        Raises
        ------
        Refusal
            Where the request breaks a rule; nothing has changed then.
        """
        return self._answers[type(request)](request)

    def close(self) -> None:
        """Forget keys, ciphertexts and trees."""
        if self._training is not None:
            self._training.key.stop_pool()
        self._training = None

    def _match_rows(self, request: MatchRows) -> Ack:
        check_rows(request, self._table.ids)
        return Ack()

    def _setup(self, request: Setup) -> Ready:
        policy = self._table.policy
        if request.max_bin > policy.max_bin:
            raise Refusal(
                Code.POLICY, f"max_bin={request.max_bin} is above this party's {policy.max_bin}"
            )
        if request.min_child_samples < policy.min_child_samples:
            raise Refusal(
                Code.POLICY,
                f"min_child_samples={request.min_child_samples} is below this party's floor of "
                f"{policy.min_child_samples}",
            )
        key = self._load_key(request)
        rows = self._positions(request.rows)
        if len(rows) < policy.min_child_samples:
            raise Refusal(
                Code.POLICY,
                f"{len(rows)} rows are fewer than this party's floor of {policy.min_child_samples}",
            )
        # the numbers of bins tell whether rows share values, so they count as an answer
        self._spend_histograms(1)
        X = self._table.columns[:, rows].T
        mapper = BinMapper.fit(X, request.max_bin, n_jobs=self._n_jobs)
        binned = mapper.transform(X, n_jobs=self._n_jobs)
        self._training = _Training(
            setup=request,
            key=key,
            mapper=mapper,
            binned=binned,
            ciphertexts=np.zeros((len(rows), key.ciphertext_words), np.uint64),
            counts=NodeCounts(binned, request.max_bin, request.min_child_samples),
            splits=[],
            clock=Clock(),
            cpu_before=time.process_time(),
        )
        log.info(
            "training begins: %d rows, %d columns, key %s of the label party",
            len(rows),
            len(binned),
            key.fingerprint[:16],
        )
        return Ready(n_bins=mapper.n_bins)

    def _load_key(self, request: Setup) -> PublicKey:
        try:
            key = load_public_key(
                request.scheme, request.public_key, allow_insecure=self._insecure_test_keys
            )
        except UnavailableError as error:
            raise Refusal(Code.SCHEME, str(error)[:300]) from error
        except CryptoError as error:
            raise Refusal(Code.KEY, str(error)[:300]) from error
        if key.in_process_only and not self._in_process:
            raise Refusal(
                Code.SCHEME,
                f"scheme {request.scheme!r} hides nothing and is for one process alone; "
                "use scheme='paillier'",
            )
        if request.cell_bits * request.cells > key.plaintext_bits:
            raise Refusal(
                Code.WIDTHS,
                f"{request.cells} cells of {request.cell_bits} bits exceed the plaintext's "
                f"{key.plaintext_bits} bits",
            )
        return key

    def _load(self, request: GradientBlock) -> Ack:
        training = self._expect_training()
        tree = training.tree
        if tree is None or request.tree != tree.tree:
            expected = 0 if tree is None else tree.tree + 1
            if request.tree != expected or request.tree >= training.setup.n_trees:
                raise Refusal(
                    Code.TREE,
                    f"tree {request.tree} is out of order; the next of "
                    f"{training.setup.n_trees} is {expected}",
                )
            log.info("tree %d of %d", request.tree + 1, training.setup.n_trees)
            self._work_ahead(training, request.tree)
            tree = FeatureTree(request.tree, len(training.binned[0]), self._floor(training))
        if len(request.ciphertexts) != len(request.rows):
            raise Refusal(
                Code.CIPHERTEXTS,
                f"{len(request.ciphertexts)} ciphertexts for {len(request.rows)} rows",
            )
        try:
            with training.clock.phase("check", len(request.rows)):
                training.key.check(request.ciphertexts)
        except CiphertextError as error:
            raise Refusal(Code.CIPHERTEXTS, str(error)[:300]) from error
        tree.activate(request.rows)
        training.ciphertexts[request.rows] = request.ciphertexts
        training.tree = tree
        return Ack()

    def _work_ahead(self, training: _Training, tree: int) -> None:
        """From the second tree on, make randomness while waiting, as much as a tree took."""
        if self._n_jobs > 1 and tree == 1 and training.n_masked:
            training.pool = training.key.start_pool(training.n_masked)
        if training.pool is not None and tree == training.setup.n_trees - 1:
            training.pool.pause()

    def _histograms(self, request: HistogramsOf) -> Histograms:
        training, tree = self._expect_tree(request.tree)
        asked = request.asked
        if len(asked) == 0 or asked[0] < 0 or asked[-1] >= len(request.nodes):
            raise Refusal(Code.NODES, f"asked nodes must lie in 0..{len(request.nodes) - 1}")
        if np.any(np.diff(asked) <= 0):
            raise Refusal(Code.NODES, "asked nodes must ascend")
        tree.check_features(request.features, len(training.binned))
        rows_of_nodes = tree.check_frontier(request.nodes, request.node_of_row)
        self._spend_histograms(len(asked))
        if tree.features is None:
            training.counts.begin_tree(tree.active, request.features)
        tree.show(request.features, request.nodes, rows_of_nodes)
        with training.clock.phase("plan"):
            allowed = training.counts.allowed(request.nodes.tolist(), rows_of_nodes)
        return Histograms(
            ciphertexts=self._sums(training, tree, [rows_of_nodes[i] for i in asked]),
            allowed=np.zeros(0, np.uint8)
            if allowed is None
            else np.packbits(allowed, bitorder="little"),
        )

    def _sums(
        self, training: _Training, tree: FeatureTree, rows_of_nodes: list[NDArray[np.int32]]
    ) -> NDArray[np.uint64]:
        """Add up, pack and re-randomise the cells of the asked nodes."""
        features = _not_none(tree.features)
        layout = CellLayout(training.mapper.n_bins[features], training.setup.max_bin)
        sums = sum_nodes(
            training.key,
            training.ciphertexts,
            training.binned,
            [rows[tree.active[rows]] for rows in rows_of_nodes],
            features,
            layout,
            clock=training.clock,
            n_jobs=self._n_jobs,
        )
        answer = mask_cells(
            training.key,
            sums,
            training.setup.cell_bits,
            training.setup.cells,
            clock=training.clock,
            n_jobs=self._n_jobs,
        )
        training.n_masked += len(answer)
        return answer

    def _divide(self, request: Divide) -> Division:
        training, tree = self._expect_tree(request.tree)
        with training.clock.phase("divide", len(request.nodes)):
            return self._divide_nodes(training, tree, request)

    def _divide_nodes(self, training: _Training, tree: FeatureTree, request: Divide) -> Division:
        n = len(request.nodes)
        columns = (request.features, request.bins, request.missing_left)
        if n == 0 or any(len(column) != n for column in columns):
            raise Refusal(Code.SPLIT, "the lists of a division differ in length")
        if len(np.unique(request.nodes)) != n:
            raise Refusal(Code.SPLIT, "a node can be divided once")
        if request.first_split != len(training.splits):
            raise Refusal(Code.SPLIT, f"the next split number is {len(training.splits)}")
        n_bins = {int(f): int(training.mapper.n_bins[f]) for f in _not_none(tree.features)}
        asked = list(zip(request.nodes.tolist(), *(c.tolist() for c in columns), strict=True))
        for node, feature, cut, _ in asked:
            check_split(node, feature, cut, tree, n_bins)
        sides = []
        for node, feature, cut, missing_left in asked:
            bins = training.binned[feature][tree.rows_of_node[node]]
            sides.append(rows_left(bins, cut, training.setup.max_bin, bool(missing_left)))
            tree.check_division(node, sides[-1])
        for (node, feature, cut, missing_left), goes_left in zip(asked, sides, strict=True):
            tree.divide(node, goes_left)
            threshold = training.mapper.threshold(feature, cut)
            training.splits.append(
                PartnerSplit(
                    feature=feature,
                    bin=cut,
                    threshold=threshold if np.isfinite(threshold) else None,
                    missing_left=bool(missing_left),
                )
            )
        return Division(goes_left=np.packbits(np.concatenate(sides), bitorder="little"))

    def _finish(self, request: Finish) -> Finished:
        training = self._expect_training()
        half = PartyHalf(
            model_id=request.model_id,
            party=self._table.party,
            feature_names=self._table.feature_names,
            splits=tuple(training.splits),
        )
        self._table.store.save(half)
        self.close()
        log.info("training ends: %d splits kept for model %s", len(half.splits), half.model_id)
        phases = [training.clock.phases.get(name, Phase()) for name in FEATURE_PHASES]
        return Finished(
            seconds=np.array([phase.seconds for phase in phases]),
            operations=np.array([phase.operations for phase in phases], np.int64),
            cpu_seconds=time.process_time() - training.cpu_before,
        )

    def _route(self, request: Route) -> Routes:
        table = self._table
        try:
            half = table.store.load(request.model_id)
        except ModelError as error:
            log.warning("%s", error)
            raise Refusal(Code.MODEL, "this party's half of the model cannot be read") from error
        if half is None:
            raise Refusal(Code.MODEL, f"this party has no half of model {request.model_id}")
        if half.feature_names != table.feature_names:
            log.warning("model %s was trained on other columns", request.model_id)
            raise Refusal(Code.MODEL, "this party's table has other columns than the model's")
        rows = self._positions(request.rows)
        if not table.budget.spend_routes(len(rows)):
            raise Refusal(
                Code.BUDGET,
                f"this data set's budget of {table.policy.max_routed_rows} scored rows is spent",
            )
        bits = np.zeros((len(half.splits), -(-len(rows) // 8)), np.uint8)
        route_bits(
            table.columns,
            rows,
            np.array([s.feature for s in half.splits], np.int32),
            np.array([_threshold(s) for s in half.splits], np.float32),
            np.array([s.missing_left for s in half.splits], np.bool_),
            bits,
        )
        log.info("%d rows scored with model %s", len(rows), half.model_id)
        return Routes(goes_left=bits)

    def _positions(self, rows: NDArray[np.int32]) -> NDArray[np.int32]:
        n = len(self._table.ids)
        if len(rows) == 0 or rows.min() < 0 or rows.max() >= n:
            raise Refusal(Code.ROWS, f"rows must be positions in 0..{n - 1}, and at least one")
        if len(np.unique(rows)) != len(rows):
            raise Refusal(Code.ROWS, "a row is named twice; rows must be distinct")
        return rows

    def _spend_histograms(self, nodes: int) -> None:
        if not self._table.budget.spend_histograms(nodes):
            raise Refusal(
                Code.BUDGET,
                f"this data set's budget of {self._table.policy.max_node_histograms} node "
                "histograms is spent",
            )

    def _floor(self, training: _Training) -> int:
        return max(self._table.policy.min_child_samples, training.setup.min_child_samples)

    def _expect_training(self) -> _Training:
        return _not_none(self._training)

    def _expect_tree(self, number: int) -> tuple[_Training, FeatureTree]:
        training = self._expect_training()
        tree = _not_none(training.tree)
        if number != tree.tree:
            raise Refusal(Code.TREE, f"tree {number} is not the current one, {tree.tree}")
        return training, tree


def _threshold(split: PartnerSplit) -> float:
    return np.inf if split.threshold is None else split.threshold


def _not_none(value: T | None) -> T:
    if value is None:
        raise RuntimeError("the transition table let a request pass before its time")
    return value
