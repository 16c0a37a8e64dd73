"""Random graphs that move samples about, rightly and wrongly, with shape arithmetic as exporters write it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import onnx_ir as ir
from onnx import helper
from onnx.reference import ReferenceEvaluator

from onnxplain.graph.batch import SIZES, Batch
from onnxplain.graph.batch.values import At, Value
from onnxplain.graph.batch.walk import Walk

N = 4
#: Values that grow beyond these are not made.
MOST_ELEMENTS, MOST_AXES = 3000, 5
STEPS_EACH = 60

Dim = tuple[str, int]  # times the batch size
Dims = list["int | Dim"]


class RandomGraph:
    """A graph of x, whose samples lie along :attr:`axis`; every step adds a node and runs it."""

    live: set[str]

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, np.ndarray] = {}
        self.values: dict[str, np.ndarray] = {}
        self.count = 0
        t, f = (int(d) for d in self.rng.choice([2, 3, 5], 2))
        self.axis = int(self.rng.integers(3))
        shape = [t, f]
        shape.insert(self.axis, N)
        self.x = self.values["x"] = self.rng.standard_normal(shape).astype(np.float32)
        table = self.rng.standard_normal((1, t, f)).astype(np.float32)
        self.constants["table"] = self.values["table"] = table
        self.add("Shape", ["x"], out="shape")
        cut = [self.constant([self.axis]), self.constant([self.axis + 1]), self.constant([0])]
        self.add("Slice", ["shape", *cut], out="n")
        for _ in range(STEPS_EACH):
            self.live = self._placed_values()
            getattr(self, f"_{self.rng.choice(STEPS)}")(*self._operand())

    def constant(self, content: object) -> str:
        self.count += 1
        name = f"c{self.count}"
        self.constants[name] = np.asarray(content, np.int64)
        return name

    def add(self, op_type: str, inputs: Sequence[str], *, out: str = "", outputs: int = 1, **attrs: object):
        """Add a node if it runs and makes nothing large; return the name of its first output."""
        self.count += 1
        names = [out or f"v{self.count}", *(f"v{self.count}_{k}" for k in range(1, outputs))]
        node = helper.make_node(op_type, inputs, names, **attrs)
        feeds = {i: self.constants[i] if i in self.constants else self.values[i] for i in inputs}
        try:
            made = ReferenceEvaluator(_model([node], feeds, {}, names)).run(None, feeds)
        except Exception:  # the shapes do not fit: a graph that nobody could export
            return None
        if any(np.size(m) > MOST_ELEMENTS or np.ndim(m) > MOST_AXES for m in made):
            return None
        self.nodes.append(node)
        self.values.update((name, np.asarray(m)) for name, m in zip(names, made, strict=True))
        return names[0]

    def target(self, dims: Dims) -> str:
        """Write a shape; lengths with the batch size are computed from it."""
        parts = []
        for d in dims:
            factor = self.constant([d[1] if isinstance(d, tuple) else d])
            parts.append(self.add("Mul", ["n", factor]) if isinstance(d, tuple) else factor)
        return str(self.add("Concat", parts, axis=0))

    def proven(self, found: Batch) -> tuple[onnx.ModelProto, list[str]]:
        """Return the part of the graph that makes what is proven, and the names of that."""
        names = [o for node in self.nodes for o in node.output if o in found.axes]
        needed, nodes = set(names), []
        for node in reversed(self.nodes):
            if needed & set(node.output):
                needed |= set(node.input)
                nodes.append(node)
        return _model(nodes[::-1], {"x": self.x}, self.constants, names), names

    def model(self) -> onnx.ModelProto:
        """Return the whole graph."""
        return _model(self.nodes, {"x": self.x}, self.constants, [self.nodes[-1].output[0]])

    def _operand(self) -> tuple[str, np.ndarray, int]:
        """Pick a value, mostly a late one, and one of its axes."""
        floats = [k for k, v in self.values.items() if v.dtype == np.float32 and v.ndim and v.size]
        live = [k for k in floats if k in self.live]
        late = live[-20:] if live and self._chance(0.9) else floats
        name = str(self.rng.choice(late))
        return name, self.values[name], int(self.rng.integers(self.values[name].ndim))

    def _placed_values(self) -> set[str]:
        """Return the values in which samples lie somewhere; where they are mixed, nothing can go wrong."""
        graph = ir.from_proto(self.model()).graph
        walk = Walk(SIZES, True, {"": 18})
        for value in graph.inputs:
            shape = [SIZES[0] if k == self.axis else d for k, d in enumerate(self.x.shape)]
            walk.known[value] = Value(tuple(shape), 1, At(self.axis))
        walk.graph(graph)
        return {str(v.name) for v, f in walk.known.items() if isinstance(f, Value) and f.at is not None}

    def _chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def _elementwise(self, v: str, x: np.ndarray, axis: int) -> None:
        self.add(str(self.rng.choice(["Relu", "Tanh", "Neg"])), [v])

    def _combined(self, v: str, x: np.ndarray, axis: int) -> None:
        self.add(str(self.rng.choice(["Add", "Mul", "Max", "MatMul"])), [v, self._operand()[0]])

    def _chosen(self, v: str, x: np.ndarray, axis: int) -> None:
        condition = self.add("Greater", [v, self._operand()[0]])
        if condition:
            self.add("Where", [condition, v, self._operand()[0]])

    def _reshape(self, v: str, x: np.ndarray, axis: int) -> None:
        if x.size % N or self._chance(0.2):
            self.add("Reshape", [v, self.constant(self._factors(x.size))])
            return
        dims: Dims = [*self._factors(x.size // N)]
        k = int(self.rng.integers(len(dims)))
        if self._chance(0.5):
            dims.insert(k, ("n", 1))
        else:
            dims[k] = ("n", dims[k])
        if self._chance(0.3):
            dims[int(self.rng.integers(len(dims)))] = -1
        self.add("Reshape", [v, self.target(dims)])

    def _factors(self, size: int) -> list[int]:
        out = []
        for prime in (2, 2, 2, 3, 3, 5, 5, 7):
            if size % prime == 0 and self._chance(0.6):
                out.append(prime)
                size //= prime
        out.append(size)
        self.rng.shuffle(out)
        while len(out) > MOST_AXES - 2:
            out[0] *= out.pop()
        return out

    def _flatten(self, v: str, x: np.ndarray, axis: int) -> None:
        self.add("Flatten", [v], axis=axis)

    def _transpose(self, v: str, x: np.ndarray, axis: int) -> None:
        self.add("Transpose", [v], perm=[int(k) for k in self.rng.permutation(x.ndim)])

    def _expand(self, v: str, x: np.ndarray, axis: int) -> None:
        dims: Dims = [("n", d // N) if d % N == 0 and self._chance(0.5) else d for d in x.shape]
        if x.shape[axis] == 1:
            dims[axis] = ("n", 1) if self._chance(0.7) else 3
        if self._chance(0.3):
            dims.insert(0, ("n", 1) if self._chance(0.5) else 2)
        self.add("Expand", [v, self.target(dims)])

    def _tile(self, v: str, x: np.ndarray, axis: int) -> None:
        dims: Dims = [1] * x.ndim
        dims[axis] = ("n", 1) if self._chance(0.4) else 2
        self.add("Tile", [v, self.target(dims)])

    def _joined(self, v: str, x: np.ndarray, axis: int) -> None:
        self.add("Concat", [v, self._operand()[0]], axis=axis)

    def _split(self, v: str, x: np.ndarray, axis: int) -> None:
        if x.shape[axis] % 2 == 0:
            self.add("Split", [v], outputs=2, axis=axis, num_outputs=2)

    def _cut(self, v: str, x: np.ndarray, axis: int) -> None:
        step = int(self.rng.choice([1, 1, 2, -1]))
        first, last = (-1, -100) if step < 0 else (0, int(self.rng.integers(1, x.shape[axis] + 1)))
        if step > 0 and self._chance(0.5):
            last = (1 << 31) - 1
        self.add("Slice", [v, *(self.constant([c]) for c in (first, last, axis, step))])

    def _picked(self, v: str, x: np.ndarray, axis: int) -> None:
        indices = self.rng.integers(0, x.shape[axis], 2 if self._chance(0.7) else ())
        self.add("Gather", [v, self.constant(indices)], axis=axis)

    def _tuples(self, v: str, x: np.ndarray, axis: int) -> None:
        self.add("GatherND", [v, self.constant([[0], [1]])], batch_dims=1)

    def _placed(self, v: str, x: np.ndarray, axis: int) -> None:
        row = self.add("Gather", [v, self.constant([0])], axis=0)
        if row:
            self.add("ScatterND", [v, self.constant([[int(self.rng.integers(x.shape[0]))]]), row])

    def _reduced(self, v: str, x: np.ndarray, axis: int) -> None:
        op_type = str(self.rng.choice(["ReduceSum", "ReduceMax"]))
        self.add(op_type, [v, self.constant([axis])], keepdims=int(self.rng.integers(2)))

    def _along(self, v: str, x: np.ndarray, axis: int) -> None:
        if self._chance(0.5):
            self.add("Softmax", [v], axis=axis)
        else:
            self.add("CumSum", [v, self.constant(axis)])

    def _unsqueeze(self, v: str, x: np.ndarray, axis: int) -> None:
        self.add("Unsqueeze", [v, self.constant([axis])])

    def _squeeze(self, v: str, x: np.ndarray, axis: int) -> None:
        if 1 in x.shape:
            self.add("Squeeze", [v, self.constant([x.shape.index(1)])])


STEPS = [
    name[1:]
    for name in vars(RandomGraph)
    if name.startswith("_") and name[1:].isalpha() and name not in ("_operand", "_chance", "_factors")
]
STEPS += ["reshape", "reshape", "transpose", "combined"]


def _model(
    nodes: Sequence[onnx.NodeProto],
    inputs: dict[str, np.ndarray],
    constants: dict[str, np.ndarray],
    outputs: Sequence[str],
) -> onnx.ModelProto:
    def info(name: str, dtype: object) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), None)

    graph = helper.make_graph(
        nodes,
        "random",
        [info(name, a.dtype) for name, a in inputs.items()],
        [onnx.ValueInfoProto(name=name) for name in outputs],
        [onnx.numpy_helper.from_array(a, name) for name, a in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
