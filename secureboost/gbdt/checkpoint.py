"""What the label party keeps after every round, so that a run can go on after a crash.

Every partner keeps its splits first (`protocol.Keep`), then this file is written. So whatever
moment a crash picks, each partner has at least the splits that this file counts, and the first of
them are all that is needed. Draws come from the round's number (`sampling.round_draws`) and scores
are kept bit for bit: a run that goes on gives the very model of a run that was left alone.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from secureboost.alignment import Alignment
from secureboost.errors import ConfigError, ModelError
from secureboost.files import write_atomically
from secureboost.gbdt.booster import ALL_OUTPUTS, Boosted
from secureboost.gbdt.model import VERSION
from secureboost.gbdt.tree import node_dtype
from secureboost.gbdt.warm_start import Base
from secureboost.monitor import History
from secureboost.partner import Partner
from secureboost.recovery import check_same_run

_DIGEST_BYTES = 32
_FREE = frozenset({"n_jobs", "scheme", "key_bits"})  # parameters that do not change the model


class _Kept(msgspec.Struct, frozen=True, kw_only=True, tag="secureboost.checkpoint"):
    """The file: trees and scores as bytes, the rest as it is."""

    version: int = VERSION
    model_id: str
    seed: str
    run: dict[str, str]
    parameters: dict[str, Any]
    partner_bins: dict[str, tuple[int, ...]]
    rounds: int
    n_splits: tuple[int, ...]
    base_score: tuple[float, ...]
    raw: bytes
    outputs: tuple[int, ...]
    trees: tuple[bytes, ...]
    history: History
    finished: bool


@dataclass(frozen=True, repr=False)
class Checkpoint:
    """A run as far as it is.

    Attributes
    ----------
    model_id : str
    seed : int
        Of all draws.
    run : mapping of str to str
        Digests of what must be the same when the run goes on, by what it is ("labels", ...).
    parameters : mapping of str to value
        Hyperparameters that must be the same.
    partner_bins : dict
        How many bins each partner's columns have.
    boosted : Boosted
    history : dict
        Of the evaluation sets.
    finished : bool
        Training had ended; what is left is to tell the partners.
    """

    model_id: str
    seed: int
    run: Mapping[str, str]
    parameters: Mapping[str, Any]
    partner_bins: dict[str, tuple[int, ...]]
    boosted: Boosted
    history: History
    finished: bool

    def save(self, path: Path) -> None:
        """Write the file: whole, flushed to the disk, readable by its owner alone."""
        boosted = self.boosted
        data = msgspec.msgpack.encode(
            _Kept(
                model_id=self.model_id,
                seed=str(self.seed),
                run=dict(self.run),
                parameters=dict(self.parameters),
                partner_bins=self.partner_bins,
                rounds=boosted.rounds,
                n_splits=tuple(boosted.n_splits),
                base_score=tuple(boosted.base_score.tolist()),
                raw=boosted.raw.tobytes(),
                outputs=tuple(boosted.outputs),
                trees=tuple(tree.tobytes() for tree in boosted.trees),
                history=self.history,
                finished=self.finished,
            )
        )
        write_atomically(path, hashlib.sha256(data).digest() + data, mode=0o600)

    def check_same(self, run: Mapping[str, str], parameters: Mapping[str, Any]) -> None:
        """See `recovery.check_same_run`."""
        check_same_run(self, run, parameters, free=_FREE)


def run_digests(
    X: NDArray[np.float32],
    y: NDArray[np.float64],
    weight: NDArray[np.float64],
    partners: Sequence[Partner],
    base: Base | None,
) -> dict[str, str]:
    """Digests of what must stay the same until a run ends, by what it is."""
    digests = {
        "own columns": _digest(np.ascontiguousarray(X).tobytes()),
        "labels": _digest(y.tobytes()),
        "weights": _digest(weight.tobytes()),
        "parties": _digest("\n".join(partner.name for partner in partners).encode()),
        "init_model": "" if base is None else base.half.model_id,
    }
    for partner in partners:
        what = "alignment with" if isinstance(partner.agreed, Alignment) else "rows of"
        digests[f"{what} party {partner.name!r}"] = partner.row_digest()
    return digests


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises
    ------
    secureboost.errors.ConfigError
        If there is none.
    secureboost.errors.ModelError
        If the file is damaged or of another version.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no checkpoint to resume from.") from None
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}).") from error
    digest, data = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    if hashlib.sha256(data).digest() != digest:
        raise ModelError(f"{path} is damaged; begin a new run.")
    try:
        kept = msgspec.msgpack.decode(data, type=_Kept)
    except msgspec.DecodeError as error:
        raise ModelError(f"{path} was written by another release: {error}.") from error
    if kept.version != VERSION:
        raise ModelError(f"{path} was written by another release; begin a new run.")
    n_outputs = len(kept.base_score)
    dtype = node_dtype(n_outputs if ALL_OUTPUTS in kept.outputs else 1)
    raw = np.frombuffer(kept.raw, dtype=np.float64).copy()
    return Checkpoint(
        kept.model_id,
        int(kept.seed),
        kept.run,
        kept.parameters,
        kept.partner_bins,
        Boosted(
            np.array(kept.base_score),
            raw if n_outputs == 1 else raw.reshape(-1, n_outputs),
            list(kept.n_splits),
            [np.frombuffer(tree, dtype=dtype).copy() for tree in kept.trees],
            list(kept.outputs),
            kept.rounds,
        ),
        kept.history,
        kept.finished,
    )
