"""A group so small that it protects nothing: fast enough for exhaustive tests, in plain Python."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar, Literal

import numpy as np

from crypto.groups import GROUPS
from crypto.groups.base import Elements, Group, refused

INSECURE = "insecure-test-group"


class InsecureGroup(Group):
    """The squares modulo a safe prime of 62 bits."""

    name: ClassVar[str] = INSECURE
    order: ClassVar[int] = 1152921504606849959
    modulus: ClassVar[int] = 2 * order + 1
    element_bytes: ClassVar[int] = 8
    scalar_bytes: ClassVar[int] = 8
    byte_order: ClassVar[Literal["little", "big"]] = "big"

    def missing(self) -> str | None:
        return None

    def _hash(self, data: Sequence[bytes], ending: bytes, n_jobs: int) -> Elements:
        digests = (hashlib.sha256(item + ending).digest() for item in data)
        return encode(pow(int.from_bytes(d, "big"), 2, self.modulus) for d in digests)

    def _multiply(self, elements: Elements, secret: bytes, n_jobs: int) -> Elements:
        exponent, count = int.from_bytes(secret, "big"), len(elements)
        numbers = decode(elements)
        for position, number in enumerate(numbers):
            if number == 1:
                raise refused(position, count, "it is the identity")
            if number >= self.modulus or pow(number, self.order, self.modulus) != 1:
                raise refused(position, count, "no element has this encoding")
        return encode(pow(number, exponent, self.modulus) for number in numbers)


def encode(numbers) -> Elements:
    data = b"".join(number.to_bytes(8, "big") for number in numbers)
    return np.frombuffer(data, np.uint8).reshape(-1, 8).copy()


def decode(elements: Elements) -> list[int]:
    return [int.from_bytes(row.tobytes(), "big") for row in elements]


@contextmanager
def insecure_group() -> Iterator[InsecureGroup]:
    """Have the group in the registry for a while."""
    group = GROUPS[INSECURE] = InsecureGroup()
    try:
        yield group
    finally:
        del GROUPS[INSECURE]
