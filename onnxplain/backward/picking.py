"""The explained score, written into the graph: an entry of the output, the highest one, or a weighted sum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import onnx_ir as ir

from onnxplain.backward.emitter import Emitter
from onnxplain.errors import TargetError
from onnxplain.graph import facts

__all__ = ["Picked", "Target", "pick"]

#: How a target names a score: ``"index"``, one index per sample; ``"predicted"``, likewise, and -1 stands for
#: the entry with the highest score; ``"weights"``, the sum of the output's entries times weights.  Of outputs
#: (N, classes), by classes that are known to be there, too: ``"given"``, one for each row, and ``"shared"``,
#: one for all.
Target = Literal["index", "predicted", "weights", "given", "shared"]


@dataclass(frozen=True)
class Picked:
    """What a target picks.

    Attributes
    ----------
    score
        (N,).
    seed
        What a walk starts from, shaped like the output.
    index
        Where the score is, (N,) or (N, k); None for a weighted sum, or where there is only one score.
    again
        Takes the same scores from another value that is shaped like the output.
    """

    score: ir.Value
    seed: Any
    index: ir.Value | None
    again: Callable[[ir.Value], ir.Value]


def pick(
    op: Emitter, y: ir.Value, name: str, kind: Target, axes: int, samples: int | None, seed: str, target: str
) -> Picked:
    """Pick the scores that the target names, from an input that is made for it.

    Parameters
    ----------
    op
        Writes.
    y
        The output.
    name
        What the user calls it.
    kind
        How the target names a score.
    axes
        Length of an index: 0 for one score per sample, 1 for a class, more for maps.
    samples
        Axis of the output along which the samples lie; None where it is one sample's.
    seed
        What walks start from: ``"one"``, or the ``"score"``.
    target
        Name of the input to make, if one is needed.

    Raises
    ------
    TargetError
        If the index does not fit the output.
    """
    rank = facts.rank(y)
    if rank is None:
        raise TargetError(f"the rank of '{y.name}' is unknown; run onnx.shape_inference on the model")
    if kind == "weights":
        return _weighted(op, y, rank, samples, seed, target)
    if axes == 0:
        start = op.full_like(y, 1.0) if seed == "one" else y
        return Picked(op.Reshape(y, [-1]), start, None, lambda v: op.Reshape(v, [-1]))
    if axes != rank - (samples is not None):
        raise TargetError(
            f"output '{name}' has {rank} axes, so a target is an index of "
            f"{rank - (samples is not None)} numbers, not {axes}"
        )
    given = ir.Value(
        name=target,
        type=ir.TensorType(ir.DataType.INT64),
        shape=ir.Shape(["batch"] if axes == 1 else ["batch", axes]),
    )
    op.graph.inputs.append(given)
    if kind == "shared":
        return _of_column(op, y, given, seed)
    where: Any = given
    if kind == "predicted":
        where = op.Where(op.Less(given, 0), _highest(op, y, rank, axes, samples), given)
    index = op.Unsqueeze(where, [1]) if axes == 1 else where
    if kind in ("predicted", "given") and (rank, axes, samples) == (2, 1, 0):
        return _of_rows(op, y, index, seed, where)
    if samples is not None:
        rows = op.Unsqueeze(op.indices(op.Shape(given, start=0, end=1)), [1])
        parts = [op.Slice(index, [0], [samples], [1])] if samples else []
        rest = op.Slice(index, [samples], [axes], [1]) if samples else index
        index = op.Concat(*parts, rows, *([rest] if samples < axes else []), axis=1)
    score = op.GatherND(y, index)
    score.type, score.shape = ir.TensorType(y.dtype or ir.DataType.FLOAT), ir.Shape([None])
    start = score if seed == "score" else op.full_like(score, 1.0)
    spread = op.annotate(op.ScatterND(op.zeros_like(y), index, start), y)
    return Picked(score, spread, where, lambda v: op.GatherND(v, index))


def _of_rows(op: Emitter, y: ir.Value, index: ir.Value, seed: str, where: Any) -> Picked:
    """Pick one entry of each row of (N, classes): as GatherND does, in less time.

    For indices that are known to be there, since not every runtime refuses others here.
    """

    def again(value: ir.Value) -> ir.Value:
        made = op.Squeeze(op.GatherElements(value, index, axis=1), [1])
        assert isinstance(made, ir.Value)
        return made

    score = again(y)
    score.type, score.shape = ir.TensorType(y.dtype or ir.DataType.FLOAT), ir.Shape([None])
    start = op.Unsqueeze(score if seed == "score" else op.full_like(score, 1.0), [1])
    spread = op.annotate(op.ScatterElements(op.zeros_like(y), index, start, axis=1), y)
    return Picked(score, spread, where, again)


def _of_column(op: Emitter, y: ir.Value, column: ir.Value, seed: str) -> Picked:
    """Pick the same entry of each row of (N, classes)."""

    def again(value: ir.Value) -> ir.Value:
        made = op.Reshape(op.Gather(value, column, axis=1), [-1])
        assert isinstance(made, ir.Value)
        return made

    score = again(y)
    score.type, score.shape = ir.TensorType(y.dtype or ir.DataType.FLOAT), ir.Shape([None])
    start = score if seed == "score" else op.full_like(score, 1.0)
    index = op.Expand(op.Unsqueeze(column, [0]), op.Shape(op.Unsqueeze(score, [1])))
    spread = op.ScatterElements(op.zeros_like(y), index, op.Unsqueeze(start, [1]), axis=1)
    return Picked(score, op.annotate(spread, y), None, again)


def _highest(op: Emitter, y: ir.Value, rank: int, axes: int, samples: int | None) -> Any:
    """Return the index of each sample's highest score, shaped like a target."""
    first: Any = y
    if samples:
        first = op.Transpose(y, perm=[samples, *(k for k in range(rank) if k != samples)])
    flat = op.Reshape(first, [1, -1] if samples is None else [0, -1])
    place = op.ArgMax(flat, axis=1, keepdims=0)
    if axes == 1:
        return place
    found: list[Any] = []
    for k in reversed(range(axes)):  # as NumPy's unravel_index
        lead = 0 if samples is None else 1
        length = op.Shape(first, start=lead + k, end=lead + k + 1)
        found.insert(0, op.Unsqueeze(op.Mod(place, length), [1]))
        place = op.Div(place, length)
    return op.Concat(*found, axis=1)


def _weighted(op: Emitter, y: ir.Value, rank: int, samples: int | None, seed: str, target: str) -> Picked:
    """Sum the output's entries by weights of the same shape."""
    weights = ir.Value(name=target, type=ir.TensorType(y.dtype or ir.DataType.FLOAT), shape=y.shape)
    op.graph.inputs.append(weights)
    others = [k for k in range(rank) if k != samples]

    def again(value: ir.Value) -> ir.Value:
        total = op.ReduceSum(op.Mul(value, weights), others, keepdims=0) if others else op.Mul(value, weights)
        made = op.Reshape(total, [-1])
        assert isinstance(made, ir.Value)
        return made

    score = again(y)
    score.type, score.shape = ir.TensorType(y.dtype or ir.DataType.FLOAT), ir.Shape([None])
    start = op.Mul(y, weights) if seed == "score" else op.annotate(op.Identity(weights, _fold=False), y)
    return Picked(score, op.annotate(start, y), None, again)
