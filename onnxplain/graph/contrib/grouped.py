"""Attention in which several query heads share one key head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from onnxplain.graph import facts
from onnxplain.graph.contrib.attention_operators import attend, causal, heads, rotate
from onnxplain.graph.decomposition import contrib, inputs, number, whole
from onnxplain.graph.writer import NotDecomposedError, Writer


@contrib("GroupQueryAttention")
def group_query_attention(op: Writer, node: ir.Node) -> Sequence[ir.Value | None]:
    """Causal attention without a cache: the whole text is given, unpadded."""
    query, key, value, past_key, past_value, _, _, cos, sin = inputs(node, 9)
    for past in (past_key, past_value):
        if past is not None and facts.static_dim(past, 2) != 0:
            raise NotDecomposedError("it continues from a past state; export the model without a cache")
    if number(node, "softcap", 0.0) or whole(node, "smooth_softmax", 0):
        raise NotDecomposedError("a capped or smooth softmax is not supported")
    n, shared = whole(node, "num_heads", 1), whole(node, "kv_num_heads", 1)
    width = facts.static_dim(query, 2)
    if width is None:
        raise NotDecomposedError("the size of its heads is unknown")
    size = width // n if key is not None else width // (n + 2 * shared)
    if key is None:
        query, key, value = op.Split(query, [n * size, shared * size, shared * size], axis=2, _outputs=3)
    q, k, v = heads(op, query, n), heads(op, key, shared), heads(op, value, shared)
    if whole(node, "do_rotary", 0):
        half = facts.static_dim(cos, 1)
        if half is None:
            raise NotDecomposedError("the shape of its table of angles is unknown")
        steps = op.Range(np.array(0), op.Squeeze(op.Shape(q, start=2, end=3), [0]), np.array(1))
        angles = [op.Unsqueeze(op.Gather(table, steps, axis=0), [0, 1]) for table in (cos, sin)]
        q, k = (
            rotate(op, x, angles, bool(whole(node, "rotary_interleaved", 0)), 2 * half, size) for x in (q, k)
        )
    bias = causal(op, q, k, whole(node, "local_window_size", -1))
    keys, values = (_repeated(op, x, n // shared, size) for x in (k, v))
    return [attend(op, q, keys, values, [bias], number(node, "scale", 0.0), size), k, v]


def _repeated(op: Writer, x: Any, times: int, size: int) -> Any:
    """Give each head ``times`` times."""
    if times == 1:
        return x
    shape = op.Shape(x)
    copies = op.Expand(op.Unsqueeze(x, [2]), op.Concat(*_ones(op, shape, times), axis=0))
    return op.Reshape(
        copies,
        op.Concat(op.Slice(shape, [0], [1], [0]), [-1], op.Slice(shape, [2], [3], [0]), [size], axis=0),
    )


def _ones(op: Writer, shape: Any, times: int) -> list[Any]:
    return [op.Slice(shape, [0], [2], [0]), op.const(np.array([times])), op.Slice(shape, [2], [4], [0])]
