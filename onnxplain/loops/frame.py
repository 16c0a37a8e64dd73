"""What those who write a plan into a graph write with: outside the loop over points, and inside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import onnx_ir as ir

from onnxplain._types import Array
from onnxplain.backward.emitter import Emitter
from onnxplain.errors import DataInputError
from onnxplain.features.players import Players
from onnxplain.graph.names import Names

__all__ = ["Answered", "Feature", "Inside", "Outside", "Result"]


@dataclass(frozen=True)
class Feature:
    """What is varied: samples first, outside the loop.

    Attributes
    ----------
    name
        Its name in the model.
    value
        (N, ...).
    baseline
        (1, ...) or (N, ...): what stands where it is taken away, or where a path starts.
    shape
        Of one sample; None for lengths that only a run will tell.
    dtype
        NumPy's.
    """

    name: str
    value: ir.Value
    baseline: ir.Value
    shape: tuple[int | None, ...]
    dtype: np.dtype[Any]

    @property
    def known(self) -> tuple[int, ...]:
        """The shape of one sample, of known lengths.

        Raises
        ------
        DataInputError
            If one is not known.
        """
        if any(d is None for d in self.shape):
            spelled = ", ".join("?" if d is None else str(d) for d in self.shape)
            raise DataInputError(
                f"what is done to each element of '{self.name}' is written into the file, and its samples "
                f"have the shape ({spelled}); export a model whose input has fixed lengths"
            )
        return tuple(d for d in self.shape if d is not None)


@dataclass
class Outside:
    """The graph around the loop.

    Attributes
    ----------
    op
        Writes there.
    features
        By name.
    background
        By name, (M, ...): rows that each are a baseline; empty if there is one only.
    players
        Who is kept or taken away.
    samples
        The number of samples, int64 (1,).
    promised
        Whether it is known of the answers at points what they must sum to.
    errors
        Whether the answers' standard errors are known.
    depth
        In how many other loops this one lies.
    axes
        By feature: the axis of samples in the model; None where the whole array is one sample.
    channel_of
        Returns the axis of a feature's channels, samples first; None where the graph does not tell it.
    beside
        Values inside the model, at the rows themselves, by name; as the model has them.
    layers
        What is looked at inside at each point, if anything is: by name, the axis of samples in the model.
    """

    op: Emitter
    features: dict[str, Feature]
    background: dict[str, Array]
    players: Players | None
    samples: ir.Value
    promised: bool = False
    errors: bool = False
    depth: int = 0
    axes: Mapping[str, int | None] = field(default_factory=dict)
    channel_of: Callable[[str], int | None] = lambda name: None
    beside: Mapping[str, ir.Value] = field(default_factory=dict)
    layers: Mapping[str, int | None] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """How many rows stand for those who are absent: 1 baseline, or the background's."""
        return len(next(iter(self.background.values()), (None,)))

    def zeros(self, name: str, dtype: ir.DataType = ir.DataType.DOUBLE) -> ir.Value:
        """Return zeros in the shape of a feature."""
        fill = ir.tensor(np.zeros(1, dtype.numpy()))
        return cast("ir.Value", self.op.ConstantOfShape(self.op.Shape(self.features[name].value), value=fill))

    def who(self) -> Players:
        """Return the players: each element, unless others were named."""
        from onnxplain.features.players import elements

        if self.players is not None:
            return self.players
        return elements({k: np.empty((1, *f.known), np.bool_) for k, f in self.features.items()})


@dataclass
class Inside:
    """The body of the loop, at some of the points.

    Attributes
    ----------
    op
        Writes there.
    outside
        What is around it; its values may be used.
    step
        int64 (m,): which of the plan's points these are; where a place is nobody's, the nearest.
    live
        float64 (m,): 1 at points of the plan, 0 elsewhere.
    number
        int64: which block this is.
    names
        Names that are free in the body.
    """

    op: Emitter
    outside: Outside
    step: ir.Value
    live: ir.Value
    number: ir.Value
    names: Names

    def first(self, mine: ir.Value, before: ir.Value) -> ir.Value:
        """Return what the first block found, in all blocks; ``before`` is what is carried of it."""
        branches = []
        for what, value in (("then", mine), ("else", before)):
            out = ir.Value(name=self.names.free(f"{before.name}/{what}"), type=value.type)
            node = ir.Node("", "Identity", [value], outputs=[out], name=f"{out.name}/node")
            branches.append(
                ir.AttrGraph(f"{what}_branch", ir.Graph([], [out], nodes=[node], name=str(out.name)))
            )
        here = self.op.Equal(self.number, np.int64(0))
        node = ir.node("If", [here], {a.name: a for a in branches})
        node.name = self.op.fresh("If")
        self.op.graph.append(node)
        made = node.outputs[0]
        made.name, made.type = node.name, before.type
        return made

    def rows(self, table: Array) -> ir.Value:
        """Return the rows of a constant table, one for each point, (m, ...)."""
        return cast("ir.Value", self.op.Gather(self.op.initializer(table), self.step, axis=0))

    def weights(self, numbers: Sequence[float]) -> ir.Value:
        """Return numbers for these points, float64 (m,): 0 where a place is nobody's."""
        own = self.rows(np.asarray(numbers, np.float64))
        return cast("ir.Value", self.op.Mul(own, self.live))

    def counted(self, answers: ir.Value, rank: int) -> ir.Value:
        """Return float64 answers (m, N, ...) of this rank, 0 where a place is nobody's.

        What is answered there may be no number (a slope at a baseline, say), which a weight of 0 would keep.
        """
        here = self.op.Greater(self.live, np.float64(0.0))
        return cast("ir.Value", self.op.Where(self.spread(here, rank), answers, np.float64(0.0)))

    def spread(self, numbers: ir.Value, rank: int) -> ir.Value:
        """Return numbers (m,) with axes behind them, so that they broadcast to (m, N, ...) of this rank."""
        return cast("ir.Value", self.op.Unsqueeze(numbers, list(range(1, rank)))) if rank > 1 else numbers

    def value(self, name: str) -> ir.Value:
        """Return a feature, (1, N, ...)."""
        return cast("ir.Value", self.op.Unsqueeze(self.outside.features[name].value, [0]))

    def faded(self, name: str, kept: ir.Value) -> ir.Value:
        """Return ``m x + (1 - m) b`` for masks in a feature's dtype, (m, 1, ...), exact at both ends.

        Nothing lies between a number and a missing one (NaN): the nearer of both stands there.
        """
        op, around, feature = self.op, self.outside.op, self.outside.features[name]
        x, b = self.value(name), self.baseline(name)
        mixed = op.Add(op.Mul(kept, op.Sub(x, b)), b)
        mixed = op.Where(op.Equal(kept, op.const(np.ones((), feature.dtype))), x, mixed)
        missing = around.Or(around.IsNaN(feature.value), around.IsNaN(feature.baseline))
        near = op.Where(op.GreaterOrEqual(kept, op.const(np.full((), 0.5, feature.dtype))), x, b)
        return cast("ir.Value", op.Where(op.Unsqueeze(missing, [0]), near, mixed))

    def baseline(self, name: str) -> ir.Value:
        """Return a feature's baseline, (1, N or 1, ...)."""
        return cast("ir.Value", self.op.Unsqueeze(self.outside.features[name].baseline, [0]))


@dataclass(frozen=True)
class Answered:
    """What is answered at the points of a block.

    Attributes
    ----------
    values
        By feature, (m, N, ...).
    score
        (m, N).
    delta
        (m, N): how far each answer's sum is from what it must be, where that is known.
    errors
        By feature, (m, N, ...): standard errors, where they are known.
    probed
        By layer, (m, N, ...), where values inside are looked at; ``values`` are the gradients there then.
    """

    values: dict[str, ir.Value]
    score: ir.Value
    delta: ir.Value | None = None
    errors: dict[str, ir.Value] = field(default_factory=dict)
    probed: dict[str, ir.Value] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """What comes out of the loop.

    Attributes
    ----------
    values
        By feature, (N, ...).
    delta
        (N,): how far their sum is from what it must be; None where nothing is promised.
    errors
        By feature, (N, ...): standard errors; empty where none are known.
    extras
        Whatever else is known, by name.
    """

    values: dict[str, ir.Value]
    delta: ir.Value | None = None
    errors: dict[str, ir.Value] = field(default_factory=dict)
    extras: dict[str, ir.Value] = field(default_factory=dict)


#: Writes points: from the body to (m, N, ...) by feature.
Points = Callable[[Inside], dict[str, ir.Value]]
