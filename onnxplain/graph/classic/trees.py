"""Ensembles of trees: what is done to their scores in the end, written out behind them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import onnx_ir as ir

from onnxplain.errors import OnnxplainError
from onnxplain.graph import facts
from onnxplain.graph.classic.linear import two_columns
from onnxplain.graph.decomposition import CLASSIC, classic, whole
from onnxplain.graph.trees import OPERATORS, Ensemble, parse
from onnxplain.graph.writer import NotDecomposedError, Writer

__all__ = ["give_shapes", "is_ensemble", "scores_of", "without_lists"]

_CLASSIFIER = "TreeEnsembleClassifier"
_LISTS = ("nodes_", "class_", "target_", "leaf_")
_LIST_TYPES = (ir.AttributeType.INTS, ir.AttributeType.FLOATS, ir.AttributeType.STRINGS)
_SINGLE = 2  # classes of which one score tells both


def is_ensemble(node: ir.Node) -> bool:
    """Tell whether a node is an ensemble of trees."""
    return node.domain == CLASSIC and node.op_type in OPERATORS


def scores_of(node: ir.Node) -> ir.Value:
    """Return the scores that an ensemble gives."""
    return node.outputs[1 if node.op_type == _CLASSIFIER else 0]


@classic(_CLASSIFIER)
def classifier(op: Writer, node: ir.Node) -> Sequence[ir.Value | None]:
    """Labels, by the operator itself; scores, by one without the last step, and then that step."""
    ensemble = _with_last_step(node)
    ids, base = facts.attr(node, "class_ids", ()), facts.attr(node, "base_values", ())
    assert isinstance(ids, tuple)
    assert isinstance(base, tuple)
    single = bool(ensemble.pair)
    if len(ensemble.labels) == _SINGLE and (len(base) > single or (single and len(set(ids)) > 1)):
        raise NotDecomposedError("it has base values for two classes")
    attributes: list[ir.Attr] = [ir.AttrInt64("n_targets", ensemble.n_scores)]
    for name, attribute in node.attributes.items():
        if name.startswith(("nodes_", "base_values")):
            attributes.append(attribute)
        elif name == "class_ids" and single:
            attributes.append(ir.AttrInt64s("target_ids", [0] * len(ids)))
        elif name.startswith("class_"):
            renamed = name.replace("class_", "target_", 1)
            attributes.append(ir.Attr(renamed, attribute.type, attribute.value))
    (scores,) = _plain(op, node, "TreeEnsembleRegressor", attributes)
    label = None
    if node.outputs[0].uses() or node.outputs[0].is_graph_output():
        kept = [a for name, a in node.attributes.items() if name != "post_transform"]
        label, _ = _plain(op, node, _CLASSIFIER, kept)
        label.type = node.outputs[0].type
    kind = ensemble.post_transform
    return [label, two_columns(op, scores, kind) if single else _closed(op, scores, kind)]


@classic("TreeEnsembleRegressor", "TreeEnsemble")
def regressor(op: Writer, node: ir.Node) -> Sequence[ir.Value | None]:
    """Scores without the last step, and then that step."""
    ensemble = _with_last_step(node)
    kept = [a for name, a in node.attributes.items() if name != "post_transform"]
    (scores,) = _plain(op, node, node.op_type, kept)
    return [_closed(op, scores, ensemble.post_transform)]


def _with_last_step(node: ir.Node) -> Ensemble:
    """Return an ensemble that ends in a step that can be written out."""
    plain = facts.attr(node, "post_transform", "NONE") in ("NONE", 0)
    try:
        ensemble = None if plain else parse(node)
    except OnnxplainError as error:  # what is wrong, explaining it will say
        raise NotDecomposedError(str(error)) from None
    if ensemble is None or ensemble.post_transform not in ("SOFTMAX", "LOGISTIC"):
        raise NotDecomposedError("trees are constant between their thresholds")
    return ensemble


def _plain(op: Writer, node: ir.Node, op_type: str, attributes: list[ir.Attr]) -> Sequence[Any]:
    """Write an ensemble of the same trees."""
    count = len(node.outputs) if op_type == node.op_type else 1
    made = ir.Node(CLASSIC, op_type, node.inputs, attributes, num_outputs=count, name=op.fresh(op_type))
    for k, output in enumerate(made.outputs):
        output.name = made.name if count == 1 else f"{made.name}.{k}"
    op.graph.insert_before(node, made)
    give_shapes(made)
    return made.outputs


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
        scores.shape, new = ir.Shape([first, _width(node)]), True
    label = node.outputs[0]
    if label is not scores and label.shape is None:
        label.shape, new = ir.Shape([first]), True
    return new


@contextmanager
def without_lists(nodes: Sequence[ir.Node]) -> Iterator[None]:
    """Set the lists that describe trees aside: no shape depends on them, and they may be very long."""
    kept = {node: dict(node.attributes) for node in nodes}
    try:
        for node, attributes in kept.items():
            for name, attribute in attributes.items():
                if name.startswith(_LISTS) and attribute.type in _LIST_TYPES:
                    node.attributes.pop(name)
        yield
    finally:
        for node, attributes in kept.items():
            node.attributes.clear()
            node.attributes.update(attributes)


def _width(node: ir.Node) -> int:
    """Return the number of columns that an ensemble gives."""
    if node.op_type != _CLASSIFIER:
        return whole(node, "n_targets", 1)
    found = [facts.attr(node, name, ()) for name in ("classlabels_int64s", "classlabels_strings")]
    return max(len(names) for names in found if isinstance(names, tuple))
