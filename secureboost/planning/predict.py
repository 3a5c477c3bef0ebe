"""From counts and rates to seconds, bytes and memory."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from secureboost.clock import Phase
from secureboost.planning.counts import Counts
from secureboost.planning.memory import label_memory, partner_memory
from secureboost.planning.rates import Rates, Time
from secureboost.planning.shape import Link, Shape
from secureboost.planning.timeline import Timeline, timeline
from secureboost.planning.traffic import traffic
from secureboost.planning.work import Work, label_work, message_work, partner_work


@dataclass(frozen=True)
class PartyPlan:
    """What one party will spend.

    Attributes
    ----------
    phases : mapping of str to Phase
        As `secureboost.gbdt.agreement.PartyTime` has them after a run; and ``start``, ``other``,
        ``messages`` and a feature party's ``bin``, which a run does not time on their own.
    cpu_seconds : float
        Processor time, all threads together.
    memory_bytes : int
        Of its process, at most.
    """

    phases: Mapping[str, Phase]
    cpu_seconds: float
    memory_bytes: int


@dataclass(frozen=True)
class Plan:
    """What a training will take.

    Attributes
    ----------
    shape : Shape
    link : Link
    label : PartyPlan
    partners : tuple of PartyPlan
    wall_seconds : float
        From beginning to end.
    transfer_seconds, latency_seconds : float
        Of `wall_seconds`, what only the link's speed and only its latency cause; what passes while
        a party computes is not counted.
    bytes_sent, bytes_received : int
        By the label party, over all partners.
    """

    shape: Shape
    link: Link
    label: PartyPlan
    partners: tuple[PartyPlan, ...]
    wall_seconds: float
    transfer_seconds: float
    latency_seconds: float
    bytes_sent: int
    bytes_received: int


def predict(shape: Shape, rates: Rates, link: Link) -> Plan:
    """Work out what a training takes if every party's machine is like the calibrated one.

    Parameters
    ----------
    shape : Shape
    rates : Rates
        At the key length of `shape`; others are converted (`Rates.for_key_bits`).
    link : Link

    Raises
    ------
    crypto.errors.CapacityError
        If sums over so many rows could overflow.
    """
    if rates.key_bits != shape.key_bits:
        rates = rates.for_key_bits(shape.key_bits)
    counts = Counts(shape)
    label = label_work(counts, rates)
    partners = [partner_work(counts, number, rates) for number in range(len(shape.partner_bins))]
    if link.place == "one process":
        partners = [
            {name: (time.one_thread, count) for name, (time, count) in work.items()}
            for work in partners
        ]
    messages = traffic(counts)
    if link.place != "one process":
        over_tls = [message_work(by_request, rates) for by_request in messages]
        partners = [work | more for work, more in zip(partners, over_tls, strict=True)]
        times, numbers = zip(*(more["messages"] for more in over_tls), strict=True)
        label["messages"] = (sum(times, Time()), sum(numbers))

    def over(line: Link) -> Timeline:
        return timeline(counts, label, partners, messages, line, rates)

    real, no_latency = over(link), over(replace(link, latency=0.0))
    no_link = over(replace(link, latency=0.0, megabits=math.inf))
    all_traffic = [t for by_request in messages for t in by_request.values()]
    asked = shape.trees * len(partners)
    overlapped = {
        "encrypt": Phase(real.encrypt, label["encrypt"][1]),
        "send": Phase(real.send, counts.blocks * asked),
        "wait": Phase(real.wait, len(counts.levels) * asked),
    }
    return Plan(
        shape=shape,
        link=link,
        label=_party_plan(label, overlapped, label_memory(counts, rates)),
        partners=tuple(
            _party_plan(
                work,
                {"rerandomise": Phase(masks, work["rerandomise"][1])},
                partner_memory(counts, number, rates),
            )
            for number, (work, masks) in enumerate(zip(partners, real.rerandomise, strict=True))
        ),
        wall_seconds=real.wall,
        transfer_seconds=no_latency.wall - no_link.wall,
        latency_seconds=real.wall - no_latency.wall,
        bytes_sent=sum(t.bytes_sent for t in all_traffic),
        bytes_received=sum(t.bytes_received for t in all_traffic),
    )


def _party_plan(work: Work, overlapped: Mapping[str, Phase], memory_bytes: int) -> PartyPlan:
    """Put a party's plan together; `overlapped` replaces phases that others shorten or cause."""
    phases = {name: Phase(time.wall, count) for name, (time, count) in work.items()}
    cpu = sum((time for time, _ in work.values()), Time()).cpu
    return PartyPlan({**phases, **overlapped}, cpu, memory_bytes)
