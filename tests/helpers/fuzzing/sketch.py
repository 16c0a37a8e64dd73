"""A graph while it is drawn: every node runs on onnxruntime at once, so its shape and size are known.

All values of the pool hold one sample per row: their first axis is the batch, and rows never touch.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import onnxruntime.capi.onnxruntime_pybind11_state as ort_errors
from hypothesis import strategies as st

__all__ = ["LARGEST", "SMALLEST", "Sketch", "Unfit", "Value", "run"]

#: Values whose largest magnitude lies outside are not taken: their gradients are rounding errors.
SMALLEST, LARGEST = 1e-3, 50.0


class Unfit(Exception):  # noqa: N818  (no error: the draw is tried again)
    """An operator does not fit what is there, or gives numbers that cannot be worked with."""


@dataclass(frozen=True, eq=False)
class Value:
    """A value of the graph: its name, and what it is at the drawn point."""

    name: str
    array: np.ndarray

    @property
    def rank(self) -> int:
        return self.array.ndim

    @property
    def sample(self) -> tuple[int, ...]:
        """The shape of one row."""
        return self.array.shape[1:]


def run(model: onnx.ModelProto, feeds: dict[str, np.ndarray] | None) -> list[np.ndarray]:
    """Run a model on onnxruntime as it is written (its further optimizations round activations to int8).

    Without feeds the model is only loaded.
    """
    options = ort.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    if feeds is None:
        return []
    wanted = {i.name for i in session.get_inputs()}
    return session.run(None, {k: v for k, v in feeds.items() if k in wanted})


#: Of onnxruntime's errors, those that come of its own faults: shapes of windows (ceil_mode); what only a
#: branch reads of a value that was cast to and fro is lost.
_FAULTS = ("ShapeInferenceError", "Missing Input", "pre-allocated output")


def accepted(model: onnx.ModelProto, feeds: dict[str, np.ndarray] | None = None) -> bool:
    """Tell whether onnxruntime takes a model, and runs it on feeds if there are any."""
    try:
        run(model, feeds)
    except (ort_errors.Fail, ort_errors.InvalidArgument) as error:
        if any(fault in str(error) for fault in _FAULTS):
            return False
        raise
    return True


@lru_cache(maxsize=4096)
def _run_node(content: bytes) -> list[np.ndarray]:
    return run(onnx.ModelProto.FromString(content), {})


class Sketch:
    """A graph in the making.

    Parameters
    ----------
    draw
        Hypothesis's.
    batch
        Length of the batch axis, or None for a symbolic one.
    opset
        Version of the standard.
    """

    #: Values with more elements per sample are not taken.
    widest = 160

    def __init__(self, draw: Any, batch: int | None, opset: int) -> None:
        self.draw, self.opset, self.fixed = draw, opset, batch
        self.batch = batch or 3
        self.rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.infos: list[onnx.ValueInfoProto] = []
        self.inputs: list[Value] = []
        self.flags: list[Value] = []
        self.pool: list[Value] = []
        self.used: set[str] = set()
        self.arrays: dict[str, np.ndarray] = {}
        self._count = 0

    # what is drawn

    def pick(self, *options: Any) -> Any:
        """Choose; the first is the simplest."""
        return options[0] if len(options) == 1 else self.draw(st.sampled_from(options))

    def number(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))

    def attributes(self, choices: dict[str, tuple[Any, ...]]) -> dict[str, Any]:
        """Choose a value for each attribute; None leaves it out."""
        picked = {k: self.pick(*options) for k, options in choices.items()}
        return {k: v for k, v in picked.items() if v is not None}

    def subset(self, items: list[int]) -> list[int]:
        """Choose some, at least one."""
        kept = [i for i in items if self.pick(True, False)]
        return kept or [self.pick(*items)]

    def numbers(self, *shape: int) -> np.ndarray:
        return self.rng.standard_normal(shape).astype(np.float32)

    # values

    def input(self, sample: tuple[int, ...]) -> Value:
        """Add an input of the model."""
        made = Value(f"x{len(self.inputs)}", self.numbers(self.batch, *sample))
        self.inputs.append(made)
        self.pool.append(made)
        return made

    def flag(self) -> Value:
        """Return a scalar condition, an input of the model."""
        if not self.flags:
            self.flags.append(Value("flag", np.array(self.pick(True, False))))
        return self.flags[0]

    def constant(self, array: Any, *, plain: bool = True) -> Value:
        """Add an initializer; if not plain, one that is computed from others."""
        array = np.asarray(array)
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        how = "plain" if plain else self.pick("plain", "node", "turned", "int8")
        if how == "node":
            return self._add("Constant", [], ["c"], value=onnx.numpy_helper.from_array(array))[0]
        if how == "turned" and array.ndim > 1:
            axes = list(range(array.ndim))[::-1]
            return self._add("Transpose", [self.constant(np.ascontiguousarray(array.T))], ["c"], perm=axes)[0]
        if how == "int8":
            scale = np.float32(max(np.abs(array).max(initial=0.0), 0.1) / 127)
            small = self.constant(np.round(array / scale).astype(np.int8))
            return self._add("DequantizeLinear", [small, self.constant(scale)], ["c"])[0]
        made = Value(self._name("c"), array)
        self.initializers.append(onnx.numpy_helper.from_array(array, made.name))
        self.arrays[made.name] = array
        return made

    def floats(self, *shape: int, scale: float = 1.0) -> Value:
        """Add random weights, some of them 0 now and then."""
        array = scale * self.numbers(*shape)
        if self.pick(False, False, True):
            array = np.where(self.rng.random(shape) < 0.2, 0, array).astype(np.float32)
        return self.constant(array, plain=False)

    def ints(self, numbers: Any) -> Value:
        return self.constant(np.asarray(numbers, np.int64))

    def value(self) -> Value:
        """Choose a value of the pool; the newest is the simplest."""
        return self.pick(*self.pool[::-1])

    def ranked(self, rank: int) -> Value:
        """Choose a value, and give it a rank (of at least 2) if it has another."""
        fitting = [v for v in self.pool[::-1] if v.rank == rank]
        if fitting and self.pick(True, False):
            return self.pick(*fitting)
        x = self.value()
        return x if x.rank == rank else self.reshape(x, self._factors(int(np.prod(x.sample)), rank - 1))

    def sized(self, *sample: int) -> Value:
        """Choose a value, and bring it into a sample's shape, by a layer if need be."""
        fitting = [v for v in self.pool[::-1] if v.sample == sample]
        if fitting and self.pick(True, False):
            return self.pick(*fitting)
        x, size = self.value(), int(np.prod(sample))
        if int(np.prod(x.sample)) != size:
            x = self.flat(x)
            x = self.node("Gemm", x, self.floats(x.sample[0], size, scale=x.sample[0] ** -0.5))
        return x if x.sample == sample else self.reshape(x, sample)

    def flat(self, x: Value) -> Value:
        """Return (N, F)."""
        if x.rank == 2:
            return x
        if x.rank == 1:
            return self.node("Unsqueeze", x, self.ints([1]))
        return self.node("Flatten", x) if self.pick(True, False) else self.reshape(x, (-1,))

    def reshape(self, x: Value, sample: tuple[int, ...]) -> Value:
        """Reshape each row."""
        free = -1 not in sample and self.pick(False, True)
        first = -1 if free else self.pick(0, self.fixed) if self.fixed and x.rank else 0
        return self.node("Reshape", x, self.ints([first, *sample]))

    def _factors(self, size: int, count: int) -> tuple[int, ...]:
        made = []
        for _ in range(count - 1):
            made.append(self.pick(*[d for d in (2, 3, 4, 1, 5) if size % d == 0]))
            size //= made[-1]
        return (*made, size)

    def domain(self, x: Value, name: str | None) -> Value:
        """Map a value into where an operator is defined."""
        if name is None:
            return x
        if name == "unit":
            return self.node("Mul", self.node(self.pick("Tanh", "Sin", "Softsign"), x), self.constant(0.9))
        if name == "above_one":
            return self.node("Add", self.domain(x, "positive"), self.constant(1.1))
        if name == "apart":
            return x
        how = self.pick("Abs", "Exp", "Sigmoid", "Mul")
        inner = self.node("Tanh", x) if how == "Exp" else x
        made = self.node("Mul", x, x) if how == "Mul" else self.node(how, inner)
        return made if how == "Exp" else self.node("Add", made, self.constant(0.3))

    def partner(self, x: Value) -> Value:
        """Return what broadcasts with a value: a constant, or another value made to fit."""
        how = self.pick("constant", "alike", "mean", "made", "itself")
        alike = [v for v in self.pool if v.array.shape == x.array.shape and v is not x]
        if how == "alike" and alike:
            return self.pick(*alike)
        if how == "itself":
            return x
        if how == "made" and x.sample:
            return self.sized(*x.sample)
        if how == "mean" and x.rank > 1:
            axis = self.number(1, x.rank - 1)
            if self.opset < 18:
                return self.node("ReduceMean", x, axes=[axis], keepdims=1)
            return self.node("ReduceMean", x, self.ints([axis]), keepdims=1)
        shape = [d if self.pick(True, False) else 1 for d in x.sample][self.number(0, max(x.rank - 1, 0)) :]
        return self.floats(*shape)

    # nodes

    def node(self, op_type: str, *inputs: Value | None, **attributes: Any) -> Value:
        """Add a node, and return its first output."""
        return self.nodes_of(op_type, *inputs, outputs=1, **attributes)[0]

    def nodes_of(self, op_type: str, *inputs: Value | None, outputs: int, **attributes: Any) -> list[Value]:
        """Add a node with several outputs."""
        made = self._add(op_type, list(inputs), [f"v{k}" for k in range(outputs)], **attributes)
        for value in made:
            if value.array.dtype == np.float32:
                size = np.abs(value.array).max(initial=0.0)
                if not np.isfinite(value.array).all() or not SMALLEST <= size <= LARGEST:
                    raise Unfit(f"{op_type} gives up to {size}")
            if value.array.size > self.widest * self.batch:
                raise Unfit(f"{op_type} gives {value.array.size} numbers")
        return made

    def _add(
        self, op_type: str, inputs: list[Value | None], outputs: list[str], **attributes: Any
    ) -> list[Value]:
        names = [self._name(o) for o in outputs]
        node = onnx.helper.make_node(
            op_type, ["" if v is None else v.name for v in inputs], names, f"n{len(self.nodes)}", **attributes
        )
        arrays = self._run(node)
        self.nodes.append(node)
        self.used.update(_reads(node))
        made = [Value(n, np.asarray(a)) for n, a in zip(names, arrays, strict=True)]
        self.arrays.update({v.name: v.array for v in made})
        return made

    def _run(self, node: onnx.NodeProto) -> list[np.ndarray]:
        known = {v.name: v.array for v in (*self.inputs, *self.flags)} | self.arrays
        graph = onnx.helper.make_graph([node], "node", [], [onnx.ValueInfoProto(name=o) for o in node.output])
        for name in sorted(_reads(node) & set(known)):
            graph.initializer.append(onnx.numpy_helper.from_array(known[name], name))
        return _run_node(self.model_of(graph).SerializeToString())

    def model_of(self, graph: onnx.GraphProto) -> onnx.ModelProto:
        opset = onnx.helper.make_opsetid("", self.opset)
        return onnx.helper.make_model(graph, opset_imports=[opset], ir_version=10 if self.opset > 20 else 8)

    def _name(self, stem: str) -> str:
        self._count += 1
        return f"{stem}_{self._count}"

    # going back

    def mark(self) -> tuple[Any, ...]:
        """Return where the sketch stands."""
        lists = self.nodes, self.initializers, self.infos, self.pool, self.flags
        return set(self.used), *map(len, lists)

    def back_to(self, mark: tuple[Any, ...]) -> None:
        """Forget what was added since."""
        self.used, *lengths = mark
        lists: list[list[Any]] = [self.nodes, self.initializers, self.infos, self.pool, self.flags]
        for items, length in zip(lists, lengths, strict=True):
            del items[length:]


def _reads(node: onnx.NodeProto) -> set[str]:
    """Return the names that a node reads, also from within bodies."""
    names = {n for n in node.input if n}
    for attribute in node.attribute:
        if attribute.HasField("g"):
            own = {i.name for i in attribute.g.input} | {i.name for i in attribute.g.initializer}
            own |= {o for n in attribute.g.node for o in n.output}
            names |= {r for n in attribute.g.node for r in _reads(n)} - own
            names |= {o.name for o in attribute.g.output} - own
    return names
