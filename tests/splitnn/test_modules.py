"""Somebody's own modules as bottom and top: what fits, what is refused and why."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call

from secureboost.errors import ConfigError
from secureboost.splitnn.architectures import (
    ARCHITECTURES,
    ColumnsSpec,
    FromModules,
    get_architecture,
    register,
)
from secureboost.splitnn.architectures.base import ColumnsError
from secureboost.splitnn.randomness import seeded

NUMBERS = ColumnsSpec(("a", "b", "c", "d"), (), ())
BOTH = ColumnsSpec(("a", "b"), ("job", "marital"), (4, 3))
FEW = torch.empty((5, 0), dtype=torch.int64)


class TwoInputs(nn.Module):
    def __init__(self, columns, width):
        super().__init__()
        self.table = nn.Embedding(columns.n_codes[0], 2)
        self.layer = nn.Linear(len(columns.numbers) + 2, width)

    def forward(self, numbers, codes):
        return self.layer(torch.cat([numbers, self.table(codes[:, 0])], dim=1))


def make_bottom(module, columns=NUMBERS, width=3, seed=1):
    with seeded(seed):
        return FromModules("own", bottom=module).make_bottom(
            columns, width, {}, torch.Generator().manual_seed(seed)
        )


def make_top(module, widths=(3, 2), n_outputs=1):
    with seeded(2):
        return FromModules("own", top=module).make_top(widths, n_outputs, {}, torch.Generator())


def random_numbers(n_rows=5, width=4):
    return torch.randn((n_rows, width), generator=torch.Generator().manual_seed(0))


def test_a_module_is_a_bottom_and_its_width_is_found():
    module = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))
    assert FromModules("own", bottom=module).own_width(NUMBERS, 32, {}) == 3
    bottom = make_bottom(module)
    assert torch.equal(bottom(random_numbers(), FEW), module(random_numbers()))


def test_a_module_is_copied_with_its_weights():
    module = nn.Linear(4, 3)
    before = module.weight.clone()
    bottom = make_bottom(module)
    with torch.no_grad():
        for weight in bottom.parameters():
            weight += 1.0
    assert torch.equal(module.weight, before)
    assert torch.equal(make_bottom(module).module.weight, before)


def test_a_callable_is_told_columns_and_width_and_begins_at_the_seed():
    bottoms = [make_bottom(TwoInputs, BOTH, 6, seed) for seed in (1, 1, 2)]
    weights = [bottom.module.layer.weight for bottom in bottoms]
    assert weights[0].shape == (6, 4)
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert FromModules("own", bottom=TwoInputs).own_width(BOTH, 32, {}) == 32
    made = nn.Linear(4, 3)
    assert make_bottom(lambda columns, width: made).module is not made


def test_a_top_is_fed_side_by_side():
    top = make_top(nn.Linear(5, 1))
    cut = [random_numbers(5, 3), random_numbers(5, 2)]
    assert torch.equal(top(cut), top.module(torch.cat(cut, dim=1)))
    top = make_top(lambda widths, n_outputs: nn.Linear(sum(widths), n_outputs), (3, 4, 2), 3)
    assert top([random_numbers(5, n) for n in (3, 4, 2)]).shape == (5, 3)


def test_what_is_not_given_is_the_perceptron():
    kind = FromModules("own", top=nn.Linear(5, 1))
    assert kind.bottom_options({"hidden": (3,)})["hidden"] == (3,)
    assert kind.own_width(NUMBERS, 32, {}) == 32
    assert kind.make_bottom(NUMBERS, 3, {}, torch.Generator())(random_numbers(), FEW).shape[1] == 3
    with pytest.raises(ConfigError, match=r"'hidden' is not an option of the top of 'own'.* none"):
        kind.check_options({}, {"hidden": (3,)})
    kind = FromModules("own", bottom=nn.Linear(4, 3))
    assert kind.make_top([3], 1, {}, torch.Generator())([random_numbers(5, 3)]).shape == (5, 1)
    with pytest.raises(ConfigError, match="'hidden' is not an option of the bottom of 'own'"):
        kind.check_options({"hidden": (3,)}, {})


def test_lazy_layers_find_their_sizes():
    bottom = make_bottom(nn.Sequential(nn.LazyLinear(6), nn.ReLU(), nn.Linear(6, 3)))
    assert bottom.module[0].weight.shape == (6, 4)
    with torch.device("meta"):
        measured = make_bottom(lambda columns, width: nn.LazyLinear(width))
    assert sum(weight.numel() for weight in measured.parameters()) == 15


def test_it_can_be_measured_without_numbers():
    for module in (nn.Linear(4, 3), lambda columns, width: nn.Linear(4, width)):
        with torch.device("meta"):
            measured = make_bottom(module)
        assert sum(weight.numel() for weight in measured.parameters()) == 15


def test_dropout_follows_the_given_generator():
    outs, module = [], nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5))
    for place in (0, 1):
        torch.manual_seed(place)
        bottom = make_bottom(module)
        outs.append([bottom(random_numbers(), FEW) for _ in range(2)])
        after = torch.rand(())
        torch.manual_seed(place)
        assert torch.equal(after, torch.rand(()))  # the global generator is as it was
    assert torch.equal(outs[0][0], outs[1][0])
    assert torch.equal(outs[0][1], outs[1][1])
    assert not torch.equal(outs[0][0], outs[0][1])


def test_buffers_are_kept_with_the_weights():
    bottom = make_bottom(nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)))
    mean = "module.1.running_mean"
    assert not bottom.state_dict()[mean].any()  # the dry run left none behind
    bottom(random_numbers(), FEW)
    assert bottom.state_dict()[mean].any()
    bottom.eval()
    state = {key: value.clone() for key, value in bottom.state_dict().items()}
    expected = bottom(random_numbers(), FEW)
    again = make_bottom(nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)), seed=9)
    again.load_state_dict(state)
    again.eval()
    assert torch.equal(again(random_numbers(), FEW), expected)
    assert torch.equal(bottom.state_dict()[mean], state[mean])


@pytest.mark.parametrize(
    "module",
    [
        nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)),
        nn.Sequential(nn.Linear(4, 3), nn.LayerNorm(3)),
        nn.utils.parametrizations.spectral_norm(nn.Linear(4, 3)),
        nn.utils.parametrizations.weight_norm(nn.Linear(4, 3)),
        nn.Sequential(
            nn.Unflatten(1, (1, 4)),
            nn.TransformerEncoderLayer(4, 2, 8, batch_first=True),
            nn.Flatten(),
            nn.Linear(4, 3),
        ),
    ],
    ids=["batch norm", "layer norm", "spectral norm", "weight norm", "transformer"],
)
def test_two_batches_in_flight(module):
    """Forward passes with two sets of weights, then both backward passes."""
    bottom = make_bottom(module)
    stashes = [
        {key: value.detach() + shift for key, value in bottom.named_parameters()}
        for shift in (0.0, 0.1)
    ]
    stashes = [{key: value.requires_grad_() for key, value in s.items()} for s in stashes]
    outs = [functional_call(bottom, stash, (random_numbers(), FEW)) for stash in stashes]
    for out, stash in zip(outs, stashes, strict=True):
        gradients = torch.autograd.grad(out.square().sum(), list(stash.values()))
        assert all(torch.isfinite(gradient).all() for gradient in gradients)


class Hidden(nn.Module):
    """Its weights lie where nobody finds them."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 3)
        self.weights = [torch.randn(4, 3, requires_grad=True)]

    def forward(self, numbers):
        return self.layer(numbers) + numbers @ self.weights[0]


class Counting(nn.Linear):
    def get_extra_state(self):
        return {"count": 3}

    def set_extra_state(self, state):
        pass


class Numpy(nn.Linear):
    def forward(self, numbers):
        return super().forward(numbers) * (np.random.rand() if self.training else 1.0)  # noqa: NPY002


class Restless(nn.Linear):
    def forward(self, numbers):
        return super().forward(numbers) + torch.rand(3)


class InPlace(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 3)
        self.register_buffer("scale", torch.ones(3))

    def forward(self, numbers):
        self.scale.mul_(0.9)
        return self.layer(numbers) * self.scale


class Constant(nn.Linear):
    def forward(self, numbers):
        return torch.zeros((len(numbers), 3)) + self.bias.detach()


class Pair(nn.Linear):
    def forward(self, numbers):
        return numbers, numbers


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nn.Linear(4, 8), r"gives numbers of shape \(6, 8\) for 6 rows, and \(6, 3\) are wanted"),
        (nn.Linear(5, 3), r"does not take inputs of shape \(6, 4\): .*shapes cannot be multiplied"),
        (Pair(4, 3), "the bottom of 'own' gives a tuple; it must give a tensor"),
        (
            nn.Sequential(nn.Linear(4, 3), nn.Flatten(0)),
            r"gives torch.float32 of shape \(18,\) for 6 rows; it must give numbers of shape \(6,",
        ),
        (nn.Identity(), r"gives numbers of shape \(6, 4\)"),
        (nn.Sequential(nn.Flatten(), nn.AdaptiveAvgPool1d(3)), "has no weights to learn; give it"),
        (Counting(4, 3), "keeps a dict as '_extra_state'; only tensors can be kept"),
        (
            lambda *_: torch.jit.script(nn.Linear(4, 3)),
            r"functional_call\): .*Scripted and traced modules c",
        ),
        (Hidden(), "computes with weights that are not among its parameters"),
        (InPlace(), "cannot be used with the weights of an earlier batch"),
        (Constant(4, 3), "does not learn: what it gives depends on no weight of it"),
        (Numpy(4, 3), "draws from another source than torch's generator"),
        (Restless(4, 3), "gives the same rows other numbers each time in evaluation mode"),
        (
            nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3, track_running_stats=False)),
            "gives a row other numbers in evaluation mode when other rows are scored with it",
        ),
    ],
    ids=lambda value: "" if isinstance(value, str) else type(value).__name__,
)
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_modules_that_cannot_be_bottoms(module, message):
    with pytest.raises(ConfigError, match=message):
        make_bottom(module)


@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
def test_other_things_that_cannot_be_bottoms():
    with pytest.raises(
        ConfigError, match=r"the bottom of 'own' was made as a int; make a torch.nn"
    ):
        make_bottom(lambda columns, width: 3)
    with pytest.raises(ColumnsError, match="takes one tensor, and there are columns of categories"):
        make_bottom(nn.Linear(2, 3), BOTH)
    small = ColumnsSpec(("a", "b"), ("job",), (2,))
    module = TwoInputs(small, 3)
    with pytest.raises(
        ConfigError, match=r"does not take inputs of shape \(6, 2\) and \(6, 2\): in"
    ):
        make_bottom(module, BOTH)
    with pytest.raises(
        ConfigError, match=r"cannot be copied: .*parametrizations.weight_norm does n"
    ):
        make_bottom(nn.utils.weight_norm(nn.Linear(4, 3)))


def test_modules_that_cannot_be_tops():
    with pytest.raises(
        ConfigError, match=r"the top of 'own' does not take inputs of shape \(6, 5\)"
    ):
        make_top(nn.Linear(6, 1))
    with pytest.raises(ConfigError, match=r"gives numbers of shape \(6, 1\) .*\(6, 3\) are wanted"):
        make_top(nn.Linear(5, 1), n_outputs=3)


def test_names_of_ones_own():
    with pytest.raises(ConfigError, match="architecture: 'mlp' cannot be the name"):
        register(FromModules("mlp"))
    with pytest.raises(ConfigError, match="1 to 64 characters"):
        register(FromModules(""))
    kind = FromModules("test of names", bottom=nn.Linear(4, 3))
    try:
        register(kind)
        assert get_architecture("test of names") is kind
        other = FromModules("test of names")
        register(other)
        assert get_architecture("test of names") is other
    finally:
        del ARCHITECTURES["test of names"]
    with pytest.raises(ConfigError, match="'test of names' is not an architecture; there is: mlp"):
        get_architecture("test of names")
