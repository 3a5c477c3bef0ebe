"""What can go wrong on this side of the wire, and the exit codes of the command line.

::

    SecureBoostError
    ├── ConfigError (also ValueError)   a setting is unknown, missing or out of its limits
    ├── DataError   (also ValueError)   a table, a column, an id or a label cannot be used
    │   ├── NothingCommonError          no row of a table is also another party's
    │   └── LimitError                  a good table has too few or too many rows for a limit
    ├── ModelError                      a model file is damaged, or does not belong to the others
    │   └── ConsentError                a party has not agreed that the model is taken out
    ├── AlignmentError                  an alignment is unknown, damaged, or of another table
    └── IntegrityError                  a party's numbers contradict what must hold

    Terminated (a KeyboardInterrupt)    the process was told to end by SIGTERM
    UnmatchedRowsWarning (a UserWarning)    rows that not all parties have are left out
    MissingPartyWarning (a UserWarning)     a network does without a party

What peers and keys do wrong is in `parties.errors` and `crypto.errors`.

====  ===============================================================================
code  meaning (`ExitCode`)
====  ===============================================================================
0     all went well
1     something else failed: the operating system, or SecureBoost itself
2     wrong usage of the command line
3     bad configuration
4     bad data, or more or fewer rows than a limit allows
5     a peer could not be reached or did not answer in time
6     a peer refused, or broke the protocol
7     integrity: sums that fail their checks, tampered files, halves that do not match
8     a key, its passphrase or a certificate cannot be used
130   stopped by Ctrl-C
143   stopped by SIGTERM; `secureboost serve`, whose work has no end of its own, gives 0
====  ===============================================================================
"""

from collections.abc import Iterable
from difflib import get_close_matches
from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of the command line; the module's table says what each means."""

    OK = 0
    INTERNAL = 1
    USAGE = 2
    CONFIG = 3
    DATA = 4
    UNREACHABLE = 5
    REFUSED = 6
    INTEGRITY = 7
    KEYS = 8
    INTERRUPTED = 130
    TERMINATED = 143


class SecureBoostError(Exception):
    """Base class of the errors that SecureBoost raises itself."""


class ConfigError(SecureBoostError, ValueError):
    """A setting cannot be used.

    Parameters
    ----------
    message : str
        What is wrong with it and what to do.
    path : str
        The setting as written in TOML, ``party.bureau.address``; empty for the file as a whole.
    """

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message, path)  # both, so that the error can be pickled
        self.message = message
        self.path = path

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class DataError(SecureBoostError, ValueError):
    """A table cannot be used; the text names the table, column and row positions, never a value."""


class NothingCommonError(DataError):
    """No row of the label party's table is also another party's."""


class LimitError(DataError):
    """A table is good, but fewer of its rows are common, or more are new, than a limit allows."""


class ModelError(SecureBoostError):
    """A model file is damaged or does not belong to the others."""


class ConsentError(ModelError):
    """A feature party has not agreed that its half of the model is taken out."""


class AlignmentError(SecureBoostError):
    """An alignment of rows is unknown or damaged, or belongs to another table."""


class IntegrityError(SecureBoostError):
    """A party's numbers contradict what must hold: it is faulty or not honest. Nothing is kept.

    Parameters
    ----------
    party : str
    message : str
        Which check failed, for which node and anonymous column.
    """

    def __init__(self, party: str, message: str) -> None:
        super().__init__(party, message)
        self.party = party
        self.message = message

    def __str__(self) -> str:
        return f"party {self.party!r}: {self.message}"


class UnmatchedRowsWarning(UserWarning):
    """Rows are left out, since not all parties have them; the text counts them."""


class MissingPartyWarning(UserWarning):
    """A network does without a party; the text names it, and says what that costs."""


class Terminated(KeyboardInterrupt):
    """SIGTERM arrived; as with Ctrl-C, what is under way is released on the way out."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the known name nearest to `name`, or an empty string."""
    by_lower_case = {candidate.lower(): candidate for candidate in known}
    near = get_close_matches(name.lower(), by_lower_case, n=1)
    return f" Did you mean {by_lower_case[near[0]]!r}?" if near else ""
