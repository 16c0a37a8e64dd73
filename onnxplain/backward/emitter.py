"""What backward rules write with: operators, and the few idioms on shapes that all of them share.

Each idiom uses what is known before running and writes runtime shape arithmetic only where it must.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias, cast

import numpy as np
import onnx_ir as ir

from onnxplain.graph import facts
from onnxplain.graph.build import Operand, Ops
from onnxplain.graph.signs import non_negative

__all__ = ["Chooser", "Emitter", "Rules"]


class Rules(Protocol):
    """What replaces gradients during one walk through one graph.

    Attributes
    ----------
    differences
        Whether the walk follows differences from a reference, instead of derivatives.
    """

    @property
    def differences(self) -> bool:
        """See the class."""

    def function(self, node: ir.Node) -> Any:
        """Return what to run in place of a node's gradient; None for the gradient itself."""

    def inside(self, node: ir.Node) -> Chooser | None:
        """Return how to choose rules inside a node's bodies; None for gradients."""


#: Chooses rules for a walk through a body: of its graph, where the walk starts, and where it ends.
Chooser: TypeAlias = "Callable[[ir.Graph, Sequence[ir.Value], Sequence[ir.Value]], Rules]"


class Emitter(Ops):
    """:class:`~onnxplain.graph.build.Ops` with shape idioms, and what a walk's rules need to know.

    Attributes
    ----------
    rules
        What replaces gradients in the walk under way (None: nothing).
    inner_rules
        How to choose rules inside the bodies of the node being walked through (None: gradients).
    memo
        What rules have written and may use again, by what it is.
    ledger
        Where to note what each node got and what it gave on: (node, what arrived, what was handed on);
        None: nowhere.
    """

    def __init__(self, graph: ir.Graph, opset: int, scope: str = "onnxplain") -> None:
        super().__init__(graph, opset, scope)
        self.rules: Rules | None = None
        self.inner_rules: Chooser | None = None
        self.memo: dict[Any, Any] = {}
        self.ledger: list[tuple[ir.Node, list[ir.Value], list[ir.Value]]] | None = None
        self._signs: dict[ir.Value, bool] = {}

    def emit(
        self, op_type: str, inputs: Sequence[Operand], attrs: dict[str, Any] | None = None
    ) -> ir.Value | tuple[ir.Value, ...]:
        """Write a node as :meth:`Ops.emit` does, and mark it (not so copies of others)."""
        made = super().emit(op_type, inputs, attrs)
        node = (made if isinstance(made, ir.Value) else made[0]).producer()
        if node is not None:
            node.metadata_props[facts.WRITTEN_KEY] = ""
        return made

    def once(self, key: tuple[Any, ...], write: Callable[[], Any]) -> Any:
        """Return what was written under a key, writing it the first time."""
        if key not in self.memo:
            self.memo[key] = write()
        return self.memo[key]

    def never_negative(self, x: ir.Value) -> bool:
        """Tell whether a value is certainly >= 0 everywhere."""
        return non_negative(x, self._signs)

    def shape_of(self, x: ir.Value) -> ir.Value:
        """Return the shape of a value, int64 (rank,), constant where it is known."""
        static = facts.static_shape(x)
        if static is not None:
            return self.const(np.array(static, np.int64))
        return cast("ir.Value", self.Shape(x))

    def dim(self, x: ir.Value, axis: int) -> ir.Value:
        """Return one axis' length, int64 (1,)."""
        known = facts.static_dim(x, axis)
        if known is not None:
            return self.const(np.array([known], np.int64))
        n = facts.rank(x)
        axis = axis if n is None or axis >= 0 else axis + n
        return cast("ir.Value", self.Shape(x, start=axis, end=axis + 1 if axis != -1 else None))

    def full_like(self, x: ir.Value, number: float) -> ir.Value:
        """Return a constant tensor with the shape and dtype of ``x``."""
        dtype = x.dtype or ir.DataType.FLOAT
        fill = ir.tensor(np.array([number], dtype.numpy()))
        return self.annotate(cast("ir.Value", self.ConstantOfShape(self.shape_of(x), value=fill)), x)

    def zeros_like(self, x: ir.Value) -> ir.Value:
        """Return zeros with the shape and dtype of ``x``."""
        return self.full_like(x, 0.0)

    def reshape_like(self, g: ir.Value, x: ir.Value) -> ir.Value:
        """Give ``g`` the shape of ``x``, which has as many elements."""
        if facts.same_shape(facts.dims(g), facts.dims(x)):
            return g
        shape = facts.dims(x)
        if shape is not None and sum(not isinstance(d, int) for d in shape) == 1 and 0 not in shape:
            target = self.const(np.array([d if isinstance(d, int) else -1 for d in shape], np.int64))
            return self.annotate(cast("ir.Value", self.Reshape(g, target)), x)
        full = shape is not None and all(isinstance(d, int) and d > 0 for d in shape)
        made = self.Reshape(
            g, self.shape_of(x), allowzero=None if full else 1
        )  # an empty axis is no copied one
        return self.annotate(cast("ir.Value", made), x)

    def expand_like(self, g: ir.Value, x: ir.Value) -> ir.Value:
        """Broadcast ``g`` to the shape of ``x``."""
        if facts.same_shape(facts.dims(g), facts.dims(x)):
            return g
        return self.annotate(cast("ir.Value", self.Expand(g, self.shape_of(x))), x)

    def unbroadcast(
        self, g: ir.Value, x: ir.Value, wide: Sequence[facts.Dim] | None, keep: int = 0
    ) -> ir.Value:
        """Sum a gradient over the axes along which ``x`` was broadcast.

        Parameters
        ----------
        g
            Gradient with the broadcast shape.
        x
            The operand.
        wide
            What is known of the broadcast shape.
        keep
            This many trailing axes were not broadcast (the matrix axes of MatMul).
        """
        narrow = facts.dims(x)
        if facts.same_shape(wide, narrow):
            return self.annotate(g, x)
        if narrow is None or wide is None:
            assert not keep, f"rank of '{x.name}' is unknown"
            return self._unbroadcast_unknown(g, x)
        extra = len(wide) - len(narrow)
        if extra > 0:
            g = self.sum(g, range(extra))
        pairs = list(zip(narrow, wide[extra:], strict=True))
        pairs = pairs[: len(pairs) - keep]
        if any(_perhaps_broadcast(a, b) for a, b in pairs):
            g = self._sum_copies(g, x, len(pairs), keep)
        else:
            g = self.sum(g, [k for k, (a, b) in enumerate(pairs) if a == 1 and b != 1], keepdims=True)
        return self.annotate(g, x)

    def _sum_copies(self, g: ir.Value, x: ir.Value, count: int, keep: int) -> ir.Value:
        """Sum over axes that may be copies: each is split in its own length and that of its copies.

        One of the two is 1, and the second is summed over, so that the axes of the sum are known.
        """
        own, wide = self.Shape(x, end=-keep or None), self.Shape(g, end=-keep or None)
        copies = self.Where(self.Equal(own, 1), wide, 1)
        pairs = self.Concat(self.Unsqueeze(own, [1]), self.Unsqueeze(copies, [1]), axis=1)
        parts = [self.Reshape(pairs, [-1]), *([self.Shape(g, start=-keep)] if keep else [])]
        return self.sum(self.Reshape(g, self.concat(parts), allowzero=1), range(1, 2 * count, 2))

    def _unbroadcast_unknown(self, g: ir.Value, x: ir.Value) -> ir.Value:
        """Sum over broadcast axes where not even their number is known before running."""
        sx, sg = self.Shape(x), self.Shape(g)
        missing = self.Sub(self.Shape(sg), self.Shape(sx))
        ones = self.ConstantOfShape(missing, value=ir.tensor(np.ones(1, np.int64)))
        shrunk = self.Not(self.Equal(self.Concat(ones, sx, axis=0), sg))
        axes = self.Reshape(self.NonZero(shrunk), [-1])
        summed = self.ReduceSum(g, axes, keepdims=1, noop_with_empty_axes=1)
        return self.annotate(cast("ir.Value", self.Reshape(summed, sx)), x)

    def sum(self, x: ir.Value, axes: Sequence[int], keepdims: bool = False) -> ir.Value:
        """Sum over axes (none: ``x`` itself)."""
        if not len(axes):
            return x
        return cast("ir.Value", self.ReduceSum(x, list(axes), keepdims=int(keepdims)))

    def mean(self, x: ir.Value, axes: Sequence[int]) -> ir.Value:
        """Average over axes, which stay with length 1."""
        return cast("ir.Value", self.ReduceMean(x, list(axes), keepdims=1))

    def cast_like(self, x: ir.Value, like: ir.Value) -> ir.Value:
        """Convert to the dtype of another value."""
        dtype = like.dtype or ir.DataType.FLOAT
        return x if x.dtype == dtype else cast("ir.Value", self.Cast(x, to=int(dtype)))

    def keep_where(self, condition: ir.Value, g: ir.Value) -> ir.Value:
        """Return ``g`` where the condition holds, else 0."""
        return cast("ir.Value", self.Where(condition, g, 0.0))

    def slice(
        self,
        x: ir.Value,
        axis: int,
        start: ir.Value | int,
        stop: ir.Value | int,
        step: int = 1,
    ) -> ir.Value:
        """Cut ``x[start:stop:step]`` out of one axis."""
        start_ = self.const(np.array([start], np.int64)) if isinstance(start, int) else start
        stop_ = self.const(np.array([stop], np.int64)) if isinstance(stop, int) else stop
        return cast("ir.Value", self.Slice(x, start_, stop_, [axis], [step]))

    def transpose(self, x: ir.Value, perm: Sequence[int]) -> ir.Value:
        """Permute axes (the identity permutation costs nothing)."""
        if list(perm) == list(range(len(perm))):
            return x
        return cast("ir.Value", self.Transpose(x, perm=list(perm)))

    def move_axis(self, x: ir.Value, rank: int, source: int, target: int) -> ir.Value:
        """Move one axis to another place, the others keeping their order."""
        order = [k for k in range(rank) if k != source]
        order.insert(target, source)
        return self.transpose(x, order)

    def concat(self, parts: Sequence[ir.Value | int | Sequence[int]]) -> ir.Value:
        """Join int64 vectors; numbers and lists are constants."""
        values = [
            p if isinstance(p, ir.Value) else self.const(np.atleast_1d(np.asarray(p, np.int64)))
            for p in parts
        ]
        return values[0] if len(values) == 1 else cast("ir.Value", self.Concat(*values, axis=0))

    def indices(self, length: ir.Value) -> ir.Value:
        """Return ``0, 1, ... length - 1``, int64; ``length`` is int64 (1,) or a scalar."""
        scalar = self.Squeeze(length)
        return cast("ir.Value", self.Range(self.const(np.int64(0)), scalar, self.const(np.int64(1))))

    def scatter_add(
        self, shape: ir.Value, rank: int, axis: int, index: ir.Value, g: ir.Value, index_rank: int = 1
    ) -> ir.Value:
        """Add ``g`` into zeros of a shape: the adjoint of ``Gather(x, index, axis)``.

        Parameters
        ----------
        shape, rank
            The shape of ``x``, int64 (rank,).
        axis
            Axis that ``index`` picks from.
        index
            Positions along the axis.
        g
            Gradient, with the axes of ``index`` in the place of ``axis``.
        index_rank
            Number of axes of ``index``.
        """
        before, after = list(range(axis)), list(range(axis + index_rank, rank + index_rank - 1))
        updates = self.transpose(g, [*range(axis, axis + index_rank), *before, *after])
        order = [axis, *(k for k in range(rank) if k != axis)]
        zero = ir.tensor(np.zeros(1, (g.dtype or ir.DataType.FLOAT).numpy()))
        base = self.ConstantOfShape(self.Gather(shape, order), value=zero)
        if index.dtype != ir.DataType.INT64:
            index = self.Cast(index, to=int(ir.DataType.INT64))
        summed = self.ScatterND(base, self.Unsqueeze(index, [-1]), updates, reduction="add")
        return self.move_axis(summed, rank, 0, axis)


def _perhaps_broadcast(narrow: facts.Dim, wide: facts.Dim) -> bool:
    """Whether only running can tell if this axis was broadcast."""
    if isinstance(narrow, int):
        return False
    return narrow is None or narrow != wide
