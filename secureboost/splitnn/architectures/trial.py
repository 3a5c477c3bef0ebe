"""A dry run of somebody's module: what it gives, and whether it can be trained in a split network.

A bottom with several batches in flight computes each with the weights of its time, by
`torch.func.functional_call`. A run that is gone on with, or repeated pooled, must draw the same.
Rows are scored in pieces. Modules that cannot bear that are refused before training, with the
reason.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call

from secureboost.errors import ConfigError

N_ROWS = 6
"""Rows of a dry run: some to be left out, and enough for a norm over the batch."""


def module_width(module: nn.Module, inputs: Sequence[Tensor], what: str) -> int:
    """How many numbers a module gives for a row.

    Parameters
    ----------
    module : torch.nn.Module
        Afterwards it is as it was, but for lazy layers, which know their sizes now.
    inputs : sequence of tensors of shape (N_ROWS, ...)
        What its `forward` takes.
    what : str
        What messages call it.

    Raises
    ------
    secureboost.errors.ConfigError
        If it does not take these, or gives anything else than a matrix of as many rows.
    """
    out = _evaluate(module, inputs, what)
    if not isinstance(out, Tensor):
        raise ConfigError(f"{what} gives a {type(out).__name__}; it must give a tensor")
    if out.ndim != 2 or len(out) != len(inputs[0]) or not out.is_floating_point():
        raise ConfigError(
            f"{what} gives {out.dtype} of shape {tuple(out.shape)} for {len(inputs[0])} rows; it "
            f"must give numbers of shape ({len(inputs[0])}, width)"
        )
    return out.shape[1]


def check_trainable(module: nn.Module, inputs: Sequence[Tensor], what: str) -> None:
    """Refuse a module that cannot be trained here, with the reason.

    Parameters
    ----------
    module : torch.nn.Module
        Of a known width (`module_width`). Afterwards it is as it was.
    inputs : sequence of tensors of shape (N_ROWS, ...)
    what : str
        What messages call it.

    Raises
    ------
    secureboost.errors.ConfigError
    """
    _check_state(module, what)
    _check_stashing(module, inputs, what)
    whole = _evaluate(module, inputs, what)
    if not torch.equal(whole, _evaluate(module, inputs, what, seed=1)):
        raise ConfigError(
            f"{what} gives the same rows other numbers each time in evaluation mode; what it draws "
            "it must draw in training mode alone"
        )
    some = _evaluate(module, [values[: N_ROWS // 2] for values in inputs], what)
    if not torch.allclose(whole[: N_ROWS // 2], some, rtol=1e-3, atol=1e-5):
        raise ConfigError(
            f"{what} gives a row other numbers in evaluation mode when other rows are scored with "
            "it, as a norm over the batch without running statistics does; rows must not mix there"
        )
    if not torch.equal(_train(module, inputs), _train(module, inputs)):
        raise ConfigError(
            f"{what} draws from another source than torch's generator, so a run could not be "
            "repeated; draw with torch.rand, torch.nn.Dropout, ..."
        )


def _check_state(module: nn.Module, what: str) -> None:
    for name, value in module.state_dict().items():
        if not isinstance(value, Tensor):
            raise ConfigError(
                f"{what} keeps a {type(value).__name__} as {name!r}; only tensors can be kept"
            )
        if value.device.type != "cpu":
            raise ConfigError(f"{what} lies on {value.device}; move it to the CPU: .to('cpu')")
    if not any(parameter.requires_grad for parameter in module.parameters()):
        raise ConfigError(f"{what} has no weights to learn; give it at least one layer of them")


def _check_stashing(module: nn.Module, inputs: Sequence[Tensor], what: str) -> None:
    """Two batches in flight, with weights that are not the module's own; then a backward pass."""
    weights = {
        name: value.detach().clone().requires_grad_(value.requires_grad)
        for name, value in module.named_parameters()
    }
    state = weights | _buffers(module)
    try:
        module.train()
        with torch.random.fork_rng(devices=[]):
            first = functional_call(module, state, tuple(inputs))
            functional_call(module, state, tuple(inputs))
        leaves = set(_leaves(first))
        if not leaves <= set(weights.values()):
            raise ConfigError(
                f"{what} computes with weights that are not among its parameters, so none can be "
                "put in their place while a batch is in flight; keep them as self.<name> and use "
                "them from there"
            )
        if not leaves:
            raise ConfigError(f"{what} does not learn: what it gives depends on no weight of it")
        first.sum().backward()
    except RuntimeError as error:
        raise ConfigError(
            f"{what} cannot be used with the weights of an earlier batch (functional_call): "
            f"{_short(error)}. Scripted and traced modules cannot, nor those that change in place "
            "what an earlier batch still needs; give the module that they were made of"
        ) from error


def _leaves(out: Tensor) -> Iterable[Tensor]:
    """The tensors whose gradients a backward pass from `out` would compute."""
    waiting, seen = [out.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            yield node.variable
        waiting += [function for function, _ in node.next_functions]


def _evaluate(module: nn.Module, inputs: Sequence[Tensor], what: str, seed: int = 0) -> Tensor:
    """A forward pass in evaluation mode."""
    module.eval()
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            out: Tensor = module(*inputs)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        shapes = " and ".join(str(tuple(values.shape)) for values in inputs)
        raise ConfigError(f"{what} does not take inputs of shape {shapes}: {_short(error)}") from (
            error
        )
    finally:
        module.train()
    return out


def _train(module: nn.Module, inputs: Sequence[Tensor]) -> Tensor:
    """A forward pass in training mode, from the same place of torch's generator each time."""
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        out: Tensor = functional_call(module, _buffers(module), tuple(inputs))
    return out


def _buffers(module: nn.Module) -> dict[str, Tensor]:
    """Copies of its buffers, to be changed in the place of its own."""
    return {name: value.clone() for name, value in module.named_buffers()}


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200].rstrip(".")
