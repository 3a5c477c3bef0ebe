"""Prediction without a party: who may be missing, and what that costs.

A network that was trained with party dropout (`party_dropout`) has learnt what zeros in place of a
party mean. Of any other one zeros would give scores that nobody has measured, so it is refused.
"""

import warnings
from collections.abc import Sequence
from typing import Any

from secureboost.errors import MissingPartyWarning, ModelError, did_you_mean
from secureboost.partners import Unmatched
from secureboost.splitnn.model import TopHead


def missing_parties(head: TopHead, without: Any, unmatched: Unmatched) -> list[str]:
    """Check who is to be done without.

    Parameters
    ----------
    head : TopHead
    without : sequence of str or None
        Parties that are not asked at all.
    unmatched : {"error", "missing"}
        What happens to rows that a party lacks.

    Returns
    -------
    list of str

    Raises
    ------
    ValueError
        If `unmatched` is neither, a party is unknown, or nobody is left.
    secureboost.errors.ModelError
        If the model cannot do without parties, or without this one.
    """
    if unmatched not in ("error", "missing"):
        raise ValueError(f"unmatched={unmatched!r} is not one of 'error', 'missing'")
    missing = _names(head, without)
    if head.party_dropout == 0.0 and (missing or (unmatched == "missing" and head.partners)):
        asked = f"without={missing}" if missing else "unmatched='missing'"
        raise ModelError(
            f"{asked}: model {head.model_id} was trained with party_dropout=0, so it has not "
            "learnt what a missing party means. Train it with party_dropout above 0, for instance "
            "0.1."
        )
    body_owner = head.parameters.get("body")
    if body_owner in missing:
        raise ModelError(
            f"without={missing}: {body_owner!r} computes the body of model {head.model_id}; "
            "without it nothing can be scored."
        )
    if missing and len(missing) == len(head.bottoms) + len(head.partners):
        raise ValueError(f"without={missing} leaves nobody whose columns could be scored")
    return missing


def warn_of_missing(head: TopHead, missing: Sequence[str]) -> None:
    """Say who is missing, and what was measured of that in training."""
    if missing:
        names = ", ".join(map(repr, missing))
        warnings.warn(f"scored without {names}: {_loss(head, missing)}", MissingPartyWarning, 3)


def _names(head: TopHead, without: Any) -> list[str]:
    known = [bottom.party for bottom in head.bottoms if bottom.party]
    known += [partner.name for partner in head.partners]
    if isinstance(without, str):
        raise ValueError(f"without={without!r} is a text; give a list of names: [{without!r}]")
    missing = list(dict.fromkeys(without or ()))
    for name in missing:
        if name not in known:
            there = ", ".join(map(repr, known)) or "none"
            raise ValueError(
                f"without names {name!r}, and the model's feature parties are: {there}."
                f"{did_you_mean(str(name), known)}"
            )
    return missing


def _loss(head: TopHead, missing: Sequence[str]) -> str:
    """What the last evaluation set's last metric was with all, and is without them."""
    if len(missing) > 1:
        return "what that costs was measured for each alone (metrics_without_), not for all at once"
    with_all, without = (head.metrics_without.get(name, {}) for name in ("", missing[0]))
    if not with_all or not without:
        return "what that costs was not measured, since training had no eval_set"
    eval_set = list(with_all)[-1]
    metric = list(with_all[eval_set])[-1]
    return (
        f"{metric} of {eval_set} was {with_all[eval_set][metric]:.4f} with all parties and "
        f"{without[eval_set][metric]:.4f} without it"
    )
