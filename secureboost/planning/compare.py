"""A plan as rows of a table, alone and beside what a run took."""

from collections.abc import Mapping
from dataclasses import dataclass

from secureboost.clock import COUNTED, Phase
from secureboost.gbdt.agreement import PartyTime
from secureboost.partner import LABEL_PARTY
from secureboost.planning.predict import PartyPlan, Plan


@dataclass(frozen=True)
class Compared:
    """One number of a plan and of a run.

    Attributes
    ----------
    party, what : str
    unit : str
        "s" or "bytes".
    planned, measured : float
    """

    party: str
    what: str
    unit: str
    planned: float
    measured: float

    @property
    def ratio(self) -> float | None:
        """Planned over measured; None if nothing was measured."""
        return self.planned / self.measured if self.measured else None


def plan_rows(plan: Plan) -> list[tuple[str, str, float, str]]:
    """Party, phase, wall seconds and what is to be done, for every phase of a plan."""
    return [
        (party, name, phase.seconds, _done(name, phase))
        for party, part in _parties(plan, numbered(len(plan.partners)))
        for name, phase in part.phases.items()
    ]


def compare(
    plan: Plan, times: Mapping[str, PartyTime], wall_seconds: float, n_sent: int, n_received: int
) -> list[Compared]:
    """Put a plan beside the run that it was made for.

    Parameters
    ----------
    plan : Plan
    times : mapping of str to PartyTime
        The label party's and, in the plan's order, its partners'.
    wall_seconds : float
        Of the training.
    n_sent, n_received : int
        Bytes.

    Returns
    -------
    list of Compared
        Phases that both have, then the totals. Parties in one process have one processor time.
    """
    names = [name for name in times if name != LABEL_PARTY]
    parties = _parties(plan, names)
    measured = [times[LABEL_PARTY], *(times[name] for name in names)]
    rows = [
        Compared(party, name, "s", part.phases[name].seconds, phase.seconds)
        for (party, part), spent in zip(parties, measured, strict=True)
        for name, phase in spent.phases.items()
        if name in part.phases
    ]
    if plan.link.place == "one process":
        planned = sum(part.cpu_seconds for _, part in parties)
        rows.append(Compared("all", "processor", "s", planned, measured[0].cpu_seconds))
    else:
        rows += [
            Compared(party, "processor", "s", part.cpu_seconds, spent.cpu_seconds)
            for (party, part), spent in zip(parties, measured, strict=True)
        ]
    return [
        *rows,
        Compared("all", "training", "s", plan.wall_seconds, wall_seconds),
        Compared("all", "sent", "bytes", plan.bytes_sent, n_sent),
        Compared("all", "received", "bytes", plan.bytes_received, n_received),
    ]


def numbered(partners: int) -> list[str]:
    """Names of feature parties that have none yet."""
    if partners == 1:
        return ["feature party"]
    return [f"feature party {number}" for number in range(1, partners + 1)]


def _parties(plan: Plan, names: list[str]) -> list[tuple[str, PartyPlan]]:
    return [("label party", plan.label), *zip(names, plan.partners, strict=True)]


def _done(name: str, phase: Phase) -> str:
    return f"{phase.operations:,} {COUNTED.get(name, '')}".strip() if phase.operations else ""
