"""A small split network over a real table, trained in one process; what crosses the cut is noted.

It knows codecs, protections and architectures, and nothing of parties: what it shows of them holds
whoever trains.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from support.real_tables import read

from secureboost.splitnn.architectures import ColumnsSpec
from secureboost.splitnn.architectures.base import Architecture
from secureboost.splitnn.attacks import Recording
from secureboost.splitnn.codecs import get_codec
from secureboost.splitnn.options import Choice, Options
from secureboost.splitnn.payload import pack, unpack
from secureboost.splitnn.protections import CutContext, feature_protections, label_protections
from secureboost.splitnn.threads import torch_threads

BATCH = 256
WIDTH = 16


@dataclass(frozen=True, repr=False)
class Table:
    """Credit card clients: own columns of the label party, columns of a feature party, labels."""

    own: NDArray[np.float32]
    other: NDArray[np.float32]
    y: NDArray[np.float64]

    @classmethod
    def read(cls, data_folder: Path, rows: int = 6000) -> "Table":
        """Clients of `credit_default_scaled`; the last fifth is for testing."""
        folder = data_folder / "credit_default_scaled"
        guest, host = read(folder, "guest")[:rows], read(folder, "host")[:rows]
        y = guest.pop("y").to_numpy(np.float64)
        return cls(guest.to_numpy(np.float32), host.to_numpy(np.float32), y)

    @property
    def n_training(self) -> int:
        return len(self.y) * 4 // 5


@dataclass(frozen=True, repr=False)
class Run:
    """What crossed the cut, by training row, and how good the network is.

    Attributes
    ----------
    recording : Recording
        Of all epochs.
    auc : float
        Of the rows for testing.
    received : array of shape (n_test, width)
        What the label party gets of them.
    n_bytes : int
        Of the feature party's cut, both ways, all epochs.
    """

    recording: Recording
    auc: float
    received: NDArray[np.float64]
    n_bytes: int


def train(table: Table, architecture: Architecture, **how) -> Run:
    """Train on one thread, see `_train`: batches are small, and other processes want the cores."""
    with torch_threads(1):
        return _train(table, architecture, **how)


def _train(
    table: Table,
    architecture: Architecture,
    *,
    codec: str = "identity",
    label: Sequence[Choice] = (),
    feature: Sequence[Choice] = (),
    epochs: int = 4,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
    options: Options | None = None,
) -> Run:
    """Train a network of two bottoms and a top with Adam."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    wire, n_bytes = get_codec(codec), 0
    for_labels, for_features = label_protections(label), feature_protections(feature)
    inputs = [torch.from_numpy(part).to(dtype) for part in (table.own, table.other)]
    specs = [ColumnsSpec(tuple(map(str, range(part.shape[1]))), (), ()) for part in inputs]
    hidden = {"hidden": (32,), **(options or {})}
    bottoms = [architecture.make_bottom(spec, WIDTH, hidden, generator).to(dtype) for spec in specs]
    top = architecture.make_top([WIDTH, WIDTH], 1, hidden, generator).to(dtype)
    modules = torch.nn.ModuleList([*bottoms, top])
    optimiser = torch.optim.Adam(modules.parameters(), lr=2e-3)
    y = table.y[: table.n_training]
    for protection in for_labels:
        y = protection.labels(y, generator)
    activations = np.zeros((table.n_training, WIDTH))
    gradients = np.zeros((epochs, *activations.shape))
    batch = np.zeros(gradients.shape[:2], np.int64)
    kind = str(dtype).removeprefix("torch.")

    def forward(rows, drawn):
        none = torch.zeros((len(rows), 0), dtype=torch.int64)
        outs = [bottom(x[rows], none) for bottom, x in zip(bottoms, inputs, strict=True)]
        for protection in for_features:
            outs[1] = protection.activations(outs[1], generator)
        layout = wire.layout(len(rows), WIDTH, kind)
        payload = pack(wire.encode(outs[1].detach(), drawn), layout)
        sent = unpack(payload, layout)
        return none, outs, sent, wire.decode(sent, WIDTH, kind), len(payload)

    for epoch in range(epochs):
        order = torch.randperm(table.n_training, generator=generator)
        for number, rows in enumerate(order.split(BATCH)):
            none, outs, sent, received, there = forward(rows, generator)
            leaves = [outs[0].detach().requires_grad_(), received.requires_grad_()]
            scores = top(leaves)[:, 0]
            labels = torch.from_numpy(y[rows]).to(dtype)
            optimiser.zero_grad()
            ((torch.sigmoid(scores).detach() - labels) * scores).mean().backward()
            gradient = leaves[1].grad
            context = CutContext(y[rows], np.ones(len(rows)), received.detach(), generator)
            for protection in for_labels:
                gradient = protection.gradient(gradient, context)
            layout = wire.gradient_layout(len(rows), WIDTH, kind)
            payload = pack(wire.encode_gradient(gradient, sent), layout)
            decoded = wire.decode_gradient(unpack(payload, layout), sent, WIDTH, kind)
            roots, ends = [outs[0], outs[1]], [leaves[0].grad, decoded]
            for protection in for_features:
                term = protection.loss(inputs[1][rows], none, outs[1])
                if term is not None:
                    roots.append(term)
                    ends.append(torch.ones_like(term))
            torch.autograd.backward(roots, ends)
            optimiser.step()
            n_bytes += there + len(payload)
            gradients[epoch, rows] = decoded.numpy()
            activations[rows], batch[epoch, rows] = received.detach().numpy(), number
    modules.eval()
    with torch.no_grad():
        test = torch.arange(table.n_training, len(table.y))
        _, outs, _, received, _ = forward(test, None)
        scores = top([outs[0], received])[:, 0].numpy()
    auc = float(roc_auc_score(table.y[test], scores))
    recording = Recording(gradients, activations, batch)
    return Run(recording, auc, received.numpy().astype(np.float64), n_bytes)
