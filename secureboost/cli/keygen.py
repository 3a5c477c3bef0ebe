"""``secureboost keygen``: make a Paillier key file, or exchange keys with python-paillier."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from secureboost.cli.app import command

if TYPE_CHECKING:
    from crypto.blind_rsa_private import SigningKey
    from crypto.paillier_private import PaillierPrivateKey


@command
def keygen(
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Private key file to write, such as lender.key.json. The public key goes beside "
            "it, to lender.public.json.",
        ),
    ] = None,
    key_bits: Annotated[
        int | None,
        typer.Option(
            metavar="BITS",
            help="Length of the key, 2048 by default (112-bit strength); 3072 (128-bit) is some "
            "three times slower.",
        ),
    ] = None,
    passphrase_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Holds the passphrase in one line. Without it SECUREBOOST_PASSPHRASE is used if "
            "set; otherwise you are asked.",
        ),
    ] = None,
    import_phe: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Take the private key in this JSON file of python-paillier's pheutil instead of "
            "making one.",
        ),
    ] = None,
    export_phe: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the key of --key in pheutil's JSON: the public key, or the private one "
            "with --unprotected.",
        ),
    ] = None,
    key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Key file to export from.")
    ] = None,
    signing: Annotated[
        bool,
        typer.Option(
            "--signing",
            help="Make a feature party's signing key instead, for align.signing_key of `serve`.",
        ),
    ] = False,
    unprotected: Annotated[
        bool,
        typer.Option(
            "--unprotected",
            help="With --export-phe: write the private key, WITHOUT a passphrase.",
        ),
    ] = False,
) -> None:
    """Make the label party's encryption key, once, to use for many runs.

    Without a key file every run makes a key of its own and forgets it, which is as safe. A key
    file is worth having where partners want to see the same fingerprint each time. It serves both
    schemes of `train`, paillier and paillier-short-exponent-djn. Existing files are never replaced.

    A feature party needs a key only if it offers to sign ids (method rsa of `secureboost align`).
    """
    if export_phe is not None:
        if out is not None or import_phe is not None or key_bits is not None or signing:
            raise typer.BadParameter(
                "it goes with --key, not with --out, --import-phe, --key-bits or --signing.",
                param_hint="--export-phe",
            )
        if key is None:
            raise typer.BadParameter("name the key file to export.", param_hint="--key")
        _export(key, export_phe, passphrase_file, unprotected)
        return
    if key is not None or unprotected:
        raise typer.BadParameter(
            "it goes with --export-phe only.", param_hint="--key" if key else "--unprotected"
        )
    if out is None:
        raise typer.BadParameter(
            "name the key file to write, such as --out lender.key.json.", param_hint="--out"
        )
    if import_phe is not None and key_bits is not None:
        raise typer.BadParameter(
            "an imported key has its length; leave this out.", param_hint="--key-bits"
        )
    if import_phe is not None and signing:
        raise typer.BadParameter(
            "python-paillier's keys encrypt, they do not sign.", param_hint="--signing"
        )
    _make(out, key_bits, passphrase_file, import_phe, signing=signing)


def public_path(private: Path) -> Path:
    """Name the public key's file after the private one's: lender.key.json, lender.public.json."""
    stem = private.name.removesuffix(".json").removesuffix(".key")
    return private.with_name(f"{stem or private.name}.public.json")


def _make(
    out: Path,
    key_bits: int | None,
    passphrase_file: Path | None,
    import_phe: Path | None,
    *,
    signing: bool,
) -> None:
    import time

    from crypto.blind_rsa import generate_signing_key
    from crypto.keyfile import write_private_key, write_public_key
    from crypto.modulus import DEFAULT_KEY_BITS, check_key_bits
    from crypto.paillier import PaillierScheme
    from secureboost.cli.console import stderr, stdout
    from secureboost.cli.layout import grouped, print_facts
    from secureboost.cli.passphrase import new_passphrase
    from secureboost.units import format_seconds

    bits = DEFAULT_KEY_BITS if key_bits is None else key_bits
    check_key_bits(bits)
    public_out = public_path(out)
    for path in (out, public_out):
        _check_new(path)
    imported = _read_phe(import_phe) if import_phe else None
    passphrase = new_passphrase(out, passphrase_file)
    began = time.perf_counter()
    make = generate_signing_key if signing else PaillierScheme().generate
    private: PaillierPrivateKey | SigningKey = imported or make(bits)
    seconds = time.perf_counter() - began
    write_private_key(out, private, passphrase)
    try:
        write_public_key(public_out, private.public_key)
    except BaseException:
        out.unlink()  # both or neither
        raise
    public = private.public_key
    made = f"imported from {import_phe}" if imported else f"made in {format_seconds(seconds)}"
    kind = "Signing" if signing else "Paillier"
    stdout().print(f"{kind} key of {public.key_bits} bits, {made}", style="bold")
    print_facts(
        [
            ("private key", out),
            ("public key", public_out),
            ("fingerprint", grouped(public.fingerprint)),
        ]
    )
    console = stderr()
    if imported:
        console.print(
            f"Warning: {import_phe} holds the same private key without a passphrase; delete it "
            "when you no longer need it.",
            style="yellow",
        )
        console.print(
            "An imported key encrypts several times more slowly than one made here.", style="dim"
        )
    where = "`signing_key` in [align] of `secureboost serve`"
    if not signing:
        where = "`key` in the configuration of `secureboost train`"
    console.print(
        f'Next: set {where} to "{out}". Keep the private '
        "file and its passphrase in different places. The public file is no secret: it lets "
        "others compare the fingerprint.",
        style="dim",
    )


def _export(key: Path, out: Path, passphrase_file: Path | None, unprotected: bool) -> None:
    from crypto.keyfile import read_private_key, read_public_key
    from crypto.pheutil import export_public_key, export_unprotected_private_key
    from secureboost.cli.console import stderr, stdout
    from secureboost.cli.layout import grouped, print_facts
    from secureboost.cli.passphrase import read_passphrase

    _check_new(out)
    public = read_public_key(key)
    if unprotected:
        private = read_private_key(key, read_passphrase(key, passphrase_file))
        _write_new(out, export_unprotected_private_key(private), mode=0o600)
    else:
        _write_new(out, export_public_key(public), mode=0o644)
    what = "Private key, unprotected" if unprotected else "Public key"
    stdout().print(f"{what}, {public.key_bits} bits, in pheutil's JSON", style="bold")
    print_facts([("file", out), ("fingerprint", grouped(public.fingerprint))])
    if unprotected:
        stderr().print(
            f"Warning: {out} has no passphrase. Whoever reads it can decrypt everything that was "
            "ever encrypted under this key: every gradient, so every label. Delete it soon.",
            style="bold yellow",
        )
    else:
        stderr().print(
            "Only the public key was written. --unprotected writes the private one as well.",
            style="dim",
        )


def _read_phe(path: Path) -> "PaillierPrivateKey":
    from crypto.errors import KeyFileError, KeyFormatError, KeySizeError
    from crypto.pheutil import MAX_BYTES, import_private_key

    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise KeyFileError(f"{path} cannot be read: {error.strerror}") from error
    try:
        return import_private_key(text)
    except (KeyFormatError, KeySizeError) as error:
        raise type(error)(f"{path}: {error}") from error


def _check_new(path: Path) -> None:
    """Refuse before any work what could not be written after it."""
    from crypto.errors import KeyFileError

    if path.exists():
        raise KeyFileError(
            f"{path} exists; remove it first if the key in it is no longer needed, or choose "
            "another name"
        )
    if not path.parent.is_dir():
        raise KeyFileError(f"{path} cannot be written: there is no folder {path.parent}")


def _write_new(path: Path, text: str, *, mode: int) -> None:
    from crypto.errors import KeyFileError

    try:
        with open(
            path, "x", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, mode)
        ) as file:
            file.write(text + "\n")
    except OSError as error:
        raise KeyFileError(f"{path} cannot be written: {error.strerror}") from error
