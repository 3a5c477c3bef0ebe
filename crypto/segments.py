"""The edge check of segment sums: kernels behind it do not check bounds again."""

import numpy as np

from crypto.errors import SegmentError
from crypto.scheme import RowIndices


def check_segments(n_rows: int, rows: RowIndices, starts: RowIndices) -> None:
    """Refuse rows and starts that point outside.

    Parameters
    ----------
    n_rows : int
        Number of ciphertexts.
    rows, starts : arrays of int64
        As in `PublicKey.sum_by_segment`.

    Raises
    ------
    SegmentError
    """
    if rows.dtype != np.int64 or starts.dtype != np.int64 or rows.ndim != 1 or starts.ndim != 1:
        raise SegmentError(
            f"rows ({rows.dtype}, {rows.ndim} dimensions) and starts ({starts.dtype}, "
            f"{starts.ndim} dimensions) must be one-dimensional int64 arrays"
        )
    if len(rows) and not (rows.min() >= 0 and rows.max() < n_rows):
        bad = int(np.flatnonzero((rows < 0) | (rows >= n_rows))[0])
        raise SegmentError(f"rows[{bad}] is outside the {n_rows} ciphertexts")
    if not len(starts) or starts[0] != 0 or starts[-1] != len(rows) or (np.diff(starts) < 0).any():
        raise SegmentError(
            f"starts must rise from 0 to the {len(rows)} rows; sort the rows by segment first"
        )
