"""What the IFMA kernels need to know about one modulus, and the workspaces that hold it.

Slots from 6 on, after those of `crypto.kernels.ifma_emit`; pairs take two:

======  ============  ==================================================================
slot    name          content
======  ============  ==================================================================
6, 7    ``ONE``       ``R mod m**2``: one in Montgomery form
8, 9    ``SQUARE``    ``R**2 mod m**2``: multiplying by it enters Montgomery form
10, 11  ``CUBE``      ``R**3 mod m**2``: the same for what stands above the first R
12      ``UNIT``      1: multiplying by it leaves Montgomery form
14...   ``WORK``      free
======  ============  ==================================================================
"""

import math
from collections.abc import Iterable
from typing import cast

import gmpy2
import numpy as np
from gmpy2 import mpz

from crypto.kernels.ifma_emit import (
    COLUMNS,
    DIGIT_BITS,
    FREE,
    LANES,
    MODULUS,
    OFFSET,
    PAD,
    ROWS,
    TILE,
)
from crypto.wide import Words

# As numpy integers: numba compiles a function anew for every Python integer that it is called with.
ONE, SQUARE, CUBE, UNIT, WORK = (cast(int, np.int64(FREE + 2 * i)) for i in range(5))

SLACK_BITS = 4
"""``R >= 16 m``; see `crypto.kernels.ifma_emit` for why."""
_STEP = math.lcm(ROWS, COLUMNS, TILE)
_DIGIT = (1 << DIGIT_BITS) - 1


class IfmaConstants:
    """Constants of an odd modulus m.

    Attributes
    ----------
    modulus : int
    limbs : int
        Digits of a number, a multiple of what the kernels work off at once.
    radix : int
        R, ``2**(52 * limbs)``.
    """

    def __init__(self, modulus: int) -> None:
        self.modulus = modulus
        digits = -(-(modulus.bit_length() + SLACK_BITS) // DIGIT_BITS)
        self.limbs = -(-digits // _STEP) * _STEP
        self.radix = 1 << (DIGIT_BITS * self.limbs)
        self._head = aligned_words(WORK * self.stride)
        self._write_scalars()
        for slot, power in ((ONE, 1), (SQUARE, 2), (CUBE, 3)):
            self.set_pair(self._head, slot, pow(self.radix, power, modulus**2))
        self.set(self._head, UNIT, 1)

    @property
    def stride(self) -> int:
        """Words of a slot."""
        return LANES * (self.limbs + PAD)

    def workspace(self, slots: int) -> Words:
        """Return a fresh workspace of one thread, with room for slots ``WORK`` to ``slots - 1``."""
        workspace = aligned_words(slots * self.stride)
        workspace[: self._head.size] = self._head
        return workspace

    def set(self, workspace: Words, slot: int, value: int) -> None:
        """Write the same number into all lanes."""
        self._lanes(workspace, slot)[:] = self.digits(value)[:, None]

    def set_pair(self, workspace: Words, slot: int, value: int) -> None:
        """Write the same number modulo ``m**2`` into all lanes of two slots."""
        high, low = divmod(value, self.modulus)
        self.set(workspace, slot, low)
        self.set(workspace, slot + 1, high)

    def set_lanes(self, workspace: Words, slot: int, values: Iterable[int]) -> None:
        """Write one number into each lane."""
        for lane, value in enumerate(values):
            self._lanes(workspace, slot)[:, lane] = self.digits(value)

    def get_lanes(self, workspace: Words, slot: int) -> list[int]:
        """Read the number in each lane."""
        columns = self._lanes(workspace, slot).T.tolist()
        return [self.integer(column) for column in columns]

    def powers_of_radix(self, level: int) -> Words:
        """Return ``R**(i * 256**level)`` modulo ``m**2`` as pairs in digits, for i below 256.

        Returns
        -------
        array of shape (256, 2 * limbs), uint64
            Above level 0 in Montgomery form, that is, times R.
        """
        square = mpz(self.modulus) ** 2
        step = gmpy2.powmod(self.radix, 256**level, square)
        power = mpz(self.radix) % square if level else mpz(1)
        rows = np.empty((256, 2 * self.limbs), dtype=np.uint64)
        for row in rows:
            high, low = divmod(int(power), self.modulus)
            row[: self.limbs], row[self.limbs :] = self.digits(low), self.digits(high)
            power = power * step % square
        return rows

    def digits(self, value: int) -> Words:
        """Write a number below R as digits."""
        digits = []
        for _ in range(self.limbs):
            digits.append(value & _DIGIT)
            value >>= DIGIT_BITS
        return np.array(digits, dtype=np.uint64)

    @staticmethod
    def integer(digits: Iterable[int]) -> int:
        """Read digits as a number."""
        return sum(int(digit) << (DIGIT_BITS * i) for i, digit in enumerate(digits))

    def _lanes(self, workspace: Words, slot: int) -> Words:
        start = slot * self.stride
        return workspace[start : start + LANES * self.limbs].reshape(self.limbs, LANES)

    def _write_scalars(self) -> None:
        modulus, stride = self.modulus, self.stride
        first = MODULUS * stride
        self._head[first : first + self.limbs] = self.digits(modulus)
        inverse = -pow(modulus, -1, 1 << DIGIT_BITS) % (1 << DIGIT_BITS)
        self._head[first + stride - 1] = inverse
        # A multiple of m whose digits are all at least 2**52: so much in every digit, and what is
        # missing to a multiple.
        floor = self.integer([1 << DIGIT_BITS] * self.limbs)
        first = OFFSET * stride
        self._head[first : first + self.limbs] = self.digits(-floor % modulus) + np.uint64(
            1 << DIGIT_BITS
        )


def aligned_words(count: int) -> Words:
    """Return zeros that begin on a cache line, as vector loads and stores need them."""
    raw = np.zeros(count + LANES, dtype=np.uint64)
    offset = -(raw.ctypes.data // 8) % LANES
    return raw[offset : offset + count]
