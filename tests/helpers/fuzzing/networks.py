"""Random networks of convolutions, poolings and dense layers, and of words.

They are drawn to meet what suits walks back to a device: maxima that are as large as others, few channels and
full blocks of them, weights that several layers share, values that several read, names that passes would use.
"""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import onnx

from .drawing import Drawn
from .sketch import Sketch, Unfit, Value, accepted

__all__ = ["network"]

#: Most numbers of a value per sample.
_WIDEST = 4000
#: What names get that stand in passes' way, behind those of other values.
_SUFFIXES = ("/packed", "/part_0_0", "/whole", "/around_4", "/blocked", "/rows", "/pool", "/scaled", "_1")
_NAMES = ("onnxplain/place_0", "target", "gradient/x0", "attribution/x0", "reference/x0", "score")


class _Net(Sketch):
    """A network in the making; exact ones have small numbers, whose sums are no matter of order."""

    widest = _WIDEST

    def __init__(self, rng: np.random.Generator, batch: int | None, opset: int) -> None:
        self._choices = rng
        super().__init__(lambda _: int(rng.integers(2**32)), batch, opset)
        self.exact = self.pick(False, True)
        self.weights: list[Value] = []

    def pick(self, *options: Any) -> Any:
        return options[int(self._choices.integers(len(options)))]

    def number(self, low: int, high: int) -> int:
        return int(self._choices.integers(low, high + 1))

    def numbers(self, *shape: int) -> np.ndarray:
        if self.exact:
            return (self.rng.integers(-3, 4, shape) / 2).astype(np.float32)
        return super().numbers(*shape)

    def weight(self, *shape: int) -> Value:
        """Return a weight, now and then one that another layer has, too."""
        alike = [w for w in self.weights if w.array.shape == shape]
        if alike and self.pick(False, True):
            return self.pick(*alike)
        fan = int(np.prod(shape[1:])) or 1
        made = self.constant(self.numbers(*shape) * (0.5 if self.exact else fan**-0.5))
        self.weights.append(made)
        return made

    # layers of images

    def conv(self, x: Value) -> Value:
        c, n = x.sample[0], x.rank - 2
        groups = self.pick(1, 1, 1, c, *([2] if c % 2 == 0 else []))
        filters = self.pick(3, 16, 8, 20, 1, 2, 32) if groups == 1 else groups * self.pick(1, 2)
        kernel = [self.pick(3, 2, 1, 5) for _ in range(n)]
        w = self.weight(filters, c // groups, *kernel)
        bias = [self.weight(filters)] if self.pick(True, False) else []
        window = self.window(x, kernel)
        if self.pick(False, False, False, True):
            w = self.weight(c, filters // groups, *kernel)
            return self.node("ConvTranspose", x, w, *bias, group=groups, **window)
        return self.node("Conv", x, w, *bias, group=groups, **window)

    def block(self, x: Value) -> Value:
        """Add a convolution to full blocks of channels, rectified and pooled or with strides."""
        c, n = x.sample[0], x.rank - 2
        size = self.pick(3, 5, 3)
        if min(x.sample[1:]) < 2:
            raise Unfit("the image is too small")
        pooled = self.pick(True, True, False)
        w = self.weight(self.pick(16, 32, 14), c, *[size] * n)
        made = self.node("Conv", x, w, pads=[size // 2] * (2 * n), strides=[1 if pooled else 2] * n)
        made = self.node("Relu", made)
        return self.node("MaxPool", made, kernel_shape=[2] * n, strides=[2] * n) if pooled else made

    def blocks(self, x: Value) -> Value:
        return self.block(self.block(x))

    def window(self, x: Value, kernel: list[int], *, dilate: bool = True) -> dict[str, Any]:
        n, sizes = len(kernel), x.sample[1:]
        made: dict[str, Any] = {"strides": [self.pick(1, 2, 3) for _ in range(n)]}
        auto = self.pick("NOTSET", "NOTSET", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")
        if auto != "NOTSET":
            made = {"strides": [min(a, k) for a, k in zip(made["strides"], kernel, strict=True)]}
            made["auto_pad"] = auto
        elif self.pick(True, False):
            made["pads"] = [self.number(0, k - 1) for k in (*kernel, *kernel)]
        if dilate and auto == "NOTSET" and self.pick(False, False, True):
            made["dilations"] = [self.pick(1, 2) for _ in range(n)]
        for size, k, d in zip(sizes, kernel, made.get("dilations", [1] * n), strict=True):
            if d * (k - 1) + 1 > size:
                raise Unfit("the window is larger than the image")
        return made

    def max_pool(self, x: Value) -> Value:
        kernel = [self.pick(2, 3, 1) for _ in range(x.rank - 2)]
        extra = self.window(x, kernel, dilate=self.opset >= 10)
        if self.opset >= 10:
            extra |= self.attributes({"ceil_mode": (None, 1)})
        if self.pick(True, False) and "auto_pad" not in extra:
            extra["strides"] = kernel
        return self._whole(self.node("MaxPool", x, kernel_shape=kernel, **extra))

    def mean_pool(self, x: Value) -> Value:
        kernel = [self.pick(2, 3, 1) for _ in range(x.rank - 2)]
        extra = self.window(x, kernel, dilate=self.opset >= 19) | self.attributes(
            {"count_include_pad": (None, 1)}
        )
        if self.opset >= 10:
            extra |= self.attributes({"ceil_mode": (None, None, 1)})
        return self._whole(self.node("AveragePool", x, kernel_shape=kernel, **extra))

    def _whole(self, made: Value) -> Value:
        if not made.array.size:
            raise Unfit("no window")
        return made

    def bend(self, x: Value) -> Value:
        """Apply what is done element by element."""
        kind = self.pick(
            *"Relu Relu Relu Clip Sigmoid LeakyRelu Tanh Gelu HardSigmoid Elu Abs HardSwish".split()
        )
        if kind == "Clip":
            if self.opset < 11:
                return self.node("Clip", x, min=0.0, max=self.pick(6.0, 1.0))
            low, high = self.pick((0.0, 6.0), (-0.5, 0.5), (0.0, None), (None, 1.0))
            ends = [None if v is None else self.constant(np.float32(v)) for v in (low, high)]
            return self.node("Clip", x, *ends)
        if kind == "Gelu":
            return self.gelu(x)
        if kind == "HardSwish" and self.opset < 14:
            kind = "Relu"
        return self.node(kind, x)

    def gelu(self, x: Value) -> Value:
        """Spell Gelu in one of many ways, or something that is nearly so."""
        near = self.pick(1.0, 1.0, 1.0, 1.001, 0.99)
        half, one = self.constant(np.float32(0.5)), self.constant(np.float32(1.0))
        shape = (1,) * self.pick(0, 0, x.rank)
        if self.opset >= 20 and self.pick(False, True):
            return self.node("Gelu", x, approximate=self.pick("none", "tanh"))
        if self.opset >= 9 and self.pick(True, False):
            root = self.constant(np.full(shape, np.sqrt(2) * near, np.float32))
            inner = self.node("Div", x, root)
            step = self.node("Add", *self.either(self.node("Erf", inner), one))
        else:
            cubic, steep = self.constant(np.float32(0.044715 * near)), self.constant(np.float32(0.7978845608))
            cube = self.pick("Pow", "Mul")
            three = (
                self.node("Pow", x, self.constant(np.float32(3)))
                if cube == "Pow"
                else self.node("Mul", self.node("Mul", x, x), x)
            )
            inner = self.node("Mul", self.node("Add", x, self.node("Mul", three, cubic)), steep)
            step = self.node("Add", *self.either(self.node("Tanh", inner), one))
        if self.pick(True, False):
            return self.node("Mul", self.node("Mul", *self.either(x, half)), step)
        return self.node("Mul", *self.either(self.node("Mul", x, step), half))

    def either(self, a: Value, b: Value) -> tuple[Value, Value]:
        return self.pick((a, b), (b, a))

    def norm(self, x: Value) -> Value:
        c = x.sample[0]
        scale, shift = self.weight(c), self.weight(c)
        mean, spread = self.weight(c), self.constant(np.abs(self.numbers(c)) + np.float32(0.5))
        return self.node("BatchNormalization", x, scale, shift, mean, spread)

    def join(self, x: Value) -> Value:
        """Join a value with another of the pool."""
        alike = [v for v in self.pool if v.array.shape == x.array.shape and v is not x]
        if alike and self.pick(True, False):
            return self.node(self.pick("Add", "Mul", "Sub"), *self.either(x, self.pick(*alike)))
        along = [v for v in self.pool if v.rank == x.rank and v.sample[1:] == x.sample[1:] and v.rank > 2]
        if along and self.pick(True, False):
            return self.node("Concat", x, self.pick(*along), axis=1)
        return self.node(self.pick("Add", "Mul"), *self.either(x, x))

    def gate(self, x: Value) -> Value:
        """Weigh channels by what all places say."""
        c = x.sample[0]
        pooled = self.node("GlobalAveragePool", x)
        mixed = self.node("Conv", pooled, self.weight(c, c, *(1,) * (x.rank - 2)))
        return self.node("Mul", *self.either(x, self.node("Sigmoid", mixed)))

    def bias(self, x: Value) -> Value:
        """Add or multiply constants: one, one for each channel or place."""
        shape = self.pick((), (1,), (x.sample[0], *(1,) * (x.rank - 2)), x.sample[-1:], x.sample)
        return self.node(self.pick("Add", "Mul", "Sub"), *self.either(x, self.weight(*shape)))

    def branch(self, x: Value) -> Value:
        """Choose by a condition what is read from outside of both branches."""
        flag, other = self.flag(), self.pick(*self.pool)
        if self.opset < 13 or other.array.shape != x.array.shape:
            other = x
        info = onnx.helper.make_tensor_value_info
        kinds = self.pick(("Neg", "Identity"), ("Relu", "Abs"))
        bodies = []
        for kind, taken in zip(kinds, (x, other), strict=True):
            name = self._name("b")
            node = onnx.helper.make_node(kind, [taken.name], [name])
            bodies.append(
                onnx.helper.make_graph([node], kind, [], [info(name, onnx.TensorProto.FLOAT, None)])
            )
        return self.node("If", flag, then_branch=bodies[0], else_branch=bodies[1])

    # layers of words

    def words(self, x: Value) -> Value:
        """Add a step to (N, L, D)."""
        d = x.sample[-1]
        kind = self.pick("dense", "attend", "norm", "gelu", "bend", "join")
        if kind == "dense":
            made = self.node("MatMul", x, self.weight(d, self.pick(d, 4, 17)))
            return self.node("Add", *self.either(made, self.weight(made.sample[-1])))
        if kind == "norm":
            if self.opset < 17:
                raise Unfit("there is no LayerNormalization")
            return self.node("LayerNormalization", x, self.weight(d), self.weight(d), axis=-1)
        if kind == "gelu":
            return self.gelu(x)
        if kind == "attend":
            q, k, v = (self.node("MatMul", x, self.weight(d, d)) for _ in range(3))
            turned = self.node("Transpose", k, perm=[0, 2, 1])
            scores = self.node("Mul", self.node("MatMul", q, turned), self.constant(np.float32(0.3)))
            made = self.node("MatMul", self.node("Softmax", scores, axis=-1 if self.opset >= 13 else 2), v)
            return self.node("Add", *self.either(x, made)) if self.pick(True, False) else made
        return self.bend(x) if kind == "bend" else self.join(x)


_BENDS = "Relu Relu Relu Clip Sigmoid LeakyRelu Tanh Gelu HardSigmoid Elu Abs HardSwish".split()
_IMAGES = (
    "block", "blocks", "blocks", "conv", "conv", "bend", "bend", "max_pool", "mean_pool", "join", "norm",
    "gate", "bias", "branch",
)  # fmt: skip


def network(rng: np.random.Generator, *, windows: bool = False) -> Drawn:
    """Draw a network.

    Parameters
    ----------
    rng
        What it is drawn from.
    windows
        Whether it is for images, large enough for windows that slide over them, and its batch is open.
    """
    while True:
        net = _Net(rng, None if windows else _batch(rng), int(rng.choice([18, 17, 21, 20, 13, 11, 9, 7])))
        with contextlib.suppress(Unfit):
            return _drawn(net, windows=windows)


def _batch(rng: np.random.Generator) -> int | None:
    return [None, None, 1, 2][int(rng.integers(4))]


def _drawn(net: _Net, *, windows: bool) -> Drawn:
    images = windows or net.pick(True, True, False)
    if images:
        n = 2 if windows else net.pick(2, 2, 2, 1, 3)
        most = {1: 40, 2: 12, 3: 6}[n]
        sides = [net.number(5 if windows else 3, most) for _ in range(n)]
        x = net.input((net.pick(3, 1, 2, 4, 16), *sides))
    else:
        x = net.input((net.pick(3, 1, 5), net.pick(8, 5, 16, 17)))
    drawn = []
    for _ in range(net.number(1, 8)):
        kind = net.pick(*_IMAGES) if images else "words"
        mark, count = net.mark(), len(net.weights)
        try:
            x = getattr(net, kind)(x)
        except Unfit:
            net.back_to(mark)
            del net.weights[count:]
            continue
        net.pool.append(x)
        drawn.append(kind)
    if not drawn:
        raise Unfit("nothing fits")
    return _finished(net, x, tuple(drawn))


def _finished(net: _Net, x: Value, drawn: tuple[str, ...]) -> Drawn:
    y = _ended(net, x)
    dims: Any = "N" if net.fixed is None else net.fixed
    info, real = onnx.helper.make_tensor_value_info, onnx.TensorProto.FLOAT
    infos = [info(v.name, real, [dims, *v.sample]) for v in (*net.inputs, y)]
    flags = [info(v.name, onnx.TensorProto.BOOL, []) for v in net.flags]
    given = [
        info(w.name, real, w.array.shape) for w in net.weights if w.rank > 1 and net.pick(*[False] * 9, True)
    ]
    graph = onnx.helper.make_graph(
        net.nodes, "drawn", [*infos[:-1], *flags, *given], infos[-1:], initializer=net.initializers
    )
    _take_names(net, graph)
    model = net.model_of(graph)
    if not accepted(model, {v.name: v.array for v in (*net.inputs, *net.flags)}):
        raise Unfit("onnxruntime does not take it")
    rows = 3 if net.fixed is None else 2 * net.fixed
    feeds = {v.name: net.numbers(rows, *v.sample) for v in net.inputs}
    baselines = {v.name: net.numbers(rows, *v.sample) for v in net.inputs}
    feeds |= {v.name: v.array for v in net.flags}
    target = (net.number(0, y.sample[0] - 1),)
    return Drawn(model, drawn, net.fixed, feeds, baselines, target, net.number(0, 2**16))


def _ended(net: _Net, x: Value) -> Value:
    """Add a dense end."""
    end = net.pick("flat", "mean", "hidden") if x.rank > 2 else "flat"
    if end == "mean":
        x = net.node("GlobalAveragePool", x)
    x = net.node("Flatten", x)
    if end == "hidden":
        x = net.node("Relu", net.node("MatMul", x, net.weight(x.sample[0], 9)))
    f, c = x.sample[0], net.pick(4, 3)
    if net.pick(True, False):
        y = net.node("MatMul", x, net.weight(f, c))
    else:
        turned = net.pick(0, 1)
        w = net.weight(*((c, f) if turned else (f, c)))
        y = net.node("Gemm", x, w, net.weight(c), transB=turned, alpha=net.pick(1.0, 0.5))
    if net.pick(False, False, True):
        y = net.node("Softmax", y)
    for node in net.nodes:
        node.output[:] = ["y" if o == y.name else o for o in node.output]
    return Value("y", y.array)


def _take_names(net: _Net, graph: onnx.GraphProto) -> None:
    """Give some values and nodes names that passes would like to have."""
    kept = {v.name for v in (*net.inputs, *net.flags)} | {"y"}
    values = [i.name for i in graph.initializer] + [o for n in graph.node for o in n.output]
    values = [v for v in values if v not in kept]
    names: dict[str, str] = {}
    for name in values:
        if net.pick(*[False] * 5, True):
            other = net.pick(*values, *(n.name for n in graph.node))
            new = net.pick(*(f"{names.get(other, other)}{end}" for end in _SUFFIXES), *_NAMES)
            if new not in {*names.values(), *values, *kept}:
                names[name] = new
    for body in _graphs(graph):
        for node in body.node:
            node.input[:] = [names.get(i, i) for i in node.input]
            node.output[:] = [names.get(o, o) for o in node.output]
        for each in (*body.initializer, *body.input, *body.output):
            each.name = names.get(each.name, each.name)


def _graphs(graph: onnx.GraphProto) -> list[onnx.GraphProto]:
    inner = [a.g for n in graph.node for a in n.attribute if a.HasField("g")]
    return [graph, *(g for i in inner for g in _graphs(i))]
