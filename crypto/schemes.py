"""The registry of schemes: a new cipher is one file and one line here."""

from crypto.errors import SchemeUnavailableError
from crypto.paillier import PaillierScheme, ShortExponentPaillierScheme
from crypto.phe_scheme import PheScheme
from crypto.plain import PlainScheme
from crypto.scheme import PublicKey, Scheme

SCHEMES: dict[str, Scheme] = {
    scheme.name: scheme
    for scheme in (PaillierScheme(), ShortExponentPaillierScheme(), PlainScheme(), PheScheme())
}


def get_scheme(name: str) -> Scheme:
    """Look a scheme up.

    Raises
    ------
    SchemeUnavailableError
        If there is none of that name.
    """
    if name not in SCHEMES:
        raise SchemeUnavailableError(
            f"scheme={name[:40]!r} is unknown; use one of: {', '.join(SCHEMES)}"
        )
    return SCHEMES[name]


def load_public_key(scheme: str, data: bytes, *, allow_insecure: bool = False) -> PublicKey:
    """Decode and check a public key that came from somebody else.

    Parameters
    ----------
    scheme : str
        Name of the scheme that the sender says it uses.
    data : bytes
        What `PublicKey.to_bytes` returned.
    allow_insecure : bool
        Accept keys of `Scheme.insecure_test_key`. For tests only.

    Raises
    ------
    SchemeUnavailableError, KeyFormatError, KeySizeError
    """
    return get_scheme(scheme).load_public_key(data, allow_insecure=allow_insecure)
