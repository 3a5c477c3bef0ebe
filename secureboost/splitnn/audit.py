"""Attacks on the cut of a network over one's own tables, without and with protections.

The network is trained as its pooled twin, in one process, on all parties' tables; so this is for
whoever has such tables: one's own, cut in two, before a partner is met. What crossed each cut is
noted (`recorder`), and `attacks` are run on it: what a feature party learns of labels from the
gradients that it gets and from its own bottom, and what the label party learns of a feature party's
columns from the activations that it gets. Each stands beside what the attacker reaches without the
cut, from its own columns alone.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from sklearn.base import clone, is_regressor
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.model_selection import train_test_split

from secureboost.errors import ConfigError, DataError
from secureboost.partners import pool_tables
from secureboost.splitnn.attacks import ATTACKS, Finding, attack_columns, attack_labels
from secureboost.splitnn.attacks.base import NOTHING, Floats, Rows
from secureboost.splitnn.base_estimator import SplitNNModel
from secureboost.splitnn.inputs import Inputs
from secureboost.splitnn.options import Choice
from secureboost.splitnn.params import choices
from secureboost.splitnn.protections import FEATURE_PROTECTIONS, LABEL_PROTECTIONS
from secureboost.splitnn.recorder import Notes, Recorder
from secureboost.splitnn.table import ColumnTable

UNPROTECTED = "none"
CONFIGURED = "as configured"
LOWERED = 0.7
"""A protection lowers an attack if at most this share of what it learnt is left."""

WORTH = 0.01
"""An attack that reaches less than this above the attacker's own columns has nothing to lower."""


@dataclass(frozen=True)
class Protected:
    """What a network is protected by in one trial.

    Attributes
    ----------
    name : str
        What tables call it.
    label, feature : tuple of Choice
    """

    name: str
    label: tuple[Choice, ...] = ()
    feature: tuple[Choice, ...] = ()


@dataclass(frozen=True)
class Trial:
    """What attacks found in one training.

    Attributes
    ----------
    name : str
        Of the protection.
    quality : float
        Of the network, over the rows that were held out: `Audit.measure`.
    findings : dict of str to tuple of Finding
        By feature party, in the order of `attacks.ATTACKS`.
    """

    name: str
    quality: float
    findings: Mapping[str, tuple[Finding, ...]]

    def learnt(self, attack: str) -> float:
        """What an attack learns above knowing nothing, at the party where it is most."""
        return max(
            finding.value - NOTHING[finding.measure]
            for found in self.findings.values()
            for finding in found
            if finding.attack == attack
        )

    def beyond(self, attack: str) -> float:
        """What an attack learns above what the attacker's own columns tell."""
        return max(
            finding.value - finding.baseline
            for found in self.findings.values()
            for finding in found
            if finding.attack == attack
        )


@dataclass(frozen=True)
class Audit:
    """What was found.

    Attributes
    ----------
    measure : str
        In what the network's quality is: ``"AUC"``, in the mean over several labels or classes, or
        ``"R2"``.
    trials : tuple of Trial
        The first one without a protection.
    n_training, n_test : int
        Rows.
    known_labels, known_rows : int
        Of how many training rows a feature party knew the labels, the label party the columns.
    """

    measure: str
    trials: tuple[Trial, ...]
    n_training: int
    n_test: int
    known_labels: int
    known_rows: int

    @property
    def parties(self) -> tuple[str, ...]:
        """The feature parties."""
        return tuple(self.trials[0].findings)

    def of_labels(self, trial: Trial, party: str) -> float:
        """The highest AUC that an attack of a feature party on labels reaches."""
        return max(finding.value for finding in trial.findings[party][:-1])

    def lowered(self, trial: Trial) -> list[str]:
        """The attacks of which a protection takes away at least 30 % (`LOWERED`).

        Of what they learn above knowing nothing; at every party. Attacks that tell no more than
        the attacker's own columns count for nothing.
        """
        plain = self.trials[0]
        return [
            attack
            for attack in ATTACKS
            if plain.beyond(attack) >= WORTH
            and trial.learnt(attack) <= LOWERED * plain.learnt(attack)
        ]

    def frame(self) -> pd.DataFrame:
        """A row for each protection and party: the network's quality, attacks and baselines.

        Returns
        -------
        DataFrame
            Columns ``protection``, ``party``, ``quality``, ``"labels at most"`` (the highest AUC
            of an attack on labels), one for each of `attacks.ATTACKS`,
            ``"own columns: labels"`` and ``"own columns: columns"`` (what the attackers reach
            without the cut), and ``lowers``: which attacks the protection lowers.
        """
        rows = [
            {
                "protection": trial.name,
                "party": party,
                "quality": trial.quality,
                "labels at most": self.of_labels(trial, party),
                **{finding.attack: finding.value for finding in found},
                "own columns: labels": found[0].baseline,
                "own columns: columns": found[-1].baseline,
                "lowers": ", ".join(self.lowered(trial)),
            }
            for trial in self.trials
            for party, found in trial.findings.items()
        ]
        return pd.DataFrame(rows)


def audit(
    model: SplitNNModel,
    X: pd.DataFrame,
    y: ArrayLike,
    tables: Mapping[str, pd.DataFrame],
    *,
    protections: Sequence[str | Mapping[str, Any]] | None = None,
    test_rows: ArrayLike | None = None,
    known_labels: int = 200,
    known_rows: int = 500,
    seed: int = 0,
    on_trial: Callable[[str, int, int], None] = lambda _name, _done, _of: None,
) -> Audit:
    """Train a network without and with each protection, and attack what crossed its cuts.

    Parameters
    ----------
    model : SplitNNClassifier or SplitNNRegressor
        Not fitted; it is copied. Its own protections, if it has some, are tried together as one.
    X : DataFrame of shape (n_rows, n_features)
        The label party's columns, indexed by row id.
    y : array-like of shape (n_rows,) or (n_rows, n_labels)
        Of several classes or labels the one that an attack reads best counts; of a regression,
        whether a label lies above the median.
    tables : mapping of str to DataFrame
        The feature parties' columns, indexed by row id; all rows of `X` must be there.
    protections : sequence of str or mapping, optional
        Names of protections, or mappings of a name to its options; by default all that there are
        and that fit the labels, with their defaults.
    test_rows : array-like of int, optional
        Positions of the rows that are held out, to measure the network; by default a quarter is
        drawn.
    known_labels : int
        Training rows whose label a feature party knows.
    known_rows : int
        Rows whose columns the label party knows.
    seed : int
        Of which rows are held out and known.
    on_trial : callable
        Called before each trial with its name, how many are done and how many there are.

    Returns
    -------
    Audit

    Raises
    ------
    secureboost.errors.ConfigError
        If a protection is unknown or does not fit, a number is out of its limits, or a party
        computes the body of the top.
    secureboost.errors.DataError
        If a table lacks rows.
    ValueError
        As `SplitNNClassifier.fit`.
    """
    if not tables:
        raise DataError("there is no feature party, so nothing crosses a cut; give its table")
    if model.body is not None:
        raise ConfigError(
            f"is {model.body!r}: what crosses between a body and its head is not audited; leave "
            "it out to audit the cuts of the bottoms",
            "body",
        )
    pooled, owner = pool_tables(X, tables)
    parts = _parts(model, y, len(X), test_rows, seed)
    subject = _Subject(model, pooled, y, owner, *parts, seed)
    subject.check_known(known_labels, known_rows)
    trials = []
    tried = list(_tried(model, y, protections))
    for number, protected in enumerate(tried):
        on_trial(protected.name, number, len(tried))
        trials.append(subject.attempt(protected, known_labels, known_rows))
    return Audit(
        "R2" if is_regressor(model) else "AUC",
        tuple(trials),
        len(subject.training),
        len(subject.test),
        known_labels,
        known_rows,
    )


@dataclass(repr=False)
class _Subject:
    """What is trained and attacked again and again."""

    model: SplitNNModel
    pooled: pd.DataFrame
    y: Any
    owner: dict[str, list[str]]
    training: Rows
    test: Rows
    seed: int

    def check_known(self, known_labels: int, known_rows: int) -> None:
        """Check how many rows attackers know: some must be left to measure them on."""
        for name, number, n_rows in (
            ("known_labels", known_labels, len(self.training)),
            ("known_rows", known_rows, self.fewest),
        ):
            most = n_rows // 2
            if not 10 <= number <= most:
                raise ConfigError(f"is {number}; it must lie between 10 and {most} here", name)

    @property
    def fewest(self) -> int:
        """Rows of the smaller part."""
        return min(len(self.training), len(self.test))

    def attempt(self, protected: Protected, known_labels: int, known_rows: int) -> Trial:
        """Train with a protection, and attack."""
        recorder = Recorder()
        model = clone(self.model).set_params(
            label_protections=_as_given(protected.label),
            feature_protections=_as_given(protected.feature),
            callbacks=None,
        )
        model._make_local = recorder.make_bottom
        test = self.pooled.iloc[self.test], _rows_of(self.y, self.test)
        model.fit(
            self.pooled.iloc[self.training],
            _rows_of(self.y, self.training),
            column_owner=self.owner,
            eval_set=[test] if model.early_stopping_rounds is not None else None,
        )
        labels = _told(model, self.y)
        shown = _Shown(model, self.pooled)
        rng = np.random.default_rng(self.seed)
        known = _known(labels[self.training], known_labels, rng)
        rows = rng.choice(self.fewest, known_rows, replace=False)
        findings = {}
        for party, notes in recorder.notes.items():
            of_labels = self._attack_labels(notes, shown.columns[party], labels, known)
            of_columns = self._attack_columns(notes, shown, party, rows)
            findings[party] = (*of_labels, of_columns)
        return Trial(protected.name, _quality(model, *test, labels[self.test]), findings)

    def _attack_labels(
        self, notes: Notes, columns: Floats, labels: Floats, known: Rows
    ) -> list[Finding]:
        """Each attack on the label that it reads best."""
        recording = notes.recording
        found = [
            attack_labels(recording, of_label, columns[self.training], known)
            for of_label in labels[self.training].T
        ]
        return [max(of_attack, key=lambda f: f.value) for of_attack in zip(*found, strict=True)]

    def _attack_columns(self, notes: Notes, shown: "_Shown", party: str, known: Rows) -> Finding:
        """From what came in training, from its mean over epochs, from what comes in scoring."""
        received = [
            (self.training, notes.recording.activations),
            (self.training, notes.mean_activations),
            (self.test, shown.activations(party, self.test)),
        ]
        own = shown.columns.get("")
        found = [
            attack_columns(
                activations, shown.columns[party][rows], None if own is None else own[rows], known
            )
            for rows, activations in received
        ]
        return max(found, key=lambda finding: finding.value)


class _Shown:
    """Columns of each party as numbers, and what its trained bottom gives for them."""

    def __init__(self, model: SplitNNModel, pooled: pd.DataFrame) -> None:
        matrix = model._matrix(pooled, (), known=model.label_half_)
        table = ColumnTable(model.label_half_.feature_names, matrix.values.T, matrix.categories)
        self._scorers = {scorer.head.party: scorer for scorer in model._loaded.scorers(table)}
        self.columns = {
            party: _numbers(scorer.inputs, scorer.head.preparation.spec.n_codes, len(pooled))
            for party, scorer in self._scorers.items()
        }

    def activations(self, party: str, rows: Rows) -> Floats:
        """What the label party reads when rows are scored."""
        given = self._scorers[party].activations(rows.astype(np.int32))
        return given.numpy().astype(np.float64)


def _numbers(inputs: Inputs, n_codes: Sequence[int], n_rows: int) -> Floats:
    """Columns as numbers: a code is a one among zeros."""
    numbers, codes = inputs.batch(np.arange(n_rows, dtype=np.int32))
    of_codes = [
        torch.nn.functional.one_hot(of_column, n)
        for of_column, n in zip(codes.T, n_codes, strict=True)
    ]
    return torch.cat([numbers, *of_codes], dim=1).numpy().astype(np.float64)


def _tried(
    model: SplitNNModel, y: ArrayLike, wanted: Sequence[str | Mapping[str, Any]] | None
) -> Iterator[Protected]:
    """The trials: without protections, with the model's own, with each that is wanted."""
    yield Protected(UNPROTECTED)
    label = choices("label_protections", model.label_protections)
    feature = choices("feature_protections", model.feature_protections)
    if label or feature:
        yield Protected(CONFIGURED, label, feature)
    names = [name for name in LABEL_PROTECTIONS if _fits(name, model, y)] + [*FEATURE_PROTECTIONS]
    for choice in choices("protections", names if wanted is None else wanted):
        options = ", ".join(f"{name}={value}" for name, value in choice.options.items())
        called = f"{choice.name} ({options})" if options else choice.name
        if choice.name in FEATURE_PROTECTIONS:
            yield Protected(called, feature=(choice,))
        else:
            yield Protected(called, label=(choice,))


def _fits(name: str, model: SplitNNModel, y: ArrayLike) -> bool:
    """Whether a protection of labels is for these, so that it is tried unasked."""
    protection = LABEL_PROTECTIONS[name]({})
    shape = np.shape(y)
    if len(shape) == 2 and shape[1] > 1:
        return protection.takes_several
    weighted = model.class_weight is not None or model.scale_pos_weight != 1.0
    n_classes = 0 if is_regressor(model) else len(pd.unique(np.ravel(np.asarray(y))))
    return protection.takes_classes(n_classes) and (protection.takes_class_weights or not weighted)


def _parts(
    model: SplitNNModel, y: ArrayLike, n_rows: int, test_rows: ArrayLike | None, seed: int
) -> tuple[Rows, Rows]:
    """Rows to train on and to hold out."""
    everything = np.arange(n_rows)
    if test_rows is not None:
        test = np.asarray(test_rows, np.intp)
        return np.setdiff1d(everything, test), test
    one_label = np.ndim(y) == 1 and not is_regressor(model)
    training, test = train_test_split(
        everything,
        test_size=0.25,
        random_state=seed,
        stratify=np.asarray(y) if one_label else None,
    )
    return np.sort(training), np.sort(test)


def _told(model: SplitNNModel, y: Any) -> Floats:
    """What is there to be told of labels: columns of 0 and 1, shape (n_rows, n_columns)."""
    labels = model._eval_labels(y, "y")
    if is_regressor(model):
        return (labels > np.median(labels)).astype(np.float64)[:, np.newaxis]
    if labels.ndim == 2:
        return labels
    n_classes = len(model.classes_)
    if n_classes == 2:
        return labels[:, np.newaxis]
    return (labels[:, np.newaxis] == np.arange(n_classes)).astype(np.float64)


def _known(labels: Floats, n_known: int, rng: np.random.Generator) -> Rows:
    """Rows whose labels are known: drawn, and one of each kind."""
    known = rng.choice(len(labels), n_known, replace=False)
    more = [
        int(np.argmax(column == value))
        for column in labels.T
        for value in (0.0, 1.0)
        if not (column[known] == value).any()
    ]
    return np.unique([*known, *more]).astype(np.intp)


def _quality(model: SplitNNModel, X: pd.DataFrame, y: Any, labels: Floats) -> float:
    """AUC of held-out rows, in the mean over labels or classes; of numbers R2."""
    if is_regressor(model):
        return float(r2_score(y, model.predict(X)))
    raw = model.raw_scores(X)
    scores = raw[:, np.newaxis] if raw.ndim == 1 else raw
    return float(np.mean([roc_auc_score(*pair) for pair in zip(labels.T, scores.T, strict=True)]))


def _rows_of(y: Any, rows: Rows) -> Any:
    return y.iloc[rows] if hasattr(y, "iloc") else np.asarray(y)[rows]


def _as_given(protections: Sequence[Choice]) -> list[dict[str, Any]] | None:
    """Protections as an estimator takes them."""
    return [{choice.name: dict(choice.options)} for choice in protections] or None
