"""What a protection is: hooks for what makes the cut tell less.

A label protection changes gradients before they leave the label party (or the labels before they
are learnt from). A feature protection changes activations before they leave the feature party; it
is part of the bottom's graph, so that gradients flow through it. Pooled networks pass through both.
The label party's own bottom passes through neither: nothing of it leaves.

Where the noise comes from decides whether it protects. It comes from the operating system, not from
the run's generators, which follow from a seed that the other side may know or guess. Two runs are
therefore not equal. For tests that need equal runs, protections that draw take the option
``unsafe_seeded``: then their draws follow from the run's generators, and they protect nothing from
whoever has the seed.
"""

from abc import ABC
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from secureboost.splitnn.keystream import Keystream
from secureboost.splitnn.options import Option, Options, read_options


@dataclass(frozen=True, repr=False)
class CutContext:
    """What a label protection may look at besides the gradients.

    Attributes
    ----------
    y, weight : arrays of shape (n_rows,), float64
        Labels as the objective takes them.
    activations : tensor of shape (n_rows, width)
        What the bottom gave.
    generator : torch.Generator
        Set at the start of every epoch.
    """

    y: NDArray[np.float64]
    weight: NDArray[np.float64]
    activations: Tensor
    generator: torch.Generator


class Protection(ABC):
    """Protects something; made of its options.

    Attributes
    ----------
    name : str
    defaults : mapping of str to option
        The options that it knows, with their defaults; the type of a default is the option's type.
    lowers : tuple of str
        Names of the attacks (`attacks`) that it is for; a test of each shows that it lowers them.

    Parameters
    ----------
    options : mapping of str to option

    Raises
    ------
    secureboost.errors.ConfigError
        If an option is unknown, of another type or out of its limits.
    """

    name: ClassVar[str]
    defaults: ClassVar[Mapping[str, Option]] = MappingProxyType({})
    lowers: ClassVar[tuple[str, ...]] = ()

    def __init__(self, options: Options) -> None:
        self.options = read_options(options, self.defaults, f"protection {self.name!r}")

    def keystream(self, generator: torch.Generator) -> Keystream:
        """Where to draw from: secret words, unless the option ``unsafe_seeded`` is set."""
        if not self.options.get("unsafe_seeded", False):
            return Keystream.secret()
        return Keystream.of_seed(int(torch.randint(2**62, (1,), generator=generator)))


class LabelProtection(Protection):
    """Protects labels.

    Attributes
    ----------
    takes_several : bool
        Whether it protects several labels of a row (`several`), too.
    takes_class_weights : bool
        Whether it protects where weights of rows follow from their classes.
    """

    takes_several: ClassVar[bool] = False
    takes_class_weights: ClassVar[bool] = True

    def takes_classes(self, n_classes: int) -> bool:
        """Whether it protects a label of so many classes; 0 for a number."""
        return True

    def labels(self, y: NDArray[np.float64], generator: torch.Generator) -> NDArray[np.float64]:
        """Labels to learn from; called once, before training.

        Raises
        ------
        secureboost.errors.ConfigError
            If the protection is for other labels.
        """
        return y

    def gradient(self, gradient: Tensor, context: CutContext) -> Tensor:
        """The gradient that one bottom gets, of shape (n_rows, width)."""
        return gradient


class FeatureProtection(Protection):
    """Protects a party's columns."""

    def activations(self, activations: Tensor, generator: torch.Generator) -> Tensor:
        """What leaves, of the same shape; differentiable. In evaluation and prediction too."""
        return activations

    def loss(self, numbers: Tensor, codes: Tensor, activations: Tensor) -> Tensor | None:
        """A term that the bottom minimises besides: the distance correlation of NoPeek, ...

        Parameters
        ----------
        numbers, codes : tensors
            The batch as the bottom is fed.
        activations : tensor of shape (n_rows, width)
            What left.

        Returns
        -------
        tensor of shape () or None
        """
        return None
