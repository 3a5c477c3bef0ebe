"""Messages by which feature parties agree on masks; the label party relays them (`masking`).

Each feature party makes a key for the session and signs it (`OfferMaskKey`). When the label party
has all offers, it passes to each the others' (`AgreeMasks`). From then on what a party gives for a
network whose codec is ``masked_sum`` is masked.
"""

from typing import Annotated

import msgspec

from parties.messages import Ack, Bytes32, Reply, Request, ShortText

MOST_PARTIES = 1024
"""Whose activations are summed at the most."""

Signature = Annotated[bytes, msgspec.Meta(max_length=200)]


class MaskOffer(msgspec.Struct, frozen=True, kw_only=True):
    """A feature party's public key for one session, signed.

    Attributes
    ----------
    party : str
    key : bytes
        X25519, 32 bytes.
    signature : bytes
        By the key of the party's certificate, of the group and of this key.
    """

    party: ShortText
    key: Bytes32
    signature: Signature


class MaskKeyOffered(Reply, frozen=True, kw_only=True):
    """The feature party's key for this session.

    Reveals: to the label party, and through it to the other feature parties, a fresh public key.

    Attributes
    ----------
    offer : MaskOffer
    """

    offer: MaskOffer


class OfferMaskKey(Request[MaskKeyOffered], frozen=True, kw_only=True):
    """Make a new key for masks; what was agreed on in this session before is forgotten.

    Reveals: to the feature party, which other feature parties take part.

    Attributes
    ----------
    members : tuple of str
        The parties whose activations are summed, the one that is asked included.
    """

    members: Annotated[tuple[ShortText, ...], msgspec.Meta(min_length=2, max_length=MOST_PARTIES)]


class AgreeMasks(Request[Ack], frozen=True, kw_only=True):
    """Take the other members' keys.

    Reveals: to the feature party, the others' public keys.

    Attributes
    ----------
    offers : tuple of MaskOffer
        One of each other member.
    """

    offers: Annotated[tuple[MaskOffer, ...], msgspec.Meta(max_length=MOST_PARTIES)]
