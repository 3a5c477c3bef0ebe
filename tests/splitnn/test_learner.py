"""A bottom in training against plain torch: one graph, one optimiser."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from secureboost.splitnn.bottoms import LocalBottom
from secureboost.splitnn.errors import DivergedError, PayloadError, TurnError
from secureboost.splitnn.inputs import prepare
from secureboost.splitnn.make import make_bottom
from secureboost.splitnn.model import BottomHead
from secureboost.splitnn.options import Choice
from secureboost.splitnn.plan import BottomPlan
from secureboost.splitnn.randomness import INITIAL, seeded
from secureboost.splitnn.table import ColumnTable

N, WIDTH = 48, 3
PLAN = BottomPlan(
    rows=np.arange(N, dtype=np.int32)[::-1].copy(),
    n_training=40,
    batch_size=10,
    batch_seed=3,
    in_flight=1,
    skips=False,
    local_steps=1,
    width=WIDTH,
    dtype="float64",
    architecture=Choice("mlp", {"hidden": (6,)}),
    optimizer="adam",
    learning_rate=0.05,
    momentum=0.0,
    weight_decay=0.0,
    max_norm=None,
    codec="identity",
    protections=(),
    seed=9,
)


def table(seed=0, n=N):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(2, n)).astype(np.float32)
    kinds = rng.integers(0, 3, n).astype(np.float32)
    return ColumnTable(
        ("x", "y", "kind"), np.vstack([values, kinds]), (None, None, ("a", "b", "c"))
    )


def make(columns, **changes):
    plan = replace(PLAN, **changes)
    head = BottomHead(
        model_id="0" * 32,
        party="",
        architecture=plan.architecture,
        width=plan.width,
        dtype=plan.dtype,
        codec=plan.codec,
        protections=plan.protections,
        preparation=prepare(columns, plan.rows[: plan.n_training]),
    )
    return LocalBottom("", make_bottom(head, plan, columns), plan.width, plan.dtype)


class Joint(nn.Module):
    """Two bottoms and a top as one network."""

    def __init__(self, bottoms, top):
        super().__init__()
        self.bottoms = nn.ModuleList(bottoms)
        self.top = top

    def forward(self, inputs):
        cut = [bottom(*fed) for bottom, fed in zip(self.bottoms, inputs, strict=True)]
        return self.top(torch.cat(cut, dim=1))


def make_top():
    with seeded(1, INITIAL):
        return nn.Sequential(
            nn.ReLU(), nn.Linear(2 * WIDTH, 4), nn.Tanh(), nn.Linear(4, 1)
        ).double()


def loss_of(outputs, rows):
    return ((outputs[:, 0] - torch.sin(torch.from_numpy(rows.astype(np.float64)))) ** 2).mean()


def test_gradients_and_steps_are_those_of_one_joint_graph():
    tables = [table(0), table(1)]
    bottoms = [make(columns) for columns in tables]
    twins = [make(columns).learner for columns in tables]
    top = make_top()
    joint = Joint([twin.trainable.module for twin in twins], make_top())
    ours = torch.optim.Adam(top.parameters(), lr=PLAN.learning_rate, fused=True)
    theirs = torch.optim.Adam(joint.parameters(), lr=PLAN.learning_rate, fused=True)
    batches = bottoms[0].learner.batches
    gradients = None
    for number in range(3 * batches.per_epoch):
        if batches.begins_epoch(number) and gradients is not None:
            for bottom, gradient in zip(bottoms, gradients, strict=True):
                bottom.exchange(gradient, None).result()
            gradients = None
        rows = batches.rows(number)
        cut = [
            bottom.exchange(None if gradients is None else gradients[i], number).result()
            for i, bottom in enumerate(bottoms)
        ]
        leaves = [values.requires_grad_() for values in cut]
        ours.zero_grad()
        loss = loss_of(top(torch.cat(leaves, dim=1)), rows)
        loss.backward()
        ours.step()
        gradients = [leaf.grad for leaf in leaves]

        theirs.zero_grad()
        inputs = [twin._inputs.batch(PLAN.rows[rows]) for twin in twins]
        expected = loss_of(joint(inputs), rows)
        expected.backward()
        theirs.step()
        assert torch.equal(loss, expected)
        for mine, other in zip(top.parameters(), joint.top.parameters(), strict=True):
            assert torch.equal(mine, other)
    for bottom, gradient, twin in zip(bottoms, gradients, twins, strict=True):
        bottom.exchange(gradient, None).result()
        for name, value in bottom.learner.trainable.weights().items():
            assert torch.equal(value, twin.trainable.module.state_dict()[name])


def by_hand(columns, gradient_at, *, in_flight, local_steps=1):
    """What a learner does, with whole copies of the network for weights in flight."""
    learner = make(columns, in_flight=in_flight, local_steps=local_steps).learner
    module, batches = learner.trainable.module, learner.batches
    optimiser = torch.optim.Adam(module.parameters(), lr=PLAN.learning_rate, fused=True)
    outputs, flights = [], []

    def forward(number):
        inputs = learner._inputs.batch(PLAN.rows[batches.rows(number)])
        kept = make(columns).learner.trainable.module
        kept.load_state_dict(module.state_dict())
        out = kept(*inputs)
        outputs.append(out.detach())
        flights.append((number, kept, inputs, out))

    for number in range(in_flight):
        forward(number)
    for number in range(batches.per_epoch):
        at, kept, inputs, out = flights.pop(0)
        assert at == number
        for step in range(local_steps):
            source, values = (kept, out) if step == 0 else (module, module(*inputs))
            gradients = torch.autograd.grad(
                values, list(source.parameters()), gradient_at(number, outputs[number])
            )
            for parameter, gradient in zip(module.parameters(), gradients, strict=True):
                parameter.grad = gradient
            optimiser.step()
        if number + in_flight < batches.per_epoch:
            forward(number + in_flight)
    return outputs, module.state_dict()


@pytest.mark.parametrize("in_flight", [1, 2, 3, 4])
@pytest.mark.parametrize("local_steps", [1, 3])
def test_weights_in_flight_are_kept(in_flight, local_steps):
    columns = table()

    def gradient_at(number, values):
        return torch.cos(values + number)

    expected, weights = by_hand(columns, gradient_at, in_flight=in_flight, local_steps=local_steps)
    bottom = make(columns, in_flight=in_flight, local_steps=local_steps)
    per_epoch = bottom.learner.batches.per_epoch
    given = [bottom.exchange(None, number).result() for number in range(in_flight)]
    for number in range(per_epoch):
        upcoming = number + in_flight if number + in_flight < per_epoch else None
        answer = bottom.exchange(gradient_at(number, given[number]), upcoming).result()
        if upcoming is not None:
            given.append(answer)
    for mine, other in zip(given, expected, strict=True):
        assert torch.equal(mine, other)
    for name, value in bottom.learner.trainable.weights().items():
        assert torch.equal(value, weights[name])
    assert bottom.learner.resting
    assert bottom.learner.epoch == 1


def arrays(value=0.0, n_rows=10):
    return (np.full((n_rows, WIDTH), value),)


@pytest.mark.parametrize(
    ("before", "turn", "text"),
    [
        ([(None, 0)], (1, 1), "gradient_of=1, and the oldest batch in flight is 0"),
        ([], (0, 0), "gradient_of=0, and the oldest batch in flight is None"),
        ([], (None, 1), "forward=1, and the next batch is 0"),
        ([(None, 0)], (None, 0), "forward=0, and the next batch is 1"),
        ([(None, 0), (None, 1)], (None, 2), "2 batches are in flight, and in_flight is no more"),
        ([], (None, None), "neither a gradient nor a batch is named"),
        (
            [(None, 0), (0, 1), (1, 2), (None, 3)],
            (2, 4),
            "batch 4 begins an epoch, and 1 are in flight",
        ),
    ],
)
def test_turns(before, turn, text):
    learner = make(table(), in_flight=2).learner
    for gradient_of, forward in before:
        learner.exchange(gradient_of, None if gradient_of is None else arrays(), forward)
    state = learner.trainable.weights()
    with pytest.raises(TurnError, match=text):
        learner.exchange(turn[0], None if turn[0] is None else arrays(), turn[1])
    for name, value in learner.trainable.weights().items():
        assert torch.equal(value, state[name])


def test_a_gradient_that_is_not_finite_changes_nothing():
    learner = make(table()).learner
    learner.exchange(None, None, 0)
    before = learner.trainable.weights()
    for value in (np.nan, np.inf, -np.inf):
        with pytest.raises(PayloadError, match="gradient of batch 0 is not finite"):
            learner.exchange(0, arrays(value), 1)
    for name, value in learner.trainable.weights().items():
        assert torch.equal(value, before[name])
    learner.exchange(0, arrays(1.0), 1)


def test_activations_that_are_not_finite_name_step_and_rate():
    bottom = make(table(), optimizer="sgd", learning_rate=1e200)
    bottom.exchange(None, 0).result()
    with pytest.raises(DivergedError, match=r"step 1: the activation of the label party") as caught:
        bottom.exchange(torch.full((10, WIDTH), 1e200, dtype=torch.float64), 1)
    assert caught.value.step == 1
    assert "learning_rate=1e+200" in str(caught.value)
    assert "Lower learning_rate" in str(caught.value)


def test_gradients_are_clipped():
    start = make(table()).learner.trainable.weights()
    lengths = []
    for max_norm in (None, 0.5):
        bottom = make(table(), optimizer="sgd", learning_rate=1.0, max_norm=max_norm)
        bottom.exchange(None, 0).result()
        bottom.exchange(torch.full((10, WIDTH), 1.0, dtype=torch.float64), None).result()
        after = bottom.learner.trainable.weights()
        moved = torch.cat([(after[name] - start[name]).ravel() for name in start])
        lengths.append(float(moved.norm()))
    assert lengths[0] > 1.0
    assert lengths[1] == pytest.approx(0.5, rel=1e-3)


def test_evaluation_learns_nothing_and_draws_nothing():
    options = Choice("mlp", {"hidden": (6,), "dropout": 0.5})
    bottoms = [make(table(), architecture=options) for _ in range(2)]
    rows = np.arange(N, dtype=np.int32)
    first = bottoms[0].evaluate(rows).result()
    assert torch.equal(bottoms[0].evaluate(rows).result(), first)
    for number in range(2):
        gradient = None if number == 0 else torch.ones((10, WIDTH), dtype=torch.float64)
        answers = [bottom.exchange(gradient, number).result() for bottom in bottoms]
        assert torch.equal(*answers)
        bottoms[0].evaluate(rows).result()
    assert not torch.equal(bottoms[0].evaluate(rows).result(), first)


def test_state_goes_on_where_it_was_taken():
    whole, cut = make(table(), in_flight=2), make(table(), in_flight=2)
    run_epoch(whole, 0)
    run_epoch(cut, 0)
    cut.learner.trainable.remember()
    state = cut.learner.trainable.state()
    resumed = make(table(), in_flight=2, seed=PLAN.seed)
    resumed.learner.restore(state, 1)
    assert torch.equal(run_epoch(whole, 1), run_epoch(resumed, 1))
    best = resumed.learner.trainable.weights(best=True)
    for name, value in cut.learner.trainable.weights().items():
        assert torch.equal(best[name], value)
    other = make(table(), architecture=Choice("mlp", {"hidden": (7,)}))
    with pytest.raises(ValueError, match="of another network"):
        other.learner.restore(state, 1)


def run_epoch(bottom, epoch):
    """One epoch with made-up gradients; the last activations."""
    per_epoch = bottom.learner.batches.per_epoch
    values, gradient = None, None
    for number in range(epoch * per_epoch, (epoch + 1) * per_epoch):
        values = bottom.exchange(gradient, number).result()
        gradient = torch.cos(values)
    bottom.exchange(gradient, None).result()
    return values
