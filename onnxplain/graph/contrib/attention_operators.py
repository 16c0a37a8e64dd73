"""Attention as transformers for onnxruntime have it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from onnxplain.graph import facts
from onnxplain.graph.decomposition import contrib, inputs, number, whole
from onnxplain.graph.writer import NotDecomposedError, Writer

__all__ = ["attend", "causal", "heads", "rotate"]


def heads(op: Writer, x: Any, count: int) -> Any:
    """(batch, length, count * size) to (batch, count, length, size)."""
    return op.Transpose(op.Reshape(x, [0, 0, count, -1]), perm=[0, 2, 1, 3])


def attend(op: Writer, q: Any, k: Any, v: Any, biases: Sequence[Any], scale: float, size: Any) -> Any:
    """Return ``softmax(scale q k^T + biases) v``, the heads joined again; scale 0 means 1 / sqrt(size)."""
    if not scale:
        if size is None:
            raise NotDecomposedError("the size of its heads is unknown")
        scale = 1.0 / math.sqrt(size)
    scores = op.Mul(op.MatMul(q, op.Transpose(k, perm=[0, 1, 3, 2])), scale)
    for bias in biases:
        scores = op.Add(scores, bias)
    mixed = op.MatMul(op.Softmax(scores, axis=-1), v)
    return op.Reshape(op.Transpose(mixed, perm=[0, 2, 1, 3]), [0, 0, -1])


def causal(op: Writer, q: Any, k: Any, window: int = -1) -> Any:
    """Return a bias (queries, keys) that hides what comes later, and what lies a window or more back.

    The last query stands at the last key.
    """
    n_q, n_k = (op.Shape(v, start=2, end=3) for v in (q, k))
    rows = op.Add(_count(op, n_q), op.Sub(n_k, n_q))
    distance = op.Sub(op.Unsqueeze(rows, [1]), op.Unsqueeze(_count(op, n_k), [0]))
    hidden = op.Less(distance, np.array(0))
    if window > 0:
        hidden = op.Or(hidden, op.GreaterOrEqual(distance, np.array(window)))
    return _bias(op, op.Not(hidden), q, float(np.finfo(np.float32).min))


def _count(op: Writer, length: Any) -> Any:
    return op.Range(np.array(0), op.Squeeze(length, [0]), np.array(1))


def _bias(op: Writer, visible: Any, like: Any, filler: float) -> Any:
    dtype = (like.dtype or ir.DataType.FLOAT).numpy()
    return op.Where(visible, op.const(np.zeros((), dtype)), op.const(np.array(filler, dtype)))


def _mask(op: Writer, mask: Any, k: Any, filler: float) -> Any:
    """Return a bias from a mask: (batch) lengths, (batch, keys) or (batch, queries, keys)."""
    rank = facts.rank(mask)
    if rank == 1:
        batch, length = facts.static_dim(mask, 0), facts.dims(k)
        known = length[0] if length is not None else None
        if isinstance(batch, int) and isinstance(known, int) and batch != known:
            raise NotDecomposedError("its mask gives more than lengths; export it with a mask of two axes")
        steps = op.Unsqueeze(_count(op, op.Shape(k, start=2, end=3)), [0])
        visible = op.Less(steps, op.Unsqueeze(op.Cast(mask, to=int(ir.DataType.INT64)), [1]))
        return _bias(op, op.Unsqueeze(visible, [1, 2]), k, filler)
    visible = op.Greater(mask, 0)
    if rank == 2:
        return _bias(op, op.Unsqueeze(visible, [1, 2]), k, filler)
    if rank == 3:
        return _bias(op, op.Unsqueeze(visible, [1]), k, filler)
    raise NotDecomposedError("its mask has more than three axes, or nobody knows how many")


def _refuse_past(node: ir.Node, *values: ir.Value | None) -> None:
    if any(v is not None for v in values):
        raise NotDecomposedError("it continues from a past state; export the model without a cache")
    if any(o.uses() or o.is_graph_output() for o in node.outputs[1:]):
        raise NotDecomposedError("it returns its state for later; export the model without a cache")


@contrib("Attention")
def attention(op: Writer, node: ir.Node) -> Sequence[ir.Value | None]:
    """Self-attention with the projections."""
    x, w, b, mask, past, extra, _ = inputs(node, 7)
    _refuse_past(node, past)
    if whole(node, "do_rotary", 0):
        raise NotDecomposedError("it rotates inside; export it with RotaryEmbedding nodes")
    n = whole(node, "num_heads", 1)
    sizes = facts.attr(node, "qkv_hidden_sizes")
    width = facts.static_dim(w, 1)
    if not isinstance(sizes, tuple):
        if width is None:
            raise NotDecomposedError("the shape of its weight is unknown")
        sizes = (width // 3,) * 3
    made = op.MatMul(x, w)
    made = made if b is None else op.Add(made, b)
    q, k, v = (heads(op, part, n) for part in op.Split(made, list(sizes), axis=2, _outputs=3))
    biases = [] if mask is None else [_mask(op, mask, k, number(node, "mask_filter_value", -10000.0))]
    biases += [] if extra is None else [extra]
    biases += [causal(op, q, k)] if whole(node, "unidirectional", 0) else []
    return [attend(op, q, k, v, biases, number(node, "scale", 0.0), sizes[0] // n)]


@contrib("MultiHeadAttention")
def multi_head_attention(op: Writer, node: ir.Node) -> Sequence[ir.Value | None]:
    """Attention of separate, or packed, queries, keys and values."""
    query, key, value, bias, mask, extra, past_key, past_value = inputs(node, 8)
    _refuse_past(node, past_key, past_value)
    n = whole(node, "num_heads", 1)
    rank = facts.rank(query)
    if rank == 5:  # (batch, length, heads, 3, size)
        parts = op.Split(query, [1, 1, 1], axis=3, _outputs=3)
        query, key, value = (op.Reshape(op.Squeeze(p, [3]), [0, 0, -1]) for p in parts)
    elif key is not None and facts.rank(key) == 5:  # (batch, length, heads, 2, size)
        parts = op.Split(key, [1, 1], axis=3, _outputs=2)
        key, value = (op.Reshape(op.Squeeze(p, [3]), [0, 0, -1]) for p in parts)
    elif rank != 3 or key is None or value is None:
        raise NotDecomposedError("its queries, keys and values are packed in an unknown way")
    size = facts.static_dim(query, 2)
    if bias is not None:
        wide = [facts.static_dim(v, 2) if facts.rank(v) == 3 else size for v in (query, key, value)]
        if None in wide:
            raise NotDecomposedError("the size of its heads is unknown")
        parts = op.Split(bias, wide, axis=0, _outputs=3)
        query, key, value = (
            op.Add(v, p) if facts.rank(v) != 4 else v for v, p in zip((query, key, value), parts, strict=True)
        )
    q, k, v = (x if facts.rank(x) == 4 else heads(op, x, n) for x in (query, key, value))
    biases = [] if mask is None else [_mask(op, mask, k, number(node, "mask_filter_value", -10000.0))]
    biases += [] if extra is None else [extra]
    biases += [causal(op, q, k)] if whole(node, "unidirectional", 0) else []
    return [attend(op, q, k, v, biases, number(node, "scale", 0.0), None if size is None else size // n)]


def rotate(op: Writer, x: Any, angles: Sequence[Any], interleaved: bool, part: int, size: int) -> Any:
    """Turn pairs of features of x (batch, heads, length, size) by angles.

    A pair is two neighbours (interleaved), or one feature of each half; features from ``part`` on stay.  The
    angles are given by their cosine and sine, (batch or 1, 1, length, part / 2).
    """
    (cos, sin), rest = angles, None
    if part < size:
        x, rest = op.Split(x, [part, size - part], axis=3, _outputs=2)
    half = part // 2
    if interleaved:
        pairs = op.Reshape(x, [0, 0, 0, half, 2])
        a, b = (op.Squeeze(p, [4]) for p in op.Split(pairs, [1, 1], axis=4, _outputs=2))
    else:
        a, b = op.Split(x, [half, half], axis=3, _outputs=2)
    left = op.Sub(op.Mul(a, cos), op.Mul(b, sin))
    right = op.Add(op.Mul(b, cos), op.Mul(a, sin))
    if interleaved:
        both = op.Concat(op.Unsqueeze(left, [4]), op.Unsqueeze(right, [4]), axis=4)
        turned = op.Reshape(both, [0, 0, 0, part])
    else:
        turned = op.Concat(left, right, axis=3)
    return turned if rest is None else op.Concat(turned, rest, axis=3)


@contrib("RotaryEmbedding")
def rotary_embedding(op: Writer, node: ir.Node) -> Sequence[ir.Value | None]:
    """Rotary positions of (batch, length, hidden) or (batch, heads, length, size)."""
    x, positions, cos, sin = inputs(node, 4)
    n, rank = whole(node, "num_heads", 0), facts.rank(x)
    if whole(node, "is_packed_batching", 0) or number(node, "scale", 1.0) != 1.0:
        raise NotDecomposedError("packed batches and a scale are not supported")
    half = facts.static_dim(cos, 1)
    part = whole(node, "rotary_embedding_dim", 0) or (None if half is None else 2 * half)
    last = facts.static_dim(x, rank - 1) if rank else None
    if rank not in (3, 4) or part is None or last is None:
        raise NotDecomposedError("the shape of its input or of its table is unknown")
    size = last if rank == 4 else last // n if n else part
    wide = x if rank == 4 else heads(op, x, last // size)
    if facts.rank(positions) == 1:  # where the first one stands
        steps = op.Add(_count(op, op.Shape(wide, start=2, end=3)), positions)
        positions = op.Unsqueeze(steps, [0])
    angles = [op.Unsqueeze(op.Gather(table, positions, axis=0), [1]) for table in (cos, sin)]
    turned = rotate(op, wide, angles, bool(whole(node, "interleaved", 0)), part, size)
    if rank == 4:
        return [turned]
    return [op.Reshape(op.Transpose(turned, perm=[0, 2, 1, 3]), [0, 0, -1])]
