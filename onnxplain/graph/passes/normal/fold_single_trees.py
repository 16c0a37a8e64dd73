"""Write what is computed of a single tree's answer as a tree: the same nodes, other numbers at the leaves.

Isolation forests look up a path's length by the leaf that was reached, boosted classifiers count the class
that each tree votes for, and forests of several outputs look up shares.  None of that is linear in what the
tree says, but a tree has few leaves: whatever is made of its answer alone is one number (or row) per leaf,
and a sum over many trees is again a sum of trees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort

from onnxplain._types import Array
from onnxplain.graph import facts
from onnxplain.graph.batch import Batch, analyse
from onnxplain.graph.decomposition import CLASSIC
from onnxplain.graph.evaluate import is_pure
from onnxplain.graph.traits import Is, is_a, traits
from onnxplain.graph.writer import Writer

__all__ = ["FoldSingleTrees"]

_REGRESSOR, _CLASSIFIER = "TreeEnsembleRegressor", "TreeEnsembleClassifier"
#: Operators beyond the standard's that are functions of the elements alone.
_PURE = ("ArrayFeatureExtractor", "LabelEncoder")
#: Operators that leave a sum of trees one, and need no tree of their own.
_LINEAR = ("Add", "Sub", "Sum", "Mean", "Neg", "Identity", "Div", "Mul", "MatMul", "Gemm")
_LISTS = ("nodes_treeids", "nodes_nodeids", "nodes_modes", "nodes_values")
#: Numbers that the leaves of one tree may hold.
_MOST = 1 << 20


class FoldSingleTrees(ir.passes.InPlacePass):
    """Replace values that meet others, and that one tree alone made in a way that is not linear."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Run the pass."""
        modified = False
        for tree, made in _made_of(model.graph).items():
            modified |= _fold(model.graph, tree, made)
        return ir.passes.PassResult(model, modified)


@dataclass
class _Made:
    """What is computed of one tree alone: the nodes, and whether all behind each value is linear."""

    nodes: dict[ir.Node, None]
    linear: dict[ir.Value, bool]


def _one_tree(node: ir.Node) -> bool:
    """Tell whether a node is one tree with plain lists of numbers."""
    named = all(isinstance(facts.attr(node, name), tuple) for name in _LISTS)
    return named and len(set(_numbers(node, "nodes_treeids"))) == 1


def _made_of(graph: ir.Graph) -> dict[ir.Node, _Made]:
    """Return what is made of each single tree alone."""
    found: dict[ir.Node, _Made] = {}
    source: dict[ir.Value, ir.Node] = {}
    for node in graph:
        if node.domain == CLASSIC and node.op_type in (_REGRESSOR, _CLASSIFIER) and _one_tree(node):
            found[node] = _Made({}, dict.fromkeys(node.outputs, True))
            source |= dict.fromkeys(node.outputs, node)
            continue
        inputs = [v for v in node.inputs if v is not None and not facts.is_constant(v)]
        trees = {source.get(v) for v in inputs}
        tree = trees.pop() if len(trees) == 1 else None
        if tree is not None and _pure(node) and not is_a(node, Is.SHAPE_ONLY):
            made = found[tree]
            made.nodes[node] = None
            linear = _linear(node) and all(made.linear[v] for v in inputs)
            made.linear |= dict.fromkeys(node.outputs, linear)
            source |= dict.fromkeys(node.outputs, tree)
    return found


def _fold(graph: ir.Graph, tree: ir.Node, made: _Made) -> bool:
    """Replace what others take of what is made of a tree alone; tell whether anything was."""
    wanted = [
        value
        for value, linear in made.linear.items()
        if not linear
        and value.dtype == ir.DataType.FLOAT
        and any(node not in made.nodes for node, _ in value.uses())
    ]
    leaves = _leaves(tree) if wanted else None
    if leaves is None:
        return False
    found = _by_leaf(graph, tree, list(made.nodes), wanted, leaves)
    for value, (by_leaf, axis) in found.items():
        new = _replace(graph, tree, value, by_leaf, axis, leaves)
        for node, position in tuple(value.uses()):
            if node not in made.nodes:
                node.replace_input_with(position, new)
    return bool(found)


def _pure(node: ir.Node) -> bool:
    return is_pure(node) or (node.domain == CLASSIC and node.op_type in _PURE)


def _linear(node: ir.Node) -> bool:
    if node.domain not in ("", "ai.onnx"):
        return False
    varied = [k for k, v in enumerate(node.inputs) if v is not None and not facts.is_constant(v)]
    if not all(facts.is_float(v) for v in node.outputs) or not all(traits(node).holds(k) for k in varied):
        return False
    moves = is_a(node, Is.MOVES) and not is_a(node, Is.PICKS | Is.CASTS)
    return moves or is_a(node, Is.AVERAGES) or (node.op_type in _LINEAR and len(varied) == 1)


def _leaves(tree: ir.Node) -> list[int] | None:
    """Return the numbers of a tree's leaves; None if they are not known by them."""
    ids, *others = (_numbers(tree, name) for name in _LISTS[1:])
    if any(len(other) != len(ids) for other in others) or len(set(ids)) < len(ids):
        return None
    return [int(k) for k, mode in zip(ids, others[0], strict=True) if mode == "LEAF"] or None


def _by_leaf(
    graph: ir.Graph, tree: ir.Node, made: Sequence[ir.Node], wanted: Sequence[ir.Value], leaves: list[int]
) -> dict[ir.Value, tuple[Array, int]]:
    """Compute values for each leaf, by onnxruntime; return them with the axis along which the leaves lie.

    What does not keep rows apart, or holds too many numbers, is left out.
    """
    needed = _needed(made, wanted)
    constants = {v for node in needed for v in node.inputs if v is not None and facts.is_constant(v)}
    proto = onnx.helper.make_graph(
        [_chooser(tree, leaves), *(ir.to_proto(node) for node in needed)],
        "leaves",
        [onnx.helper.make_tensor_value_info("leaf", onnx.TensorProto.FLOAT, ["N", 1])],
        [onnx.helper.make_tensor_value_info(str(v.name), onnx.TensorProto.FLOAT, None) for v in wanted],
        [onnx.numpy_helper.from_array(_content(v), str(v.name)) for v in constants],
        value_info=[
            onnx.helper.make_tensor_value_info(str(v.name), int(v.dtype), None)
            for node in (tree, *needed)
            for v in node.outputs
            if v.dtype is not None and v not in wanted
        ],
    )
    imports = [onnx.helper.make_opsetid(name, version) for name, version in graph.opset_imports.items()]
    model = onnx.helper.make_model(proto, opset_imports=imports, ir_version=min(onnx.IR_VERSION, 10))
    rows = np.arange(len(leaves), dtype=np.float32)[:, None]
    read, found = ir.from_proto(model), {}
    for value in wanted:
        name = str(value.name)
        proven = analyse(read, {"leaf": 0}, {"leaf": rows.shape}, outputs=(name,))
        axis = proven.axes.get(name) if isinstance(proven, Batch) else None
        if axis is not None:
            found[value] = name, axis
    if not found:
        return {}
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = ort.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
        arrays = session.run([name for name, _ in found.values()], {"leaf": rows})
    except Exception:  # onnxruntime raises many kinds; what does not run stays as it is
        return {}
    pairs = zip(found.items(), arrays, strict=True)
    return {v: (a, axis) for (v, (_, axis)), a in pairs if a.size <= _MOST and np.isfinite(a).all()}


def _needed(made: Sequence[ir.Node], wanted: Sequence[ir.Value]) -> list[ir.Node]:
    """Return the nodes that some values are computed by, in order."""
    values, needed = set(wanted), []
    for node in reversed(made):
        if any(v in values for v in node.outputs):
            values.update(v for v in node.inputs if v is not None)
            needed.append(node)
    return needed[::-1]


def _content(value: ir.Value) -> Array:
    array = facts.constant(value)
    assert array is not None
    return array


def _chooser(tree: ir.Node, leaves: list[int]) -> onnx.NodeProto:
    """Return a tree with the same leaves that comes to leaf k where its only column is k."""
    rows: list[tuple[int, str, float, int, int]] = []
    free = iter(range(len(leaves), 2 * len(leaves)))
    held = dict(zip(_numbers(tree, "nodes_nodeids"), _numbers(tree, "nodes_values"), strict=True))

    def write(low: int, high: int) -> int:
        if high - low == 1:
            rows.append((low, "LEAF", held[leaves[low]], 0, 0))
            return low
        middle, here, at = (low + high) // 2, next(free), len(rows)
        rows.append((here, "", 0.0, 0, 0))
        rows[at] = here, "BRANCH_LEQ", middle - 0.5, write(low, middle), write(middle, high)
        return here

    write(0, len(leaves))
    ids, modes, values, true, false = zip(*rows, strict=True)
    attributes: dict[str, Any] = {
        "nodes_treeids": [0] * len(rows), "nodes_nodeids": ids, "nodes_featureids": [0] * len(rows),
        "nodes_modes": modes, "nodes_values": values, "nodes_truenodeids": true, "nodes_falsenodeids": false,
    }  # fmt: skip
    kind = "class_" if tree.op_type == _CLASSIFIER else "target_"
    place = {leaf: k for k, leaf in enumerate(leaves)}
    at = _numbers(tree, f"{kind}nodeids")
    votes = [k for k, leaf in enumerate(at) if leaf in place]  # inner nodes' count nothing
    attributes[f"{kind}treeids"] = [0] * len(votes)
    attributes[f"{kind}nodeids"] = [place[at[k]] for k in votes]
    for name in ("ids", "weights"):
        given = _numbers(tree, f"{kind}{name}")
        attributes[f"{kind}{name}"] = [given[k] for k in votes]
    proto = ir.to_proto(tree)
    assert isinstance(proto, onnx.NodeProto)
    made = onnx.helper.make_node(tree.op_type, ["leaf"], list(proto.output), domain=CLASSIC, **attributes)
    made.attribute.extend(a for a in proto.attribute if not a.name.startswith(("nodes_", kind)))
    return made


def _numbers(tree: ir.Node, name: str) -> tuple[Any, ...]:
    found = facts.attr(tree, name, ())
    assert isinstance(found, tuple)
    return found


def _replace(
    graph: ir.Graph, tree: ir.Node, value: ir.Value, by_leaf: Array, axis: int, leaves: list[int]
) -> ir.Value:
    """Let a tree of its own give a value to those that wait for others too; return what it gives."""
    rows = np.moveaxis(by_leaf, axis, 0)
    weights = rows.reshape(len(leaves), -1)
    width = weights.shape[1]
    attributes: list[ir.Attr] = [
        *(a for name, a in tree.attributes.items() if name.startswith("nodes_")),
        ir.AttrInt64("n_targets", width),
        ir.AttrInt64s("target_treeids", [_numbers(tree, "nodes_treeids")[0]] * weights.size),
        ir.AttrInt64s("target_nodeids", np.repeat(leaves, width).tolist()),
        ir.AttrInt64s("target_ids", list(range(width)) * len(leaves)),
        ir.AttrFloat32s("target_weights", weights.ravel().tolist()),
    ]
    op = Writer(graph, graph.opset_imports.get("", 18), f"{value.name}/leaves")
    op.before = tree
    made = ir.Node(CLASSIC, _REGRESSOR, tree.inputs, attributes, name=op.fresh(_REGRESSOR))
    scores = made.outputs[0]
    scores.name, scores.type = made.name, ir.TensorType(ir.DataType.FLOAT)
    dims = None if tree.inputs[0] is None else facts.dims(tree.inputs[0])
    scores.shape = ir.Shape([dims[0] if dims else None, width])
    graph.insert_before(tree, made)
    new = scores if rows.shape == weights.shape else op.Reshape(scores, [-1, *rows.shape[1:]])
    if axis:
        new = op.Transpose(new, perm=[*range(1, axis + 1), 0, *range(axis + 1, rows.ndim)])
    return op.annotate(new, value)
