"""Behaviour Sequence Transformer: columns that are a sequence in time go through self-attention.

Chen et al., "Behavior Sequence Transformer for E-commerce Recommendation in Alibaba", 2019 (arXiv
1905.06874). A party's sequences are its own, so all of it happens in its bottom: the values of a
step, embedded, and the step's position go through transformer layers, and what comes out of all
steps lies beside the party's other columns before the hidden layers. The top is that of `MLP`.

Two things differ from the paper. There is no item to be scored that joins the sequence; what is
scored is the person. Columns are at fixed times (the bill a month ago, two months ago), so the
position is the step's number, learnt, and no difference of two timestamps.
"""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from secureboost.errors import ConfigError
from secureboost.splitnn.architectures.base import (
    Architecture,
    ColumnsSpec,
    Dropout,
    missing_name,
    n_layers,
)
from secureboost.splitnn.architectures.mlp import (
    MLP,
    Embeddings,
    dropout_rate,
    embedding_size,
    hidden_layers,
    perceptron,
)
from secureboost.splitnn.architectures.sequences import (
    AUTO,
    BehaviourSequence,
    Field,
    find_sequences,
)
from secureboost.splitnn.options import Option, Options, number_option

INNER = 4
"""Times as many units inside of a layer's perceptron as outside (Vaswani et al. 2017)."""

INITIAL_SPREAD = 0.02
"""Standard deviation of the first positions, as in BERT: beside numbers of about 1."""


class BST(Architecture):
    """A transformer over each party's sequences beside its other columns.

    Options of a bottom: ``sequences`` (which columns they are, see `sequences.find_sequences`;
    "auto" takes all that look like it, and a party without any has the bottom of `MLP`), ``units``
    (numbers of a step), ``heads`` (of the attention), ``blocks`` (transformer layers one after the
    other), ``hidden``, ``dropout``, ``embedding`` as in `MLP`. Of the top: those of `MLP`.
    """

    name = "bst"
    bottom_defaults: ClassVar[Mapping[str, Option]] = MappingProxyType(
        {"sequences": AUTO, "units": 16, "heads": 2, "blocks": 1, **MLP.bottom_defaults}
    )
    top_defaults: ClassVar[Mapping[str, Option]] = MLP.top_defaults

    def make_bottom(
        self, columns: ColumnsSpec, width: int, options: Options, generator: torch.Generator
    ) -> nn.Module:
        """Make transformers and hidden layers; see `Architecture.make_bottom`."""
        options = self.bottom_options(options)
        units, heads, blocks = _sizes(options)
        embedding = int(number_option(options, "embedding", 0, 1024)) or None
        dropout = dropout_rate(options)
        sequences = find_sequences(options, columns)
        encoders = [
            SequenceEncoder(
                StepInputs(sequence, columns, embedding),
                [TransformerLayer(units, heads, dropout, generator) for _ in range(blocks)],
                units,
            )
            for sequence in sequences
        ]
        used = {column for sequence in sequences for field in sequence for column in field.columns}
        used |= {missing_name(column) for column in used}
        numbers = [place for place, name in enumerate(columns.numbers) if name not in used]
        categories = [place for place, name in enumerate(columns.categories) if name not in used]
        embeddings = Embeddings([columns.n_codes[place] for place in categories], embedding)
        n_inputs = sum(encoder.width for encoder in encoders) + len(numbers) + embeddings.width
        layers = perceptron(n_inputs, hidden_layers(options), width, dropout, generator)
        return BSTBottom(encoders, numbers, categories, embeddings, layers)

    def make_top(
        self, widths: Sequence[int], n_outputs: int, options: Options, generator: torch.Generator
    ) -> nn.Module:
        """Make the top of `MLP`; see `Architecture.make_top`."""
        return MLP().make_top(widths, n_outputs, self.top_options(options), generator)


class StepInputs(nn.Module):
    """The columns of a sequence as what is known of each step.

    Parameters
    ----------
    sequence : tuple of Field
    columns : ColumnsSpec
    embedding : int, optional
        Numbers for a category; by default by the number of codes. All steps have as many.

    Attributes
    ----------
    n_steps, width : int
        Steps, and numbers of one.
    """

    def __init__(
        self, sequence: BehaviourSequence, columns: ColumnsSpec, embedding: int | None
    ) -> None:
        super().__init__()
        names = [row for field in sequence for row in _number_rows(field, columns)]
        self._numbers = [_places(row, columns.numbers) for row in names]
        self._codes = [
            _places(field.columns, columns.categories) for field in sequence if field.of_categories
        ]
        self.embeddings = nn.ModuleList()
        self.n_steps = len(sequence[0].columns)
        self.width = len(names)
        for places in self._codes:
            n_codes = [columns.n_codes[place] for place in places]
            size = embedding or embedding_size(max(n_codes))
            self.embeddings.append(Embeddings(n_codes, size))
            self.width += size

    def forward(self, numbers: Tensor, codes: Tensor) -> Tensor:
        """Give (n_rows, n_steps, width)."""
        padded = pad(numbers, (0, 1))  # a place that has no number picks the 0 behind
        parts = [padded[:, places][:, :, None] for places in self._numbers]
        for places, embeddings in zip(self._codes, self.embeddings, strict=True):
            parts.append(torch.stack(embeddings(codes[:, places]), dim=1))
        return torch.cat(parts, dim=2)


class SelfAttention(nn.Module):
    """Multi-head self-attention (Vaswani et al. 2017, equation 1) without a mask.

    Written out, for steps are few: torch's own has fast ways in evaluation that differ in the last
    bits, and drop-out that draws from the global generator.

    Parameters
    ----------
    units : int
        Numbers of a step; a multiple of `heads`.
    heads : int
    """

    def __init__(self, units: int, heads: int) -> None:
        super().__init__()
        self._heads = heads
        self._scale = 1.0 / math.sqrt(units // heads)
        self.project = nn.Linear(units, 3 * units)
        self.out = nn.Linear(units, units)

    def forward(self, steps: Tensor) -> Tensor:
        """Give (n_rows, n_steps, units) of the same."""
        n_rows, n_steps, units = steps.shape
        by_head = self.project(steps).reshape(n_rows, n_steps, 3, self._heads, units // self._heads)
        queries, keys, values = by_head.permute(2, 0, 3, 1, 4).unbind(0)
        weights = torch.softmax(queries @ keys.transpose(2, 3) * self._scale, dim=3)
        out: Tensor = self.out((weights @ values).transpose(1, 2).flatten(start_dim=2))
        return out


class TransformerLayer(nn.Module):
    """Self-attention, then a perceptron for each step, each added to its input and normalised.

    Chen et al. 2019, equations 4 and 5: drop-out after both, a leaky rectifier inside.

    Parameters
    ----------
    units, heads : int
    dropout : float
    generator : torch.Generator
    """

    def __init__(self, units: int, heads: int, dropout: float, generator: torch.Generator) -> None:
        super().__init__()
        self.attention = SelfAttention(units, heads)
        self.perceptron = nn.Sequential(
            nn.Linear(units, INNER * units), nn.LeakyReLU(), nn.Linear(INNER * units, units)
        )
        self.dropout = Dropout(dropout, generator)
        self.after_attention = nn.LayerNorm(units)
        self.after_perceptron = nn.LayerNorm(units)

    def forward(self, steps: Tensor) -> Tensor:
        """Give (n_rows, n_steps, units) of the same."""
        steps = self.after_attention(steps + self.dropout(self.attention(steps)))
        out: Tensor = self.after_perceptron(steps + self.dropout(self.perceptron(steps)))
        return out


class SequenceEncoder(nn.Module):
    """From the columns of a sequence to what its transformer makes of all steps.

    Parameters
    ----------
    inputs : StepInputs
    layers : sequence of TransformerLayer
    units : int

    Attributes
    ----------
    width : int
        Numbers of all steps together.
    """

    def __init__(self, inputs: StepInputs, layers: Sequence[TransformerLayer], units: int) -> None:
        super().__init__()
        self.width = inputs.n_steps * units
        self.inputs = inputs
        self.project = nn.Linear(inputs.width, units)
        self.positions = nn.Embedding(inputs.n_steps, units)
        nn.init.normal_(self.positions.weight, std=INITIAL_SPREAD)
        self.layers = nn.Sequential(*layers)

    def forward(self, numbers: Tensor, codes: Tensor) -> Tensor:
        """Give (n_rows, width)."""
        steps = self.project(self.inputs(numbers, codes)) + self.positions.weight
        out: Tensor = self.layers(steps)
        return out.flatten(start_dim=1)


class BSTBottom(nn.Module):
    """Sequences through transformers, then everything through hidden layers to the cut.

    Parameters
    ----------
    encoders : sequence of SequenceEncoder
    numbers, categories : sequence of int
        Positions of the columns that are in no sequence.
    embeddings : Embeddings
        Of these `categories`.
    layers : torch.nn.Sequential
    """

    def __init__(
        self,
        encoders: Sequence[SequenceEncoder],
        numbers: Sequence[int],
        categories: Sequence[int],
        embeddings: Embeddings,
        layers: nn.Sequential,
    ) -> None:
        super().__init__()
        self._numbers = list(numbers)
        self._categories = list(categories)
        self.encoders = nn.ModuleList(encoders)
        self.embeddings = embeddings
        self.layers = layers
        # what lies in no sequence passes the hidden layers alone
        self.fewest_layers = n_layers(layers)

    def forward(self, numbers: Tensor, codes: Tensor) -> Tensor:
        """Give (n_rows, width)."""
        parts = [encoder(numbers, codes) for encoder in self.encoders]
        parts.append(numbers[:, self._numbers])
        parts += self.embeddings(codes[:, self._categories])
        out: Tensor = self.layers(torch.cat(parts, dim=1))
        return out


def _sizes(options: Options) -> tuple[int, int, int]:
    """The options ``units``, ``heads`` and ``blocks``, checked."""
    units = int(number_option(options, "units", 1, 4096))
    heads = int(number_option(options, "heads", 1, 64))
    blocks = int(number_option(options, "blocks", 1, 64))
    if units % heads:
        raise ConfigError(f"is {units}; it must be a multiple of heads={heads}", "units")
    return units, heads, blocks


def _number_rows(field: Field, columns: ColumnsSpec) -> list[list[str]]:
    """Names of the numbers that a field gives to its steps: values, and gaps if it has some."""
    if field.of_categories:
        return []
    gaps = [missing_name(column) for column in field.columns]
    values = list(field.columns)
    return [values, gaps] if any(gap in columns.numbers for gap in gaps) else [values]


def _places(names: Sequence[str], columns: Sequence[str]) -> list[int]:
    """Where columns lie; -1, the last place, for those that there are not."""
    return [columns.index(name) if name in columns else -1 for name in names]
