"""What a feature party allows in the training of networks: limits it enforces itself.

The budget counts per data set, over all sessions, so that cross-validation does not reset it.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import msgspec

from secureboost.errors import ConfigError
from secureboost.ledger import Ledger, kept_spending
from secureboost.splitnn.options import Choice


@dataclass(frozen=True)
class NetPolicy:
    """The rules of a feature party for networks.

    Attributes
    ----------
    min_batch_rows : int
        Fewest rows of a batch. The larger a batch, the less its gradients tell of one row.
    max_batch_rows : int
        Most rows of a batch: it must fit into memory.
    max_width : int
        Most numbers of a row at the cut. Fewer tell less about the columns.
    min_layers : int
        Fewest layers with weights between the columns and the cut. One layer is a linear function,
        which can be inverted.
    max_parameters : int
        Most numbers that its bottom may learn: a proposed network must fit into memory.
    max_batch_bytes : int
        Most bytes that the rows of all batches in flight may take on their way through its
        networks: hidden units count, and 4,096 rows are evaluated at a time.
    max_exchanges : int or None
        Batches that are forwarded in training over the life of the data set; None is no limit.
    max_evaluated_rows : int or None
        Rows that are evaluated or scored over the life of the data set; None is no limit.
    max_refused_setups : int
        Proposed networks that were not accepted for what tells of the columns (they do not fit, are
        too large or have too few layers) over the life of the data set; then no more are looked
        at. Each refusal tells the label party one bit.
    max_unfinished : int
        Models in training of which it keeps checkpoints; the oldest ones are deleted first.
    codecs : tuple of str or None
        Names of the codecs that it accepts; None: all that it knows. ``("masked_sum",)`` insists
        on masks: what it gives leaves in no other way.
    protections : tuple of Choice
        What it does with activations before they leave, whatever is asked of it.

    Raises
    ------
    secureboost.errors.ConfigError
        If a limit is no whole number of at least 1.
    """

    min_batch_rows: int = 1
    max_batch_rows: int = 65_536
    max_width: int = 256
    min_layers: int = 1
    max_parameters: int = 50_000_000
    max_batch_bytes: int = 1 << 31
    max_exchanges: int | None = None
    max_evaluated_rows: int | None = None
    max_refused_setups: int = 20
    max_unfinished: int = 32
    codecs: tuple[str, ...] | None = None
    protections: tuple[Choice, ...] = ()

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in ("codecs", "protections") or (value is None and field.default is None):
                continue
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ConfigError(
                    f"{value!r} is not allowed; give a whole number of at least 1.",
                    f"nets.{field.name}",
                )


class NetSpending(msgspec.Struct, frozen=True):
    """What has been given out of one data set to networks.

    Attributes
    ----------
    exchanges, evaluated_rows, refused_setups : int
    """

    exchanges: int = 0
    evaluated_rows: int = 0
    refused_setups: int = 0


class NetBudget(Ledger[NetSpending]):
    """What has been given out of a data set so far; shared by all of its sessions.

    Parameters
    ----------
    policy : NetPolicy
    spent : NetSpending, optional
        Already given out, for a data set that is served again.
    keep : callable, optional
        Called with the new state before anything more is given out, to keep it beyond the process.
    """

    def __init__(
        self,
        policy: NetPolicy,
        spent: NetSpending | None = None,
        keep: Callable[[NetSpending], None] | None = None,
    ) -> None:
        super().__init__(spent or NetSpending(), keep)
        self._policy = policy

    def __reduce__(self) -> tuple[Any, ...]:
        return NetBudget, (self._policy, self.spent)  # a copy counts for itself, in its process

    def spend_exchange(self) -> bool:
        """Take one exchange; False, and nothing is taken, where none is left."""
        return self.spend("exchanges", 1, self._policy.max_exchanges)

    def spend_rows(self, rows: int) -> bool:
        """Take `rows` to evaluate; False, and nothing is taken, where too little is left."""
        return self.spend("evaluated_rows", rows, self._policy.max_evaluated_rows)

    def allows_refusal(self) -> bool:
        """Whether `spend_refusal` would take one; nothing is taken."""
        return self.allows("refused_setups", 1, self._policy.max_refused_setups)

    def spend_refusal(self) -> bool:
        """Take one refused set-up; False, and nothing is taken, where none is left."""
        return self.spend("refused_setups", 1, self._policy.max_refused_setups)


def kept_net_budget(policy: NetPolicy, path: Path, data_digest: str) -> NetBudget:
    """Make a budget that goes on where earlier processes left it; see `ledger.kept_spending`."""
    return NetBudget(policy, *kept_spending(path, data_digest, NetSpending()))
