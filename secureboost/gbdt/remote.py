"""Columns that another company answers for, under the label party's key.

The label party's side of `gbdt.protocol`: encrypt the round's gradients once for all feature
parties, ask for sums, decrypt and *check* them. Whatever a feature party sends is compared with
what the label party knows: the range of every sum, the totals of every node.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from crypto.errors import CellRangeError, CiphertextError
from crypto.packing import GradientPacking
from crypto.pool import Pool
from crypto.scheme import PrivateKey
from parties.peer import Peer
from secureboost.clock import Clock
from secureboost.errors import IntegrityError
from secureboost.gbdt.cells import CellLayout
from secureboost.gbdt.codes import code_set
from secureboost.gbdt.columns import Columns, Frontier, Gradients, NodeHistograms, Split
from secureboost.gbdt.params import BoosterParams
from secureboost.gbdt.partition import RowPartition
from secureboost.gbdt.protocol import (
    NO_NODE,
    Divide,
    Division,
    GradientBlock,
    Histograms,
    HistogramsOf,
)
from secureboost.row_order import RowOrder

BLOCK_ROWS = 2048
"""Rows of a gradient block: one travels and is checked while the next is being encrypted."""


AHEAD_BYTES = 64 * 2**20
"""Most memory for randomness that is made ahead."""


class KeyOwner:
    """The label party's key and how gradients become plaintexts.

    Parameters
    ----------
    key : PrivateKey
    packing : GradientPacking
        Widths that no sum can exceed; outputs that do not fit one ciphertext are dealt out.
    order : RowOrder
        In which rows are named to partners.
    n_jobs : int
        Threads for encryption and decryption.
    clock : Clock
        Phases ``encrypt`` (rows), ``send`` (waiting until blocks have arrived), ``wait`` (for
        partners' sums) and ``decrypt`` (ciphertexts).
    """

    def __init__(
        self,
        key: PrivateKey,
        packing: GradientPacking,
        order: RowOrder,
        n_jobs: int,
        clock: Clock,
    ) -> None:
        self.key = key
        self.order = order
        self.packing = packing.fitting(key.public_key.plaintext_bits)
        self.n_jobs = n_jobs
        self.clock = clock
        self._pool: Pool | None = None
        self._last_tree = -1

    @contextmanager
    def working_ahead(self, n_trees: int, rows: int) -> Iterator[None]:
        """Make the randomness of the next tree while waiting for partners.

        With one thread nothing is made ahead. No more is made than the trees can use.

        Parameters
        ----------
        n_trees : int
            Trees are numbered below this.
        rows : int
            Rows of a tree.
        """
        self._last_tree = n_trees - 1
        room = AHEAD_BYTES // (8 * self.key.public_key.ciphertext_words)
        if self.n_jobs > 1 and self._last_tree > 0:
            self._pool = self.key.start_pool(min(rows * self.packing.parts, room))
        try:
            yield
        finally:
            self.key.stop_pool()

    @property
    def cells(self) -> int:
        """Histogram cells per ciphertext."""
        return self.packing.cells_per_ciphertext(self.key.public_key.plaintext_bits)

    def publish(self, peers: Sequence[Peer], tree: int, gradients: Gradients) -> None:
        """Send these peers the encrypted gradients of the tree's rows, block by block.

        Returns when all of them have acknowledged all blocks.

        Raises
        ------
        parties.errors.PartyError
            If a peer refuses or fails.
        """
        if tree == self._last_tree and self._pool is not None:
            self._pool.pause()
        places = np.flatnonzero(gradients.active[self.order.rows]).astype(np.int32)
        pending = []
        for first in range(0, len(places), BLOCK_ROWS):
            block = places[first : first + BLOCK_ROWS]
            with self.clock.phase("encrypt", len(block)):
                plaintexts = self.packing.pack(gradients.values[self.order.rows[block]])
                ciphertexts = self.key.encrypt(plaintexts, n_jobs=self.n_jobs)
            with self.clock.phase("send"):
                request = GradientBlock(tree=tree, rows=block, ciphertexts=ciphertexts)
                pending += [peer.submit(request) for peer in peers]
        with self.clock.phase("send", len(pending)):
            for future in pending:
                future.result()

    def decrypt_cells(self, ciphertexts: NDArray[np.uint64], n_cells: int) -> NDArray[np.int64]:
        """Sums of gradients and hessians of each cell, shape (n_cells, 2 * n_outputs).

        Raises
        ------
        crypto.errors.CiphertextError
            If a ciphertext is out of range or a sum is one that no rows can have.
        """
        with self.clock.phase("decrypt", len(ciphertexts)):
            plaintexts = self.key.decrypt(ciphertexts, n_jobs=self.n_jobs)
        return self.packing.unpack(plaintexts, n_cells, self.cells)


class RemoteColumns(Columns):
    """The columns of one feature party.

    Parameters
    ----------
    peer : Peer
    n_bins, categorical, monotone : arrays of shape (n_features,)
        See `columns.Columns`.
    params : BoosterParams
    key_owner : KeyOwner
    n_splits : int
        Splits that the party has already, where trees are added to a model.
    """

    def __init__(
        self,
        peer: Peer,
        n_bins: NDArray[np.int32],
        categorical: NDArray[np.bool_],
        monotone: NDArray[np.int8],
        params: BoosterParams,
        key_owner: KeyOwner,
        n_splits: int = 0,
    ) -> None:
        self.owner = peer.name
        self.n_bins = n_bins
        self.categorical = categorical
        self.monotone = monotone
        self._peer = peer
        self._max_bin = params.max_bin
        self._min_child_samples = params.min_child_samples
        self._key_owner = key_owner
        self._n_splits = n_splits

    def begin_tree(self, tree: int, gradients: Gradients, features: NDArray[np.int32]) -> None:
        """Start a tree; its gradients were published before."""
        self._tree = tree
        self._gradients = gradients
        self._features = features
        self._layout = CellLayout(self.n_bins[features], self._max_bin)

    def histograms(self, frontier: Frontier) -> Callable[[], NodeHistograms]:
        """Ask for the sums of `frontier`; calling the result waits, decrypts and checks."""
        partition = frontier.partition
        node_of_row = np.full(len(self._gradients.values), NO_NODE, np.uint16)
        for position, node in enumerate(frontier.nodes.tolist()):
            node_of_row[self._places(partition, node)] = position
        totals = np.array(
            [self._gradients.values[partition.rows(node)].sum(axis=0) for node in frontier.asked]
        )
        future = self._peer.submit(
            HistogramsOf(
                tree=self._tree,
                nodes=frontier.nodes,
                asked=np.flatnonzero(np.isin(frontier.nodes, frontier.asked)).astype(np.int32),
                node_of_row=node_of_row,
                features=self._features,
            )
        )

        def collect() -> NodeHistograms:
            with self._key_owner.clock.phase("wait", 1):
                reply = future.result()
            return self._read(reply, frontier, totals)

        return collect

    def _read(
        self, reply: Histograms, frontier: Frontier, totals: NDArray[np.int64]
    ) -> NodeHistograms:
        n_asked, layout = len(frontier.asked), self._layout
        n_cells = n_asked * layout.cells_per_node
        expected = self._key_owner.packing.parts * -(-n_cells // self._key_owner.cells)
        if len(reply.ciphertexts) != expected:
            raise IntegrityError(
                self.owner,
                f"sent {len(reply.ciphertexts)} ciphertexts for {n_asked} nodes, not {expected}",
            )
        try:
            cells = self._key_owner.decrypt_cells(reply.ciphertexts, n_cells)
        except CellRangeError as error:
            raise self._bad_cell(frontier, error.position or 0) from error
        except CiphertextError as error:
            raise IntegrityError(
                self.owner, f"sent a histogram that is invalid: {error}"
            ) from error
        sums = layout.to_dense(cells, n_asked)
        wrong = np.argwhere((sums.sum(axis=2) != totals[:, None, :]).any(axis=2))
        if len(wrong):
            node, feature = wrong[0]
            raise IntegrityError(
                self.owner,
                f"the cells of column {self._name(int(feature))} at node "
                f"{frontier.asked[node]} of tree {self._tree} do not add up to the node's own sum "
                "of gradients. Its rows or bins changed during training, or it is faulty",
            )
        return NodeHistograms(sums, self._read_allowed(reply, len(frontier.nodes)))

    def _bad_cell(self, frontier: Frontier, position: int) -> IntegrityError:
        node, cell = divmod(position, self._layout.cells_per_node)
        ends = np.cumsum(self._layout.n_bins + 1)
        feature = int(np.searchsorted(ends, cell, side="right"))
        return IntegrityError(
            self.owner,
            f"a sum of column {self._name(feature)} at node {frontier.asked[node]} of tree "
            f"{self._tree} is outside the range that any rows can have",
        )

    def _name(self, tree_feature: int) -> str:
        return f"{self.owner}/{self._features[tree_feature]}"

    def _read_allowed(self, reply: Histograms, n_nodes: int) -> NDArray[np.bool_] | None:
        shape = (n_nodes, len(self._features), self._max_bin, 2)
        if self._min_child_samples == 1 and not self.categorical[self._features].any():
            if len(reply.allowed):
                raise IntegrityError(self.owner, "sent a mask of cuts that was not asked for")
            return None
        return self._unpack(reply.allowed, int(np.prod(shape)), "mask of cuts").reshape(shape)

    def divide(
        self, partition: RowPartition, splits: Sequence[Split]
    ) -> Callable[[], list[NDArray[np.bool_]]]:
        """Tell the party which of its cuts won; calling the result waits for the rows' sides."""
        places = [self._places(partition, split.node) for split in splits]
        sizes = [len(rows) for rows in places]
        future = self._peer.submit(
            Divide(
                tree=self._tree,
                first_split=self._n_splits,
                nodes=np.array([split.node for split in splits], np.int32),
                features=np.array([split.feature for split in splits], np.int32),
                bins=np.array([split.bin for split in splits], np.int32),
                missing_left=np.array([split.missing_left for split in splits], np.uint8),
                codes=np.stack([code_set(split.codes) for split in splits]),
            )
        )
        self._n_splits += len(splits)

        def collect() -> list[NDArray[np.bool_]]:
            reply: Division = future.result()
            sides = self._unpack(reply.goes_left, sum(sizes), "division")
            answers = np.split(sides, np.cumsum(sizes)[:-1])
            return [_as_asked(*pair) for pair in zip(answers, places, strict=True)]

        return collect

    def _places(self, partition: RowPartition, node: int) -> NDArray[np.int64]:
        """As which a node's rows are named."""
        return self._key_owner.order.places[partition.rows(node)]

    def _unpack(self, bits: NDArray[np.uint8], count: int, what: str) -> NDArray[np.bool_]:
        if len(bits) != (count + 7) // 8:
            raise IntegrityError(
                self.owner, f"sent a {what} of {len(bits)} bytes where {count} bits were due"
            )
        return np.unpackbits(bits, count=count, bitorder="little").astype(np.bool_)


def _as_asked(sides: NDArray[np.bool_], places: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Sides of a node's rows, which a partner gives in the order of their places, in our order."""
    asked = np.empty_like(sides)
    asked[np.argsort(places, kind="stable")] = sides
    return asked
