"""Only the largest numbers of a row: top-k, and top-k with chance.

The kept numbers may pass through another codec (``"topk:0.1+int8"``). Gradients go back for kept
positions alone; for the others they are 0.

Positions of a row travel in the smaller of two forms: as ascending indices of 1 byte (2 where the
cut has more than 256 numbers), or as a bit for each number of the cut.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from secureboost.errors import ConfigError
from secureboost.splitnn.codecs.base import Codec
from secureboost.splitnn.errors import PayloadError
from secureboost.splitnn.payload import Arrays, Layout, Part


class Positions:
    """Where the kept numbers of a row lie, as bytes.

    Parameters
    ----------
    width, kept : int
        `kept` positions of `width`.
    """

    def __init__(self, width: int, kept: int) -> None:
        self._width = width
        self._kept = kept
        self._index = np.dtype(np.uint8 if width <= 256 else np.uint16)
        self._n_bytes = -(-width // 8)
        self._as_bits = self._n_bytes < kept * self._index.itemsize

    def part(self, n_rows: int) -> Part:
        """Form of the array."""
        if self._as_bits:
            return Part("uint8", (n_rows, self._n_bytes))
        return Part(self._index.name, (n_rows, self._kept))

    def pack(self, positions: Tensor) -> NDArray[Any]:
        """Turn ascending positions, shape (n_rows, kept), into the array."""
        if not self._as_bits:
            return positions.numpy().astype(self._index)
        chosen = np.zeros((len(positions), self._width), np.bool_)
        np.put_along_axis(chosen, positions.numpy(), True, axis=1)
        return np.packbits(chosen, axis=1, bitorder="little")

    def unpack(self, packed: NDArray[Any]) -> Tensor:
        """Turn the array into ascending positions, shape (n_rows, kept), int64.

        Raises
        ------
        PayloadError
            If a row has another number of positions, one twice or out of order, or one beyond the
            width.
        """
        if not self._as_bits:
            positions = packed.astype(np.int64)
            if positions.size and positions[:, -1].max() >= self._width:
                raise PayloadError(f"a kept position is {self._width} or beyond")
            if np.any(positions[:, 1:] <= positions[:, :-1]):
                raise PayloadError("kept positions do not ascend")
            return torch.from_numpy(positions)
        chosen = np.unpackbits(packed, axis=1, bitorder="little")
        if chosen[:, self._width :].any():
            raise PayloadError(f"a kept position is {self._width} or beyond")
        if np.any(chosen.sum(axis=1, dtype=np.int64) != self._kept):
            raise PayloadError(f"a row does not keep {self._kept} positions")
        return torch.from_numpy(np.nonzero(chosen)[1].reshape(len(packed), self._kept))


class TopK(Codec):
    """Keeps the k numbers of a row that are largest in magnitude.

    What is left out comes back as 0, so each number comes back within the k-th largest magnitude
    of its row (and within the error of `values` if it is kept).

    Parameters
    ----------
    share : float
        ``k = max(1, round(share width))``; above 0, at most 1.
    values : Codec
        How kept numbers travel.

    Raises
    ------
    secureboost.errors.ConfigError
        If the share is out of its limits, or `values` leaves numbers out, too.
    """

    name = "topk"

    def __init__(self, share: float, values: Codec) -> None:
        if not 0.0 < share <= 1.0:
            raise ConfigError(
                f"{self.name!r} keeps a share of {share:g}; it must lie above 0 and be at most 1",
                "codec",
            )
        if isinstance(values, TopK):
            raise ConfigError(
                f"{values.name!r} cannot follow {self.name!r}: both leave numbers out", "codec"
            )
        self._share = share
        self._values = values

    def kept(self, width: int) -> int:
        """Numbers of a row that travel."""
        return max(1, round(self._share * width))

    def layout(self, n_rows: int, width: int, dtype: str) -> Layout:
        """Positions of the kept numbers; the layout of `values` for those."""
        kept = self.kept(width)
        return (Positions(width, kept).part(n_rows), *self._values.layout(n_rows, kept, dtype))

    def encode(self, values: Tensor, generator: torch.Generator | None = None) -> Arrays:
        """See `Codec.encode`."""
        width = values.shape[1]
        kept = self.kept(width)
        positions = self._select(values, kept, generator).sort(dim=1).values
        packed = Positions(width, kept).pack(positions)
        return (packed, *self._values.encode(values.gather(1, positions), generator))

    def decode(self, arrays: Arrays, width: int, dtype: str) -> Tensor:
        """See `Codec.decode`."""
        kept = self._values.decode(arrays[1:], self.kept(width), dtype)
        return self._scatter(kept, arrays[0], width)

    def gradient_layout(self, n_rows: int, width: int, dtype: str) -> Layout:
        """The layout of `values` for the kept numbers: both sides know where those were."""
        return self._values.gradient_layout(n_rows, self.kept(width), dtype)

    def encode_gradient(self, gradient: Tensor, sent: Arrays) -> Arrays:
        """See `Codec.encode_gradient`."""
        width = gradient.shape[1]
        positions = Positions(width, self.kept(width)).unpack(sent[0])
        return self._values.encode_gradient(gradient.gather(1, positions), sent[1:])

    def decode_gradient(self, arrays: Arrays, sent: Arrays, width: int, dtype: str) -> Tensor:
        """See `Codec.decode_gradient`."""
        kept = self._values.decode_gradient(arrays, sent[1:], self.kept(width), dtype)
        return self._scatter(kept, sent[0], width)

    def _select(self, values: Tensor, kept: int, generator: torch.Generator | None) -> Tensor:
        """Positions of the kept numbers of each row, in any order."""
        return values.abs().topk(kept, dim=1).indices

    def _scatter(self, kept: Tensor, packed: NDArray[Any], width: int) -> Tensor:
        positions = Positions(width, kept.shape[1]).unpack(packed)
        return kept.new_zeros((len(kept), width)).scatter_(1, positions, kept)


class RandTopK(TopK):
    """Top-k in evaluation; in training others are kept now and then, so that no unit starves.

    Zheng et al. 2023 (arXiv 2305.18469), section 4: k different numbers of a row are drawn one by
    one, each of the k largest with weight ``(1 - alpha) / k``, each of the other ``d - k`` with
    weight ``alpha / (d - k)``. Drawing without replacement by weights w is the same as keeping the
    k largest of ``log w + G`` with independent Gumbel G (Efraimidis and Spirakis 2006).

    Parameters
    ----------
    share : float
    values : Codec
    alpha : float
        At least 0, below 1; 0 is top-k.

    Raises
    ------
    secureboost.errors.ConfigError
    """

    name = "randtopk"

    def __init__(self, share: float, values: Codec, alpha: float) -> None:
        super().__init__(share, values)
        if not 0.0 <= alpha < 1.0:
            raise ConfigError(
                f"'randtopk' has alpha={alpha:g}; it must be at least 0 and lie below 1", "codec"
            )
        self._alpha = alpha

    def _select(self, values: Tensor, kept: int, generator: torch.Generator | None) -> Tensor:
        largest = super()._select(values, kept, generator)
        others = values.shape[1] - kept
        if generator is None or others == 0 or self._alpha == 0.0:
            return largest
        weights = torch.full(values.shape, self._alpha / others, dtype=torch.float64)
        weights.scatter_(1, largest, (1.0 - self._alpha) / kept)
        # -log of an exponential number is a Gumbel number: the smallest quotients are kept
        exponential = torch.empty_like(weights).exponential_(generator=generator)
        return (exponential / weights).topk(kept, dim=1, largest=False).indices
