"""A feature party's consent: it hands its half of one model to the label party, and says so.

A release is the half and a record of the consent. Whoever holds it and the label party's half has
the whole model: it reveals the names of the party's columns, its thresholds (each an edge between
the values of two rows), the names of its categories and on which side missing values go. It reveals
no row. It cannot be taken back.

Two things bind a release to the model. The label party's half holds a salted hash of this half
since training, so no other half passes. And where the party has a certificate, the record is signed
with its key, so that a third person can see who agreed to what, and when.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from parties.certificates import TLS, Certificate, read_pins
from parties.messages import check_name
from secureboost._version import __version__
from secureboost.errors import ConsentError, ModelError
from secureboost.export.signatures import check_signature, sign
from secureboost.files import write_atomically
from secureboost.gbdt.joined import check_party_half
from secureboost.gbdt.model import LabelHalf, PartyHalf, decode_half, half_digest
from secureboost.gbdt.store import HalfStore
from secureboost.partner import LABEL_PARTY

VERSION = 1
MAX_PURPOSE = 1000

Text = Annotated[str, Meta(min_length=1, max_length=MAX_PURPOSE)]
Name = Annotated[str, Meta(min_length=1, max_length=64)]
Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$", max_length=64)]
Pin = Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?$", max_length=64)]
Pem = Annotated[bytes, Meta(max_length=2**16)]
Time = Annotated[datetime, Meta(tz=True)]


class Consent(msgspec.Struct, frozen=True, kw_only=True):
    """What was agreed to.

    Attributes
    ----------
    version : int
    party : str
        Who agrees.
    model_id : str
    half_digest : str
        `model.half_digest` of the released half, in hexadecimal.
    released_to : str
        Name of the label party.
    released_to_certificate : str
        Fingerprint of its certificate; empty if it is not known.
    purpose : str
        What the half may be used for, in words.
    time : datetime
        UTC.
    software_version : str
    """

    version: int = VERSION
    party: Name
    model_id: Annotated[str, Meta(pattern=r"^[0-9a-f]{32}$", max_length=32)]
    half_digest: Digest
    released_to: Name
    released_to_certificate: Pin = ""
    purpose: Text
    time: Time
    software_version: Name


@dataclass(frozen=True, repr=False)
class Release:
    """A half with its consent.

    Attributes
    ----------
    half : PartyHalf
    consent : Consent
    certificate, signature : bytes
        Of the consent; empty where the party has no certificate.
    """

    half: PartyHalf
    consent: Consent
    certificate: bytes = b""
    signature: bytes = b""

    def __repr__(self) -> str:
        return f"Release(party {self.consent.party!r}, model {self.consent.model_id})"

    def save(self, path: str | Path) -> None:
        """Write the release as JSON, readable by its owner alone.

        Raises
        ------
        OSError
        """
        file = _File(
            consent=self.consent,
            half=msgspec.Raw(msgspec.json.encode(self.half)),
            certificate=self.certificate,
            signature=self.signature,
        )
        write_atomically(
            Path(path), msgspec.json.format(msgspec.json.encode(file), indent=1), mode=0o600
        )


class _File(msgspec.Struct, frozen=True, kw_only=True, tag="secureboost.release"):
    """A release's file; the half is read as one of its own."""

    version: int = VERSION
    consent: Consent
    certificate: Pem = b""
    signature: Annotated[bytes, Meta(max_length=1024)] = b""
    half: msgspec.Raw


def release_half(
    store: HalfStore,
    model_id: str,
    *,
    purpose: str,
    released_to: str = LABEL_PARTY,
    released_to_certificate: str = "",
    tls: TLS | None = None,
) -> Release:
    """Release our half of a model. The release is on the store's list before it is returned.

    Parameters
    ----------
    store : HalfStore
        Where our halves lie.
    model_id : str
    purpose : str
        What the half may be used for; at most 1000 characters.
    released_to : str
        Name of the label party.
    released_to_certificate : str
        Fingerprint of its certificate, if it is known.
    tls : TLS, optional
        Signs the consent.

    Raises
    ------
    secureboost.errors.ModelError
        If there is no such half, or it is damaged.
    ValueError
        If `purpose` is empty or too long, or `model_id` is none.
    parties.errors.PartyError
        If `released_to` cannot name a party, or certificate or key cannot be used.
    """
    check_name(released_to)
    if not 1 <= len(purpose.strip()) <= len(purpose) <= MAX_PURPOSE:
        raise ValueError(
            f"purpose has {len(purpose)} characters; say in 1 to {MAX_PURPOSE} what the half may "
            "be used for"
        )
    half = store.load(model_id)
    if half is None:
        raise ModelError(
            f"There is no finished half of model {model_id} here. The label party's half "
            "(label.json) names its model_id."
        )
    consent = Consent(
        party=half.party,
        model_id=half.model_id,
        half_digest=half_digest(half).hex(),
        released_to=released_to,
        released_to_certificate=released_to_certificate,
        purpose=purpose,
        time=datetime.now(UTC).replace(microsecond=0),
        software_version=__version__,
    )
    text = msgspec.json.encode(consent)
    certificate, signature = (b"", b"") if tls is None else sign(text, tls, half.party)
    store.note_release(text)
    return Release(half, consent, certificate, signature)


def read_release(path: str | Path) -> Release:
    """Read a release; `check_release` says whether it belongs to a model.

    Raises
    ------
    secureboost.errors.ModelError
        If the file is absent, damaged, no release or of another version.
    """
    path = Path(path)
    try:
        file = msgspec.json.decode(path.read_bytes(), type=_File)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}).") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ModelError(
            f"{path} is not a feature party's release: {error}. `secureboost release` writes one."
        ) from error
    if (file.version, file.consent.version) != (VERSION, VERSION):
        raise ModelError(
            f"{path}: version {file.version}, and this release of SecureBoost reads version "
            f"{VERSION}."
        )
    half = decode_half(bytes(file.half), PartyHalf, str(path))
    return Release(half, file.consent, file.certificate, file.signature)


def check_release(
    release: Release, label: LabelHalf, pins: Sequence[Certificate] | None = None
) -> None:
    """Check that a release is a partner's consent to take out its half of this very model.

    Parameters
    ----------
    release : Release
    label : LabelHalf
    pins : sequence of Certificate, optional
        The certificates that this party may have. The release must then be signed with one of
        them. Without, a signature is held against the certificate that came with it.

    Raises
    ------
    secureboost.errors.ModelError
        If the half or the consent belongs to another model, or the signature is missing, wrong or
        another's.
    """
    half, consent = release.half, release.consent
    partner = next((p for p in label.partners if p.name == half.party), None)
    if partner is None:
        raise ModelError(
            f"{half.party!r} has released a half, but it took no part in model {label.model_id}."
        )
    check_party_half(label, partner, half)
    if not partner.digest:
        raise ModelError(
            f"The label party's half holds no hash of the half of {half.party!r}, so no release "
            "can be told from another. Train again and let the parties keep their halves."
        )
    about = (consent.party, consent.model_id, consent.half_digest)
    if about != (half.party, half.model_id, half_digest(half).hex()):
        raise ModelError(
            f"The consent in the release of {half.party!r} is about another half than the one in "
            "it. Ask for a new release."
        )
    _check_signature(release, pins)


def _check_signature(release: Release, pins: Sequence[Certificate] | None) -> None:
    party = release.consent.party
    if not release.signature and not release.certificate:
        if pins is not None:
            raise ModelError(
                f"The release of {party!r} is not signed, and its certificate is pinned. Ask for "
                "one that is made with the configuration of `secureboost serve`."
            )
        return
    text = msgspec.json.encode(release.consent)
    fingerprint = check_signature(text, release.certificate, release.signature, party)
    if pins is not None and fingerprint not in {pin.fingerprint for pin in pins}:
        raise ModelError(
            f"The release of {party!r} is signed with another certificate than the pinned one."
        )


def consented_halves(
    label: LabelHalf,
    releases: Sequence[Release | str | Path],
    certificates: Mapping[str, Path] | None = None,
) -> tuple[tuple[PartyHalf, ...], tuple[Consent, ...]]:
    """The halves of all partners, each with its consent.

    Parameters
    ----------
    label : LabelHalf
    releases : sequence of Release or path
    certificates : mapping of party name to Path, optional
        Pinned certificates, as PEM.

    Raises
    ------
    secureboost.errors.ConsentError
        If a partner has not consented: all that have not are named.
    secureboost.errors.ModelError
        See `check_release`.
    parties.errors.CertificateError
        If a pinned certificate cannot be used.
    """
    read = [r if isinstance(r, Release) else read_release(r) for r in releases]
    by_party = {release.half.party: release for release in read}
    missing = [partner.name for partner in label.partners if partner.name not in by_party]
    if missing:
        raise ConsentError(
            f"Model {label.model_id} cannot be taken out: {', '.join(map(repr, missing))} "
            f"{'has' if len(missing) == 1 else 'have'} not consented. Each party releases its half "
            "with `secureboost release`, or FeatureParty.release in one process."
        )
    for party, release in by_party.items():
        path = (certificates or {}).get(party)
        check_release(release, label, None if path is None else read_pins(path))
    ordered = [by_party[partner.name] for partner in label.partners]
    return tuple(r.half for r in ordered), tuple(r.consent for r in ordered)
