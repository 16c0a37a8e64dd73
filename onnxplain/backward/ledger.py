"""How much of what arrives each node keeps: where relevance goes that no input gets."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir

from onnxplain.backward.emitter import Emitter

__all__ = ["kept_by_node"]


def kept_by_node(op: Emitter) -> list[tuple[str, ir.Value]]:
    """Write, for each node that the walk went through, what arrived less what was handed on, as scalars.

    Parameters
    ----------
    op
        The emitter of the walk, with its ledger filled.

    Returns
    -------
    list of (str, ir.Value)
        "operator name" of the node, and the scalar, in the order of the walk; a node inside a body counts
        towards the node that the body is of.
    """
    rows = []
    for node, arrived, handed_on in op.ledger or []:
        kept = _total(op, arrived)
        if handed_on:
            kept = op.Sub(kept, op.cast_like(_total(op, handed_on), kept))  # a Cast changes the type
        rows.append((f"{node.op_type} {node.name}", kept))
    return rows


def _total(op: Emitter, values: list[ir.Value]) -> Any:
    sums = [op.ReduceSum(v, keepdims=0) for v in values]
    return sums[0] if len(sums) == 1 else op.Sum(*sums)
