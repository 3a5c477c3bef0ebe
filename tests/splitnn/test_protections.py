"""Protections: what they promise, checked against formulas; that they lower their attacks."""

import importlib
import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.stats import kstest, norm
from support.cut import Table, train
from support.nets import QUICK, Net, weights_of

from secureboost import SplitNNClassifier
from secureboost.errors import ConfigError
from secureboost.splitnn.architectures import get_architecture
from secureboost.splitnn.architectures.base import ColumnsSpec, n_layers
from secureboost.splitnn.architectures.fedpass import PassportLayer
from secureboost.splitnn.attacks import (
    Recording,
    direction_attack,
    norm_attack,
    reconstruction_attack,
)
from secureboost.splitnn.keystream import Keystream
from secureboost.splitnn.options import Choice
from secureboost.splitnn.protections import (
    FEATURE_PROTECTIONS,
    LABEL_PROTECTIONS,
    CutContext,
    accountant,
    feature_protections,
    label_protections,
)
from secureboost.splitnn.protections.marvell import least_noise, sum_kl, sum_kl_of_auc
from secureboost.splitnn.protections.nopeek import (
    column_distances,
    row_distances,
    squared_correlation,
)


def one_label(name, **options):
    return label_protections([Choice(name, options)])[0]


def one_feature(name, **options):
    return feature_protections([Choice(name, options)])[0]


def context(y):
    y = np.asarray(y, np.float64)
    return CutContext(y, np.ones(len(y)), torch.zeros(len(y), 1), torch.Generator().manual_seed(0))


def drawn(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def one_batch(gradients):
    return Recording(gradients[None], gradients, np.zeros((1, len(gradients)), np.int64))


# where noise comes from


def test_seeds_of_torch_can_be_tried_out_and_ours_cannot():
    near, far = (torch.Generator().manual_seed(7 + more) for more in (0, 2**32))
    assert torch.equal(torch.rand(9, generator=near), torch.rand(9, generator=far))
    near, far = (Keystream.of_seed(7 + more).words(9) for more in (0, 2**32))
    assert not np.array_equal(near, far)
    assert not np.array_equal(Keystream.of_seed(7, 1).words(9), Keystream.of_seed(7, 2).words(9))
    assert not np.array_equal(Keystream.secret().words(9), Keystream.secret().words(9))


def test_draws_are_as_they_should_be_distributed():
    stream = Keystream.of_seed(1)
    assert kstest(stream.uniform(50_000), "uniform").pvalue > 1e-3
    assert kstest(stream.normal((501, 100)).ravel(), "norm").pvalue > 1e-3
    assert stream.normal((3, 0)).shape == (3, 0)


NOISY = [
    ("label", "max_norm"),
    ("label", "marvell"),
    ("label", "randomised_response"),
    ("feature", "gaussian_noise"),
]


@pytest.mark.parametrize(("side", "name"), NOISY)
def test_noise_is_secret_unless_it_is_asked_to_follow_the_seed(side, name):
    values, y = drawn(200, 4), np.arange(200) % 2.0

    def once(**options):
        if side == "feature":
            protection = one_feature(name, **options)
            return protection.activations(values, torch.Generator().manual_seed(3))
        protection = one_label(name, **options)
        labels = protection.labels(y, torch.Generator().manual_seed(3))
        gradient = protection.gradient(values, context(y))
        return torch.cat([gradient.ravel(), torch.from_numpy(labels)])

    assert not torch.equal(once(), once())
    assert torch.equal(once(unsafe_seeded=True), once(unsafe_seeded=True))


def test_every_option_that_draws_is_known_by_its_name():
    kinds = [*LABEL_PROTECTIONS.items(), *FEATURE_PROTECTIONS.items()]
    seeded = {name for name, kind in kinds if "unsafe_seeded" in kind.defaults}
    assert seeded == {name for _, name in NOISY}


# norms


def test_max_norm_makes_lengths_alike_in_the_mean_and_keeps_the_mean():
    gradient = torch.tensor([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]], dtype=torch.float64)
    protection, where = one_label("max_norm", unsafe_seeded=True), context([1, 0, 0])
    noisy = torch.stack([protection.gradient(gradient, where) for _ in range(5_000)])
    assert torch.allclose(noisy.mean(0), gradient, atol=0.2)
    lengths = noisy.square().sum(2).mean(0)
    assert lengths.tolist() == pytest.approx([25.0, 25.0, 0.0], rel=0.1)
    assert torch.equal(noisy[0, 0], gradient[0])  # the longest one stays


@pytest.mark.parametrize("name", ["max_norm", "marvell"])
def test_rows_that_are_certain_do_not_break_it(name):
    gradient = torch.ones(40, 3) * torch.logspace(0, -44, 40)[:, None]
    where = context(np.arange(40) % 2)
    assert bool(torch.isfinite(one_label(name).gradient(gradient, where)).all())


# Marvell


def power(noises, share, d):
    by_class = [noise.along + (d - 1) * noise.across for noise in noises]
    return (1.0 - share) * by_class[0] + share * by_class[1]


def best_by_slsqp(u, v, gap, d, share, bound):
    """The same optimum by a general method, over the logarithms of all four variances."""

    def left(z):
        a, b, c, e = np.exp(z)
        return 2 * (bound + d) - ((d - 1) * (a / b + b / a) + (c + gap) / e + (e + gap) / c)

    def cost(z):
        a, b, c, e = np.exp(z)
        total = (1 - share) * (c + (d - 1) * a - d * u) + share * (e + (d - 1) * b - d * v)
        return total / (gap + u + v)

    start = np.log([max(u, v), max(u, v), *2 * [4 * gap / bound + u + v]])
    found = minimize(
        cost,
        start,
        constraints=[
            {"type": "ineq", "fun": left},
            {"type": "ineq", "fun": lambda z: z[2] - z[0]},
            {"type": "ineq", "fun": lambda z: z[3] - z[1]},
        ],
        bounds=[(math.log(u), None), (math.log(v), None), (None, None), (None, None)],
        options={"maxiter": 500, "ftol": 1e-13},
    )
    return found.fun * (gap + u + v) if found.success else math.inf


@pytest.mark.parametrize("d", [1, 2, 16, 200])
def test_marvells_noise_is_the_least_under_its_bound(d):
    rng = np.random.default_rng(d)
    for _ in range(12):
        u, v, gap = np.exp(rng.normal(0.0, 2.0, 3))
        share, bound = rng.uniform(0.02, 0.98), sum_kl_of_auc(rng.uniform(0.52, 0.9))
        noises = least_noise(u, v, gap, d, share, bound)
        across, along = zip(
            *((n.across + s, n.along + s) for n, s in zip(noises, (u, v), strict=True)),
            strict=True,
        )
        assert sum_kl(across, along, gap, d) <= bound * (1.0 + 1e-6)
        assert all(noise.along >= 0.0 and noise.across >= 0.0 for noise in noises)
        if d > 1:  # the noise points along the line between the means
            assert all(c >= a * (1.0 - 1e-9) for c, a in zip(along, across, strict=True))
        best = best_by_slsqp(u, v, gap, d, share, bound)
        assert power(noises, share, d) <= best * (1.0 + 1e-3) + 1e-9


def test_marvell_adds_nothing_where_classes_are_alike():
    for noise in least_noise(1.0, 1.001, 1e-6, 8, 0.3, sum_kl_of_auc(0.6)):
        assert (noise.along, noise.across) == (0.0, 0.0)


def test_marvell_in_extreme_cases():
    for u, v, gap in ((0.0, 0.0, 1.0), (0.0, 2.0, 0.0), (3.0, 0.0, 1.0), (0.0, 0.0, 0.0)):
        for d in (1, 5):
            noises = least_noise(u, v, gap, d, 0.2, 0.1)
            assert all(math.isfinite(n.along) and math.isfinite(n.across) for n in noises)


@pytest.mark.parametrize("auc", [0.55, 0.7])
def test_marvells_bound_holds_for_normal_gradients(auc):
    """Three scoring functions, the best one among them, over 40,000 gradients of two classes."""
    rng, d = np.random.default_rng(0), 6
    y = (rng.random(40_000) < 0.2).astype(np.float64)
    means = np.where(y[:, None] == 1.0, -1.0, 0.3) * np.eye(d)[0]
    rows = torch.from_numpy(means + rng.normal(size=(len(y), d)) * np.where(y, 0.5, 0.2)[:, None])
    noisy = one_label("marvell", auc=auc, unsafe_seeded=True).gradient(rows, context(y)).numpy()
    recording = one_batch(noisy)
    parts = [noisy[y == label] for label in (0.0, 1.0)]
    ratio = sum(
        sign * norm.logpdf(noisy, part.mean(0), part.std(0)).sum(1)
        for part, sign in zip(parts, (-1, 1), strict=True)
    )
    likelihood = norm_attack(one_batch(ratio[:, None] - ratio.min()), y)
    assert likelihood <= auc + 0.01
    assert norm_attack(recording, y) <= auc + 0.01
    assert direction_attack(recording, y, np.flatnonzero(y)[:20]) <= auc + 0.01
    assert likelihood > 0.5 + 0.4 * (auc - 0.5)  # and no more noise than is needed


def test_marvell_hides_a_batch_of_one_class():
    gradient = drawn(50, 4) * 0.01 + torch.tensor([1.0, 0.0, 0.0, 0.0])
    for label in (0.0, 1.0):
        noisy = one_label("marvell").gradient(gradient, context(np.full(50, label)))
        assert float((noisy - gradient)[:, 0].std()) > 1.0


def test_marvell_is_for_two_values():
    protection = one_label("marvell")
    assert protection.labels(np.array([-0.2, 1.2, 1.2]), torch.Generator()).tolist()[0] == -0.2
    with pytest.raises(ConfigError, match="two values, and there are 3"):
        protection.labels(np.array([0.0, 1.0, 2.0]), torch.Generator())


# label differential privacy


@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_responses_are_as_likely_as_epsilon_says(n_classes):
    y = np.arange(60_000) % float(n_classes)
    protection = one_label("randomised_response", epsilon=1.5, debias=False, unsafe_seeded=True)
    response = protection.labels(y, torch.Generator().manual_seed(0))
    table = np.zeros((n_classes, n_classes))
    np.add.at(table, (y.astype(int), response.astype(int)), n_classes / len(y))
    # differential privacy: whatever is answered, no label makes it more than e^epsilon as likely
    assert np.all(table.max(0) / table.min(0) <= math.exp(1.5) * 1.1)
    kept = math.exp(1.5) / (math.exp(1.5) + n_classes - 1)
    assert np.diag(table) == pytest.approx(kept, abs=0.02)
    others = table[~np.eye(n_classes, dtype=bool)]
    assert others == pytest.approx((1.0 - kept) / (n_classes - 1), abs=0.02)


def test_debiased_responses_have_the_labels_mean():
    y = (np.arange(200_000) % 10 == 0).astype(np.float64)
    protection = one_label("randomised_response", epsilon=1.0, unsafe_seeded=True)
    learnt = protection.labels(y, torch.Generator().manual_seed(0))
    assert len(np.unique(learnt)) == 2
    assert learnt[y == 1.0].mean() == pytest.approx(1.0, abs=0.05)
    assert learnt[y == 0.0].mean() == pytest.approx(0.0, abs=0.05)


def test_several_labels_are_answered_each_by_itself():
    y = np.zeros((40_000, 2))
    y[0] = 1.0
    protection = one_label("randomised_response", epsilon=1.0, debias=False, unsafe_seeded=True)
    response = protection.labels(y, torch.Generator().manual_seed(0))
    flipped = 1.0 / (1.0 + math.e)
    assert response.mean(0) == pytest.approx(flipped, abs=0.01)
    assert response.prod(1).mean() == pytest.approx(flipped**2, abs=0.01)


@pytest.mark.parametrize("y", [[0.0, 0.0], [0.5, 1.0], [0.0, 2.0], [1.0, 2.0]])
def test_responses_are_for_classes(y):
    with pytest.raises(ConfigError, match=r"classes 0, 1, \.\.\., each of which occurs"):
        one_label("randomised_response").labels(np.array(y), torch.Generator())


# noise on activations, and what it guarantees


def test_noise_is_on_a_grid_and_rows_are_no_longer_than_clip():
    protection = one_feature("gaussian_noise", clip=2.0, noise=0.5, unsafe_seeded=True)
    values = drawn(400, 8, dtype=torch.float32) * torch.logspace(-2, 2, 400)[:, None]
    out = protection.activations(values, torch.Generator().manual_seed(0))
    grid = 2.0**-10
    assert torch.equal((out / grid).round() * grid, out)
    shortened = values * (2.0 / values.norm(dim=1, keepdim=True)).clamp(max=1.0)
    noise = (out - shortened).numpy().ravel()
    assert noise.std() == pytest.approx(1.0, rel=0.05)
    assert kstest(noise, "norm").pvalue > 1e-3
    quiet = one_feature("gaussian_noise", clip=2.0, noise=0.001)
    still = quiet.activations(values, torch.Generator()).norm(dim=1)
    assert float(still.max()) < 2.0 + 0.02


def test_gradients_flow_through_noise_as_through_clipping():
    values = drawn(5, 3).requires_grad_()
    out = one_feature("gaussian_noise", clip=1e3).activations(values, torch.Generator())
    out.sum().backward()
    assert torch.allclose(values.grad, torch.ones_like(values))


def closed_form_delta(epsilon, noise, releases):
    """Balle and Wang 2018, theorem 8, for a sensitivity of twice the clip."""
    m = 2.0 * math.sqrt(releases) / noise
    return norm.cdf(m / 2 - epsilon / m) - math.exp(epsilon) * norm.cdf(-m / 2 - epsilon / m)


@pytest.mark.parametrize(("noise", "releases"), [(4.0, 1), (8.0, 10), (2.0, 3), (50.0, 40)])
def test_the_accountant_bounds_the_closed_form_closely(noise, releases):
    pytest.importorskip("dp_accounting", reason="dp-accounting is not installed (extra 'dp')")
    epsilon = accountant.epsilon(noise, releases, 1e-5)
    assert closed_form_delta(epsilon, noise, releases) <= 1e-5 * (1.0 + 1e-9)
    assert closed_form_delta(0.999 * epsilon, noise, releases) > 1e-5


def test_noise_for_an_epsilon():
    pytest.importorskip("dp_accounting", reason="dp-accounting is not installed (extra 'dp')")
    noise = accountant.noise_for(4.0, 12, 1e-6)
    assert accountant.epsilon(noise, 12, 1e-6) <= 4.0 < accountant.epsilon(0.98 * noise, 12, 1e-6)
    assert accountant.epsilon(noise, 0, 1e-6) == 0.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: accountant.epsilon(0.0, 1, 1e-5), "noise: is 0"),
        (lambda: accountant.epsilon(1.0, -1, 1e-5), "releases: is -1"),
        (lambda: accountant.epsilon(1.0, 1, 0.0), "delta: is 0"),
        (lambda: accountant.noise_for(0.0, 1, 1e-5), "epsilon=0 over 1 releases"),
        (lambda: accountant.noise_for(1.0, 0, 1e-5), "over 0 releases"),
    ],
)
def test_the_accountant_refuses(call, message):
    with pytest.raises(ConfigError, match=message):
        call()


def test_without_the_library_it_says_what_to_install(monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(accountant.AccountantMissingError, match=r"'secureboost\[dp\]'"):
        accountant.epsilon(1.0, 1, 1e-5)


# NoPeek


def naive_correlation(x, z):
    """Definition 5 of Szekely et al. 2007, written out."""

    def centred(rows):
        n = len(rows)
        a = np.array([[np.linalg.norm(rows[i] - rows[j]) for j in range(n)] for i in range(n)])
        return a - a.mean(0) - a.mean(1)[:, None] + a.mean()

    a, b = centred(x), centred(z)
    return (a * b).mean() / math.sqrt((a * a).mean() * (b * b).mean())


def test_distance_correlation_is_the_definition():
    x, z, codes = drawn(20, 3), drawn(20, 2, seed=1), torch.arange(20)[:, None] % 3
    found = squared_correlation(row_distances(x), row_distances(z))
    assert float(found) == pytest.approx(naive_correlation(x.numpy(), z.numpy()))
    one_hot = torch.nn.functional.one_hot(codes[:, 0])
    assert torch.allclose(
        column_distances(x, codes), row_distances(torch.cat([x, one_hot.to(x.dtype)], dim=1))
    )
    assert float(squared_correlation(row_distances(x), row_distances(-2.0 * x))) == pytest.approx(1)
    assert float(squared_correlation(row_distances(x), row_distances(torch.ones(20, 2)))) == 0.0


def test_distance_correlation_has_a_gradient_where_rows_are_equal():
    x = drawn(10, 3)
    z = torch.cat([x[:5], x[:5]]).requires_grad_()
    one_feature("distance_correlation").loss(x, torch.zeros(10, 0), z).backward()
    assert bool(torch.isfinite(z.grad).all())
    assert bool((z.grad != 0.0).any())


# FedPass


def test_a_passport_layer_is_the_papers_equation():
    torch.manual_seed(0)
    layer = PassportLayer(6, 4, 3, 10.0, 2.0, torch.Generator().manual_seed(0))
    assert bool(((layer.means <= 0.0) & (layer.means >= -10.0)).all())
    values = drawn(5, 6, dtype=torch.float32)
    layer.eval()
    weight, (encode, _, decode) = layer.linear.weight, layer.autoencoder
    scale, bias = (
        torch.stack(
            [
                decode.weight @ torch.nn.functional.leaky_relu(encode.weight @ (weight @ passport))
                for passport in of_kind
            ]
        ).mean(0)
        for of_kind in layer.means
    )
    assert torch.allclose(layer(values), scale * (values @ weight.T) + bias, atol=1e-5)
    assert torch.equal(layer(values), layer(values))
    layer.train()
    assert not torch.equal(layer(values), layer(values))


def test_a_fedpass_bottom_has_one_layer_more_than_its_perceptron():
    spec, generator = ColumnsSpec(("a", "b"), (), ()), torch.Generator()
    mlp, fedpass = (
        get_architecture(name).make_bottom(spec, 8, {"hidden": (4,)}, generator)
        for name in ("mlp", "fedpass")
    )
    assert n_layers(fedpass) == n_layers(mlp) + 1


# that pooled networks pass through them


@pytest.mark.parametrize("name", [*LABEL_PROTECTIONS, *FEATURE_PROTECTIONS])
def test_split_is_pooled_with_every_protection(name):
    """As far as training goes; each scoring of noisy activations draws noise of its own."""
    net, side = Net(2, n_rows=80), "label" if name in LABEL_PROTECTIONS else "feature"
    kinds = LABEL_PROTECTIONS if side == "label" else FEATURE_PROTECTIONS
    options = {"unsafe_seeded": True} if "unsafe_seeded" in kinds[name].defaults else {}
    parameters = {f"{side}_protections": [{name: options}], "in_flight": 2}
    parties = net.parties()
    model, twin = net.fit(parties, **parameters), net.fit_pooled(**parameters)
    assert model.evals_result_ == twin.evals_result_
    found, expected = weights_of(model, parties), weights_of(twin, [])
    assert all(torch.equal(found[key], tensor) for key, tensor in expected.items())
    unprotected = weights_of(net.fit_pooled(in_flight=2), [])
    changed = [not torch.equal(unprotected[key], tensor) for key, tensor in expected.items()]
    assert any(changed)


def test_nothing_of_the_label_partys_own_bottom_is_protected_or_rounded():
    """It does not leave, so noise there would hide nothing, and cost."""
    net = Net(1, n_rows=80)
    n = len(net.X) * 3 // 4
    plain, protected = (
        SplitNNClassifier(**QUICK | parameters).fit(net.X.iloc[:n], net.y[:n])
        for parameters in (
            {},
            {
                "label_protections": ["max_norm", "marvell"],
                "feature_protections": ["gaussian_noise"],
                "codec": "topk:0.3",
            },
        )
    )
    assert plain.training_loss_ == protected.training_loss_
    assert np.array_equal(plain.raw_scores(net.X.iloc[n:]), protected.raw_scores(net.X.iloc[n:]))


def test_what_the_label_party_sends_to_a_body_is_protected():
    """There its own bottom's numbers leave it, too."""
    net = Net(2, n_rows=80)
    body = {"body": "party1", "body_width": 3}
    noise = {"feature_protections": [{"gaussian_noise": {"unsafe_seeded": True}}]}
    heads = net.fit_pooled(**body, **noise, codec="float16").label_half_.bottoms
    assert [(head.codec, len(head.protections)) for head in heads] == [("float16", 1)] * 3
    heads = net.fit_pooled(**noise, codec="float16").label_half_.bottoms
    kept = [(head.codec, len(head.protections)) for head in heads]
    assert kept == [("identity", 0), ("float16", 1), ("float16", 1)]


@pytest.mark.parametrize("weights", [{"class_weight": "balanced"}, {"scale_pos_weight": 2.0}])
def test_weights_of_classes_would_tell_labels_past_randomised_responses(weights):
    """A positive row's gradient would be longer by the true label, whatever was answered."""
    net = Net(1, n_rows=80)
    named = next(iter(weights))
    with pytest.raises(ValueError, match=f"{named}=.*past label_protections='randomised_resp"):
        net.fit_pooled(label_protections=["randomised_response"], **weights)
    net.fit_pooled(label_protections=["max_norm"], **weights)


# what FedPass does, on real data; `test_audit` shows that protections lower their attacks


@pytest.fixture(scope="module")
def table(data_folder):
    return Table.read(data_folder)


def test_fedpass_hides_columns_in_training_and_not_in_evaluation(table):
    """As its module says, beside a network of the same depth without passports."""
    options = {"passport_range": 10.0, "passport_deviation": 5.0}
    still = {"passport_range": 10.0, "passport_deviation": 0.0}
    n, known = table.n_training, np.arange(600)
    columns = table.other.astype(np.float64)
    found = []
    for of_layer in (still, options):
        run = train(table, get_architecture("fedpass"), options=of_layer)
        found.append(
            (
                reconstruction_attack(run.recording.activations, columns[:n], known),
                reconstruction_attack(run.received, columns[n:], known),
            )
        )
    (training, evaluation), (hidden, shown) = found
    assert hidden <= 0.9 * training
    assert shown >= 0.8 * evaluation


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: one_label("marvel"), r"'marvel' is not a protection.*Did you mean 'marvell'"),
        (lambda: one_label("gaussian_noise"), "'gaussian_noise' is not a protection; there is"),
        (lambda: one_label("marvell", auc=0.5), "auc: is 0.5; it must lie between"),
        (lambda: one_label("marvell", auc=1), "auc: is 1; it must lie between"),
        (lambda: one_label("marvell", acu=0.6), "'acu' is not an option"),
        (lambda: one_label("randomised_response", epsilon=0.0), "epsilon: is 0.0"),
        (lambda: one_feature("gaussian_noise", clip=0.0), "clip: is 0.0"),
        (lambda: one_feature("distance_correlation", rows=3), "rows: is 3"),
        (lambda: one_feature("distance_correlation", rows=4097), "rows: is 4097"),
    ],
)
def test_wrong_options(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
