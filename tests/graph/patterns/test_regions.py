"""Pieces of graph that are one elementwise function, and pieces that only look like one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import onnxplain.backward.ops  # noqa: F401  (fills the table by which paths are found)
from onnxplain.backward.engine import between
from onnxplain.graph.load import load
from onnxplain.graph.normalize import normalize
from onnxplain.graph.patterns.regions import regions

WEIGHTS = {
    "w": np.ones((3, 3), np.float32), "bias": np.array([1.0, 2.0, 3.0], np.float32),
    "row": np.array([[1.0, 2.0, 3.0]], np.float32), "column": np.ones((3, 1), np.float32),
    "tensor": np.ones((2, 1, 3), np.float32), "axes": np.array([1]), "last": np.array([-1]),
    "axis": np.array([0.5], np.float32), "turned": np.array([2, 1, 0]),
    "zero": np.float32(0), "half": np.float32(0.5), "one": np.float32(1), "two": np.float32(2),
    "three": np.float32(3), "six": np.float32(6), "slope": np.float32(0.01), "minus": np.float32(-1),
    "cubic": np.float32(0.044715), "root": np.float32(2**0.5), "scale": np.float32((2 / np.pi) ** 0.5),
}  # fmt: skip


def find(proto: onnx.ModelProto, wrt: Sequence[str] | None = None) -> dict[str, str]:
    """Return names of the output and the source of each region on the way from wrt (the inputs) to y."""
    graph = normalize(load(proto)).model.graph
    values = {v.name: v for v in (*graph.inputs, *(o for node in graph for o in node.outputs))}
    asked = [values[name] for name in wrt] if wrt else [i for i in graph.inputs if i.name != "aside"]
    found = regions(*between(graph, [values["y"]], asked))
    return {str(node.outputs[0].name): str(source.name) for node, source in found.items()}


def model(models, body: str, inputs: str = "float[N, 3] x") -> onnx.ModelProto:
    """Return a model that computes y, whose shape nobody states."""
    return models.make(f"m ({inputs}) => (float[A, B] out) {{ {body} out = Flatten(y) }}", **WEIGHTS)


GELU_TANH = """
  cube = Pow(s, three) small = Mul(cube, cubic) in = Add(s, small) wide = Mul(in, scale) t = Tanh(wide)
  up = Add(t, one) f = Mul(s, up)"""

ACTIVATIONS = {
    "erf gelu": ("h = Mul(s, half) d = Div(s, root) e = Erf(d) u = Add(e, one) f = Mul(h, u)", {"f": "s"}),
    "erf gelu, half last": (
        "d = Div(s, root) e = Erf(d) u = Add(e, one) g = Mul(s, u) f = Mul(g, half)", {"g": "s"},
    ),
    "tanh gelu": (GELU_TANH, {"in": "s", "f": "s"}),
    "quick gelu": ("k = Mul(s, two) g = Sigmoid(k) f = Mul(s, g)", {"f": "s"}),
    "silu": ("g = Sigmoid(s) f = Mul(s, g)", {"f": "s"}),
    "silu by exp": ("n = Neg(s) e = Exp(n) u = Add(e, one) f = Div(s, u)", {"f": "s"}),
    "hardswish": ("g = HardSigmoid(s) f = Mul(s, g)", {"f": "s"}),
    "hardswish by clip": (
        "u = Add(s, three) c = Clip(u, zero, six) g = Mul(s, c) f = Div(g, six)", {"g": "s"},
    ),
    "hardswish by min and max": (
        "u = Add(s, three) a = Max(u, zero) c = Min(a, six) d = Div(c, six) f = Mul(d, s)", {"f": "s"},
    ),
    "leaky by max": ("k = Mul(s, slope) f = Max(s, k)", {"f": "s"}),
    "leaky by where": ("p = Greater(s, zero) k = Mul(s, slope) f = Where(p, s, k)", {"f": "s"}),
    "step by where": ("p = Greater(s, zero) f = Where(p, s, zero)", {"f": "s"}),
    "relu by a mask": ("p = Greater(s, zero) k = Cast<to = 1>(p) f = Mul(s, k)", {"f": "s"}),
    "window": (
        "p = Greater(s, zero) q = Less(s, one) b = And(p, q) n = Not(b) f = Where(n, zero, s)", {"f": "s"},
    ),
    "mish": ("e = Exp(s) u = Add(e, one) l = Log(u) t = Tanh(l) f = Mul(s, t)", {"f": "s"}),
    "mish by softplus": ("l = Softplus(s) t = Tanh(l) f = Mul(s, t)", {"f": "s"}),
    "softplus": ("e = Exp(s) u = Add(e, one) f = Log(u)", {}),
    "stable softplus": (
        "a = Abs(s) n = Neg(a) e = Exp(n) u = Add(e, one) l = Log(u) r = Relu(s) f = Add(r, l)", {"f": "s"},
    ),
    "softsign": ("a = Abs(s) u = Add(a, one) f = Div(s, u)", {"f": "s"}),
    "prelu of keras": ("r = Relu(s) n = Neg(s) q = Relu(n) a = Mul(q, bias) f = Sub(r, a)", {"f": "s"}),
    "prelu by min": ("r = Relu(s) n = Min(s, zero) a = Mul(bias, n) f = Add(r, a)", {"f": "s"}),
    "prelu by abs": (
        "r = Relu(s) b = Abs(s) d = Sub(s, b) k = Mul(d, bias) h = Mul(k, half) f = Add(r, h)",
        {"d": "s", "f": "s"},
    ),
    "elu by where": (
        "e = Exp(s) q = Sub(e, one) p = GreaterOrEqual(s, zero) f = Where(p, s, q)", {"f": "s"},
    ),
    "square": ("f = Mul(s, s)", {"f": "s"}),
    "double": ("f = Add(s, s)", {"f": "s"}),
    "sum of three": ("a = Sin(s) b = Cos(s) f = Sum(s, a, b)", {"f": "s"}),
    "mean": ("a = Sin(s) f = Mean(a, s)", {"f": "s"}),
    "fraction": ("q = Floor(s) f = Sub(s, q)", {"f": "s"}),
    "rounding": ("i = Cast<to = 7>(s) q = Cast<to = 1>(i) f = Sub(s, q)", {"f": "s"}),
    "power of itself": ("a = Abs(s) b = Add(a, one) f = Pow(b, s)", {"f": "s"}),
    "remainder": ("e = Exp(s) f = Mod<fmod = 1>(s, e)", {"f": "s"}),
    "slope of itself": ("g = Sigmoid(s) f = PRelu(s, g)", {"f": "s"}),
    "cast like": ("e = CastLike(one, s) g = Sigmoid(s) u = Add(g, e) f = Mul(s, u)", {"f": "s"}),
    "cast like, further": (
        "e = CastLike(one, s) d = CastLike(two, s) k = Mul(e, d) n = Shape(s) c = Expand(k, n) f = Max(s, c)",
        {},
    ),
    "cast like itself": ("e = CastLike(s, s) g = Tanh(e) f = Mul(e, g)", {"f": "s"}),
    "length of itself": (
        "n = Shape(s) z = ConstantOfShape(n) p = Greater(s, z) f = Where(p, s, z)", {"f": "s"},
    ),
    "twice": ("g = Sigmoid(s) a = Mul(s, g) k = Sigmoid(a) f = Mul(a, k)", {"a": "s", "f": "a"}),
    "inside another": ("g = Sigmoid(s) a = Mul(s, g) t = Tanh(a) f = Add(t, s)", {"a": "s", "f": "s"}),
    "in parallel": (
        "g = Sigmoid(s) a = Mul(s, g) h = Mul(s, half) b = Max(s, h) f = Add(a, b)",
        {"a": "s", "b": "s", "f": "s"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_between_layers(name, models) -> None:
    """The bias before is not swallowed, and neither is the layer."""
    body, expected = ACTIVATIONS[name]
    assert find(model(models, f"m = MatMul(x, w) s = Add(m, bias) {body} y = MatMul(f, w)")) == expected


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_of_inputs(name, models) -> None:
    body, expected = ACTIVATIONS[name]
    proto = model(models, f"{body} y = MatMul(f, w)", "float[N, 3] s")
    assert find(proto) == expected


@pytest.mark.parametrize("name", [n for n, (body, _) in ACTIVATIONS.items() if "bias" not in body])
def test_activations_are_elementwise(name, models) -> None:
    """What the table says is tested, too: permuting the entries of s permutes those of f."""
    body, _ = ACTIVATIONS[name]
    proto = model(models, f"{body} y = Neg(f)", "float[4, 3] s")
    values = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)
    order = np.random.default_rng(1).permutation(12)
    run = onnx.reference.ReferenceEvaluator(proto).run
    (straight,), (mixed,) = (run(None, {"s": v}) for v in (values, values.ravel()[order].reshape(4, 3)))
    np.testing.assert_allclose(mixed.ravel(), straight.ravel()[order], rtol=1e-6)


OTHERS = {
    "layer around which x goes": ("m = MatMul(x, w) y = Add(x, m)", {}),
    "layer with an activation": ("m = MatMul(x, w) r = Relu(m) y = Add(x, r)", {}),
    "reduction": ("m = ReduceMean(x, last) y = Sub(x, m)", {}),
    "softmax": ("e = Exp(x) n = ReduceSum(e, last) y = Div(e, n)", {}),
    "softmax, gating": ("g = Softmax(x) y = Mul(x, g)", {}),
    "lstm": ("a = MatMul(x, w) b = MatMul(x, w) g = Sigmoid(a) t = Tanh(b) y = Mul(g, t)", {}),
    "two functions of a, one of b": (
        "a = MatMul(x, w) b = MatMul(a, w) g = Sigmoid(a) t = Mul(g, b) y = Add(t, a)", {},
    ),
    "mixing places": ("t = Tanh(x) g = Gather<axis = 1>(t, turned) y = Mul(x, g)", {}),
    "largest": ("i = ArgMax(x) f = Cast<to = 1>(i) y = Mul(x, f)", {}),
    "largest, its own function": (
        "i = ArgMax(x) f = Cast<to = 1>(i) g = Sigmoid(f) p = Mul(f, g) y = Mul(x, p)", {},
    ),
    "condition of another value": (
        "m = MatMul(x, w) p = Greater(m, zero) k = Mul(x, half) y = Where(p, x, k)", {},
    ),
    "one operand": ("y = Sum(x)", {}),
    "constants beside": ("a = Mul(x, two) b = Add(a, bias) y = Max(b, zero)", {}),
    "bias alone": ("k = Exp(bias) y = Add(x, k)", {}),
    "behind a sum of two": (
        "m = MatMul(x, w) s = Add(x, m) g = Sigmoid(s) y = Mul(s, g)", {"y": "s"},
    ),
    "both sides of a sum of two": (
        "m = MatMul(x, w) s = Add(x, m) g = Sigmoid(s) y = Mul(x, g)", {},
    ),
    "after a condition that carries nothing": (
        "p = Greater(x, zero) k = Cast<to = 1>(p) g = Sigmoid(k) a = Mul(k, g) y = Mul(a, x)", {"y": "x"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_what_looks_like_it(name, models) -> None:
    body, expected = OTHERS[name]
    assert find(model(models, body)) == expected


SHAPES = {
    "constant per channel": ("float[N, 3] x", "a = Mul(x, bias) y = Max(x, a)", {"y": "x"}),
    "constant with more axes": ("float[N, 3] x", "a = Mul(x, tensor) y = Max(x, a)", {}),
    "constant that widens": ("float[N, 1] x", "a = Mul(x, bias) y = Max(x, a)", {}),
    "widened before": ("float[N, 1] x", "a = Mul(x, bias) b = Tanh(a) y = Max(b, a)", {"y": "a"}),
    "widened and met by its source": ("float[1] x", "a = Mul(x, bias) b = Tanh(x) y = Mul(a, b)", {}),
    "static batch": ("float[2, 3] x", "a = Mul(x, row) y = Max(x, a)", {"y": "x"}),
    "batch of one": ("float[1, 3] x", "a = Mul(x, column) y = Max(x, a)", {}),
    "column": ("float[N, 3] x", "a = Mul(x, column) y = Max(x, a)", {}),
    "unknown lengths": ("float[?, ?] x", "a = Mul(x, two) g = Sigmoid(a) y = Mul(x, g)", {"y": "x"}),
    "unknown lengths, constant per channel": ("float[?, ?] x", "a = Mul(x, bias) y = Max(x, a)", {}),
    "unknown batch": ("float[?, 3] x", "a = Mul(x, row) g = Sigmoid(a) y = Mul(x, g)", {"y": "x"}),
    "unknown rank": (
        "float[6] v, int64[R] aside",
        "x = Reshape(v, aside) a = Mul(x, two) p = Less(a, zero) y = Where(p, x, a)", {"y": "x"},
    ),
    "unknown rank, constant with axes": (
        "float[6] v, int64[R] aside", "x = Reshape(v, aside) a = Mul(x, axis) y = Max(x, a)", {},
    ),
    "behind unknown lengths": (
        "float[N, 3] x, int64[R] aside", "r = Reshape(x, aside) g = Sigmoid(r) y = Mul(r, g)", {"y": "r"},
    ),
    "mask beside": (
        "float[N, 3] x, float[N, 3] aside", "g = Sigmoid(x) a = Mul(x, aside) y = Mul(a, g)", {"y": "x"},
    ),
    "mask that may widen": (
        "float[N, 3] x, float[M, 3] aside", "g = Sigmoid(x) a = Mul(x, aside) y = Mul(a, g)", {},
    ),
    "mask of one sample": (
        "float[N, 3] x, float[1, 3] aside", "g = Sigmoid(x) a = Mul(x, aside) y = Mul(a, g)", {"y": "x"},
    ),
    "mask that static lengths hold": (
        "float[2, 3] x, float[M, 3] aside", "g = Sigmoid(x) a = Mul(x, aside) y = Mul(a, g)", {"y": "x"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_shapes(name, models) -> None:
    inputs, body, expected = SHAPES[name]
    assert find(model(models, body, inputs)) == expected


def test_values_inside_the_graph(models) -> None:
    """What lies before the values asked for is constant; what carries no gradient is no source."""
    body = "a = Tanh(x) g = Sigmoid(a) f = Mul(a, g) y = Mul(f, x)"
    assert find(model(models, body)) == {"f": "a", "y": "x"}
    assert find(model(models, body), ["a"]) == {"f": "a"}
    assert find(model(models, body), ["g"]) == {}
    floor = "q = Floor(x) a = Sin(q) b = Cos(a) f = Mul(a, b) y = Mul(f, q)"
    assert find(model(models, floor), ["a"]) == {"f": "a"}
    assert find(model(models, floor), ["x", "a"]) == {"f": "a", "y": "x"}


def test_nodes_off_the_path(models) -> None:
    """Only nodes between the score and what is explained get an entry."""
    proto = models.make(
        "m (float[N, 3] x) => (float[N, 3] y, float[N, 3] z) "
        "{ g = Sigmoid(x) y = Mul(x, g) t = Tanh(x) z = Mul(x, t) }"
    )
    assert find(proto) == {"y": "x"}
    assert regions([], set()) == {}


def test_branches_use_outer_values(models) -> None:
    """What a branch makes of x is not known to be elementwise."""
    proto = models.make(
        """m (float[3] x, bool aside) => (float[3] y) {
          b = If (aside) <then_branch = t () => (float[3] p) { p = Softmax(x) },
                          else_branch = e () => (float[3] q) { q = Neg(x) }>
          g = Sigmoid(b)
          f = Mul(b, g)
          y = Mul(f, x)
        }"""
    )
    assert find(proto) == {"f": "b"}


def test_foreign_operators_are_not_known(models) -> None:
    proto = models.make(
        "m (float[N, 3] x) => (float[N, 3] y) { g = other.Sigmoid(x) y = Mul(x, g) }", domain="other"
    )
    assert find(proto) == {}


def test_long_graphs(models) -> None:
    """A chain that meets its start again at each step, and one of regions."""
    chain = " ".join(f"a{k + 1} = Sin(a{k}) b{k + 1} = Mul(a{k + 1}, x)" for k in range(2000))
    tail = "y = Sum(" + ", ".join(f"b{k + 1}" for k in range(2000)) + ")"
    found = find(model(models, f"a0 = Cos(x) {chain} {tail}"))
    assert len(found) == 2001
    assert set(found.values()) == {"x"}
    steps = " ".join(f"g{k} = Sigmoid(a{k}) a{k + 1} = Mul(a{k}, g{k})" for k in range(3000))
    found = find(model(models, f"a0 = Cos(x) {steps} y = Neg(a3000)"))
    assert found == {f"a{k + 1}": f"a{k}" for k in range(3000)}


@pytest.mark.parametrize("seed", range(40))
def test_against_the_definition(seed, models) -> None:
    """Random graphs: s is the nearest value through which all ways from y up to the layers lead."""
    rng = np.random.default_rng(seed)
    lines, ways = [], {"x": ["x"]}  # each value, and those that all ways to it pass, the farthest first
    expected = {}
    for k in range(30):
        names = list(ways)
        a, b = (names[-1 - min(int(n), len(names) - 1)] for n in rng.geometric(0.3, 2) - 1)
        kind = rng.choice(["Add", "Mul", "Max", "Tanh", "Exp", "MatMul"], p=[0.2, 0.2, 0.2, 0.15, 0.15, 0.1])
        name = f"v{k}"
        if kind == "MatMul":
            lines.append(f"{name} = MatMul({a}, w)")
            ways[name] = [name]
        elif kind in ("Tanh", "Exp"):
            lines.append(f"{name} = {kind}({a})")
            ways[name] = [*ways[a], name]
        else:
            lines.append(f"{name} = {kind}({a}, {b})")
            shared = [v for v in ways[a] if v in ways[b]]
            ways[name] = [*shared, name]
            if shared:
                expected[name] = shared[-1]
    unused = ", ".join(n for n in ways if not any(n in line.split("(")[1][:-1].split(", ") for line in lines))
    body = " ".join(lines)
    graph = normalize(load(model(models, f"{body} z = Concat<axis = 0>({unused}) y = Neg(z)"))).model.graph
    found = regions(*between(graph, graph.outputs, graph.inputs))
    assert {n.outputs[0].name: s.name for n, s in found.items()} == expected
    assert list(found) == [n for n in graph if n in found]
    assert all(isinstance(s, ir.Value) for s in found.values())
