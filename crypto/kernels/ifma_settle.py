"""From lazy pairs ``A + B m`` to the wire form ``[a | t]`` or to residues.

``A + B m = a (1 + t m)`` with ``a = A`` once A is below m, and ``t = B / a``. The inverses come by
Montgomery's trick, lane by lane: a pass that multiplies all a's up, eight inversions outside the
kernel, and a pass back.
"""

import gmpy2
import numpy as np
from gmpy2 import mpz
from numpy import uint64
from numpy.typing import NDArray

from crypto import wide
from crypto.compiling import kernel
from crypto.kernels.arrays import frozen
from crypto.kernels.ifma_constants import ONE, SQUARE, UNIT, WORK, IfmaConstants
from crypto.kernels.ifma_emit import DIGIT_BITS, LANES, PAD
from crypto.kernels.ifma_lanes import (
    add,
    clear,
    copy,
    put_pair,
    put_words,
    reduce_low,
    reduce_once,
    take_words,
)
from crypto.kernels.ifma_products import multiply
from crypto.kernels.threads import over_ranges
from crypto.residues import invert_all
from crypto.wide import Words

VALUE, PREFIX, SUM, EXTRA, SLOTS = WORK, WORK + 2, WORK + 3, WORK + 4, WORK + 5
BLOCK = 4096
"""Numbers per pass: bounds the memory for what the way back needs."""
LEAST = 200
"""Numbers worth a thread."""


@kernel
def multiply_up(
    workspace: NDArray[uint64],
    limbs: int,
    values: NDArray[uint64],
    pairs: NDArray[uint64],
    kept: NDArray[uint64],
) -> None:
    """Write the a of each number, and multiply them up.

    Parameters
    ----------
    workspace : array
        With `SLOTS` slots; the products of each lane are left in `PREFIX`, in Montgomery form.
    values : array of shape (count, 2 * limbs), uint64
        Lazy pairs, in digits.
    pairs : array of shape (count, 2 * words), uint64
        The first half of each row is written.
    kept : array of shape (groups, 3, 8 * (limbs + 4)), uint64
        Written, for `multiply_down`: the product before, a in Montgomery form, and B.
    """
    stride = LANES * (limbs + PAD)
    count, words = pairs.shape[0], pairs.shape[1] // 2
    copy(workspace, limbs, PREFIX, ONE, 1)
    for group in range(kept.shape[0]):
        first = LANES * group
        copy(workspace, limbs, VALUE, UNIT, 1)  # idle lanes hold 1
        for lane in range(min(LANES, count - first)):
            put_pair(workspace, limbs, VALUE, lane, values[first + lane])
        reduce_low(workspace, limbs, VALUE)
        for lane in range(min(LANES, count - first)):
            take_words(workspace, limbs, VALUE, lane, pairs[first + lane, :words])
        multiply(workspace, limbs, VALUE, VALUE, SQUARE)
        for i in range(stride):
            kept[group, 0, i] = workspace[PREFIX * stride + i]
            kept[group, 1, i] = workspace[VALUE * stride + i]
            kept[group, 2, i] = workspace[(VALUE + 1) * stride + i]
        multiply(workspace, limbs, PREFIX, PREFIX, VALUE)
    reduce_once(workspace, limbs, PREFIX)


@kernel
def multiply_down(
    workspace: NDArray[uint64],
    limbs: int,
    totals: NDArray[uint64],
    pairs: NDArray[uint64],
    kept: NDArray[uint64],
) -> None:
    """Write the t of each number.

    Parameters
    ----------
    workspace : array
        With the inverses of `multiply_up`'s products in `PREFIX`, in Montgomery form.
    totals : array of shape (count, any), uint64
        Added to t; below ``m * 2**52``.
    pairs : array of shape (count, 2 * words), uint64
        The second half of each row is written.
    kept : array
        From `multiply_up`.
    """
    stride = LANES * (limbs + PAD)
    count, words = pairs.shape[0], pairs.shape[1] // 2
    for group in range(kept.shape[0] - 1, -1, -1):
        first = LANES * group
        lanes = min(LANES, count - first)
        for i in range(stride):
            workspace[VALUE * stride + i] = kept[group, 0, i]
        multiply(workspace, limbs, VALUE, VALUE, PREFIX)  # 1 / a
        for i in range(stride):
            workspace[EXTRA * stride + i] = kept[group, 1, i]
        multiply(workspace, limbs, PREFIX, PREFIX, EXTRA)
        for i in range(stride):
            workspace[EXTRA * stride + i] = kept[group, 2, i]
        multiply(workspace, limbs, SUM, EXTRA, VALUE)  # B / a
        for lane in range(lanes):
            put_words(workspace, limbs, EXTRA, lane, totals[first + lane], 0)
        multiply(workspace, limbs, VALUE, EXTRA, ONE)
        add(workspace, limbs, SUM, SUM, VALUE)
        clear(workspace, limbs, EXTRA)
        above = uint64(0)
        for lane in range(lanes):  # what stands above R, for sums of very many rows
            put_words(workspace, limbs, EXTRA, lane, totals[first + lane], DIGIT_BITS * limbs)
            above |= workspace[EXTRA * stride + lane]
        if above:
            multiply(workspace, limbs, VALUE, EXTRA, SQUARE)
            add(workspace, limbs, SUM, SUM, VALUE)
            multiply(workspace, limbs, SUM, SUM, ONE)
        for _ in range(4):  # two or three terms below 2 m + 2 each
            reduce_once(workspace, limbs, SUM)
        for lane in range(lanes):
            take_words(workspace, limbs, SUM, lane, pairs[first + lane, words:])


def to_pairs(
    constants: IfmaConstants, values: Words, totals: Words, words: int, n_jobs: int
) -> Words:
    """Write lazy pairs, whose t increases by `totals`, in the wire form.

    Parameters
    ----------
    constants : IfmaConstants
    values : array of shape (count, 2 * limbs), uint64
        Units modulo ``m**2``, in digits.
    totals : array of shape (count, any), uint64
        In words.
    words : int
        Of a number below m.
    n_jobs : int

    Returns
    -------
    array of shape (count, 2 * words), uint64

    Raises
    ------
    ZeroDivisionError
        If a value is no unit.
    """
    pairs = np.empty((len(values), 2 * words), dtype=np.uint64)
    totals = frozen(totals)

    def work(first: int, end: int) -> None:
        workspace = constants.workspace(SLOTS)
        for start in range(first, end, BLOCK):
            block = slice(start, min(start + BLOCK, end))
            groups = -(-(block.stop - start) // LANES)
            kept = np.empty((groups, 3, constants.stride), dtype=np.uint64)
            multiply_up(workspace, constants.limbs, values[block], pairs[block], kept)
            invert_lanes(constants, workspace, PREFIX)
            multiply_down(workspace, constants.limbs, totals[block], pairs[block], kept)

    over_ranges(work, len(values), n_jobs, multiple=LANES, least=LEAST)
    return pairs


def invert_lanes(constants: IfmaConstants, workspace: Words, slot: int) -> None:
    """Invert the numbers in one slot, from Montgomery form to Montgomery form.

    Raises
    ------
    ZeroDivisionError
        If one is no unit.
    """
    modulus = mpz(constants.modulus)
    numbers = [mpz(number) for number in constants.get_lanes(workspace, slot)]
    square = gmpy2.powmod(constants.radix, 2, modulus)  # 1 / (x R) * R**2 = R / x
    inverses = invert_all(numbers, modulus)
    constants.set_lanes(workspace, slot, [int(x * square % modulus) for x in inverses])


def to_residues(constants: IfmaConstants, values: Words, totals: Words, words: int) -> Words:
    """Write lazy pairs, times ``1 + total * m``, as numbers modulo ``m**2``.

    One by one: nothing hot asks for residues.

    Returns
    -------
    array of shape (count, 2 * words), uint64
    """
    limbs, modulus = constants.limbs, mpz(constants.modulus)
    residues = []
    for row, total in zip(values.tolist(), wide.to_mpz(totals), strict=True):
        low, high = constants.integer(row[:limbs]), constants.integer(row[limbs:])
        residues.append((low + (high + low * total) * modulus) % modulus**2)
    return wide.from_integers(residues, 2 * words)
