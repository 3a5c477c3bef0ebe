"""Any `torch.nn.Module` as bottom and top.

A module cannot travel: no code is sent between companies. Who wants one of its own makes it known
in its own process, under a name, and names it where an architecture is named::

    register(FromModules("wide_net", bottom=lambda columns, width: ..., top=...))
    SplitNNClassifier(architecture="wide_net")

A party that does not know the name refuses it. To read a model again, make the name known first.
"""

import copy
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from secureboost.errors import ConfigError
from secureboost.splitnn.architectures.base import Architecture, ColumnsError, ColumnsSpec
from secureboost.splitnn.architectures.mlp import MLP
from secureboost.splitnn.architectures.trial import N_ROWS, check_trainable, module_width
from secureboost.splitnn.options import Option, Options
from secureboost.splitnn.randomness import seeded

MakeBottom = Callable[[ColumnsSpec, int], nn.Module]
MakeTop = Callable[[Sequence[int], int], nn.Module]


class FromModules(Architecture):
    """An architecture of somebody's own modules.

    Parameters
    ----------
    name : str
        Under which it is registered and kept with a model.
    bottom : torch.nn.Module or callable, optional
        A module ``(numbers) -> (n_rows, width)`` for a party without categories, or
        ``(numbers, codes) -> (n_rows, width)``; or what makes one, called with `ColumnsSpec` and
        width. By default the bottom of `MLP`, with its options.
    top : torch.nn.Module or callable, optional
        A module ``(n_rows, sum of widths) -> (n_rows, n_outputs)``, fed with what the bottoms give
        side by side; or what makes one, called with the list of widths and n_outputs. By default
        the top of `MLP`, with its options.

    Notes
    -----
    What a callable makes begins with weights that follow from the run's seed, if it initialises
    them as torch does. A module begins with the weights it has, each time: it is copied. It may
    have buffers (running means of a norm over the batch): they are kept with the weights, and
    evaluation and prediction use them. It may draw from torch's global generator in training
    (`torch.nn.Dropout`); here that stands at a seed of the run in each forward pass.
    """

    def __init__(
        self,
        name: str,
        *,
        bottom: nn.Module | MakeBottom | None = None,
        top: nn.Module | MakeTop | None = None,
    ) -> None:
        self.name = name
        self._bottom = bottom
        self._top = top

    def bottom_options(self, options: Options) -> dict[str, Option]:
        """Those of `MLP` if no bottom was given; otherwise there are none."""
        if self._bottom is None:
            return MLP().bottom_options(options)
        return super().bottom_options(options)

    def top_options(self, options: Options) -> dict[str, Option]:
        """Those of `MLP` if no top was given; otherwise there are none."""
        if self._top is None:
            return MLP().top_options(options)
        return super().top_options(options)

    def check_options(self, bottom: Options, top: Options, n_outputs: int = 1) -> None:
        """Check the options; modules are tried out when the columns are known."""
        self.check_bottom(bottom)
        self.top_options(top)

    def check_bottom(self, options: Options) -> None:
        """Check the options of a bottom."""
        self.bottom_options(options)

    def own_width(self, columns: ColumnsSpec, width: int, options: Options) -> int:
        """What a given module gives over these columns, by a dry run; otherwise `width`."""
        if not isinstance(self._bottom, nn.Module):
            return width
        what = self._what("bottom")
        module = _made(self._bottom, (), what)
        return module_width(module, _bottom_inputs(module, columns, what), what)

    def make_bottom(
        self, columns: ColumnsSpec, width: int, options: Options, generator: torch.Generator
    ) -> nn.Module:
        """Make the bottom, and try it out; see `Architecture.make_bottom`.

        Raises
        ------
        secureboost.errors.ConfigError
            If it does not fit the columns or the width, or cannot be trained here (`trial`).
        """
        options = self.bottom_options(options)
        if self._bottom is None:
            return MLP().make_bottom(columns, width, options, generator)
        what = self._what("bottom")
        module = _made(self._bottom, (columns, width), what)
        inputs = _bottom_inputs(module, columns, what)
        _try_out(module, inputs, width, what)
        return OwnBottom(module, generator, takes_codes=len(inputs) == 2)

    def make_top(
        self, widths: Sequence[int], n_outputs: int, options: Options, generator: torch.Generator
    ) -> nn.Module:
        """Make the top, and try it out; see `Architecture.make_top`.

        Raises
        ------
        secureboost.errors.ConfigError
            If it does not fit what the bottoms give or `n_outputs`, or cannot be trained here.
        """
        options = self.top_options(options)
        if self._top is None:
            return MLP().make_top(widths, n_outputs, options, generator)
        what = self._what("top")
        module = _made(self._top, (list(widths), n_outputs), what)
        inputs = [_numbers(module, sum(widths))]
        _try_out(module, inputs, n_outputs, what)
        return OwnTop(module, generator)

    def _what(self, part: str) -> str:
        return f"the {part} of {self.name!r}"


class Drawing(nn.Module):
    """A module that may draw from torch's global generator, made to draw from a given one.

    Parameters
    ----------
    module : torch.nn.Module
    generator : torch.Generator
    """

    def __init__(self, module: nn.Module, generator: torch.Generator) -> None:
        super().__init__()
        self.module = module
        self._generator = generator

    def run(self, *inputs: Tensor) -> Tensor:
        """Compute; in training the global generator stands at a seed drawn for it."""
        out: Tensor
        if self.training:
            seed = int(torch.randint(2**53, (), generator=self._generator))
            with seeded(seed):
                out = self.module(*inputs)
        else:
            out = self.module(*inputs)
        return out


class OwnBottom(Drawing):
    """Somebody's module as a bottom.

    Parameters
    ----------
    module : torch.nn.Module
    generator : torch.Generator
    takes_codes : bool
        Whether it takes codes besides numbers.
    """

    def __init__(self, module: nn.Module, generator: torch.Generator, *, takes_codes: bool) -> None:
        super().__init__(module, generator)
        self._takes_codes = takes_codes

    def forward(self, numbers: Tensor, codes: Tensor) -> Tensor:
        """Give (n_rows, width)."""
        return self.run(numbers, codes) if self._takes_codes else self.run(numbers)


class OwnTop(Drawing):
    """Somebody's module as the top, fed with what the bottoms give side by side."""

    def forward(self, activations: list[Tensor]) -> Tensor:
        """Give (n_rows, n_outputs)."""
        return self.run(torch.cat(activations, dim=1))


def _made(given: nn.Module | Callable[..., nn.Module], arguments: Sequence[Any], what: str) -> Any:
    """A module of its own: a copy of what was given, or of what a callable made."""
    module = given if isinstance(given, nn.Module) else given(*arguments)
    if not isinstance(module, nn.Module):
        raise ConfigError(f"{what} was made as a {type(module).__name__}; make a torch.nn.Module")
    try:
        return copy.deepcopy(module)
    except RuntimeError as error:
        raise ConfigError(
            f"{what} cannot be copied: {error} Old torch.nn.utils.weight_norm makes such modules; "
            "torch.nn.utils.parametrizations.weight_norm does not."
        ) from error


def _try_out(module: nn.Module, inputs: Sequence[Tensor], width: int, what: str) -> None:
    parameters = list(module.parameters())
    if any(parameter.is_meta for parameter in parameters):
        # its size is measured, no numbers are made; lazy layers get theirs by a pass
        if any(isinstance(parameter, UninitializedParameter) for parameter in parameters):
            module(*(values.to("meta") for values in inputs))
        return
    with torch.device("cpu"):  # of a given module, too, the size may be measured
        found = module_width(module, inputs, what)
        if found != width:
            raise ConfigError(
                f"{what} gives numbers of shape ({N_ROWS}, {found}) for {N_ROWS} rows, and "
                f"({N_ROWS}, {width}) are wanted there; change its last layer or the setting",
                "width",
            )
        check_trainable(module, inputs, what)


def _bottom_inputs(module: nn.Module, columns: ColumnsSpec, what: str) -> list[Tensor]:
    """Inputs for a dry run: codes too, if its `forward` takes two tensors."""
    numbers = _numbers(module, len(columns.numbers))
    if _n_arguments(module) >= 2:
        # the highest codes: tables that are too small are found
        codes = torch.tensor(columns.n_codes, dtype=torch.int64, device="cpu") - 1
        return [numbers, codes.expand(N_ROWS, -1)]
    if columns.categories:
        raise ColumnsError(
            f"{what} takes one tensor, and there are columns of categories, whose codes are a "
            "second one; let its forward take (numbers, codes)"
        )
    return [numbers]


def _numbers(module: nn.Module, width: int) -> Tensor:
    """Numbers for a dry run, of the type that the module computes with."""
    dtype = next((p.dtype for p in module.parameters() if p.is_floating_point()), torch.float32)
    generator = torch.Generator().manual_seed(0)
    return torch.randn((N_ROWS, width), generator=generator, dtype=dtype, device="cpu")


def _n_arguments(module: nn.Module) -> int:
    """Tensors that its `forward` needs."""
    try:
        parameters = inspect.signature(module.forward).parameters.values()
    except ValueError:  # of a compiled one nothing is told
        return 1
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return 2
    return sum(parameter.default is parameter.empty for parameter in parameters)
