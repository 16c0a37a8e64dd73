"""Ensembles of trees: what is done to their scores in the end, written out behind them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx_ir as ir

from onnxplain.graph import facts
from onnxplain.graph.classic.linear import two_columns
from onnxplain.graph.decomposition import CLASSIC, classic, whole
from onnxplain.graph.writer import NotDecomposedError, Writer

__all__ = ["ENSEMBLES", "give_shapes", "scores_of", "width"]

#: Operators that are ensembles of trees.
ENSEMBLES = frozenset({"TreeEnsemble", "TreeEnsembleClassifier", "TreeEnsembleRegressor"})

_KINDS = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")
_NO_SLOPE = "trees have no slope; tree_shap explains them"


def width(node: ir.Node) -> int:
    """Return the number of scores that an ensemble gives for each row."""
    classes = "classlabels_int64s", "classlabels_strings"
    found = [facts.attr(node, name, ()) for name in classes]
    count = max(len(names) for names in found if isinstance(names, tuple))
    return max(count, 2) if node.op_type == "TreeEnsembleClassifier" else whole(node, "n_targets", 1)


def scores_of(node: ir.Node) -> ir.Value:
    """Return the scores that an ensemble gives."""
    return node.outputs[1 if node.op_type == "TreeEnsembleClassifier" else 0]


@classic("TreeEnsembleClassifier")
def classifier(op: Writer, node: ir.Node) -> Sequence[ir.Value | None]:
    """Labels, by the operator itself; scores, by one without the last step, and then that step."""
    kind = _last_step(node)
    names = facts.attr(node, "classlabels_strings", ()) or facts.attr(node, "classlabels_int64s", ())
    ids = facts.attr(node, "class_ids", ())
    assert isinstance(names, tuple)
    assert isinstance(ids, tuple)
    single = len(names) == 2 and len(set(ids)) == 1  # one weight in each leaf: the score of the second class
    if kind == "NONE" or (single and kind != "LOGISTIC") or len(names) < 2:
        raise NotDecomposedError(_NO_SLOPE)
    attributes: list[ir.Attr] = [ir.AttrInt64("n_targets", 1 if single else len(names))]
    for name, attribute in node.attributes.items():
        if name.startswith(("nodes_", "base_values", "aggregate")):
            attributes.append(attribute)
        elif name == "class_ids" and single:
            attributes.append(ir.AttrInt64s("target_ids", [0] * len(ids)))
        elif name.startswith("class_"):
            renamed = name.replace("class_", "target_", 1)
            attributes.append(ir.Attr(renamed, attribute.type, attribute.value))
    base = facts.attr(node, "base_values", ())
    assert isinstance(base, tuple)
    if len(base) not in (0, 1 if single else len(names)):
        raise NotDecomposedError(f"it has {len(base)} base values for {len(names)} classes")
    scores = _plain(op, node, "TreeEnsembleRegressor", attributes)
    label = None
    if node.outputs[0].uses() or node.outputs[0].is_graph_output():
        label = _plain(op, node, node.op_type, list(node.attributes.values()), outputs=2)
    return [label, two_columns(op, scores, kind) if single else _closed(op, scores, kind)]


@classic("TreeEnsembleRegressor", "TreeEnsemble")
def regressor(op: Writer, node: ir.Node) -> Sequence[ir.Value | None]:
    """Scores without the last step, and then that step, which onnxruntime leaves out for a single score."""
    kind = _last_step(node)
    if kind == "NONE":
        raise NotDecomposedError(_NO_SLOPE)
    kept = [a for name, a in node.attributes.items() if name != "post_transform"]
    scores = _plain(op, node, node.op_type, kept)
    return [scores if width(node) == 1 else _closed(op, scores, kind)]


def _last_step(node: ir.Node) -> str:
    found = facts.attr(node, "post_transform", "NONE")
    kind = _KINDS[found] if isinstance(found, int) and found < len(_KINDS) else str(found)
    if kind not in ("NONE", "SOFTMAX", "LOGISTIC") and (kind == "PROBIT" or width(node) > 1):
        raise NotDecomposedError(
            f"its post_transform is '{kind}'; NONE, SOFTMAX and LOGISTIC are written out"
        )
    return kind


def _plain(op: Writer, node: ir.Node, op_type: str, attributes: list[ir.Attr], outputs: int = 1) -> Any:
    """Write an ensemble of the same trees."""
    made = ir.node(op_type, node.inputs, domain=CLASSIC, num_outputs=outputs, name=op.fresh(op_type))
    for attribute in attributes:
        made.attributes[attribute.name] = attribute
    for k, output in enumerate(made.outputs):
        output.name = f"{made.name}.{k}" if outputs > 1 else made.name
        output.type = node.outputs[k].type if outputs > 1 else ir.TensorType(ir.DataType.FLOAT)
    op.graph.insert_before(node, made)
    give_shapes(made)
    return made.outputs[0]


def _closed(op: Writer, scores: Any, kind: str) -> Any:
    return op.Softmax(scores, axis=-1) if kind == "SOFTMAX" else op.Sigmoid(scores)


def give_shapes(node: ir.Node) -> bool:
    """State dtype and shape of an ensemble's outputs, which ONNX does not; tell whether any was new."""
    x, scores = node.inputs[0], scores_of(node)
    rows = None if x is None or facts.rank(x) != 2 else facts.dims(x)
    first = rows[0] if rows else None
    new = False
    if scores.dtype is None:
        double = node.op_type == "TreeEnsemble" and x is not None and x.dtype == ir.DataType.DOUBLE
        scores.type, new = ir.TensorType(ir.DataType.DOUBLE if double else ir.DataType.FLOAT), True
    dims = facts.dims(scores)
    if dims is None or len(dims) != 2 or dims[1] is None or (dims[0] is None and first is not None):
        scores.shape, new = ir.Shape([first, width(node)]), True
    label = node.outputs[0]
    if label is not scores and label.shape is None:
        label.shape, new = ir.Shape([first]), True
    return new
