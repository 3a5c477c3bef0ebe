"""Random ensembles of every kind, and the halves that their owners would have of them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from secureboost.dictionary import Categories
from secureboost.gbdt.codes import code_set, codes_in
from secureboost.gbdt.halves import make_label_half
from secureboost.gbdt.model import LabelHalf, PartnerSplit, PartyHalf, half_digest
from secureboost.gbdt.tree import Ensemble, Tree, node_dtype

MODEL = "0123456789abcdef" * 2


@dataclass(frozen=True, repr=False)
class Grown:
    """An ensemble as training leaves it, and what its owners know of their columns.

    Attributes
    ----------
    ensemble : Ensemble
        With features and bins of every owner and thresholds of owner 0.
    categories : tuple of Categories
        Owner by owner.
    edges : tuple of lists of arrays, float32
        Owner by owner, column by column.
    """

    ensemble: Ensemble
    categories: tuple[Categories, ...]
    edges: tuple[list[NDArray[np.float32]], ...]

    @property
    def n_features(self) -> tuple[int, ...]:
        return tuple(map(len, self.categories))

    def names(self, owner: int) -> tuple[str, ...]:
        """Names of an owner's columns."""
        return tuple(f"{owner}-{i}" for i in range(self.n_features[owner]))

    def label_half(self, **changes: object) -> LabelHalf:
        """The label party's half, tied to `party_halves`."""
        digests = {half.party: half_digest(half).hex() for half in self.party_halves()}
        return make_label_half(
            self.ensemble,
            **{
                "model_id": MODEL,
                "objective": "reg:squarederror",
                "objective_parameters": {"huber_slope": 0.1},
                "feature_names": self.names(0),
                "categories": self.categories[0],
                "named": True,
                "n_features": self.n_features,
                "classes": (),
                "parameters": {"max_depth": 3},
                "digests": digests,
                **changes,
            },
        )

    def party_halves(self) -> list[PartyHalf]:
        """The halves of owners 1, 2, ..."""
        halves = []
        for owner, name in enumerate(self.ensemble.owners):
            if owner == 0:
                continue
            splits = [
                self._partner_split(owner, node)
                for tree in self.ensemble.trees
                for node in sorted(tree[tree["owner"] == owner], key=lambda node: node["split_id"])
            ]
            halves.append(
                PartyHalf(
                    model_id=MODEL,
                    party=name,
                    salt=f"{owner:032x}",
                    feature_names=self.names(owner),
                    categories=self.categories[owner],
                    splits=tuple(splits),
                )
            )
        return halves

    def _partner_split(self, owner: int, node: np.void) -> PartnerSplit:
        feature, cut = int(node["feature"]), int(node["bin"])
        edges = self.edges[owner][feature]
        return PartnerSplit(
            feature=feature,
            bin=cut,
            threshold=float(edges[cut]) if 0 <= cut < len(edges) else None,
            codes=codes_in(node["codes"]) or None,
            missing_left=bool(node["missing_left"]),
        )

    def pooled(self) -> "Grown":
        """The twin that was trained on all columns side by side."""
        first = np.cumsum([0, *self.n_features[:-1]])
        trees = []
        for tree in self.ensemble.trees:
            joined = tree.copy()
            inner = joined["left"] >= 0
            joined["feature"][inner] += first[joined["owner"][inner]].astype(np.int32)
            joined["owner"][inner] = 0
            joined["split_id"] = -1
            trees.append(joined)
        edges = [own for owner in self.edges for own in owner]
        ensemble = Ensemble(
            tuple(trees), self.ensemble.base_score, ("",), self.ensemble.outputs
        ).with_thresholds(edges)
        return Grown(ensemble, (tuple(c for own in self.categories for c in own),), (edges,))

    def rows(self, rng: np.random.Generator, n: int) -> NDArray[np.float32]:
        """Values of owner 0's columns, on and between its edges, or codes; some missing."""
        X = np.empty((n, self.n_features[0]), np.float32)
        for f, (names, edges) in enumerate(zip(self.categories[0], self.edges[0], strict=True)):
            values = np.arange(len(names)) if names else [-9.0, 9.0, *edges, *(edges + 0.5)]
            X[:, f] = rng.choice(np.array(values, np.float32), n)
        X[rng.random(X.shape) < 0.2] = np.nan
        return X


def random_model(
    seed: int, n_owners: int = 3, n_outputs: int = 2, n_rounds: int = 3, *, for_all: bool = False
) -> Grown:
    """Columns and splits of both kinds; trees with a value for one output, or for all."""
    rng = np.random.default_rng(seed)
    n_trees = n_rounds * (1 if for_all else n_outputs)
    categories = tuple(_categories(rng) for _ in range(n_owners))
    edges = tuple([_edges(rng) for _ in own] for own in categories)
    n_splits = [0] * n_owners
    trees = [_tree(rng, categories, n_outputs if for_all else 1, n_splits) for _ in range(n_trees)]
    outputs = (-1,) * n_trees if for_all else tuple(i % n_outputs for i in range(n_trees))
    owners = tuple(f"party{i}" if i else "" for i in range(n_owners))
    base_score = tuple(rng.normal(size=n_outputs).tolist())
    ensemble = Ensemble(tuple(trees), base_score, owners, outputs).with_thresholds(edges[0])
    return Grown(ensemble, categories, edges)


@st.composite
def grown(draw: st.DrawFn) -> Grown:
    """Strategy: models of all kinds."""
    return random_model(
        draw(st.integers(0, 2**32)),
        draw(st.integers(1, 3)),
        draw(st.integers(1, 3)),
        draw(st.integers(0, 4)),
        for_all=draw(st.booleans()),
    )


def example(wanted: Callable[[Grown], bool]) -> Grown:
    """The first model that is as wanted, always the same."""
    return next(model for model in map(random_model, range(10_000)) if wanted(model))


def _categories(rng: np.random.Generator) -> Categories:
    sizes = rng.choice([0, 1, 3, 70, 255], rng.integers(1, 4))  # 0: a column of numbers
    return tuple(tuple(f"c{i}" for i in rng.permutation(n)) if n else None for n in sizes)


def _edges(rng: np.random.Generator) -> NDArray[np.float32]:
    return np.unique(rng.normal(size=rng.integers(0, 5)).astype(np.float32))


def _tree(
    rng: np.random.Generator,
    categories: tuple[Categories, ...],
    n_values: int,
    n_splits: list[int],
) -> Tree:
    """Any leaf may be split next, so split numbers do not follow the order of nodes."""
    n_inner = int(rng.integers(0, 8))
    tree = np.zeros(2 * n_inner + 1, dtype=node_dtype(n_values))
    for name in ("owner", "feature", "bin", "split_id", "left", "right"):
        tree[name] = -1
    tree["threshold"] = np.nan
    leaves = [0]
    for i in range(n_inner):
        node = leaves.pop(rng.integers(len(leaves)))
        tree["left"][node], tree["right"][node] = 2 * i + 1, 2 * i + 2
        leaves += [2 * i + 1, 2 * i + 2]
        owner = int(rng.integers(len(categories)))
        feature = int(rng.integers(len(categories[owner])))
        tree["owner"][node], tree["feature"][node] = owner, feature
        names = categories[owner][feature]
        if names is None:
            tree["bin"][node] = rng.integers(0, 5)
        else:
            n_left = min(len(names), int(rng.integers(1, 4)))
            tree["codes"][node] = code_set(rng.choice(len(names), n_left, replace=False))
        tree["missing_left"][node] = rng.random() < 0.5
        tree["gain"][node] = rng.exponential()
        if owner > 0:
            tree["split_id"][node] = n_splits[owner]
            n_splits[owner] += 1
    tree["value"][leaves] = rng.normal(size=tree["value"][leaves].shape)
    tree["sum_hessian"] = rng.exponential(size=len(tree))
    return tree
