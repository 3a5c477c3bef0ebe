"""What a feature party allows: limits it enforces itself, whatever the label party asks.

What bounds a curious label party belongs where the rows are, not in a promise. The budget counts
per data set, over all sessions, so that cross-validation and tuning do not reset it.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import msgspec

from secureboost.errors import ConfigError
from secureboost.ledger import Ledger, kept_spending


@dataclass(frozen=True)
class Policy:
    """The rules of a feature party.

    Attributes
    ----------
    min_child_samples : int
        Lowest ``min_child_samples`` that a run may use: no node and no side of a cut with fewer
        rows is ever answered. Single histogram cells may hold fewer rows; `SECURITY.md` says so.
    max_bin : int
        Highest ``max_bin`` that a run may use. Fewer bins tell less about a column.
    max_node_histograms : int or None
        Nodes whose histograms are given out over the life of the data set, and one for each time
        that bins are cut; None is no limit.
    max_routed_rows : int or None
        Rows that are sent down the trees for predictions over the life of the data set; None is no
        limit.

    Raises
    ------
    secureboost.errors.ConfigError
        If a limit is no whole number or outside its own limits.
    """

    min_child_samples: int = 1
    max_bin: int = 255
    max_node_histograms: int | None = None
    max_routed_rows: int | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value, floor = getattr(self, field.name), 2 if field.name == "max_bin" else 1
            if value is None and field.default is None:
                continue
            if not isinstance(value, int) or isinstance(value, bool) or value < floor:
                raise ConfigError(
                    f"{value!r} is not allowed; give a whole number of at least {floor}.",
                    f"policy.{field.name}",
                )
        if self.max_bin > 255:
            raise ConfigError(f"{self.max_bin} is more than the limit of 255.", "policy.max_bin")


class Spending(msgspec.Struct, frozen=True):
    """What has been given out of one data set.

    Attributes
    ----------
    node_histograms, routed_rows : int
    """

    node_histograms: int = 0
    routed_rows: int = 0


class Budget(Ledger[Spending]):
    """What has been given out of a data set so far; shared by all of its sessions.

    Parameters
    ----------
    policy : Policy
    spent : Spending, optional
        Already given out, for a data set that is served again.
    keep : callable, optional
        Called with the new state before anything more is given out, to keep it beyond the process.
    """

    def __init__(
        self,
        policy: Policy,
        spent: Spending | None = None,
        keep: Callable[[Spending], None] | None = None,
    ) -> None:
        super().__init__(spent or Spending(), keep)
        self._policy = policy

    def spend_histograms(self, nodes: int) -> bool:
        """Take `nodes` from the budget; False, and nothing is taken, where too little is left."""
        return self.spend("node_histograms", nodes, self._policy.max_node_histograms)

    def spend_routes(self, rows: int) -> bool:
        """Take `rows` from the budget; False, and nothing is taken, where too little is left."""
        return self.spend("routed_rows", rows, self._policy.max_routed_rows)


def kept_budget(policy: Policy, path: Path, data_digest: str) -> Budget:
    """Make a budget that goes on where earlier processes left it; see `ledger.kept_spending`."""
    return Budget(policy, *kept_spending(path, data_digest, Spending()))
