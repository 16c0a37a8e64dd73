"""Attention rollout, written into a graph: for texts of any length, and images of fixed ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import onnx_ir as ir

from onnxplain.errors import MethodError, NotExplainableError
from onnxplain.features.lifting import Patches, token_places
from onnxplain.graph import facts
from onnxplain.graph.patterns.attention_maps import AttentionMap, attention_maps
from onnxplain.maps.frame import Frame, Mapped
from onnxplain.maps.lifting import stretch
from onnxplain.maps.writing import write_map
from onnxplain.methods.attention import AttentionRollout, attention_behind, origins_of
from onnxplain.runtime.opened import opened
from onnxplain.runtime.problem import Problem

__all__: list[str] = []

_DOUBLE = int(ir.DataType.DOUBLE)
#: Lengths that are tried where only a run tells them.
_TRIED = (13, 17)


@write_map.register
def _rollout(method: AttentionRollout, frame: Frame) -> Mapped:
    tried = [frame.at(length) for length in _TRIED]
    problem, op = tried[0], frame.op
    graph = problem.driver.programs.source.model.graph
    found = attention_maps(graph)
    behind = {name: attention_behind(problem, name, found) for name in problem.features}
    maps = {m.name: m for of in behind.values() for m in of}
    values = [frame.value(name) for name in maps]
    slopes = frame.gradients(values) if method.gradient else values
    weights, gradients = (
        {k: _by_sample(frame, m, v) for (k, m), v in zip(maps.items(), of, strict=True)}
        for of in (values, slopes)
    )
    origins, made, extras = origins_of(problem), {}, {}
    for name, x in problem.features.items():
        own = [m.name for m in behind[name]]
        places = {_places(at, name, behind[name], method) for at in tried}
        if len(places) > 1:
            raise MethodError(
                f"where the features of a token lie in '{name}' depends on its length; use the Explainer"
            )
        rolled = _roll(method, frame, [weights[k] for k in own], [gradients[k] for k in own])
        input_name, parts = origins[name]
        kind = frame.kind_of(name)
        shown = op.Cast(rolled, to=kind)
        shown.shape = ir.Shape(["batch", None])
        extras[f"tokens/{input_name}"] = shown
        wide = op.Cast(op.Div(_over(frame, name, x.shape, rolled, *places.pop()), float(parts)), to=kind)
        made[name] = frame.back(wide, name, x.ndim)
    return Mapped(made, extras)


def _places(
    problem: Problem, name: str, behind: Sequence[AttentionMap], method: AttentionRollout
) -> tuple[int, int | Patches]:
    """Tell where the features of tokens lie, at the lengths of a problem."""
    lengths = set()
    for found in behind:
        shape = facts.static_shape(opened(problem).values[found.name])
        if shape is None:
            raise MethodError(
                f"the graph does not tell the shape of the attention weights '{found.name}'; run "
                "onnx.shape_inference on the model, or use the Explainer"
            )
        if shape[-1] != shape[-2]:
            raise NotExplainableError(found.refusal(shape))
        lengths.add(shape[-1])
    if len(lengths) > 1:
        raise NotExplainableError(
            f"the number of tokens changes from layer to layer ({', '.join(map(str, sorted(lengths)))}), and "
            "rollout needs the same in all; use integrated_gradients or lrp"
        )
    (length,) = lengths
    if method.token is not None and not -length <= method.token < length:
        raise MethodError(f"token is {method.token}, but the model has {length} tokens")
    return token_places(length, problem.features[name].shape, name)


def _by_sample(frame: Frame, found: AttentionMap, value: ir.Value) -> ir.Value:
    """Bring attention weights, or their gradient, into the form (N, heads, L, L)."""
    op, axis = frame.op, frame.axis_of(found.name)
    rank = len(facts.dims(frame.value(found.name)) or ()) + (axis is None)
    made: Any = frame.first(value, axis)
    if rank == 3:
        made = op.Unsqueeze(made, [1])
    elif rank != 4:
        made = op.Reshape(made, op.concat([0, -1, op.Shape(made, start=rank - 2)]))
    return cast("ir.Value", op.Cast(made, to=_DOUBLE))


def _roll(method: AttentionRollout, frame: Frame, weights: Sequence[Any], gradients: Sequence[Any]) -> Any:
    """Return each token's number, (N, L)."""
    op = frame.op
    length = op.Shape(weights[0], start=3)
    place = op.indices(length)
    same = op.Cast(op.Equal(op.Unsqueeze(place, [1]), op.Unsqueeze(place, [0])), to=_DOUBLE)
    rolled: Any = None
    for weight, gradient in zip(weights, gradients, strict=True):
        layer = op.Max(op.Mul(weight, gradient), 0.0) if method.gradient else weight
        reduce = {"mean": op.ReduceMean, "max": op.ReduceMax, "min": op.ReduceMin}[method.head_fusion]
        fused = _discard(method, op, reduce(layer, [1], keepdims=0), length)
        mixed = op.Add(fused, same)
        if not method.gradient:
            mixed = op.Div(mixed, op.ReduceSum(mixed, [2], keepdims=1))
        rolled = mixed if rolled is None else op.MatMul(mixed, rolled)
    if method.token is not None:
        return op.Gather(rolled, op.const(np.int64(method.token)), axis=1)
    heard = [op.ReduceMax(op.Abs(w), [1, 2], keepdims=0) for w in weights]
    most = heard[0] if len(heard) == 1 else op.Max(*heard)
    attended = op.Cast(op.Greater(most, 0.0), to=_DOUBLE)  # (N, L)
    moved = op.Sub(rolled, same) if method.gradient else rolled
    total = op.Squeeze(op.MatMul(op.Unsqueeze(attended, [1]), moved), [1])
    return op.Div(total, op.Max(op.ReduceSum(attended, [1], keepdims=1), 1.0))


def _discard(method: AttentionRollout, op: Any, fused: Any, length: Any) -> Any:
    """Set the smallest entries of each sample to 0, but for the first token's for itself."""
    if not method.discard_ratio:
        return fused
    flat = op.Flatten(fused, axis=1)
    size = op.Cast(op.Mul(length, length), to=_DOUBLE)
    least = op.Cast(op.Floor(op.Mul(size, float(method.discard_ratio))), to=int(ir.DataType.INT64))
    one = op.const(np.array([1], np.int64))
    smallest, where = op.TopK(flat, op.Max(least, one), axis=1, largest=0, _outputs=2)
    gone = op.Where(op.Less(least, one), smallest, op.Mul(smallest, 0.0))  # none of so few entries
    kept = op.ScatterElements(flat, where, gone, axis=1)
    kept = op.Concat(op.slice(flat, 1, 0, 1), op.Slice(kept, [1], [2**31 - 1], [1]), axis=1)
    return op.Reshape(kept, op.Shape(fused))


def _over(
    frame: Frame, name: str, shape: tuple[int, ...], tokens: Any, left_out: int, where: int | Patches
) -> Any:
    """Give each feature its part of its token's number, (N, ...)."""
    op = frame.op
    own = op.Slice(tokens, [left_out], [2**31 - 1], [1]) if left_out else tokens
    first = frame.first(frame.value(name), frame.axis_of(name))
    if isinstance(where, Patches):
        picture = op.Reshape(own, [0, where.rows, -1])
        height, width = shape[where.first : where.first + 2]
        grid = (where.rows, width // where.side)
        wide = stretch(op, picture, grid, (height, width), "nearest")
        wide = op.Unsqueeze(wide, [1 if where.first == 2 else 3])
        parts = shape[1 if where.first == 2 else 3] * where.side**2
    else:
        parts = int(np.prod([d for k, d in enumerate(shape) if k not in (0, where)]))
        wide = op.Unsqueeze(own, [k for k in range(1, len(shape)) if k != where])
        if len(shape) == 2:
            wide = own
    return op.Expand(op.Div(wide, float(parts)), op.Shape(first))
