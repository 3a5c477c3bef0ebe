"""What must fit into a feature party's memory."""

from parties.messages import Refusal, SessionCode

MOST_CUT_BYTES = 1 << 28
"""Most bytes of one answer: what is asked for must fit into memory."""


def check_fits(n_rows: int, width: int) -> None:
    """Refuse an answer that is too large.

    Raises
    ------
    Refusal
    """
    most = MOST_CUT_BYTES // (8 * width)
    if n_rows > most:
        raise Refusal(
            SessionCode.ROWS_REFUSED, f"{n_rows} rows of {width} numbers at a time; at most {most}"
        )
