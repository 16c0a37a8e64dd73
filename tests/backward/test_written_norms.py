"""A normalisation that is written out has the relevance, gradient and DeepLIFT of the fused operator."""

from __future__ import annotations

import re

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import onnxplain as ox
from onnxplain.backward.composites.presets import PRESETS, preset
from onnxplain.backward.engine import between
from onnxplain.graph.load import load
from onnxplain.graph.normalize import normalize
from onnxplain.graph.patterns.written_norms import WrittenNorm, written_norms

EPSILON = 1e-3

# Pieces: x is normalised over the last axis, with the mean m, the centred c, the variance v, the deviation d
# or its inverse r.

MEANS = {
    "ReduceMean": "m = ReduceMean(x, last)",
    "sum over the number": "k = ReduceSum(x, last) m = Div(k, count)",
    "sum times its inverse": "k = ReduceSum(x, last) m = Mul(inverse, k)",
    "axis put back": "k = ReduceMean<keepdims = 0>(x, last) m = Unsqueeze(k, last)",
    "reshaped": "k = ReduceMean<keepdims = 0>(x, last) m = Reshape(k, column)",
}
VARIANCES = {
    "Mul": "c = Sub(x, m) q = Mul(c, c) v = ReduceMean(q, last)",
    "Pow": "c = Sub(x, m) q = Pow(c, two) v = ReduceMean(q, last)",
    "negated": "neg = Neg(m) c = Add(x, neg) q = Mul(c, c) v = ReduceMean(q, last)",
    "ReduceSumSquare": "c = Sub(x, m) q = ReduceSumSquare(c, last) v = Div(q, count)",
    "ReduceL2": "c = Sub(x, m) q = ReduceL2(c, last) u = Mul(q, q) v = Mul(u, inverse)",
    "E[x^2] - m^2": "c = Sub(x, m) xx = Mul(x, x) e = ReduceMean(xx, last) p = Mul(m, m) v = Sub(e, p)",
    "bounded": "c = Sub(x, m) j = Mul(x, x) e = ReduceMean(j, last) p = Mul(m, m) t = Sub(e, p) v = Relu(t)",
    "expanded": "c = Sub(x, m) q = Mul(c, c) t = ReduceMean(q, last) wide = Shape(x) v = Expand(t, wide)",
}
QUOTIENTS = {
    "Div": "w = Add(v, eps) d = Sqrt(w) n = Div(c, d)",
    "Reciprocal(Sqrt)": "w = Add(v, eps) d = Sqrt(w) r = Reciprocal(d) n = Mul(c, r)",
    "Sqrt(Reciprocal)": "w = Add(eps, v) d = Reciprocal(w) r = Sqrt(d) n = Mul(r, c)",
    "Pow": "w = Add(v, eps) r = Pow(w, rsqrt) n = Mul(c, r)",
    "1 / d": "w = Add(v, eps) d = Pow(w, half) r = Div(one, d) n = Mul(c, r)",
}
SCALED = {
    "Mul, Add": "g = Mul(n, scale) y = Add(g, shift)",
    "on the left": "g = Mul(scale, n) y = Add(shift, g)",
    "Div, Sub": "g = Div(n, unscale) y = Sub(g, unshift)",
}
FOLDED = {
    "x s - m s + b": "s = Mul(r, scale) a = Mul(x, s) o = Mul(m, s) l = Sub(a, o) y = Add(l, shift)",
    "x s + (b - m s)": "s = Mul(scale, r) a = Mul(x, s) o = Mul(m, s) l = Sub(shift, o) y = Add(a, l)",
    "scaled before": "a = Mul(c, scale) l = Mul(a, r) y = Add(l, shift)",
    "scaled statistic": "s = Mul(r, scale) l = Mul(c, s) y = Add(l, shift)",
}
D, LAST = 6, np.array([-1])
INVERSE = "w = Add(v, eps) d = Sqrt(w) r = Reciprocal(d)"


def written() -> dict[str, str]:
    """Return all that differ in one piece from the first of each, and some that differ in more."""
    pieces = [MEANS, VARIANCES, QUOTIENTS, SCALED]
    first = [next(iter(p.values())) for p in pieces]
    made = {}
    for k, options in enumerate(pieces):
        for name, text in options.items():
            made[f"{name}"] = " ".join([*first[:k], text, *first[k + 1 :]])
    for k, (name, text) in enumerate(FOLDED.items()):
        mean = list(MEANS.values())[k % len(MEANS)]
        made[name] = " ".join([mean, list(VARIANCES.values())[(2 * k) % len(VARIANCES)], INVERSE, text])
    for k in range(12):
        parts = [list(p.values())[(5 * k + j) % len(p)] for j, p in enumerate(pieces)]
        made[f"mixture {k}"] = " ".join(parts)
    made["BatchNormalization"] = f"{ROWS} {SCALED['Mul, Add']}"
    return made


#: As Keras has it: each row is a channel of a batch of one.
ROWS = """f = Reshape(x, rows) m = ReduceMean<keepdims = 0>(f, but1) e = Unsqueeze(m, around) c = Sub(f, e)
  q = Mul(c, c) v = ReduceMean<keepdims = 0>(q, but1) k = Shape(m)
  u = ConstantOfShape<value = float[1] {1}>(k)
  o = ConstantOfShape(k) l = BatchNormalization<epsilon = 0.001>(f, u, o, m, v) n = Reshape(l, back)"""
WRITTEN = written()


def weights(models, d: int = D) -> dict[str, np.ndarray]:
    scale, shift = models.random(d, seed=1) + 2, models.random(d, seed=2)
    return {
        "last": LAST, "count": np.float32(d), "inverse": np.float32(1 / d), "two": np.float32(2),
        "scale": scale, "shift": shift, "unscale": 1 / scale, "unshift": -shift, "eps": np.float32(EPSILON),
        "half": np.float32(0.5), "rsqrt": np.float32(-0.5), "one": np.float32(1),
        "column": np.array([-1, 4, 1]), "middle": np.array([1]),
        "rows": np.array([1, -1, d, 1]), "back": np.array([-1, 4, d]), "but1": np.array([0, 2, 3]),
        "around": np.array([0, 2, 3]),
        "w1": models.random(3, d, seed=3), "b1": models.random(d, seed=4),
        "w2": models.random(4 * d, 3, seed=5), "flat": np.array([-1, 4 * d]),
    }  # fmt: skip


def model(models, body: str, opset: int = 18, d: int = D) -> onnx.ModelProto:
    """(N, 4, 3) to (N, 3): a layer, the normalisation of (N, 4, D) from x to y, ReLU, a dense end."""
    text = f"h = MatMul(i, w1) x = Add(h, b1) {body} a1 = Relu(y) f1 = Reshape(a1, flat) z = MatMul(f1, w2)"
    used = {k: v for k, v in weights(models, d).items() if re.search(rf"[ (]{k}[,)]", text)}
    return models.make(f"m (float[N, 4, 3] i) => (float[N, 3] z) {{ {text} }}", opset=opset, **used)


def layer_norm(models) -> onnx.ModelProto:
    return model(models, f"y = LayerNormalization<epsilon = {EPSILON}>(x, scale, shift)")


OPTIONS = {"epsilon_gamma_box": {"low": -4.0, "high": 4.0}}
RELEVANCE = [n for n in PRESETS if preset(n, **OPTIONS.get(n, {})).preparation == ("relevance",)]
RELEVANCE.remove("visual_backprop")  # it needs a Conv
METHODS = {n: ox.LRP(n, **OPTIONS.get(n, {})) for n in RELEVANCE} | {
    "gradient": ox.Saliency(), "guided": ox.GuidedBackprop(), "rescale": ox.DeepLift(),
    "reveal_cancel": ox.DeepLift("reveal_cancel"),
    **{f"bias={bias}": ox.LRP("epsilon", bias=bias) for bias in ("keep", "drop", "spread")},
}  # fmt: skip
SOME = ["epsilon_plus", "bias=keep", "bias=drop", "gradient", "rescale"]


def same(models, a: onnx.ModelProto, b: onnx.ModelProto, names: list[str], count: int = 2) -> None:
    x = models.random(count, 4, 3, seed=6)
    one, two = ox.Explainer(a), ox.Explainer(b)
    for name in names:
        found, wanted = (e(x, 1, method=METHODS[name]).values for e in (one, two))
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max(), err_msg=name)


@pytest.mark.parametrize("name", WRITTEN)
def test_written_layer_normalisation_is_the_operator(name, models) -> None:
    count = 1 if name == "BatchNormalization" else 2  # for all that the graph shows, it mixes samples
    same(models, model(models, WRITTEN[name]), layer_norm(models), SOME, count)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["Reciprocal(Sqrt)", "E[x^2] - m^2", "x s - m s + b", "x s + (b - m s)"])
def test_all_methods(name, method, models) -> None:
    same(models, model(models, WRITTEN[name]), layer_norm(models), [method])


SQUARES = "q = Mul(x, x) v = ReduceMean(q, last) w = Add(v, eps)"
ROOT = {
    "LLaMA": "q = Pow(x, two) v = ReduceMean(q, last) w = Add(v, eps) d = Sqrt(w) r = Reciprocal(d)"
    " n = Mul(x, r) y = Mul(scale, n)",
    "rsqrt": f"{SQUARES} r = Pow(w, rsqrt) s = Mul(r, scale) y = Mul(x, s)",
    "sum of squares": "q = ReduceSumSquare(x, last) v = Mul(q, inverse) w = Add(v, eps) d = Sqrt(w)"
    " n = Div(x, d) y = Mul(n, scale)",
    "root of the inverse": f"{SQUARES} d = Reciprocal(w) r = Sqrt(d) g = Mul(x, scale) y = Mul(g, r)",
    "norm": "q = ReduceL2(x, last) u = Mul(q, q) v = Div(u, count) w = Add(v, eps) d = Sqrt(w)"
    " r = Div(one, d) n = Mul(r, x) y = Mul(n, scale)",
}


@pytest.mark.parametrize("name", ROOT)
def test_written_root_mean_square_normalisation_is_the_operator(name, models) -> None:
    pytest.importorskip("onnxruntime", minversion="1.24", reason="it has no kernel for RMSNormalization")
    fused = model(models, f"y = RMSNormalization<epsilon = {EPSILON}>(x, scale)", opset=23)
    same(models, model(models, ROOT[name]), fused, [*SOME, "attention", "reveal_cancel"])


@pytest.mark.parametrize("name", ROOT)
def test_written_root_mean_square_gives_all_to_x(name, models) -> None:
    """As a quotient does."""
    quotient = (
        "q = Mul(x, x) v = ReduceMean(q, last) w = Add(v, eps) d = Sqrt(w) n = Div(x, d) y = Mul(n, scale)"
    )
    written = model(models, ROOT[name])
    same(models, written, model(models, quotient), [n for n in METHODS if n != "guided"])
    table = ox.Explainer(written)(models.random(1, 4, 3), 0, method=ox.LRP("epsilon")).rule_table
    assert not {row[1] for row in table} & {"ReduceMean", "ReduceSumSquare", "ReduceL2", "Sqrt"}


OTHERS = {
    "statistics of another value": "o = Tanh(x) k = ReduceMean(o, last) c = Sub(x, k) u = Mul(c, c)"
    " v = ReduceMean(u, last) w = Add(v, eps) d = Sqrt(w) r = Reciprocal(d) y = Mul(c, r)",
    "deviation of another value": "m = ReduceMean(x, last) c = Sub(x, m) o = Tanh(x) u = Mul(o, o)"
    " v = ReduceMean(u, last) w = Add(v, eps) d = Sqrt(w) r = Reciprocal(d) y = Mul(c, r)",
    "deviation over other axes": "m = ReduceMean(x, last) c = Sub(x, m) u = Mul(c, c)"
    " v = ReduceMean(u, middle) w = Add(v, eps) d = Sqrt(w) r = Reciprocal(d) y = Mul(c, r)",
    "mean over other axes": "m = ReduceMean(x, middle) c = Sub(x, m) u = Mul(c, c)"
    " v = ReduceMean(u, last) w = Add(v, eps) d = Sqrt(w) r = Reciprocal(d) y = Mul(c, r)",
    "divided by the variance": "m = ReduceMean(x, last) c = Sub(x, m) u = Mul(c, c)"
    " v = ReduceMean(u, last) w = Add(v, eps) r = Reciprocal(w) y = Mul(c, r)",
    "multiplied by the deviation": "m = ReduceMean(x, last) c = Sub(x, m) u = Mul(c, c)"
    " v = ReduceMean(u, last) w = Add(v, eps) d = Sqrt(w) y = Mul(c, d)",
    "columns for rows": "m = ReduceMean(x, last) c = Sub(x, m) u = Mul(c, c)"
    " v = ReduceMean<keepdims = 0>(u, last) w = Add(v, eps) d = Sqrt(w) r = Reciprocal(d) y = Mul(c, r)",
    "not of the mean": "a = Mul(x, scale) m = ReduceMean(a, last) c = Sub(x, m) u = Mul(c, c)"
    " v = ReduceMean(u, last) w = Add(v, eps) d = Sqrt(w) r = Reciprocal(d) y = Mul(c, r)",
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_normalisation_is_not_taken_for_one(name, models) -> None:
    square = name == "columns for rows"
    made = normalize(load(model(models, OTHERS[name], d=4 if square else D))).model
    assert not any(norm.centred for norm in found(made).values())
    assert [norm.source.name for norm in found(made).values()] == ["c"] * (name in OF_ITS_SQUARES)


#: These are divided by the mean of their own squares.
OF_ITS_SQUARES = (
    "statistics of another value", "deviation over other axes", "mean over other axes", "not of the mean",
)  # fmt: skip


def found(made: ir.Model) -> dict[str, WrittenNorm]:
    """Return the normalisations that are found, by the output of the node that closes each."""
    graph = made.graph
    nodes, reached = between(graph, graph.outputs, graph.inputs)
    norms = written_norms(nodes, reached, set(graph.outputs))
    return {str(node.outputs[0].name): norm for node, norm in norms.items()}


@pytest.mark.parametrize("name", WRITTEN)
def test_it_is_found_where_it_is_complete(name, models) -> None:
    source = "f" if name == "BatchNormalization" else "x"
    made = normalize(load(model(models, WRITTEN[name]))).model
    ((end, norm),) = found(made).items()
    assert (end, norm.source.name, norm.centred) == ("y", source, True)


# Images (N, 3, 4, 5), normalised from a to y.
INSTANCE = {
    "over the image": "m = ReduceMean(a, image) c = Sub(a, m) q = Mul(c, c) v = ReduceMean(q, image)"
    " w = Add(v, eps) d = Sqrt(w) r = Reciprocal(d) n = Mul(c, r) g = Mul(n, scale) y = Add(g, shift)",
    "pooled": "m = GlobalAveragePool(a) c = Sub(a, m) q = Mul(c, c) v = GlobalAveragePool(q)"
    " w = Add(v, eps) r = Pow(w, rsqrt) s = Mul(r, scale) p = Mul(m, s) o = Sub(shift, p) l = Mul(a, s)"
    " y = Add(l, o)",
    "reshaped": "f = Reshape(a, rows) m = ReduceMean(f, two) c = Sub(f, m) q = Mul(c, c)"
    " v = ReduceMean(q, two) w = Add(v, eps) r = Pow(w, rsqrt) n = Mul(c, r)"
    " k = Reshape(n, back) g = Mul(k, scale) y = Add(g, shift)",
}


def images(models, body: str) -> onnx.ModelProto:
    """(N, 2, 6, 7) to (N, 3): a convolution to (N, 3, 4, 5), the normalisation, ReLU, a dense end."""
    given = {
        "image": np.array([2, 3]), "two": np.array([2]), "rows": np.array([0, 3, 20]),
        "back": np.array([-1, 3, 4, 5]), "flat": np.array([-1, 60]),
        "scale": models.random(3, 1, 1, seed=1) + 2, "shift": models.random(3, 1, 1, seed=2),
        "eps": np.float32(EPSILON), "rsqrt": np.float32(-0.5), "k1": models.random(3, 2, 3, 3, seed=3),
        "b1": models.random(3, seed=4), "w2": models.random(60, 3, seed=5),
        "s1": (models.random(3, 1, 1, seed=1) + 2).ravel(), "s2": models.random(3, 1, 1, seed=2).ravel(),
    }  # fmt: skip
    text = f"a = Conv(i, k1, b1) {body} e = Relu(y) f1 = Reshape(e, flat) z = MatMul(f1, w2)"
    used = {k: v for k, v in given.items() if re.search(rf"[ (]{k}[,)]", text)}
    return models.make(f"m (float[N, 2, 6, 7] i) => (float[N, 3] z) {{ {text} }}", **used)


@pytest.mark.parametrize("name", INSTANCE)
def test_written_instance_normalisation_is_the_operator(name, models) -> None:
    fused = images(models, f"y = InstanceNormalization<epsilon = {EPSILON}>(a, s1, s2)")
    x = models.random(2, 2, 6, 7, seed=6)
    one, two = ox.Explainer(images(models, INSTANCE[name])), ox.Explainer(fused)
    for method in (*METHODS.values(), ox.VisualBackProp()):
        found, wanted = (e(x, 1, method=method).values for e in (one, two))
        np.testing.assert_allclose(
            found, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max(), err_msg=repr(method)
        )
