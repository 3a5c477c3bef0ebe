"""Products of table rows by segment: the homomorphic histogram, and powers from tables.

Each of the eight lanes owns one *task*, a run of row numbers, and streams through it: gather the
``a`` of eight rows, multiply them into eight accumulators. A lane that is done is unloaded and
refilled. The ``t`` only add up.

After k rows an accumulator that began as R holds ``prod(a) * R**(1 - k)``: every product divides by
R. The product of two such accumulators has the same form, so parts of a segment merge without
bookkeeping, and one multiplication by ``R**k`` from a small table ends it.
"""

import numpy as np
from numpy import int64, uint64
from numpy.typing import NDArray

from crypto.compiling import kernel
from crypto.kernels.ifma_constants import ONE, WORK
from crypto.kernels.ifma_emit import LANES, PAD
from crypto.kernels.ifma_lanes import copy, put_pair, take_pair
from crypto.kernels.ifma_products import gather, multiply_pairs, multiply_short, prefetch

PRODUCT, FACTOR, SLOTS = WORK, WORK + 2, WORK + 4
LEVEL_BITS = 8
"""Digits of k in the table of powers of R."""
_HALF = uint64(32)
_HALF_MASK = uint64((1 << 32) - 1)


@kernel
def multiply_rows(
    workspace: NDArray[uint64],
    limbs: int,
    table: NDArray[uint64],
    words: int,
    rows: NDArray[int64],
    starts: NDArray[int64],
    lengths: NDArray[int64],
    tasks: NDArray[int64],
    products: NDArray[uint64],
) -> None:
    """Multiply up the ``a`` of each task.

    Parameters
    ----------
    workspace : array
        With `SLOTS` slots.
    table : array of shape (n_rows, 2 * words), uint64
        Pairs; `words` is a multiple of 8.
    rows : array of int64
    starts, lengths : arrays of shape (n_tasks,), int64
        Task i is ``rows[starts[i] : starts[i] + lengths[i]]``.
    tasks : array of int64
        Which tasks to do, in this order: longest first leaves the fewest lanes idle.
    products : array of shape (n_tasks, 2 * limbs), uint64
        Written: ``prod(a) * R**(1 - length)`` as a pair in digits.
    """
    stride = LANES * (limbs + PAD)
    left = np.zeros(LANES, np.int64)
    position = np.zeros(LANES, np.int64)
    task = np.full(LANES, -1, np.int64)
    current = np.zeros(LANES, np.int64)
    following = np.zeros(LANES, np.int64)
    done = 0
    while True:
        steps = np.int64(-1)
        for lane in range(LANES):
            if left[lane] == 0:
                if task[lane] >= 0:
                    take_pair(workspace, limbs, PRODUCT, lane, products[task[lane]])
                    task[lane] = -1
                if done < tasks.shape[0]:
                    task[lane] = tasks[done]
                    left[lane] = lengths[task[lane]]
                    position[lane] = starts[task[lane]]
                    for i in range(lane, 2 * stride, LANES):
                        workspace[PRODUCT * stride + i] = workspace[ONE * stride + i]
                    done += 1
            if task[lane] >= 0 and (steps < 0 or left[lane] < steps):
                steps = left[lane]
        if steps < 0:
            return
        # An idle lane works on row 0 and its result is never read.
        for lane in range(LANES):
            current[lane] = rows[position[lane]] if left[lane] > 0 else 0
        for step in range(1, steps + 1):
            gather(workspace, limbs, FACTOR, table, current, words)
            for lane in range(LANES):
                following[lane] = rows[position[lane] + step] if left[lane] > step else 0
            prefetch(table, following, 0, words)
            current, following = following, current
            multiply_short(workspace, limbs, PRODUCT, PRODUCT, FACTOR)
        for lane in range(LANES):
            if task[lane] >= 0:
                left[lane] -= steps
                position[lane] += steps


@kernel
def add_rows(
    table: NDArray[uint64],
    words: int,
    rows: NDArray[int64],
    starts: NDArray[int64],
    lengths: NDArray[int64],
    tasks: NDArray[int64],
    sums: NDArray[uint64],
) -> None:
    """Add up the ``t`` of each task.

    Halves of words add up apart, so that nothing carries for ``2**32`` rows.

    Parameters
    ----------
    table, words, rows, starts, lengths, tasks
        As in `multiply_rows`.
    sums : array of shape (n_tasks, 2, words), uint64
        Written: sums of the low and of the high halves of each word.
    """
    for task in tasks:
        low, high = sums[task, 0], sums[task, 1]
        low[:] = uint64(0)
        high[:] = uint64(0)
        start, end = starts[task], starts[task] + lengths[task]
        for first in range(start, end, LANES):
            if first + 2 * LANES <= end:
                prefetch(table, rows[first + LANES : first + 2 * LANES], words, words)
            for i in range(first, min(first + LANES, end)):
                row = rows[i]
                for j in range(words):
                    word = table[row, words + j]
                    low[j] += word & _HALF_MASK
                    high[j] += word >> _HALF


@kernel
def merge_parts(
    workspace: NDArray[uint64],
    limbs: int,
    products: NDArray[uint64],
    sums: NDArray[uint64],
    parts: NDArray[int64],
    lengths: NDArray[int64],
    powers: NDArray[uint64],
    first: int,
    end: int,
    values: NDArray[uint64],
    totals: NDArray[uint64],
) -> None:
    """Merge the parts of segments `first` to ``end - 1`` and remove the powers of R.

    Parameters
    ----------
    workspace : array
        With `SLOTS` slots.
    products, sums : arrays
        Of the parts, from `multiply_rows` and `add_rows`.
    parts : array of shape (n_segments + 1,), int64
        Segment s has the parts ``parts[s]`` to ``parts[s + 1] - 1``, at least one.
    lengths : array of shape (n_segments,), int64
        Rows in all.
    powers : array of shape (levels, 256, 2 * limbs), uint64
        From `powers_of_radix`.
    values : array of shape (n_segments, 2 * limbs), uint64
        Written: the product of the ``a``, as a pair.
    totals : array of shape (n_segments, words + 1), uint64
        Written: the sum of the ``t``, in words.
    """
    words = sums.shape[2]
    for group in range(first, end, LANES):
        lanes = min(LANES, end - group)
        most = 1
        for lane in range(lanes):
            segment = group + lane
            put_pair(workspace, limbs, PRODUCT, lane, products[parts[segment]])
            most = max(most, parts[segment + 1] - parts[segment])
            for part in range(parts[segment] + 1, parts[segment + 1]):
                for half in range(2):
                    for j in range(words):
                        sums[parts[segment], half, j] += sums[part, half, j]
            join_halves(sums[parts[segment]], totals[segment])
        for i in range(1, most):
            copy(workspace, limbs, FACTOR, ONE, 2)
            for lane in range(lanes):
                part = parts[group + lane] + i
                if part < parts[group + lane + 1]:
                    put_pair(workspace, limbs, FACTOR, lane, products[part])
            multiply_pairs(workspace, limbs, PRODUCT, PRODUCT, FACTOR)
        for level in range(powers.shape[0] - 1, -1, -1):
            for lane in range(lanes):
                digit = (lengths[group + lane] >> (LEVEL_BITS * level)) & ((1 << LEVEL_BITS) - 1)
                put_pair(workspace, limbs, FACTOR, lane, powers[level, digit])
            multiply_pairs(workspace, limbs, PRODUCT, PRODUCT, FACTOR)
        for lane in range(lanes):
            take_pair(workspace, limbs, PRODUCT, lane, values[group + lane])


@kernel
def join_halves(halves: NDArray[uint64], total: NDArray[uint64]) -> None:
    """Carry through sums of half words (2, words) and write them as words + 1 words."""
    carry = uint64(0)
    words = halves.shape[1]
    for j in range(words):
        low = halves[0, j] + carry
        high = halves[1, j] + (low >> _HALF)
        total[j] = (low & _HALF_MASK) | (high << _HALF)
        carry = high >> _HALF
    total[words] = carry
