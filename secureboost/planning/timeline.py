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
from secureboost.planning.rates import Time
from secureboost.planning.shape import Link
from secureboost.planning.work import Work

_SETTLED = 30
"""Trees after which all are alike."""


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


@dataclass(frozen=True)
class _Tree:
    """Wall seconds of one tree; fields as in `Timeline`."""

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
    n_jobs: int,
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
    n_jobs : int
        Cores of a machine.
    """
    trees = counts.shape.trees
    times: list[_Tree] = []
    for number in range(min(trees, _SETTLED)):
        last = times[-1] if times else None
        times.append(_tree(counts, label, partners, messages, link, n_jobs, number, last))
    times += [times[-1]] * (trees - len(times))
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


def _tree(
    counts: Counts,
    label: Work,
    partners: Sequence[Work],
    messages: Sequence[Mapping[str, Traffic]],
    link: Link,
    n_jobs: int,
    number: int,
    last: _Tree | None,
) -> _Tree:
    trees, latency = counts.shape.trees, link.latency / 1000

    def one(work: Work, *names: str) -> Time:
        return sum((work[name][0] * (1 / trees) for name in names), Time())

    def crossing(kind: str) -> tuple[float, float]:
        traffic = [by_request[kind] for by_request in messages if kind in by_request]
        sent = link.seconds(sum(t.bytes_sent for t in traffic) / trees)
        return sent, link.seconds(sum(t.bytes_received for t in traffic) / trees)

    # Of the first tree nothing is made ahead; a feature party begins with the second.
    idle = last.wait if last else 0.0
    ahead = idle * _capacity(counts)
    encrypt = _left(one(label, "encrypt"), ahead if n_jobs > 1 else 0.0)
    check = max(one(work, "check").wall for work in partners)
    line = sum(crossing("GradientBlock")) + check + counts.blocks * latency
    publish = max(encrypt, line) + min(encrypt, line) / counts.blocks
    alone = n_jobs == 1 or link.place == "one process"
    masks = tuple(
        _left(one(work, "rerandomise"), 0.0 if alone or number < 2 else publish)
        for work in partners
    )
    answer = max(
        one(work, "plan", "sum", "pack").wall + mask
        for work, mask in zip(partners, masks, strict=True)
    )
    own = one(label, "histogram").wall
    asked = len(counts.levels) * latency
    remote = answer + sum(crossing("HistogramsOf")) + asked
    rest = one(label, "decrypt", "split", "divide", "other").wall
    rest += sum(crossing("Divide")) + asked
    wall = publish + max(own, remote) + rest
    if link.place != "apart":
        wall = max(wall, _busy(label, partners, trees) / n_jobs)
    return _Tree(
        wall=wall,
        encrypt=encrypt,
        send=publish - encrypt,
        wait=max(0.0, remote - own),
        rerandomise=masks,
    )


def _left(work: Time, seconds_ahead: float) -> float:
    """Wall seconds left of work of which one thread has done a part before."""
    done = min(1.0, seconds_ahead / work.cpu) if work.cpu > 0 else 0.0
    return work.wall * (1 - done)


def _capacity(counts: Counts) -> float:
    """Share of a tree's rows whose randomness fits the memory for it."""
    return min(1.0, AHEAD_BYTES / (counts.shape.ciphertext_bytes * counts.shape.active_rows))


def _busy(label: Work, partners: Sequence[Work], trees: int) -> float:
    """Processor seconds of a tree, of all parties together."""
    once = ("start", "bin")
    return sum(
        time.cpu / trees
        for work in (label, *partners)
        for name, (time, _) in work.items()
        if name not in once
    )
