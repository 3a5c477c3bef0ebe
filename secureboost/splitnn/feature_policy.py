"""A feature party's rules for a bottom, whether it is proposed, gone on with or scored by.

Whether a proposed network fits the columns tells of them, and so does its size. What is wrong with
one stands in the log of the party; the label party gets `NOT_ACCEPTED`, whatever the reason.
"""

import logging

from parties.messages import Refusal
from secureboost.errors import ConfigError
from secureboost.splitnn.codecs import codec_names
from secureboost.splitnn.model import BottomHead
from secureboost.splitnn.network import Size, measure
from secureboost.splitnn.policy import NetPolicy
from secureboost.splitnn.protocol import Code

log = logging.getLogger(__name__)

NOT_ACCEPTED = "the proposed network is not accepted here; its owner's log says why"
"""All that a label party is told of a network that does not suit this party's columns or limits."""


def check_cut(codec: str, width: int, policy: NetPolicy) -> None:
    """Check what both sides know of the cut.

    Raises
    ------
    Refusal
        If it is too wide, or its codec is not accepted.
    """
    if width > policy.max_width:
        raise Refusal(Code.POLICY, f"width={width} is above this party's {policy.max_width}")
    if policy.codecs is not None and not set(codec_names(codec)) <= set(policy.codecs):
        raise Refusal(Code.CODEC, f"codec={codec!r}: this party accepts {', '.join(policy.codecs)}")


def check_size(head: BottomHead, policy: NetPolicy) -> Size:
    """Check the size of a bottom over this party's columns, before anything of it is made.

    Raises
    ------
    secureboost.errors.ConfigError
        For the party's own log: if the network does not fit the columns or the limits.
    """
    size = measure(head.architecture, head.preparation.spec, head.width)
    if size.parameters > policy.max_parameters:
        raise ConfigError(
            f"it has {size.parameters} parameters, above the limit of {policy.max_parameters}",
            "nets.max_parameters",
        )
    if size.layers < policy.min_layers:
        raise ConfigError(
            f"it has {size.layers} layers, below the floor of {policy.min_layers}",
            "nets.min_layers",
        )
    return size


def check_head(head: BottomHead, policy: NetPolicy) -> None:
    """Check a bottom that was kept: the party's rules may be stricter now than they were.

    Raises
    ------
    Refusal
        If its codec, width, size or protections are not what the party's rules ask for.
    """
    check_cut(head.codec, head.width, policy)
    own = tuple(policy.protections)
    if own and head.protections[-len(own) :] != own:
        raise Refusal(
            Code.PROTECTION,
            f"model {head.model_id} was made without this party's protections of today; "
            "begin a new model",
        )
    try:
        check_size(head, policy)
    except ConfigError as error:
        raise not_accepted(error) from error


def not_accepted(error: Exception) -> Refusal:
    """The refusal of a network, the same for every reason; the reason goes into the log."""
    log.error("a network is not accepted: %s", error)
    return Refusal(Code.ARCHITECTURE, NOT_ACCEPTED)
