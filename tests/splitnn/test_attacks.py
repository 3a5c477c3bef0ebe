"""Attacks: right on made-up cuts where the answer is known, and strong on a real one."""

import numpy as np
import pytest
from support.cut import Table, train

from secureboost.errors import DataError
from secureboost.splitnn.architectures import get_architecture
from secureboost.splitnn.attacks import (
    ATTACKS,
    Finding,
    Recording,
    attack_columns,
    attack_labels,
    clustering_attack,
    completion_attack,
    direction_attack,
    norm_attack,
    reconstruction_attack,
)

RNG_ROWS = 2000


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def labels(rng):
    return (rng.random(RNG_ROWS) < 0.2).astype(np.float64)


def recorded(gradients, batch):
    return Recording(gradients[None], gradients, batch[None])


def one_batch(gradients):
    return recorded(gradients, np.zeros(len(gradients), np.int64))


def logistic_gradients(labels, rng, width=5):
    """As a linear top gives them, at the start: ``(p - y) w``, with some noise."""
    w = rng.normal(size=width)
    return np.outer(0.2 - labels, w) + 1e-3 * rng.normal(size=(len(labels), width))


def test_gradients_of_a_linear_top_tell_every_label(labels, rng):
    recording = one_batch(logistic_gradients(labels, rng))
    known = np.flatnonzero(labels)[:1]
    assert norm_attack(recording, labels) == 1.0
    assert direction_attack(recording, labels, known) == 1.0
    assert clustering_attack(recording, labels) == 1.0


def test_gradients_without_labels_tell_nothing(labels, rng):
    recording = one_batch(rng.normal(size=(RNG_ROWS, 5)))
    known = np.arange(200)
    columns = rng.normal(size=(RNG_ROWS, 3))
    for finding in attack_labels(recording, labels, columns, known):
        assert finding.value < 0.55, finding
        assert finding.baseline < 0.55


def test_lengths_compare_within_a_batch(labels, rng):
    """Later gradients are smaller: all batches in one, the attack would look weaker than it is."""
    gradients = logistic_gradients(labels, rng)
    batch = np.arange(RNG_ROWS) // 100
    shrinking = gradients * 0.5 ** batch[:, None]
    assert norm_attack(recorded(shrinking, batch), labels) == 1.0
    assert norm_attack(one_batch(shrinking), labels) < 0.9


def test_an_attacker_who_is_always_wrong_is_right(labels, rng):
    """Where positives are many, theirs are the shorter gradients."""
    recording = one_batch(logistic_gradients(labels, rng))
    assert norm_attack(recording, 1.0 - labels) == 1.0


def test_batches_of_one_class_tell_nothing(labels, rng):
    gradients = logistic_gradients(labels, rng)
    batch = np.where(labels == 1.0, 1, 2)
    assert norm_attack(recorded(gradients, batch), labels) < 0.55


def test_several_epochs_of_noisy_gradients_tell_more_than_one(labels, rng):
    """Noise that is new in each epoch is averaged away."""
    clean = logistic_gradients(labels, rng)
    noisy = clean + 3.0 * np.linalg.norm(clean, axis=1).mean() * rng.normal(size=(25, *clean.shape))
    batch = np.zeros(noisy.shape[:2], np.int64)
    known = np.arange(200)
    one, all_of_them = Recording(noisy[:1], clean, batch[:1]), Recording(noisy, clean, batch)
    for attack in (
        lambda recording: direction_attack(recording, labels, known),
        lambda recording: norm_attack(recording, labels),
    ):
        assert attack(all_of_them) > attack(one) + 0.05


def test_known_rows_are_not_scored(labels, rng):
    """A head that learns labels of noise by heart gains nothing."""
    vectors = rng.normal(size=(RNG_ROWS, 150))
    known = np.arange(100)
    assert completion_attack(vectors, labels, known) < 0.55


def test_completion_needs_few_labels_where_the_bottom_is_good(labels, rng):
    good = np.column_stack([labels + 0.3 * rng.normal(size=RNG_ROWS), rng.normal(size=RNG_ROWS)])
    known = np.concatenate([np.flatnonzero(labels)[:5], np.flatnonzero(labels == 0.0)[:5]])
    assert completion_attack(good, labels, known) > 0.95


def test_a_linear_bottom_is_inverted(rng):
    columns = rng.normal(size=(RNG_ROWS, 4)) * [1.0, 1e3, 1e-3, 5.0]
    known = np.arange(100)
    activations = (columns / [1.0, 1e3, 1e-3, 5.0]) @ rng.normal(size=(4, 8)) + 7.0
    assert reconstruction_attack(activations, columns, known) > 0.99
    assert reconstruction_attack(rng.normal(size=(RNG_ROWS, 8)), columns, known) < 0.05
    # two numbers at the cut cannot tell all of four columns
    assert reconstruction_attack(activations[:, :2], columns, known) < 0.7


def test_columns_that_do_not_vary_tell_nothing(rng):
    """A category that none of the measured rows has is not reconstructed, but absent."""
    columns = np.zeros((RNG_ROWS, 3))
    columns[:100, 1] = rng.normal(size=100)
    columns[100:, 2] = rng.normal(size=RNG_ROWS - 100)
    vectors = rng.normal(size=(RNG_ROWS, 4))
    assert reconstruction_attack(vectors, columns, np.arange(100)) == 0.0
    columns[:, 0] = rng.normal(size=RNG_ROWS)
    assert reconstruction_attack(vectors, columns, np.arange(100)) < 0.05


def test_a_bottom_that_is_not_linear_is_inverted_by_the_perceptron(rng):
    columns = rng.uniform(-2.0, 2.0, size=(4000, 1))
    activations = np.column_stack([np.maximum(columns[:, 0], 0), np.abs(columns[:, 0]) ** 3])
    assert reconstruction_attack(activations, columns, np.arange(2000)) > 0.95


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda r, y: direction_attack(r, y, np.flatnonzero(y == 0)[:9]), "rows is positive"),
        (lambda r, y: completion_attack(r.activations, y, np.flatnonzero(y)[:9]), "of one class"),
        (lambda r, _: Recording(r.gradients, r.activations[:, :2], r.batch), "three dimensions"),
        (lambda r, _: Recording(r.activations, r.activations, r.batch), "three dimensions"),
        (lambda r, _: Recording(r.gradients, r.activations, r.batch[:, :5]), "three dimensions"),
        (lambda r, _: Recording(r.gradients * np.nan, r.activations, r.batch), "not finite"),
    ],
)
def test_what_cannot_be_attacked(labels, rng, call, message):
    with pytest.raises(DataError, match=message):
        call(one_batch(logistic_gradients(labels, rng)), labels)


def test_a_finding_says_what_it_is():
    finding = Finding("norm", "AUC", 0.91234, 0.6)
    assert str(finding) == "norm: AUC 0.912, without the cut 0.600"


def test_an_unprotected_cut_tells_nearly_everything(data_folder):
    """Credit card clients: labels from gradients, columns from activations."""
    table = Table.read(data_folder)
    run = train(table, get_architecture("mlp"))
    n = table.n_training
    known = np.random.default_rng(0).choice(n, 200, replace=False)
    columns, own = (part[:n].astype(np.float64) for part in (table.other, table.own))
    found = attack_labels(run.recording, table.y[:n], columns, known)
    assert [finding.attack for finding in found] == list(ATTACKS[:4])
    reached = {finding.attack: finding.value for finding in found}
    assert reached["norm"] > 0.8
    assert reached["direction"] > 0.98
    assert reached["clustering"] > 0.98
    assert reached["completion"] > found[0].baseline  # the bottom tells more than its columns
    told = attack_columns(run.recording.activations, columns, own, known)
    assert told.value > 0.8 > 0.3 > told.baseline
    assert attack_columns(run.recording.activations, columns, None, known).baseline == 0.0
