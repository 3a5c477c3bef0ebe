"""Both sides hold the same rows in the same order: a digest under a fresh session key.

This is no private matching. It tells equal lists from different ones and nothing more; a side that
knows all ids of the other but one can test guesses for that one.
"""

import hashlib
import hmac
import secrets
from collections.abc import Sequence

from parties.messages import MatchRows, Refusal, SessionCode


def match_rows(ids: Sequence[str]) -> MatchRows:
    """Make the request that asks a peer whether it holds these rows in this order.

    Parameters
    ----------
    ids : sequence of str
        Row ids in order. Both sides must write an id the same way (``"7"`` is not ``"007"``).
    """
    key = secrets.token_bytes(32)
    return MatchRows(digest_key=key, n_rows=len(ids), digest=digest_rows(key, ids))


def check_rows(request: MatchRows, ids: Sequence[str]) -> None:
    """Compare a peer's request with our own rows.

    Raises
    ------
    Refusal
        With code ``rows_differ``: another number of rows (both numbers are told), other ids or
        another order.
    """
    if request.n_rows != len(ids):
        raise Refusal(
            SessionCode.ROWS_DIFFER,
            f"the label party brings {request.n_rows} rows, this party {len(ids)}. "
            "Both sides must bring the same ids in the same order",
        )
    if not hmac.compare_digest(request.digest, digest_rows(request.digest_key, ids)):
        raise Refusal(
            SessionCode.ROWS_DIFFER,
            f"both sides bring {len(ids)} rows, but not the same ids in the same order. "
            "Sort both tables by id and compare how ids are written",
        )


def digest_rows(key: bytes, ids: Sequence[str]) -> bytes:
    """HMAC-SHA256 of the ids in order, each with its length in front.

    Parameters
    ----------
    key : bytes
        32 bytes, fresh for the session.
    ids : sequence of str

    Returns
    -------
    bytes, 32 long
    """
    digest = hmac.new(key, digestmod=hashlib.sha256)
    for row_id in ids:
        encoded = row_id.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    return digest.digest()
