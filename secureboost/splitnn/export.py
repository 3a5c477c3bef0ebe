"""A half of a network as files of other programs: ONNX graphs, and weights for torch alone.

Each party exports its own half: the label party the top and its own bottom (of a pooled network all
bottoms), a feature party its bottom, and the body if it computes one. Before a graph is left, made
up rows go through it in onnxruntime and through torch here, and must agree.

Who has a party's exported bottom has its half of the model; it is the owner's to keep.
"""

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from secureboost.files import write_atomically
from secureboost.splitnn.body import make_body
from secureboost.splitnn.codecs import codec_names
from secureboost.splitnn.inputs import Inputs
from secureboost.splitnn.make import load_weights
from secureboost.splitnn.model import (
    BodyHead,
    BottomHead,
    Tensors,
    TopHead,
    decode_half,
    read_head,
    split_body,
)
from secureboost.splitnn.network import make_module
from secureboost.splitnn.onnx_graph import (
    ExportError,
    Scored,
    body_graph,
    bottom_graph,
    describe,
    library,
    top_graph,
)
from secureboost.splitnn.protections import FeatureProtection, feature_protections
from secureboost.splitnn.scoring import LoadedModel
from secureboost.splitnn.table import ColumnTable
from secureboost.splitnn.tensors import DTYPES

BOUNDS = {"float32": 1e-5, "float64": 1e-9}
"""Most that onnxruntime and torch may differ by, of ``1 + |number|``."""

BOTTOM = "secureboost.bottom"
"""How the head of a feature party's half is tagged."""

N_CHECKED = 257
"""Made-up rows of a check."""

_ROUNDING = {"identity", "float16", "bfloat16", "fp8", "int8"}
"""Codecs that keep every number but for its last bits."""


@dataclass(frozen=True, repr=False)
class _Part:
    """A network of a half.

    Attributes
    ----------
    file : str
        Its name without suffix.
    weights : dict of str to tensor
    facts : dict
        Kept with it.
    graph : callable
        Makes its ONNX graph.
    rows : callable
        Makes rows to check it with: what goes into the graph, and what torch gives by its outputs.
    """

    file: str
    weights: Tensors
    facts: Mapping[str, Any]
    graph: Callable[[], Any]
    rows: Callable[[], tuple[dict[str, NDArray[Any]], list[Tensor]]]


def write_onnx(half: bytes, folder: str | Path) -> list[Path]:
    """Write the networks of a half as ONNX, checked.

    Parameters
    ----------
    half : bytes
        File of a party's half.
    folder : str or Path

    Returns
    -------
    list of Path
        ``top.onnx`` and ``bottom.onnx`` of the label party's, ``bottom_<party>.onnx`` besides of a
        pooled network; ``bottom.onnx`` of a feature party's; ``body.onnx`` with a body.

    Raises
    ------
    ExportError
        If a network cannot be said as ONNX, differs there by more than `BOUNDS`, or would leave out
        what protects it. No file is left.
    secureboost.splitnn.onnx_graph.OnnxMissingError
    secureboost.errors.ModelError
        If the half is damaged.
    """
    made = []
    for part in _parts(half):
        graph = part.graph()
        describe(graph, part.facts)
        data = graph.SerializeToString()
        _check(data, part)
        made.append((Path(folder) / f"{part.file}.onnx", data))
    return _write(made)


def write_torch(half: bytes, folder: str | Path) -> list[Path]:
    """Write the weights of a half for torch, so that ``torch.load(..., weights_only=True)`` reads.

    Returns
    -------
    list of Path
        Named as by `write_onnx`, with the suffix ``.pt``: a dict of ``weights`` by name and
        ``facts``, a text of JSON.

    Raises
    ------
    secureboost.errors.ModelError
        If the half is damaged.
    """
    made = []
    for part in _parts(half, weights_alone=True):
        path = Path(folder) / f"{part.file}.pt"
        made.append((path, _saved(part)))
    return _write(made)


def _saved(part: _Part) -> bytes:
    file = io.BytesIO()
    torch.save({"weights": part.weights, "facts": json.dumps(part.facts)}, file)
    return file.getvalue()


def _write(made: Sequence[tuple[Path, bytes]]) -> list[Path]:
    for path, data in made:
        write_atomically(path, data, mode=0o600)
    return [path for path, _ in made]


def _parts(half: bytes, *, weights_alone: bool = False) -> list[_Part]:
    """The networks of a half; `weights_alone` leaves out what only graphs must fulfil."""
    if _is_bottom(half):
        head, tensors = decode_half(half, BottomHead, "the half")
        bottom, body = split_body(tensors)
        parts = [_bottom_part(head, bottom, "bottom")]
        if head.body is not None:
            names = [f"bottom {number}" for number in range(len(head.body.widths))]
            parts.append(_body_part(head.body, body, head.model_id, names))
        heads = [head]
    else:
        model = LoadedModel(half, "the half")
        _, body = split_body(decode_half(half, TopHead, "the half")[1])
        parts, heads = _label_parts(model, body), list(model.head.bottoms)
    if not weights_alone:
        for head in heads:
            _check_exportable(head)
    return parts


def _is_bottom(half: bytes) -> bool:
    """Whether it is a feature party's."""
    try:
        return bool(json.loads(read_head(half))["type"] == BOTTOM)
    except (ValueError, KeyError):
        return False  # read as a label party's, it says what is wrong


def _label_parts(model: LoadedModel, body: Tensors) -> list[_Part]:
    head = model.head
    owners = [*(part.party for part in head.bottoms), *(part.name for part in head.partners)]
    names = [owner or "own" for owner in owners]
    inputs = dict(zip(names, head.widths, strict=True))
    parts = [
        _bottom_part(of_bottom, weights, _bottom_file(of_bottom.party))
        for of_bottom, weights in zip(head.bottoms, model.bottom_weights, strict=True)
    ]
    if head.body is not None:
        if body:
            parts.append(_body_part(head.body, body, head.model_id, names))
        inputs = {"body": head.body.width}
    return [_top_part(model.top.module, head, inputs), *parts]


def _bottom_file(party: str) -> str:
    return f"bottom_{party}" if party else "bottom"


def _bottom_part(head: BottomHead, weights: Tensors, file: str) -> _Part:
    what = f"the bottom of party {head.party!r}" if head.party else "the label party's bottom"
    preparation = head.preparation
    generator = torch.Generator()

    def module() -> nn.Module:
        made = make_module(
            head.architecture, preparation.spec, head.width, head.dtype, 0, generator
        )
        load_weights(made, weights, what)
        return made.eval()

    def rows() -> tuple[dict[str, NDArray[Any]], list[Tensor]]:
        fed, table = _made_up(head)
        inputs = Inputs(table, preparation, head.dtype).batch(np.arange(N_CHECKED, dtype=np.int32))
        return fed, [module()(*inputs)]

    facts = _facts(head.model_id, what, head.dtype, msgspec.to_builtins(head.architecture)) | {
        "codec": head.codec,
        "preparation": msgspec.to_builtins(preparation),
    }
    return _Part(
        file, weights, facts, lambda: bottom_graph(module(), preparation, head.dtype, what), rows
    )


def _body_part(head: BodyHead, weights: Tensors, model_id: str, names: Sequence[str]) -> _Part:
    inputs = dict(zip(names, head.widths, strict=True))

    def module() -> nn.Module:
        made = make_body(head, 0, torch.Generator())
        load_weights(made, weights, "the body")
        return made.eval()

    def rows() -> tuple[dict[str, NDArray[Any]], list[Tensor]]:
        fed, given = _activations(inputs, head.dtype)
        return fed, [module()(given)]

    facts = _facts(model_id, "the body", head.dtype, msgspec.to_builtins(head.architecture))
    return _Part(
        "body",
        weights,
        facts,
        lambda: body_graph(module(), inputs, head.dtype, "the body"),
        rows,
    )


def _top_part(module: nn.Module, head: TopHead, inputs: Mapping[str, int]) -> _Part:
    def rows() -> tuple[dict[str, NDArray[Any]], list[Tensor]]:
        fed, given = _activations(inputs, head.dtype)
        outputs = Scored(module.eval(), head)(*given)
        return fed, [outputs] if isinstance(outputs, Tensor) else list(outputs)

    facts = _facts(head.model_id, "the top", head.dtype, msgspec.to_builtins(head.architecture)) | {
        "objective": head.objective,
        "offset": list(head.offset),
        "scale": head.scale,
        "classes": list(head.classes),
        "labels": list(head.labels),
    }
    return _Part(
        "top",
        module.state_dict(),
        facts,
        lambda: top_graph(module.eval(), head, inputs, "the top"),
        rows,
    )


def _facts(model_id: str, what: str, dtype: str, architecture: Any) -> dict[str, Any]:
    return {"model_id": model_id, "part": what, "dtype": dtype, "architecture": architecture}


def _check_exportable(head: BottomHead) -> None:
    """Refuse a bottom of which a graph would leave out what happens to its numbers on their way."""
    for protection in feature_protections(head.protections):
        if type(protection).activations is not FeatureProtection.activations:
            raise ExportError(
                f"protection {protection.name!r} changes what leaves party {head.party!r} when "
                "rows are scored, and no graph does that: what it gave would tell more than was "
                "agreed. Score in a session."
            )
    if not set(codec_names(head.codec)) <= _ROUNDING:
        raise ExportError(
            f"codec {head.codec!r} leaves numbers out or hides them on their way, and no graph "
            "does that. Train with another codec, or score in a session."
        )


def _made_up(head: BottomHead) -> tuple[dict[str, NDArray[Any]], ColumnTable]:
    """Raw columns of rows that were made up, as a graph takes them and as a table.

    Among them are missing values, values far away and categories that training did not know.
    """
    rng = np.random.default_rng(0)
    preparation = head.preparation
    fed: dict[str, NDArray[Any]] = {}
    columns, categories = [], []
    for name, mean, scale, names in zip(
        preparation.names,
        preparation.means,
        preparation.scales,
        preparation.categories,
        strict=True,
    ):
        if names is None:
            values = mean + 3.0 * scale * rng.standard_normal(N_CHECKED)
            values[rng.random(N_CHECKED) < 0.1] = np.nan
            values[:2] = (3e38, -3e38)
            columns.append(values.astype(np.float32))
            fed[name] = columns[-1][:, np.newaxis]
        else:
            known = (*names, "no category of this name")
            codes = rng.integers(0, len(known), N_CHECKED)
            columns.append(codes.astype(np.float32))
            fed[name] = np.array(known, object)[codes][:, np.newaxis]
        categories.append(None if names is None else known)
    return fed, ColumnTable(preparation.names, np.stack(columns), tuple(categories))


def _activations(
    inputs: Mapping[str, int], dtype: str
) -> tuple[dict[str, NDArray[Any]], list[Tensor]]:
    generator = torch.Generator().manual_seed(0)
    given = [
        torch.randn((N_CHECKED, width), generator=generator, dtype=DTYPES[dtype])
        for width in inputs.values()
    ]
    return dict(zip(inputs, (values.numpy() for values in given), strict=True)), given


def _check(data: bytes, part: _Part) -> None:
    """Compare onnxruntime with torch, over many rows and over one.

    Raises
    ------
    ExportError
        If they differ by more than `BOUNDS`, or onnxruntime cannot run the graph.
    """
    runtime = library("onnxruntime")
    fed, expected = part.rows()
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # what it cannot make faster is of no interest
    try:
        session = runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        taken = {value.name for value in session.get_inputs()}
        fed = {name: values for name, values in fed.items() if name in taken}
        found = session.run(None, fed)
        first = session.run(None, {name: values[:1] for name, values in fed.items()})
    except Exception as error:  # of its own kinds, without a common base
        raise ExportError(
            f"{part.facts['part']} was written, and onnxruntime cannot run it: {error}"
        ) from error
    bound = BOUNDS[part.facts["dtype"]]
    for ours, theirs, of_first in zip(expected, found, first, strict=True):
        wanted = ours.detach().numpy()
        for mine, other in ((wanted, theirs), (wanted[:1], of_first)):
            apart = np.abs(mine - other) > bound * (1.0 + np.abs(mine))
            if apart.any() or not np.isfinite(other).all():
                raise ExportError(
                    f"{part.facts['part']} cannot be exported: in {int(apart.sum()):,} of "
                    f"{apart.size:,} numbers onnxruntime differs from torch by more than {bound:g}."
                    " A module that decides by its values cannot be traced; change it, or export "
                    "its weights instead (to_torch)."
                )
