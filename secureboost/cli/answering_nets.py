"""What a feature party answers about networks: its rules, its network, where halves lie."""

from collections.abc import Collection, Iterable

import msgspec

from parties.certificates import TLS, read_identity, read_pins
from parties.messages import Refusal, SessionCode
from parties.service import Service
from secureboost.config import ServeConfig
from secureboost.config_nets import NetLimits
from secureboost.errors import ConfigError, did_you_mean
from secureboost.splitnn.errors import needing_torch
from secureboost.splitnn.mask_terms import MaskTerms
from secureboost.splitnn.options import Choice
from secureboost.splitnn.policy import NetPolicy, kept_net_budget
from secureboost.splitnn.store import NETS, FolderBottoms
from secureboost.splitnn.terms import NetTerms

BUDGET_FILE = "budget.json"
"""Beside the halves of networks: what was given out."""


def net_terms(config: ServeConfig, data_digest: str) -> NetTerms:
    """Our rules for networks, checked before anybody asks.

    Parameters
    ----------
    config : ServeConfig
        Without ``[nets]`` the defaults hold.
    data_digest : str
        Of the table.

    Raises
    ------
    ConfigError
        If a codec, a protection or an architecture is unknown or an option of one does not fit.
    secureboost.splitnn.errors.TorchMissingError
    parties.errors.CertificateError
        If the members' certificates cannot be read.
    """
    limits = config.nets or NetLimits()
    folder = config.store / NETS
    given = msgspec.structs.asdict(limits)
    threads, architecture = given.pop("threads"), given.pop("architecture")
    members, same_ids = given.pop("members"), given.pop("same_ids")
    masks = None
    if members is not None:
        tls = TLS(config.tls.certificate, config.tls.key, members)
        masks = MaskTerms(read_identity(tls), read_pins(members), same_ids)
    with needing_torch():
        from secureboost.splitnn.architectures import get_architecture
        from secureboost.splitnn.codecs import CODECS, MASKED_SUM
        from secureboost.splitnn.params import choices
        from secureboost.splitnn.protections import feature_protections
    chosen: Choice | None = None
    try:
        given["protections"] = choices("protections", given["protections"])
        feature_protections(given["protections"])
        if architecture is not None:
            (chosen,) = choices("architecture", architecture)
            get_architecture(chosen.name).check_bottom(chosen.options)
    except ConfigError as error:
        raise ConfigError(error.message, f"nets.{error.path}" if error.path else "nets") from error
    if given["codecs"] is not None:
        given["codecs"] = tuple(given["codecs"])
        check_one_of(given["codecs"], [*CODECS, MASKED_SUM])
    policy = NetPolicy(**given)
    return NetTerms(
        policy,
        budget=kept_net_budget(policy, folder / BUDGET_FILE, data_digest),
        store=FolderBottoms(folder),
        architecture=chosen,
        masks=masks,
        threads=threads,
    )


def check_one_of(codecs: Iterable[str], known: Collection[str]) -> None:
    """Check that codecs are known.

    Raises
    ------
    ConfigError
    """
    for name in codecs:
        if name not in known:
            raise ConfigError(
                f"{name!r} is not a codec; there is: {', '.join(known)}."
                f"{did_you_mean(name, known)}",
                "nets.codecs",
            )


def refuse_nets(_asker: str) -> Service:
    """Say that networks are not served here.

    Raises
    ------
    Refusal
    """
    raise Refusal(
        SessionCode.TRAINER_MISMATCH,
        "this party serves no networks: its configuration has no [nets]",
        ends_session=True,
    )
