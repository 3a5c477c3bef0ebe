"""What can go wrong in training a network, besides what `secureboost.errors` lists."""

import contextlib
from collections.abc import Iterator

from secureboost.errors import SecureBoostError

CPU_INDEX = "https://download.pytorch.org/whl/cpu"


class TorchMissingError(SecureBoostError, ImportError):
    """torch is not installed."""

    def __init__(self, missing: str) -> None:
        super().__init__(
            f"Split neural networks need {missing}, which is not installed. Install the extra "
            f"with: pip install 'secureboost[nn]' --extra-index-url {CPU_INDEX} (the CPU build; "
            "leave the index out for the build with CUDA)."
        )


@contextlib.contextmanager
def needing_torch() -> Iterator[None]:
    """Say what to install, where an import in the block lacks torch or what comes with it.

    Raises
    ------
    TorchMissingError
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "safetensors"):
            raise
        raise TorchMissingError(error.name) from error


class PayloadError(ValueError):
    """Numbers at the cut that cannot be read; whoever received them knows who sent them."""


class DivergedError(SecureBoostError):
    """Training has led to numbers that are not finite; what was kept before is as it was.

    Parameters
    ----------
    step : int
        The batch, counted from 0 over all epochs.
    party : str
        Whose numbers they are; empty for the label party.
    what : str
        Which numbers: "loss", "gradient", ...
    learning_rate : float
    """

    def __init__(self, step: int, party: str, what: str, learning_rate: float) -> None:
        super().__init__(step, party, what, learning_rate)
        self.step = step
        self.party = party
        self.what = what
        self.learning_rate = learning_rate

    def __str__(self) -> str:
        whose = f"party {self.party!r}" if self.party else "the label party"
        return (
            f"step {self.step}: the {self.what} of {whose} is not finite "
            f"(learning_rate={self.learning_rate:g}). Lower learning_rate, or set max_norm to "
            "clip gradients; with a checkpoint the run goes on from the last good epoch "
            "(resume=True)."
        )


class TurnError(ValueError):
    """An exchange that names another batch than the one whose turn it is."""
