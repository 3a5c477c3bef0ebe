"""Networks as ONNX graphs: a bottom with the preparation of its columns, a body, a top.

torch traces a network; in front of a bottom we put what `inputs.Inputs` does, as nodes of our own,
so that raw columns go in: each is an input by its name, floats (NaN is missing) for a column of
numbers and text for one of categories, where what training did not know counts as missing, as it
does here. Behind a top come offset, scale, and the link of the objective.
"""

import importlib
import json
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from secureboost.errors import SecureBoostError
from secureboost.splitnn.inputs import FARTHEST, Preparation
from secureboost.splitnn.model import TopHead
from secureboost.splitnn.tensors import DTYPES

OPSET = 17
_OURS = "prepared:"
ROWS = "rows"
"""Name of the dimension that may have any size."""

_LINKS = {
    "binary:logistic": "sigmoid",
    "labels:logistic": "sigmoid",
    "multi:softprob": "softmax",
    "reg:squarederror": "identity",
    "reg:pseudohubererror": "identity",
    "count:poisson": "exp",
    "reg:gamma": "exp",
    "reg:tweedie": "exp",
}


class OnnxMissingError(SecureBoostError, ImportError):
    """onnx or onnxruntime is not installed."""

    def __init__(self, missing: str) -> None:
        super().__init__(
            f"Export to ONNX needs {missing}, which is not installed. Install the extra with: "
            "pip install 'secureboost[onnx]'."
        )


class ExportError(SecureBoostError):
    """A network cannot be taken out of torch. Nothing is left."""


def library(name: str) -> ModuleType:
    """Import what only export needs.

    Raises
    ------
    OnnxMissingError
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise OnnxMissingError(name.partition(".")[0]) from error


def bottom_graph(module: nn.Module, preparation: Preparation, dtype: str, what: str) -> Any:
    """A bottom behind the preparation of its columns.

    Parameters
    ----------
    module : torch.nn.Module
        ``(numbers, codes) -> (n_rows, width)``.
    preparation : Preparation
    dtype : str
    what : str
        What errors call it.

    Returns
    -------
    onnx.ModelProto
        One input for each column, of shape (rows, 1); output ``activations``.

    Raises
    ------
    ExportError
        If torch cannot say what it does as ONNX.
    """
    spec = preparation.spec
    numbers = torch.zeros((2, len(spec.numbers)), dtype=DTYPES[dtype])
    codes = torch.zeros((2, len(spec.categories)), dtype=torch.int64)
    names = ["network:numbers", "network:codes"]
    net = traced(module, (numbers, codes), names, ["activations"], what)
    prepared = _Preparing(preparation, dtype).model(net)
    compose = library("onnx.compose")
    used = {value.name for value in net.graph.input}
    pairs = [(_OURS + name.removeprefix("network:"), name) for name in names if name in used]
    try:
        return compose.merge_models(prepared, net, io_map=pairs, outputs=["activations"])
    except ValueError as error:
        raise ExportError(
            f"{what} cannot be exported: {_first_line(error)} Rename the column of that name."
        ) from error


def top_graph(module: nn.Module, head: TopHead, inputs: Mapping[str, int], what: str) -> Any:
    """A top, or the head over a body.

    Parameters
    ----------
    module : torch.nn.Module
        ``list of (n_rows, width) -> (n_rows, n_outputs)``.
    head : TopHead
    inputs : mapping of str to int
        Names and widths.
    what : str

    Returns
    -------
    onnx.ModelProto
        Outputs ``raw``, and ``prediction`` but for a function as objective; both (rows, n_outputs),
        float64.
    """
    scored = Scored(module, head)
    outputs = ["raw", "prediction"] if head.objective in _LINKS else ["raw"]
    arguments = tuple(
        torch.zeros((2, width), dtype=DTYPES[head.dtype]) for width in inputs.values()
    )
    return traced(scored, arguments, list(inputs), outputs, what)


def body_graph(module: nn.Module, inputs: Mapping[str, int], dtype: str, what: str) -> Any:
    """A body: one input for each bottom, output ``body``."""
    arguments = tuple(torch.zeros((2, width), dtype=DTYPES[dtype]) for width in inputs.values())
    return traced(Listed(module), arguments, list(inputs), ["body"], what)


class Listed(nn.Module):
    """A network that takes a list, as one that takes its items."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *activations: Tensor) -> Tensor:
        """Give what the module gives."""
        out: Tensor = self.module(list(activations))
        return out


class Scored(nn.Module):
    """A top with offset, scale and link: from activations to raw scores and predictions."""

    def __init__(self, module: nn.Module, head: TopHead) -> None:
        super().__init__()
        self.module = Listed(module)
        self.register_buffer("offset", torch.tensor(head.offset, dtype=torch.float64))
        self._scale = head.scale
        self._link = _LINKS.get(head.objective)

    def forward(self, *activations: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Give raw scores, and predictions if the objective has a link."""
        raw = self.offset + self._scale * self.module(*activations).to(torch.float64)
        if self._link is None:
            return raw
        if self._link == "softmax":
            return raw, torch.softmax(raw, dim=1)
        if self._link == "identity":
            return raw, raw.clone()
        return raw, torch.sigmoid(raw) if self._link == "sigmoid" else torch.exp(raw)


def traced(
    module: nn.Module,
    arguments: tuple[Tensor, ...],
    inputs: Sequence[str],
    outputs: Sequence[str],
    what: str,
) -> Any:
    """Let torch write a network down; batches may have any size.

    Raises
    ------
    ExportError
    """
    onnx = library("onnx")
    module.eval()
    try:
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            file = Path(folder) / "network.onnx"
            warnings.simplefilter("ignore")  # of the tracer; what it gets wrong is found afterwards
            torch.onnx.export(
                module,
                arguments,
                file,
                input_names=list(inputs),
                output_names=list(outputs),
                dynamic_axes={name: {0: ROWS} for name in (*inputs, *outputs)},
                opset_version=OPSET,
                dynamo=False,
            )
            return onnx.load(file)
    except Exception as error:  # torch has many kinds of them here
        raise ExportError(
            f"{what} cannot be exported: {type(error).__name__}: {_first_line(error)} Export its "
            "weights instead (to_torch), or change the module."
        ) from error


def describe(model: Any, facts: Mapping[str, Any]) -> None:
    """Note facts in a graph's metadata; what is no text is written as JSON."""
    for name, value in facts.items():
        entry = model.metadata_props.add()
        entry.key = f"secureboost.{name}"
        entry.value = value if isinstance(value, str) else json.dumps(value)


class _Preparing:
    """The nodes that do what `inputs.Inputs` does."""

    def __init__(self, preparation: Preparation, dtype: str) -> None:
        self._helper = library("onnx.helper")
        self._numpy = library("onnx.numpy_helper")
        self._types = library("onnx").TensorProto
        self._preparation = preparation
        self._dtype = np.dtype(dtype)
        self._of_dtype = self._helper.np_dtype_to_tensor_dtype(self._dtype)
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def model(self, net: Any) -> Any:
        """A model from raw columns to ``prepared:numbers`` and ``prepared:codes``.

        Parameters
        ----------
        net : onnx.ModelProto
            What takes them: versions are its own.
        """
        preparation, helper = self._preparation, self._helper
        kinds = list(zip(preparation.names, preparation.categories, strict=True))
        numbers = [name for name, names in kinds if names is None]
        categories = [(name, names) for name, names in kinds if names is not None]
        self._write_codes(categories, numbers)
        self._write_numbers(numbers)
        columns = [
            helper.make_tensor_value_info(
                name, self._types.FLOAT if names is None else self._types.STRING, [ROWS, 1]
            )
            for name, names in kinds
        ]
        outputs = [
            helper.make_tensor_value_info("prepared:numbers", self._of_dtype, [ROWS, None]),
            helper.make_tensor_value_info("prepared:codes", self._types.INT64, [ROWS, None]),
        ]
        graph = helper.make_graph(self._nodes, "preparation", columns, outputs, self._constants)
        versions = [*net.opset_import, helper.make_opsetid("ai.onnx.ml", 3)]
        return helper.make_model(graph, opset_imports=versions, ir_version=net.ir_version)

    def _write_numbers(self, names: Sequence[str]) -> None:
        if not names:
            self._none_of("prepared:codes", "prepared:numbers", self._of_dtype)
            return
        preparation, dtype = self._preparation, self._dtype
        of_numbers = np.array([part is None for part in preparation.categories])
        gaps = np.flatnonzero(np.array(preparation.gaps)[of_numbers])
        means = self._constant("means", np.array(preparation.means, dtype)[of_numbers])
        scales = self._constant("scales", np.array(preparation.scales, dtype)[of_numbers])
        zero = self._constant("zero", np.array(0.0, dtype))
        limits = [
            self._constant(name, np.array(value, dtype))
            for name, value in (("lowest", -FARTHEST), ("highest", FARTHEST))
        ]
        raw = self._node("Concat", names, "raw", axis=1)
        missing = self._node("IsNaN", [raw], "missing")
        cast = self._node("Cast", [raw], "cast", to=self._of_dtype)
        centred = self._node("Sub", [cast, means], "centred")
        scaled = self._node("Div", [centred, scales], "scaled")
        present = self._node("Where", [missing, zero, scaled], "present")
        parts = [self._node("Clip", [present, *limits], "clipped")]
        if len(gaps):
            of_gaps = self._node("Gather", [missing, self._constant("gaps", gaps)], "gap", axis=1)
            parts.append(self._node("Cast", [of_gaps], "told", to=self._of_dtype))
        self._node("Concat", parts, "numbers", axis=1)

    def _write_codes(
        self, categories: Sequence[tuple[str, Sequence[str]]], numbers: Sequence[str]
    ) -> None:
        if not categories:
            self._none_of(numbers[0], "prepared:codes", self._types.INT64)
            return
        codes = [
            self._node(
                "LabelEncoder",
                [name],
                f"code of {name}",
                domain="ai.onnx.ml",
                # a column without a value in training has a name that nothing is called
                keys_strings=list(names) or ["\x00"],
                values_int64s=list(range(1, len(names) + 1)) or [0],
                default_int64=0,
            )
            for name, names in categories
        ]
        self._node("Concat", codes, "codes", axis=1)

    def _none_of(self, source: str, target: str, kind: int) -> None:
        """A tensor without columns, of as many rows as another one."""
        bounds = [
            self._constant(name, np.array([value], np.int64))
            for name, value in (("begin", 0), ("end", 0), ("axis", 1))
        ]
        empty = self._node("Slice", [source, *bounds], "empty")
        self._node("Cast", [empty], target.removeprefix(_OURS), to=kind)

    def _constant(self, name: str, value: NDArray[Any]) -> str:
        self._constants.append(self._numpy.from_array(value, _OURS + name))
        return _OURS + name

    def _node(self, kind: str, inputs: Sequence[str], output: str, **how: Any) -> str:
        self._nodes.append(self._helper.make_node(kind, list(inputs), [_OURS + output], **how))
        return _OURS + output


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else "no reason is given."
