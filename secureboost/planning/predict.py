"""From counts and rates to seconds, bytes and memory."""

from collections.abc import Mapping
from dataclasses import dataclass

from parties.peer import IN_FLIGHT
from secureboost.clock import Phase
from secureboost.gbdt.remote import BLOCK_ROWS
from secureboost.planning.counts import Counts, Sums
from secureboost.planning.rates import Rates, Time
from secureboost.planning.shape import Link, Shape
from secureboost.planning.traffic import traffic

MADE_AHEAD = 0.0
"""Share of the time in which the label party waits for sums that goes into randomness for the
next tree. Encryption then finds so much of its work done."""

Times = dict[str, tuple[Time, int]]
"""Time and number of operations by phase."""


@dataclass(frozen=True)
class PartyPlan:
    """What one party will spend.

    Attributes
    ----------
    phases : mapping of str to Phase
        As `secureboost.gbdt.label.PartyTime` has them after a run, and ``start`` and ``other``,
        which a run does not count.
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
    """
    if rates.key_bits != shape.key_bits:
        rates = rates.for_key_bits(shape.key_bits)
    counts = Counts(shape)
    label = _label_work(counts, rates)
    partners = [_partner_work(counts, number, rates) for number in range(len(shape.partner_bins))]
    if link.one_process:  # where a feature party has one thread
        partners = [
            {name: (time.one_thread, count) for name, (time, count) in work.items()}
            for work in partners
        ]
    messages = traffic(counts)
    path = _critical_path(counts, label, partners, rates, link)
    no_latency = _critical_path(counts, label, partners, rates, Link(link.megabits, 0.0, link.one_process))
    no_link = _critical_path(counts, label, partners, rates, Link(float("inf"), 0.0, link.one_process))
    waiting = {"send": (Time(path.send), counts.blocks * shape.trees * len(partners)), "wait": (Time(path.wait), len(counts.levels) * shape.trees * len(partners))}
    return Plan(
        shape=shape,
        link=link,
        label=_party_plan(label | waiting, _label_memory(counts, rates)),
        partners=tuple(
            _party_plan(work, _partner_memory(counts, number, rates))
            for number, work in enumerate(partners)
        ),
        wall_seconds=path.wall,
        transfer_seconds=no_latency.wall - no_link.wall,
        latency_seconds=path.wall - no_latency.wall,
        bytes_sent=sum(t.bytes_sent for by_request in messages for t in by_request.values()),
        bytes_received=sum(t.bytes_received for by_request in messages for t in by_request.values()),
    )
