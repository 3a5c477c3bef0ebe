"""What a feature party brings to sessions about networks, besides its table."""

from secureboost.errors import ConfigError
from secureboost.splitnn.mask_terms import MaskTerms
from secureboost.splitnn.options import Choice
from secureboost.splitnn.policy import NetBudget, NetPolicy
from secureboost.splitnn.protocol import TRAINER
from secureboost.splitnn.store import BottomStore, MemoryBottoms
from secureboost.splitnn.table import PartyTable


class NetTerms:
    """What a feature party brings for networks, for all of its sessions.

    Parameters
    ----------
    policy : NetPolicy, optional
        By default everything is allowed.
    budget : NetBudget, optional
        What has been given out, over all sessions; nothing by default.
    store : BottomStore, optional
        In memory by default.
    architecture : Choice, optional
        Its own choice of a bottom; by default what the label party proposes. Only the width of the
        cut is common.
    masks : MaskTerms, optional
        With which other feature parties its activations may be summed under masks, so that the
        label party reads the sum alone (``codec="masked_sum"``); by default with none. Whether
        they may leave in any other way is the policy's to say: ``codecs=("masked_sum",)`` forbids
        it.
    threads : int, default=1
        Threads of torch; the pooled network is equal only if it has as many, see `threads`.

    Raises
    ------
    secureboost.errors.ConfigError
        If `threads` is no whole number of at least 1.
    """

    def __init__(
        self,
        policy: NetPolicy | None = None,
        *,
        budget: NetBudget | None = None,
        store: BottomStore | None = None,
        architecture: Choice | None = None,
        masks: MaskTerms | None = None,
        threads: int = 1,
    ) -> None:
        if not isinstance(threads, int) or isinstance(threads, bool) or threads < 1:
            raise ConfigError(f"is {threads!r}; it must be a whole number above 0", "nets.threads")
        self.policy = policy or NetPolicy()
        self.budget = budget or NetBudget(self.policy)
        self.store = store or MemoryBottoms()
        self.architecture = architecture
        self.masks = masks
        self.threads = threads


def terms_of(table: PartyTable) -> NetTerms:
    """What the party brings for networks.

    Raises
    ------
    TypeError
        If it brings nothing: `party.feature_table` always does.
    """
    terms = table.terms.get(TRAINER)
    if not isinstance(terms, NetTerms):
        raise TypeError(f"the table of {table.party!r} was made without terms for networks")
    return terms
