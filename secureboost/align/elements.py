"""Group elements in bulk: sorted, looked for, checked for repetition. Rows of bytes in, no objects.

Elements are compared as bytes: groups encode each element in one way only.
"""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Elements: TypeAlias = NDArray[np.uint8]
"""Shape (n, element_bytes)."""


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


def find(ascending: Elements, wanted: Elements) -> NDArray[np.int32]:
    """Look elements up.

    Parameters
    ----------
    ascending : Elements
        Where to look, sorted.
    wanted : Elements

    Returns
    -------
    array of shape (len(wanted),), int32
        The place of each in `ascending`; -1 where it is not there.
    """
    if not len(ascending):
        return np.full(len(wanted), -1, dtype=np.int32)
    there, texts = _texts(ascending), _texts(wanted)
    places = np.minimum(np.searchsorted(there, texts), len(there) - 1)
    return np.where(there[places] == texts, places, -1).astype(np.int32)


def _texts(elements: Elements) -> NDArray[Any]:
    """See rows as fixed-width byte strings, which numpy compares at once.

    NumPy ignores zeros at the end of such strings; of equal width, they are equal all the same if
    and only if their bytes are.
    """
    return np.ascontiguousarray(elements).view(f"S{elements.shape[1]}")[:, 0]
