"""The hypothesis strategy of random graphs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
from hypothesis import reject
from hypothesis import strategies as st

from .sketch import Sketch, Unfit, Value, accepted
from .table import OPERATORS

__all__ = ["ROWS", "Drawn", "graphs"]

#: Samples that are explained of each graph.
ROWS = 3
#: How often an operator that must be there is tried.
_TRIES = 6


@dataclass(frozen=True)
class Drawn:
    """A graph, and where it is looked at.

    Attributes
    ----------
    model
        The graph; inputs x0, x1, ..., and perhaps the scalar ``flag``; first output y (batch first).
    operators
        What was drawn on purpose, in order.
    batch
        Length of the batch axis; None: symbolic.
    feeds, baselines
        Arrays of :data:`ROWS` samples.
    target
        Index of the score within a row of y; empty where the row has one.
    seed
        For whatever else is random in a check.
    """

    model: onnx.ModelProto
    operators: tuple[str, ...]
    batch: int | None
    feeds: dict[str, np.ndarray]
    baselines: dict[str, np.ndarray]
    target: tuple[int, ...]
    seed: int

    @property
    def floats(self) -> tuple[str, ...]:
        """The names of the inputs that are explained."""
        return tuple(k for k, v in self.feeds.items() if v.dtype == np.float32)

    @property
    def kinds(self) -> set[str]:
        """The operators of the graph, bodies included."""
        return set(_kinds(self.model.graph))

    def rows(self, which: slice) -> dict[str, np.ndarray]:
        """Return some of the samples."""
        return {k: v[which] if v.ndim else v for k, v in self.feeds.items()}

    def nudged(self, rng: np.random.Generator) -> Drawn:
        """Return the graph at another point nearby."""
        moved = {
            k: (v + 0.05 * rng.standard_normal(v.shape)).astype(np.float32) if k in self.floats else v
            for k, v in self.feeds.items()
        }
        return replace(self, feeds=moved)

    def __repr__(self) -> str:
        """Write the graph as text, so that a failure can be read and kept."""
        text = onnx.printer.to_text(self.model)
        return f"Drawn({self.operators}, batch={self.batch}, target={self.target}, seed={self.seed}\n{text})"


def _kinds(graph: onnx.GraphProto) -> list[str]:
    found = [n.op_type for n in graph.node]
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                found += _kinds(attribute.g)
    return found


@st.composite
def graphs(draw: Any, must: str | None = None, most: int = 6) -> Drawn:
    """Draw a graph.

    Parameters
    ----------
    draw
        Hypothesis's.
    must
        An operator that has to be there (default: none).
    most
        Operators to draw at most.
    """
    since = OPERATORS[must].since if must else 0
    opset = draw(st.sampled_from([o for o in (18, 17, 21) if o >= since]))
    sketch = Sketch(draw, draw(st.sampled_from([None, 1, 3])), opset)
    for _ in range(sketch.number(1, 2)):
        sketch.input(tuple(sketch.number(1, 3) for _ in range(sketch.pick(2, 1, 3, 4, 0))))
    possible = [name for name, o in OPERATORS.items() if o.since <= opset]
    wanted = [sketch.pick(*possible) for _ in range(sketch.number(0 if must else 1, most))]
    if must:
        wanted.insert(sketch.number(0, len(wanted)), must)
    drawn = [name for name in wanted if _added(sketch, name, _TRIES if name == must else 1)]
    if not drawn or (must and must not in drawn):
        reject()
    return _finish(sketch, tuple(drawn))


def _added(sketch: Sketch, name: str, tries: int) -> bool:
    """Draw one operator; go back if it does not fit."""
    for _ in range(tries):
        mark = sketch.mark()
        try:
            made = OPERATORS[name].draw(sketch, name)
        except Unfit:
            sketch.back_to(mark)
            continue
        if made.array.dtype == np.float32 and made.rank <= 5 and made.array.size:
            sketch.pool.append(made)
            return True
        sketch.back_to(mark)
    return False


def _finish(sketch: Sketch, drawn: tuple[str, ...]) -> Drawn:
    """Join what nobody has used, and close the graph."""
    try:
        y = _joined(sketch)
    except Unfit:
        reject()
    sample = y.sample
    target = () if int(np.prod(sample)) == 1 else tuple(sketch.number(0, d - 1) for d in sample)
    dims: Any = "N" if sketch.fixed is None else sketch.fixed
    infos = [
        onnx.helper.make_tensor_value_info(v.name, onnx.TensorProto.FLOAT, [dims, *v.sample])
        for v in (*sketch.inputs, y)
    ]
    flags = [onnx.helper.make_tensor_value_info(v.name, onnx.TensorProto.BOOL, []) for v in sketch.flags]
    graph = onnx.helper.make_graph(
        sketch.nodes, "drawn", [*infos[:-1], *flags], infos[-1:], initializer=sketch.initializers,
        value_info=sketch.infos,
    )  # fmt: skip
    model = sketch.model_of(graph)
    if not accepted(model, {v.name: v.array for v in (*sketch.inputs, *sketch.flags)}):
        reject()
    feeds, baselines = {}, {}
    for value in sketch.inputs:
        extra = sketch.numbers(ROWS - sketch.batch, *value.sample)
        feeds[value.name] = np.concatenate([value.array, extra])
        baselines[value.name] = sketch.numbers(ROWS, *value.sample)
    feeds |= {v.name: v.array for v in sketch.flags}
    return Drawn(model, drawn, sketch.fixed, feeds, baselines, target, sketch.number(0, 2**16))


def _joined(sketch: Sketch) -> Value:
    loose = [v for v in sketch.pool if v.name not in sketch.used]
    if len(loose) == 1 and loose[0] not in sketch.inputs and sketch.pick(True, False):
        return _named(sketch, loose[0])
    parts = [sketch.flat(v) for v in loose or sketch.pool[-1:]]
    joined = parts[0] if len(parts) == 1 else sketch.node("Concat", *parts, axis=1)
    f, c = joined.sample[0], sketch.pick(2, 3)
    y = sketch.node("Gemm", joined, sketch.floats(f, c, scale=f**-0.5))
    end = sketch.pick(None, "Softmax", "Tanh")
    return _named(sketch, y if end is None else sketch.node(end, y))


def _named(sketch: Sketch, value: Value) -> Value:
    """Give a value the name y."""
    for node in sketch.nodes:
        node.output[:] = ["y" if o == value.name else o for o in node.output]
        node.input[:] = ["y" if i == value.name else i for i in node.input]
    sketch.infos = [i for i in sketch.infos if i.name != value.name]
    return Value("y", value.array)
