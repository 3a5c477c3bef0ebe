"""Splits and trees in XGBoost's form: every row reaches the same leaf."""

import json

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from support.ensembles import Grown, example, grown, random_model
from support.releases import release_of

from secureboost.errors import ModelError
from secureboost.export.reader import walk_document
from secureboost.export.taking_out import to_xgboost
from secureboost.export.vector_rows import as_model_values, make_rows
from secureboost.export.whole import Whole
from secureboost.export.xgboost_json import make_document
from secureboost.export.xgboost_trees import export_trees, make_cut
from secureboost.gbdt.model import PartnerSplit

LARGEST = np.finfo(np.float32).max
NAMES = ("a", "b", "c", "d")


def by_number(threshold, missing_left):
    return PartnerSplit(feature=0, bin=0, threshold=threshold, missing_left=missing_left)


def by_codes(codes, missing_left):
    return PartnerSplit(feature=0, bin=-1, threshold=None, codes=codes, missing_left=missing_left)


def goes_to_our_left(cut, value):
    """What XGBoost does at a cut, told by our sides."""
    if np.isnan(value):
        left = cut.default_left
    elif cut.listed:
        left = value not in cut.listed
    else:
        left = np.float32(value) < cut.condition
    return left != cut.swapped


@pytest.mark.parametrize("missing_left", [False, True])
@pytest.mark.parametrize("threshold", [0.0, -0.0, 1.5, -1e-45, 1e-45, 3e38, float(-LARGEST)])
def test_a_number_at_and_just_above_its_threshold(threshold, missing_left):
    cut = make_cut(by_number(threshold, missing_left), None)
    above = np.nextafter(np.float32(threshold), np.float32(np.inf))
    assert goes_to_our_left(cut, threshold)
    assert not goes_to_our_left(cut, above)
    assert goes_to_our_left(cut, np.nan) == missing_left
    assert np.isfinite(cut.condition)


@pytest.mark.parametrize("missing_left", [False, True])
@pytest.mark.parametrize("threshold", [None, float(LARGEST)])
def test_missing_against_present_needs_no_infinity(threshold, missing_left):
    cut = make_cut(by_number(threshold, missing_left), None)
    assert all(goes_to_our_left(cut, value) for value in (-LARGEST, 0.0, LARGEST))
    assert goes_to_our_left(cut, np.nan) == missing_left
    assert np.isfinite(cut.condition)


@pytest.mark.parametrize("missing_left", [False, True])
@pytest.mark.parametrize("codes", [(0,), (1, 3), (0, 1, 2), (0, 1, 2, 3)])
def test_categories_and_those_that_the_model_does_not_know(codes, missing_left):
    cut = make_cut(by_codes(codes, missing_left), NAMES)
    for code in range(len(NAMES)):
        assert goes_to_our_left(cut, code) == (code in codes)
    for unknown in (4, 70, np.nan):
        assert goes_to_our_left(cut, unknown) == missing_left
    assert cut.listed or (len(codes) == 4 and missing_left)


def label_half(ensemble: Grown):
    return ensemble.label_half(objective_parameters={})


def exported(whole, **options):
    trees = list(export_trees(whole, include_cover=options.pop("include_cover", True)))
    data = msgspec.json.encode(make_document(whole, trees, {}, **options))
    return trees, json.loads(data)  # json.loads would take Infinity; msgspec does not write it


@hypothesis_settings(max_examples=60)
@given(grown())
def test_any_ensemble_is_exported_exactly(ensemble: Grown):
    """`to_xgboost` checks leaves and margins itself, with XGBoost where it is installed."""
    label = label_half(ensemble)
    releases = [release_of(half) for half in ensemble.party_halves()]
    to_xgboost(label, releases, include_cover=True, category_names=False, certificates=None)


@hypothesis_settings(max_examples=40)
@given(grown())
def test_the_file_read_back_adds_up_to_our_scores(ensemble: Grown):
    whole = Whole(label_half(ensemble), tuple(ensemble.party_halves()))
    _, document = exported(whole)
    rows = make_rows(whole, seed=1)
    walked = walk_document(document, rows)
    scores = whole.raw_scores(as_model_values(whole.columns, rows))
    assert walked.margins.shape == scores.shape
    np.testing.assert_allclose(walked.margins, scores, rtol=1e-6, atol=1e-6)


def test_children_stand_together_and_numbers_name_the_same_nodes():
    whole = whole_of(random_model(1))
    trees, document = exported(whole)
    for tree in document["learner"]["gradient_booster"]["model"]["trees"]:
        left, right = np.array(tree["left_children"]), np.array(tree["right_children"])
        inner = left >= 0
        assert (right[inner] == left[inner] + 1).all()
        assert (right[~inner] == -1).all()
        assert sorted([0, *left[inner], *right[inner]]) == list(range(len(left)))
    for tree in trees:
        assert sorted(tree.numbers) == list(range(len(tree.numbers)))


def test_a_tree_for_all_outputs_becomes_one_for_each():
    whole = whole_of(random_model(2, n_outputs=3, n_rounds=2, for_all=True))
    _, document = exported(whole)
    booster = document["learner"]["gradient_booster"]["model"]
    assert booster["tree_info"] == [0, 1, 2, 0, 1, 2]
    assert booster["iteration_indptr"] == [0, 3, 6]
    structure = [tree["split_indices"] for tree in booster["trees"]]
    assert structure[0] == structure[1] == structure[2]


def test_a_model_without_trees_is_its_base_score():
    whole = whole_of(random_model(3, n_rounds=0))
    _, document = exported(whole)
    rows = make_rows(whole)
    margins = walk_document(document, rows).margins
    assert np.allclose(margins, whole.label.base_score, atol=1e-6)


def test_covers_and_gains_only_if_asked_for():
    whole = whole_of(random_model(4))
    for include, told in ((True, True), (False, False)):
        _, document = exported(whole, include_cover=include)
        trees = document["learner"]["gradient_booster"]["model"]["trees"]
        assert any(any(tree["sum_hessian"]) for tree in trees) == told
        assert any(any(tree["loss_changes"]) for tree in trees) == told


def test_names_that_xgboost_refuses_or_that_are_taken():
    ensemble = example(lambda g: g.n_features[:2] == (3, 2) and g.categories[0][0] is None)
    label, halves = label_half(ensemble), ensemble.party_halves()
    label = msgspec.structs.replace(label, feature_names=("x<[1]", "x__1_", "x"))
    names = [column.name for column in Whole(label, tuple(halves)).columns]
    assert names[:3] == ["x__1_", "x__1__2", "x"]
    assert names[3] == f"{halves[0].party}.{halves[0].feature_names[0]}"
    assert len(set(names)) == len(names)


def test_an_unfinished_round_is_refused():
    label = label_half(random_model(5, n_owners=1))
    label = msgspec.structs.replace(label, trees=label.trees[:3])
    with pytest.raises(ModelError, match="last round is not complete"):
        Whole(label, ())


def test_leaf_values_beyond_float32_are_refused_and_gains_are_cut():
    label = label_half(random_model(5, n_owners=1, n_outputs=1, n_rounds=1))
    (tree,) = label.trees
    large = msgspec.structs.replace(tree, gain=tuple(1e300 for _ in tree.gain))
    _, document = exported(Whole(msgspec.structs.replace(label, trees=(large,)), ()))
    (written,) = document["learner"]["gradient_booster"]["model"]["trees"]
    assert np.isfinite(np.array(written["loss_changes"], np.float32)).all()
    large = msgspec.structs.replace(tree, value=tuple(1e39 for _ in tree.value))
    with pytest.raises(ModelError, match="Tree 0 has a leaf value beyond the range"):
        exported(Whole(msgspec.structs.replace(label, trees=(large,)), ()))


def whole_of(ensemble: Grown) -> Whole:
    return Whole(label_half(ensemble), tuple(ensemble.party_halves()))


@hypothesis_settings(max_examples=30)
@given(grown())
def test_rows_lie_at_the_edges(ensemble: Grown):
    """Every split that can be reached is crossed both ways, where values on both sides exist."""
    whole = whole_of(ensemble)
    rows = make_rows(whole)
    values = as_model_values(whole.columns, rows)
    used = {
        (column, split.threshold)
        for tree in whole.label.trees
        for _, column, split in whole.splits(tree)
        if split.threshold is not None
    }
    for column, threshold in used:
        assert (values[:, column] <= np.float32(threshold)).any()
        assert (values[:, column] > np.float32(threshold)).any()
    again = make_rows(whole)
    assert np.array_equal(rows, again, equal_nan=True)
