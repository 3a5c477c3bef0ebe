"""The networks themselves: shapes, gradients, what a bottom's parts mean, what options refuse."""

import pytest
import torch
from torch.func import functional_call

from secureboost.errors import ConfigError
from secureboost.splitnn.architectures import ARCHITECTURES, ColumnsSpec, get_architecture
from secureboost.splitnn.architectures.base import ColumnsError, n_layers
from secureboost.splitnn.architectures.deepfm import interaction
from secureboost.splitnn.network import count_units, measure
from secureboost.splitnn.options import Choice
from secureboost.splitnn.randomness import seeded

BANK = ColumnsSpec(("age", "income", "income is missing"), ("job", "marital"), (4, 3))
BUREAU = ColumnsSpec(("debt",), ("housing",), (5,))
NUMBERS = ColumnsSpec(("a", "b"), (), ())
CATEGORIES = ColumnsSpec((), ("c", "d"), (3, 2))
SPECS = [BANK, BUREAU, NUMBERS, CATEGORIES]
OPTIONS = {
    "mlp": {"hidden": (6,)},
    "wide_deep": {"hidden": (6,)},
    "deepfm": {"hidden": (6,), "factors": 3},
    "bst": {"hidden": (6,), "units": 4},
    "mmoe": {"hidden": (6,)},
}
TOPS = {"deepfm": {"factors": 3}}
KINDS = sorted(OPTIONS)


def rows_of(columns, n_rows=7, seed=0):
    """Numbers and codes that fit columns."""
    generator = torch.Generator().manual_seed(seed)
    numbers = torch.randn((n_rows, len(columns.numbers)), generator=generator, dtype=torch.float64)
    codes = [torch.randint(n, (n_rows,), generator=generator) for n in columns.n_codes]
    empty = torch.empty((n_rows, 0), dtype=torch.int64)
    return numbers, torch.stack(codes, dim=1) if codes else empty


def make_bottom(name, columns, width=5, seed=1, **options):
    kind = get_architecture(name)
    options = OPTIONS[name] | options
    with seeded(seed):
        module = kind.make_bottom(
            columns, kind.cut_width(width, options), options, torch.Generator().manual_seed(seed)
        )
    return module.to(torch.float64)


def make_top(name, widths, n_outputs=1, seed=2, **options):
    options = TOPS.get(name, {}) | options
    with seeded(seed):
        module = get_architecture(name).make_top(
            widths, n_outputs, options, torch.Generator().manual_seed(seed)
        )
    return module.to(torch.float64)


def test_the_built_in_ones():
    assert set(KINDS) <= set(ARCHITECTURES)


@pytest.mark.parametrize("columns", SPECS, ids=["both", "few", "numbers", "categories"])
@pytest.mark.parametrize("name", KINDS)
def test_shapes_at_the_cut_and_behind_the_top(name, columns):
    width = get_architecture(name).cut_width(5, OPTIONS[name])
    out = make_bottom(name, columns)(*rows_of(columns))
    assert out.shape == (7, width)
    scores = make_top(name, [width, width])([out, out])
    assert scores.shape == (7, 1)


@pytest.mark.parametrize("name", KINDS)
def test_every_weight_learns(name):
    bottoms = [make_bottom(name, columns) for columns in (BANK, BUREAU)]
    cut = [
        bottom(*rows_of(columns, 50))
        for bottom, columns in zip(bottoms, (BANK, BUREAU), strict=True)
    ]
    top = make_top(name, [part.shape[1] for part in cut])
    top(cut).square().sum().backward()
    for module in (*bottoms, top):
        for weight in module.parameters():
            assert weight.grad is not None
            assert weight.grad.abs().sum() > 0


@pytest.mark.parametrize("name", KINDS)
def test_gradients_through_the_cut_are_those_of_the_joint_network(name):
    """Split at the cut, sent as numbers, gone on with: what torch computes in one piece."""
    specs = (BANK, BUREAU)
    rows = [rows_of(columns) for columns in specs]
    bottoms = [make_bottom(name, columns, seed=seed) for seed, columns in enumerate(specs)]
    top = make_top(name, [bottom(*row).shape[1] for bottom, row in zip(bottoms, rows, strict=True)])
    weights = [weight for module in (*bottoms, top) for weight in module.parameters()]
    joint = top([bottom(*row) for bottom, row in zip(bottoms, rows, strict=True)])
    expected = torch.autograd.grad(joint.square().sum(), weights)

    outs = [bottom(*row) for bottom, row in zip(bottoms, rows, strict=True)]
    leaves = [out.detach().requires_grad_() for out in outs]
    scores = top(leaves)
    assert torch.equal(scores, joint)
    scores.square().sum().backward()
    for out, leaf in zip(outs, leaves, strict=True):
        out.backward(leaf.grad)
    for weight, gradient in zip(weights, expected, strict=True):
        assert torch.equal(weight.grad, gradient)


@pytest.mark.parametrize("name", KINDS)
def test_weights_follow_from_the_seed(name):
    one, two, other = (make_bottom(name, BANK, seed=seed) for seed in (3, 3, 4))
    same = [torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True)]
    assert all(same)
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    assert not all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("name", KINDS)
def test_dropout_draws_from_the_given_generator(name):
    rows = rows_of(BANK, 40)
    outs = []
    for seed in (0, 1):  # the global generator is at two places
        torch.manual_seed(seed)
        outs.append(make_bottom(name, BANK, dropout=0.5)(*rows))
    assert torch.equal(*outs)
    bottom = make_bottom(name, BANK, dropout=0.5)
    assert not torch.equal(bottom(*rows), bottom(*rows))
    bottom.eval()
    assert torch.equal(bottom(*rows), bottom(*rows))


@pytest.mark.parametrize("name", KINDS)
def test_it_computes_with_weights_of_another_time(name):
    """Weight stashing: a forward pass with given weights, a backward pass to them."""
    bottom, rows = make_bottom(name, BANK), rows_of(BANK)
    before = bottom(*rows)
    stash = {
        key: value.detach().clone().requires_grad_() for key, value in bottom.named_parameters()
    }
    with torch.no_grad():
        for weight in bottom.parameters():
            weight += 1.0
    out = functional_call(bottom, stash, rows)
    assert torch.equal(out, before)
    gradients = torch.autograd.grad(out.sum(), list(stash.values()), allow_unused=True)
    assert any(gradient is not None for gradient in gradients)


@pytest.mark.parametrize("name", KINDS)
def test_a_code_that_training_never_showed(name):
    """Code 0 of linear weights and factors begins at 0, so it moves no score."""
    bottom = make_bottom(name, CATEGORIES)
    unknown = torch.zeros((1, 2), dtype=torch.int64)
    out = bottom(torch.empty((1, 0), dtype=torch.float64), unknown)
    assert torch.isfinite(out).all()
    if name == "deepfm":
        assert not out[:, :7].any()
    if name == "wide_deep":
        assert not out[:, :1].any()


@pytest.mark.parametrize("name", KINDS)
def test_it_can_be_measured_without_numbers(name):
    kind, real = get_architecture(name), make_bottom(name, BANK)
    with torch.device("meta"):
        made = kind.make_bottom(
            BANK, kind.cut_width(5, OPTIONS[name]), OPTIONS[name], torch.Generator()
        )
    shapes = [(key, value.shape) for key, value in made.named_parameters()]
    assert shapes == [(key, value.shape) for key, value in real.named_parameters()]
    assert all(value.is_meta for value in made.parameters())


@pytest.mark.parametrize("name", KINDS)
def test_what_it_makes_of_a_row_is_counted(name):
    """What is measured without numbers is what a real pass makes, hidden units included."""
    kind, options = get_architecture(name), OPTIONS[name]
    width = kind.cut_width(5, options)
    bottom = make_bottom(name, BANK).eval()

    def run(n_rows):
        codes = torch.zeros((n_rows, len(BANK.categories)), dtype=torch.int64)
        bottom(torch.zeros((n_rows, len(BANK.numbers)), dtype=torch.float64), codes)

    counted = count_units(bottom, run, width)
    size = measure(Choice(name, options), BANK, width)
    assert 0.5 * counted < size.units < 2.0 * counted  # some products are fused on a processor
    if "hidden" in kind.bottom_defaults:
        wide = measure(Choice(name, {**options, "hidden": (1000, 1000)}), BANK, width)
        assert wide.units > 4000


@pytest.mark.parametrize(
    ("name", "layers"), [("mlp", 2), ("bst", 2), ("mmoe", 2), ("wide_deep", 1), ("deepfm", 1)]
)
def test_layers_are_counted_on_the_shortest_way(name, layers):
    """A linear part reaches the cut through one layer, however deep the other part is."""
    assert n_layers(make_bottom(name, BANK)) == layers


# the factorisation machine


def machine(bottoms, rows):
    """Rendle's machine over the pooled columns, pair by pair: no use of sums of squares."""
    terms = torch.cat(
        [bottom.factors(*row) for bottom, row in zip(bottoms, rows, strict=True)], dim=1
    )
    n_columns = terms.shape[1]
    pairs = [(i, j) for i in range(n_columns) for j in range(i + 1, n_columns)]
    products = sum((terms[:, i] * terms[:, j]).sum(dim=1, keepdim=True) for i, j in pairs)
    linear = sum(bottom.linear(*row) for bottom, row in zip(bottoms, rows, strict=True))
    return terms, products + linear


def without_deep(top):
    """A top whose deep part counts nothing."""
    with torch.no_grad():
        for weight in top.deep.parameters():
            weight.zero_()
    return top


def set_factors(bottoms, make):
    with torch.no_grad():
        for bottom in bottoms:
            for weight in (*bottom.factors.parameters(), *bottom.linear.parameters()):
                weight.copy_(make(weight.shape))


PARTIES = [[BANK], [BANK, BUREAU], [BUREAU, NUMBERS, BANK], [BANK, BUREAU, NUMBERS, CATEGORIES]]


@pytest.mark.parametrize("specs", PARTIES, ids=["1", "2", "3", "4"])
def test_split_interaction_is_the_joint_machine(specs):
    """On numbers whose sums and products are exact the two are equal, in whatever order."""
    generator = torch.Generator().manual_seed(5)

    def eighths(shape):
        return torch.randint(-64, 65, shape, generator=generator, dtype=torch.float64) / 8

    bottoms = [make_bottom("deepfm", columns) for columns in specs]
    set_factors(bottoms, eighths)
    rows = [(eighths(rows_of(columns)[0].shape), rows_of(columns)[1]) for columns in specs]
    _, joint = machine(bottoms, rows)
    cut = [bottom(*row) for bottom, row in zip(bottoms, rows, strict=True)]
    top = without_deep(make_top("deepfm", [part.shape[1] for part in cut]))
    assert torch.equal(top(cut), joint)


@pytest.mark.parametrize("specs", PARTIES, ids=["1", "2", "3", "4"])
def test_split_interaction_of_any_numbers(specs):
    """Equal to the sums over the pooled columns in the parties' order; near to any other order.

    Adding n numbers in whatever order errs by at most (n - 1) u times the sum of their sizes, where
    u = 2^-53 (Higham 2002, section 4.2). With m columns and k factors, a sum and its square err by
    (2 m - 1) u, the squares and their sum by m u, the difference and the sum over factors by k u of
    the sizes of all products, sum_f (sum_i |v_if x_i|)^2; half of it counts, and there are two ways
    to compare: 4 (m + k) u is more than that.
    """
    generator = torch.Generator().manual_seed(6)
    bottoms = [make_bottom("deepfm", columns) for columns in specs]
    set_factors(bottoms, lambda shape: torch.randn(shape, generator=generator, dtype=torch.float64))
    rows = [rows_of(columns) for columns in specs]
    cut = [bottom(*row) for bottom, row in zip(bottoms, rows, strict=True)]
    split = interaction([part[:, :3] for part in cut], [part[:, 3:6] for part in cut])

    of_parties = [bottom.factors(*row) for bottom, row in zip(bottoms, rows, strict=True)]
    sums, squares = of_parties[0].sum(dim=1), of_parties[0].square().sum(dim=1)
    for terms in of_parties[1:]:
        sums, squares = sums + terms.sum(dim=1), squares + terms.square().sum(dim=1)
    same_order = 0.5 * (sums.square() - squares).sum(dim=1, keepdim=True)
    assert torch.equal(split, same_order)

    pooled = torch.cat(of_parties, dim=1)
    at_once = 0.5 * (pooled.sum(dim=1).square() - pooled.square().sum(dim=1)).sum(1, keepdim=True)
    size = pooled.abs().sum(dim=1).square().sum(dim=1, keepdim=True)
    bound = 4 * (pooled.shape[1] + pooled.shape[2]) * 2.0**-53 * size
    assert ((split - at_once).abs() <= bound).all()
    terms, pairwise = machine(bottoms, rows)
    linear = sum(part[:, 6:7] for part in cut)
    assert ((split + linear - pairwise).abs() <= 2 * bound + 1e-14 * linear.abs()).all()
    if len(specs) == 1:
        assert torch.equal(split, at_once)


def test_the_deep_part_learns_from_the_same_vectors():
    bottom, rows = make_bottom("deepfm", BANK), rows_of(BANK)
    bottom(*rows)[:, 7:].sum().backward()
    assert bottom.factors.numbers.grad.abs().sum() > 0
    assert not bottom.linear.numbers.grad.any()


# Wide & Deep


def test_the_wide_part_is_the_linear_model():
    bottom = make_bottom("wide_deep", BANK, crosses="job*marital")
    with torch.no_grad():
        for weight in bottom.wide.parameters():
            weight.normal_(generator=torch.Generator().manual_seed(0))
    numbers, codes = rows_of(BANK)
    out = bottom(numbers, codes)
    job, marital, both = (table.weight[:, 0] for table in bottom.wide.tables)
    for row in range(len(numbers)):
        a, b = codes[row].tolist()
        linear = numbers[row] @ bottom.wide.numbers + job[a] + marital[b] + both[3 * a + b]
        assert out[row, 0].item() == pytest.approx(linear.item(), rel=1e-12)


def test_wide_parts_are_added_to_the_deep_score():
    bottoms = [make_bottom("wide_deep", columns) for columns in (BANK, BUREAU)]
    cut = [
        bottom(*rows_of(columns)) for bottom, columns in zip(bottoms, (BANK, BUREAU), strict=True)
    ]
    cut = [part.detach() for part in cut]
    top = make_top("wide_deep", [part.shape[1] for part in cut])
    before = top(cut)
    cut[0][:, 0] += 2.0
    cut[1][:, 0] += 0.5
    assert torch.allclose(top(cut), before + 2.5)


# MMoE


def test_gates_mix_experts_for_each_task():
    """Equations 5 and 6 of the paper, expert by expert."""
    top = make_top("mmoe", [5, 3], n_outputs=2, experts=3, units=4)
    cut = [torch.randn(7, 5, dtype=torch.float64), torch.randn(7, 3, dtype=torch.float64)]
    inputs = torch.relu(torch.cat(cut, dim=1))
    outs = top(cut)
    assert outs.shape == (7, 2)
    for task in range(2):
        shares = torch.softmax(top.gates[task](inputs), dim=1)
        assert torch.allclose(shares.sum(dim=1), torch.ones(7, dtype=torch.float64))
        mixed = sum(
            shares[:, i : i + 1]
            * torch.relu(
                inputs @ top.experts.weight[4 * i : 4 * i + 4].T
                + top.experts.bias[4 * i : 4 * i + 4]
            )
            for i in range(3)
        )
        assert torch.allclose(outs[:, task : task + 1], top.towers[task](mixed))


def test_one_task_alone_moves_its_gate_and_tower():
    top = make_top("mmoe", [5], n_outputs=2)
    top([torch.randn(7, 5, dtype=torch.float64)])[:, 0].sum().backward()
    assert top.gates[0].weight.grad.any()
    assert not top.gates[1].weight.grad.any()
    assert top.experts.weight.grad.abs().sum() > 0


# what is refused


@pytest.mark.parametrize(
    ("name", "bottom", "top", "message"),
    [
        ("mlp", {"hiden": (3,)}, {}, r"'hiden' is not an option of the bottom of 'mlp'.*'hidden'"),
        ("mlp", {"hidden": (0,)}, {}, "hidden: is .0,.; it must be a list of whole numbers betw"),
        ("mlp", {}, {"dropout": 1.0}, "dropout: is 1.0, which drops everything"),
        ("wide_deep", {"crosses": "job"}, {}, "crosses: has 'job'; a product has two or more"),
        ("wide_deep", {"crosses": "a*a"}, {}, "crosses: has 'a[*]a'; a product has two or more"),
        ("wide_deep", {"crosses": "a*b,,"}, {}, "crosses: is 'a[*]b,,'; between two commas"),
        ("wide_deep", {"crosses": "a*b, a*b"}, {}, "which names 'a[*]b' twice"),
        ("deepfm", {"factors": 0}, {"factors": 0}, "factors: is 0; it must lie between 1 and 1024"),
        ("deepfm", {"factors": 4}, {}, "factors: is 4 in the bottoms and 8 in the top"),
        ("bst", {"units": 6, "heads": 4}, {}, "units: is 6; it must be a multiple of heads=4"),
        ("bst", {"blocks": 0}, {}, "blocks: is 0; it must lie between 1 and 64"),
        ("bst", {"sequences": ""}, {}, "sequences: is empty; name what the columns' names begin"),
        ("bst", {"sequences": 3}, {}, "sequences=3 of the bottom of 'bst' must be text"),
        ("mmoe", {}, {"experts": 0}, "experts: is 0; it must lie between 1 and 1024"),
        ("mmoe", {}, {"factors": 3}, "'factors' is not an option of the top of 'mmoe'; it has: ex"),
    ],
)
def test_options_that_cannot_be(name, bottom, top, message):
    with pytest.raises(ConfigError, match=message):
        get_architecture(name).check_options(bottom, top)


def test_options_that_can_be_are_taken_without_columns():
    get_architecture("wide_deep").check_options({"crosses": "job*marital"}, {})
    get_architecture("bst").check_options({"sequences": "PAY"}, {})
    get_architecture("deepfm").check_options({"factors": 4}, {"factors": 4})


def test_products_of_columns_that_are_not_there():
    with pytest.raises(ColumnsError, match=r"names 'martial', .*Did you mean 'marital'"):
        make_bottom("wide_deep", BANK, crosses="job*martial")
    with pytest.raises(ColumnsError, match="names 'age', which is no column of categories here"):
        make_bottom("wide_deep", BANK, crosses="job*age")
    many = ColumnsSpec((), ("a", "b"), (2000, 2000))
    with pytest.raises(ColumnsError, match=r"has 'a[*]b' with 4,000,000 combinations, and .* 1,04"):
        make_bottom("wide_deep", many, crosses="a*b")


@pytest.mark.parametrize("name", ["wide_deep", "deepfm"])
def test_one_score_is_one_score(name):
    with pytest.raises(
        ConfigError, match=f"{name}', which gives a row one score, and 3 are wanted"
    ):
        make_top(name, [40], n_outputs=3)


def test_a_cut_that_leaves_no_room_for_the_deep_part():
    with pytest.raises(ConfigError, match="width: is 7 at the cut; 'deepfm' needs more than 7"):
        get_architecture("deepfm").make_bottom(BANK, 7, {"factors": 3}, torch.Generator())
    with pytest.raises(ConfigError, match="width: is 1 at the cut; 'wide_deep' needs more than 1"):
        make_top("wide_deep", [1])
