"""``[nets]`` of a feature party's configuration: what it allows of neural networks."""

from pathlib import Path
from typing import Any

from msgspec import Struct

from secureboost.config_types import Count, Name, Names
from secureboost.errors import ConfigError

Named = Name | dict[Name, dict[str, Any]]
"""Something of a registry by its name, or by its name with options."""


class NetLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """``[nets]``: limits that a feature party enforces itself, and its own network.

    Limits and defaults are those of `secureboost.splitnn.policy.NetPolicy`, which a test holds.

    Attributes
    ----------
    min_batch_rows, max_batch_rows : int
        Rows of a batch. The more there are, the less its gradients tell of one row.
    max_width : int
        Most numbers of a row at the cut.
    min_layers : int
        Fewest layers between the columns and the cut.
    max_parameters : int
        Most numbers that our network may learn.
    max_batch_bytes : int
        Most bytes that the rows of all batches in flight may take within our network.
    max_exchanges : int, optional
        Batches that are forwarded in training over all runs on this data set; None is no limit.
    max_evaluated_rows : int, optional
        Rows that are evaluated or scored over all runs on this data set; None is no limit.
    max_refused_setups : int
        Proposed networks that were not accepted over all runs on this data set.
    max_unfinished : int
        Models in training of which we keep checkpoints; the oldest ones are deleted first.
    codecs : list of str, optional
        The codecs that we accept; None: all.
    protections : list of (str or table of a name and its options)
        What we do with our numbers before they leave, whatever is asked.
    architecture : str or table of a name and its options, optional
        Our own choice of a network; None: what the label party proposes.
    threads : int
        Of torch.
    members : Path, optional
        PEM file with the certificates of the other feature parties, with whose numbers ours may be
        summed under masks (the codec ``masked_sum``). None: with nobody's.
    same_ids : bool
        The ids of rows enter the masks: members sum the same customers or nothing.
    """

    min_batch_rows: Count = 1
    max_batch_rows: Count = 65_536
    max_width: Count = 256
    min_layers: Count = 1
    max_parameters: Count = 50_000_000
    max_batch_bytes: Count = 1 << 31
    max_exchanges: Count | None = None
    max_evaluated_rows: Count | None = None
    max_refused_setups: Count = 20
    max_unfinished: Count = 32
    codecs: Names | None = None
    protections: list[Named] = []
    architecture: Named | None = None
    threads: Count = 1
    members: Path | None = None
    same_ids: bool = True

    def __post_init__(self) -> None:
        if isinstance(self.architecture, dict) and len(self.architecture) != 1:
            raise ConfigError("names several; our network is of one kind", "architecture")
