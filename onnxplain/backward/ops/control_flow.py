"""If, Loop and Scan.

Their gradients are the same operators again: an If whose branches walk back through the branches, and a Loop
or Scan that runs the iterations from the last to the first.  What an iteration started from is saved by
running the loop once more; its inner values are computed again when it is walked back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from onnxplain.backward.emitter import Emitter
from onnxplain.backward.engine import between
from onnxplain.backward.registry import Category, collective
from onnxplain.backward.subgraph import inner_gradients, inside, paste_known, total
from onnxplain.backward.view import NodeView
from onnxplain.errors import UnsupportedOperatorError
from onnxplain.graph import facts
from onnxplain.graph.inline import finish_body

_LAST = -(1 << 62)


def _body(node: NodeView, name: str = "body") -> ir.Graph:
    return node.source.attributes[name].as_graph()


def _results(op: Emitter, op_type: str, inputs: Sequence[Any], n: int, **attrs: Any) -> list[ir.Value]:
    made = op.emit(op_type, inputs, {**attrs, "_outputs": n})
    values = [made] if isinstance(made, ir.Value) else list(made)
    body = next(a for a in attrs.values() if isinstance(a, ir.Graph))
    for value, inner in zip(values, body.outputs[op_type == "Loop" :], strict=True):
        value.type, value.shape = inner.type, None
    return values


def _formal(body: Emitter, name: str, dtype: ir.DataType | None, rank: int | None = None) -> ir.Value:
    """Add an input to a body."""
    value = ir.Value(name=f"{body.scope}/{name}", type=ir.TensorType(dtype or ir.DataType.FLOAT))
    if rank is not None:
        value.shape = ir.Shape([None] * rank)
    body.graph.inputs.append(value)
    return value


def _formal_like(body: Emitter, name: str, like: ir.Value, start: ir.Value | None = None) -> ir.Value:
    """Add an input to a body, shaped as what it stands for; of its start only the number of axes is sure."""
    value = _formal(body, name, like.dtype)
    rank = None if start is None else facts.rank(start)
    if like.shape is not None:
        value.shape = like.shape.copy()
    elif rank is not None:
        value.shape = ir.Shape([None] * rank)
    return value


def _formal_slice(body: Emitter, name: str, like: ir.Value, whole: ir.Value) -> ir.Value:
    """Add an input that takes the slices of a value along its first axis."""
    value, dims = _formal_like(body, name, like), facts.dims(whole)
    if value.shape is None and dims is not None:
        value.shape = ir.Shape(dims[1:])
    return value


def _gather_up(op: Emitter, pairs: Sequence[tuple[ir.Value | None, ir.Value]]) -> dict[ir.Value, ir.Value]:
    parts: dict[ir.Value, list[ir.Value]] = {}
    for value, part in pairs:
        if value is not None:
            parts.setdefault(value, []).append(part)
    return {v: total(op, p) for v, p in parts.items()}


@collective("If", Category.CONTROL_FLOW)
def if_(
    op: Emitter, node: NodeView, needed: Sequence[ir.Value], /, *gradients: Any
) -> Mapping[ir.Value, ir.Value]:
    """Walk back through the branch that the condition picks."""
    branches: dict[str, ir.Graph] = {}
    for name in ("then_branch", "else_branch"):
        body = inside(op, name)
        outputs = paste_known(body, _body(node, name), [])
        found = inner_gradients(body, zip(outputs, gradients, strict=True), needed)
        branches[name] = finish_body(body.graph, found, body.scope)
    if not needed:
        return {}
    return dict(zip(needed, _results(op, "If", [node.x], len(needed), **branches), strict=True))


@dataclass(frozen=True)
class _Saved:
    """The states that each iteration started from."""

    values: ir.Value
    stacked: bool
    like: ir.Value

    def at(self, op: Emitter, index: ir.Value) -> ir.Value:
        """Return the state of one iteration."""
        pick = op.Gather if self.stacked else op.SequenceAt
        value: ir.Value = pick(self.values, index)
        value.type = ir.TensorType(self.like.dtype or ir.DataType.FLOAT)
        return op.annotate(value, self.like)


@collective("Loop", Category.CONTROL_FLOW)
def loop(
    op: Emitter, node: NodeView, needed: Sequence[ir.Value], /, *gradients: Any
) -> Mapping[ir.Value, ir.Value]:
    """Save the states by running the loop once more, then walk back from the last iteration that ran."""
    body = _body(node)
    n = len(node.inputs) - 2
    for value in (*body.inputs, *body.outputs):
        if isinstance(value.type, (ir.SequenceType, ir.OptionalType)):
            raise UnsupportedOperatorError(
                f"{node.label}: its state '{value.name}' is a sequence, for which there is no gradient; let "
                "the loop return a scan output instead, or explain an inner value behind it (wrt=...)"
            )
    saved, trips = _run_again(op, node, body, n)
    inner = inside(op, "reversed")
    step = _formal(inner, "step", ir.DataType.INT64, 0)
    _formal(inner, "go_on", ir.DataType.BOOL, 0)
    captured = [v for v in needed if _is_captured(v, body)]
    floats = _varying(body, body.inputs[2:], body.outputs[1 : 1 + n], node.inputs[2:], needed, captured)
    d_states = {k: _formal_like(inner, f"d_state_{k}", saved[k].like) for k in floats}
    sums = [_formal_like(inner, f"d_captured_{k}", v) for k, v in enumerate(captured)]
    index = inner.Sub(inner.Sub(trips, inner.const(np.int64(1))), step)
    states = [s.at(inner, index) for s in saved]
    outputs = paste_known(inner, body, [index, inner.const(np.array(True)), *states])
    seeds: list[tuple[ir.Value, ir.Value | None]] = [(outputs[1 + k], d_states[k]) for k in floats]
    for output, g in zip(outputs[1 + n :], gradients[n:], strict=True):
        if g is not None:
            part = inner.Gather(g, index, axis=0)
            seeds.append((output, inner.annotate(part, output)))
    found = inner_gradients(inner, seeds, [*(states[k] for k in floats), *captured])
    parts = found[len(floats) :]
    more = [inner.annotate(inner.Add(a, p), a) for a, p in zip(sums, parts, strict=True)]
    finish_body(inner.graph, [inner.const(np.array(True)), *found[: len(floats)], *more], inner.scope)
    start = [op.zeros_like(node.outputs[k]) if gradients[k] is None else gradients[k] for k in floats]
    start += [op.zeros_like(v) for v in captured]
    if not start:
        return {}
    always = op.const(np.array(True))  # could be left out, but not every runtime knows
    ends = _results(op, "Loop", [trips, always, *start], len(start), body=inner.graph)
    targets = [*(node.inputs[2 + k] for k in floats), *captured]
    return _gather_up(op, list(zip(targets, ends, strict=True)))


def _varying(
    body: ir.Graph,
    states: Sequence[ir.Value],
    results: Sequence[ir.Value],
    starts: Sequence[ir.Value | None],
    needed: Sequence[ir.Value],
    others: Sequence[ir.Value],
) -> list[int]:
    """Return the states of a loop that depend on the needed values, from the start or after some steps."""
    varying = {k for k, start in enumerate(starts) if start in needed}
    while True:
        _, reached = between(body, [], [*(states[k] for k in varying), *others])
        more = {k for k, v in enumerate(results) if v in reached} - varying
        if not more:
            return sorted(k for k in varying if facts.is_float(results[k]))
        varying |= more


def _is_captured(value: ir.Value, body: ir.Graph) -> bool:
    """Whether a body uses a value of the outer graph."""
    for node in body.all_nodes():
        if any(i is value for i in node.inputs):
            return True
    return any(o is value for o in body.outputs)


def _run_again(op: Emitter, node: NodeView, body: ir.Graph, n: int) -> tuple[list[_Saved], ir.Value]:
    """Run a Loop again to save its states.

    A state that keeps its shape is saved as a scan output, others in a sequence.
    """
    first = [node.input(2 + k) for k in range(n)]
    stacked = [facts.same_shape(facts.dims(v), facts.dims(body.outputs[1 + k])) for k, v in enumerate(first)]
    inner = inside(op, "saving")
    index, go_on = _formal(inner, "step", ir.DataType.INT64, 0), _formal(inner, "go_on", ir.DataType.BOOL, 0)
    states = [_formal_like(inner, f"state_{k}", body.outputs[1 + k], first[k]) for k in range(n)]
    lists, longer = [], []
    for k, state in enumerate(states):
        if stacked[k]:
            continue
        dtype = ir.TensorType(state.dtype or ir.DataType.FLOAT)
        held = ir.Value(name=f"{inner.scope}/list_{k}", type=ir.SequenceType(dtype))
        lists.append(held)
        inner.graph.inputs.append(held)
    outputs = paste_known(inner, body, [index, go_on, *states])
    grown = iter(lists)
    for k, state in enumerate(states):
        if not stacked[k]:
            held = next(grown)
            made = inner.SequenceInsert(held, state)
            made.type, made.shape = held.type, None
            longer.append(made)
    scans = [state for k, state in enumerate(states) if stacked[k]]
    finish_body(inner.graph, [*outputs[: 1 + n], *longer, *scans, index], inner.scope)
    empty = []
    for k, state in enumerate(states):
        if not stacked[k]:
            made = op.SequenceEmpty(dtype=int(state.dtype or ir.DataType.FLOAT))
            made.type = ir.SequenceType(ir.TensorType(state.dtype or ir.DataType.FLOAT))
            empty.append(made)
    total_outputs = n + len(longer) + len(scans) + 1
    made_all = _results(op, "Loop", [*node.inputs, *empty], total_outputs, body=inner.graph)
    in_lists, in_scans = iter(made_all[n : n + len(longer)]), iter(made_all[n + len(longer) :])
    saved = []
    for k, state in enumerate(states):
        values = next(in_scans) if stacked[k] else next(in_lists)
        values.shape = None
        saved.append(_Saved(values, stacked[k], state))
    counted = made_all[-1]
    counted.type, counted.shape = ir.TensorType(ir.DataType.INT64), ir.Shape([None])
    trips = op.Squeeze(op.Shape(counted), [0])
    trips.shape = ir.Shape([])
    return saved, trips


@collective("Scan", Category.CONTROL_FLOW)
def scan(
    op: Emitter, node: NodeView, needed: Sequence[ir.Value], /, *gradients: Any
) -> Mapping[ir.Value, ir.Value]:
    """Save the states by running the scan once more, then scan back over states, inputs and gradients."""
    body = _body(node)
    n_in = node.int("num_scan_inputs", 0)
    n = len(node.inputs) - n_in
    xs = [_aligned(op, node, node.input(n + k), k, "scan_input", body.inputs[n + k]) for k in range(n_in)]
    saved = _scan_again(op, node, body, n, xs)
    inner = inside(op, "reversed")
    captured = [v for v in needed if _is_captured(v, body)]
    scanned = [v for v, x in zip(body.inputs[n:], node.inputs[n:], strict=True) if x in needed]
    floats = _varying(body, body.inputs[:n], body.outputs[:n], node.inputs[:n], needed, [*captured, *scanned])
    d_states = {k: _formal_like(inner, f"d_state_{k}", body.outputs[k], node.inputs[k]) for k in floats}
    sums = [_formal_like(inner, f"d_captured_{k}", v) for k, v in enumerate(captured)]
    states = [_formal_like(inner, f"state_{k}", body.outputs[k], node.inputs[k]) for k in range(n)]
    slices = [_formal_slice(inner, f"slice_{k}", body.inputs[n + k], xs[k]) for k in range(n_in)]
    asked = [(k, g) for k, g in enumerate(gradients[n:]) if g is not None]
    d_slices = [_formal_like(inner, f"d_scan_{k}", body.outputs[n + k]) for k, _ in asked]
    outputs = paste_known(inner, body, [*states, *slices])
    seeds: list[tuple[ir.Value, ir.Value | None]] = [(outputs[k], d_states[k]) for k in floats]
    seeds += [(outputs[n + k], d) for (k, _), d in zip(asked, d_slices, strict=True)]
    wanted = [k for k in range(n_in) if node.inputs[n + k] in needed]
    found = inner_gradients(
        inner, seeds, [*(states[k] for k in floats), *captured, *(slices[k] for k in wanted)]
    )
    a, b = len(floats), len(floats) + len(captured)
    more = [inner.annotate(inner.Add(s, p), s) for s, p in zip(sums, found[a:b], strict=True)]
    finish_body(inner.graph, [*found[:a], *more, *found[b:]], inner.scope)
    start = [op.zeros_like(node.outputs[k]) if gradients[k] is None else gradients[k] for k in floats]
    start += [op.zeros_like(v) for v in captured]
    gs = [_aligned(op, node, g, k, "scan_output", body.outputs[n + k]) for k, g in asked]
    flipped = [_flip(op, v) for v in (*saved, *xs, *gs)]
    ends = _results(
        op, "Scan", [*start, *flipped], b + len(wanted), body=inner.graph, num_scan_inputs=len(flipped)
    )
    back = [
        _misaligned(op, node, _flip(op, d), k, body.inputs[n + k])
        for k, d in zip(wanted, ends[b:], strict=True)
    ]
    targets = [*(node.inputs[k] for k in floats), *captured, *(node.inputs[n + k] for k in wanted)]
    return _gather_up(op, list(zip(targets, [*ends[:b], *back], strict=True)))


def _scan_again(
    op: Emitter, node: NodeView, body: ir.Graph, n: int, xs: Sequence[ir.Value]
) -> list[ir.Value]:
    """Run a Scan again, and return the states that the iterations started from."""
    if n == 0:
        return []
    inner = inside(op, "saving")
    states = [_formal_like(inner, f"state_{k}", body.outputs[k], node.inputs[k]) for k in range(n)]
    slices = [_formal_slice(inner, f"slice_{k}", v, xs[k]) for k, v in enumerate(body.inputs[n:])]
    outputs = paste_known(inner, body, [*states, *slices])
    finish_body(inner.graph, [*outputs[:n], *states], inner.scope)
    made = _results(op, "Scan", [*node.inputs[:n], *xs], 2 * n, body=inner.graph, num_scan_inputs=len(xs))
    for value, state in zip(made[n:], states, strict=True):
        value.type, value.shape = state.type, None
    return made[n:]


def _layout(node: NodeView, kind: str, k: int, rank: int | None) -> tuple[int, bool]:
    axes, directions = node.ints(f"{kind}_axes", ()), node.ints(f"{kind}_directions", ())
    axis = axes[k] if k < len(axes) else 0
    if axis and rank is None:
        raise UnsupportedOperatorError(
            f"{node.label}: it scans along axis {axis} of a value whose number of axes is unknown; run "
            "onnx.shape_inference on the model, or export it again with static ranks"
        )
    return (axis % rank if rank else 0), bool(k < len(directions) and directions[k])


def _rank(value: ir.Value, piece: ir.Value) -> int | None:
    rank, inner = facts.rank(value), facts.rank(piece)
    return rank if rank is not None else None if inner is None else inner + 1


def _aligned(op: Emitter, node: NodeView, value: ir.Value, k: int, kind: str, piece: ir.Value) -> ir.Value:
    """Bring what is scanned into the order of the iterations, along axis 0."""
    rank = _rank(value, piece)
    axis, reverse = _layout(node, kind, k, rank)
    if axis:
        assert rank is not None
        value = op.move_axis(value, rank, axis, 0)
    return _flip(op, value) if reverse else value


def _misaligned(op: Emitter, node: NodeView, value: ir.Value, k: int, piece: ir.Value) -> ir.Value:
    """Undo :func:`_aligned` for the gradient of an input."""
    rank = _rank(node.input(len(node.inputs) - node.int("num_scan_inputs", 0) + k), piece)
    axis, reverse = _layout(node, "scan_input", k, rank)
    if reverse:
        value = _flip(op, value)
    if axis:
        assert rank is not None
        value = op.move_axis(value, rank, 0, axis)
    return value


def _flip(op: Emitter, value: ir.Value) -> ir.Value:
    return op.annotate(op.slice(value, 0, -1, _LAST, -1), value)
