"""Linear models, and how models of classical machine learning end: scores, two columns, labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from onnxplain._types import Array
from onnxplain.graph import facts
from onnxplain.graph.classic.features import as_float, as_rows
from onnxplain.graph.decomposition import classic, numbers, whole
from onnxplain.graph.writer import NotDecomposedError, Writer

__all__ = ["class_count", "label_of", "one_label", "post_transform", "transformed", "two_columns"]


def post_transform(node: ir.Node) -> str:
    """Return what is done to the scores in the end."""
    found = str(facts.attr(node, "post_transform", "NONE"))
    if found not in ("NONE", "SOFTMAX", "LOGISTIC"):
        raise NotDecomposedError(
            f"its post_transform is '{found}'; NONE, SOFTMAX and LOGISTIC are written out"
        )
    return found


def transformed(op: Writer, scores: Any, kind: str) -> Any:
    """Apply the last step to two columns or more; onnxruntime leaves a single one as it is."""
    if kind == "NONE" or facts.static_dim(scores, 1) == 1:
        return scores
    return op.Softmax(scores, axis=-1) if kind == "SOFTMAX" else op.Sigmoid(scores)


def two_columns(op: Writer, score: Any, kind: str, *, symmetric: bool = False) -> Any:
    """Write the score of two classes, (N, 1), as onnxruntime does: one column for each.

    LOGISTIC gives probabilities; otherwise the first is ``1 - score``, or ``-score`` if symmetric.
    """
    if kind == "LOGISTIC":
        return op.Sigmoid(op.Concat(op.Neg(score), score, axis=1))
    other = op.Neg(score) if symmetric else op.Sub(np.ones((), np.float32), score)
    return op.Concat(other, score, axis=1)


def class_count(node: ir.Node) -> int:
    """Return the number of classes."""
    return len(_labels(node))


def label_of(op: Writer, node: ir.Node, scores: Any) -> Any:
    """Return the label of the largest score in each row, None if nobody reads it."""
    return _looked_up(op, node, lambda: op.ArgMax(scores, axis=1, keepdims=0))


def one_label(op: Writer, node: ir.Node, score: Any) -> Any:
    """Return the second label where the only score, (N, 1), is positive, else the first."""

    def positive() -> Any:
        return op.Squeeze(op.Cast(op.Greater(score, 0.0), to=int(ir.DataType.INT64)), [1])

    return _looked_up(op, node, positive)


def _looked_up(op: Writer, node: ir.Node, index: Any) -> Any:
    if not node.outputs[0].uses() and not node.outputs[0].is_graph_output():
        return None
    labels = _labels(node)
    name = op.fresh("labels")
    if isinstance(labels, np.ndarray):
        table = op.initializer(labels, name)
    else:
        tensor = ir.tensor(labels, name=name)
        table = ir.Value(
            name=name, shape=ir.Shape([len(labels)]), type=ir.TensorType(tensor.dtype), const_value=tensor
        )
        op.graph.register_initializer(table)
    return op.Gather(table, index(), axis=0)


def _labels(node: ir.Node) -> Array | list[str]:
    texts = facts.attr(node, "classlabels_strings", ())
    assert isinstance(texts, tuple)
    if texts:
        return [str(text) for text in texts]
    found = np.asarray(facts.attr(node, "classlabels_ints", ()), np.int64)
    if not found.size:
        raise NotDecomposedError("it names no classes")
    return found


def _linear(op: Writer, x: Any, weight: Array, bias: Array) -> Any:
    """``x W^T + b``."""
    return op.Gemm(x, weight, bias if bias.size else None, transB=1)


@classic("LinearRegressor")
def linear_regressor(op: Writer, node: ir.Node) -> Sequence[ir.Value | None]:
    """``x W^T + b``."""
    kind, weight = post_transform(node), numbers(node, "coefficients")
    x = as_rows(op, as_float(op, node.inputs[0]))
    scores = _linear(op, x, weight.reshape(whole(node, "targets", 1), -1), numbers(node, "intercepts"))
    return [transformed(op, scores, kind)]


@classic("LinearClassifier")
def linear_classifier(op: Writer, node: ir.Node) -> Sequence[ir.Value | None]:
    """Labels, and ``x W^T + b`` after the last step."""
    kind, bias = post_transform(node), numbers(node, "intercepts")
    count = class_count(node)
    if bias.size not in (1, count) or (bias.size == 1 and count != 2):
        raise NotDecomposedError(f"it has {count} classes but {bias.size} intercepts")
    x = as_rows(op, as_float(op, node.inputs[0]))
    scores = _linear(op, x, numbers(node, "coefficients").reshape(bias.size, -1), bias)
    if bias.size == 1:
        return [one_label(op, node, scores), two_columns(op, scores, kind)]
    return [label_of(op, node, scores), transformed(op, scores, kind)]
