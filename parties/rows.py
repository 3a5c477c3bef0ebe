"""Both sides count in the same rows: a digest under a fresh session key, or an earlier agreement.

The digest is no private matching. It tells equal lists from different ones and nothing more; a
side that knows all ids of the other but one can test guesses for that one.
"""

import hashlib
import hmac
import secrets
from collections.abc import Sequence

from parties.messages import MatchRows, Refusal, SessionCode, UseAlignment


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
            f"the label party brings {request.n_rows} rows, this party {len(ids)}: the tables must "
            "be aligned first",
        )
    if not hmac.compare_digest(request.digest, digest_rows(request.digest_key, ids)):
        raise Refusal(
            SessionCode.ROWS_DIFFER,
            f"both sides bring {len(ids)} rows, but not the same ids in the same order: the tables "
            "must be aligned first",
        )


def check_alignment(request: UseAlignment, n_rows: int | None) -> None:
    """Compare a peer's request with the agreement that we hold.

    Parameters
    ----------
    request : UseAlignment
    n_rows : int or None
        Rows of our agreement of that name; None where we hold none.

    Raises
    ------
    Refusal
        With code ``unknown_alignment``, or ``rows_differ`` if ours has another number of rows.
    """
    if n_rows is None:
        raise Refusal(
            SessionCode.UNKNOWN_ALIGNMENT,
            f"this party holds no alignment {request.alignment.hex()[:8]}; align again",
        )
    if request.n_rows != n_rows:
        raise Refusal(
            SessionCode.ROWS_DIFFER,
            f"alignment {request.alignment.hex()[:8]} has {n_rows} rows here, {request.n_rows} at "
            "the label party; align again",
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
