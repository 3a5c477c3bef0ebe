"""Key files: a versioned JSON envelope, the private part encrypted at rest.

A private key file holds the public key, its fingerprint and, under AES-256-GCM with a key from
scrypt, the primes. Everything outside the encrypted part is authenticated with it. The file is
written in one step, readable by its owner only, and refused when others can read it. A public key
file is the same envelope without the encrypted part. Paillier's keys and those of blind RSA
signatures are kept so; a key is never read as one of the other kind.
"""

import os
import secrets
import stat
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from crypto.blind_rsa_private import SigningKey
from crypto.blind_rsa_public import VerificationKey
from crypto.errors import (
    KeyFileError,
    KeyFileExposedError,
    KeyFormatError,
    KeySizeError,
    WrongPassphraseError,
)
from crypto.modulus import decode_modulus
from crypto.paillier import PaillierScheme
from crypto.paillier_private import PaillierPrivateKey
from crypto.paillier_public import PaillierPublicKey
from crypto.primes import KnownPrime

FORMAT = "secureboost-key"
VERSION = 1
MAX_FILE_BYTES = 1 << 16
"""A key of 8192 bits takes some 10 kB; more is no key file."""

SCRYPT_N, SCRYPT_R, SCRYPT_P = 1 << 16, 8, 1
"""64 MiB and about a quarter of a second (RFC 7914)."""
MAX_SCRYPT_BYTES = 1 << 28
MAX_SCRYPT_P = 4
"""A hostile file may cost 256 MiB and a few seconds, not more."""

Public = TypeVar("Public", PaillierPublicKey, VerificationKey)


class _Scrypt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    salt: bytes
    n: int
    r: int
    p: int


class _Sealed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    scrypt: _Scrypt
    nonce: bytes
    ciphertext: bytes


class _Envelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    format: str
    version: int
    scheme: str
    key_bits: int
    fingerprint: str
    public_key: bytes
    private_key: _Sealed | None = None


class _Primes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The encrypted part: big-endian numbers; a primitive root is empty where unknown."""

    p: bytes
    q: bytes
    primitive_root_p: bytes
    primitive_root_q: bytes

    def __repr__(self) -> str:
        return "<primes of a private key>"


def write_public_key(
    path: Path, key: PaillierPublicKey | VerificationKey, *, overwrite: bool = False
) -> None:
    """Write a public key, for everybody to read.

    Raises
    ------
    KeyFileError
        If the file exists and may not be overwritten, or cannot be written.
    """
    _write(path, _encode(_public_envelope(key)), mode=0o644, overwrite=overwrite)


def read_public_key(path: Path, *, allow_insecure: bool = False) -> PaillierPublicKey:
    """Read and check the public key in a public or private key file.

    Raises
    ------
    KeyFileError, KeyFormatError, KeySizeError
    """
    return _public_key(path, _decode(path, _read(path, private=False)), _PAILLIER, allow_insecure)


def write_private_key(
    path: Path, key: PaillierPrivateKey | SigningKey, passphrase: str, *, overwrite: bool = False
) -> None:
    """Write a private key under a passphrase, readable by its owner only.

    Raises
    ------
    KeyFileError
        If the passphrase is empty, the file exists and may not be overwritten, or it cannot be
        written.
    """
    if not passphrase:
        raise KeyFileError(f"{path}: the passphrase is empty; a private key is never stored bare")
    public = _public_envelope(key.public_key)
    scrypt = _Scrypt(secrets.token_bytes(16), SCRYPT_N, SCRYPT_R, SCRYPT_P)
    nonce = secrets.token_bytes(12)
    sealed = AESGCM(_derive(scrypt, passphrase)).encrypt(
        nonce, msgspec.json.encode(_primes(key)), _authenticated(public, scrypt)
    )
    envelope = msgspec.structs.replace(public, private_key=_Sealed(scrypt, nonce, sealed))
    _write(path, _encode(envelope), mode=0o600, overwrite=overwrite)


def read_private_key(
    path: Path, passphrase: str, *, allow_insecure: bool = False
) -> PaillierPrivateKey:
    """Read a private key.

    Parameters
    ----------
    path : Path
    passphrase : str
        Asking for it is the caller's job.
    allow_insecure : bool
        Accept keys of `insecure_test_key`. For tests only.

    Raises
    ------
    KeyFileExposedError
        If others can read the file.
    WrongPassphraseError
        If the passphrase is wrong or the file was changed.
    KeyFileError, KeyFormatError, KeySizeError
    """
    public, primes = _unsealed(path, passphrase, _PAILLIER, allow_insecure)
    key = PaillierPrivateKey(
        KnownPrime(_from_bytes(primes.p), _from_bytes(primes.primitive_root_p) or None),
        KnownPrime(_from_bytes(primes.q), _from_bytes(primes.primitive_root_q) or None),
    )
    _check_halves(path, key.public_key.n, public.n)
    return key


def read_signing_key(path: Path, passphrase: str, *, allow_insecure: bool = False) -> SigningKey:
    """Read the private key of blind RSA signatures; see `read_private_key`.

    Raises
    ------
    KeyFileError, KeyFormatError, KeySizeError
    """
    public, primes = _unsealed(path, passphrase, _BLIND_RSA, allow_insecure)
    key = SigningKey(_from_bytes(primes.p), _from_bytes(primes.q))
    _check_halves(path, key.public_key.n, public.n)
    return key


@dataclass(frozen=True)
class _Kind(Generic[Public]):
    """A scheme whose keys have files, and how its public keys are decoded and checked."""

    scheme: str
    load: Callable[[bytes, bool], Public]


def _load_paillier(data: bytes, allow_insecure: bool) -> PaillierPublicKey:
    return PaillierScheme().load_public_key(data, allow_insecure=allow_insecure)


def _load_verification_key(data: bytes, allow_insecure: bool) -> VerificationKey:
    # Without the proof that a peer's key comes with: nobody blinds by a key from a file.
    n = decode_modulus(VerificationKey.scheme, data, allow_insecure=allow_insecure)
    return VerificationKey(n)


_PAILLIER = _Kind(PaillierScheme.name, _load_paillier)
_BLIND_RSA = _Kind(VerificationKey.scheme, _load_verification_key)


def _unsealed(
    path: Path, passphrase: str, kind: _Kind[Public], allow_insecure: bool
) -> tuple[Public, _Primes]:
    """Open a private key file: the public key, checked, and the primes."""
    envelope = _decode(path, _read(path, private=True))
    public = _public_key(path, envelope, kind, allow_insecure)
    sealed = envelope.private_key
    if sealed is None:
        raise KeyFileError(f"{path} holds a public key only; name the private key's file")
    _check_scrypt(path, sealed.scrypt)
    header = msgspec.structs.replace(envelope, private_key=None)
    try:
        plain = AESGCM(_derive(sealed.scrypt, passphrase)).decrypt(
            sealed.nonce, sealed.ciphertext, _authenticated(header, sealed.scrypt)
        )
    except (InvalidTag, ValueError):
        raise WrongPassphraseError(
            f"{path}: the passphrase is wrong, or the file was changed after it was written"
        ) from None
    return public, msgspec.json.decode(plain, type=_Primes)


def _check_halves(path: Path, private_n: int, public_n: int) -> None:
    if private_n != public_n:
        raise KeyFormatError(f"{path}: the private key does not belong to the public key")


def _primes(key: PaillierPrivateKey | SigningKey) -> _Primes:
    if isinstance(key, SigningKey):
        return _Primes(_to_bytes(key.p), _to_bytes(key.q), b"", b"")
    return _Primes(
        _to_bytes(key.p.value),
        _to_bytes(key.q.value),
        _to_bytes(key.p.primitive_root or 0),
        _to_bytes(key.q.primitive_root or 0),
    )


def _public_envelope(key: PaillierPublicKey | VerificationKey) -> _Envelope:
    return _Envelope(FORMAT, VERSION, key.scheme, key.key_bits, key.fingerprint, key.to_bytes())


def _public_key(
    path: Path, envelope: _Envelope, kind: _Kind[Public], allow_insecure: bool
) -> Public:
    if envelope.scheme != kind.scheme:
        raise KeyFormatError(
            f"{path}: scheme={envelope.scheme[:40]!r} cannot be used here; name the file of a "
            f"{kind.scheme!r} key"
        )
    try:
        key = kind.load(envelope.public_key, allow_insecure)
    except (KeyFormatError, KeySizeError) as error:
        raise type(error)(f"{path}: {error}") from None
    if key.key_bits != envelope.key_bits or key.fingerprint != envelope.fingerprint:
        raise KeyFormatError(
            f"{path}: key_bits={envelope.key_bits} or the fingerprint does not belong to the key; "
            "the file was changed"
        )
    return key


def _encode(envelope: _Envelope) -> bytes:
    return msgspec.json.format(msgspec.json.encode(envelope), indent=2) + b"\n"


def _decode(path: Path, data: bytes) -> _Envelope:
    try:
        envelope = msgspec.json.decode(data, type=_Envelope)
    except msgspec.DecodeError as error:  # includes ValidationError; neither quotes a value
        raise KeyFormatError(f"{path} is not a key file: {error}") from None
    if envelope.format != FORMAT or envelope.version != VERSION:
        raise KeyFormatError(
            f"{path}: format {envelope.format[:40]!r} version {envelope.version} is not "
            f"{FORMAT!r} version {VERSION}; use the release that wrote it"
        )
    return envelope


def _authenticated(header: _Envelope, scrypt: _Scrypt) -> bytes:
    """Return what AES-GCM authenticates beside the primes: all the rest of the file."""
    return msgspec.json.encode((header, scrypt))


def _check_scrypt(path: Path, scrypt: _Scrypt) -> None:
    memory = 128 * scrypt.n * scrypt.r
    power_of_two = scrypt.n > 1 and scrypt.n & (scrypt.n - 1) == 0
    if (
        not power_of_two
        or not 1 <= scrypt.p <= MAX_SCRYPT_P
        or scrypt.r < 1
        or memory > MAX_SCRYPT_BYTES
    ):
        raise KeyFormatError(
            f"{path}: scrypt with n={scrypt.n}, r={scrypt.r}, p={scrypt.p} is refused: n must be a "
            f"power of two, 128*n*r at most {MAX_SCRYPT_BYTES} bytes and p at most {MAX_SCRYPT_P}"
        )


def _derive(scrypt: _Scrypt, passphrase: str) -> bytes:
    return Scrypt(salt=scrypt.salt, length=32, n=scrypt.n, r=scrypt.r, p=scrypt.p).derive(
        passphrase.encode()
    )


def _read(path: Path, *, private: bool) -> bytes:
    try:
        with path.open("rb") as file:
            # The mode of what was opened, not of what the name may point to by now.
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if private and mode & 0o077:
                raise KeyFileExposedError(
                    f"{path} can be read by others (mode {mode:03o}); run: chmod 600 {path}"
                )
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise KeyFileError(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > MAX_FILE_BYTES:
        raise KeyFormatError(f"{path} is longer than {MAX_FILE_BYTES} bytes, so no key file")
    return data


def _write(path: Path, data: bytes, *, mode: int, overwrite: bool) -> None:
    """Write in one step: the whole file appears under its name, or nothing does."""
    temporary: str | None = None
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        if overwrite:
            os.replace(temporary, path)
            temporary = None
        else:
            os.link(temporary, path)  # fails if the name exists, without a race
    except FileExistsError:
        raise KeyFileError(
            f"{path} exists; remove it first if the key in it is no longer needed"
        ) from None
    except OSError as error:
        raise KeyFileError(f"{path} cannot be written: {error.strerror}") from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def _to_bytes(number: int) -> bytes:
    return number.to_bytes(-(-number.bit_length() // 8), "big")


def _from_bytes(data: bytes) -> int:
    return int.from_bytes(data, "big")
