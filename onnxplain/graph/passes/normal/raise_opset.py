"""Raise models of an old opset to the one in which the backward pass is written."""

from __future__ import annotations

import onnx_ir as ir
from onnx import version_converter

from onnxplain.errors import InvalidModelError
from onnxplain.graph.stubs import restore_weights, weights_as_inputs

__all__ = ["MIN_OPSET", "raise_opset"]

#: From here on, reductions and shape movers take their axes as inputs, as the emitted nodes do.
MIN_OPSET = 18


def raise_opset(model: ir.Model, to: int = MIN_OPSET) -> tuple[ir.Model, bool]:
    """Run ONNX's own version converter, without carrying the weights through it.

    Parameters
    ----------
    model
        The model.
    to
        The opset that it is raised to, if it is of an older one.

    Returns
    -------
    tuple of ir.Model and bool
        The model (a new one where it was raised), and whether it was raised.

    Raises
    ------
    InvalidModelError
        If the converter has no way for some operator.
    """
    version = model.graph.opset_imports.get("")
    if version is None:  # no node is of the standard
        model.graph.opset_imports[""] = to
    if version is None or version >= to:
        return model, False
    with weights_as_inputs(model) as weights:
        proto = ir.to_proto(model)
    try:
        converted = ir.from_proto(version_converter.convert_version(proto, to))
    except Exception as error:  # the converter raises RuntimeError, ValueError and its own ConvertError
        raise InvalidModelError(
            f"the model's opset {version} could not be raised to {to} ({error}); export the model "
            f"again with opset {to} or newer"
        ) from error
    restore_weights(converted, weights)
    return converted, True
