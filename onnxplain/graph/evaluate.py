"""Constant folding's calculator: one operator on NumPy arrays, with the numbers that onnxruntime gives.

What merely moves numbers, and the few operators whose result no rounding can change, are computed by the ONNX
reference evaluator, which starts faster; everything else by onnxruntime itself, for the two differ (in
Resize, LRN, the indices of MaxPool...).  Where onnxruntime has no kernel, the reference evaluator's
result is all there is, and lets a model run that would not otherwise.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
from onnx.reference import ReferenceEvaluator

from onnxplain._types import Array
from onnxplain.graph.traits import Is, is_a

__all__ = ["FOLDABLE_BYTES", "evaluate", "is_pure"]

#: Results larger than this are folded only if they are no larger than the operands.
FOLDABLE_BYTES = 1 << 20

#: What NumPy and onnxruntime exchange as it is.
_PLAIN = frozenset("bool float16 float32 float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64".split())
_PLAIN_TENSORS = frozenset(
    {"tensor(float)", "tensor(double)"} | {f"tensor({name})" for name in _PLAIN - {"float32", "float64"}}
)


def is_pure(node: ir.Node) -> bool:
    """Tell whether a node may be computed ahead of time: standard, deterministic, without a body."""
    if node.domain not in ("", "ai.onnx") or is_a(node, Is.RANDOM):
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
    list of arrays, one per output, or None if it cannot be computed, or if the result would be too large to
    be worth storing.
    """
    names = [f"i{k}" if a is not None else "" for k, a in enumerate(inputs)]
    feeds = {name: np.asarray(a) for name, a in zip(names, inputs, strict=True) if a is not None}
    if node.op_type in ("Div", "Mod") and _traps(*feeds.values()):
        return None
    model = _model(node, names, feeds, opset)
    distinct = {id(a): a.nbytes for a in feeds.values()}  # an operand many times over is one array
    limit = max(FOLDABLE_BYTES, 2 * sum(distinct.values()))
    if _may_grow(node, feeds, limit) and _inferred_bytes(model, feeds) > limit:
        return None
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        arrays = None
        if not is_a(node, Is.EXACT) and all(a.dtype.name in _PLAIN for a in feeds.values()):
            arrays = _by_onnxruntime(model, feeds)
        if arrays is None:
            arrays = _by_reference(model, feeds)
    if arrays is None or sum(a.nbytes for a in arrays) > limit:
        return None
    return arrays


def _model(node: ir.Node, names: Sequence[str], feeds: Mapping[str, Array], opset: int) -> onnx.ModelProto:
    proto = ir.to_proto(node)
    assert isinstance(proto, onnx.NodeProto)
    del proto.input[:], proto.output[:]
    proto.input.extend(names)
    proto.output.extend(f"o{k}" for k in range(len(node.outputs)))
    proto.domain = ""
    graph = onnx.helper.make_graph([proto], "constant", [], [])
    for name, array in feeds.items():
        kind = int(ir.DataType.from_numpy(array.dtype)) if array.dtype.kind not in "OU" else 8
        graph.input.append(onnx.helper.make_tensor_value_info(name, kind, array.shape))
    graph.output.extend(onnx.ValueInfoProto(name=name) for name in proto.output)
    imports = [onnx.helper.make_opsetid("", opset)]
    return onnx.helper.make_model(graph, opset_imports=imports, ir_version=min(onnx.IR_VERSION, 10))


def _by_onnxruntime(model: onnx.ModelProto, feeds: Mapping[str, Array]) -> list[Array] | None:
    """Return what onnxruntime makes of a model, or None if it does not take it."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = ort.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
        if not all(o.type in _PLAIN_TENSORS for o in session.get_outputs()):
            return None  # it hands float8 over as whole numbers
        made = session.run(None, {k: np.ascontiguousarray(a).reshape(a.shape) for k, a in feeds.items()})
    except Exception:  # onnxruntime raises many kinds
        return None
    return _as_arrays(made)


def _by_reference(model: onnx.ModelProto, feeds: Mapping[str, Array]) -> list[Array] | None:
    """Return what the reference evaluator makes of a model, or None if it cannot."""
    try:
        return _as_arrays(list(ReferenceEvaluator(model).run(None, dict(feeds))))
    except Exception:  # it raises whatever its operator raises
        return None


def _as_arrays(results: Sequence[Any]) -> list[Array] | None:
    if not all(isinstance(r, (np.ndarray, np.generic)) for r in results):
        return None
    arrays = [np.asarray(r) for r in results]
    return None if any(a.dtype.kind in "OSU" for a in arrays) else arrays  # text stays in the graph


def _traps(a: Array, b: Array) -> bool:
    """Tell whether dividing whole numbers would end the process (by 0; the least number by -1)."""
    if a.dtype.kind not in "iu" or b.dtype.kind not in "iu":
        return False
    return bool(
        (b == 0).any() or (a.dtype.kind == "i" and (b == -1).any() and (a == np.iinfo(a.dtype).min).any())
    )


def _may_grow(node: ir.Node, feeds: Mapping[str, Array], limit: int) -> bool:
    """Tell whether a result may be larger than a limit: by what it does, or by broadcasting."""
    return is_a(node, Is.GROWS) or 8 * math.prod(max(a.size, 1) for a in feeds.values()) > limit


def _inferred_bytes(model: onnx.ModelProto, feeds: Mapping[str, Array]) -> int:
    """Return how large the results will be, as far as ONNX can tell."""
    node, opset = model.graph.node[0], model.opset_import[0].version
    types = {i.name: i.type for i in model.graph.input}
    data = {
        name: onnx.numpy_helper.from_array(array, name)
        for name, array in feeds.items()
        if array.size <= 64 and array.dtype.name in _PLAIN
    }
    schema = onnx.defs.get_schema(node.op_type, opset, "")
    try:
        found = onnx.shape_inference.infer_node_outputs(
            schema, node, types, data, opset_imports=list(model.opset_import)
        )
    except Exception:  # whatever the inference of the operator says; running it will tell
        return 0
    total = 0
    for made in found.values():
        dims = made.tensor_type.shape.dim
        if all(d.HasField("dim_value") for d in dims):
            total += 4 * math.prod(d.dim_value for d in dims)
    return total
