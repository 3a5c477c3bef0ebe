"""Keys that each two feature parties share, and that the label party relays without learning them.

Each feature party makes an X25519 key for one session and signs it with the key of its
certificate. The label party passes these offers on. A feature party takes an offer only if it is
signed with the certificate that it has pinned for that party, and for the very group of parties
that it expects, so the label party can neither put itself in between nor invent a member.
"""

import hashlib
from collections.abc import Sequence

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from parties.certificates import Certificate, Identity
from parties.errors import CertificateError
from secureboost.errors import SecureBoostError
from secureboost.splitnn.masking_protocol import MOST_PARTIES, MaskOffer

_OFFER = b"SecureBoost: an offer of a key for masks, 1\n"
_PAIR = b"SecureBoost: key of a pair for masks, 2\n"


class MaskError(SecureBoostError):
    """Masks cannot be made, or do not cancel; nothing was learnt from what was masked."""


class MaskGroup:
    """The feature parties whose activations are summed.

    Parameters
    ----------
    party : str
        The own name.
    pins : sequence of Certificate
        Pinned certificates of all members, the own one included; at least two, with different
        names.

    Raises
    ------
    MaskError
        If that is not so.
    """

    def __init__(self, party: str, pins: Sequence[Certificate]) -> None:
        names = [pin.party for pin in pins]
        if len(set(names)) != len(names) or party not in names:
            raise MaskError(
                f"the certificates of a group for masks are those of {', '.join(names)}: each "
                f"member must have one, {party!r} too"
            )
        if not 2 <= len(pins) <= MOST_PARTIES:
            raise MaskError(
                f"a group for masks has {len(pins)} members, and needs 2 to {MOST_PARTIES}: the "
                "sum over one party is what that party gave"
            )
        self.party = party
        self.pins = {pin.party: pin for pin in sorted(pins, key=lambda pin: pin.party)}

    @property
    def others(self) -> tuple[str, ...]:
        """The other members, in the order of their names."""
        return tuple(name for name in self.pins if name != self.party)

    @property
    def digest(self) -> bytes:
        """SHA-256 of all names and certificates."""
        members = [(name, pin.fingerprint) for name, pin in self.pins.items()]
        return hashlib.sha256(msgspec.msgpack.encode(members)).digest()


class MaskKey:
    """Our key for one session; never kept, shown or pickled.

    Parameters
    ----------
    group : MaskGroup
    """

    def __init__(self, group: MaskGroup) -> None:
        self._group = group
        self._private = X25519PrivateKey.generate()
        self.public = self._private.public_key().public_bytes_raw()

    def __getstate__(self) -> None:
        raise TypeError("a key for masks is never pickled")

    def offer(self, identity: Identity) -> MaskOffer:
        """Sign the public half.

        Raises
        ------
        parties.errors.CertificateError
            If the identity is another party's, or its key of a kind that is not known here.
        """
        if identity.certificate.fingerprint != self._group.pins[self._group.party].fingerprint:
            raise CertificateError("", "the identity is not the group's member that makes the key")
        key = serialization.load_pem_private_key(identity.private_key, None)
        text = _signed_text(self._group, self._group.party, self.public)
        if isinstance(key, ec.EllipticCurvePrivateKey):
            signature = key.sign(text, ec.ECDSA(hashes.SHA256()))
        elif isinstance(key, ed25519.Ed25519PrivateKey):
            signature = key.sign(text)
        else:
            raise CertificateError(
                "", "the certificate's key is neither EC nor Ed25519; see `secureboost cert`"
            )
        return MaskOffer(party=self._group.party, key=self.public, signature=signature)

    def agree(self, offers: Sequence[MaskOffer]) -> dict[str, bytes]:
        """Derive the keys that we share with the other members.

        ``HKDF-SHA256(X25519(own, theirs), info = group, both names and keys)``.

        Parameters
        ----------
        offers : sequence of MaskOffer
            One of each other member, relayed by a label party that is not trusted.

        Returns
        -------
        dict of str to bytes
            32 bytes for each other member.

        Raises
        ------
        MaskError
            If an offer is missing, of a stranger, not signed as it must be, or no proper key.
        """
        by_party = {offer.party: offer for offer in offers}
        if len(by_party) != len(offers) or set(by_party) != set(self._group.others):
            raise MaskError(
                f"offers of keys for masks came from {', '.join(sorted(by_party)) or 'nobody'}; "
                f"due is one from each of {', '.join(self._group.others)}"
            )
        return {name: self._agree_with(by_party[name]) for name in self._group.others}

    def _agree_with(self, offer: MaskOffer) -> bytes:
        _check_signature(self._group, offer)
        try:
            shared = self._private.exchange(X25519PublicKey.from_public_bytes(offer.key))
        except ValueError:
            raise MaskError(f"party {offer.party!r} offers a key for masks that is none") from None
        ends = sorted([(self._group.party, self.public), (offer.party, offer.key)])
        info = _PAIR + self._group.digest + msgspec.msgpack.encode(ends)
        return HKDF(hashes.SHA256(), 32, salt=None, info=info).derive(shared)


def _signed_text(group: MaskGroup, party: str, key: bytes) -> bytes:
    return _OFFER + group.digest + msgspec.msgpack.encode((party, key))


def _check_signature(group: MaskGroup, offer: MaskOffer) -> None:
    key = x509.load_pem_x509_certificate(group.pins[offer.party].pem).public_key()
    text = _signed_text(group, offer.party, offer.key)
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(offer.signature, text, ec.ECDSA(hashes.SHA256()))
        elif isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(offer.signature, text)
        else:
            raise MaskError(f"the certificate of {offer.party!r} has an unknown kind of key")
    except InvalidSignature:
        raise MaskError(
            f"the offer of a key for masks of {offer.party!r} is not signed with the certificate "
            "that is pinned for that party, or was made for another group of parties"
        ) from None
