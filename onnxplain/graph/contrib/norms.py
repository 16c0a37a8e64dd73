"""Normalisations with a skip connection or an embedding fused to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from onnxplain.graph.decomposition import contrib, inputs, number, whole
from onnxplain.graph.writer import Writer


def _normalised(op: Writer, x: Any, gamma: Any, beta: Any, epsilon: float) -> Any:
    return op.LayerNormalization(x, gamma, beta, axis=-1, epsilon=epsilon)


def _root_mean_square(op: Writer, x: Any, scale: Any, epsilon: float) -> tuple[Any, Any]:
    inverse = op.Reciprocal(op.Sqrt(op.Add(op.ReduceMean(op.Mul(x, x), [-1], keepdims=1), epsilon)))
    return op.Mul(op.Mul(x, inverse), scale), inverse


def _summed(op: Writer, x: Any, skip: Any, bias: Any) -> Any:
    total = op.Add(x, skip)
    return total if bias is None else op.Add(total, bias)


@contrib("SkipLayerNormalization")
def skip_layer_norm(op: Writer, node: ir.Node) -> Sequence[ir.Value | None]:
    """``layer_norm(x + skip + bias)``; the fourth output is the sum."""
    x, skip, gamma, beta, bias = inputs(node, 5)
    total = _summed(op, x, skip, bias)
    return [_normalised(op, total, gamma, beta, number(node, "epsilon", 1e-12)), None, None, total]


@contrib("SimplifiedLayerNormalization")
def simplified_layer_norm(op: Writer, node: ir.Node) -> Sequence[ir.Value | None]:
    """``x / rms(x) * scale`` over the last axis."""
    x, scale = inputs(node, 2)
    return list(_root_mean_square(op, x, scale, number(node, "epsilon", 1e-5)))


@contrib("SkipSimplifiedLayerNormalization")
def skip_simplified_layer_norm(op: Writer, node: ir.Node) -> Sequence[ir.Value | None]:
    """``rms_norm(x + skip + bias)``; the fourth output is the sum."""
    x, skip, gamma, bias = inputs(node, 4)
    total = _summed(op, x, skip, bias)
    made, inverse = _root_mean_square(op, total, gamma, number(node, "epsilon", 1e-5))
    return [made, None, inverse, total]


@contrib("EmbedLayerNormalization")
def embed_layer_norm(op: Writer, node: ir.Node) -> Sequence[ir.Value | None]:
    """Sum of word, position and segment embeddings, normalised."""
    ids, segments, words, places, kinds, gamma, beta, mask, positions = inputs(node, 9)
    if positions is None:
        length = op.Squeeze(op.Shape(ids, start=1, end=2), [0])
        positions = op.Unsqueeze(op.Range(np.array(0), length, np.array(1)), [0])
    total = op.Add(op.Gather(words, ids, axis=0), op.Gather(places, positions, axis=0))
    if segments is not None and kinds is not None:
        total = op.Add(total, op.Gather(kinds, segments, axis=0))
    made = _normalised(op, total, gamma, beta, number(node, "epsilon", 1e-12))
    if mask is None:
        batch = op.Shape(ids, start=0, end=1)
        counts = op.ConstantOfShape(batch, value=ir.tensor(np.zeros(1, np.int32)))
    else:
        present = op.Cast(op.Equal(mask, 1), to=int(ir.DataType.INT32))
        counts = op.ReduceSum(present, [1], keepdims=0)
    assert whole(node, "mask_index_type", 0) in (0, 1)
    return [made, counts, total]
