"""Codecs: exact bytes, proven errors, hostile payloads, and what they do to a network."""

from contextlib import suppress

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.cut import WIDTH, Table, train
from support.nets import Net

from secureboost.errors import ConfigError
from secureboost.splitnn.architectures import get_architecture
from secureboost.splitnn.codecs import CODECS, codec_names, get_codec, row_bytes
from secureboost.splitnn.codecs.sparse import TopK
from secureboost.splitnn.errors import PayloadError
from secureboost.splitnn.payload import layout_bytes, pack, unpack

EVERY = [
    *("identity", "float16", "bfloat16", "fp8", "fp8:e4m3", "fp8:e5m2", "int8", "int8:4"),
    *("topk:0.1", "topk:0.5", "topk:1", "randtopk:0.25", "randtopk:0.25,0.5"),
    *("topk:0.1+int8", "topk:0.3+float16", "randtopk:0.4,0+fp8:e5m2", "topk:0.2+identity"),
    *("topk:0.3+int8:4", "randtopk:0.25+int8:8"),
]
SMALL = 2.0**-149
"""The smallest float32; what lies below half of it is 0."""


def through(codec, values, dtype, generator=None):
    """Encode, pack, unpack, decode; and what was unpacked."""
    layout = codec.layout(*values.shape, dtype)
    payload = pack(codec.encode(values, generator), layout)
    assert payload.nbytes == layout_bytes(layout)
    arrays = unpack(payload, layout)
    return codec.decode(arrays, values.shape[1], dtype), arrays


@st.composite
def tensors(draw):
    """Rows of very different sizes, with zeros, ties and constant rows."""
    dtype = draw(st.sampled_from(["float32", "float64"]))
    n_rows, width = draw(st.integers(0, 6)), draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    values = rng.normal(draw(st.sampled_from([0.0, 5.0])), 1.0, (n_rows, width))
    values *= 10.0 ** rng.integers(-30, 30, (n_rows, 1))
    values[rng.random(values.shape) < draw(st.sampled_from([0.0, 0.5, 1.0]))] = 0.0
    if draw(st.booleans()):
        values = values.round(1)
    return torch.from_numpy(values.astype(dtype)), dtype


def size(values):
    """Largest magnitude of each row."""
    return values.abs().amax(dim=1, keepdim=True)


FLOATS = {
    "float16": (2.0**-11, 2.0**-39),
    "fp8": (2.0**-4, 2.0**-17),
    "fp8:e5m2": (2.0**-3, 2.0**-31),
    "bfloat16": (2.0**-8, 0.0),
}
SLACK = 1.0 + 1e-6
"""From float64 torch rounds twice, by way of float32."""


@pytest.mark.parametrize("spec", FLOATS)
@given(tensors())
def test_small_floats_are_as_near_as_they_say(spec, drawn):
    values, dtype = drawn
    relative, of_row = FLOATS[spec]
    decoded, _ = through(get_codec(spec), values, dtype)
    bound = SLACK * (relative * values.abs() + of_row * size(values)) + SMALL
    assert bool(((decoded - values).abs() <= bound).all())


@given(tensors())
def test_int8_is_within_half_a_step(drawn):
    values, dtype = drawn
    decoded, _ = through(get_codec("int8"), values, dtype)
    low, high = values.amin(1).clamp(max=0), values.amax(1).clamp(min=0)
    larger = 1.0 + (2.0**-7 if dtype == "float32" else 2.0**-4)  # its upper 16 bits, rounded up
    step = larger * (high / 255 - low / 255)[:, None]
    assert bool(((decoded - values).abs() <= (0.5 + 2.0**-14) * step + 256 * SMALL).all())
    assert bool((decoded[values == 0.0] == 0.0).all())


@given(tensors(), st.sampled_from([8, 4]))
def test_int8_gradients_are_within_half_a_step(drawn, bits):
    values, dtype = drawn
    codec = get_codec(f"int8:{bits}")
    layout = codec.gradient_layout(*values.shape, dtype)
    arrays = unpack(pack(codec.encode_gradient(values, ()), layout), layout)
    back = codec.decode_gradient(arrays, (), values.shape[1], dtype)
    larger = 1.0 + (2.0**-7 if dtype == "float32" else 2.0**-4)
    step = larger * size(values) / (127 if bits == 8 else 7)
    assert bool(((back - values).abs() <= (0.5 + 2.0**-14) * step + SMALL).all())
    assert bool((back[values == 0.0] == 0.0).all())


@given(tensors(), st.sampled_from([0.05, 0.25, 0.5, 1.0]))
def test_topk_keeps_the_largest_and_zeroes_the_rest(drawn, share):
    values, dtype = drawn
    kept = max(1, round(share * values.shape[1]))
    decoded, _ = through(get_codec(f"topk:{share}"), values, dtype)
    assert bool(((decoded == values) | (decoded == 0.0)).all())
    assert bool(((decoded != 0.0).sum(1) <= kept).all())
    if len(values):
        smallest = values.abs().topk(kept, dim=1).values[:, -1:]
        assert bool(((decoded - values).abs() <= smallest).all())


@pytest.mark.parametrize("spec", EVERY)
@given(drawn=tensors())
def test_gradients_go_back_for_what_was_sent_alone(spec, drawn):
    values, dtype = drawn
    codec, generator = get_codec(spec), torch.Generator().manual_seed(1)
    decoded, sent = through(codec, values, dtype, generator)
    assert decoded.dtype == values.dtype
    assert decoded.shape == values.shape
    gradient = torch.full_like(values, 1e-9)
    layout = codec.gradient_layout(*values.shape, dtype)
    arrays = unpack(pack(codec.encode_gradient(gradient, sent), layout), layout)
    back = codec.decode_gradient(arrays, sent, values.shape[1], dtype)
    came = back != 0.0
    kept = codec.kept(values.shape[1]) if isinstance(codec, TopK) else values.shape[1]
    assert bool((came.sum(1) == kept).all())  # as small as it is, it does not vanish
    assert bool(((back - gradient).abs()[came] <= 2.0**-3 * 1e-9).all())
    if kept < values.shape[1]:
        assert not bool((decoded != 0.0)[~came].any())


@pytest.mark.parametrize(
    ("spec", "width", "dtype", "there", "back"),
    [
        ("identity", 64, "float32", 256, 256),
        ("float16", 64, "float32", 130, 130),
        ("bfloat16", 64, "float32", 128, 128),
        ("fp8", 64, "float32", 66, 66),
        ("int8", 64, "float32", 67, 66),
        ("int8", 64, "float64", 67, 66),
        ("int8:4", 64, "float32", 67, 34),
        ("int8:4", 5, "float32", 8, 5),
        ("topk:0.1", 64, "float32", 6 + 24, 24),  # 6 indices of a byte
        ("topk:0.25", 64, "float32", 8 + 64, 64),  # a bit for each number is less than 16 indices
        ("topk:0.01", 512, "float32", 2 * 5 + 20, 20),  # 5 indices of two bytes
        ("topk:0.1+int8", 64, "float32", 6 + 6 + 3, 6 + 2),
        ("randtopk:0.25+fp8", 64, "float32", 8 + 16 + 2, 16 + 2),
    ],
)
def test_bytes_of_a_row(spec, width, dtype, there, back):
    codec = get_codec(spec)
    assert layout_bytes(codec.layout(1024, width, dtype)) == 1024 * there
    assert layout_bytes(codec.gradient_layout(1024, width, dtype)) == 1024 * back
    assert row_bytes(spec, width, dtype) == there + back


def test_nothing_overflows_or_vanishes():
    values = torch.tensor([[1e300, -1e300, 1e299], [1e-300, 0.0, -1e-300]], dtype=torch.float64)
    for spec in ("float16", "fp8", "fp8:e5m2", "int8"):
        decoded, _ = through(get_codec(spec), values, "float64")
        assert bool(torch.isfinite(decoded).all())
        assert torch.equal(decoded.sign()[:, :2], values.sign()[:, :2]), spec
    decoded, _ = through(get_codec("bfloat16"), values, "float64")
    assert decoded[0, 0] == torch.finfo(torch.bfloat16).max


@pytest.mark.parametrize("spec", EVERY)
def test_any_bytes_are_read_or_refused(spec):
    rng = np.random.default_rng(0)
    codec = get_codec(spec)
    layout = codec.layout(3, 20, "float32")
    good = pack(codec.encode(torch.from_numpy(rng.normal(size=(3, 20)).astype("f4"))), layout)
    for _ in range(300):
        payload = good.copy()
        payload[rng.integers(len(payload), size=rng.integers(1, 9))] = rng.integers(256)
        with suppress(PayloadError):
            assert codec.decode(unpack(payload, layout), 20, "float32").shape == (3, 20)
    with pytest.raises(PayloadError, match="bytes at the cut"):
        unpack(good[:-1], layout)


def replaced(arrays, place, values):
    changed = [np.array(array) for array in arrays]
    changed[place][0] = values
    return tuple(changed)


@pytest.mark.parametrize(
    ("spec", "place", "values", "message"),
    [
        ("int8", 1, 0x7FC0, "scale is negative or not finite"),  # the upper half of a NaN
        ("int8", 1, 0x7F80, "scale is negative or not finite"),  # of infinity
        ("int8", 1, 0xBF80, "scale is negative or not finite"),  # of -1
        ("topk:0.1+int8", 2, 0x7FC0, "scale is negative or not finite"),
        ("topk:0.1", 0, [3, 20], "position is 20 or beyond"),
        ("topk:0.1", 0, [3, 255], "position is 20 or beyond"),
        ("topk:0.1", 0, [4, 3], "do not ascend"),
        ("topk:0.1", 0, [4, 4], "do not ascend"),
        ("topk:0.5", 0, [255, 3, 16], "position is 20 or beyond"),
        ("topk:0.5", 0, [255, 1, 0], "does not keep 10"),
        ("topk:0.5", 0, [255, 7, 0], "does not keep 10"),
    ],
)
def test_what_cannot_be_is_refused(spec, place, values, message):
    codec = get_codec(spec)
    arrays = codec.encode(torch.randn(2, 20))
    with pytest.raises(PayloadError, match=message):
        codec.decode(replaced(arrays, place, values), 20, "float32")


def test_hostile_powers_become_numbers_that_the_caller_refuses():
    codec = get_codec("float16")
    arrays = codec.encode(torch.ones(2, 4))
    for power in (-32768, 32767):
        decoded = codec.decode(replaced(arrays, 1, power), 4, "float32")
        assert not bool(torch.isfinite(decoded).all()) or bool((decoded[0] == 0.0).all())


def test_randtopk_draws_in_training_alone():
    values = torch.randn(50, 30)
    spread, plain = get_codec("randtopk:0.2,0.3"), get_codec("topk:0.2")
    evaluated, _ = through(spread, values, "float32")
    assert torch.equal(evaluated, through(plain, values, "float32")[0])
    drawn = [
        through(spread, values, "float32", torch.Generator().manual_seed(seed))[0]
        for seed in (1, 1, 2)
    ]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert not torch.equal(drawn[0], evaluated)
    assert bool(((drawn[0] != 0.0).sum(1) == 6).all())


def test_randtopk_draws_by_the_weights_of_the_paper():
    """One of four is kept: the largest with 1 - alpha, each other with alpha / 3."""
    values = torch.tensor([[4.0, 1.0, 2.0, 3.0]]).repeat(40_000, 1)
    drawn, _ = through(
        get_codec("randtopk:0.25,0.3"), values, "float32", torch.Generator().manual_seed(0)
    )
    shares = (drawn != 0.0).double().mean(0)
    assert torch.allclose(shares, torch.tensor([0.7, 0.1, 0.1, 0.1]).double(), atol=0.01)


@pytest.mark.parametrize(
    "spec",
    ["float16", "bfloat16", "fp8", "int8", "int8:4", "topk:0.5", "randtopk:0.25", "topk:0.5+int8"],
)
def test_split_is_pooled_with_every_codec(spec):
    net, parameters = Net(2, n_rows=80), {"codec": spec, "in_flight": 2, "dtype": "float32"}
    parties = net.parties()
    net.assert_twins(net.fit(parties, **parameters), parties, **parameters)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("int9", r"'int9' is not a codec; there is: identity.* Did you mean 'int8'\?"),
        ("topk", "'topk' takes the share to keep"),
        ("topk:", "'topk' takes the share to keep"),
        ("topk:much", "it has 'much'"),
        ("topk:0.1,0.2", "it has '0.1,0.2'"),
        ("topk:0", "a share of 0; it must lie above 0"),
        ("topk:nan", "a share of nan"),
        ("randtopk:0.1,1", "alpha=1; it must be at least 0 and lie below 1"),
        ("int8:5", "'int8' may have gradients of '8' or '4' bits, and has '5'"),
        ("fp8:e3m4", "'fp8' is 'e4m3' or 'e5m2', and has 'e3m4'"),
        ("int8+topk:0.1", "'int8' keeps every number"),
        ("topk:0.1+randtopk:0.5", "'randtopk' cannot follow 'topk'"),
        ("topk:0.1+", "'' is not a codec"),
        ("", "'' is not a codec"),
    ],
)
def test_wrong_names(spec, message):
    with pytest.raises(ConfigError, match=message):
        get_codec(spec)


def test_names_for_a_policy():
    assert codec_names("randtopk:0.1,0.2+fp8:e5m2") == ("randtopk", "fp8")
    assert {name for spec in EVERY for name in codec_names(spec)} == set(CODECS)


def test_codecs_save_bytes_and_keep_the_network(data_folder):
    """On credit card clients: bytes of a whole training and AUC, beside those of plain numbers."""
    table, mlp = Table.read(data_folder), get_architecture("mlp")
    plain = train(table, mlp)
    cases = {
        "float16": (0.54, 0.002),
        "bfloat16": (0.51, 0.002),
        "fp8": (0.29, 0.004),
        "int8": (0.30, 0.002),  # 5 bytes of a row beside 2 x 16 numbers; at 64 numbers it is 0.26
        "int8:4": (0.24, 0.002),  # at 64 numbers 0.20
        "topk:0.25": (0.29, 0.03),
        "topk:0.25+int8": (0.16, 0.03),
    }
    for spec, (share, loss) in cases.items():
        run = train(table, mlp, codec=spec)
        assert run.n_bytes <= share * plain.n_bytes, spec
        assert run.auc >= plain.auc - loss, spec
        assert run.n_bytes == pytest.approx(
            plain.n_bytes * row_bytes(spec, WIDTH) / row_bytes("identity", WIDTH), rel=0.01
        )
    topk, randtopk = (train(table, mlp, codec=f"{name}:0.1") for name in ("topk", "randtopk"))
    assert topk.n_bytes == randtopk.n_bytes
    assert not np.array_equal(topk.recording.gradients, randtopk.recording.gradients)
