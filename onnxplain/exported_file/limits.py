"""What a file asks for that some runtimes do not have, or do wrongly."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from onnxplain.exported_file.scopes import graphs_of
from onnxplain.graph import facts

__all__ = ["OWN_LIMIT", "limits_of"]

#: How what the model itself asks for is told.
OWN_LIMIT = "as the model itself does"

#: Slopes of HardSigmoid from here on are steps in disguise: float16 overflows, and OpenVINO gives 0.5 at 0.
_STEEP = 2.0**15

_BY_AXES = ("CumSum", "Squeeze", "Unsqueeze")


def limits_of(model: ir.Model, source: ir.Model) -> tuple[str, ...]:
    """Tell what a finished file asks for that keeps it from some runtimes.

    The portable form avoids all of it, so that what remains is the model's own, or cannot be known before
    running (axes of values whose rank is unknown).

    Parameters
    ----------
    model
        The finished file.
    source
        The model that it explains.

    Returns
    -------
    tuple of str
        One line for each kind: the first node that asks for it, how many others do, and whether the model
        itself does (then it ends with :data:`OWN_LIMIT`).
    """
    own = {kind for kind, _ in _found(source)}
    nodes: dict[str, list[ir.Node]] = {}
    for kind, node in _found(model):
        nodes.setdefault(kind, []).append(node)
    lines = []
    for kind, found in nodes.items():
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        ending = f", {OWN_LIMIT}" if kind in own else ""
        lines.append(f"{facts.node_label(found[0])}{more}: {kind}{ending}")
    return tuple(lines)


def _found(model: ir.Model) -> Iterator[tuple[str, ir.Node]]:
    """Yield what nodes ask for, and the nodes."""
    for graph in graphs_of(model):
        for node in graph:
            kind = _kind(node)
            if kind is not None:
                yield kind, node


def _kind(node: ir.Node) -> str | None:
    """Return what a node asks for that some runtimes do not have; None if all do."""
    name = node.op_type
    if node.domain not in ("", "ai.onnx"):
        return f"operators of {node.domain}"
    if name == "MaxPool" and len(node.outputs) > 1 and node.outputs[1].uses():
        return "MaxPool gives Indices, which WebGPU has not"
    if name == "NonZero":
        return "NonZero, whose shape is known only after it ran"
    if name == "Scan":
        return "Scan, which OpenVINO refuses"
    slope = facts.attr(node, "alpha", 0.2)
    if name == "HardSigmoid" and isinstance(slope, float) and abs(slope) > _STEEP:
        return "HardSigmoid as a step"
    if (name.startswith("Reduce") or name in _BY_AXES) and len(node.inputs) > 1:
        axes = node.inputs[1]
        if axes is not None and not facts.is_constant(axes) and not _is_written_constant(axes):
            return "axes known only when it runs, which OpenVINO refuses"
    return None


def _is_written_constant(value: ir.Value) -> bool:
    """Tell whether a node Constant makes a value."""
    producer = value.producer()
    return producer is not None and producer.op_type == "Constant"
