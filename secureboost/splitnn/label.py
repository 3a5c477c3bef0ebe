"""The label party's role in training: makes bottoms and top, trains them, keeps its half.

Pooled training runs the very same code over local bottoms alone: that is the twin with which a
split network is compared.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from parties.peer import Peer
from secureboost.errors import ConfigError
from secureboost.recovery import Recovery
from secureboost.splitnn.blueprint import Blueprint
from secureboost.splitnn.body import BodiedBottoms, LocalBody
from secureboost.splitnn.bottoms import Bottom, Feed, LocalBottom
from secureboost.splitnn.checkpoint import Checkpoint, Kept, load_checkpoint, restoring, run_digests
from secureboost.splitnn.codecs import MASKED_SUM
from secureboost.splitnn.codecs.summand import top_inputs
from secureboost.splitnn.late import Patience, PunctualBottom, warn_of_late
from secureboost.splitnn.make import make_bottom
from secureboost.splitnn.model import (
    BottomHead,
    PartnerNet,
    TopHead,
    encode_half,
    new_model_id,
)
from secureboost.splitnn.party_dropout import DroppingFeed
from secureboost.splitnn.plan import BottomPlan
from secureboost.splitnn.protections import LabelProtection, label_protections
from secureboost.splitnn.randomness import (
    LABELS,
    TOP,
    derive,
    new_run_seed,
)
from secureboost.splitnn.remote import RemoteBottom, check_ready, setup_message
from secureboost.splitnn.remote_body import RemoteBody, setup_body
from secureboost.splitnn.several import names_of
from secureboost.splitnn.summing import agree_masks, sum_members
from secureboost.splitnn.table import ColumnTable
from secureboost.splitnn.task import NetPartner, Task, Trained, TrainingTable
from secureboost.splitnn.top import TopLearner, TopNetwork, make_target, make_top
from secureboost.splitnn.trainable import join_parts
from secureboost.splitnn.trainer import EpochEnd, Trainer


def train(
    table: TrainingTable,
    partners: Sequence[NetPartner],
    task: Task,
    *,
    recovery: Recovery | None = None,
    keep: bool = True,
    make_local: Callable[..., LocalBottom] = LocalBottom,
) -> Trained:
    """Train a network over own columns and those of the partners.

    Parameters
    ----------
    table : TrainingTable
    partners : sequence of NetPartner
        Their order numbers the bottoms, behind those in this process.
    task : Task
    recovery : Recovery, optional
        Where checkpoints go, and whether a run is gone on with.
    keep : bool
        Whether partners keep their halves; not where the model is only measured.
    make_local : callable
        Makes a bottom in this process; `recorder` notes what crosses it.

    Returns
    -------
    Trained
        Every partner has stored its own half under the same model id.

    Raises
    ------
    parties.errors.PartyError
        If a partner refuses or fails.
    secureboost.errors.IntegrityError
        If a partner sends what cannot be.
    secureboost.splitnn.errors.DivergedError
        If training leads to numbers that are not finite.
    secureboost.errors.ModelError
        If the interrupted run cannot be gone on with.
    """
    return _Run(table, partners, task, recovery or Recovery(), make_local).train(keep)


def _check_more_is_not_wanted(kept: Kept, n_epochs: int) -> None:
    """Refuse more epochs than a run had that is finished: its partners have closed their halves.

    One that was stopped early stays as it is, however many epochs it might have had.

    Raises
    ------
    secureboost.errors.ConfigError
    """
    planned = kept.parameters.get("n_epochs")
    if kept.finished and kept.epoch == planned and n_epochs > kept.epoch:
        raise ConfigError(
            f"is {n_epochs}, and the run is finished after {kept.epoch} epochs; begin a new one, "
            f"or resume with n_epochs={kept.epoch}",
            "n_epochs",
        )


class _Run:
    """One training: what is made once, and the way through it."""

    def __init__(
        self,
        table: TrainingTable,
        partners: Sequence[NetPartner],
        task: Task,
        recovery: Recovery,
        make_local: Callable[..., LocalBottom],
    ) -> None:
        self._table, self._task, self._recovery = table, task, recovery
        self._make_local = make_local
        self._partners = partners
        self._params = task.params
        owners = [*table.column_owner] or [partner.peer.name for partner in partners]
        self._digests = run_digests(table, owners)
        found = recovery.find(load_checkpoint, self._digests, task.parameters)
        self._found = found
        if found:
            _check_more_is_not_wanted(found.kept, task.params.n_epochs)
        drawn = new_run_seed() if task.random_state is None else task.random_state
        self._blueprint = Blueprint(
            task.params,
            int(found.kept.seed, 16) if found else drawn,
            found.kept.model_id if found else new_model_id(),
            tuple(owners),
            len(table.y),
            table.n_rows,
        )
        self._epoch = found.kept.epoch if found else 0
        self._losses = task.losses
        if found:
            task.monitor.restore(found.kept.history)
            task.losses[:] = [math.nan if v is None else v for v in found.kept.losses]
        params, self._order = task.params, self._blueprint.order
        self._batches = self._blueprint.batches
        self._heads: list[BottomHead] = []
        self._local = [self._local_bottom(*part) for part in table.parts.items()]
        widths = {bottom.owner: bottom.width for bottom in self._local}
        widths |= {partner.peer.name: params.cut_width for partner in partners}
        self._inputs = top_inputs(widths, params.codec)
        self._body_head = self._blueprint.body_head([*self._inputs.values()])
        self._local_body = self._make_body()
        self._top = self._make_top()
        self._may_miss: list[str] = []
        if params.party_dropout and len(task.evaluated):
            self._may_miss = [owner for owner in owners if owner != params.body]
        self._without = found.kept.metrics_without if found else {}
        self._patience = Patience(params.max_wait or 0.0)
        self._late = found.kept.late if found else {}

    def train(self, keep: bool) -> Trained:
        """Train, and finish with every partner."""
        started = time.perf_counter()
        remote = self._remote_bottoms()
        bottoms: list[Bottom] = [*self._local, *remote]
        body = self._local_body or self._remote_body()
        feeds = [self._feed(bottom) for bottom in bottoms]
        if self._params.codec == MASKED_SUM:
            feeds = sum_members(bottoms, self._params.dtype)
        if body:
            feeds = [BodiedBottoms(feeds, body)]
        if self._found is None:
            # before any partner keeps something under the model's name
            self._save(finished=False)
        if self._found is None or not self._found.kept.finished:
            trainer = Trainer(feeds, self._top, self._batches, self._params)
            trainer.fit(self._epoch, lambda end: self._after_epoch(end, trainer, bottoms))
        best = self._task.monitor.best_iteration is not None
        digests = {bottom.owner: bottom.finish(keep=keep, best=best) for bottom in remote}
        half = self._half(digests, best)
        seconds = {bottom.owner: bottom.seconds for bottom in remote}
        if self._params.max_wait is not None:
            n_batches = self._epoch * self._batches.per_epoch
            warn_of_late(self._late, n_batches, self._params.max_wait)
        seconds[""] = time.perf_counter() - started
        return Trained(half, self._losses, seconds, self._late)

    def _local_bottom(self, owner: str, columns: ColumnTable) -> LocalBottom:
        place, blueprint = len(self._heads), self._blueprint
        if self._found:
            head = self._found.kept.bottoms[place]
        else:
            head = blueprint.bottom_head(owner, columns)
        plan = blueprint.plan(blueprint.order, owner, head.width)
        learner = make_bottom(head, plan, columns)
        if self._found:
            with restoring(blueprint.model_id):
                learner.restore(self._found.bottoms[place], self._epoch)
        self._heads.append(head)
        return self._make_local(owner, learner, plan.width, plan.dtype)

    def _feed(self, bottom: Bottom) -> Feed:
        """A bottom as the top sees it: of a feature party rows may be left out."""
        dropped = self._blueprint.dropped_rows(bottom.owner)
        return bottom if dropped is None else DroppingFeed(bottom, dropped)

    def _make_body(self) -> LocalBody | None:
        """The body, if a party of pooled training computes one."""
        head, owner = self._body_head, self._params.body
        if head is None or owner not in self._table.column_owner:
            return None
        body = LocalBody(owner, head, self._blueprint.plan(self._order, owner, head.width))
        if self._found:
            with restoring(self._blueprint.model_id):
                body.restore(self._found.body, self._epoch)
        return body

    def _remote_body(self) -> RemoteBody | None:
        """The body, if a partner computes one; it is told so behind its bottom."""
        head = self._body_head
        if head is None:
            return None
        peers = {partner.peer.name: partner.peer for partner in self._partners}
        peer = peers[str(self._params.body)]
        peer.ask(setup_body(head))
        return RemoteBody(peer, head, self._params.learning_rate)

    def _remote_bottoms(self) -> list[RemoteBottom]:
        """Set all partners up, side by side."""
        if self._params.codec == MASKED_SUM and self._partners:
            agree_masks([partner.peer for partner in self._partners])
        stated = self._task.random_state is not None
        width = self._params.cut_width
        plans = [
            self._blueprint.plan(partner.rows[self._order], partner.peer.name, width)
            for partner in self._partners
        ]
        answers = []
        for partner, plan in zip(self._partners, plans, strict=True):
            seed = plan.seed if stated else None
            request = setup_message(plan, self._blueprint.model_id, self._epoch, seed)
            answers.append(partner.peer.submit(request))
        for partner, answer in zip(self._partners, answers, strict=True):
            check_ready(partner.peer.name, answer.result(), self._batches)
        peers = [partner.peer for partner in self._partners]
        return [self._remote(peer, plan) for peer, plan in zip(peers, plans, strict=True)]

    def _remote(self, peer: Peer, plan: BottomPlan) -> RemoteBottom:
        """A partner's bottom; whether it is waited for as long as it takes is in the plan."""
        if not plan.skips:
            return RemoteBottom(peer, plan)
        return PunctualBottom(peer, plan, self._patience, self._late.get(peer.name, 0))

    def _make_top(self) -> TopLearner:
        task, params = self._task, self._params
        inputs = self._inputs
        if params.body is not None:
            inputs = {params.body: params.body_width}
        seed, generator = derive(self._blueprint.seed, TOP), torch.Generator()
        protections = label_protections(params.label_protections)
        y = self._labels(protections, generator.manual_seed(derive(seed, LABELS)))
        target = make_target(task.objective, y, self._table.weight[self._blueprint.of_training])
        module = make_top(params, [*inputs.values()], task.objective.n_outputs, seed, generator)
        self._target = target
        top = TopLearner(
            TopNetwork(module, target.offset, target.scale),
            target,
            params,
            protections,
            [*inputs],
            seed,
            generator,
        )
        if self._found:
            with restoring(self._blueprint.model_id):
                top.trainable.restore(self._found.top)
        return top

    def _labels(
        self, protections: Sequence[LabelProtection], generator: torch.Generator
    ) -> NDArray[np.float64]:
        """The labels to learn from: drawn once, since every other draw would tell more of them."""
        if self._found:
            return self._found.labels
        y = self._table.y[self._blueprint.of_training]
        for protection in protections:
            y = protection.labels(y, generator)
        return y

    def _after_epoch(self, end: EpochEnd, trainer: Trainer, bottoms: Sequence[Bottom]) -> bool:
        """Measure, remember the best weights, keep everything; True ends training."""
        monitor, n_done = self._task.monitor, end.epoch + 1
        self._losses.append(end.loss)
        scores = self._score(trainer)
        stop = monitor(_Scored(scores[0], n_done))
        best = monitor.best_iteration == end.epoch
        if self._may_miss and (best or monitor.best_iteration is None):
            missing = ["", *self._may_miss]
            self._without = dict(zip(missing, map(monitor.measure, scores), strict=True))
        self._late = {b.owner: b.late for b in bottoms if isinstance(b, PunctualBottom)}
        durable = self._recovery.path is not None
        self._epoch = n_done
        if best or durable:
            for bottom in bottoms:
                bottom.keep(n_done, best=best, durable=durable)
        if best:
            self._top.trainable.remember()
            if self._local_body:
                self._local_body.trainable.remember()
        self._save(finished=stop or n_done == self._params.n_epochs)
        return stop

    def _score(self, trainer: Trainer) -> list[NDArray[np.float64]]:
        """Raw scores of the rows that are evaluated, in an array of all rows.

        First with all parties, then without each of those that may be missing.
        """
        rows, n_outputs = self._task.evaluated, self._task.objective.n_outputs
        shape = (self._table.n_rows, *([] if n_outputs == 1 else [n_outputs]))
        scores = [np.zeros(shape) for _ in ["", *self._may_miss]]
        if len(rows):
            # as they are named: the order of the table must not show
            named = np.flatnonzero(np.isin(self._order, rows)).astype(np.int32)
            for raw, of_named in zip(scores, trainer.score(named, self._may_miss), strict=True):
                raw[self._order[named]] = of_named
        return scores

    def _save(self, finished: bool) -> None:
        """Write the checkpoint, if there is to be one."""
        if self._recovery.path is None:
            return
        kept = Kept(
            model_id=self._blueprint.model_id,
            seed=f"{self._blueprint.seed:x}",
            run=self._digests,
            parameters=self._task.parameters,
            bottoms=tuple(self._heads),
            epoch=self._epoch,
            history=self._task.monitor.history,
            losses=tuple(None if math.isnan(loss) else loss for loss in self._losses),
            metrics_without=self._without,
            late=self._late,
            finished=finished,
        )
        states = tuple(bottom.learner.trainable.state() for bottom in self._local)
        body = self._local_body.trainable.state() if self._local_body else {}
        checkpoint = Checkpoint(kept, self._top.trainable.state(), states, self._target.y, body)
        checkpoint.save(self._recovery.path)

    def _half(self, digests: dict[str, str], best: bool) -> bytes:
        task, table, target, params = self._task, self._table, self._target, self._params
        head = TopHead(
            model_id=self._blueprint.model_id,
            objective=task.objective.name,
            objective_parameters=task.objective.parameters,
            classes=task.classes,
            labels=names_of(task.objective),
            offset=tuple(target.offset.tolist()),
            scale=target.scale,
            architecture=params.top_choice,
            body=self._body_head,
            body_at="" if self._local_body else params.body or "",
            dtype=params.dtype,
            codec=params.codec,
            best_epoch=task.monitor.best_iteration,
            party_dropout=params.party_dropout,
            metrics_without=self._without,
            feature_names=table.columns.feature_names,
            categories=table.columns.categories,
            named=table.named,
            column_owner={owner: tuple(names) for owner, names in table.column_owner.items()},
            bottoms=tuple(self._heads),
            partners=tuple(
                PartnerNet(name=name, width=params.cut_width, digest=digest)
                for name, digest in digests.items()
            ),
            parameters=task.parameters,
        )
        parts = {"top": self._top.trainable.weights(best=best)}
        for number, bottom in enumerate(self._local):
            parts[f"bottom {number}"] = bottom.learner.trainable.weights(best=best)
        if self._local_body:
            parts["body"] = self._local_body.trainable.weights(best=best)
        return encode_half(head, join_parts(parts))


@dataclass(frozen=True, repr=False)
class _Scored:
    """What the monitor looks at."""

    raw: NDArray[np.float64]
    rounds: int
