"""Self-signed certificates: make them, read them, check them.

Each party makes its own certificate and key. The two companies exchange the certificate files out
of band and compare fingerprints on the phone; each side then *pins* the other's certificate. No
authority is involved, so nobody else can vouch for a stranger.
"""

import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NoReturn

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from parties.errors import CertificateError
from parties.messages import check_name

DAYS = 365
_SKEW = timedelta(hours=1)  # the other company's clock may be behind ours


@dataclass(frozen=True)
class TLS:
    """Files of one side of a connection.

    Attributes
    ----------
    certificate, private_key : Path
        Our own, as PEM.
    peer_certificate : Path
        The certificates that we accept from the other side, as PEM; usually one. A party that
        listens for several may put them one after the other.
    passphrase : bytes or None
        Of the private key, if it is encrypted.
    """

    certificate: Path
    private_key: Path
    peer_certificate: Path
    passphrase: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Certificate:
    """A certificate that was read and found in order.

    Attributes
    ----------
    party : str
        The name in it (common name).
    host : str
        First of the host names or addresses in it.
    fingerprint : str
        SHA-256 of the certificate, in hexadecimal.
    expires : datetime
    pem : bytes
    """

    party: str
    host: str
    fingerprint: str
    expires: datetime
    pem: bytes = field(repr=False)


@dataclass(frozen=True)
class Identity:
    """Our own certificate with its key; never pickled or copied.

    Attributes
    ----------
    certificate : Certificate
    private_key : bytes
        PEM, decrypted; for the TLS library only.
    """

    certificate: Certificate
    private_key: bytes = field(repr=False)

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"the identity of {self.certificate.party!r} has a private key and is never pickled or "
            "copied. What holds it stays in its process: search and cross-validate with n_jobs=1, "
            'or with threads (joblib.parallel_config(backend="threading")); elsewhere, make it of '
            "its files (read_identity)"
        )


def create_certificate(
    party: str,
    certificate: Path,
    private_key: Path,
    *,
    hosts: Sequence[str] = ("localhost",),
    days: int = DAYS,
    valid_from: datetime | None = None,
    passphrase: bytes | None = None,
) -> Certificate:
    """Make a key (EC P-256) and a self-signed certificate for both roles of TLS.

    Parameters
    ----------
    party : str
        Name of the party, as in every message of it.
    certificate, private_key : Path
        Files to write. The key is readable by its owner only; existing files are never replaced.
    hosts : sequence of str
        Host names and IP addresses, for information: what is checked is the pinned certificate.
    days : int
    valid_from : datetime or None
        None: an hour ago, since clocks differ.
    passphrase : bytes or None
        Encrypts the key file.

    Raises
    ------
    CertificateError
        If a file exists or cannot be written, or hosts or days are unusable.
    PartyNameError
    """
    check_name(party)
    if not hosts:
        raise CertificateError("", "hosts is empty; give at least one host name or address")
    if not 1 <= days <= 3650:
        raise CertificateError("", f"days={days} must lie between 1 and 3650")
    key = ec.generate_private_key(ec.SECP256R1())
    start = valid_from or datetime.now(UTC) - _SKEW
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, party)])
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([_general_name(h) for h in hosts]), False)
        # Not an authority: it can stand for itself alone, which is what makes the pin a pin.
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        .add_extension(
            x509.ExtendedKeyUsage(
                [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
            ),
            False,
        )
        .sign(key, hashes.SHA256())
    )
    encryption = (
        serialization.BestAvailableEncryption(passphrase)
        if passphrase
        else serialization.NoEncryption()
    )
    key_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )
    if certificate.exists():
        raise CertificateError("", f"{certificate} exists; remove it or choose another path")
    _write_new(private_key, key_pem, 0o600)
    _write_new(certificate, built.public_bytes(serialization.Encoding.PEM), 0o644)
    return _describe(built)


def read_identity(tls: TLS) -> Identity:
    """Read and check our own certificate and key.

    Raises
    ------
    CertificateError
        Missing or unreadable file, wrong passphrase, key readable by others, key of another
        certificate, certificate not valid today.
    """
    certificates = _read_certificates(tls.certificate)
    if len(certificates) != 1:
        raise CertificateError(
            "", f"{tls.certificate} holds {len(certificates)} certificates, not 1"
        )
    key = _read_key(tls.private_key, tls.passphrase)
    if _public(key.public_key()) != _public(certificates[0].public_key()):
        raise CertificateError(
            "", f"{tls.private_key} is not the key of the certificate {tls.certificate}"
        )
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return Identity(_describe(certificates[0]), pem)


def read_pins(path: Path) -> tuple[Certificate, ...]:
    """Read and check the certificates that we accept from the other side.

    Raises
    ------
    CertificateError
        Missing or unreadable file, a certificate that is not valid today, was signed by somebody
        else or may itself sign others.
    """
    certificates = _read_certificates(path)
    for certificate in certificates:
        if certificate.issuer != certificate.subject or _is_authority(certificate):
            raise CertificateError(
                "",
                f"{path} is not a self-signed certificate of one party; pin the certificate that "
                "the other side made with `secureboost cert`",
            )
    return tuple(_describe(certificate) for certificate in certificates)


def fingerprint_of(der_or_pem: bytes) -> str:
    """SHA-256 of a certificate in hexadecimal.

    Raises
    ------
    CertificateError
        If the bytes are no certificate.
    """
    try:
        load = x509.load_pem_x509_certificate
        if not der_or_pem.lstrip().startswith(b"-----"):
            load = x509.load_der_x509_certificate
        return load(der_or_pem).fingerprint(hashes.SHA256()).hex()
    except ValueError as error:
        raise CertificateError("", "bytes that are no certificate") from error


def _read_certificates(path: Path) -> list[x509.Certificate]:
    try:
        certificates = x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as error:
        raise CertificateError("", f"cannot read certificate {path}: {error.strerror}") from None
    except ValueError:
        raise CertificateError("", f"{path} holds no certificate in PEM form") from None
    now = datetime.now(UTC)
    for certificate in certificates:
        start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        if now > end:
            raise CertificateError(
                "",
                f"certificate {path} expired on {end:%Y-%m-%d %H:%M} UTC; its owner makes another "
                "with `secureboost cert` and both sides exchange it",
            )
        if now < start:
            raise CertificateError(
                "",
                f"certificate {path} is valid from {start:%Y-%m-%d %H:%M} UTC on, and it is "
                f"{now:%Y-%m-%d %H:%M}; check this machine's clock",
            )
    return certificates


def _read_key(path: Path, passphrase: bytes | None) -> PrivateKeyTypes:
    try:
        mode = path.stat().st_mode
        data = path.read_bytes()
    except OSError as error:
        raise CertificateError("", f"cannot read key {path}: {error.strerror}") from None
    if mode & 0o077:
        raise CertificateError(
            "", f"key {path} can be read by others (mode {mode & 0o777:03o}); run: chmod 600 {path}"
        )
    try:
        return serialization.load_pem_private_key(data, passphrase)
    except TypeError:
        given = "is not encrypted, but a passphrase was given"
        missing = "is encrypted; give its passphrase"
        raise CertificateError("", f"key {path} {given if passphrase else missing}") from None
    except ValueError:
        reason = "wrong passphrase, or not a key" if passphrase else "not a private key"
        raise CertificateError("", f"cannot read key {path}: {reason} in PEM form") from None


def _describe(certificate: x509.Certificate) -> Certificate:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    try:
        hosts = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        hosts = x509.SubjectAlternativeName([])
    if not names or not list(hosts):
        raise CertificateError(
            "", "a certificate has no name or no host names; make it with `secureboost cert`"
        )
    return Certificate(
        party=str(names[0].value),
        host=str(next(iter(hosts)).value),
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
        expires=certificate.not_valid_after_utc,
        pem=certificate.public_bytes(serialization.Encoding.PEM),
    )


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return True  # nothing says that it may not sign others


def _public(key: object) -> bytes:
    encoded: bytes = key.public_bytes(  # type: ignore[attr-defined]
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return encoded


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        return x509.DNSName(host)
    except ValueError:
        raise CertificateError("", f"host {host!r} is neither a host name nor an address") from None


def _write_new(path: Path, data: bytes, mode: int) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        raise CertificateError("", f"{path} exists; remove it or choose another path") from None
    except OSError as error:
        raise CertificateError("", f"cannot write {path}: {error.strerror}") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
