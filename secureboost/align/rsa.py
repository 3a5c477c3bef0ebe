"""The method ``"rsa"``: the feature party signs, the label party compares; see `rsa_protocol`."""

from typing import ClassVar

from parties.messages import Message, Refusal
from parties.service import Transitions
from secureboost.align.method import Answering, Asking, Method
from secureboost.align.options import AlignOptions
from secureboost.align.protocol import Code, Propose
from secureboost.align.rsa_answerer import RsaAnswerer, signer_of
from secureboost.align.rsa_asker import RsaAsker
from secureboost.align.rsa_protocol import RSA_MESSAGES, RSA_TRANSITIONS
from secureboost.align.table import AlignTable
from secureboost.errors import ConfigError

WHY = (
    "with method 'rsa' the label party knows which keys are common as soon as it knows how many, "
    "since every signature belongs to a key of its own"
)


class Rsa(Method):
    """For one side that signs ahead and is asked again and again."""

    name: ClassVar[str] = "rsa"
    messages: ClassVar[tuple[type[Message], ...]] = RSA_MESSAGES
    transitions: ClassVar[Transitions] = RSA_TRANSITIONS
    counts_keys: ClassVar[bool] = False

    def check_options(self, options: AlignOptions) -> None:
        """Refuse what would have to hide from the label party which keys are common."""
        if options.result == "size":
            raise ConfigError(f"'size' cannot be had: {WHY}. Take method 'ecdh'.", "align.result")
        if options.min_size > 1:
            raise ConfigError(
                f"{options.min_size} cannot be held: {WHY}. Take method 'ecdh', or 1.",
                "align.min_size",
            )
        if options.group is not None:
            raise ConfigError(
                f"{options.group!r} has no meaning with method 'rsa', which works in no group; "
                "leave it out.",
                "align.group",
            )

    def groups(self, options: AlignOptions) -> tuple[str, ...]:
        """None is needed."""
        return ()

    def choose_group(self, proposal: Propose, table: AlignTable) -> str:
        """None is needed; refuse terms that cannot be held."""
        signer_of(table)
        if proposal.result == "size":
            raise Refusal(Code.METHOD, f"result 'size' was proposed, but {WHY}")
        minimum = max(proposal.min_size, table.policy.min_size)
        if minimum > 1:
            whose = "this party's" if table.policy.min_size == minimum else "the label party's"
            raise Refusal(
                Code.METHOD,
                f"{whose} minimum of {minimum} common keys cannot be held: {WHY}. Use 'ecdh'",
            )
        return ""

    def asking(self, context: Asking) -> RsaAsker:
        """Make the label party's half."""
        return RsaAsker(context)

    def answering(self, context: Answering) -> RsaAnswerer:
        """Make the feature party's half."""
        return RsaAnswerer(context)
