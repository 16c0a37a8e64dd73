"""What an exported file takes beside the model's inputs: a target, checked before anything is explained."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from onnxplain.backward.emitter import Emitter
from onnxplain.graph import facts
from onnxplain.graph.names import Names

__all__ = ["check_target", "take_predicted"]

#: No axis is so long: an index that no runtime takes.
_NOWHERE = np.int64(2**31 - 1)


def _samples(op: Emitter, main: ir.Value, axis: int | None, given: ir.Value) -> ir.Value:
    """Return the shape that a target has for as many samples as there are, int64."""
    lead = op.const(np.array([1], np.int64)) if axis is None else op.Shape(main, start=axis, end=axis + 1)
    rest = [d for d in (facts.dims(given) or ())[1:] if isinstance(d, int)]
    return op.concat([lead, *([rest] if rest else [])])


def _before(model: ir.Model, opset: int, what: str) -> Emitter:
    graph = model.graph
    op = Emitter(graph, opset, scope=Names(graph).scope(f"onnxplain/{what}"))
    op.before = next(iter(graph))
    return op


def take_predicted(model: ir.Model, given: ir.Value, main: ir.Value, axis: int | None, opset: int) -> None:
    """Let the target be what is predicted: -1 for each sample takes the place of the input that names it.

    Parameters
    ----------
    model
        The file's graph.
    given
        The input, int64 (N,) or (N, k).
    main, axis
        An input of the model, and the axis along which its samples lie.
    opset
        Of the graph.
    """
    op = _before(model, opset, "target")
    shape = _samples(op, main, axis, given)
    value = op.ConstantOfShape(shape, value=ir.tensor(np.array([-1], np.int64)))
    op.annotate(value, given)
    given.replace_all_uses_with(value)
    model.graph.inputs.remove(given)


def check_target(model: ir.Model, given: ir.Value, main: ir.Value, axis: int | None, opset: int) -> None:
    """Let a target that names no score fail when the file runs: one of each sample, from 0.

    Operators count negative indices from the end; here they become one that is beyond every end, so that the
    runtime says so, as it does of those that are too large.  A number of targets other than that of samples
    fails at a Reshape.

    Parameters
    ----------
    model, given, main, axis, opset
        As :func:`take_predicted` takes them.
    """
    op = _before(model, opset, "target")
    own = op.Reshape(given, _samples(op, main, axis, given))
    own = op.Where(op.Less(own, np.int64(0)), op.const(_NOWHERE), own)
    own = op.annotate(own, given)
    kept = {node for node in model.graph if str(node.name).startswith(f"{op.scope}/")}
    given.replace_all_uses_with(own)
    for node in kept:  # but for what checks it
        for k, value in enumerate(node.inputs):
            if value is own and node.op_type == "Reshape":
                node.replace_input_with(k, given)
