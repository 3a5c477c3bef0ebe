"""How the parties' work lies side by side: the critical path of a training.

::

    label party     encrypt, block by block      histogram, wait       decrypt, split, divide
    link                    block  block  ...    question   answer
    feature party              check  check         plan, sum, pack, re-randomise
                    |------- publish --------|---------------- each level ------------------|

Whoever waits makes randomness for later with one thread, if it has more than one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from parties.traffic import Traffic
from secureboost.gbdt.remote import AHEAD_BYTES
from secureboost.planning.counts import Counts
from secureboost.planning.rates import Rates, Time
from secureboost.planning.shape import Link
from secureboost.planning.work import Work

_SETTLED = 30
"""Trees after which all are alike."""

_FIRST_MASKED = 1
"""The first tree (of 0, 1, ...) in which a feature party makes randomness while it waits."""


@dataclass(frozen=True)
class Timeline:
    """Wall seconds of a training.

    Attributes
    ----------
    wall : float
        From beginning to end.
    encrypt, send, wait : float
        Of the label party: encrypting what was not made ahead, waiting until gradients have
        arrived, and waiting for sums.
    rerandomise : tuple of float
        Of each feature party, without what was made ahead.
    """

    wall: float
    encrypt: float
    send: float
    wait: float
    rerandomise: tuple[float, ...]


def timeline(
    counts: Counts,
    label: Work,
    partners: Sequence[Work],
    messages: Sequence[Mapping[str, Traffic]],
    link: Link,
    rates: Rates,
) -> Timeline:
    """Lay the work of all parties side by side, tree after tree.

    Parameters
    ----------
    counts : Counts
    label, partners : Work
        Of whole trainings.
    messages : sequence of mappings
        What crosses, by party and request type.
    link : Link
    rates : Rates
    """
    one_tree = _Tree(counts, label, partners, messages, link, rates)
    times: list[Timeline] = []
    for number in range(min(counts.shape.trees, _SETTLED)):
        times.append(one_tree.lay_out(number, times[-1] if times else None))
    times += [times[-1]] * (counts.shape.trees - len(times))
    sent = sum(by_request["Setup"].bytes_sent for by_request in messages)
    bins = max(work["bin"][0].wall for work in partners)
    opening = label["start"][0].wall + label["bin"][0].wall + bins + link.seconds(sent)
    greetings = 4 * link.latency / 1000  # the greeting, the rows' digest, set-up, end
    return Timeline(
        wall=opening + greetings + sum(tree.wall for tree in times),
        encrypt=sum(tree.encrypt for tree in times),
        send=sum(tree.send for tree in times),
        wait=sum(tree.wait for tree in times),
        rerandomise=tuple(
            sum(tree.rerandomise[party] for tree in times) for party in range(len(partners))
        ),
    )


@dataclass(frozen=True)
class _Tree:
    """What `timeline` was given; work is a tree's share of the whole."""

    counts: Counts
    label: Work
    partners: Sequence[Work]
    messages: Sequence[Mapping[str, Traffic]]
    link: Link
    rates: Rates

    def lay_out(self, number: int, last: Timeline | None) -> Timeline:
        """Lay out tree `number`, whose randomness was made while the `last` one grew."""
        latency, shared = self.link.latency / 1000, self.link.place != "apart"
        encrypt = self._encrypt(last)
        check = max(self._share(work, "check").wall for work in self.partners)
        line = self._crossing("GradientBlock") + check + self.counts.blocks * latency
        publish = max(encrypt, line) + min(encrypt, line) / self.counts.blocks
        asked = len(self.counts.levels) * latency
        rest = self._share(self.label, "decrypt", "split", "divide", "other").wall
        rest += self._crossing("Divide") + asked
        masks = tuple(self._masks(work, number, publish + rest) for work in self.partners)
        answer = max(
            self._share(work, "plan", "sum", "pack").wall + left
            for work, left in zip(self.partners, masks, strict=True)
        )
        own = self._share(self.label, "histogram").wall
        remote = answer + self._crossing("HistogramsOf") + asked
        wall = publish + max(own, remote) + rest
        return Timeline(
            wall=max(wall, self._busy() / self.rates.n_jobs) if shared else wall,
            encrypt=encrypt,
            send=publish - encrypt,
            wait=max(0.0, remote - own),
            rerandomise=masks,
        )

    def _encrypt(self, last: Timeline | None) -> float:
        """Seconds of encrypting what was not made ahead; of the first tree nothing is."""
        work = self._share(self.label, "encrypt")
        if last is None or self.rates.n_jobs == 1:
            return work.wall
        idle = last.wait + last.send
        if self.link.place != "apart":  # only what the others leave idle of the common cores
            answers = (
                self._share(partner, "plan", "sum", "pack", "rerandomise")
                for partner in self.partners
            )
            others = sum(answers, Time()).cpu
            idle = max(0.0, min(idle, self.rates.n_jobs * idle - others))
        shape = self.counts.shape
        room = AHEAD_BYTES / (shape.ciphertext_bytes * shape.packing.parts * shape.active_rows)
        return _left(work, min(idle, room * work.cpu))

    def _masks(self, partner: Work, number: int, idle: float) -> float:
        """Seconds of re-randomising what was not made ahead, while nothing was asked."""
        alone = self.rates.n_jobs == 1 or self.link.place == "one process"
        ahead = 0.0 if alone or number < _FIRST_MASKED else idle
        return _left(self._share(partner, "rerandomise"), ahead)

    def _crossing(self, kind: str) -> float:
        """Seconds that these messages of all parties take on the line and at its ends."""
        total = sum((by_request.get(kind, Traffic()) for by_request in self.messages), Traffic())
        n_bytes = total.bytes_sent + total.bytes_received
        seconds = self.link.seconds(n_bytes)
        if self.link.place != "one process":
            seconds += self.rates.message.of(total.messages, n_bytes).wall
        return seconds / self.counts.shape.trees

    def _busy(self) -> float:
        """Processor seconds of all parties together."""
        once = {"start", "bin"}
        works = (self.label, *self.partners)
        return sum(self._share(work, *(work.keys() - once)).cpu for work in works)

    def _share(self, work: Work, *names: str) -> Time:
        trees = self.counts.shape.trees
        return sum((work[name][0] * (1 / trees) for name in names), Time())


def _left(work: Time, seconds_ahead: float) -> float:
    """Wall seconds left of work of which one thread has done a part before."""
    done = min(1.0, seconds_ahead / work.cpu) if work.cpu > 0 else 0.0
    return work.wall * (1 - done)
