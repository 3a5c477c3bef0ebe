import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from support.ensembles import example, grown

from secureboost.errors import ModelError
from secureboost.gbdt.codes import codes_in
from secureboost.gbdt.joined import joined_dtype, joined_trees


def owners_of(model):
    """Who would own which of the pooled columns."""
    return {
        name: list(model.names(owner))
        for owner, name in enumerate(model.ensemble.owners)
        if owner > 0
    }


def pooled_half(model):
    """The half of the pooled twin, whose columns keep their names."""
    names = tuple(name for owner in range(len(model.n_features)) for name in model.names(owner))
    return model.pooled().label_half(feature_names=names)


@settings(max_examples=60)
@given(grown())
def test_halves_joined_are_the_pooled_model(model):
    joined = joined_trees(model.label_half(), model.party_halves())
    twin = joined_trees(pooled_half(model), column_owner=owners_of(model))
    assert len(joined) == len(twin) == len(model.ensemble.trees)
    for one, other in zip(joined, twin, strict=True):
        assert one.dtype == other.dtype
        assert (one == other).all()
        assert np.array_equal(one, other)


@settings(max_examples=60)
@given(grown())
def test_joined_nodes_against_the_grown_trees(model):
    joined = joined_trees(model.label_half(), {half.party: half for half in model.party_halves()})
    outputs = model.ensemble.outputs
    for nodes, tree, output in zip(joined, model.ensemble.trees, outputs, strict=True):
        assert nodes.dtype == joined_dtype(
            tree.dtype["value"].shape[0] if tree["value"].ndim > 1 else 1
        )
        for joint, node in zip(nodes, tree, strict=True):
            assert joint["output"] == output
            assert joint["gain"] == (0.0 if node["owner"] > 0 else node["gain"])
            for name, twin in (("cover", "sum_hessian"), ("value", "value")):
                assert np.array_equal(joint[name], node[twin])
            assert (joint["left"], joint["right"]) == (node["left"], node["right"])
            if node["left"] < 0:
                assert (joint["party"], joint["column"], joint["categories"]) == ("", "", ())
                continue
            owner, feature = node["owner"], node["feature"]
            assert joint["party"] == model.ensemble.owners[owner]
            assert joint["column"] == model.names(owner)[feature]
            assert joint["bin"] == node["bin"]
            assert joint["missing_left"] == node["missing_left"]
            names = model.categories[owner][feature]
            left = {names[code] for code in codes_in(node["codes"])} if names else set()
            assert joint["categories"] == tuple(sorted(left))
            edges = model.edges[owner][feature]
            is_cut = 0 <= node["bin"] < len(edges)
            assert joint["threshold"] == (edges[node["bin"]] if is_cut else 0.0)


def test_other_categories_are_not_equal():
    model = example(lambda model: bool((model.ensemble.trees[0]["codes"].any(axis=1)).any()))
    half, halves = pooled_half(model), model.pooled()
    renamed = tuple(
        names and tuple(f"other-{name}" for name in names) for names in halves.categories[0]
    )
    one = joined_trees(half)[0]
    other = joined_trees(msgspec.structs.replace(half, categories=renamed))[0]
    by_codes = model.ensemble.trees[0]["codes"].any(axis=1)
    assert ((one != other) == by_codes).all()


@pytest.fixture(scope="module")
def model():
    return example(lambda model: all(count > 1 for count in model.ensemble.n_splits[1:]))


def test_halves_that_do_not_belong_together(model):
    label, (first, second) = model.label_half(), model.party_halves()
    joined_trees(label, [second, first])
    with pytest.raises(ModelError, match="The half of party 'party2' is missing"):
        joined_trees(label, [first])
    stranger = msgspec.structs.replace(first, model_id="f" * 32)
    with pytest.raises(ModelError, match=r"'party1' belongs to model ffff.* Use the halves of one"):
        joined_trees(label, [stranger, second])
    shorter = msgspec.structs.replace(first, splits=first.splits[:-1])
    with pytest.raises(ModelError, match=r"has \d+ splits over \d+ columns; .* expects \d+ over"):
        joined_trees(label, [shorter, second])
    for changes in (
        {"splits": (*first.splits[1:], first.splits[0])},
        {"salt": "0" * 32},
        {"feature_names": tuple(f"{name}?" for name in first.feature_names)},
    ):
        changed = msgspec.structs.replace(first, **changes)
        with pytest.raises(
            ModelError,
            match=r"The halves do not belong together: that of party 'party1' is not the one whose",
        ):
            joined_trees(label, [changed, second])


def test_without_a_digest_only_the_rest_is_compared(model):
    first, second = model.party_halves()
    salted = msgspec.structs.replace(first, salt="0" * 32)
    assert joined_trees(model.label_half(digests=None), [salted, second])
