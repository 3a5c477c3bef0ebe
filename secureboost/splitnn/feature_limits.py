"""What must fit into a feature party's memory."""

from parties.messages import Refusal, SessionCode
from secureboost.errors import ConfigError
from secureboost.splitnn.network import EVALUATED_ROWS
from secureboost.splitnn.plan import BottomPlan
from secureboost.splitnn.policy import NetPolicy
from secureboost.splitnn.tensors import DTYPES

MOST_CUT_BYTES = 1 << 28
"""Most bytes of one answer: what is asked for must fit into memory."""


def check_fits(n_rows: int, width: int) -> None:
    """Refuse an answer that is too large.

    Raises
    ------
    Refusal
    """
    most = MOST_CUT_BYTES // (8 * width)
    if n_rows > most:
        raise Refusal(
            SessionCode.ROWS_REFUSED, f"{n_rows} rows of {width} numbers at a time; at most {most}"
        )


def check_batches_fit(units: int, plan: BottomPlan, in_flight: int, policy: NetPolicy) -> None:
    """Refuse a network through which batches need too much memory.

    Parameters
    ----------
    units : int
        Numbers that the network makes of a row (`network.count_units`).
    plan : BottomPlan
    in_flight : int
        Batches that wait for their gradient in this network.
    policy : NetPolicy

    Raises
    ------
    secureboost.errors.ConfigError
        For the party's own log: how much a bottom needs tells of the columns.
    """
    n_rows = max(in_flight * min(plan.batch_size, plan.n_training), EVALUATED_ROWS)
    needed = n_rows * units * DTYPES[plan.dtype].itemsize
    if needed > policy.max_batch_bytes:
        raise ConfigError(
            f"{n_rows} rows on their way through it take {needed} bytes, above the limit of "
            f"{policy.max_batch_bytes}; propose a smaller batch_size or in_flight, or fewer units",
            "nets.max_batch_bytes",
        )
