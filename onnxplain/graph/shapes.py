"""The shapes that a model's values have for inputs of given shapes, whatever it declares of them."""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from onnxplain._types import Shape
from onnxplain.graph import facts
from onnxplain.graph.normalize import infer_shapes
from onnxplain.graph.passes.normal.fold_constants import FoldConstants

__all__ = ["at_shapes", "with_all_shapes"]


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


def with_all_shapes(model: ir.Model, shapes: Mapping[str, Shape]) -> ir.Model:
    """Return a copy of a model at shapes, with what they decide computed, as long as that tells more of them.

    Parameters
    ----------
    model, shapes
        As :func:`at_shapes` takes them.
    """
    model, fold = at_shapes(model, shapes), FoldConstants()
    left = _open(model)
    while left and fold(model).modified:
        infer_shapes(model)
        before, left = left, _open(model)
        if left >= before:
            break
    return model


def _open(model: ir.Model) -> int:
    """Count values of which a shape is not known."""
    return sum(facts.static_shape(v) is None for node in model.graph for v in node.outputs)
