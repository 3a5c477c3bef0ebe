"""What a codec is, and the one that changes nothing.

A codec turns a tensor into arrays of fixed types and shapes, and arrays into a tensor. Every bottom
passes through it, a local one too, so that a pooled network learns from the very numbers that a
split one learns from. Gradients are those of what the top saw; they are taken for those of what was
encoded (straight-through).
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from secureboost.splitnn.payload import Arrays, Layout, Part
from secureboost.splitnn.tensors import from_array


class Codec(ABC):
    """Encodes (n_rows, width) tensors of one dtype.

    Attributes
    ----------
    name : str
        Of the registry.
    """

    name: ClassVar[str]

    @abstractmethod
    def layout(self, n_rows: int, width: int, dtype: str) -> Layout:
        """Form of the arrays that `encode` makes of a tensor.

        Parameters
        ----------
        n_rows, width : int
        dtype : str
            Of the tensor: ``"float32"`` or ``"float64"``.
        """

    @abstractmethod
    def encode(self, values: Tensor, generator: torch.Generator | None = None) -> Arrays:
        """Turn a tensor into arrays.

        Parameters
        ----------
        values : tensor of shape (n_rows, width)
            Finite, without a graph.
        generator : torch.Generator, optional
            To draw from in training; None in evaluation and for gradients, where nothing may be
            drawn.
        """

    @abstractmethod
    def decode(self, arrays: Arrays, width: int, dtype: str) -> Tensor:
        """Turn arrays into a tensor of shape (n_rows, width); the caller checks that it is finite.

        Parameters
        ----------
        arrays : tuple of arrays
            Of the layout; their content comes from the other party and is not to be trusted.

        Raises
        ------
        PayloadError
            If the arrays cannot be what `encode` makes: an index out of range, ...
        """

    def gradient_layout(self, n_rows: int, width: int, dtype: str) -> Layout:
        """Form of an encoded gradient; by default it is encoded as activations are."""
        return self.layout(n_rows, width, dtype)

    def encode_gradient(self, gradient: Tensor, sent: Arrays) -> Arrays:
        """Turn the gradient of what was decoded from `sent` into arrays.

        A codec that leaves numbers out need not send gradients of those.
        """
        return self.encode(gradient)

    def decode_gradient(self, arrays: Arrays, sent: Arrays, width: int, dtype: str) -> Tensor:
        """Turn arrays into the gradient of what was encoded as `sent`.

        Raises
        ------
        PayloadError
        """
        return self.decode(arrays, width, dtype)


class Identity(Codec):
    """The numbers themselves."""

    name = "identity"

    def layout(self, n_rows: int, width: int, dtype: str) -> Layout:
        """One array of all numbers."""
        return (Part(dtype, (n_rows, width)),)

    def encode(self, values: Tensor, generator: torch.Generator | None = None) -> Arrays:
        """See `Codec.encode`."""
        return (values.numpy(),)

    def decode(self, arrays: Arrays, width: int, dtype: str) -> Tensor:
        """See `Codec.decode`."""
        return from_array(arrays[0], np.dtype(dtype))
