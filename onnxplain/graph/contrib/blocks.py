"""Weights stored in a few bits: unpacked once, while rewriting."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from onnxplain._types import Array
from onnxplain.graph import facts
from onnxplain.graph.decomposition import contrib, inputs, whole
from onnxplain.graph.writer import NotDecomposedError, Writer


@contrib("MatMulNBits")
def matmul_n_bits(op: Writer, node: ir.Node) -> Sequence[ir.Value | None]:
    """Multiply by weights stored in blocks along their rows, and add a bias."""
    a, packed, scales, zeros, order, bias = inputs(node, 6)
    arrays = [facts.constant(v) for v in (packed, scales, zeros, order)]
    if (
        arrays[0] is None
        or arrays[1] is None
        or any(v is not None and k is None for v, k in zip((zeros, order), arrays[2:], strict=True))
    ):
        raise NotDecomposedError("its weights are computed, not stored")
    k, n, bits = whole(node, "K", 0), whole(node, "N", 0), whole(node, "bits", 4)
    if bits not in (2, 4, 8):
        raise NotDecomposedError(f"its weights have {bits} bits; 2, 4 and 8 can be unpacked")
    weight = unpack(arrays[0], arrays[1], arrays[2], k, n, bits, whole(node, "block_size", 32), arrays[3])
    dtype = (a.dtype or ir.DataType.FLOAT).numpy()
    made = op.MatMul(a, op.initializer(np.ascontiguousarray(weight.T).astype(dtype), op.fresh("weight")))
    return [made if bias is None else op.Add(made, bias)]


def unpack(
    packed: Array,
    scales: Array,
    zeros: Array | None,
    k: int,
    n: int,
    bits: int,
    block: int,
    order: Array | None,
) -> Array:
    """Return the (n, k) matrix that blocks of small integers stand for.

    Parameters
    ----------
    packed
        uint8 (n, blocks, block * bits / 8), lowest bits first.
    scales, zeros
        One number per block; zeros packed like the weights along each row, or as floats, None for the
        middle of the range.
    k, n, bits, block
        Sizes.
    order
        The block of each of the k columns, where they were reordered.
    """
    blocks = (k + block - 1) // block
    values = _bits(packed.reshape(n, blocks, -1), bits)[..., :block].astype(np.float64)
    if zeros is None:
        shift = np.full((n, blocks), 2.0 ** (bits - 1))
    elif zeros.dtype == np.uint8:
        shift = _bits(zeros.reshape(n, -1), bits)[:, :blocks].astype(np.float64)
    else:
        shift = zeros.reshape(n, blocks).astype(np.float64)
    factor = scales.reshape(n, blocks).astype(np.float64)
    if order is not None:
        flat = values.reshape(n, -1)[:, :k]
        return np.asarray((flat - shift[:, order]) * factor[:, order])
    return np.asarray(((values - shift[..., None]) * factor[..., None]).reshape(n, -1)[:, :k])


def _bits(data: Array, bits: int) -> Array:
    """Cut the last axis' bytes into numbers."""
    if bits == 8:
        return data
    parts = [(data >> shift) & ((1 << bits) - 1) for shift in range(0, 8, bits)]
    return np.stack(parts, axis=-1).reshape(*data.shape[:-1], -1)
