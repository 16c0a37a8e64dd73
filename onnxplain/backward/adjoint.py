"""A model and its vector-Jacobian product in one graph: the plainest use of the engine."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

import onnxplain.backward.ops  # noqa: F401  (fills the table)
from onnxplain.backward.emitter import Emitter
from onnxplain.backward.engine import backward
from onnxplain.backward.registry import lookup

__all__ = ["SEED_PREFIX", "add_adjoint", "needs_body"]

#: Prefix of the inputs through which the gradient of an output comes in.
SEED_PREFIX = "seed/"


def needs_body(node: ir.Node) -> bool:
    """Say of a node that it has no rule here, so that its function body should take its place."""
    return lookup(node) is None


def add_adjoint(
    model: ir.Model,
    outputs: Sequence[str],
    wrt: Sequence[str],
    *,
    opset: int,
) -> ir.Model:
    """Return a copy of a normalised model that also computes ``J^T seed``.

    Parameters
    ----------
    model
        A model in normal form; left unchanged.
    outputs
        Names of the outputs to walk back from; each gets a new input ``seed/<name>`` of its shape.
    wrt
        Names of inputs.
    opset
        Version of the standard in which to write.

    Returns
    -------
    ir.Model
        Outputs: those asked for, then one gradient per name of ``wrt``.
    """
    made = model.clone()
    graph = made.graph
    by_name = {v.name: v for v in (*graph.inputs, *graph.outputs)}
    chosen = [by_name[name] for name in outputs]
    seeds = {}
    for value in chosen:
        seed = ir.Value(name=f"{SEED_PREFIX}{value.name}", type=value.type, shape=value.shape)
        graph.inputs.append(seed)
        seeds[value] = seed
    op = Emitter(graph, opset, scope="adjoint")
    gradients = backward(op, seeds, [by_name[name] for name in wrt])
    graph.outputs.clear()
    graph.outputs.extend([*chosen, *(op.Identity(gradients[by_name[name]]) for name in wrt)])
    return made
