import stat
from datetime import UTC, datetime, timedelta

import pytest
from support.cli import run

from parties.certificates import TLS, create_certificate, read_identity, read_pins
from secureboost.cli.layout import grouped


def make(folder, party="bureau", **options):
    certificate = folder / f"{party}.crt"
    made = create_certificate(party, certificate, folder / f"{party}.key", **options)
    return certificate, made


def test_a_certificate_with_which_one_can_connect(tmp_path):
    out = tmp_path / "certs"
    hosts = ("--host", "bureau.example", "--host", "10.0.0.5")
    result = run("cert", "bureau", "--out", out, *hosts, "--days", "30")
    assert result.exit_code == 0, result.stderr
    tls = TLS(out / "bureau.crt", out / "bureau.key", out / "bureau.crt")
    certificate = read_identity(tls).certificate
    assert certificate.party == "bureau"
    assert certificate.fingerprint == read_pins(tls.peer_certificate)[0].fingerprint
    assert stat.S_IMODE(tls.private_key.stat().st_mode) == 0o600
    for shown in (
        tls.certificate,
        f"{tls.private_key} (never leaves you)",
        "bureau.example, 10.0.0.5",
        f"{certificate.expires:%Y-%m-%d %H:%M} UTC",
        *grouped(certificate.fingerprint).splitlines(),
    ):
        assert str(shown) in result.stdout
    assert "PRIVATE KEY" not in result.output
    for step in ("1. Send", "2. On the phone", "`secureboost cert --show bureau.crt`", "3. Each"):
        assert step in result.stderr


def test_a_fingerprint_is_grouped_for_the_phone():
    lines = grouped("0123456789abcdef" * 4).splitlines()
    assert lines == ["0123 4567 89ab cdef"] * 4


def test_existing_files_are_kept(tmp_path):
    certificate, _ = make(tmp_path)
    before = certificate.read_bytes()
    result = run("cert", "bureau", "--out", tmp_path)
    assert result.exit_code == 8
    assert f"{certificate} exists; remove it or choose another path" in result.stderr
    assert certificate.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ([], 2, "give your party's name"),
        (["bureau", "--show", "x.crt"], 2, "takes no PARTY"),
        (["../bureau"], 3, "name='../bureau' cannot name a party"),
        (["bureau", "--days", "0"], 8, "days=0 must lie between 1 and 3650"),
        (["bureau", "--host", "büro"], 8, "host 'büro' is neither a host name nor an address"),
        (["bureau", "--out", "{}/file"], 8, "cannot make folder {}/file: File exists"),
        (["--show", "{}/nix"], 8, "cannot read certificate {}/nix: No such file"),
        (["--show", "{}/file"], 8, "file holds no certificate in PEM form; name the .crt file"),
    ],
)
def test_bad_options_write_nothing(tmp_path, options, code, message):
    file = tmp_path / "file"
    file.touch()
    options = [option.format(tmp_path) for option in options]
    if "--out" not in options and "bureau" in options and "--show" not in options:
        options += ["--out", str(tmp_path)]
    result = run("cert", *options, COLUMNS="400")
    assert result.exit_code == code, result.output
    assert message.format(tmp_path) in result.stderr
    assert list(tmp_path.iterdir()) == [file]


def test_show_says_what_can_be_compared(tmp_path):
    path, made = make(tmp_path, hosts=["bureau.example"])
    result = run("cert", "--show", path)
    assert result.exit_code == 0, result.stderr
    assert "Certificate of bureau" in result.stdout
    assert "bureau.example" in result.stdout
    assert "364 days left" in result.stdout
    for line in grouped(made.fingerprint).splitlines():
        assert line in result.stdout
    assert result.stderr == ""


def test_an_expired_one_is_shown_as_expired(tmp_path):
    then = datetime.now(UTC) - timedelta(days=33, hours=1)
    path, made = make(tmp_path, days=30, valid_from=then)
    result = run("cert", "--show", path)
    assert result.exit_code == 8
    assert "EXPIRED 3 days ago" in result.stdout
    assert grouped(made.fingerprint).splitlines()[0] in result.stdout
    assert f"expired on {then + timedelta(days=30):%Y-%m-%d}" in result.stderr


def test_one_from_the_future_points_at_the_clock(tmp_path):
    path, _ = make(tmp_path, valid_from=datetime.now(UTC) + timedelta(days=3))
    result = run("cert", "--show", path)
    assert result.exit_code == 8
    assert "NOT YET VALID" in result.stdout
    assert "check this machine's clock" in result.stderr


def test_every_certificate_of_a_file_is_shown(tmp_path):
    both = tmp_path / "both.crt"
    both.write_bytes(b"".join(make(tmp_path, name)[0].read_bytes() for name in ("one", "two")))
    result = run("cert", "--show", both)
    assert result.exit_code == 0, result.stderr
    assert "Certificate of one" in result.stdout
    assert "Certificate of two" in result.stdout


def test_a_private_key_is_not_a_certificate(tmp_path):
    make(tmp_path)
    result = run("cert", "--show", tmp_path / "bureau.key")
    assert result.exit_code == 8
    assert "name the .crt file" in result.stderr
    assert "PRIVATE KEY" not in result.output
