"""Dense layers that are written as MatMul or Einsum, and the Gemm that each of them is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from onnxplain._types import Array
from onnxplain.graph import facts
from onnxplain.graph.build import Ops
from onnxplain.graph.einsum import spelled_out

__all__ = ["Contraction", "as_gemm", "contraction"]

_MATRIX = 2  # rank


@dataclass(frozen=True, eq=False)
class Contraction:
    """A product of a value x that varies and a constant weight, as a matrix product.

    Attributes
    ----------
    x
        The value.
    rows, summed
        Axes of x that stay, and that are summed over.
    weight
        The constant as a matrix (summed, channels).
    channels
        Lengths of the output's axes that come from the weight.
    order
        What the output is in terms of (rows, channels), by Transpose.
    term
        Which axis of the stored constant each of its axes (summed, channels) is.
    lengths
        Lengths of these axes.
    """

    x: ir.Value
    rows: tuple[int, ...]
    summed: tuple[int, ...]
    weight: Array
    channels: tuple[int, ...]
    order: tuple[int, ...]
    term: tuple[int, ...]
    lengths: tuple[int, ...]

    def stored(self, weight: Array) -> Array:
        """Return a matrix like :attr:`weight` as the node stores it."""
        return np.asarray(weight.reshape(self.lengths).transpose(np.argsort(self.term)))

    def length(self, axis: int) -> int:
        """Return the length of an axis of the output that comes from the weight."""
        return self.channels[self.order[axis] - len(self.rows)]

    @property
    def channel_axes(self) -> set[int]:
        """Axes of the output that come from the weight."""
        return {k for k, axis in enumerate(self.order) if axis >= len(self.rows)}

    @property
    def plain(self) -> bool:
        """Whether a MatMul with the weight on the right says it."""
        moved = self.rows + self.summed
        return self.order == moved == tuple(range(len(moved))) and len(self.channels) == 1


def contraction(node: ir.Node) -> Contraction | None:
    """Read a MatMul, or an Einsum of two operands, of which one is a constant; None for others."""
    if (
        node.domain not in ("", "ai.onnx")
        or node.op_type not in ("MatMul", "Einsum")
        or len(node.inputs) != 2
    ):
        return None
    constants = [facts.constant(v) for v in node.inputs]
    if (constants[0] is None) == (constants[1] is None):
        return None
    at = 0 if constants[0] is None else 1
    x, weight = node.inputs[at], constants[1 - at]
    rank = None if x is None else facts.rank(x)
    if x is None or weight is None or rank is None:
        return None
    if node.op_type == "MatMul":
        if rank < _MATRIX or weight.ndim != _MATRIX:
            return None
        letters = "abcdefghijklmnopqrstuvw"[: rank - 2]
        terms = [f"{letters}xy", "yz"] if at == 0 else ["zx", f"{letters}xy"]
        out = f"{letters}xz" if at == 0 else f"{letters}zy"
    else:
        equation = node.attributes.get_string("equation")
        assert equation is not None
        ranks = (rank, weight.ndim) if at == 0 else (weight.ndim, rank)
        terms, out, _ = spelled_out(equation, ranks)
    return _read(x, terms[at], weight, terms[1 - at], out)


def _read(x: ir.Value, data: str, weight: Array, term: str, out: str) -> Contraction | None:
    letters = set(data), set(term), set(out)
    if any(len(s) != len(t) for s, t in zip(letters, (data, term, out), strict=True)):
        return None  # a diagonal
    if letters[2] != letters[0] ^ letters[1]:
        return None  # a letter of all three, or a sum over one of a single operand
    summed = [c for c in data if c in term]
    free = [c for c in term if c not in data]
    rows = [c for c in data if c in out]
    perm = tuple(term.index(c) for c in (*summed, *free))
    turned = weight.transpose(perm)
    channels = turned.shape[len(summed) :]
    matrix = turned.reshape(int(np.prod(turned.shape[: len(summed)])), int(np.prod(channels)))
    return Contraction(
        x,
        tuple(data.index(c) for c in rows),
        tuple(data.index(c) for c in summed),
        matrix,
        channels,
        tuple((*rows, *free).index(c) for c in out),
        perm,
        turned.shape,
    )


def as_gemm(op: Ops, found: Contraction) -> ir.Value:
    """Write a contraction as Gemm, with the movers that it needs."""
    x, width, count = found.x, found.weight.shape[1], len(found.rows)
    turned = (*found.rows, *found.summed)
    if turned != tuple(range(len(turned))):
        x = op.Transpose(x, perm=turned)
    weight, bias = op.initializer(found.weight), op.initializer(np.zeros(width, found.weight.dtype))
    flat = x if count == len(found.summed) == 1 else op.Reshape(x, [-1, found.weight.shape[0]])
    made: ir.Value = op.Gemm(flat, weight, bias)
    made.shape = ir.Shape([None, width])
    if count != 1 or len(found.channels) != 1:
        sizes = op.Shape(x, start=0, end=count)
        shape = op.Concat(sizes, op.const(np.array(found.channels, np.int64)), axis=0)
        made = op.Reshape(made, shape, allowzero=1)  # an empty axis is no copied one
        dims = facts.dims(found.x)
        assert dims is not None
        made.shape = ir.Shape([*(dims[axis] for axis in found.rows), *found.channels])
    return made if found.order == tuple(range(len(found.order))) else op.Transpose(made, perm=found.order)
