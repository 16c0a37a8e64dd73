"""LSTM, GRU and RNN in standard operators: one matrix product for all steps, a Scan for what is recurrent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np
import onnx_ir as ir

from onnxplain.errors import UnsupportedOperatorError
from onnxplain.graph import facts
from onnxplain.graph.build import Ops
from onnxplain.graph.inline import finish_body

__all__ = ["RECURRENT", "write_recurrent"]

#: The operators, and their number of gates.
RECURRENT = {"LSTM": 4, "GRU": 3, "RNN": 1}

#: Sequences whose length is known and no longer than this are written out step by step, without a Scan.
UNROLLED = 4

_DEFAULTS = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",)}
_LAST = -(1 << 62)

Activation: TypeAlias = "Callable[[Any, Any], Any]"  # of the writer and the value

Rounding: TypeAlias = "Callable[[Any, Any], Any]"  # of the writer and the value

#: By lower-case name: default alpha and beta (None: has no such parameter), and how to write it.
_ACTIVATIONS: dict[str, tuple[float | None, float | None, Callable[[Any, Any, float, float], Any]]] = {
    "sigmoid": (None, None, lambda op, x, a, b: op.Sigmoid(x)),
    "tanh": (None, None, lambda op, x, a, b: op.Tanh(x)),
    "relu": (None, None, lambda op, x, a, b: op.Relu(x)),
    "softsign": (None, None, lambda op, x, a, b: op.Softsign(x)),
    "softplus": (None, None, lambda op, x, a, b: op.Softplus(x)),
    "leakyrelu": (0.01, None, lambda op, x, a, b: op.LeakyRelu(x, alpha=a)),
    "thresholdedrelu": (1.0, None, lambda op, x, a, b: op.ThresholdedRelu(x, alpha=a)),
    "elu": (1.0, None, lambda op, x, a, b: op.Elu(x, alpha=a)),
    "hardsigmoid": (0.2, 0.5, lambda op, x, a, b: op.HardSigmoid(x, alpha=a, beta=b)),
    "scaledtanh": (1.0, 1.0, lambda op, x, a, b: op.Mul(op.Tanh(op.Mul(x, b)), a)),
    "affine": (1.0, 0.0, lambda op, x, a, b: op.Add(op.Mul(x, a), b)),
}


@dataclass
class _Cell:
    """One direction of a recurrent node."""

    node: ir.Node
    hidden: int
    batch: facts.Dim
    activations: Sequence[Activation]
    recurrence: ir.Value  # R transposed, (hidden, gates * hidden)
    recurrence_bias: (
        ir.Value | None
    )  # (gates * hidden,), of the GRU's candidate, which cannot be added before
    peepholes: tuple[ir.Value, ...]  # i, o, f
    rounding: Rounding | None = None

    def act(self, op: Ops, which: int, x: ir.Value) -> ir.Value:
        """Clip and apply an activation."""
        clip = facts.attr(self.node, "clip")
        if isinstance(clip, float) and clip > 0:
            x = op.Clip(x, -clip, clip)
        return cast("ir.Value", self.activations[which](op, x))

    def product(
        self, op: Ops, h: ir.Value, matrix: ir.Value, width: int, bias: ir.Value | None = None
    ) -> ir.Value:
        """Multiply by a recurrence matrix."""
        if self.rounding is not None:
            h = op.annotate(self.rounding(op, h), h)
        if bias is not None and facts.is_constant(bias):
            made = op.Gemm(h, matrix, bias)
        else:  # a bias that varies is an operand like others
            made = op.MatMul(h, matrix) if bias is None else op.Add(op.MatMul(h, matrix), bias)
        return _shaped(made, self.batch, width * self.hidden)

    def split(self, op: Ops, x: ir.Value, parts: int) -> list[ir.Value]:
        """Cut the gates apart."""
        made = op.Split(x, [self.hidden] * parts, axis=-1, _outputs=parts)
        return [_shaped(v, self.batch, self.hidden) for v in made]

    def step(self, op: Ops, x: ir.Value, states: Sequence[ir.Value]) -> list[ir.Value]:
        """Return the next states."""
        return _STEPS[_kind(self.node)](self, op, x, states)


def _kind(node: ir.Node) -> str:
    return node.op_type.removeprefix("DynamicQuantize")


def _lstm(cell: _Cell, op: Ops, x: ir.Value, states: Sequence[ir.Value]) -> list[ir.Value]:
    h, c = states
    i, o, f, g = cell.split(op, op.Add(x, cell.product(op, h, cell.recurrence, 4)), 4)
    if cell.peepholes:
        i = op.Add(i, op.Mul(c, cell.peepholes[0]))
        f = op.Add(f, op.Mul(c, cell.peepholes[2]))
    i = cell.act(op, 0, i)
    forget = op.Sub(1.0, i) if facts.attr(cell.node, "input_forget", 0) else cell.act(op, 0, f)
    c = op.Add(op.Mul(forget, c), op.Mul(i, cell.act(op, 1, g)))
    if cell.peepholes:
        o = op.Add(o, op.Mul(c, cell.peepholes[1]))
    return [op.Mul(cell.act(op, 0, o), cell.activations[2](op, c)), c]


def _gru(cell: _Cell, op: Ops, x: ir.Value, states: Sequence[ir.Value]) -> list[ir.Value]:
    (h,) = states
    if facts.attr(cell.node, "linear_before_reset", 0):
        xz, xr, xh = cell.split(op, x, 3)
        products = cell.product(op, h, cell.recurrence, 3, cell.recurrence_bias)
        hz, hr, hh = cell.split(op, products, 3)
        z, r = cell.act(op, 0, op.Add(xz, hz)), cell.act(op, 0, op.Add(xr, hr))
        candidate = cell.act(op, 1, op.Add(xh, op.Mul(r, hh)))
    else:
        matrices = op.Split(cell.recurrence, [2 * cell.hidden, cell.hidden], axis=-1, _outputs=2)
        for matrix, width in zip(matrices, (2, 1), strict=True):
            matrix.shape = ir.Shape([cell.hidden, width * cell.hidden])
        xzr, xh = op.Split(x, [2 * cell.hidden, cell.hidden], axis=-1, _outputs=2)
        _shaped(xzr, cell.batch, 2 * cell.hidden), _shaped(xh, cell.batch, cell.hidden)
        z, r = cell.split(op, op.Add(xzr, cell.product(op, h, matrices[0], 2)), 2)
        z, r = cell.act(op, 0, z), cell.act(op, 0, r)
        candidate = cell.act(op, 1, op.Add(xh, cell.product(op, op.Mul(r, h), matrices[1], 1)))
    return [op.Add(op.Mul(op.Sub(1.0, z), candidate), op.Mul(z, h))]


def _rnn(cell: _Cell, op: Ops, x: ir.Value, states: Sequence[ir.Value]) -> list[ir.Value]:
    return [cell.act(op, 0, op.Add(x, cell.product(op, states[0], cell.recurrence, 1)))]


_STEPS: dict[str, Callable[[_Cell, Ops, ir.Value, Sequence[ir.Value]], list[ir.Value]]] = {
    "LSTM": _lstm,
    "GRU": _gru,
    "RNN": _rnn,
}


def write_recurrent(
    op: Ops, node: ir.Node, inputs: Sequence[ir.Value | None], rounding: Rounding | None = None
) -> list[ir.Value]:
    """Write a recurrent node in standard operators.

    Parameters
    ----------
    op
        Where to write.
    node
        LSTM, GRU or RNN; its attributes are read.
    inputs
        Its inputs, or stand-ins for them.
    rounding
        What is done to whatever is multiplied by a weight (the fake quantisation of DynamicQuantizeLSTM).

    Returns
    -------
    list of ir.Value
        ``Y``, ``Y_h``, and for LSTM ``Y_c``, in the node's layout.

    Raises
    ------
    UnsupportedOperatorError
        If the hidden size is unknown or an activation is.
    """
    padded: list[Any] = [*inputs, *[None] * (8 - len(inputs))]
    x, w, r, b, lens, *start = padded
    assert x is not None
    assert w is not None
    assert r is not None
    hidden = facts.attr(node, "hidden_size", facts.static_dim(r, 2))
    if not isinstance(hidden, int):
        raise UnsupportedOperatorError(
            f"{facts.node_label(node)}: its hidden size is unknown; export the model with hidden_size set"
        )
    n_states = 2 if _kind(node) == "LSTM" else 1
    batch_first = bool(facts.attr(node, "layout", 0))
    if batch_first:
        x = op.Transpose(x, perm=[1, 0, 2])
        start = [
            v if v is None or k >= n_states else op.Transpose(v, perm=[1, 0, 2]) for k, v in enumerate(start)
        ]
    shape = facts.dims(x) or (None, None, None)
    batch = shape[1] if shape[1] is not None else op.fresh("batch")
    steps = shape[0] if shape[0] is not None else op.fresh("steps")
    direction = str(facts.attr(node, "direction", "forward"))
    n_directions = 2 if direction == "bidirectional" else 1
    activations = _activations(node, n_directions)
    if rounding is not None:
        x = op.annotate(rounding(op, x), x)
    if lens is not None:
        lens = op.Cast(lens, to=int(ir.DataType.INT64))
    ys: list[ir.Value] = []
    ends: list[list[ir.Value]] = []
    for d in range(n_directions):
        cell, offset = _cell(op, node, d, hidden, batch, activations[d], r, b, start[2])
        cell.rounding = rounding
        turned = direction == "reverse" or d == 1
        x_d = _turn(op, x, lens) if turned else x
        gates = _gates(op, x_d, op.Transpose(_pick(op, w, d), perm=[1, 0]), offset, facts.static_dim(w, 2))
        gates.shape = ir.Shape([steps, batch, RECURRENT[_kind(node)] * hidden])
        first = [_first(op, x, start[k], d, hidden, batch) for k in range(n_states)]
        mask = None if lens is None else _mask(op, x, lens)
        y, last = _iterate(op, cell, gates, mask, first, steps)
        ys.append(_turn(op, y, lens) if turned else y)
        ends.append(last)
    return _layout(op, ys, ends, batch_first, (steps, batch, hidden))


def _gates(op: Ops, x: ir.Value, matrix: ir.Value, offset: ir.Value | None, width: int | None) -> ir.Value:
    """Multiply all steps by a weight, and add a bias: a constant one makes it one layer."""
    if offset is None or width is None or not facts.is_constant(offset):
        made = op.MatMul(x, matrix)
        return cast("ir.Value", made if offset is None else op.Add(made, offset))
    flat = op.Gemm(_shaped(op.Reshape(x, [-1, width]), None, width), matrix, offset)
    return cast("ir.Value", op.Reshape(flat, op.Concat(op.Shape(x, end=2), [-1], axis=0)))


def _layout(
    op: Ops, ys: list[ir.Value], ends: list[list[ir.Value]], batch_first: bool, dims: tuple[facts.Dim, ...]
) -> list[ir.Value]:
    steps, batch, hidden = dims
    n = len(ys)
    joined = [op.Concat(*(_shaped(op.Unsqueeze(y, [1]), steps, 1, batch, hidden) for y in ys), axis=1)]
    joined[0].shape = ir.Shape([steps, n, batch, hidden])
    for k in range(len(ends[0])):
        state = op.Concat(*(_shaped(op.Unsqueeze(e[k], [0]), 1, batch, hidden) for e in ends), axis=0)
        state.shape = ir.Shape([n, batch, hidden])
        joined.append(state)
    if batch_first:
        joined = [op.Transpose(v, perm=[2, 0, 1, 3] if k == 0 else [1, 0, 2]) for k, v in enumerate(joined)]
    return joined


def _iterate(
    op: Ops, cell: _Cell, gates: ir.Value, mask: ir.Value | None, first: list[ir.Value], steps: facts.Dim
) -> tuple[ir.Value, list[ir.Value]]:
    """Run the cell over axis 0 of ``gates``; returns all outputs and the last states."""
    n = len(first)
    if isinstance(steps, int) and 0 < steps <= UNROLLED:
        states, outputs = first, []
        width = RECURRENT[_kind(cell.node)] * cell.hidden
        masks = [None] * steps if mask is None else _unstack(op, mask, steps, cell.batch, 1)
        for x_t, m_t in zip(_unstack(op, gates, steps, cell.batch, width), masks, strict=True):
            y_t, states = _masked_step(op, cell, x_t, m_t, states)
            outputs.append(_shaped(op.Unsqueeze(y_t, [0]), 1, cell.batch, cell.hidden))
        y = op.Concat(*outputs, axis=0) if steps > 1 else outputs[0]
    else:
        scope = op.fresh("step")
        graph = ir.Graph([], [], nodes=[], name=scope, opset_imports=dict(op.graph.opset_imports))
        inner = Ops(graph, op.opset, scope)
        formals = [
            _formal(graph, f"{scope}/state_{k}", v.dtype, (cell.batch, cell.hidden))
            for k, v in enumerate(first)
        ]
        width = RECURRENT[_kind(cell.node)] * cell.hidden
        x_t = _formal(graph, f"{scope}/x", gates.dtype, (cell.batch, width))
        m_t = None if mask is None else _formal(graph, f"{scope}/mask", ir.DataType.BOOL, (cell.batch, 1))
        y_t, states = _masked_step(inner, cell, x_t, m_t, formals)
        finish_body(graph, [*states, y_t], scope)
        scanned = [gates] if mask is None else [gates, mask]
        made = op.Scan(*first, *scanned, body=graph, num_scan_inputs=len(scanned), _outputs=n + 1)
        states, y = [_shaped(v, cell.batch, cell.hidden) for v in made[:n]], made[n]
        for value in made:
            value.type = gates.type
    y.shape = ir.Shape([steps, cell.batch, cell.hidden])
    return y, list(states)


def _masked_step(
    op: Ops, cell: _Cell, x: ir.Value, mask: ir.Value | None, states: Sequence[ir.Value]
) -> tuple[ir.Value, list[ir.Value]]:
    new = cell.step(op, x, states)
    if mask is None:
        return new[0], new
    kept = [op.Where(mask, a, b) for a, b in zip(new, states, strict=True)]
    return op.Where(mask, new[0], 0.0), kept


def _formal(graph: ir.Graph, name: str, dtype: ir.DataType | None, shape: Sequence[facts.Dim]) -> ir.Value:
    value = ir.Value(name=name, type=ir.TensorType(dtype or ir.DataType.FLOAT), shape=ir.Shape(shape))
    graph.inputs.append(value)
    return value


def _shaped(value: ir.Value, *shape: facts.Dim) -> ir.Value:
    value.shape = ir.Shape(shape)
    return value


def _unstack(op: Ops, x: ir.Value, steps: int, *shape: facts.Dim) -> list[ir.Value]:
    parts = [x] if steps == 1 else op.Split(x, [1] * steps, axis=0, _outputs=steps)
    for part in parts:
        part.shape = ir.Shape([1, *shape])
    return [_shaped(op.Squeeze(part, [0]), *shape) for part in parts]


def _pick(op: Ops, value: ir.Value, direction: int) -> ir.Value:
    """Cut one direction out of a weight."""
    known = facts.dims(value)
    picked = op.Gather(value, np.array(direction), axis=0)
    if known is not None and picked.shape is None:
        picked.shape = ir.Shape(known[1:])
    return cast("ir.Value", picked)


def _cell(
    op: Ops,
    node: ir.Node,
    d: int,
    hidden: int,
    batch: facts.Dim,
    activations: Sequence[Activation],
    r: ir.Value,
    b: ir.Value | None,
    p: ir.Value | None,
) -> tuple[_Cell, ir.Value | None]:
    """Prepare one direction's weights; the second value is the bias that all steps share."""
    n = RECURRENT[_kind(node)]
    matrix = op.Transpose(_pick(op, r, d), perm=[1, 0])
    matrix.shape = ir.Shape([hidden, n * hidden])
    offset = own = None
    if b is not None:
        both = op.Split(_pick(op, b, d), [n * hidden] * 2, axis=0, _outputs=2)
        w_bias, r_bias = (_shaped(v, n * hidden) for v in both)
        if _kind(node) == "GRU" and facts.attr(node, "linear_before_reset", 0):
            early, own = op.Split(r_bias, [2 * hidden, hidden], axis=0, _outputs=2)
            _shaped(own, hidden)
            none = np.zeros(2 * hidden, (b.dtype or ir.DataType.FLOAT).numpy())
            r_bias = op.Concat(_shaped(early, 2 * hidden), none[:hidden], axis=0)
            own = _shaped(op.Concat(none, own, axis=0), n * hidden)
        offset = op.Add(w_bias, _shaped(r_bias, n * hidden))
    peepholes: tuple[ir.Value, ...] = ()
    if p is not None:
        peepholes = tuple(
            _shaped(v, hidden) for v in op.Split(_pick(op, p, d), [hidden] * 3, axis=0, _outputs=3)
        )
    return _Cell(node, hidden, batch, activations, matrix, own, peepholes), offset


def _first(op: Ops, x: ir.Value, state: ir.Value | None, d: int, hidden: int, batch: facts.Dim) -> ir.Value:
    if state is not None:
        return _shaped(_pick(op, state, d), batch, hidden)
    dtype = x.dtype or ir.DataType.FLOAT
    zero = ir.tensor(np.zeros(1, dtype.numpy()))
    if isinstance(batch, int):
        return op.const(np.zeros((batch, hidden), dtype.numpy()))
    shape = op.Concat(op.Shape(x, start=1, end=2), [hidden], axis=0)
    return _shaped(op.ConstantOfShape(shape, value=zero), batch, hidden)


def _turn(op: Ops, x: ir.Value, lens: ir.Value | None) -> ir.Value:
    """Reverse each sequence within its length."""
    if lens is None:
        turned = op.Slice(x, [-1], [_LAST], [0], [-1])
    else:
        turned = op.ReverseSequence(x, lens, batch_axis=1, time_axis=0)
    return op.annotate(turned, x)


def _mask(op: Ops, x: ir.Value, lens: ir.Value) -> ir.Value:
    """Which steps lie within their sequence, (steps, batch, 1)."""
    steps = op.Range(np.array(0), op.Squeeze(op.Shape(x, start=0, end=1), [0]), np.array(1))
    inside = op.Less(op.Unsqueeze(steps, [1]), op.Unsqueeze(lens, [0]))
    return cast("ir.Value", op.Unsqueeze(inside, [2]))


def _activations(node: ir.Node, n_directions: int) -> list[list[Activation]]:
    defaults = _DEFAULTS[_kind(node)]
    names = facts.attr(node, "activations", defaults * n_directions)
    assert isinstance(names, tuple)
    alphas, betas = (
        iter(cast("Sequence[float]", facts.attr(node, f"activation_{k}", ()))) for k in ("alpha", "beta")
    )
    made = [_activation(node, str(name), alphas, betas) for name in names]
    width = len(defaults)
    return [made[d * width : (d + 1) * width] for d in range(n_directions)]


def _activation(node: ir.Node, name: str, alphas: Iterator[float], betas: Iterator[float]) -> Activation:
    found = _ACTIVATIONS.get(name.lower())
    if found is None:
        raise UnsupportedOperatorError(
            f"{facts.node_label(node)}: the activation '{name}' is unknown; the standard has "
            f"{', '.join(sorted(_ACTIVATIONS))}: export the model with one of these"
        )
    default_alpha, default_beta, write = found
    alpha = 0.0 if default_alpha is None else next(alphas, default_alpha)
    beta = 0.0 if default_beta is None else next(betas, default_beta)
    return lambda op, x: op.annotate(write(op, x, alpha, beta), x)
