"""A hash of everything that both sides said, in its order: the name of the alignment."""

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secureboost.align.join_options import terms_text
from secureboost.align.protocol import Agreed, Propose


class Record:
    """Takes labelled pieces and gives 32 bytes.

    Every piece enters with the lengths of its label and its content, so that no two lists of pieces
    look the same; SHA-256 as a collision-resistant hash.

    Parameters
    ----------
    purpose : bytes
        Enters first, so that records of different kinds never look the same.
    """

    def __init__(self, purpose: bytes) -> None:
        self._hash = hashlib.sha256(purpose)

    def add(self, label: str, content: bytes | int | str) -> None:
        """Add a piece.

        Parameters
        ----------
        label : str
            What it is, the same on both sides.
        content : bytes, int or str
        """
        data = content if isinstance(content, bytes) else str(content).encode()
        name = label.encode()
        self._hash.update(len(name).to_bytes(8, "little") + name)
        self._hash.update(len(data).to_bytes(8, "little") + data)

    def add_array(self, label: str, array: NDArray[Any]) -> None:
        """Add the hash of an array's bytes, in little-endian order."""
        content = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        self.add(label, hashlib.sha256(content.data).digest())

    def digest(self) -> bytes:
        """Return the hash of the pieces so far, 32 bytes."""
        return self._hash.digest()


class Transcript(Record):
    """Of an alignment of keys.

    Parameters
    ----------
    proposal : Propose
    agreed : Agreed
        How far an interrupted session had come is not part of it.
    """

    def __init__(self, proposal: Propose, agreed: Agreed) -> None:
        super().__init__(b"secureboost alignment 3")
        for name in ("nonce", "method", "n_keys", "result", "min_size", "chunk"):
            self.add(f"proposal.{name}", getattr(proposal, name))
        for group in proposal.groups:
            self.add("proposal.groups", group)
        for rule in proposal.rules:
            self.add("proposal.rules", rule)
        self.add("proposal.join", "" if proposal.join is None else terms_text(proposal.join))
        for name in ("nonce", "group", "n_keys"):
            self.add(f"agreed.{name}", getattr(agreed, name))
