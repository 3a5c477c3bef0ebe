import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from support.ensembles import example, grown

from secureboost.gbdt.halves import make_ensemble
from secureboost.gbdt.model import LabelHalf, PartyHalf, half_digest, load_half, save_half


def known_to_the_label_party(tree):
    """Of partners' splits owner, number and side of missing values (and the rows' hessians)."""
    own = tree.copy()
    foreign = own["owner"] > 0
    own["feature"][foreign], own["bin"][foreign] = -1, -1
    own["codes"][foreign] = 0
    own["gain"][foreign] = 0.0
    return own


@settings(max_examples=60)
@given(grown())
def test_round_trip_bit_for_bit(model):
    half = model.label_half()
    again = msgspec.json.decode(msgspec.json.encode(half), type=LabelHalf)
    assert again == half
    ensemble = make_ensemble(again)
    assert ensemble.base_score == model.ensemble.base_score
    assert ensemble.owners == model.ensemble.owners
    assert ensemble.outputs == model.ensemble.outputs
    for tree, expected in zip(ensemble.trees, model.ensemble.trees, strict=True):
        assert tree.dtype == expected.dtype
        assert tree.tobytes() == known_to_the_label_party(expected).tobytes()
    for own in model.party_halves():
        assert msgspec.json.decode(msgspec.json.encode(own), type=PartyHalf) == own


@settings(max_examples=30)
@given(grown(), st.integers(0, 2**32))
def test_a_half_predicts_like_its_ensemble(model, seed):
    rng, ensemble = np.random.default_rng(seed), model.ensemble
    X = model.rows(rng, 20)
    bits = rng.integers(0, 256, (sum(ensemble.n_splits), 3), dtype=np.uint8)
    scores = make_ensemble(model.label_half()).raw_scores(X, bits)
    np.testing.assert_array_equal(scores, ensemble.raw_scores(X, bits))


@settings(max_examples=30)
@given(grown())
def test_gains_and_counts_are_those_of_the_trees(model):
    half = model.label_half()
    nodes = [node for tree in model.ensemble.trees for node in tree if node["left"] >= 0]
    for owner, part in enumerate((half, *half.partners)):
        for feature in range(model.n_features[owner]):
            gains = [
                node["gain"]
                for node in nodes
                if node["owner"] == owner and node["feature"] == feature
            ]
            assert part.split_counts[feature] == len(gains)
            total = 0.0
            for gain in gains:
                total += gain
            assert part.gains[feature] == total
    for tree, grown_tree in zip(half.trees, model.ensemble.trees, strict=True):
        assert tree.gain == tuple(known_to_the_label_party(grown_tree)["gain"])
        assert tree.cover == tuple(grown_tree["sum_hessian"])


def test_what_is_not_given_is_empty():
    model = example(lambda model: len(model.ensemble.owners) > 1)
    half = model.label_half(digests=None)
    assert half.best_iteration is None
    assert {partner.digest for partner in half.partners} == {""}


@settings(max_examples=20)
@given(model=grown())
def test_files(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("halves")
    half = model.label_half()
    save_half(half, folder / "label.json")
    assert load_half(folder / "label.json", LabelHalf) == half
    for own in model.party_halves():
        save_half(own, folder / "own.json")
        assert (folder / "own.json").stat().st_mode & 0o777 == 0o600
        loaded = load_half(folder / "own.json", PartyHalf)
        assert loaded == own
        assert half_digest(loaded) == half_digest(own)
