"""Between rows of words or digits and the lanes of a workspace; sums and comparisons of lanes.

`digits` arrays hold one number per row, `limbs` digits of 52 bits in 64-bit words; a pair
``A + B m`` is a row of ``2 * limbs`` with A first.
"""

from numpy import uint64
from numpy.typing import NDArray

from crypto.compiling import kernel
from crypto.kernels.ifma_emit import DIGIT_BITS, LANES, MODULUS, PAD

_DIGIT = uint64((1 << DIGIT_BITS) - 1)
_DIGIT_BITS = uint64(DIGIT_BITS)
_WORD_BITS = uint64(64)


@kernel
def put_words(
    workspace: NDArray[uint64],
    limbs: int,
    slot: int,
    lane: int,
    words: NDArray[uint64],
    first_bit: int,
) -> None:
    """Load bits ``[first_bit, first_bit + 52 * limbs)`` of a row of words; zeros beyond its end."""
    position = slot * LANES * (limbs + PAD) + lane
    count = words.shape[0]
    for j in range(limbs):
        bit = first_bit + DIGIT_BITS * j
        word, shift = bit >> 6, uint64(bit & 63)
        digit = uint64(0)
        if word < count:
            digit = words[word] >> shift
            if shift > uint64(64 - DIGIT_BITS) and word + 1 < count:
                digit |= words[word + 1] << (_WORD_BITS - shift)
        workspace[position + LANES * j] = digit & _DIGIT


@kernel
def take_words(
    workspace: NDArray[uint64], limbs: int, slot: int, lane: int, words: NDArray[uint64]
) -> None:
    """Store a number that fits into a row of words."""
    position = slot * LANES * (limbs + PAD) + lane
    for word in range(words.shape[0]):
        digit, shift = 64 * word // DIGIT_BITS, uint64(64 * word % DIGIT_BITS)
        value = uint64(0)
        if digit < limbs:
            value = workspace[position + LANES * digit] >> shift
        if digit + 1 < limbs:
            value |= workspace[position + LANES * (digit + 1)] << (_DIGIT_BITS - shift)
        # Of two digits 104 - shift bits came, so a third is needed where shift exceeds 40.
        if shift > uint64(2 * DIGIT_BITS - 64) and digit + 2 < limbs:
            value |= workspace[position + LANES * (digit + 2)] << (uint64(2 * DIGIT_BITS) - shift)
        words[word] = value


@kernel
def put_digits(
    workspace: NDArray[uint64], limbs: int, slot: int, lane: int, digits: NDArray[uint64]
) -> None:
    """Load a row of digits, at most `limbs` of them."""
    position = slot * LANES * (limbs + PAD) + lane
    for j in range(digits.shape[0]):
        workspace[position + LANES * j] = digits[j]


@kernel
def take_digits(
    workspace: NDArray[uint64], limbs: int, slot: int, lane: int, digits: NDArray[uint64]
) -> None:
    """Store a number as a row of digits."""
    position = slot * LANES * (limbs + PAD) + lane
    for j in range(digits.shape[0]):
        digits[j] = workspace[position + LANES * j]


@kernel
def put_pair(
    workspace: NDArray[uint64], limbs: int, slot: int, lane: int, digits: NDArray[uint64]
) -> None:
    """Load a pair into slots `slot` and ``slot + 1``."""
    put_digits(workspace, limbs, slot, lane, digits[:limbs])
    put_digits(workspace, limbs, slot + 1, lane, digits[limbs:])


@kernel
def take_pair(
    workspace: NDArray[uint64], limbs: int, slot: int, lane: int, digits: NDArray[uint64]
) -> None:
    """Store a pair as a row of digits."""
    take_digits(workspace, limbs, slot, lane, digits[:limbs])
    take_digits(workspace, limbs, slot + 1, lane, digits[limbs:])


@kernel
def copy(workspace: NDArray[uint64], limbs: int, out: int, x: int, slots: int) -> None:
    """Copy numbers to other slots."""
    stride = LANES * (limbs + PAD)
    for i in range(slots * stride):
        workspace[out * stride + i] = workspace[x * stride + i]


@kernel
def clear(workspace: NDArray[uint64], limbs: int, slot: int) -> None:
    """Write zeros."""
    stride = LANES * (limbs + PAD)
    for i in range(slot * stride, (slot + 1) * stride):
        workspace[i] = uint64(0)


@kernel
def add(workspace: NDArray[uint64], limbs: int, out: int, x: int, y: int) -> None:
    """Add numbers whose sum is below R."""
    stride = LANES * (limbs + PAD)
    x_at, y_at, out_at = x * stride, y * stride, out * stride
    for lane in range(LANES):
        carry = uint64(0)
        for i in range(lane, LANES * limbs, LANES):
            total = workspace[x_at + i] + workspace[y_at + i] + carry
            workspace[out_at + i] = total & _DIGIT
            carry = total >> _DIGIT_BITS


@kernel
def subtract(workspace: NDArray[uint64], limbs: int, out: int, x: int, y: int) -> None:
    """Subtract numbers modulo R."""
    stride = LANES * (limbs + PAD)
    x_at, y_at, out_at = x * stride, y * stride, out * stride
    for lane in range(LANES):
        borrow = uint64(0)
        for i in range(lane, LANES * limbs, LANES):
            difference = workspace[x_at + i] - workspace[y_at + i] - borrow
            workspace[out_at + i] = difference & _DIGIT
            borrow = difference >> uint64(63)


@kernel
def subtract_modulus(workspace: NDArray[uint64], limbs: int, slot: int, lane: int) -> bool:
    """Subtract m from the number in one lane if it is not below m; tell whether."""
    position = slot * LANES * (limbs + PAD) + lane
    modulus = MODULUS
    for j in range(limbs - 1, -1, -1):
        digit = workspace[position + LANES * j]
        if digit != workspace[modulus + j]:
            if digit < workspace[modulus + j]:
                return False
            break
    borrow = uint64(0)
    for j in range(limbs):
        difference = workspace[position + LANES * j] - workspace[modulus + j] - borrow
        workspace[position + LANES * j] = difference & _DIGIT
        borrow = difference >> uint64(63)
    return True


@kernel
def reduce_once(workspace: NDArray[uint64], limbs: int, slot: int) -> None:
    """Reduce numbers below 2 m to below m."""
    for lane in range(LANES):
        subtract_modulus(workspace, limbs, slot, lane)


@kernel
def reduce_low(workspace: NDArray[uint64], limbs: int, slot: int) -> None:
    """Bring the A of pairs from below 2 m to below m; what goes is added to B."""
    stride = LANES * (limbs + PAD)
    for lane in range(LANES):
        if subtract_modulus(workspace, limbs, slot, lane):
            carry = uint64(1)
            for i in range((slot + 1) * stride + lane, (slot + 1) * stride + LANES * limbs, LANES):
                total = workspace[i] + carry
                workspace[i] = total & _DIGIT
                carry = total >> _DIGIT_BITS
