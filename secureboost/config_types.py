"""What single settings may be: names, counts, shares, addresses."""

import re
from typing import Annotated

from msgspec import Meta

from secureboost.errors import ConfigError

_PARTY_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_ADDRESS = re.compile(r"(?P<host>[^\s:/\[\]]+|\[[0-9A-Fa-f:.]+\]):(?P<port>[0-9]{1,5})")

Name = Annotated[str, Meta(min_length=1)]
Names = Annotated[list[Name], Meta(min_length=1)]
Count = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Share = Annotated[float, Meta(ge=0, lt=1)]
Seed = Annotated[int, Meta(ge=0, lt=2**32)]


def check_party_name(name: str, path: str = "party") -> None:
    """Refuse a party name that could not name its files, or is taken by the label party's.

    Raises
    ------
    ConfigError
    """
    if not _PARTY_NAME.fullmatch(name) or name.lower() == "label":
        raise ConfigError(
            f"{name!r} cannot name a feature party. Use a letter, then up to 63 letters, digits, "
            "'-' or '_'; 'label' is taken by the label party.",
            path,
        )


def check_one_way(dial: str, dialled: str | None, listen: str, waited: str | None) -> None:
    """Check that exactly one of two addresses is given and reads host:port.

    Parameters
    ----------
    dial, listen : str
        Their keys: of the address that we dial, and of the one that we wait on.
    dialled, waited : str, optional
        The addresses.

    Raises
    ------
    ConfigError
    """
    if (dialled is None) == (waited is None):
        raise ConfigError(f"give exactly one of {dial!r} (we dial) and {listen!r} (we wait)", dial)
    address, key = (dialled, dial) if dialled is not None else (waited, listen)
    match = _ADDRESS.fullmatch(address or "")
    lowest = 0 if key == listen else 1  # port 0 lets the system choose one to listen on
    if not match or not lowest <= int(match["port"]) <= 65_535:
        raise ConfigError(
            f"{address!r} is not host:port with a port of {lowest} to 65535, as in "
            "'bureau.example:7443'",
            key,
        )
