"""What a group of prime order must offer, so that two parties can find their common ids in it.

Each party holds a secret scalar. Since ``a (b H(x)) = b (a H(x))``, both can compare their ids
under both scalars, and neither can try ids of its own guess at what the other sent
(C. Meadows, *A more efficient cryptographic matchmaking protocol*, 1986; B. Huberman, M. Franklin,
T. Hogg, *Enhancing privacy and trust in electronic communities*, 1999).
"""

import secrets
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from crypto.errors import ElementError, HashInputError, ScalarError
from crypto.groups.expand import check_tag
from crypto.secrecy import Guarded

Elements: TypeAlias = NDArray[np.uint8]
"""Encoded elements of a group, one in each row: shape (n, element_bytes)."""


class Scalar(Guarded):
    """A secret multiplier of one group: never shown, never pickled, never copied.

    Attributes
    ----------
    group : str
        Name of the group that it belongs to.
    """

    _advice = "keep it in this session, or keep to_bytes() in a file that only its owner can read"

    def __init__(self, group: str, data: bytes) -> None:
        self.group = group
        self._data = data

    def to_bytes(self) -> bytes:
        """Return the secret itself. For the owner's private state file alone."""
        return self._data

    def _shown(self) -> str:
        return f"secret scalar of {self.group}"


class Group(ABC):
    """A group of prime order with a hash to it. Stateless.

    Attributes
    ----------
    name : str
    order : int
        Number of elements, a prime.
    element_bytes : int
        Length of an encoded element.
    scalar_bytes : int
        Length of an encoded scalar.
    byte_order : {"little", "big"}
        Of an encoded scalar.
    """

    name: ClassVar[str]
    order: ClassVar[int]
    element_bytes: ClassVar[int] = 32
    scalar_bytes: ClassVar[int] = 32
    byte_order: ClassVar[Literal["little", "big"]]

    @abstractmethod
    def missing(self) -> str | None:
        """Say why the group cannot be used here and what to do, None if it can."""

    def random_scalar(self) -> Scalar:
        """Draw a secret scalar, uniform from 1 to ``order - 1``, from the operating system."""
        return self._scalar(secrets.randbelow(self.order - 1) + 1)

    def scalar_from_bytes(self, data: bytes) -> Scalar:
        """Take up a scalar that `Scalar.to_bytes` wrote.

        Raises
        ------
        ScalarError
            If it has another length, or is not from 1 to ``order - 1``.
        """
        if len(data) != self.scalar_bytes:
            raise ScalarError(
                f"a scalar of {self.name} has {self.scalar_bytes} bytes, not {len(data)}"
            )
        number = int.from_bytes(data, self.byte_order)
        if not 1 <= number < self.order:
            raise ScalarError(f"the scalar is not from 1 to the order of {self.name} less 1")
        return self._scalar(number)

    def hash_to_group(self, data: Sequence[bytes], *, tag: bytes, n_jobs: int = 1) -> Elements:
        """Hash byte strings to elements whose discrete logarithms nobody knows.

        Parameters
        ----------
        data : sequence of bytes
        tag : bytes
            Names protocol, version and group; see `crypto.groups.expand`.
        n_jobs : int
            Threads at most.

        Returns
        -------
        array of shape (len(data), element_bytes), uint8

        Raises
        ------
        HashInputError
            If an item is not bytes, or the tag has a length that is refused.
        """
        _check_input(data, tag)
        return self._hash(data, tag, n_jobs)

    def blind(
        self, data: Sequence[bytes], scalar: Scalar, *, tag: bytes, n_jobs: int = 1
    ) -> Elements:
        """Hash byte strings to the group and multiply: ``scalar H(data)``.

        Parameters and result are those of `hash_to_group` and `multiply`.

        Raises
        ------
        HashInputError, ScalarError
        """
        _check_input(data, tag)
        return self._blind(data, self._secret(scalar), tag, n_jobs)

    def multiply(self, elements: Elements, scalar: Scalar, *, n_jobs: int = 1) -> Elements:
        """Check elements that somebody else sent, and multiply each by the scalar.

        Parameters
        ----------
        elements : array of shape (n, element_bytes), uint8
        scalar : Scalar
        n_jobs : int
            Threads at most.

        Returns
        -------
        array of shape (n, element_bytes), uint8

        Raises
        ------
        ElementError
            At the first row that is no canonical encoding of an element, or is the identity. Its
            `position` is the row; None where shape or dtype is wrong. In a group of prime order no
            other element is of small order.
        ScalarError
            If the scalar is one of another group.
        """
        if elements.dtype != np.uint8 or elements.shape[1:] != (self.element_bytes,):
            raise ElementError(
                f"elements has shape {elements.shape} and dtype {elements.dtype}; {self.name} "
                f"takes shape (n, {self.element_bytes}) and dtype uint8"
            )
        return self._multiply(np.ascontiguousarray(elements), self._secret(scalar), n_jobs)

    @abstractmethod
    def _hash(self, data: Sequence[bytes], tag: bytes, n_jobs: int) -> Elements:
        """Hash checked input to the group."""

    def _blind(self, data: Sequence[bytes], secret: bytes, tag: bytes, n_jobs: int) -> Elements:
        return self._multiply(self._hash(data, tag, n_jobs), secret, n_jobs)

    @abstractmethod
    def _multiply(self, elements: Elements, secret: bytes, n_jobs: int) -> Elements:
        """Check and multiply rows that are known to be C-contiguous."""

    def _scalar(self, number: int) -> Scalar:
        return Scalar(self.name, number.to_bytes(self.scalar_bytes, self.byte_order))

    def _secret(self, scalar: Scalar) -> bytes:
        if scalar.group != self.name:
            raise ScalarError(f"scalar is one of {scalar.group}, not of {self.name}")
        return scalar.to_bytes()


def refused(position: int, count: int, why: str) -> ElementError:
    """Make the error for a bad element."""
    return ElementError(f"element {position} of {count} is refused: {why}", position)


def _check_input(data: Sequence[bytes], tag: bytes) -> None:
    check_tag(tag)
    for position, item in enumerate(data):
        if not isinstance(item, bytes):
            raise HashInputError(
                f"data[{position}] is of type {type(item).__name__}; encode it as bytes first"
            )
