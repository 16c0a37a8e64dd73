"""A sum of two models over the same inputs, as one graph."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from onnxplain.errors import MethodError
from onnxplain.graph import facts
from onnxplain.graph.build import Ops
from onnxplain.graph.normalize import Normalized
from onnxplain.reading import understood

__all__ = ["summed"]


def summed(
    first: tuple[Normalized, str],
    second: tuple[Normalized, str],
    a: float,
    b: float,
    *,
    turn: int = 0,
    copied: bool = True,
) -> Normalized:
    """Return ``a f(x) + b g(x)`` as one graph; its only output has the name of f's.

    Both models' nodes are there, g's under names of their own.  Inputs of the same name are the same.

    Parameters
    ----------
    first, second
        f and g: a model, and the name of its value that is meant.
    a, b
        The factors.
    turn
        The entries of g along axis 1 are taken so many places further on, the first behind the last.
    copied
        Whether g's nodes are added; if not, g is f, and its nodes are there.

    Raises
    ------
    MethodError
        If g has bodies (If, Loop, Scan), takes an input that f has not, or is of another opset.
    """
    (f, output), (g, other) = first, second
    if f.opset != g.opset:
        raise MethodError(
            f"the models are written in opset {f.opset} and {g.opset}; the sum of two models needs one opset"
        )
    model = f.model.clone()
    graph = model.graph
    values = {v.name: v for v in (*graph.inputs, *(o for node in graph for o in node.outputs))}
    for domain, version in g.model.graph.opset_imports.items():
        graph.opset_imports.setdefault(domain, version)
    one = values[output]
    two = _copied(graph, g)[other] if copied else values[other]
    op = Ops(graph, f.opset, scope="axiom/summed")
    length = facts.static_dim(one, 1) if facts.rank(one) == 2 else None
    if not copied and length is not None:  # one linear layer more, which methods see through
        entries = a * np.eye(length) + b * np.roll(np.eye(length), turn, axis=0)
        total = op.annotate(op.MatMul(one, op.const(entries, one.dtype or ir.DataType.FLOAT)), one)
    else:
        total = op.annotate(op.Add(op.Mul(one, a), op.Mul(_turned(op, two, turn), b)), one)
    graph.outputs[:] = [total]
    one.name, total.name = f"axiom/first/{output}", output
    found = understood(model)
    return Normalized(found.model, f.notes, f"{f.content}+{g.content}", found.gone)


def _turned(op: Ops, value: ir.Value, turn: int) -> ir.Value:
    """Return a value whose entries along axis 1 are taken so many places further on."""
    if not turn:
        return value
    last, axis = np.array([np.iinfo(np.int64).max]), np.array([1])
    parts = [op.Slice(value, np.array([s]), e, axis) for s, e in ((turn, last), (0, np.array([turn])))]
    return op.annotate(op.Concat(*parts, axis=1), value)


def _copied(graph: ir.Graph, g: Normalized) -> dict[str, ir.Value]:
    """Copy another model's nodes to the end of a graph; return its values there, by their names in it."""
    own = {v.name: v for v in graph.inputs}
    here: dict[ir.Value | None, ir.Value | None] = {None: None}
    for value in g.model.graph.inputs:
        if value.uses() and value.name not in own:
            raise MethodError(
                f"the other model takes '{value.name}', which this one does not; the sum of two models needs "
                "the same inputs"
            )
        here[value] = own.get(value.name)
    op = Ops(graph, g.opset, scope="axiom/second")
    for value in g.model.graph.initializers.values():
        tensor = value.const_value
        assert tensor is not None
        stored = ir.Value(
            name=op.fresh("weight"), shape=value.shape, type=value.type, const_value=tensor
        )  # fmt: skip
        graph.register_initializer(stored)
        here[value] = stored
    for node in g.model.graph:
        if any(a.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS) for a in node.attributes.values()):
            raise MethodError(
                f"the other model has {facts.node_label(node)}, whose body cannot be joined with another "
                "model; give one without If, Loop and Scan"
            )
        made = op.clone(node, [here[v] for v in node.inputs])
        here.update(zip(node.outputs, made, strict=True))
    return {v.name: w for v, w in here.items() if v is not None and w is not None and v.name is not None}
