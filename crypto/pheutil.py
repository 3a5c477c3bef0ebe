"""Import and export of python-paillier's JSON keys, as its command `pheutil` writes them.

They are shaped like JSON web keys: ``kty`` "DAJ", ``alg`` "PAI-GN1", numbers in unpadded
base64url. A private key holds p, q and the public key *without any encryption*. No primitive roots
are known for an imported key, so it encrypts more slowly (see `crypto.paillier_private`).
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import msgspec

from crypto.errors import KeyFormatError
from crypto.modulus import MAX_KEY_BITS, check_modulus
from crypto.paillier_private import PaillierPrivateKey
from crypto.paillier_public import PaillierPublicKey
from crypto.primes import KnownPrime

MAX_BYTES = 1 << 16


def export_public_key(key: PaillierPublicKey) -> str:
    """Write a public key as `pheutil extract` does."""
    return msgspec.json.encode(_public_fields(key)).decode()


def export_unprotected_private_key(key: PaillierPrivateKey) -> str:
    """Write a private key as `pheutil genpkey` does: whoever reads it can decrypt everything."""
    return msgspec.json.encode(
        {
            "kty": "DAJ",
            "key_ops": ["decrypt"],
            "p": _to_base64(key.p.value),
            "q": _to_base64(key.q.value),
            "pub": _public_fields(key.public_key),
            "kid": f"Paillier private key {key.public_key.fingerprint[:16]}",
        }
    ).decode()


def import_public_key(text: str | bytes, *, allow_insecure: bool = False) -> PaillierPublicKey:
    """Read and check a public key.

    Raises
    ------
    KeyFormatError, KeySizeError
    """
    return _public_key(_parse(text), allow_insecure)


def import_private_key(text: str | bytes, *, allow_insecure: bool = False) -> PaillierPrivateKey:
    """Read and check a private key.

    Raises
    ------
    KeyFormatError, KeySizeError
    """
    fields = _parse(text)
    public_fields = fields.get("pub")
    if fields.get("kty") != "DAJ" or not isinstance(public_fields, dict):
        raise KeyFormatError("not a private key of pheutil: kty must be 'DAJ' and pub an object")
    public = _public_key(public_fields, allow_insecure)
    p, q = (_from_base64(fields, name) for name in ("p", "q"))
    if p * q != public.n:
        raise KeyFormatError("p * q is not the n in pub; the key is damaged")
    return PaillierPrivateKey(KnownPrime(p, None), KnownPrime(q, None))


def _public_fields(key: PaillierPublicKey) -> dict[str, Any]:
    return {
        "kty": "DAJ",
        "alg": "PAI-GN1",
        "key_ops": ["encrypt"],
        "n": _to_base64(key.n),
        "kid": f"Paillier public key {key.fingerprint[:16]}",
    }


def _public_key(fields: dict[str, Any], allow_insecure: bool) -> PaillierPublicKey:
    if fields.get("kty") != "DAJ" or fields.get("alg") != "PAI-GN1":
        raise KeyFormatError(
            "not a public key of pheutil: kty must be 'DAJ' and alg 'PAI-GN1' (generator 1 + n)"
        )
    n = _from_base64(fields, "n")
    check_modulus(n, allow_insecure=allow_insecure)
    return PaillierPublicKey(n)


def _parse(text: str | bytes) -> dict[str, Any]:
    if len(text) > MAX_BYTES:
        raise KeyFormatError(f"{len(text)} characters are too many for a key; at most {MAX_BYTES}")
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise KeyFormatError(f"not a key of pheutil: {error}") from None


def _to_base64(number: int) -> str:
    data = number.to_bytes(-(-number.bit_length() // 8), "big")
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _from_base64(fields: dict[str, Any], name: str) -> int:
    text = fields.get(name)
    if not isinstance(text, str) or not text:
        raise KeyFormatError(f"{name} is missing; pheutil of python-paillier 1.5 writes it")
    if len(text) > MAX_KEY_BITS // 4:
        raise KeyFormatError(f"{name} is longer than a key of {MAX_KEY_BITS} bits")
    try:
        data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        raise KeyFormatError(f"{name} is not base64url") from None
    return int.from_bytes(data, "big")
