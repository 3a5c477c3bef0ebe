"""Group elements in bulk: sorted, looked for, checked for repetition. Rows of bytes in, no objects.

Elements are compared as bytes: groups encode each element in one way only.
"""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Elements: TypeAlias = NDArray[np.uint8]
"""Shape (n, element_bytes)."""

_BLOCK = 1 << 16


def sorting(elements: Elements) -> NDArray[np.int32]:
    """Return the order in which elements ascend as bytes, shape (n,)."""
    return np.argsort(_texts(elements)).astype(np.int32)


def ascends(elements: Elements, before: Elements | None = None) -> bool:
    """Tell whether every element is above the one before it, so that none is repeated either.

    Parameters
    ----------
    elements : Elements
    before : Elements, optional
        The last of these lies before the first of `elements`.
    """
    texts = _texts(elements)
    if before is not None and len(before) and len(texts) and not _texts(before)[-1] < texts[0]:
        return False
    return bool(np.all(texts[:-1] < texts[1:]))


def find(
    there: Elements, wanted: Elements, order: NDArray[np.int32] | None = None
) -> NDArray[np.int32]:
    """Look elements up.

    Parameters
    ----------
    there : Elements
        Where to look.
    wanted : Elements
    order : array of shape (len(there),), int32, optional
        The `sorting` of `there`; without, it is sorted.

    Returns
    -------
    array of shape (len(wanted),), int32
        The place of each in `there`; -1 where it is not there.
    """
    if not len(there):
        return np.full(len(wanted), -1, dtype=np.int32)
    known, texts = _texts(there), _texts(wanted)
    places = np.minimum(np.searchsorted(known, texts, sorter=order), len(known) - 1)
    if order is not None:
        places = order[places]
    return np.where(known[places] == texts, places, -1).astype(np.int32)


def repeated(elements: Elements, order: NDArray[np.int32]) -> bool:
    """Tell whether an element occurs twice; `order` is their `sorting`."""
    texts = _texts(elements)
    for first in range(0, len(order) - 1, _BLOCK):
        some = texts[order[first : first + _BLOCK + 1]]
        if (some[1:] == some[:-1]).any():
            return True
    return False


def _texts(elements: Elements) -> NDArray[Any]:
    """See rows as fixed-width byte strings, which numpy compares at once.

    NumPy ignores zeros at the end of such strings; of equal width, they are equal all the same if
    and only if their bytes are.
    """
    return np.ascontiguousarray(elements).view(f"S{elements.shape[1]}")[:, 0]
