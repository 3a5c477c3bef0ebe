"""Signatures with the key of a party's certificate, the one that it proves itself with on the wire.

What is signed begins with words of its own, so that no signature made here can pass for one of the
TLS handshake (whose text begins with 64 spaces) or the other way round.
"""

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from parties.certificates import TLS, read_identity
from parties.errors import CertificateError
from secureboost.errors import ModelError

_CONTEXT = b"SecureBoost: consent to the release of half a model\n"


def sign(text: bytes, tls: TLS, party: str) -> tuple[bytes, bytes]:
    """Sign with our own certificate's key.

    Parameters
    ----------
    text : bytes
    tls : TLS
        Of which our certificate and key are read.
    party : str
        Who signs; the certificate must bear this name.

    Returns
    -------
    certificate : bytes
        PEM.
    signature : bytes

    Raises
    ------
    parties.errors.CertificateError
        If certificate or key cannot be used, are another party's, or are of a kind that is not
        known here.
    """
    identity = read_identity(tls)
    if identity.certificate.party != party:
        raise CertificateError(
            "",
            f"{tls.certificate} is the certificate of {identity.certificate.party!r}; the half is "
            f"{party!r}'s",
        )
    key = serialization.load_pem_private_key(identity.private_key, None)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return identity.certificate.pem, key.sign(_CONTEXT + text, ec.ECDSA(hashes.SHA256()))
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return identity.certificate.pem, key.sign(_CONTEXT + text)
    raise CertificateError(
        "",
        f"{tls.private_key} is neither an EC nor an Ed25519 key; make one with `secureboost cert`",
    )


def check_signature(text: bytes, certificate: bytes, signature: bytes, party: str) -> str:
    """Check what `sign` gave.

    Parameters
    ----------
    text : bytes
    certificate : bytes
        PEM.
    signature : bytes
    party : str
        Who should have signed.

    Returns
    -------
    str
        The certificate's fingerprint. Whether it is that party's own is for the caller to know.

    Raises
    ------
    secureboost.errors.ModelError
        If the certificate is none, another party's, or the signature is not of this text.
    """
    try:
        read = x509.load_pem_x509_certificate(certificate)
        names = read.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        key = read.public_key()
    except ValueError as error:
        raise ModelError(
            f"The release of {party!r} holds bytes that are no certificate."
        ) from error
    if [name.value for name in names] != [party]:
        raise ModelError(f"The release of {party!r} is signed with another party's certificate.")
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, _CONTEXT + text, ec.ECDSA(hashes.SHA256()))
        elif isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, _CONTEXT + text)
        else:
            raise ModelError(f"The release of {party!r} is signed with an unknown kind of key.")
    except InvalidSignature:
        raise ModelError(
            f"The release of {party!r} bears a signature of something else: it was changed since."
        ) from None
    return read.fingerprint(hashes.SHA256()).hex()
