"""Multi-gate mixture of experts: several labels learn from shared experts, each weighing its own.

Ma et al., "Modeling Task Relationships in Multi-task Learning with Multi-gate Mixture-of-Experts",
KDD 2018, equations 5 and 6: with experts ``f_i`` and for each task (label) ``k`` a gate and a
tower ``h_k``::

    y_k = h_k(sum_i g_k(x)_i f_i(x)),    g_k(x) = softmax(W_k x)

All labels are the label party's, so all of it is the top; ``x`` is what the bottoms give. Those are
of `MLP`, and learn from all labels at once.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar

import torch
from torch import Tensor, nn

from secureboost.errors import ConfigError
from secureboost.splitnn.architectures.base import Architecture, ColumnsSpec
from secureboost.splitnn.architectures.mlp import MLP, dropout_rate, hidden_layers, perceptron
from secureboost.splitnn.options import Option, Options, number_option

MOST_TOWER_LAYERS = 4096
"""Layers of all towers together: each is made one by one."""


class MMoE(Architecture):
    """Experts, gates and towers over what multi-layer perceptrons give.

    Options of a bottom: those of `MLP`. Of the top: ``experts`` (how many), ``units`` (what an
    expert gives), ``hidden`` (units of each hidden layer of a tower), ``dropout`` (in the towers).
    Each of the network's outputs is a task.
    """

    name = "mmoe"
    bottom_defaults: ClassVar[Mapping[str, Option]] = MLP.bottom_defaults
    top_defaults: ClassVar[Mapping[str, Option]] = MappingProxyType(
        {"experts": 4, "units": 32, "hidden": (16,), "dropout": 0.0}
    )

    def make_bottom(
        self, columns: ColumnsSpec, width: int, options: Options, generator: torch.Generator
    ) -> nn.Module:
        """Make the bottom of `MLP`; see `Architecture.make_bottom`."""
        return MLP().make_bottom(columns, width, self.bottom_options(options), generator)

    def make_top(
        self, widths: Sequence[int], n_outputs: int, options: Options, generator: torch.Generator
    ) -> nn.Module:
        """Make experts, and for each task a gate and a tower; see `Architecture.make_top`."""
        options = self.top_options(options)
        hidden, dropout = hidden_layers(options), dropout_rate(options)
        n_layers = n_outputs * (len(hidden) + 1)
        if n_layers > MOST_TOWER_LAYERS:
            raise ConfigError(
                f"gives each of {n_outputs} outputs a tower of {len(hidden) + 1} layers, which are "
                f"{n_layers} layers; there may be {MOST_TOWER_LAYERS}",
                "hidden",
            )
        units = int(number_option(options, "units", 1, 65_536))
        return MMoETop(
            sum(widths),
            int(number_option(options, "experts", 1, 1024)),
            units,
            [perceptron(units, hidden, 1, dropout, generator) for _ in range(n_outputs)],
        )


class MMoETop(nn.Module):
    """The mixture.

    Parameters
    ----------
    n_inputs : int
        What all bottoms give.
    n_experts : int
    units : int
        Numbers that an expert gives.
    towers : sequence of torch.nn.Module
        For each task ``(n_rows, units) -> (n_rows, 1)``.
    """

    def __init__(
        self, n_inputs: int, n_experts: int, units: int, towers: Sequence[nn.Module]
    ) -> None:
        super().__init__()
        self._shape = (n_experts, units)
        self.experts = nn.Linear(n_inputs, n_experts * units)  # all experts side by side
        self.gates = nn.ModuleList(nn.Linear(n_inputs, n_experts) for _ in towers)
        self.towers = nn.ModuleList(towers)

    def forward(self, activations: list[Tensor]) -> Tensor:
        """Give (n_rows, n_tasks)."""
        # a bottom ends with a linear layer, so the top begins with a rectifier
        inputs = torch.relu(torch.cat(activations, dim=1))
        experts = torch.relu(self.experts(inputs)).reshape(inputs.shape[0], *self._shape)
        scores = []
        for gate, tower in zip(self.gates, self.towers, strict=True):
            shares = torch.softmax(gate(inputs), dim=1)
            scores.append(tower((shares[:, :, None] * experts).sum(dim=1)))
        return torch.cat(scores, dim=1)
