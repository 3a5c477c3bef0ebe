import copy
import json
import re

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.ensembles import example, grown

from secureboost.errors import ModelError
from secureboost.gbdt.halves import make_ensemble
from secureboost.gbdt.model import (
    VERSION,
    LabelHalf,
    PartyHalf,
    decode_half,
    half_digest,
    half_schema,
    is_model_id,
    load_half,
    new_model_id,
)


def has_everything(model):
    """Own splits of both kinds, partners' splits of both kinds, some in each of two trees."""
    owned = [(node["owner"] > 0, node["bin"] < 0) for tree in model.ensemble.trees for node in tree]
    return (
        {(False, True), (False, False), (True, True), (True, False)} <= set(owned)
        and all((tree["owner"] == 1).any() for tree in model.ensemble.trees[:2])
        and all(own_kinds(tree) == {True, False} for tree in model.ensemble.trees[:2])
        and model.ensemble.outputs[:2] == (0, 1)
        and len(model.ensemble.owners) == 3
    )


def own_kinds(tree):
    return set((tree["bin"][tree["owner"] == 0] < 0).tolist())


@pytest.fixture(scope="module")
def model():
    return example(has_everything)


def as_dict(half):
    return json.loads(msgspec.json.encode(half))


@pytest.fixture
def label(model):
    return as_dict(model.label_half())


@pytest.fixture
def party(model):
    halves = [as_dict(half) for half in model.party_halves()]
    return next(half for half in halves if len(half["splits"]) > 1)


def decode(half, kind=LabelHalf):
    return decode_half(json.dumps(half).encode(), kind, "half.json")


def refused(half, text, kind=LabelHalf):
    with pytest.raises(ModelError, match=text) as caught:
        decode(half, kind)
    assert str(caught.value).startswith("half.json")


def own_node(tree, *, by_codes):
    """An own split of either kind."""
    return next(
        i
        for i, (owner, codes) in enumerate(zip(tree["owner"], tree["codes"], strict=True))
        if owner == 0 and (codes is not None) == by_codes
    )


def partners_node(tree):
    return next(i for i, owner in enumerate(tree["owner"]) if owner == 1)


def leaf(tree):
    return tree["owner"].index(-1)


def test_what_was_written_is_read(label, party):
    decode(label)
    decode(party, PartyHalf)


# --- The label party's half


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("version", VERSION + 1, f"model version {VERSION + 1}, and this release reads"),
        ("type", "secureboost.party", "is not a label party's half of a model"),
        ("model_id", "../../etc/passwd", r"at `\$.model_id`"),
        ("model_id", "a" * 31 + "\n", r"at `\$.model_id`"),
        ("model_id", "a" * 32 + "\n", r"at `\$.model_id`"),
        ("base_score", [], r"at `\$.base_score`"),
        ("base_score", [None, 0.0], r"at `\$.base_score"),
        ("base_score", 0.5, r"at `\$.base_score`"),
        ("objective_parameters", {"x": "y"}, r"at `\$.objective_parameters"),
        ("categories", [], r"0 lists of categories for \d columns; a column of numbers has null"),
        ("gains", [], "gains and split_counts must be one of each own column"),
        ("split_counts", [1] * 99, "gains and split_counts must be one of each own column"),
        ("split_counts", [-1], r"at `\$.split_counts\[0\]`"),
        ("best_iteration", 10**6, r"best_iteration is 1000000, and there are \d+ rounds"),
        ("best_iteration", -1, r"best_iteration is -1, and there are \d+ rounds"),
        ("partners", [], r"tree \d+: a node has an owner that does not exist"),
    ],
)
def test_a_changed_label_half(label, name, value, text):
    label[name] = value
    refused(label, text)


def test_numbers_that_json_cannot_hold(label):
    text = json.dumps(label).replace('"base_score": [', '"base_score": [1e999, ', 1)
    with pytest.raises(ModelError, match=r"Number out of range"):
        decode_half(text.encode(), LabelHalf, "half.json")
    text = json.dumps(label).replace('"base_score": [', '"base_score": [NaN, ', 1)
    with pytest.raises(ModelError, match=r"malformed"):
        decode_half(text.encode(), LabelHalf, "half.json")


def test_nesting_without_end(label):
    text = json.dumps(label).replace('"parameters": {', '"parameters": {"x": ' + "[" * 10**6, 1)
    with pytest.raises(ModelError, match="is not a label party's half"):
        decode_half(text.encode(), LabelHalf, "half.json")


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("name", "", r"at `\$.partners\[0\].name`"),
        ("n_features", -1, r"at `\$.partners\[0\].n_features`"),
        ("n_features", 99, "of party 'party1' must be one of each of its columns"),
        ("gains", [], "gains and split_counts of party 'party1' must be one of each"),
        ("split_counts", [], "gains and split_counts of party 'party1' must be one of each"),
        ("n_splits", 10**6, r"have \d+ splits of party 'party1', whose n_splits is 1000000"),
        ("digest", "abc", r"at `\$.partners\[0\].digest`"),
        ("digest", "A" * 64, r"at `\$.partners\[0\].digest`"),
        ("digest", "a" * 64 + "\n", r"at `\$.partners\[0\].digest`"),
        ("name", "party2", "two partners have the same name"),
    ],
)
def test_a_changed_partner(label, name, value, text):
    label["partners"][0][name] = value
    refused(label, text)


def test_a_digest_may_be_empty(label):
    label["partners"][0]["digest"] = ""
    decode(label)


@pytest.mark.parametrize(
    ("outputs", "text"),
    [
        ((1, 0), "the trees' outputs are not those of"),
        ((0, 0), "the trees' outputs are not those of"),
        ((0, 5), "the trees' outputs are not those of"),
        ((-1, 0), "the trees' outputs are not those of"),
        ((-2, -2), "the trees' outputs are not those of"),
    ],
)
def test_outputs_that_do_not_take_turns(label, outputs, text):
    for tree, output in zip(label["trees"], outputs, strict=False):
        tree["output"] = output
    refused(label, text)


def test_one_value_a_node_for_all_outputs(label):
    for tree in label["trees"]:
        tree["output"] = -1
    refused(label, "tree 0: the node columns differ in length")


def test_a_round_that_is_not_complete(label):
    """A checkpoint may lie between the trees of a round."""
    partners = [owner for owner in label["trees"].pop()["owner"] if owner > 0]
    for k, partner in enumerate(label["partners"], start=1):
        partner["n_splits"] -= partners.count(k)
    decode(label)


COLUMNS = (
    *("owner", "split", "threshold", "bin", "codes", "missing_left", "left", "right", "value"),
    *("gain", "cover"),
)


@pytest.mark.parametrize("column", COLUMNS)
def test_node_columns_of_other_lengths(label, column):
    label["trees"][1][column].pop()
    refused(label, r"tree 1: the node columns differ in length")


def test_a_tree_without_nodes(label):
    for column in COLUMNS:
        label["trees"][0][column] = []
    refused(label, r"tree 0: the node columns differ in length")


@pytest.mark.parametrize(
    ("column", "value", "text"),
    [
        ("left", 0, "node 0 has children out of order"),
        ("right", 10**9, "node 0 has children out of order"),
        ("left", 2**70, "node 0 has children out of order"),
        ("left", -1, "node 0 has children out of order"),
        ("owner", -1, "node 0 is a leaf with children"),
        ("owner", -2, "a node has an owner that does not exist"),
        ("owner", 9, "a node has an owner that does not exist"),
    ],
)
def test_a_root_that_leads_nowhere(label, column, value, text):
    label["trees"][1][column][0] = value
    refused(label, f"tree 1: {text}")


def test_a_leaf_with_children(label):
    tree = label["trees"][0]
    tree["left"][leaf(tree)] = len(tree["owner"]) - 1
    refused(label, r"tree 0: node \d+ is a leaf with children")


def test_a_node_with_two_parents(label):
    tree = label["trees"][0]
    tree["left"][0] = tree["right"][0]
    refused(label, "tree 0: a node has no parent, or two")


@pytest.mark.parametrize(
    ("by_codes", "changes", "text"),
    [
        (False, {"split": 99}, "names a column that does not exist"),
        (False, {"split": -1}, "names a column that does not exist"),
        (False, {"bin": -1}, "does not fit its column"),
        (False, {"bin": 255}, "does not fit its column"),
        (False, {"codes": [0]}, "does not fit its column"),
        (False, {"threshold": 0.1}, "does not fit its column"),  # no float32
        (False, {"threshold": 1e300}, "does not fit its column"),
        (False, {"bin": -1, "threshold": None, "codes": [0]}, "does not fit its column"),
        (True, {"codes": []}, "does not fit its column"),
        (True, {"codes": [255]}, "does not fit its column"),
        (True, {"codes": [-1, 0]}, "does not fit its column"),
        (True, {"codes": [0, 0]}, "does not fit its column"),
        (True, {"codes": [1, 0]}, "does not fit its column"),
        (True, {"codes": None}, "does not fit its column"),
        (True, {"bin": 0}, "does not fit its column"),
        (True, {"threshold": 0.5}, "does not fit its column"),
        (True, {"codes": None, "bin": 0, "threshold": 0.5}, "does not fit its column"),
    ],
)
def test_own_splits_that_fit_no_column(label, by_codes, changes, text):
    tree = label["trees"][0]
    node = own_node(tree, by_codes=by_codes)
    for name, value in changes.items():
        tree[name][node] = value
    refused(label, f"tree 0: node {node} {text}")


PARTS_OF_OWN_SPLITS = [("threshold", 0.5), ("codes", [0]), ("bin", 0)]


@pytest.mark.parametrize(
    ("of", "name", "value"),
    [
        *((of, *part) for of in (leaf, partners_node) for part in PARTS_OF_OWN_SPLITS),
        (leaf, "missing_left", True),
    ],
)
def test_what_only_own_splits_have(label, of, name, value):
    tree = label["trees"][0]
    tree[name][of(tree)] = value
    refused(label, r"tree 0: node \d+ is no own split and has parts of one")


def test_a_leaf_with_a_split(label):
    tree = label["trees"][0]
    tree["split"][leaf(tree)] = 0
    refused(label, r"tree 0: node \d+ is no own split and has parts of one")


@pytest.mark.parametrize("shift", [1, 10**6, -1, 2**70])
def test_split_numbers_with_gaps(label, shift):
    tree = label["trees"][1]
    tree["split"][partners_node(tree)] += shift
    refused(label, r"tree 1: its splits of partner 0 are not numbered on from \d+")


def test_trees_in_another_order(label):
    first, second = label["trees"][:2]
    label["trees"][:2] = [{**second, "output": 0}, {**first, "output": 1}]
    refused(label, r"tree 0: its splits of partner \d are not numbered on from 0")


# --- A feature party's half


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("version", VERSION + 1, f"model version {VERSION + 1}, and this release reads"),
        ("type", "secureboost.label", "is not a feature party's half of a model"),
        ("model_id", "x", r"at `\$.model_id`"),
        ("party", "", r"at `\$.party`"),
        ("salt", "", r"at `\$.salt`"),
        ("salt", "g" * 32, r"at `\$.salt`"),
        ("categories", [], r"0 lists of categories for \d columns"),
        ("feature_names", [], r"\d lists of categories for 0 columns"),
    ],
)
def test_a_changed_party_half(party, name, value, text):
    party[name] = value
    refused(party, text, PartyHalf)


def split_of(party, *, by_codes):
    return next(s for s in party["splits"] if (s["codes"] is not None) == by_codes)


@pytest.mark.parametrize(
    ("by_codes", "changes", "text"),
    [
        (False, {"feature": 99}, "names a column that the half does not have"),
        (False, {"feature": -1}, "names a column that the half does not have"),
        (False, {"bin": -1}, "does not fit its column"),
        (False, {"bin": 2**70}, "does not fit its column"),
        (False, {"threshold": 1e300}, "does not fit its column"),
        (False, {"codes": [0]}, "does not fit its column"),
        (True, {"codes": []}, "does not fit its column"),
        (True, {"codes": [255]}, "does not fit its column"),
        (True, {"codes": [0, 0]}, "does not fit its column"),
        (True, {"threshold": 1.0}, "does not fit its column"),
        (True, {"bin": 0}, "does not fit its column"),
    ],
)
def test_a_changed_split(model, by_codes, changes, text):
    for half in map(as_dict, model.party_halves()):
        if any((s["codes"] is not None) == by_codes for s in half["splits"]):
            split_of(half, by_codes=by_codes).update(changes)
            refused(half, rf"split \d+ {text}", PartyHalf)
            return
    raise AssertionError("no such split")


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["a", "b", "a"], "column 0 has the same category twice"),
        ([f"c{i}" for i in range(256)], "column 0 has 256 categories, more than 255"),
    ],
)
def test_categories_that_cannot_be(label, party, names, text):
    for half, kind in ((label, LabelHalf), (party, PartyHalf)):
        half["categories"][0] = names
        refused(half, text, kind)


# --- Both


def paths_of(value, path=()):
    """The way to everything inside a JSON value."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        if isinstance(inner, dict | list):
            yield from paths_of(inner, (*path, key))
        else:
            yield (*path, key)


STRANGE = st.sampled_from(
    [None, True, -1, 0, 1, 2, 3, 255, 256, 2**31, 2**63, 2**70, 0.5, -1e300, "", "x", [], [0], {}]
)


@pytest.mark.kernels
@settings(max_examples=400)
@given(grown(), st.data())
def test_a_half_that_is_read_can_be_walked(model, data):
    """Whatever is changed: the half is refused, or prediction stays inside of its arrays."""
    half = as_dict(model.label_half())
    half["parameters"] = {}
    path = data.draw(st.sampled_from([path for path in paths_of(half) if path]))
    *above, last = path
    place = half
    for key in above:
        place = place[key]
    if data.draw(st.booleans()):
        place[last] = data.draw(STRANGE)
    else:
        del place[last]
    try:
        read = decode(half)
    except ModelError:
        return
    ensemble = make_ensemble(read)
    assert ensemble.n_splits[1:] == tuple(partner.n_splits for partner in read.partners)
    X = model.rows(np.random.default_rng(0), 70)
    if X.shape[1] == len(read.feature_names):
        bits = np.zeros((sum(ensemble.n_splits), 9), np.uint8)
        assert np.isfinite(ensemble.raw_scores(X, bits)).all()


@pytest.mark.parametrize("kind", [LabelHalf, PartyHalf])
def test_the_schema_names_every_field(kind):
    schema = half_schema(kind)
    described = schema["$defs"][kind.__name__]
    assert set(described["properties"]) == {"type", *kind.__struct_fields__}
    assert described["properties"]["model_id"]["pattern"] == "^[0-9a-f]{32}$"
    assert json.loads(json.dumps(schema)) == schema


def test_no_file(tmp_path):
    with pytest.raises(ModelError, match=r"no such file\. The feature party's half of a model"):
        load_half(tmp_path / "x.json", PartyHalf)
    with pytest.raises(ModelError, match=r"cannot be read \(Is a directory\)"):
        load_half(tmp_path, LabelHalf)


def test_any_change_of_a_half_changes_its_digest(model):
    half = model.party_halves()[0]
    digest = half_digest(half)
    assert len(digest) == 32
    for changes in ({"salt": "0" * 32}, {"splits": half.splits[:-1]}, {"party": "x"}):
        assert half_digest(msgspec.structs.replace(half, **changes)) != digest
    assert half_digest(copy.deepcopy(half)) == digest


def test_salts_are_drawn():
    halves = [
        PartyHalf(model_id="a" * 32, party="x", feature_names=(), categories=(), splits=())
        for _ in range(2)
    ]
    assert halves[0].salt != halves[1].salt
    assert half_digest(halves[0]) != half_digest(halves[1])


def test_model_ids():
    assert is_model_id(new_model_id())
    assert re.fullmatch("[0-9a-f]{32}", new_model_id())
    for text in ("", "a" * 31, "a" * 33, "A" * 32, "a" * 32 + "\n", "../" + "a" * 29):
        assert not is_model_id(text)
