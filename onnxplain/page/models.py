"""The models of a page: one that prepares pictures, the model itself, and one file for each method."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir
from onnx_ir.passes import common

from onnxplain.errors import NotExplainableError
from onnxplain.explainer import Explainer
from onnxplain.exported_file import write_file
from onnxplain.exporting.images import take_images
from onnxplain.graph.patterns.heads import before_softmax
from onnxplain.page.form import Form

__all__ = [
    "explained_score",
    "index_length",
    "output_shape",
    "refuse_halves",
    "write_model",
    "write_preparation",
]

#: Has all operators that prepare pictures.
_OPSET = 18
_HALVES = (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)


def output_shape(explainer: Explainer, name: str) -> int | None:
    """Return how many scores an output has for a sample: None where that is not said.

    Raises
    ------
    NotExplainableError
        If these are no classes and no single score.
    """
    output = next(o for o in explainer.outputs if o.name == name)
    shape = output.shape
    if shape is None or len(shape) not in (1, 2):
        raise NotExplainableError(
            f"a page explains classes, (N, C), or single scores, and output '{name}' is "
            f"{'of any shape' if shape is None else tuple('?' if d is None else d for d in shape)}; name "
            "another output, or use ox.export"
        )
    last = shape[-1] if len(shape) == 2 else 1
    return last if isinstance(last, int) else None


def explained_score(explainer: Explainer, name: str) -> str:
    """Say what of an output is explained, where that is not the output itself."""
    output = next(v for v in explainer.normal.model.graph.outputs if v.name == name)
    if before_softmax(output) is None:
        return ""
    return "What is explained is the score before the closing Softmax, not the probability."


def index_length(path: Path, target: str) -> int:
    """Return how many numbers an index has that a file takes as its target: (N,) or (N, k)."""
    model = onnx.load(path, load_external_data=False)
    shape = next(i for i in model.graph.input if i.name == target).type.tensor_type.shape.dim
    return 1 if len(shape) == 1 else int(shape[1].dim_value)


def refuse_halves(model: ir.Model) -> None:
    """Refuse a model whose users give or get float16.

    Raises
    ------
    NotExplainableError
        If an input or output holds them.
    """
    half = next((v for v in (*model.graph.inputs, *model.graph.outputs) if v.dtype in _HALVES), None)
    if half is not None and half.dtype is not None:
        raise NotExplainableError(
            f"'{half.name}' holds {half.dtype.name.lower()}, which not all browsers have; export the model "
            "with float32 inputs and outputs"
        )


def write_model(explainer: Explainer, output: str, path: Path) -> None:
    """Write the model, with one of its outputs alone."""
    model = explainer.normal.model.clone()
    kept = [v for v in model.graph.outputs if v.name == output]
    model.graph.outputs.clear()
    model.graph.outputs.extend(kept)
    common.RemoveUnusedNodesPass()(model)
    write_file(model, path)


def write_preparation(form: Form, path: Path) -> None:
    """Write what makes the model's input of a picture, uint8 (1, H, W, C) of any size."""
    (name,) = form.explained
    probe: Any = form.probe[name]
    value = ir.Value(name=name, type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape(list(probe.shape)))
    node = ir.node("Identity", [value])
    node.outputs[0].name, node.outputs[0].type, node.outputs[0].shape = "prepared", value.type, value.shape
    graph = ir.Graph([value], node.outputs, nodes=[node], opset_imports={"": _OPSET}, name="prepare")
    model = ir.Model(graph, ir_version=8, producer_name="onnxplain")
    assert form.preprocessing is not None
    take_images(model, form.preprocessing, form.explained, _OPSET)
    write_file(model, path)
