"""What the label party may ask of a feature party that signs keys, with the method ``"rsa"``.

::

    agreed --TagKeyOf--> comparing (SignBlinded, TagsOf) --TellSize--> sized ...

The feature party has signed its own keys y ahead (`crypto.blind_rsa`) and tells their tags, hashes
of the signatures, sorted. The label party has its keys x signed without showing them, makes the
same hashes and looks them up; it asks for no chunk of either kind that it has from before. What it
has it keeps: later look-ups of the same keys need no signature.

Each reply belongs to a request that the label party made for one of its keys, so it knows which
keys are common as soon as it knows how many. That is why the method has no ``result="size"`` and no
minimum.
"""

from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray

from parties.messages import Array, Bytes32, Count, Message, Reply, Request
from parties.service import Transitions

Values = Annotated[NDArray[np.uint8], Array("uint8", 2)]


class TagKey(Reply, frozen=True, kw_only=True):
    """The key under which the feature party signs, and a commitment to its tags.

    Reveals: to the label party, the public key; by the digest, whether the keys of the feature
    party have changed since it was last asked; and how many more keys the feature party signs.

    Attributes
    ----------
    public_key : bytes
        `crypto.blind_rsa_public.VerificationKey.to_bytes`.
    proof : array of shape (8, value_bytes), uint8
        That blinding under this key hides everything.
    digest : bytes
        `tag_set.digest_tags` of all tags.
    signatures_left : int or None
        None: as many as are asked for.
    """

    public_key: Annotated[bytes, msgspec.Meta(max_length=2048)]
    proof: Values
    digest: Bytes32
    signatures_left: Count | None


class TagKeyOf(Request[TagKey], frozen=True, kw_only=True):
    """Under which key do you sign, and what are your tags in short?

    Reveals: to the feature party, nothing.
    """


class BlindSignatures(Reply, frozen=True, kw_only=True):
    """Signatures of blinded keys, in the order in which they came.

    Reveals: to the label party, the signature of each key that it had blinded, and with the tags
    whether the feature party has that key.

    Attributes
    ----------
    values : array of shape (n, value_bytes), uint8
    """

    values: Values


class SignBlinded(Request[BlindSignatures], frozen=True, kw_only=True):
    """Sign these of my keys that are new to me.

    Reveals: to the feature party, how many of the label party's keys were not signed before; of the
    keys nothing: numbers that are uniform modulo n, whatever they hide.

    Attributes
    ----------
    chunk : int
        Counts from 0, without gaps. One that was signed before and comes again the same, after a
        crash, is not counted twice.
    values : array of shape (n, value_bytes), uint8
    """

    chunk: Count
    values: Values


class Tags(Reply, frozen=True, kw_only=True):
    """Some of the feature party's tags.

    Reveals: to the label party, nothing of a key whose signature it does not have; of the others,
    that the feature party has that key.

    Attributes
    ----------
    tags : array of shape (n, 32), uint8
        Ascending as bytes throughout all chunks.
    """

    tags: Values


class TagsOf(Request[Tags], frozen=True, kw_only=True):
    """Give me that chunk of your tags.

    Reveals: to the feature party, that the label party does not have these tags from before.
    """

    chunk: Count


RSA_MESSAGES: tuple[type[Message], ...] = (
    TagKeyOf,
    TagKey,
    SignBlinded,
    BlindSignatures,
    TagsOf,
    Tags,
)

RSA_TRANSITIONS: Transitions = {
    "agreed": {TagKeyOf: "comparing"},
    "comparing": {SignBlinded: "comparing", TagsOf: "comparing"},
}
