"""The method ``"ecdh"``: both sides blind all keys with a secret scalar; see `protocol`."""

from typing import ClassVar

from crypto.errors import CryptoError, GroupUnavailableError
from crypto.groups import GROUPS, get_group
from parties.messages import Message, Refusal
from parties.service import Transitions
from secureboost.align.ecdh_answerer import EcdhAnswerer
from secureboost.align.ecdh_asker import EcdhAsker
from secureboost.align.method import Answering, Asking, Method
from secureboost.align.options import AlignOptions
from secureboost.align.protocol import ECDH_MESSAGES, ECDH_TRANSITIONS, Code, Propose
from secureboost.align.table import AlignTable
from secureboost.errors import ConfigError


class Ecdh(Method):
    """Offers all results."""

    name: ClassVar[str] = "ecdh"
    messages: ClassVar[tuple[type[Message], ...]] = ECDH_MESSAGES
    transitions: ClassVar[Transitions] = ECDH_TRANSITIONS

    def check_options(self, options: AlignOptions) -> None:
        """Refuse a group that cannot be used here; everything else is offered."""
        if options.group is None:
            return
        try:
            get_group(options.group)
        except GroupUnavailableError as error:
            raise ConfigError(str(error), "align.group") from error

    def groups(self, options: AlignOptions) -> tuple[str, ...]:
        """Name the chosen group, or all that can be used here."""
        if options.group is not None:
            return (get_group(options.group).name,)
        return tuple(group.name for group in GROUPS.values() if not group.missing())

    def choose_group(self, proposal: Propose, table: AlignTable) -> str:
        """Take the first that can be used here."""
        problems = []
        for name in proposal.groups:
            try:
                return get_group(name).name
            except CryptoError as error:
                problems.append(str(error))
        raise Refusal(Code.GROUP, "; ".join(problems)[:400] or "no group was proposed")

    def asking(self, context: Asking) -> EcdhAsker:
        """Make the label party's half."""
        return EcdhAsker(context)

    def answering(self, context: Answering) -> EcdhAnswerer:
        """Make the feature party's half."""
        return EcdhAnswerer(context)
