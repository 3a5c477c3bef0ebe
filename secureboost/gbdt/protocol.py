"""What the label party may ask of a feature party to grow trees, and what each question reveals.

::

    open --MatchRows--> matched --Setup--> set_up --GradientBlock--> loading
                        (Route,                                      (GradientBlock)
                         MatchRows)                                    |         ^
                           ^                             HistogramsOf  |         |  GradientBlock
                           |                                           v         |
                           +-------------------- Finish -------------- growing --+
                                                                     (HistogramsOf, Divide)

Requests in brackets leave the state as it is; `Finish` ends training from ``loading`` as well (a
last tree without a split). The table is `TRANSITIONS`.

Rows are positions in the list of ids that both sides proved to share
(`parties.messages.MatchRows`); within a training session, positions in `Setup.rows`.
"""

from enum import StrEnum
from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray

from parties.messages import Ack, Array, Count, MatchRows, Message, Reply, Request, ShortText
from parties.service import Transitions

TRAINER = "secureboost"

Int32Array = Annotated[NDArray[np.int32], Array("int32", 1)]
Uint16Array = Annotated[NDArray[np.uint16], Array("uint16", 1)]
Bits = Annotated[NDArray[np.uint8], Array("uint8", 1)]
BitMatrix = Annotated[NDArray[np.uint8], Array("uint8", 2)]
CiphertextArray = Annotated[NDArray[np.uint64], Array("uint64", 2)]
ModelId = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]
MaxBin = Annotated[int, msgspec.Meta(ge=2, le=255)]
Positive = Annotated[int, msgspec.Meta(ge=1, le=2**31)]

NO_NODE = 2**16 - 1
"""`HistogramsOf.node_of_row` of a row that lies in none of the nodes."""


class Code(StrEnum):
    """Why a feature party does not answer."""

    SCHEME = "scheme_refused"
    KEY = "key_refused"
    WIDTHS = "widths_refused"
    ROWS = "rows_refused"
    POLICY = "policy"
    BUDGET = "budget_spent"
    CIPHERTEXTS = "ciphertexts_refused"
    TREE = "tree_refused"
    NODES = "nodes_refused"
    SPLIT = "split_refused"
    FEATURES = "features_refused"
    MODEL = "unknown_model"


class Ready(Reply, frozen=True, kw_only=True):
    """The feature party has cut its columns into bins.

    Reveals: to the label party, how many columns the feature party has and how many bins each;
    no name and no threshold.

    Attributes
    ----------
    n_bins : array of shape (n_features,), int32
        Without the missing bin.
    """

    n_bins: Int32Array


class Setup(Request[Ready], frozen=True, kw_only=True):
    """Begin a training session.

    Reveals: to the feature party, the public key, the widths of packed cells, which of the common
    rows are trained on, and the parameters that it has to consent to.

    Attributes
    ----------
    scheme : str
    public_key : bytes
    rows : array of shape (n_rows,), int32
        Distinct positions in the matched rows, in the label party's order.
    max_bin : int
    min_child_samples : int
    n_trees : int
        No more trees than this will be asked for.
    cell_bits, cells : int
        Width of a histogram cell and how many go into one ciphertext.
    """

    scheme: ShortText
    public_key: Annotated[bytes, msgspec.Meta(max_length=16_384)]
    rows: Int32Array
    max_bin: MaxBin
    min_child_samples: Positive
    n_trees: Positive
    cell_bits: Annotated[int, msgspec.Meta(ge=1, le=126)]
    cells: Annotated[int, msgspec.Meta(ge=1, le=16_384)]


class GradientBlock(Request[Ack], frozen=True, kw_only=True):
    """Encrypted gradients and hessians of some rows of a new or the current tree.

    Reveals: to the feature party, that a tree began and which rows were drawn for it; values only
    under the label party's key.

    Attributes
    ----------
    tree : int
        Counted from 0; the first block of a tree ends the one before. None may follow the tree's
        first question: sums before and after would differ by single rows.
    rows : array of shape (n,), int32
        Ascending positions in `Setup.rows`, above those of the block before.
    ciphertexts : array of shape (n, words), uint64
    """

    tree: Count
    rows: Int32Array
    ciphertexts: CiphertextArray


class Histograms(Reply, frozen=True, kw_only=True):
    """Encrypted sums by bin.

    Reveals: to the label party, the sums of gradient and hessian per anonymous column and bin of
    each asked node, and where ``min_child_samples`` is above 1 whether each cut leaves that many
    rows on both sides, for all nodes. A cell over one row shows in which bin that row lies.

    Attributes
    ----------
    ciphertexts : array of shape (ceil(n_cells / cells), words), uint64
        Packed and re-randomised, in the order of `gbdt.cells`.
    allowed : array, uint8
        Bits of ``NodeHistograms.allowed`` over nodes, features, cuts and missing side; empty where
        every cut is allowed. Lowest bit first.
    """

    ciphertexts: CiphertextArray
    allowed: Bits


class HistogramsOf(Request[Histograms], frozen=True, kw_only=True):
    """Sum the gradients of these nodes by bin.

    Reveals: to the feature party, which rows share a node.

    Attributes
    ----------
    tree : int
    nodes : array of shape (k,), int32
        The nodes to be split: the root alone, or siblings next to each other.
    asked : array of shape (m,), int32
        Ascending positions in `nodes` of those whose sums are wanted.
    node_of_row : array of shape (n_rows,), uint16
        For each row of `Setup.rows` its position in `nodes`, or `NO_NODE`. The nodes part every
        earlier node that they touch completely.
    features : array, int32
        The tree's columns, ascending; the same throughout a tree.
    """

    tree: Count
    nodes: Int32Array
    asked: Int32Array
    node_of_row: Uint16Array
    features: Int32Array


class Division(Reply, frozen=True, kw_only=True):
    """Which rows go left.

    Reveals: to the label party, on which side of each asked cut every row of its node lies.

    Attributes
    ----------
    goes_left : array, uint8
        Bits, lowest first: the nodes one after the other, in each its rows ascending.
    """

    goes_left: Bits


class Divide(Request[Division], frozen=True, kw_only=True):
    """These cuts won their nodes: remember them as splits and divide the rows.

    Reveals: to the feature party, which of its columns and cuts were chosen.

    Attributes
    ----------
    tree : int
    first_split : int
        Number of the first of the new splits; the others follow. Numbers count from 0 over the
        whole model, without gaps.
    nodes, features, bins : arrays of shape (n,), int32
        Nodes of the latest `HistogramsOf`, columns, and the bins up to which rows go left.
    missing_left : array of shape (n,), uint8
        1 where rows without a value go left.
    """

    tree: Count
    first_split: Count
    nodes: Int32Array
    features: Int32Array
    bins: Int32Array
    missing_left: Bits


FEATURE_PHASES = ("check", "plan", "sum", "pack", "rerandomise", "divide")
"""Kinds of work of a feature party, in the order of `Finished`.

check
    Validating ciphertexts that came.
plan
    Sorting rows into cells, choosing joint histograms, counting rows.
sum
    Homomorphic additions.
pack
    Shifting and adding cells into few ciphertexts.
rerandomise
    Making packed ciphertexts unlinkable.
divide
    Sides of rows at splits.
"""


class Finished(Reply, frozen=True, kw_only=True):
    """The half is kept.

    Reveals: to the label party, how long the feature party worked, by kind of work, and how often.

    Attributes
    ----------
    seconds : array of shape (len(FEATURE_PHASES),), float64
        Wall time.
    operations : array of shape (len(FEATURE_PHASES),), int64
    cpu_seconds : float
        Processor time of the feature party's process since `Setup`, all threads together.
    """

    seconds: Annotated[NDArray[np.float64], Array("float64", 1)]
    operations: Annotated[NDArray[np.int64], Array("int64", 1)]
    cpu_seconds: Annotated[float, msgspec.Meta(ge=0)]


class Finish(Request[Finished], frozen=True, kw_only=True):
    """The model is trained; keep your half of it.

    Reveals: to the feature party, the end of training and the name of the model.
    """

    model_id: ModelId


class Routes(Reply, frozen=True, kw_only=True):
    """Sides of splits.

    Reveals: to the label party, for every asked row on which side of *every* split of the model it
    lies, so between which cuts each of the party's columns lies.

    Attributes
    ----------
    goes_left : array of shape (n_splits, ceil(n_rows / 8)), uint8
        Bits along the rows, lowest first.
    """

    goes_left: BitMatrix


class Route(Request[Routes], frozen=True, kw_only=True):
    """On which side of each split of your half do these rows lie?

    Reveals: to the feature party, which rows are scored, and by which model.

    Attributes
    ----------
    model_id : str
    rows : array, int32
        Positions in the matched rows.
    """

    model_id: ModelId
    rows: Int32Array


MESSAGES: tuple[type[Message], ...] = (
    Setup,
    Ready,
    GradientBlock,
    HistogramsOf,
    Histograms,
    Divide,
    Division,
    Finish,
    Finished,
    Route,
    Routes,
)

TRANSITIONS: Transitions = {
    "open": {MatchRows: "matched"},
    "matched": {MatchRows: "matched", Setup: "set_up", Route: "matched"},
    "set_up": {GradientBlock: "loading"},
    "loading": {GradientBlock: "loading", HistogramsOf: "growing", Finish: "matched"},
    "growing": {
        HistogramsOf: "growing",
        Divide: "growing",
        GradientBlock: "loading",
        Finish: "matched",
    },
}
"""What may be asked in which state, and the state after an answer; a refusal changes nothing."""
