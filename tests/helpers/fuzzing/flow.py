"""How to draw recurrent operators, and operators with bodies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from .sketch import Value

if TYPE_CHECKING:
    from .sketch import Sketch

_GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def recurrent(s: Sketch, op: str) -> Value:
    """A layer over (N, T, F), one of its outputs back with the batch first."""
    time, features, hidden = s.pick(2, 3, 1), s.pick(2, 3), s.pick(2, 1, 3)
    x = s.node("Transpose", s.sized(time, features), perm=[1, 0, 2])
    direction = s.pick("forward", "reverse", "bidirectional")
    d, gates = (2 if direction == "bidirectional" else 1), _GATES[op]
    inputs: list[Value | None] = [
        s.floats(d, gates * hidden, features, scale=0.7),
        s.floats(d, gates * hidden, hidden, scale=0.7),
    ]
    if s.pick(False, True):
        inputs.append(s.floats(d, 2 * gates * hidden, scale=0.5))
    extra: dict[str, Any] = {}
    if op == "GRU":
        extra["linear_before_reset"] = s.pick(0, 1)
    outputs = s.nodes_of(
        op, x, *inputs, outputs=3 if op == "LSTM" else 2, hidden_size=hidden, direction=direction, **extra
    )
    made = outputs[s.pick(0, 1)]
    rank = made.rank  # (T, D, N, H), or (D, N, H)
    return s.node("Transpose", made, perm=[rank - 2, *range(rank - 2), rank - 1])


def _info(name: str, shape: Any, dtype: int = onnx.TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return onnx.helper.make_tensor_value_info(name, dtype, shape)


def _dims(s: Sketch, sample: tuple[int, ...]) -> list[Any]:
    return ["N" if s.fixed is None else s.fixed, *sample]


def _chain(s: Sketch, start: str, other: str | None, end: str, prefix: str) -> list[onnx.NodeProto]:
    """Return one to three nodes from a value to another, by way of a second one if there is one."""
    nodes, at = [], start
    if other is not None:
        at = f"{prefix}_with"
        nodes.append(onnx.helper.make_node(s.pick("Mul", "Add", "Max", "Sub"), [start, other], [at]))
    for k in range(s.number(0, 1)):
        nodes.append(onnx.helper.make_node(s.pick("Sigmoid", "Sin", "Abs"), [at], [f"{prefix}_{k}"]))
        at = f"{prefix}_{k}"
    nodes.append(onnx.helper.make_node(s.pick("Tanh", "Softsign", "Relu"), [at], [end]))
    return nodes


def if_(s: Sketch, op: str) -> Value:
    """Two branches over values of the outer graph; the condition is an input, or constant."""
    x = s.value()
    other = s.partner(x) if s.pick(False, True) else None
    # a branch's result must not broadcast to another shape than x's
    if other is not None and np.broadcast_shapes(other.array.shape, x.array.shape) != x.array.shape:
        other = None
    name = None if other is None else other.name
    cond = s.flag() if s.pick(False, True) else s.constant(np.array(s.pick(True, False)))
    tag = s._name("if")
    bodies = {
        f"{which}_branch": onnx.helper.make_graph(
            _chain(s, x.name, name, f"{tag}_{which}", f"{tag}_{which}i"),
            which,
            [],
            [_info(f"{tag}_{which}", _dims(s, x.sample))],
        )
        for which in ("then", "else")
    }
    return s.node(op, cond, **bodies)


def loop(s: Sketch, op: str) -> Value:
    """A few steps of a state, beside a value of the outer graph; the last state, or all of them."""
    x = s.ranked(s.pick(2, 3))
    other = s.sized(*x.sample) if s.pick(False, True) else None
    tag = s._name("loop")
    name = None if other is None else other.name
    chain, dims = _chain(s, f"{tag}_h", name, f"{tag}_k", f"{tag}_i"), _dims(s, x.sample)
    body = onnx.helper.make_graph(
        [
            onnx.helper.make_node("Identity", [f"{tag}_go"], [f"{tag}_on"]),
            *chain,
            onnx.helper.make_node("Identity", [f"{tag}_k"], [f"{tag}_s"]),
        ],
        "body",
        [
            _info(f"{tag}_step", [], onnx.TensorProto.INT64),
            _info(f"{tag}_go", [], onnx.TensorProto.BOOL),
            _info(f"{tag}_h", dims),
        ],
        [_info(f"{tag}_on", [], onnx.TensorProto.BOOL), _info(f"{tag}_k", dims), _info(f"{tag}_s", dims)],
    )
    count, go = s.constant(np.int64(s.pick(2, 1, 3))), s.constant(np.array(True))
    last, all_ = s.nodes_of(op, count, go, x, outputs=2, body=body)
    # as exporters write it: inference alone does not tell that a state keeps its shape
    s.infos += [_info(last.name, dims), _info(all_.name, [None, *dims])]
    if s.pick(True, False):
        return last
    return s.node("Transpose", all_, perm=[1, 0, *range(2, all_.rank)])


def scan(s: Sketch, op: str) -> Value:
    """Along the second axis, with a state."""
    features = s.pick(2, 3)
    x = s.sized(s.pick(2, 3, 1), features)
    start = s.sized(features)
    tag, dims = s._name("scan"), _dims(s, (features,))
    body = onnx.helper.make_graph(
        [
            *_chain(s, f"{tag}_h", f"{tag}_x", f"{tag}_k", f"{tag}_i"),
            onnx.helper.make_node("Identity", [f"{tag}_k"], [f"{tag}_y"]),
        ],
        "body",
        [_info(f"{tag}_h", dims), _info(f"{tag}_x", dims)],
        [_info(f"{tag}_k", dims), _info(f"{tag}_y", dims)],
    )
    turned = s.pick(0, 1)
    last, all_ = s.nodes_of(
        op, start, x, outputs=2, body=body, num_scan_inputs=1,
        scan_input_axes=[1], scan_input_directions=[turned], scan_output_axes=[1],
    )  # fmt: skip
    return s.pick(last, all_)
