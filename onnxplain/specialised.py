"""A model for inputs of just these shapes: what symbolic shapes leave open is then known."""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from onnxplain._types import Shape
from onnxplain.graph.normalize import Normalized
from onnxplain.reading import understood

__all__ = ["leaves_ranks_open", "specialised"]


def leaves_ranks_open(normal: Normalized) -> bool:
    """Tell whether a number of axes is known only once a model runs.

    A Squeeze without axes, or axes that are computed, leave it open; what stands behind has no gradient then.
    """
    return any(v.shape is None and v.uses() for node in normal.model.graph for v in node.outputs)


def specialised(normal: Normalized, shapes: Mapping[str, Shape]) -> Normalized:
    """Return a model for inputs of these shapes alone, the weights being the same.

    Parameters
    ----------
    normal
        A model in normal form.
    shapes
        Of all inputs, by name.
    """
    model = normal.model.clone()
    for value in model.graph.inputs:
        if value.name is not None and value.name in shapes:
            value.shape = ir.Shape(shapes[value.name])
    made = understood(model)
    notes = tuple(dict.fromkeys((*normal.notes, *made.notes)))
    return Normalized(made.model, notes, normal.content, {**made.gone, **normal.gone})
