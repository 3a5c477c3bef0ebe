"""Making and reading certificates and keys."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from parties.certificates import TLS, create_certificate, read_identity, read_pins
from parties.errors import CertificateError, PartyNameError


@pytest.fixture
def tls(tmp_path: Path) -> TLS:
    files = TLS(tmp_path / "own.pem", tmp_path / "own.key", tmp_path / "own.pem")
    create_certificate(
        "bureau", files.certificate, files.private_key, hosts=["bureau.example", "10.0.0.7", "::1"]
    )
    return files


def test_made_files_are_read_back(tls: TLS) -> None:
    identity = read_identity(tls)
    (pin,) = read_pins(tls.peer_certificate)
    assert identity.certificate == pin
    assert (pin.party, pin.host, len(pin.fingerprint)) == ("bureau", "bureau.example", 64)
    assert 363 < (pin.expires - datetime.now(UTC)).days < 366
    assert tls.private_key.stat().st_mode & 0o777 == 0o600
    assert b"PRIVATE" not in repr(identity).encode()
    assert "secret" not in repr(replace(tls, passphrase=b"secret"))


def test_existing_files_are_kept(tls: TLS, tmp_path: Path) -> None:
    before = tls.private_key.read_bytes()
    for certificate, key in (
        (tmp_path / "x.pem", tls.private_key),
        (tls.certificate, tmp_path / "x"),
    ):
        with pytest.raises(CertificateError, match="exists; remove it or choose another path"):
            create_certificate("bureau", certificate, key)
    assert tls.private_key.read_bytes() == before
    assert not (tmp_path / "x").exists()
    assert not (tmp_path / "x.pem").exists()


def test_passphrases(tmp_path: Path) -> None:
    tls = TLS(tmp_path / "c.pem", tmp_path / "c.key", tmp_path / "c.pem", b"right")
    create_certificate("bureau", tls.certificate, tls.private_key, passphrase=b"right")
    read_identity(tls)
    with pytest.raises(CertificateError, match=r"c\.key: wrong passphrase"):
        read_identity(replace(tls, passphrase=b"wrong"))
    with pytest.raises(CertificateError, match=r"c\.key is encrypted; give its passphrase"):
        read_identity(replace(tls, passphrase=None))


def test_a_passphrase_too_many(tls: TLS) -> None:
    with pytest.raises(CertificateError, match=r"own\.key is not encrypted"):
        read_identity(replace(tls, passphrase=b"x"))


def test_a_key_that_others_can_read(tls: TLS) -> None:
    tls.private_key.chmod(0o640)
    with pytest.raises(
        CertificateError, match=r"own\.key can be read by others \(mode 640\).*chmod"
    ):
        read_identity(tls)


def test_a_key_of_another_certificate(tls: TLS, tmp_path: Path) -> None:
    create_certificate("bureau", tmp_path / "b.pem", tmp_path / "b.key")
    with pytest.raises(
        CertificateError, match=r"b\.key is not the key of the certificate .*own\.pem"
    ):
        read_identity(replace(tls, private_key=tmp_path / "b.key"))


def test_missing_and_broken_files(tls: TLS, tmp_path: Path) -> None:
    junk = tmp_path / "junk"
    junk.write_text("junk")
    junk.chmod(0o600)
    with pytest.raises(CertificateError, match=r"cannot read certificate .*gone: No such file"):
        read_pins(tmp_path / "gone")
    with pytest.raises(CertificateError, match=r"cannot read key .*gone: No such file"):
        read_identity(replace(tls, private_key=tmp_path / "gone"))
    with pytest.raises(CertificateError, match="junk holds no certificate in PEM form"):
        read_pins(junk)
    with pytest.raises(CertificateError, match="junk: not a private key in PEM form"):
        read_identity(replace(tls, private_key=junk))
    tls.certificate.write_bytes(tls.certificate.read_bytes() * 2)
    with pytest.raises(CertificateError, match="holds 2 certificates, not 1"):
        read_identity(tls)


def test_dates(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    for stem, start in (("old", now - timedelta(days=9)), ("new", now + timedelta(days=9))):
        create_certificate(
            "bureau", tmp_path / f"{stem}.pem", tmp_path / f"{stem}.key", days=2, valid_from=start
        )
    with pytest.raises(CertificateError, match=f"expired on {now - timedelta(days=7):%Y-%m-%d}"):
        read_pins(tmp_path / "old.pem")
    with pytest.raises(CertificateError, match=f"valid from {now + timedelta(days=9):%Y-%m-%d}"):
        read_pins(tmp_path / "new.pem")


@pytest.mark.parametrize("authority", [True, None])
def test_an_authority_is_no_pin(tmp_path: Path, authority: bool | None) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "bureau")])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
    )
    if authority is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca=authority, path_length=None), True)
    path = tmp_path / "ca.pem"
    path.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    with pytest.raises(CertificateError, match="not a self-signed certificate of one party"):
        read_pins(path)


def test_arguments(tmp_path: Path) -> None:
    files = (tmp_path / "a.pem", tmp_path / "a.key")
    with pytest.raises(PartyNameError, match="cannot name a party"):
        create_certificate("a/b", *files)
    with pytest.raises(CertificateError, match="days=0 must lie between 1 and 3650"):
        create_certificate("a", *files, days=0)
    with pytest.raises(CertificateError, match="hosts is empty"):
        create_certificate("a", *files, hosts=[])
    with pytest.raises(CertificateError, match="host 'ü' is neither"):
        create_certificate("a", *files, hosts=["ü"])
    with pytest.raises(CertificateError, match=r"cannot write .*no/a\.key: No such file"):
        create_certificate("a", tmp_path / "no" / "a.pem", tmp_path / "no" / "a.key")
    assert not any(tmp_path.iterdir())
