"""What each side of an ECDH session keeps to itself: its scalar and the seed of its order.

Both are fresh for a session, from the operating system, and lie in a file only while it lasts.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crypto.errors import CryptoError
from crypto.groups import Group, Scalar
from parties.messages import PROTOCOL_VERSION
from secureboost.align.permutation import SEED_BYTES, new_seed, permutation
from secureboost.align.state import State
from secureboost.errors import AlignmentError

_PIECE = "secrets"


@dataclass(frozen=True, repr=False)
class EcdhSecrets:
    """One side's secrets.

    Attributes
    ----------
    scalar : Scalar
    seed : bytes
    """

    scalar: Scalar
    seed: bytes

    def order(self, n: int) -> NDArray[np.int32]:
        """The random order in which this side tells its `n` keys: a position for each place."""
        return permutation(self.seed, "own keys", n)


def session_secrets(group: Group, state: State) -> EcdhSecrets:
    """Take up the secrets of the interrupted session, or draw and keep new ones.

    Raises
    ------
    secureboost.errors.AlignmentError
        If those that were kept are damaged or of another group.
    OSError
    """
    kept = state.get(_PIECE)
    if kept is None:
        secrets = EcdhSecrets(group.random_scalar(), new_seed())
        state.put(_PIECE, secrets.seed + secrets.scalar.to_bytes())
        return secrets
    try:
        scalar = group.scalar_from_bytes(kept[SEED_BYTES:])
    except CryptoError as error:
        raise AlignmentError(
            f"What was kept in {state.folder} is not of group {group.name}. Delete the folder; the "
            "alignment begins anew then."
        ) from error
    return EcdhSecrets(scalar, kept[:SEED_BYTES])


def hash_tag(group: Group) -> bytes:
    """Name protocol, version and group for the hash to the group (RFC 9380, section 3.1)."""
    return f"SecureBoost-V{PROTOCOL_VERSION:02d}-align-ecdh-{group.name}".encode()
