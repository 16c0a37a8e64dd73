"""Models written in another way that compute the same: what should make no difference to an explanation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal, TypeAlias, get_args

import numpy as np
import onnx_ir as ir

from onnxplain._types import Array
from onnxplain.graph import facts
from onnxplain.graph.build import Ops
from onnxplain.graph.normalize import Normalized
from onnxplain.graph.replace import take_place
from onnxplain.graph.traits import Is, operators, traits
from onnxplain.reading import understood

__all__ = ["REWRITINGS", "Rewriting", "rewritten"]

Rewriting: TypeAlias = Literal["halves", "negations", "permutations", "rectifiers", "scales", "signs"]

#: The names of all rewritings.
REWRITINGS: tuple[Rewriting, ...] = get_args(Rewriting)

_CONVS = operators(Is.LAYER | Is.WINDOW)
_LAYERS = _CONVS | {"Gemm", "MatMul"}
#: A power of two: scaling by it rounds nothing.
_SCALE = 4.0


def rewritten(normal: Normalized, rewriting: Rewriting) -> Normalized | None:
    """Return a model that computes the same in another way, or None where there is nothing to rewrite.

    Layers are Conv, ConvTranspose, and Gemm and MatMul of a constant, in the main graph.

    Parameters
    ----------
    normal
        The model; it stays as it is.
    rewriting
        How:

        * ``"halves"``: each layer is the sum of two, which see the first and the second half of its channels;
        * ``"negations"``: each layer has the opposite weights, and what it gives is negated;
        * ``"permutations"``: each layer gives its channels in another order, in which they are then gathered;
        * ``"rectifiers"``: each ``relu(v)`` is ``(v + |v|) / 2``;
        * ``"scales"``: what lies between two layers, where nothing but rectifiers, pooling and the like is,
          is four times as large;
        * ``"signs"``: what each layer gives, v, is ``relu(v) - relu(-v)``.
    """
    model = normal.model.clone()
    graph = model.graph
    op = Ops(graph, normal.opset, scope=f"axiom/{rewriting}")
    wanted = {"Relu"} if rewriting == "rectifiers" else _LAYERS
    changed = False
    for node in list(graph):
        if node.op_type not in wanted or node.domain not in ("", "ai.onnx"):
            continue
        if rewriting != "rectifiers" and not _is_layer(node):
            continue
        op.before = node
        made = _WAYS[rewriting](op, node)
        if made is not None:
            changed = True
            if made is not node.outputs[0]:
                take_place(node.outputs[0], made)
                graph.remove(node, safe=True)
    if not changed:
        return None
    found = understood(model)
    return Normalized(
        found.model, normal.notes, f"{normal.content}/{rewriting}", {**found.gone, **normal.gone}
    )


def _is_layer(node: ir.Node) -> bool:
    weight = facts.constant(node.inputs[1]) if len(node.inputs) > 1 else None
    return weight is not None and weight.dtype.kind == "f" and weight.ndim >= 2


def _halves(op: Ops, node: ir.Node) -> ir.Value | None:
    x, weight, *bias = node.inputs
    w = _content(weight)
    axis = {"Conv": 1, "ConvTranspose": 0, "MatMul": -2}.get(node.op_type, 1 if _transposed(node) else 0)
    length = w.shape[axis]
    first = np.moveaxis(np.zeros(w.shape, bool), axis, -1)
    first[..., : (length + 1) // 2] = True
    mask = np.moveaxis(first, -1, axis)
    parts = (w * mask, w * ~mask) if length > 1 else (w / 2, w / 2)
    ones, others = (op.initializer(p.astype(w.dtype)) for p in parts)
    (one,), (other,) = op.clone(node, [x, ones, *bias]), op.clone(node, [x, others])
    return op.annotate(op.Add(one, other), node.outputs[0])


def _negations(op: Ops, node: ir.Node) -> ir.Value | None:
    x, weight, *bias = node.inputs
    opposite = [None if b is None else op.Neg(b) for b in bias]
    (made,) = op.clone(node, [x, op.initializer(-_content(weight)), *opposite])
    return op.annotate(op.Neg(made), node.outputs[0])


def _permutations(op: Ops, node: ir.Node) -> ir.Value | None:
    x, weight, *bias = node.inputs
    w = _content(weight)
    axis = {"Conv": 0, "ConvTranspose": 1, "MatMul": -1}.get(node.op_type, 0 if _transposed(node) else 1)
    length = w.shape[axis]
    group = node.attributes.get("group")
    row = facts.constant(bias[0]) if bias and bias[0] is not None else np.zeros(1)
    if length < 2 or (group is not None and group.as_int() != 1) or row is None:
        return None
    order = np.random.default_rng(0).permutation(length)
    if (order == np.arange(length)).all():
        order = order[::-1]
    inputs = [x, op.initializer(np.take(w, order, axis))]
    if bias:
        moved = row[..., order] if row.shape[-1:] == (length,) else row
        inputs.append(None if bias[0] is None else op.initializer(moved))
    (made,) = op.clone(node, inputs)
    made = op.Gather(made, np.argsort(order), axis=1 if node.op_type in _CONVS else -1)
    return op.annotate(made, node.outputs[0])


def _rectifiers(op: Ops, node: ir.Node) -> ir.Value | None:
    v = node.inputs[0]
    return op.annotate(op.Mul(op.Add(v, op.Abs(v)), 0.5), node.outputs[0])


def _signs(op: Ops, node: ir.Node) -> ir.Value | None:
    (made,) = op.clone(node, list(node.inputs))
    return op.annotate(op.Sub(op.Relu(made), op.Relu(op.Neg(made))), node.outputs[0])


def _scales(op: Ops, node: ir.Node) -> ir.Value | None:
    """Scale a layer up, in its place, and those behind it down."""
    reached = list(_behind(node.outputs[0]))
    if not reached or any(place is None for place in reached):
        return None
    _, weight, *bias = node.inputs
    node.replace_input_with(1, op.initializer(_scaled(weight, _SCALE)))
    for k, b in enumerate(bias):
        if b is not None:
            node.replace_input_with(2 + k, op.Mul(b, _SCALE))
    for place in dict.fromkeys(reached):
        assert place is not None
        after, position = place
        by = _SCALE if after.op_type == "Add" else 1 / _SCALE
        after.replace_input_with(position, op.initializer(_scaled(after.inputs[position], by)))
    return node.outputs[0]


def _behind(value: ir.Value) -> Iterator[tuple[ir.Node, int] | None]:
    """Find the constants to scale behind a value: biases, and the layers' weights; None where one cannot."""
    if value.is_graph_output():
        yield None
        return
    for node, position in value.uses():
        other = 1 - position
        if node.graph is not _graph_of(value) or node.domain not in ("", "ai.onnx"):
            yield None
        elif node.op_type in _LAYERS and position == 0 and _is_layer(node):
            yield node, 1
        elif node.op_type == "Add" and facts.is_constant(node.inputs[other]):
            yield node, other
            yield from _behind(node.outputs[0])
        elif _passes(node, position):
            yield from _behind(node.outputs[0])
        else:
            yield None


def _graph_of(value: ir.Value) -> ir.Graph | ir.Function | None:
    """Return the graph in which a value is made."""
    node = value.producer()
    return None if node is None else node.graph


def _passes(node: ir.Node, position: int) -> bool:
    """Tell whether a node's output is as many times larger as one of its inputs is."""
    known = traits(node)
    others = any(len(v.uses()) or v.is_graph_output() for v in node.outputs[1:])
    return known.has(Is.HOMOGENEOUS) and known.data == (position,) and not others


def _scaled(value: ir.Value | None, by: float) -> Array:
    content = _content(value)
    return np.asarray(content * content.dtype.type(by))


def _content(value: ir.Value | None) -> Array:
    found = facts.constant(value)
    assert found is not None  # a layer's weight
    return found


def _transposed(node: ir.Node) -> bool:
    found = node.attributes.get("transB")
    return found is not None and bool(found.as_int())


_WAYS: dict[Rewriting, Callable[[Ops, ir.Node], ir.Value | None]] = {
    "halves": _halves,
    "negations": _negations,
    "permutations": _permutations,
    "rectifiers": _rectifiers,
    "scales": _scales,
    "signs": _signs,
}
