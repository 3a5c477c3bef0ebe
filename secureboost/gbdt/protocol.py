"""What the label party may ask of a feature party to grow trees, and what each question reveals.

::

    open --MatchRows--> matched --Setup--> set_up --GradientBlock--> loading
           or           (Route,            (Keep)                    (GradientBlock, Keep)
        UseAlignment     MatchRows,          |                         |         ^
                         UseAlignment)       |           HistogramsOf  |         |  GradientBlock
                           ^                 |                         v         |
                           +---- Finish -----+-------- Finish -------- growing --+
                                                                     (HistogramsOf, Divide, Keep)

Requests in brackets leave the state as it is; `Finish` ends training from everywhere, since the
last trees may be the label party's alone. The table is `TRANSITIONS`.

Rows are positions in the order that both sides count in: the list of ids that they proved to share
(`parties.messages.MatchRows`), or the rows that they agreed on before
(`parties.messages.UseAlignment`); within a training session, positions in `Setup.rows`.
"""

from enum import StrEnum
from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray

from parties.messages import (
    Ack,
    Array,
    Count,
    MatchRows,
    Message,
    Reply,
    Request,
    ShortText,
    UseAlignment,
)
from parties.service import Transitions

TRAINER = "secureboost"

Int32Array = Annotated[NDArray[np.int32], Array("int32", 1)]
Uint16Array = Annotated[NDArray[np.uint16], Array("uint16", 1)]
Bits = Annotated[NDArray[np.uint8], Array("uint8", 1)]
BitMatrix = Annotated[NDArray[np.uint8], Array("uint8", 2)]
CiphertextArray = Annotated[NDArray[np.uint64], Array("uint64", 2)]
CodeSets = Annotated[NDArray[np.uint64], Array("uint64", 2)]
Signs = Annotated[NDArray[np.int8], Array("int8", 1)]
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
    POLICY = "policy"
    BUDGET = "budget_spent"
    CIPHERTEXTS = "ciphertexts_refused"
    TREE = "tree_refused"
    NODES = "nodes_refused"
    SPLIT = "split_refused"
    FEATURES = "features_refused"
    MODEL = "unknown_model"
    RESUME = "resume_refused"
    DISK = "cannot_be_kept"


class Ready(Reply, frozen=True, kw_only=True):
    """The feature party has cut its columns into bins.

    Reveals: to the label party, how many columns the feature party has, how many bins or
    categories each, which of them are categories, and which direction of effect the feature party
    declared for a column; no name, no threshold and no category.

    Attributes
    ----------
    n_bins : array of shape (n_features,), int32
        Without the missing bin; of a column of categories the number of its codes.
    categorical : array of shape (n_features,), uint8
        1 for a column of categories.
    monotone : array of shape (n_features,), int8
        The declared sign of a column's effect: 1, -1, or 0 where none was declared.
    """

    n_bins: Int32Array
    categorical: Bits
    monotone: Signs


class Setup(Request[Ready], frozen=True, kw_only=True):
    """Begin to train a model, or go on with one.

    Reveals: to the feature party, the name of the model, the public key, the widths of packed
    cells (so about how many outputs a tree has), which of the common rows are trained on and which
    only evaluated, and the parameters that it has to consent to.

    Attributes
    ----------
    model_id : str
    base : str
        Empty for a new model. `model_id` itself to go on with what was kept of it (`Keep`); another
        model to begin with its trees.
    first_split : int
        So many splits of `base` are the first splits of the model; those behind are forgotten.
    scheme : str
    public_key : bytes
    rows : array of shape (n_rows,), int32
        Distinct positions in the rows that both sides count in. Their order says nothing of the
        label party's table: with one feature party those trained on ascend, and so do the others.
    n_training : int
        The first so many of `rows` are trained on: columns are cut into bins by them alone, and
        only they may have gradients. The others ride along to be scored.
    max_bin : int
    min_child_samples, min_group : int
        Fewest rows on a side of a split, and of a category that goes left (at least as many).
    max_cat_to_onehot : int
        In columns of up to so many categories one of `min_child_samples` rows may go left.
    n_trees : int
        Trees are numbered below this.
    cell_bits, cells : int
        Width of a histogram cell and how many go into one ciphertext.
    parts : int
        Ciphertexts of one row: trees with many outputs do not fit into one.
    """

    model_id: ModelId
    base: Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{32})?\Z")]
    first_split: Count
    scheme: ShortText
    public_key: Annotated[bytes, msgspec.Meta(max_length=16_384)]
    rows: Int32Array
    n_training: Positive
    max_bin: MaxBin
    min_child_samples: Positive
    min_group: Positive
    max_cat_to_onehot: Annotated[int, msgspec.Meta(ge=1, le=255)]
    n_trees: Positive
    cell_bits: Annotated[int, msgspec.Meta(ge=1, le=16_384)]
    cells: Annotated[int, msgspec.Meta(ge=1, le=16_384)]
    parts: Annotated[int, msgspec.Meta(ge=1, le=64)]


class GradientBlock(Request[Ack], frozen=True, kw_only=True):
    """Encrypted gradients and hessians of some rows of a new or the current tree.

    Reveals: to the feature party, that a tree began, which rows were drawn for it (with
    ``sampling_method="goss"`` those are above all rows with large gradients, unless the label party
    hides them) and that trees between are the label party's alone; values only under the label
    party's key.

    Attributes
    ----------
    tree : int
        Above the tree before; the first block of a tree ends the one before. None may follow the
        tree's first question: sums before and after would differ by single rows.
    rows : array of shape (n,), int32
        Ascending positions in the first ``Setup.n_training`` of `Setup.rows`, above those of the
        block before.
    ciphertexts : array of shape (n * parts, words), uint64
        The parts of a row next to each other.
    """

    tree: Count
    rows: Int32Array
    ciphertexts: CiphertextArray


class Histograms(Reply, frozen=True, kw_only=True):
    """Encrypted sums by bin.

    Reveals: to the label party, the sums of gradient and hessian per anonymous column and bin of
    each asked node; for all nodes, where ``min_child_samples`` is above 1, whether each cut leaves
    that many rows on both sides, and whether each category has enough rows to
    go left. A cell over one
    row shows in which bin that row lies.

    Attributes
    ----------
    ciphertexts : array of shape (parts * ceil(n_cells / cells), words), uint64
        Packed and re-randomised, in the order of `gbdt.cells`; all of the first part, then all of
        the second, and so on.
    allowed : array, uint8
        Bits of ``NodeHistograms.allowed`` over nodes, features, cuts and missing side; empty where
        ``min_child_samples`` is 1 and the tree has no categories. Lowest bit first.
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
        Nodes of the latest `HistogramsOf`, columns, and the bins up to which rows go left (-1 in a
        split by categories).
    missing_left : array of shape (n,), uint8
        1 where rows without a value go left.
    codes : array of shape (n, codes.CODE_WORDS), uint64
        Splits by categories: the set of codes that go left. Empty in splits of numbers.
    """

    tree: Count
    first_split: Count
    nodes: Int32Array
    features: Int32Array
    bins: Int32Array
    missing_left: Bits
    codes: CodeSets


class Keep(Request[Ack], frozen=True, kw_only=True):
    """Keep your splits so far, so that training can go on after a crash of either side.

    Reveals: to the feature party, the end of a tree or of several.

    Attributes
    ----------
    n_splits : int
        The number of splits that the label party counts.
    """

    n_splits: Count


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

    Reveals: to the label party, how long the feature party worked, by kind of work, and how often,
    and a hash of its half, which is salted so that it tells nothing of the content.

    Attributes
    ----------
    seconds : array of shape (len(FEATURE_PHASES),), float64
        Wall time.
    operations : array of shape (len(FEATURE_PHASES),), int64
    cpu_seconds : float
        Processor time of the feature party's process since `Setup`, all threads together.
    digest : bytes
        `model.half_digest` of the half that was kept; empty if none was.
    """

    seconds: Annotated[NDArray[np.float64], Array("float64", 1)]
    operations: Annotated[NDArray[np.int64], Array("int64", 1)]
    cpu_seconds: Annotated[float, msgspec.Meta(ge=0)]
    digest: Annotated[bytes, msgspec.Meta(max_length=32)]


class Finish(Request[Finished], frozen=True, kw_only=True):
    """The model is trained; keep your half of it, or forget it.

    Reveals: to the feature party, the end of training, how many of its splits the model uses (the
    first ones: early stopping drops the last trees) and whether the model will be used.

    Attributes
    ----------
    n_splits : int
        Splits with this number and above are forgotten.
    keep : bool
        False: the model was made to be measured (cross-validation); nothing is kept of it.
    """

    n_splits: Count
    keep: bool


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
        Distinct positions in the rows that both sides count in.
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
    Keep,
    Finish,
    Finished,
    Route,
    Routes,
)

TRANSITIONS: Transitions = {
    "open": {MatchRows: "matched", UseAlignment: "matched"},
    "matched": {
        MatchRows: "matched",
        UseAlignment: "matched",
        Setup: "set_up",
        Route: "matched",
    },
    "set_up": {GradientBlock: "loading", Keep: "set_up", Finish: "matched"},
    "loading": {
        GradientBlock: "loading",
        HistogramsOf: "growing",
        Keep: "loading",
        Finish: "matched",
    },
    "growing": {
        HistogramsOf: "growing",
        Divide: "growing",
        GradientBlock: "loading",
        Keep: "growing",
        Finish: "matched",
    },
}
"""What may be asked in which state, and the state after an answer; a refusal changes nothing."""
