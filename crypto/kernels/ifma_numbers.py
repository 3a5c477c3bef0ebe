"""Products of numbers modulo m (no pairs): by one constant, and of a whole batch."""

from numpy import uint64
from numpy.typing import NDArray

from crypto.compiling import kernel
from crypto.kernels.ifma_constants import ONE, WORK
from crypto.kernels.ifma_emit import LANES
from crypto.kernels.ifma_lanes import copy, put_words, reduce_once, take_words
from crypto.kernels.ifma_products import multiply

NUMBER, OTHER, SLOTS = WORK, WORK + 1, WORK + 2


@kernel
def scale_all(
    workspace: NDArray[uint64], limbs: int, numbers: NDArray[uint64], products: NDArray[uint64]
) -> None:
    """Multiply each number by the constant in slot `OTHER`, which is in Montgomery form.

    Parameters
    ----------
    workspace : array
        With `SLOTS` slots.
    numbers : array of shape (count, any), uint64
        In words, below R.
    products : array of shape (count, words), uint64
        Written, below m.
    """
    for first in range(0, numbers.shape[0], LANES):
        lanes = min(LANES, numbers.shape[0] - first)
        for lane in range(lanes):
            put_words(workspace, limbs, NUMBER, lane, numbers[first + lane], 0)
        multiply(workspace, limbs, NUMBER, NUMBER, OTHER)
        reduce_once(workspace, limbs, NUMBER)
        for lane in range(lanes):
            take_words(workspace, limbs, NUMBER, lane, products[first + lane])


@kernel
def multiply_all(workspace: NDArray[uint64], limbs: int, numbers: NDArray[uint64]) -> None:
    """Multiply each lane's numbers up in slot `OTHER`, times some power of R.

    Parameters
    ----------
    workspace : array
        With `SLOTS` slots.
    numbers : array of shape (count, any), uint64
        In words, below R.
    """
    copy(workspace, limbs, OTHER, ONE, 1)
    copy(workspace, limbs, NUMBER, ONE, 1)
    for first in range(0, numbers.shape[0], LANES):
        # Idle lanes keep a number of the group before: it only occurs twice in the product.
        for lane in range(min(LANES, numbers.shape[0] - first)):
            put_words(workspace, limbs, NUMBER, lane, numbers[first + lane], 0)
        multiply(workspace, limbs, OTHER, OTHER, NUMBER)
