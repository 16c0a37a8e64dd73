"""Constant folding's calculator: one operator on NumPy arrays, by the ONNX reference evaluator."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import onnx
import onnx_ir as ir
from onnx.reference import ReferenceEvaluator

from onnxplain._types import Array

__all__ = ["FOLDABLE_BYTES", "evaluate", "is_pure"]

#: Results larger than this are folded only if they are no larger than the operands.
FOLDABLE_BYTES = 1 << 20

_IMPURE = frozenset(
    {
        "Bernoulli",
        "Dropout",
        "Multinomial",
        "RandomNormal",
        "RandomNormalLike",
        "RandomUniform",
        "RandomUniformLike",
    }
)


def is_pure(node: ir.Node) -> bool:
    """Tell whether a node may be computed ahead of time: standard, deterministic, without a body."""
    if node.domain not in ("", "ai.onnx") or node.op_type in _IMPURE:
        return False
    return not any(
        a.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS) for a in node.attributes.values()
    )


def evaluate(node: ir.Node, inputs: Sequence[Array | None], opset: int) -> list[Array] | None:
    """Compute one node on constants.

    Parameters
    ----------
    node
        A pure node of the standard domain.
    inputs
        One array per input, None for an omitted one.
    opset
        Version of the standard that gives the node its meaning.

    Returns
    -------
    list of arrays, one per output, or None if the evaluator cannot compute it, or if the result would
    be too large to be worth storing.
    """
    names = [f"i{k}" if a is not None else "" for k, a in enumerate(inputs)]
    proto = ir.to_proto(node)
    assert isinstance(proto, onnx.NodeProto)
    del proto.input[:], proto.output[:]
    proto.input.extend(names)
    proto.output.extend(f"o{k}" for k in range(len(node.outputs)))
    proto.domain = ""
    graph = onnx.helper.make_graph([proto], "constant", [], [])
    graph.output.extend(onnx.ValueInfoProto(name=name) for name in proto.output)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
    feeds = {name: a for name, a in zip(names, inputs, strict=True) if a is not None}
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            results = ReferenceEvaluator(model).run(None, feeds)
    except Exception:  # the evaluator raises whatever its operator raises; the node then simply stays
        return None
    if not all(isinstance(r, (np.ndarray, np.generic)) for r in results):
        return None
    arrays = [np.asarray(r) for r in results]
    size = sum(a.nbytes for a in arrays)
    if size > max(FOLDABLE_BYTES, 2 * sum(a.nbytes for a in feeds.values())):
        return None
    return arrays
