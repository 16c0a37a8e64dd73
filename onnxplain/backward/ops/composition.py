"""Operators that are differentiated as compositions of simpler ones."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import onnx_ir as ir

from onnxplain.backward.emitter import Emitter
from onnxplain.backward.engine import backward, between
from onnxplain.backward.registry import Category, Entry, gradient
from onnxplain.backward.view import NodeView
from onnxplain.graph import facts
from onnxplain.graph.infer import infer_node

__all__ = ["composed", "differentiate"]


def differentiate(
    op: Emitter,
    inputs: Sequence[ir.Value | None],
    gradients: Sequence[ir.Value | None],
    forward: Callable[..., Any],
) -> Sequence[Entry]:
    """Write a forward pass with simpler operators, and walk back through those.

    Parameters
    ----------
    op
        Where to write.
    inputs
        What the forward pass takes; None for what is left out.
    gradients
        One per output of the forward pass.
    forward
        Writes it: one argument per input; returns a value, or a tuple of them.
    """

    def entry(k: int) -> ir.Value | None:
        # Copies, so that the walk cannot leave: one input may depend on another.
        copies = [i if i is None or facts.is_constant(i) else op.annotate(op.Identity(i), i) for i in inputs]
        start = len(op.graph)
        made = forward(*copies)
        for node in op.graph[start:]:
            if any(facts.rank(o) is None or o.dtype is None for o in node.outputs):
                infer_node(node, op.opset)
        outputs = made if isinstance(made, tuple) else (made,)
        seeds = {o: g for o, g in zip(outputs, gradients, strict=False) if g is not None}
        copy = copies[k]
        if copy is None or not between(op.graph, seeds, [copy])[0]:
            return None
        found: ir.Value = backward(op, seeds, [copy])[copy]
        return found

    return [functools.partial(entry, k) for k in range(len(inputs))]


def composed(op_type: str, category: Category) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register an operator by a forward pass in simpler operators: ``forward(op, node, *inputs)``.

    The forward pass may leave an input out that carries no gradient, if ``node`` shows it.
    """

    def register(forward: Callable[..., Any]) -> Callable[..., Any]:
        @gradient(op_type, category, all_outputs=True)
        def vjp(op: Emitter, node: NodeView, *gradients: Any) -> Sequence[Entry]:
            return differentiate(op, node.inputs, gradients, lambda *inputs: forward(op, node, *inputs))

        return forward

    return register
