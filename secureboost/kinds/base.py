"""What a run must know of a kind of model: how it is made, trained, read, scored and described."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from crypto.scheme import PrivateKey
from parties.traffic import Traffic
from secureboost.eval_metrics import EvalMetric
from secureboost.monitor import History
from secureboost.objectives import Objective
from secureboost.partners import Unmatched
from secureboost.party import Party
from secureboost.recovery import Recovery
from secureboost.trainers import Trainer

if TYPE_CHECKING:
    from secureboost.outcome import RunData, RunResult

OnRound = Callable[[int, History], bool | None]
"""Called after each round with its number and the history; True ends training."""

TimeRow = tuple[str, str, float, str]
"""Party, phase, wall seconds, and what was done."""


class Model(Protocol):
    """An estimator, as far as all kinds are alike."""

    trainer: ClassVar[Trainer]
    objective: Any
    eval_metric: Any
    early_stopping_rounds: Any
    categorical_features: Any
    label_half_: Any
    traffic_: dict[str, dict[str, Traffic]]
    evals_result_: History

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's parameters."""
        ...

    def set_params(self, **params: Any) -> Self:
        """Set some of them."""
        ...

    def save(self, folder: str | Path) -> None:
        """Write the label party's half, and those of parties in this process."""
        ...

    def _plain_parameters(self) -> dict[str, Any]: ...

    def _make_objective(self, n_classes: int) -> Objective: ...

    def _targets(
        self, y: ArrayLike, weight: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], Objective]: ...


class Kind(ABC):
    """A kind of model.

    Attributes
    ----------
    section : str
        The table of a configuration that holds the parameters.
    round_name : str
        What a round is called.
    takes_several_labels : bool
        A model may learn several labels of a row.
    """

    section: ClassVar[str]
    round_name: ClassVar[str]
    takes_several_labels: ClassVar[bool] = False

    @abstractmethod
    def make_model(
        self, parameters: Mapping[str, Any], path: str, *, more_names: Sequence[str] = ()
    ) -> Model:
        """Make an estimator from named settings and check them, before hours are spent.

        A regressor where the objective is one. Where `eval_metric` is not given, it is
        `quality.watched_metrics`.

        Parameters
        ----------
        parameters : mapping
        path : str
            Where the settings stand, for messages.
        more_names : sequence of str
            Settings beside these, which a misspelt one may have meant.

        Raises
        ------
        secureboost.errors.ConfigError
            If a name is unknown (the nearest is named) or a value out of its limits.
        crypto.errors.CryptoError
            If it needs a scheme or a key that cannot be.
        """

    @abstractmethod
    def load_model(self, folder: Path) -> Model:
        """Read a saved model, of classes or of numbers.

        Raises
        ------
        secureboost.errors.ModelError
            If a half is damaged or absent.
        """

    @abstractmethod
    def metrics(self, model: Model, objective: Objective) -> list[EvalMetric]:
        """What is watched after each round."""

    @abstractmethod
    def n_rounds(self, model: Model) -> int:
        """Rounds that a training has at most."""

    @abstractmethod
    def rounds_kept(self, checkpoint: Path) -> int:
        """Rounds that an interrupted run has done.

        Raises
        ------
        secureboost.errors.ConfigError, secureboost.errors.ModelError
            If the file is absent or damaged.
        """

    @abstractmethod
    def check_names(self, model: Model, columns: Sequence[str], parties: Sequence[str]) -> None:
        """Check that what parameters name are columns and parties.

        Raises
        ------
        secureboost.errors.ConfigError
        """

    def check_between_companies(self, model: Model) -> None:  # noqa: B027 - most kinds can
        """Refuse what is for one process.

        Raises
        ------
        secureboost.errors.ConfigError
        """

    @abstractmethod
    def check_plannable(self, model: Model) -> None:
        """Refuse to plan what `secureboost.planning` knows nothing of.

        Raises
        ------
        secureboost.errors.ConfigError
        """

    @abstractmethod
    def fit(
        self,
        model: Model,
        data: "RunData",
        parties: Sequence[Party],
        *,
        on_round: OnRound,
        make_key: Callable[[], PrivateKey] | None,
        recovery: Recovery | None,
    ) -> None:
        """Train on the training rows; the other folds ride along and are measured.

        Parameters
        ----------
        model : Model
            Not fitted.
        data : RunData
        parties : sequence of Party
        on_round : callable
        make_key : callable, optional
            Gives the private key, for kinds that have one.
        recovery : Recovery, optional
            Where each round is kept.
        """

    @abstractmethod
    def predictions(
        self,
        model: Model,
        X: pd.DataFrame,
        parties: Sequence[Party] | None,
        unmatched: Unmatched,
        without: Sequence[str] = (),
    ) -> NDArray[np.float64]:
        """Scores as a run writes them: probabilities of class 1, of all classes, or numbers.

        Parameters
        ----------
        model : Model
        X : DataFrame
        parties : sequence of Party, optional
            By default those of the training.
        unmatched : {"error", "missing"}
            What happens to rows that a party does not have.
        without : sequence of str
            Parties that are not asked, for kinds of models that can do without.

        Raises
        ------
        secureboost.errors.ConfigError
            If this kind cannot.
        """

    @abstractmethod
    def score_names(self, model: Model) -> tuple[Any, ...]:
        """Names of the columns of scores; empty where a score is one number."""

    def losses(self, model: Model) -> list[float]:
        """Mean loss of the training rows in each round so far, where a kind has it."""
        return []

    @abstractmethod
    def facts(self, result: "RunResult", rounds: int) -> list[tuple[str, str]]:
        """What a report says of a model that has so many rounds."""

    @abstractmethod
    def learned(self, data: "RunData", result: "RunResult") -> list[tuple[str, list[str]]]:
        """By party what training told it, beside which rows are common; the label party first."""

    @abstractmethod
    def time_rows(self, model: Model) -> list[TimeRow]:
        """Where the time of training went, by party and phase."""

    @abstractmethod
    def times_as_json(self, model: Model) -> dict[str, Any]:
        """The same for a file, by party."""

    @abstractmethod
    def same_model(
        self, federated: Model, pooled: Model, owner: Mapping[str, Sequence[str]], halves: Path
    ) -> bool:
        """Whether a model equals its pooled twin, for somebody who has all halves.

        Parameters
        ----------
        federated, pooled : Model
        owner : mapping of str to sequence of str
            As `fit` takes it, of the twin.
        halves : Path
            The store of the one partner's `secureboost serve`.
        """

    def busy_text(self, result: "RunResult") -> str:
        """How much processor time each party used; empty where that is not known."""
        return ""
