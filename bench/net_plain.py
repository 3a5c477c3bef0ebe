"""The network that the parties train together, in one process: a loop as one writes it in torch.

It has all columns in one tensor, standardised before, one optimiser, and nobody to ask.
"""

import time
from dataclasses import dataclass

import numpy as np
import torch
from data import Vertical
from torch import Tensor, nn


@dataclass(frozen=True)
class Sizes:
    """Of the network and its batches.

    Attributes
    ----------
    hidden : tuple of int
        Units of bottoms and of the top.
    cut : int
        Numbers that a bottom gives.
    batch : int
    """

    hidden: tuple[int, ...] = (64, 64)
    cut: int = 64
    batch: int = 1024


class Joint(nn.Module):
    """Two bottoms and a top, as the architecture "mlp" makes them."""

    def __init__(self, own: int, partner: int, sizes: Sizes) -> None:
        super().__init__()
        self.own = own
        self.bottoms = nn.ModuleList(
            perceptron(columns, sizes.hidden, sizes.cut) for columns in (own, partner)
        )
        self.top = nn.Sequential(nn.ReLU(), perceptron(2 * sizes.cut, sizes.hidden, 1))

    def forward(self, rows: Tensor) -> Tensor:
        """Give a score for each row."""
        first, second = self.bottoms
        cut = torch.cat([first(rows[:, : self.own]), second(rows[:, self.own :])], dim=1)
        return self.top(cut)[:, 0]


def perceptron(inputs: int, hidden: tuple[int, ...], outputs: int) -> nn.Sequential:
    """Linear layers with rectifiers between them."""
    layers: list[nn.Module] = []
    for units in hidden:
        layers += [nn.Linear(inputs, units), nn.ReLU()]
        inputs = units
    return nn.Sequential(*layers, nn.Linear(inputs, outputs))


def rows_a_second(data: Vertical, sizes: Sizes, threads: int, epochs: int) -> float:
    """Train, and count the rows of all epochs but the first."""
    torch.set_num_threads(threads)
    columns = data.pooled().to_numpy(np.float32)[data.train]
    columns = torch.from_numpy((columns - columns.mean(0)) / columns.std(0))
    y = torch.from_numpy(data.y[data.train].astype(np.float32))
    own = data.label.shape[1]
    model = Joint(own, columns.shape[1] - own, sizes)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.001, fused=True)
    loss = nn.BCEWithLogitsLoss()
    ended = []
    for _ in range(epochs):
        for rows in torch.randperm(len(y)).split(sizes.batch):
            optimiser.zero_grad()
            loss(model(columns[rows]), y[rows]).backward()
            optimiser.step()
        ended.append(time.perf_counter())
    return len(y) * (epochs - 1) / (ended[-1] - ended[0])
