"""The reference input's activations: a second copy of the forward pass in the same graph.

Rules that compare an activation with its value at a reference find that value here.  Whatever does not
depend on what is explained (weights above all), and what depends only on its shape, is shared.
"""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from onnxplain.backward.difference.second_forward import copy_forward, marked_pairs
from onnxplain.backward.emitter import Emitter
from onnxplain.graph import facts

__all__ = ["add_reference", "reference_of", "twins_by_name", "varies", "walk_dtype"]

_MEMO = ("reference",)


def add_reference(op: Emitter, starts: Mapping[ir.Value, ir.Value]) -> dict[ir.Value, ir.Value]:
    """Compute everything that depends on what is explained once more, from the reference.

    Parameters
    ----------
    op
        Writes into the graph; its walk then knows the references.
    starts
        By explained value: its reference.

    Returns
    -------
    dict
        By value that was replaced: the value that took its place (the outputs of If, Loop and Scan, which run
        for input and reference together).
    """
    pairs = dict(starts)
    replaced = copy_forward(op, pairs)
    op.memo[_MEMO] = pairs
    return replaced


def reference_of(op: Emitter, value: ir.Value) -> ir.Value:
    """Return what a value is at the reference: itself, if it is the same there."""
    return _pairs(op).get(value, value)


def varies(op: Emitter, value: ir.Value) -> bool:
    """Tell whether a value is computed once more for the reference."""
    return value in _pairs(op)


def twins_by_name(op: Emitter) -> dict[str, str]:
    """Return the names of all values of the main graph that have a reference, and those of the references."""
    return {str(v.name): str(there.name) for v, there in _pairs(op).items()}


def walk_dtype(op: Emitter) -> ir.DataType:
    """Return the floating-point type of what is compared."""
    kinds = (v.dtype for v in _pairs(op) if v.dtype in facts.FLOATS)
    return next((k for k in kinds if k is not None), ir.DataType.FLOAT)


def _pairs(op: Emitter) -> dict[ir.Value, ir.Value]:
    """Return the references of a graph's values; in bodies they are found by their marks."""
    found: dict[ir.Value, ir.Value] = op.once(_MEMO, lambda: marked_pairs(op.graph))
    return found
