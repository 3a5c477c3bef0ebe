"""The weights of a network whose halves are all in one place: to compare it with its twin."""

from collections.abc import Sequence

import torch

from secureboost.splitnn.model import BottomHead, TopHead, decode_half, split_body
from secureboost.splitnn.trainable import Tensors, join_parts, split_parts


def joined_weights(half: bytes, partner_halves: Sequence[bytes] = ()) -> Tensors:
    """All weights of a network by their owner: ``"top/..."``, ``"bottom bureau/..."``, ...

    Parameters
    ----------
    half : bytes
        File of the label party's half; of a pooled network it has everything.
    partner_halves : sequence of bytes
        Files of the partners' halves.

    Raises
    ------
    secureboost.errors.ModelError
        If a half is damaged.
    """
    head, tensors = decode_half(half, TopHead, "label party's half")
    numbered = [f"bottom {number}" for number in range(len(head.bottoms))]
    top, body, *bottoms = split_parts(tensors, ["top", "body", *numbered]).values()
    parts = {"top": top, "body": body}
    for bottom, weights in zip(head.bottoms, bottoms, strict=True):
        parts[f"bottom {bottom.party}"] = weights
    for data in partner_halves:
        partner, tensors = decode_half(data, BottomHead, "partner's half")
        parts[f"bottom {partner.party}"], hosted = split_body(tensors)
        parts["body"] |= hosted
    return join_parts(parts)


def same_weights(one: Tensors, other: Tensors) -> bool:
    """Whether two networks have equal weights, bit for bit but for the sign of zero."""
    return one.keys() == other.keys() and all(
        torch.equal(tensor, other[name]) for name, tensor in one.items()
    )
