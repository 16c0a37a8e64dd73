"""The walk backward inside the bodies of If, Loop and Scan."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import onnx_ir as ir

from onnxplain.backward.emitter import Emitter
from onnxplain.backward.engine import backward, between
from onnxplain.graph import facts
from onnxplain.graph.inline import paste
from onnxplain.graph.writer import infer_known

__all__ = ["inner_gradients", "inside", "paste_known", "total"]


def inside(op: Emitter, label: str) -> Emitter:
    """Return an emitter for a new, empty body, whose names clash with none of the outer graph.

    The walk inside goes by the same rules as the walk outside.
    """
    scope = op.fresh(label)
    graph = ir.Graph([], [], nodes=[], name=scope, opset_imports=dict(op.graph.opset_imports))
    inner = Emitter(graph, op.opset, scope)
    inner.inner_rules = op.inner_rules
    return inner


def paste_known(op: Emitter, body: ir.Graph, inputs: Sequence[ir.Value]) -> list[ir.Value]:
    """Copy a body into the emitter's graph and infer the shapes it leaves open; returns its outputs there."""
    outputs = paste(op.graph, body, inputs)
    for node in op.graph:
        if any(o.shape is None for o in node.outputs):
            infer_known(node, op.opset)
    return outputs


def inner_gradients(
    op: Emitter, seeds: Iterable[tuple[ir.Value, ir.Value | None]], wrt: Sequence[ir.Value]
) -> list[ir.Value]:
    """Walk back through what stands in the emitter's graph; zeros for what the seeds do not depend on.

    Parameters
    ----------
    op
        Writes into the body.
    seeds
        Pairs (output, its gradient); a None gradient, or an output that is no float, counts as zero.
    wrt
        Values of the body or of the outer graph.
    """
    parts: dict[ir.Value, list[ir.Value]] = {}
    for value, seed in seeds:
        if seed is not None and facts.is_float(value):
            parts.setdefault(value, []).append(seed)
    merged = {v: total(op, p) for v, p in parts.items()}
    nodes, _ = between(op.graph, merged, wrt)
    if not nodes and not any(v in wrt for v in merged):
        return [op.zeros_like(v) for v in wrt]
    scope = op.scope
    rules = op.inner_rules(op.graph, list(merged), wrt) if op.inner_rules is not None else None
    found = backward(op, merged, wrt, rules)
    op.scope = scope
    return [found[v] for v in wrt]


def total(op: Emitter, parts: Sequence[ir.Value]) -> ir.Value:
    """Add values up."""
    if len(parts) == 1:
        return parts[0]
    return op.annotate(op.Sum(*parts), parts[0])
