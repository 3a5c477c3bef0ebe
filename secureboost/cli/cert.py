"""``secureboost cert``: make a party's certificate, or show one."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from secureboost.cli.app import command


@command
def cert(
    party: Annotated[
        str | None,
        typer.Argument(metavar="PARTY", help="Your party's name, such as bureau."),
    ] = None,
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Where PARTY.crt and PARTY.key go.")
    ] = Path("."),
    host: Annotated[
        list[str],
        typer.Option(
            metavar="HOST",
            help="Your host name or address; repeat for more. For information: what is checked "
            "is the pinned certificate.",
        ),
    ] = ["localhost"],  # noqa: B006 - typer copies it
    days: Annotated[int, typer.Option(metavar="DAYS", help="Validity, 1 to 3650.")] = 365,
    show: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Show an existing certificate, yours or theirs; make none."
        ),
    ] = None,
) -> None:
    """Make your certificate for the connection to another company, or show one.

    Each company makes its own, sends the .crt file to the other and accepts no certificate but
    the one it was sent. Before that, two people compare the fingerprints on the phone. --show
    ends with code 8 if the certificate cannot be used, for instance because it has expired.
    """
    if show is not None:
        if party is not None:
            raise typer.BadParameter("it shows a file and takes no PARTY.", param_hint="--show")
        _show(show)
    elif party is None:
        raise typer.BadParameter(
            "give your party's name, such as bureau; or --show FILE.", param_hint="PARTY"
        )
    else:
        _make(party, out, host, days)


def _make(party: str, folder: Path, hosts: list[str], days: int) -> None:
    from rich.text import Text

    from parties.certificates import create_certificate
    from parties.errors import CertificateError
    from parties.messages import check_name
    from secureboost.cli.console import stderr, stdout
    from secureboost.cli.layout import print_hanging

    check_name(party)  # it becomes a file name
    certificate, key = folder / f"{party}.crt", folder / f"{party}.key"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CertificateError("", f"cannot make folder {folder}: {error.strerror}") from error
    create_certificate(party, certificate, key, hosts=hosts, days=days)
    (made,) = _read(certificate)
    stdout().print(f"Certificate of {party}", style="bold")
    made.print([("certificate", certificate), ("private key", f"{key} (never leaves you)")])
    console = stderr()
    for number, step in enumerate(
        (
            f"Send {certificate} to the other company. It is no secret.",
            f"On the phone, they run `secureboost cert --show {party}.crt` and read out the "
            "fingerprint; all 16 groups must be those above. You do the same with theirs.",
            "Each side names the other's file as `certificate` in its configuration: under "
            "[party.NAME] for `secureboost train`, under [label_party] for `secureboost serve`.",
        ),
        start=1,
    ):
        print_hanging(console, Text(f"{number}. "), step)


def _show(path: Path) -> None:
    from parties.certificates import read_pins
    from parties.errors import CertificateError
    from secureboost.cli.console import print_error, stdout

    for shown in _read(path):
        stdout().print(f"Certificate of {shown.party}", style="bold")
        shown.print([("certificate", path)])
    try:
        read_pins(path)
    except CertificateError as error:
        raise typer.Exit(int(print_error(error))) from error


@dataclass(frozen=True)
class _Shown:
    """What a certificate says of itself, valid or not."""

    party: str
    hosts: str
    fingerprint: str
    starts: datetime
    ends: datetime

    def print(self, files: list[tuple[str, object]]) -> None:
        from secureboost.cli.layout import grouped, print_facts

        print_facts(
            [
                *files,
                ("hosts", self.hosts or "-"),
                (
                    "valid",
                    f"{self.starts:%Y-%m-%d %H:%M} to {self.ends:%Y-%m-%d %H:%M} UTC, "
                    + self.state(datetime.now(UTC)),
                ),
                ("fingerprint", grouped(self.fingerprint)),
            ]
        )

    def state(self, now: datetime) -> str:
        if now > self.ends:
            return f"EXPIRED {_days((now - self.ends).days)} ago"
        if now < self.starts:
            return "NOT YET VALID"
        return f"{_days((self.ends - now).days)} left"


def _read(path: Path) -> list[_Shown]:
    """Read certificates whatever their dates; `parties.certificates` refuses expired ones."""
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256

    from parties.errors import CertificateError, printable

    try:
        certificates = x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as error:
        raise CertificateError("", f"cannot read certificate {path}: {error.strerror}") from error
    except ValueError:
        raise CertificateError(
            "", f"{path} holds no certificate in PEM form; name the .crt file"
        ) from None
    shown = []
    for certificate in certificates:
        names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        try:
            hosts = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
            host_names = ", ".join(str(name.value) for name in hosts.value)
        except x509.ExtensionNotFound:
            host_names = ""
        shown.append(
            _Shown(
                party=printable(names[0].value if names else "-"),
                hosts=printable(host_names),
                fingerprint=certificate.fingerprint(SHA256()).hex(),
                starts=certificate.not_valid_before_utc,
                ends=certificate.not_valid_after_utc,
            )
        )
    return shown


def _days(count: int) -> str:
    return "1 day" if count == 1 else f"{count:,} days"
