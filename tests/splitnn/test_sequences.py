"""Behaviour sequences: which columns are one, and what the transformer makes of them."""

import pytest
import torch
from torch import nn

from secureboost.splitnn.architectures import ColumnsSpec, get_architecture
from secureboost.splitnn.architectures.base import ColumnsError
from secureboost.splitnn.architectures.bst import SelfAttention, StepInputs, TransformerLayer
from secureboost.splitnn.architectures.sequences import Field, find_sequences
from secureboost.splitnn.randomness import seeded

MONTHS = ("PAY_0", "PAY_2", "PAY_3")
BILLS = ("BILL_AMT1", "BILL_AMT2", "BILL_AMT3")
CREDIT = ColumnsSpec(
    ("LIMIT", *BILLS, "x1", "x2", "BILL_AMT2 is missing", "LIMIT is missing"),
    (*MONTHS, "SEX"),
    (5, 4, 6, 3),
)


def sequences(columns, text):
    return find_sequences({"sequences": text}, columns)


def make(columns, seed=0, **options):
    with seeded(seed):
        bottom = get_architecture("bst").make_bottom(
            columns, 5, {"hidden": (6,), "units": 4} | options, torch.Generator().manual_seed(seed)
        )
    return bottom.to(torch.float64)


def rows_of(columns, n_rows=7):
    generator = torch.Generator().manual_seed(0)
    numbers = torch.randn((n_rows, len(columns.numbers)), generator=generator, dtype=torch.float64)
    codes = [torch.randint(n, (n_rows,), generator=generator) for n in columns.n_codes]
    return numbers, torch.stack(codes, dim=1)


def test_stems_are_found_by_their_numbers():
    pay, bill = Field("PAY", MONTHS, True), Field("BILL_AMT", BILLS, False)
    assert sequences(CREDIT, "PAY, BILL_AMT") == [(pay, bill)]
    assert sequences(CREDIT, "BILL_AMT,PAY_") == [(bill, pay)]
    assert sequences(CREDIT, "auto") == [(bill, pay)]  # in the order of the columns
    assert sequences(CREDIT, "x, PAY") == [(Field("x", ("x1", "x2"), False),), (pay,)]


def test_steps_come_by_number_and_not_by_place():
    columns = ColumnsSpec(tuple(f"due_{n}" for n in (10, 2, 1)), (), ())
    ((field,),) = sequences(columns, "due")
    assert field.columns == ("due_1", "due_2", "due_10")


def test_what_looks_like_no_sequence_is_left():
    assert sequences(ColumnsSpec(("street1", "street2", "1", "2", "3"), (), ()), "auto") == []
    mixed = ColumnsSpec(("a1", "a2"), ("a3",), (4,))
    assert sequences(mixed, "auto") == []
    with pytest.raises(ColumnsError, match="sequences: names 'a', of whose columns some hold numb"):
        sequences(mixed, "a")


def test_names_of_no_sequence():
    with pytest.raises(ColumnsError, match=r"names 'PAI', and 0 columns .* Did you mean 'PAY'"):
        sequences(CREDIT, "PAI")
    with pytest.raises(ColumnsError, match="names 'LIMIT', and 0 columns here are called that"):
        sequences(CREDIT, "LIMIT")


def test_steps_hold_values_gaps_and_categories():
    (sequence,) = sequences(CREDIT, "BILL_AMT, PAY")
    inputs = StepInputs(sequence, CREDIT, 2).to(torch.float64)
    numbers, codes = rows_of(CREDIT)
    steps = inputs(numbers, codes)
    assert steps.shape == (7, 3, 4)
    assert torch.equal(steps[:, :, 0], numbers[:, 1:4])
    assert torch.equal(steps[:, 1, 1], numbers[:, 6])
    assert not steps[:, [0, 2], 1].any()  # only the second bill has gaps
    for step in range(3):
        expected = inputs.embeddings[0].tables[step](codes[:, step])
        assert torch.equal(steps[:, step, 2:], expected)


def test_attention_is_that_of_torch():
    attention = SelfAttention(8, 2).to(torch.float64)
    twin = nn.MultiheadAttention(8, 2, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        twin.in_proj_weight.copy_(attention.project.weight)
        twin.in_proj_bias.copy_(attention.project.bias)
        twin.out_proj.load_state_dict(attention.out.state_dict())
    steps = torch.randn(7, 5, 8, dtype=torch.float64)
    expected, _ = twin(steps, steps, steps)
    assert torch.allclose(attention(steps), expected, rtol=1e-12, atol=1e-14)


def test_a_layer_is_that_of_torch():
    layer = TransformerLayer(8, 2, 0.0, torch.Generator()).to(torch.float64)
    twin = nn.TransformerEncoderLayer(
        8, 2, 32, dropout=0.0, activation=nn.functional.leaky_relu, batch_first=True
    ).to(torch.float64)
    with torch.no_grad():
        twin.self_attn.in_proj_weight.copy_(layer.attention.project.weight)
        twin.self_attn.in_proj_bias.copy_(layer.attention.project.bias)
        twin.self_attn.out_proj.load_state_dict(layer.attention.out.state_dict())
        twin.linear1.load_state_dict(layer.perceptron[0].state_dict())
        twin.linear2.load_state_dict(layer.perceptron[2].state_dict())
    steps = torch.randn(7, 5, 8, dtype=torch.float64)
    assert torch.allclose(layer(steps), twin(steps), rtol=1e-12, atol=1e-12)


def test_the_order_of_steps_counts():
    """Self-attention alone does not see it; the positions tell."""
    columns = ColumnsSpec(BILLS, (), ())
    bottom = make(columns)
    numbers, codes = torch.randn(7, 3, dtype=torch.float64), torch.empty((7, 0), dtype=torch.int64)
    encoder = bottom.encoders[0]
    forward = encoder(numbers, codes).unflatten(1, (3, 4))
    backward = encoder(numbers.flip(1), codes).unflatten(1, (3, 4)).flip(1)
    assert not torch.allclose(forward, backward)
    with torch.no_grad():
        encoder.positions.weight.zero_()
    forward = encoder(numbers, codes).unflatten(1, (3, 4))
    backward = encoder(numbers.flip(1), codes).unflatten(1, (3, 4)).flip(1)
    assert torch.allclose(forward, backward)


def test_every_column_counts_once():
    bottom, (numbers, codes) = make(CREDIT, sequences="BILL_AMT, PAY"), rows_of(CREDIT)
    out = bottom(numbers, codes)
    for column in range(numbers.shape[1]):
        moved = numbers.clone()
        moved[:, column] += 1.0
        assert not torch.equal(bottom(moved, codes), out)
    for column, n_codes in enumerate(CREDIT.n_codes):
        moved = codes.clone()
        moved[:, column] = (moved[:, column] + 1) % n_codes
        assert not torch.equal(bottom(numbers, moved), out)
    # LIMIT, its gaps, x1, x2; of categories SEX alone
    assert bottom._numbers == [0, 4, 5, 7]
    assert bottom._categories == [3]


def test_without_sequences_it_is_the_perceptron():
    columns = ColumnsSpec(("a", "b"), ("c",), (3,))
    bottom, twin = make(columns), get_architecture("mlp")
    with seeded(0):
        other = twin.make_bottom(columns, 5, {"hidden": (6,)}, torch.Generator())
    rows = rows_of(columns)
    assert torch.equal(bottom(*rows), other.to(torch.float64)(*rows))
