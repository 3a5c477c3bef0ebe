"""Whom a feature party trusts to mask with, and as whom it signs (`masking`)."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from parties.certificates import TLS, Certificate, Identity, create_certificate, read_identity
from secureboost.splitnn.masking_keys import MaskGroup


@dataclass(frozen=True, repr=False)
class MaskTerms:
    """With whom a feature party's activations may be summed.

    Attributes
    ----------
    identity : Identity
        The own certificate and key, the same as for TLS. A party that holds it cannot be pickled
        or copied, so `GridSearchCV` and its like work with ``n_jobs=1`` or with threads.
    pins : tuple of Certificate
        Of all other members. The party masks with exactly these: the label party can leave nobody
        out and add nobody.
    same_ids : bool, default=True
        The ids of rows, as they index the members' tables, enter the masks: members sum the same
        customers or nothing. False if members have no ids in common; then the label party chooses
        which customer of one stands beside which of the other, and from two choices learns how one
        member's activations differ. All members must set it alike.

    Raises
    ------
    secureboost.splitnn.masking_keys.MaskError
        If there is no other member, or two have one name.

    Examples
    --------
    >>> masks = MaskTerms(read_identity(tls), read_pins(Path("members.crt")))
    >>> bureau = FeatureParty("bureau", table, nets=NetTerms(masks=masks))
    """

    identity: Identity
    pins: Sequence[Certificate]
    same_ids: bool = True

    def __post_init__(self) -> None:
        _ = self.group

    @property
    def group(self) -> MaskGroup:
        """All members, this one included."""
        own = self.identity.certificate
        return MaskGroup(own.party, [own, *self.pins])


def simulated_masks(names: Sequence[str], *, same_ids: bool = True) -> dict[str, MaskTerms]:
    """Terms of parties that live in one process, with certificates made for the occasion.

    Parameters
    ----------
    names : sequence of str
        Two at least.
    same_ids : bool

    Returns
    -------
    dict of str to MaskTerms
        By name.

    Examples
    --------
    >>> masks = simulated_masks(["bureau", "telco"])
    >>> parties = [
    ...     FeatureParty(name, tables[name], nets=NetTerms(masks=masks[name])) for name in masks
    ... ]
    """
    with tempfile.TemporaryDirectory() as folder:
        identities = {name: _new_identity(name, Path(folder)) for name in names}
    return {
        name: MaskTerms(
            identity,
            tuple(other.certificate for other in identities.values() if other is not identity),
            same_ids,
        )
        for name, identity in identities.items()
    }


def _new_identity(name: str, folder: Path) -> Identity:
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    create_certificate(name, certificate, key)
    return read_identity(TLS(certificate, key, certificate))
