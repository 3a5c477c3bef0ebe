"""Real numbers as integers: the one place where the protocol rounds.

A value x becomes the integer nearest to ``x * 2**fraction_bits``, ties to even. Scaling by a power
of two is exact in floating point, so the only error is that of rounding::

    abs(x - decode(encode(x)))          <= 2**-(fraction_bits + 1)
    abs(sum(x) - decode(sum(encode(x)))) <= n * 2**-(fraction_bits + 1)

as long as decoded integers stay below 2**53 (beyond, `decode` rounds to 53 significant bits once).
Both are reached: nothing averages out where many rows have the same value, as in a first round of
boosting. Sums of the integers are exact and have no order, so everybody who adds them gets the same
result.

How large an error may be is for the caller to say (`FixedPoint.for_bound`); the bits follow.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crypto.errors import CapacityError, PlaintextError

SUM_BITS = 62
"""Every sum stays below ``2**62``, so that a sibling's subtraction cannot overflow int64 either."""

MAX_SHIFT = 500
"""Beyond this a power of two times a value could leave the range of float64."""


@dataclass(frozen=True)
class FixedPoint:
    """A scale of ``2**fraction_bits``.

    Parameters
    ----------
    fraction_bits : int
        From -500 to 500; negative for values so large that units need not be kept.
    """

    fraction_bits: int

    def __post_init__(self) -> None:
        if not -MAX_SHIFT <= self.fraction_bits <= MAX_SHIFT:
            raise CapacityError(
                f"fraction_bits={self.fraction_bits} is outside [-{MAX_SHIFT}, {MAX_SHIFT}]; "
                "rescale the target or the sample weights"
            )

    @classmethod
    def for_bound(cls, bound: float, n_rows: int, rounding_error: float) -> "FixedPoint":
        """Choose the coarsest scale that rounds finely enough: the least bits for a stated error.

        Parameters
        ----------
        bound : float
            No value is larger in magnitude.
        n_rows : int
            No sum has more terms.
        rounding_error : float
            Most that rounding may move a value, as a share of `bound`; above 0 and at most 1/2.
            A sum of n values then errs by at most ``n * bound * rounding_error``.

        Returns
        -------
        FixedPoint
            The least f with ``2**-(f + 1) <= bound * rounding_error``. So no integer is larger than
            ``1 / rounding_error``, rounded, and ``n_rows * max_integer(bound) < 2**62``.

        Raises
        ------
        CapacityError
            If sums could leave 62 bits, or an argument is outside its limits.
        """
        if not (math.isfinite(bound) and bound > 0):
            raise CapacityError(f"bound={bound} must be a positive finite number")
        if n_rows < 1:
            raise CapacityError(f"n_rows={n_rows} must be at least 1")
        if not 0 < rounding_error <= 0.5:
            raise CapacityError(
                f"rounding_error={rounding_error} must be above 0 and at most 0.5 of the bound"
            )
        # The product could underflow, so exponents are added; a product m 2**e with
        # 1/2 <= m < 1 allows units of 2**e.
        mantissa, exponent = math.frexp(bound)
        fixed_point = cls(-exponent - math.frexp(mantissa * rounding_error)[1])
        largest = n_rows * fixed_point.max_integer(bound)
        if largest >> SUM_BITS:
            raise CapacityError(
                f"n_rows={n_rows} and rounding_error={rounding_error} need sums of "
                f"{largest.bit_length()} bits, more than {SUM_BITS}; allow a larger error or take "
                "fewer rows"
            )
        return fixed_point

    def max_integer(self, bound: float) -> int:
        """Largest magnitude that `encode` gives to a value of magnitude at most `bound`."""
        # Rounding is monotone, so the bound itself rounds to the largest.
        return int(np.rint(math.ldexp(bound, self.fraction_bits)))

    def encode(self, values: NDArray[np.float64], name: str = "values") -> NDArray[np.int64]:
        """Round to the nearest multiples of ``2**-fraction_bits``, ties to even.

        Parameters
        ----------
        values : array of any shape, float64
        name : str
            What the values are, for the error.

        Returns
        -------
        array of the same shape, int64

        Raises
        ------
        PlaintextError
            If a value is not finite or its integer could reach ``2**61``.
        """
        finite = np.isfinite(values)
        if not finite.all():
            position = int(np.flatnonzero(~finite)[0])
            raise PlaintextError(
                f"{name} at position {position} is not finite; remove or impute such rows",
                position,
            )
        large = np.abs(values) >= math.ldexp(1.0, SUM_BITS - 1 - self.fraction_bits)
        if large.any():
            position = int(np.flatnonzero(large)[0])
            raise PlaintextError(
                f"{name} at position {position} does not fit 2**{SUM_BITS - 1} at "
                f"fraction_bits={self.fraction_bits}; use fewer fraction bits",
                position,
            )
        return np.rint(np.ldexp(values, self.fraction_bits)).astype(np.int64)

    def decode(self, integers: NDArray[np.int64]) -> NDArray[np.float64]:
        """Turn integers or their sums back into real numbers.

        Parameters
        ----------
        integers : array of any shape, int64

        Returns
        -------
        array of the same shape, float64
        """
        return np.ldexp(integers.astype(np.float64), -self.fraction_bits)


class Quantiser:
    """Rounds arrays of unknown magnitude to integers of a known one.

    Each array gets the least bits that its largest value asks for (`FixedPoint.for_bound`), which
    no value exceeds `max_integer` with. So widths of plaintexts can be proven before the first
    array is seen.

    Parameters
    ----------
    n_rows : int
        No sum has more terms.
    rounding_error : float
        See `FixedPoint.for_bound`.

    Attributes
    ----------
    max_integer : int
        Largest magnitude of an integer.

    Raises
    ------
    CapacityError
        If sums over so many rows cannot be so precise.
    """

    def __init__(self, n_rows: int, rounding_error: float) -> None:
        self._n_rows = n_rows
        self._rounding_error = rounding_error
        FixedPoint.for_bound(1.0, n_rows, rounding_error)  # checks the arguments
        self.max_integer = math.ceil(1.0 / rounding_error)

    def __call__(self, values: NDArray[np.float64]) -> tuple[NDArray[np.int64], int]:
        """Integers of the same shape, and the number of their fraction bits.

        Raises
        ------
        CapacityError
            If the magnitude of the values is beyond 2**500 or below 2**-500.
        """
        bound = float(np.abs(values).max(initial=0.0))
        if bound == 0.0:
            return np.zeros(values.shape, dtype=np.int64), 0
        scale = FixedPoint.for_bound(bound, self._n_rows, self._rounding_error)
        return scale.encode(values), scale.fraction_bits
