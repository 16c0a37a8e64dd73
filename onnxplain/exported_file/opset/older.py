"""How nodes are written in the version of their operator before the one that they are in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import onnx_ir as ir

from onnxplain.graph import facts
from onnxplain.graph.build import Ops
from onnxplain.graph.replace import take_place

__all__ = ["OF_ANY_TYPE", "REWRITINGS", "Step"]

#: Rewrites a node, with an emitter that writes before it.
Step: TypeAlias = "Callable[[Ops], None]"
#: What can be done with a node: a step, or why there is none.
Rewriting: TypeAlias = "Callable[[ir.Node], Step | str]"


def _swap(node: ir.Node, made: Sequence[ir.Value]) -> None:
    """Let what was written before a node stand in its place."""
    for old, new in zip(node.outputs, made, strict=True):
        take_place(old, new)
    graph = node.graph
    assert graph is not None
    graph.remove(node, safe=True)


def _keep(op: Ops) -> None:
    """Leave a node as it is."""


def _set(node: ir.Node, inputs: int, **attributes: ir.Attr | None) -> Step:
    """Return a step that keeps a node's first inputs, and sets or removes attributes."""

    def step(op: Ops) -> None:
        for k in range(inputs, len(node.inputs)):
            node.replace_input_with(k, None)
        node.resize_inputs(min(inputs, len(node.inputs)))
        for name, attribute in attributes.items():
            node.attributes.pop(name, None)
            if attribute is not None:
                node.attributes[name] = attribute

    return step


def _integers(node: ir.Node, place: int) -> list[int] | None:
    """Return what a constant input holds; None if it is computed."""
    content = facts.constant(node.inputs[place])
    return None if content is None else [int(v) for v in content.ravel()]


def _given(node: ir.Node, place: int) -> bool:
    return len(node.inputs) > place and node.inputs[place] is not None


def _axes(node: ir.Node) -> Step | str:
    """Axes were an attribute (Squeeze, Unsqueeze)."""
    if not _given(node, 1):
        return _keep
    axes = _integers(node, 1)
    return "its axes are computed" if axes is None else _set(node, 1, axes=ir.AttrInt64s("axes", axes))


def _reduced(node: ir.Node) -> Step | str:
    """Axes were an attribute, and none meant all."""
    axes = _integers(node, 1) if _given(node, 1) else []
    if axes is None:
        return "its axes are computed"
    if axes:
        return _set(node, 1, axes=ir.AttrInt64s("axes", axes), noop_with_empty_axes=None)
    if not facts.attr(node, "noop_with_empty_axes", 0):
        return _set(node, 1, noop_with_empty_axes=None)
    if node.op_type not in ("ReduceSum", "ReduceMax", "ReduceMin", "ReduceMean", "ReduceProd"):
        return "it reduces no axis"
    return lambda op: _swap(node, [op.Identity(node.inputs[0], _fold=False)])


def _split_evenly(node: ir.Node) -> Step | str:
    """Parts were counted by the outputs, and all alike unless their lengths were given."""
    if _given(node, 1):
        return _set(node, 2, num_outputs=None)
    value, parts = node.inputs[0], len(node.outputs)
    axis = facts.attr(node, "axis", 0)
    assert value is not None
    assert isinstance(axis, int)
    length = facts.static_dim(value, axis)
    if length is None:
        return "the length that it splits is not known"
    if length % parts == 0:
        return _set(node, 1, num_outputs=None)
    each = -(-length // parts)

    def step(op: Ops) -> None:
        lengths = [each] * (parts - 1) + [length - each * (parts - 1)]
        made = op.Split(value, lengths, axis=axis, _outputs=parts, _fold=False)
        _swap(node, made)

    return step if length > each * (parts - 1) else "it has parts of no length"


def _lengths(node: ir.Node) -> Step | str:
    """Lengths of parts were an attribute."""
    if not _given(node, 1):
        return _keep
    lengths = _integers(node, 1)
    if lengths is None:
        return "its lengths are computed"
    return _set(node, 1, split=ir.AttrInt64s("split", lengths))


def _pad(node: ir.Node) -> Step | str:
    """All axes were padded, or with 0."""
    if not _given(node, 3):
        return _set(node, 3)
    data = node.inputs[0]
    axes, pads = _integers(node, 3), _integers(node, 1)
    rank = None if data is None else facts.rank(data)
    if axes is None or pads is None or rank is None:
        return "its axes are computed"
    whole = np.zeros((2, rank), np.int64)
    whole[:, [a % rank for a in axes]] = np.reshape(pads, (2, len(axes)))

    def step(op: Ops) -> None:
        node.replace_input_with(1, op.const(whole.ravel()))
        _set(node, 3)(op)

    return step


def _last_axis(node: ir.Node) -> Step | str:
    """All axes from one on were taken as one: the same for the last alone."""
    data = node.inputs[0]
    rank = None if data is None else facts.rank(data)
    axis = facts.attr(node, "axis", -1)
    assert isinstance(axis, int)
    if rank is None:
        return "its number of axes is not known"
    axis %= max(rank, 1)
    if axis == rank - 1:
        return _set(node, 1, axis=ir.AttrInt64("axis", axis))
    order = [k for k in range(rank) if k != axis] + [axis]

    def step(op: Ops) -> None:
        turned = op.Transpose(data, perm=order, _fold=False)
        made = op.emit(node.op_type, [turned], {"axis": rank - 1, "_fold": False})
        back = [int(k) for k in np.argsort(order)]
        _swap(node, [op.Transpose(made, perm=back, _fold=False)])

    return step


def _per_tensor(node: ir.Node) -> Step | str:
    """There was one scale for all."""
    scale = node.inputs[1]
    if scale is None or facts.rank(scale) != 0:
        return "its scales lie along an axis"
    return _set(node, 3, axis=None)


def _shape(node: ir.Node) -> Step | str:
    """All lengths were told."""
    start, end = facts.attr(node, "start", 0), facts.attr(node, "end")
    if not start and end is None:
        return _set(node, 1, start=None)

    def step(op: Ops) -> None:
        stop = np.iinfo(np.int64).max if end is None else end
        whole = op.Shape(node.inputs[0], _fold=False)
        _swap(node, [op.Slice(whole, [start], [stop], [0], _fold=False)])

    return step


def _reshape(node: ir.Node) -> Step | str:
    """Lengths of 0 always meant those that were there."""
    lengths = _integers(node, 1)
    if not facts.attr(node, "allowzero", 0) or (lengths is not None and 0 not in lengths):
        return _set(node, 2, allowzero=None)
    return "its lengths may be 0 (allowzero)"


def _grid_sample(node: ir.Node) -> Step | str:
    """Modes had other names, and there were images alone."""
    names = {"linear": "bilinear", "cubic": "bicubic", "nearest": "nearest"}
    data = node.inputs[0]
    if data is None or facts.rank(data) != 4:
        return "its input has no two spatial axes"
    mode = names[str(facts.attr(node, "mode", "linear"))]
    return _set(node, 2, mode=ir.AttrString("mode", mode))


def _transform_axis(node: ir.Node) -> Step | str:
    """One attribute was the axis, by default the second."""
    axis = [-2] if not _given(node, 2) else _integers(node, 2)
    data = node.inputs[0]
    rank = None if data is None else facts.rank(data)
    if axis is None or rank is None:
        return "its axis is computed"
    return _set(node, 2, axis=ir.AttrInt64("axis", axis[0] % rank))


def _resize(node: ir.Node) -> Step | str:
    """Region and scales were never left out."""

    def step(op: Ops) -> None:
        node.resize_inputs(max(3, len(node.inputs)))
        for k in (1, 2):
            if node.inputs[k] is None:
                node.replace_input_with(k, op.const(np.zeros(0, np.float32)))

    return step


def _regions(node: ir.Node) -> Step | str:
    """Coordinates were not moved by half a pixel."""
    if facts.attr(node, "coordinate_transformation_mode", "half_pixel") != "output_half_pixel":
        return "its coordinates are moved by half a pixel"
    return _set(node, 3, coordinate_transformation_mode=None)


def _extreme(node: ir.Node) -> Step | str:
    """Whole numbers were compared, not taken the larger of."""
    if node.outputs[0].dtype in facts.FLOATS:
        return _keep
    if node.outputs[0].dtype not in facts.INTEGERS or None in node.inputs:
        return "it compares no numbers"
    compare = "Greater" if node.op_type == "Max" else "Less"

    def step(op: Ops) -> None:
        found: Any = node.inputs[0]
        for other in node.inputs[1:]:
            test = op.emit(compare, [found, other], {"_fold": False})
            found = op.Where(test, found, other, _fold=False)
        _swap(node, [op.Identity(found, _fold=False) if found is node.inputs[0] else found])

    return step


def _other_meaning(node: ir.Node) -> str:
    """Refuse what means something else."""
    return "its inputs mean something else there"


_REDUCTIONS = "L1 L2 LogSum LogSumExp Max Mean Min Prod SumSquare".split()

#: By operator and the version that is left: how a node is written in the one before.
REWRITINGS: dict[tuple[str, int], Rewriting] = {
    **{(f"Reduce{name}", 18): _reduced for name in _REDUCTIONS},
    ("ReduceSum", 13): _reduced,
    ("Squeeze", 13): _axes,
    ("Unsqueeze", 13): _axes,
    ("Split", 18): _split_evenly,
    ("Split", 13): _lengths,
    ("Pad", 18): _pad,
    **{(name, 13): _last_axis for name in ("Softmax", "LogSoftmax", "Hardmax")},
    ("QuantizeLinear", 13): _per_tensor,
    ("DequantizeLinear", 13): _per_tensor,
    ("Shape", 15): _shape,
    ("Reshape", 14): _reshape,
    ("GridSample", 20): _grid_sample,
    ("DFT", 20): _transform_axis,
    ("Resize", 13): _resize,
    ("RoiAlign", 16): _regions,
    ("Max", 12): _extreme,
    ("Min", 12): _extreme,
    ("GroupNormalization", 21): _other_meaning,
}

#: Those that see to types as well, which the version before does not take.
OF_ANY_TYPE = frozenset({("Max", 12), ("Min", 12)})
