"""Attacks on our own cut: what the other side could learn, measured on what crossed it.

=================  ==============  =================================================================
name               who             what it uses
=================  ==============  =================================================================
``norm``           feature party   lengths of gradients
``direction``      feature party   directions of gradients, and a few known labels
``clustering``     feature party   two clusters of gradients
``completion``     feature party   its own activations, and a few known labels
``reconstruction``  label party    activations, and the columns of some known rows
=================  ==============  =================================================================

All are pure functions over a `Recording`; the labels and columns that they are told besides are
there to measure how right they are. None is the strongest that can be: a low number is no proof.
"""

from collections.abc import Mapping

from secureboost.splitnn.attacks.base import Finding, Floats, Recording, Rows
from secureboost.splitnn.attacks.clustering import clustering_attack
from secureboost.splitnn.attacks.completion import completion_attack
from secureboost.splitnn.attacks.gradients import direction_attack, norm_attack
from secureboost.splitnn.attacks.reconstruction import reconstruction_attack

__all__ = [
    "ATTACKS",
    "DESCRIPTIONS",
    "Finding",
    "Recording",
    "attack_columns",
    "attack_labels",
    "clustering_attack",
    "completion_attack",
    "direction_attack",
    "norm_attack",
    "reconstruction_attack",
]

DESCRIPTIONS: Mapping[str, str] = {
    "norm": "a feature party scores rows by the lengths of their gradients; it knows no label.",
    "direction": "it scores rows by the directions of their gradients, and knows a few labels.",
    "clustering": "it parts the directions of gradients into two groups; it knows no label.",
    "completion": "it fits a head to what its bottom gives, for the rows whose label it knows.",
    "reconstruction": "the label party learns from known rows to turn activations into columns; "
    "from those of training, from their mean over epochs, or from those of scoring.",
}
ATTACKS = tuple(DESCRIPTIONS)
"""Their names; the last one is the label party's."""


def attack_labels(
    recording: Recording, labels: Floats, columns: Floats, known: Rows
) -> list[Finding]:
    """What a feature party learns of labels.

    Parameters
    ----------
    recording : Recording
    labels : array of shape (n_rows,), float64
        0 or 1.
    columns : array of shape (n_rows, n_columns), float64
        The party's own, as numbers without gaps.
    known : array of int
        Positions of rows whose label it knows, of both classes.

    Returns
    -------
    list of Finding
        Each beside the AUC that its own columns and the known labels give.

    Raises
    ------
    secureboost.errors.DataError
        If the known rows are of one class.
    """
    baseline = completion_attack(columns, labels, known)
    found = {
        "norm": norm_attack(recording, labels),
        "direction": direction_attack(recording, labels, known),
        "clustering": clustering_attack(recording, labels),
        "completion": completion_attack(recording.activations, labels, known),
    }
    return [Finding(attack, "AUC", auc, baseline) for attack, auc in found.items()]


def attack_columns(
    activations: Floats, columns: Floats, own_columns: Floats | None, known: Rows
) -> Finding:
    """What the label party learns of a feature party's columns.

    Parameters
    ----------
    activations : array of shape (n_rows, width), float64
        What it got.
    columns : array of shape (n_rows, n_columns), float64
        The feature party's, as numbers without gaps.
    own_columns : array of shape (n_rows, n_own), float64, or None
        The label party's.
    known : array of int
        Positions of rows whose columns it knows.

    Returns
    -------
    Finding
        Beside the R2 that its own columns give.
    """
    baseline = 0.0
    if own_columns is not None:
        baseline = reconstruction_attack(own_columns, columns, known)
    value = reconstruction_attack(activations, columns, known)
    return Finding("reconstruction", "R2", value, baseline)
