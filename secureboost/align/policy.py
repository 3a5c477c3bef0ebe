"""What a feature party allows those who look for common customers.

Whoever may ask which keys are common can ask about keys of people of whom it only wants to know
whether they are customers here: *membership probing*. No protocol hides the result from the one
who is to learn it. So a feature party bounds how many keys are compared with its table over the
table's life, and says with how few common keys it tells nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import msgspec

from secureboost.align.options import MAX_ROWS
from secureboost.errors import ConfigError
from secureboost.ledger import Ledger, kept_spending


@dataclass(frozen=True)
class AlignPolicy:
    """The rules of a feature party.

    Attributes
    ----------
    min_size : int
        With fewer common keys than this it does not tell which they are. The label party tells the
        size, and a dishonest one could tell a greater.
    max_rows : int
        Most different keys that a label party may bring at a time.
    max_probed_keys : int or None
        Keys that label parties may compare with this table over its life, each as often as it is
        brought, and rows that they may join with it by time; going on after a crash is free. None
        is no limit.

    Raises
    ------
    secureboost.errors.ConfigError
        If a limit is no whole number or outside its own limits.
    """

    min_size: int = 1
    max_rows: int = 100_000_000
    max_probed_keys: int | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None and field.default is None:
                continue
            high = MAX_ROWS if field.default is not None else 2**53
            if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= high:
                raise ConfigError(
                    f"{value!r} is not allowed; give a whole number from 1 to {high}.",
                    f"policy.{field.name}",
                )


class AlignSpending(msgspec.Struct, frozen=True):
    """What has been given out of one table.

    Attributes
    ----------
    probed_keys : int
        Keys that were compared with it.
    """

    probed_keys: int = 0


class AlignBudget(Ledger[AlignSpending]):
    """What has been given out of a table so far; shared by all of its sessions.

    Parameters
    ----------
    policy : AlignPolicy
    spent : AlignSpending, optional
        Already given out, for a table that is served again.
    keep : callable, optional
        Called with the new state before anything more is given out, to keep it beyond the process.
    """

    def __init__(
        self,
        policy: AlignPolicy,
        spent: AlignSpending | None = None,
        keep: Callable[[AlignSpending], None] | None = None,
    ) -> None:
        super().__init__(spent or AlignSpending(), keep)
        self._policy = policy

    def allows_keys(self, keys: int) -> bool:
        """Whether so many are left; nothing is taken."""
        return self.allows("probed_keys", keys, self._policy.max_probed_keys)

    def spend_keys(self, keys: int) -> bool:
        """Take `keys` from the budget; False, and nothing is taken, where too little is left."""
        return self.spend("probed_keys", keys, self._policy.max_probed_keys)


def kept_align_budget(policy: AlignPolicy, path: Path, data_digest: str) -> AlignBudget:
    """Make a budget that goes on where earlier processes left it; see `ledger.kept_spending`.

    Its file is another one than that of `gbdt.policy.kept_budget`.
    """
    return AlignBudget(policy, *kept_spending(path, data_digest, AlignSpending()))
