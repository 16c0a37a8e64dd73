"""Support vector machines."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import onnx_ir as ir

from onnxplain._types import Array
from onnxplain.graph import facts
from onnxplain.graph.classic.features import as_float, as_rows
from onnxplain.graph.classic.linear import class_count, label_of, post_transform, transformed, two_columns
from onnxplain.graph.decomposition import classic, numbers, whole
from onnxplain.graph.writer import NotDecomposedError, Writer


def _kernel(op: Writer, node: ir.Node, x: Any, vectors: Array) -> Any:
    """Compare each row with each support vector: (N, C) and (S, C) to (N, S)."""
    kind = str(facts.attr(node, "kernel_type", "LINEAR"))
    gamma, coef0, degree = (float(v) for v in [*numbers(node, "kernel_params"), 0.0, 0.0, 0.0][:3])
    if kind == "RBF":  # by differences: |x|^2 - 2 x v + |v|^2 would lose digits
        apart = op.Sub(op.Unsqueeze(x, [1]), vectors[None])
        return op.Exp(op.Mul(op.ReduceSum(op.Mul(apart, apart), [2], keepdims=0), -gamma))
    product = op.MatMul(x, np.ascontiguousarray(vectors.T))
    if kind == "LINEAR":
        return product
    inner = op.Add(op.Mul(product, gamma), coef0)
    if kind == "POLY":
        return op.Pow(inner, degree)
    if kind == "SIGMOID":
        return op.Tanh(inner)
    raise NotDecomposedError(f"its kernel '{kind}' is unknown")


@classic("SVMRegressor")
def svm_regressor(op: Writer, node: ir.Node) -> Sequence[ir.Value | None]:
    """``k(x, vectors) a + rho``; without support vectors ``x a + rho``."""
    post_transform(node)  # onnxruntime leaves a single score as it is
    x, count = as_rows(op, as_float(op, node.inputs[0])), whole(node, "n_supports", 0)
    if count:
        x = _kernel(op, node, x, numbers(node, "support_vectors").reshape(count, -1))
    score = op.Gemm(x, numbers(node, "coefficients")[:, None], numbers(node, "rho")[:1])
    if whole(node, "one_class", 0):
        inside = op.Cast(op.Greater(score, 0.0), to=int(ir.DataType.FLOAT))
        return [op.Sub(op.Mul(inside, 2.0), 1.0)]
    return [score]


@classic("SVMClassifier")
def svm_classifier(op: Writer, node: ir.Node) -> Sequence[ir.Value | None]:
    """Labels, and one score for each pair of classes; without support vectors one for each class."""
    kind, count = post_transform(node), class_count(node)
    if numbers(node, "prob_a").size:
        raise NotDecomposedError(
            "its probabilities come from an iteration that stops early; export it without probabilities"
        )
    x, weight = as_rows(op, as_float(op, node.inputs[0])), numbers(node, "coefficients")
    sizes = facts.attr(node, "vectors_per_class", ())
    assert isinstance(sizes, tuple)
    if not sizes:
        scores = op.Gemm(x, weight.reshape(count, -1), numbers(node, "rho")[:1], transB=1)
        return [label_of(op, node, scores), transformed(op, scores, kind)]
    vectors = numbers(node, "support_vectors").reshape(sum(sizes), -1)
    against, votes = _pairs(sizes, weight.reshape(count - 1, -1))
    scores = op.Gemm(_kernel(op, node, x, vectors), against, numbers(node, "rho"), transB=1)
    wins = op.Cast(op.Greater(scores, 0.0), to=int(ir.DataType.FLOAT))
    label = label_of(op, node, op.Add(op.MatMul(wins, votes), -votes.clip(max=0).sum(0)))
    if count == 2:
        return [label, two_columns(op, scores, kind, symmetric=kind == "NONE")]
    return [label, transformed(op, scores, kind)]


def _pairs(sizes: Sequence[int], weight: Array) -> tuple[Array, Array]:
    """Return the weights of all support vectors in each duel, (P, S), and who gains by winning it, (P, K).

    A won duel is a vote for its first class; a lost one, worth 0, for the second: ``+1`` and ``-1``.
    """
    ends = np.cumsum([0, *sizes])
    duels = list(combinations(range(len(sizes)), 2))
    against = np.zeros((len(duels), ends[-1]), np.float32)
    votes = np.zeros((len(duels), len(sizes)), np.float32)
    for row, (i, j) in enumerate(duels):
        first, second = slice(ends[i], ends[i + 1]), slice(ends[j], ends[j + 1])
        against[row, first], against[row, second] = weight[j - 1, first], weight[i, second]
        votes[row, i], votes[row, j] = 1.0, -1.0
    return against, votes
