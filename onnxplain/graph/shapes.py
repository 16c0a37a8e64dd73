"""The shapes that a model's values have for inputs of given shapes, whatever it declares of them."""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from onnxplain._types import Shape
from onnxplain.graph.normalize import infer_shapes

__all__ = ["at_shapes"]


def at_shapes(model: ir.Model, shapes: Mapping[str, Shape]) -> ir.Model:
    """Return a copy of a model whose inputs have these shapes, and its other values what follows from them.

    Parameters
    ----------
    model
        A model in normal form.
    shapes
        By input; inputs that are not named keep what is declared.
    """
    model = model.clone()
    for value in model.graph.inputs:
        if value.name is not None and value.name in shapes:
            value.shape = ir.Shape(shapes[value.name])
    for node in model.graph.all_nodes():
        for value in node.outputs:
            value.shape = None
    infer_shapes(model)
    return model
