"""Arrays as compiled kernels expect them."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Scalar = TypeVar("Scalar", bound=np.generic)


def frozen(array: NDArray[Scalar]) -> NDArray[Scalar]:
    """Return a contiguous, aligned, read-only view, copied only if need be.

    numba compiles a kernel anew for every kind of array that it meets, and what comes from a peer
    may be read-only or lie anywhere: so all inputs are brought to one kind.
    """
    view = np.require(array, requirements=["C", "A"]).view()
    view.flags.writeable = False
    return view
