"""Prediction over chunks of rows and with fewer rounds; the parties themselves are faked."""

from concurrent.futures import Future
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.ensembles import MODEL, example, grown

from secureboost.alignment import ABSENT
from secureboost.errors import IntegrityError
from secureboost.gbdt import scoring
from secureboost.gbdt.protocol import Routes
from secureboost.gbdt.scoring import raw_scores
from secureboost.partner import Partner


class FakePeer:
    """Answers with the bits that it has for rows of a table."""

    def __init__(self, left):
        self.left = left
        self.asked = []

    def submit(self, route):
        assert route.model_id == MODEL
        self.asked.append(len(route.rows))
        future = Future()
        bits = np.packbits(self.left[:, route.rows], axis=1, bitorder="little")
        future.set_result(Routes(goes_left=bits))
        return future


@contextmanager
def faked(monkeypatch, model, left, route_bytes):
    """Partners whose sides at their splits are `left`, owner by owner."""
    peers = {
        name: FakePeer(bits) for name, bits in zip(model.ensemble.owners[1:], left, strict=True)
    }
    opened = []

    @contextmanager
    def open_session(wanted, _trainer):
        opened.extend(partner.name for partner in wanted)
        yield SimpleNamespace(peers=[peers[partner.name] for partner in wanted])

    with monkeypatch.context() as patch:
        patch.setattr(scoring, "open_session", open_session)
        patch.setattr(scoring, "ROUTE_BYTES", route_bytes)
        n_rows = left[0].shape[1] if left else 0
        yield (
            [Partner(name, None, [], np.arange(n_rows, dtype=np.int32)) for name in peers],
            opened,
        )


@settings(max_examples=60)
@given(grown(), st.integers(0, 2**32), st.integers(0, 40), st.sampled_from([1, 5, 2**20]))
def test_scores_are_the_ensembles(model, seed, n_rows, route_bytes):
    rng, ensemble, half = np.random.default_rng(seed), model.ensemble, model.label_half()
    X = model.rows(rng, n_rows)
    left = [rng.random((count, n_rows)) < 0.5 for count in ensemble.n_splits[1:]]
    with (
        pytest.MonkeyPatch.context() as patch,
        faked(patch, model, left, route_bytes) as (
            partners,
            opened,
        ),
    ):
        for rounds in (None, *range(ensemble.n_rounds + 1)):
            first = ensemble if rounds is None else ensemble.first_rounds(rounds)
            sides = [bits[:n] for bits, n in zip(left, first.n_splits[1:], strict=True)]
            bits = np.packbits(np.concatenate(sides), axis=1, bitorder="little") if sides else None
            opened.clear()
            scores = raw_scores(half, X, partners, rounds=rounds)
            expected = first.raw_scores(X, bits)
            np.testing.assert_array_equal(scores, expected, strict=True)
            assert opened == [
                name
                for name, count in zip(ensemble.owners[1:], first.n_splits[1:], strict=True)
                if count and n_rows
            ]


@settings(max_examples=60)
@given(grown(), st.integers(0, 2**32), st.integers(1, 40), st.sampled_from([1, 5, 2**20]))
def test_rows_that_partners_lack_and_padding(model, seed, n_rows, route_bytes):
    """Partners count in orders of their own; they are asked about what they have, and padding."""
    rng, ensemble, half = np.random.default_rng(seed), model.ensemble, model.label_half()
    X = model.rows(rng, n_rows)
    left, partners, expected = [], [], []
    for owner, name in enumerate(ensemble.owners[1:], start=1):
        n_splits, n_agreed = ensemble.n_splits[owner], n_rows + rng.integers(0, 12)
        bits = rng.random((n_splits, n_agreed)) < 0.5
        order = rng.permutation(n_agreed).astype(np.int32)
        rows = np.where(rng.random(n_rows) < 0.3, ABSENT, order[:n_rows]).astype(np.int32)
        held = np.flatnonzero(rows != ABSENT)  # padding goes with rows that the partner has
        leads = rng.choice(held, n_agreed - n_rows) if len(held) else held
        missing = np.zeros(n_splits, bool)
        for tree in ensemble.trees:
            for node in tree[(tree["owner"] == owner) & (tree["split_id"] >= 0)]:
                missing[node["split_id"]] = node["missing_left"]
        left.append(bits)
        padding = order[n_rows:][: len(leads)]
        partners.append(Partner(name, None, [], rows, padding, leads))
        expected.append(np.where(rows == ABSENT, missing[:, np.newaxis], bits[:, rows]))
    bits = np.packbits(np.concatenate(expected), axis=1, bitorder="little") if expected else None
    with (
        pytest.MonkeyPatch.context() as patch,
        faked(patch, model, left, route_bytes) as (_, opened),
    ):
        scores = raw_scores(half, X, partners)
    np.testing.assert_array_equal(scores, ensemble.raw_scores(X, bits), strict=True)
    assert opened == [
        partner.name
        for partner, count in zip(partners, ensemble.n_splits[1:], strict=True)
        if count and (partner.rows != ABSENT).any()
    ]


@pytest.fixture(scope="module")
def model():
    return example(lambda model: all(count > 1 for count in model.ensemble.n_splits[1:]))


def test_more_rounds_than_there_are(model):
    X = np.zeros((1, model.n_features[0]), np.float32)
    with pytest.raises(ValueError, match="99 rounds were asked for; the model has 3"):
        raw_scores(model.label_half(), X, [], rounds=99)


def test_sides_of_another_half(model, monkeypatch):
    X = np.zeros((9, model.n_features[0]), np.float32)
    left = [np.zeros((count - 1, 9), bool) for count in model.ensemble.n_splits[1:]]
    with (
        faked(monkeypatch, model, left, 2**20) as (partners, _),
        pytest.raises(IntegrityError, match=r"party1.*sent sides of shape .* its half of model"),
    ):
        raw_scores(model.label_half(), X, partners)
