"""The label party's side of masks: feature parties whose sum alone it reads, as one input.

To the trainer they are one bottom that gives the sum of what all of them give (`SummedBottoms`), so
a top begins with a sum whatever its architecture is: its inputs are what the label party's own
bottom gives, if it has columns, and the sum. The gradient by a sum is the gradient by each summand,
so all members are told the same one, and can see that they are.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from parties.peer import Peer
from secureboost.errors import IntegrityError
from secureboost.splitnn.bottoms import Bottom, Evaluated, Feed, Pending, asked_first
from secureboost.splitnn.masking import read_sum
from secureboost.splitnn.masking_protocol import AgreeMasks, OfferMaskKey
from secureboost.splitnn.tensors import from_array


class SummedBottoms(Feed):
    """Feature parties' bottoms as one that gives their sum.

    Parameters
    ----------
    bottoms : sequence of Bottom
        At least two, whose codec is `codecs.summand.Summand`.
    dtype : str
    """

    def __init__(self, bottoms: Sequence[Bottom], dtype: str) -> None:
        self.width = bottoms[0].width
        self.waits = any(bottom.waits for bottom in bottoms)
        self._bottoms = bottoms
        self._order = asked_first(bottoms)
        self._dtype = dtype

    def exchange(self, gradient: Tensor | None, batch: int | None) -> Pending:
        """See `Feed.exchange`."""
        asked = {place: self._bottoms[place].exchange(gradient, batch) for place in self._order}
        answers = self._named(asked)
        if batch is None:
            return Pending(lambda: torch.stack([part.result() for part in answers.values()])[0])
        return _sum(answers, self._dtype)

    def evaluate(self, rows: NDArray[np.int32]) -> Evaluated:
        """See `Feed.evaluate`."""
        asked = {place: self._bottoms[place].evaluate(rows) for place in self._order}
        return _sum(self._named(asked), self._dtype)

    def _named(self, asked: Mapping[int, Pending]) -> dict[str, Pending]:
        return {bottom.owner: asked[place] for place, bottom in enumerate(self._bottoms)}


def sum_members(bottoms: Sequence[Bottom], dtype: str) -> list[Feed]:
    """Put the label party's own bottom first, if there is one, and the sum of all others behind."""
    members = [bottom for bottom in bottoms if bottom.owner]
    own = [bottom for bottom in bottoms if not bottom.owner]
    return [*own, SummedBottoms(members, dtype)]


def sum_answers(answers: Mapping[str, Pending], dtype: str) -> dict[str, Pending]:
    """What a top is fed of what bottoms give, by owner: see `codecs.summand.top_inputs`.

    Parameters
    ----------
    answers : mapping of str to Pending
        Of the members words, see `codecs.summand.Summand`.
    dtype : str
        Of the sum.
    """
    members = {owner: answer for owner, answer in answers.items() if owner}
    own = {owner: answer for owner, answer in answers.items() if not owner}
    return own | {", ".join(members): _sum(members, dtype)}


def _sum(answers: Mapping[str, Pending], dtype: str) -> Evaluated:
    """Wait for what all members give, and add it up."""

    def read() -> Tensor:
        words = {name: answer.result().numpy() for name, answer in answers.items()}
        total = read_sum({name: part.view(np.uint64) for name, part in words.items()})
        return from_array(total, np.dtype(dtype))

    return Evaluated(read)


def agree_masks(peers: Sequence[Peer]) -> None:
    """Let feature parties agree on masks for the session; what they say is passed on unread.

    Parameters
    ----------
    peers : sequence of Peer
        All members.

    Raises
    ------
    parties.errors.PartyError
        If one refuses: it knows no members, others than these, or trusts no key that it was given.
    secureboost.errors.IntegrityError
        If one answers in another's name.
    """
    request = OfferMaskKey(members=tuple(peer.name for peer in peers))
    answers = [peer.submit(request) for peer in peers]
    offers = [answer.result().offer for answer in answers]
    for peer, offer in zip(peers, offers, strict=True):
        if offer.party != peer.name:
            raise IntegrityError(peer.name, "offers a key for masks in another party's name")
    agreed = [
        peer.submit(AgreeMasks(offers=tuple(other for other in offers if other.party != peer.name)))
        for peer in peers
    ]
    for answer in agreed:
        answer.result()
