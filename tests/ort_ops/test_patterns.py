"""The passes that know patterns: what they take, what they leave, and that numbers stay what they were."""

from __future__ import annotations

import itertools

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx.reference import ReferenceEvaluator

from onnxplain.graph import facts
from onnxplain.graph.passes.lower import DOMAIN, FuseGelu, FuseRows, FuseShares, FuseSums
from onnxplain.runtime.operators import register

SOFTMAX = "gy = Mul(g, x) s = ReduceSum(gy, last) ys = Mul(x, s) r = Sub(gy, ys)"
RMS = """xx = Mul(x, x) m = ReduceMean(xx, last) e = Add(m, tiny) d = Sqrt(e) i = Reciprocal(d)
  n = Mul(x, i) h = Mul(g, scale) hn = Mul(h, n) a = ReduceMean(hn, last) na = Mul(n, a) z = Sub(h, na)
  r = Mul(i, z)"""
LAYER = """mx = ReduceMean(x, last) c = Sub(x, mx) cc = Mul(c, c) m = ReduceMean(cc, last) e = Add(m, tiny)
  d = Sqrt(e) i = Reciprocal(d) n = Mul(c, i) h = Mul(g, scale) hn = Mul(h, n) a = ReduceMean(hn, last)
  na = Mul(n, a) mh = ReduceMean(h, last) w = Sub(h, mh) z = Sub(w, na) r = Mul(i, z)"""
DETACHED = """mx = ReduceMean(x, last) c = Sub(x, mx) cc = Mul(c, c) m = ReduceMean(cc, last)
  e = Add(m, tiny) d = Sqrt(e) h = Mul(g, scale) mh = ReduceMean(h, last) w = Sub(h, mh) r = Div(w, d)"""
GELU = """d = Div(x, root) f = Erf(d) a = Add(f, one) y0 = Mul(x, a) h = Mul(g, half) p = Mul(h, a)
  hx = Mul(h, x) dd = Mul(d, d) nd = Neg(dd) e = Exp(nd) de = Mul(bell, e) q = Mul(hx, de) t = Div(q, root)
  r = Sum(p, t)"""
GELU_FIRST = """d = Mul(x, unroot) f = Erf(d) a = Add(one, f) xh = Mul(half, x) y0 = Mul(xh, a) p0 = Mul(a, g)
  p = Mul(p0, half) hx = Mul(g, xh) dd = Mul(d, d) nd = Neg(dd) e = Exp(nd) de = Mul(e, bell) q = Mul(de, hx)
  t = Mul(q, unroot) r = Add(t, p)"""
GELU_STEP = """d = Div(x, root) f = Erf(d) a = Add(f, one) xh = Mul(a, half) y0 = Mul(x, xh) p = Mul(g, xh)
  h = Mul(g, x) hh = Mul(h, half) dd = Mul(d, d) nd = Neg(dd) e = Exp(nd) de = Mul(bell, e)
  q = Mul(hh, de) t = Div(q, root) r = Add(p, t)"""
GELU_OPERATOR = """d = Mul(x, unroot) f = Erf(d) a = Add(f, one) cdf = Mul(a, half) xx = Mul(x, x)
  xh = Mul(xx, half) nd = Neg(xh) e = Exp(nd) pdf = Mul(e, height) q = Mul(x, pdf) s = Add(cdf, q)
  r = Mul(g, s)"""
GELU_TANH = """d = Mul(x, x) xh = Mul(d, x) q = Mul(xh, cubic) a = Add(x, q) f = Mul(a, steep) t = Tanh(f)
  u = Add(t, one) h = Mul(x, half) y0 = Mul(h, u) gu = Mul(g, u) p = Mul(gu, half) gh = Mul(g, h)
  tt = Mul(t, t) m = Sub(one, tt) k = Mul(gh, m) l = Mul(k, steep) lc = Mul(l, cubic) w = Pow(x, two)
  w3 = Mul(three, w) v = Where(true, w3, zero) z = Mul(lc, v) r = Sum(p, l, z)"""
SUM = """o = Shape(x) w = Shape(g) q = Equal(o, unit) k = Where(q, w, unit) u = Unsqueeze(o, unit_axis)
  v = Unsqueeze(k, unit_axis) p = Concat<axis = 1>(u, v) f = Reshape(p, flat) t = Reshape<allowzero = 1>(g, f)
  r = ReduceSum<keepdims = 0>(t, odd)"""
KEPT = """o = Shape<end = -1>(x) w = Shape<end = -1>(g) q = Equal(o, unit) k = Where(q, w, unit)
  u = Unsqueeze(o, unit_axis) v = Unsqueeze(k, unit_axis) p = Concat<axis = 1>(u, v) f0 = Reshape(p, flat)
  b = Shape<start = -1>(g) f = Concat<axis = 0>(f0, b) t = Reshape<allowzero = 1>(g, f)
  r = ReduceSum<keepdims = 0>(t, odd)"""
SHARES = """sr = ReduceSum(x, last) sg = ReduceSum(g, last) miss = Sub(sr, sg)
  size = Abs(g) sizes = ReduceSum(size, last) none = Equal(sizes, zero) safe = Where(none, one, sizes)
  part = Div(miss, safe) shape = Shape(g) ones = ConstantOfShape<value = float[1] {1.0}>(shape)
  n = ReduceSum(ones, last) least = Max(n, one) even = Div(one, least) factor = Where(none, even, size)
  more = Mul(part, factor) r = Add(g, more)"""
KINDS = {"float": np.float32, "float16": np.float16, "double": np.float64}
CONSTANTS = {
    "root": np.float32(np.sqrt(2)), "unroot": np.float32(np.sqrt(0.5)), "half": np.float32(0.5),
    "bell": np.float32(2 / np.sqrt(np.pi)), "height": np.float32(1 / np.sqrt(2 * np.pi)),
    "steep": np.float32(np.sqrt(2 / np.pi)), "cubic": np.float32(0.044715), "three": np.float32(3),
    "two": np.float32(2), "true": np.array(True),
    "zero": np.float32(0), "one": np.float32(1),
    "last": np.array([-1]), "tiny": np.float32(0.1), "unit": np.array(1), "unit_axis": np.array([1]),
    "flat": np.array([-1]), "odd": np.array([1, 3]), "scale": np.array([2, -1, 0.5, 3], np.float32),
}  # fmt: skip


def made(
    body: str, *, outputs: str = "r", x: str = "A, C, 4", unmarked: str = "", kind: str = "float", **constants
) -> ir.Model:
    """Make a program whose nodes are marked as written, but for some."""
    outs = ", ".join(f"{kind}[] {o}" for o in outputs.split())
    inputs = f"{kind}[{x}] x, {kind}[A, B, 4] g"
    text = f'<ir_version: 8, opset_import: ["" : 18]> m ({inputs}) => ({outs}) {{ {body} }}'
    proto = onnx.parser.parse_model(text)
    for output in proto.graph.output:
        output.type.tensor_type.ClearField("shape")
    for name, content in (CONSTANTS | constants).items():
        if kind != "float" and content.dtype == np.float32:
            content = content.astype(np.float16).astype(KINDS[kind])
        proto.graph.initializer.append(onnx.numpy_helper.from_array(content, name))
    model = ir.from_proto(onnx.shape_inference.infer_shapes(proto))
    for node in model.graph:
        if node.outputs[0].name not in unmarked.split():
            node.metadata_props[facts.WRITTEN_KEY] = ""
    return model


def run(model: ir.Model, shape: tuple[int, ...], kind: str = "float") -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    feeds = {"x": rng.random(shape), "g": rng.normal(size=(2, 3, 4))}
    names = {i.name for i in model.graph.inputs}
    if kind != "float":
        feeds = {k: v.astype(np.float16) for k, v in feeds.items()}
    feeds = {k: v.astype(KINDS[kind]) for k, v in feeds.items() if k in names}
    if kind == "double":  # onnxruntime has no Erf of it
        return ReferenceEvaluator(ir.to_proto(model)).run(None, feeds)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    register(options)
    content = ir.to_proto(model).SerializeToString()
    session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return session.run(None, feeds)


TAKEN = {
    "softmax": (SOFTMAX, "SoftmaxBackward"),
    "softmax, operands swapped": (SOFTMAX.replace("(x, s)", "(s, x)").replace("(g, x)", "(x, g)"),
                                  "SoftmaxBackward"),
    "layer": (LAYER, "NormBackward"),
    "layer, swapped": (LAYER.replace("(i, z)", "(z, i)").replace("(n, a)", "(a, n)"), "NormBackward"),
    "root mean square": (RMS, "NormBackward"),
    "constant deviation": (DETACHED, "NormBackward"),
    "sum": (SUM, "SumCopies"),
    "sum of some axes": (KEPT, "SumCopies"),
    "shares": (SHARES, "GiveAll"),
    "gelu": (GELU, "GeluBackward"),
    "gelu, halved first": (GELU_FIRST, "GeluBackward"),
    "gelu, a half step": (GELU_STEP, "GeluBackward"),
    "gelu, one operator": (GELU_OPERATOR, "GeluBackward"),
    "gelu, by tanh": (GELU_TANH, "GeluBackward"),
}  # fmt: skip
LEFT = {
    "the model's own": (SOFTMAX, {"unmarked": "ys"}),
    "not the last axis": (SOFTMAX, {"last": np.array([1])}),
    "two axes": (SOFTMAX, {"last": np.array([1, 2])}),
    "of another value": ("z = Abs(x) " + SOFTMAX.replace("Mul(x, s)", "Mul(z, s)"), {}),
    "layer, not the last axis": (LAYER, {"last": np.array([1])}),
    "layer, the model's own deviation": (LAYER, {"unmarked": "d"}),
    "layer, another mean": (LAYER.replace("ReduceMean(h, last)", "ReduceMean(h, unit_axis)"), {}),
    "layer, another factor": (LAYER.replace("n = Mul(c, i)", "n = Mul(c, d)"), {}),
    "layer, another root": (LAYER.replace("cc = Mul(c, c)", "cc = Mul(c, x)"), {}),
    "layer, no mean": (LAYER.replace("Sub(h, mh)", "Sub(g, mh)"), {}),
    "layer, an epsilon for each": (LAYER, {"tiny": np.array([0.1, 0.2, 0.3, 0.4], np.float32)}),
    "root mean square, of two axes": (RMS.replace("hn, last", "hn, unit_axis"), {}),
    "constant deviation, not the last axis": (DETACHED, {"last": np.array([1])}),
    "constant deviation, of another mean": (DETACHED.replace("(h, last)", "(h, unit_axis)"), {}),
    "constant deviation, not centred": (DETACHED.replace("Mul(c, c)", "Mul(x, x)"), {}),
    "sum, not flat": (SUM, {"odd": np.array([1, 2])}),
    "sum, lengths of another": (SUM.replace("w = Shape(g)", "w = Shape(x)"), {}),
    "sum, kept": (SUM.replace("<keepdims = 0>", ""), {}),
}
LEFT |= {
    "gelu, another root": (GELU, {"root": np.float32(1.5)}),
    "gelu, another bell": (GELU, {"bell": np.float32(1.0)}),
    "gelu, another step": (GELU, {"one": np.float32(2)}),
    "gelu, another gradient": (GELU.replace("hx = Mul(h, x)", "hx = Mul(g, x)"), {}),
    "gelu, another value": (GELU.replace("hx = Mul(h, x)", "hx = Mul(h, d)"), {}),
    "gelu, another power": (GELU.replace("dd = Mul(d, d)", "dd = Mul(d, x)"), {}),
    "gelu, another sum": (GELU.replace("Sum(p, t)", "Sub(p, t)"), {}),
    "gelu, a value for each": (GELU_FIRST, {"half": np.float32([0.5, 0.5, 0.5, 1])}),
    "gelu, more axes": (GELU, {"half": np.full((1, 1, 1, 1), np.float32(0.5))}),
    "gelu, another gradient beside": (GELU.replace("hx = Mul(h, x)", "k = Abs(h) hx = Mul(k, x)"), {}),
    "gelu, the model's own": (GELU, {"unmarked": "d f a xh y0 r"}),
    "gelu by tanh, another cube": (GELU_TANH, {"cubic": np.float32(0.0445)}),
    "gelu by tanh, another slope": (GELU_TANH, {"three": np.float32(3.01)}),
    "gelu by tanh, half of it": (GELU_TANH.replace("Sum(p, l, z)", "Sum(p, l)"), {}),
    "shares, axes from the end": (SHARES, {"last": np.array([-1])}),
    "shares, other sizes": (SHARES.replace("Abs(g)", "Abs(x)"), {"x": "A, B, 4"}),
    "shares, other ones": (SHARES.replace("{1.0}", "{2.0}"), {}),
    "shares, another bound": (SHARES.replace("Equal(sizes, zero)", "Equal(sizes, one)"), {}),
    "shares, half of it": (SHARES.replace("more = Mul(part", "more = Mul(miss"), {}),
}
READ = {  # which others read parts of it
    "layer, normalised values": (LAYER, "r n", "NormBackward"),
    "layer, scaled gradient": (LAYER, "r h", "NormBackward"),
    "softmax, products": (SOFTMAX, "r gy", "SoftmaxBackward"),
    "sum, lengths": (SUM, "r o", "SumCopies"),
}


def options_of(body: str) -> dict:
    """Return what is the model's own, where x may have been broadcast, and the axes of a row."""
    if "Erf" in body or "Tanh" in body:
        return {"unmarked": "d f a xh y0 q t u h" if "Tanh" in body else "d f a xh y0"}
    if "miss" in body:
        return {"last": np.array([2]), "x": "A, B, 4"}
    return {"odd": np.array([1, 3, 5])} if "odd" in body and "end = -1" not in body else {}


def shapes_of(body: str) -> list[tuple[int, ...]]:
    return [(2, 3, 4), (2, 1, 4), (1, 3, 4), (1, 1, 4)] if "odd" in body else [(2, 3, 4)]


def fuse(model: ir.Model) -> None:
    for kind in (FuseSums, FuseRows, FuseShares, FuseGelu):
        kind()(model)


def check(body: str, outputs: str, **options) -> list[str]:
    """Compare before and after, and return which operators of our own there are then."""
    options = options_of(body) | options
    kinds = []
    for shape in shapes_of(body):
        before, after = (made(body, outputs=outputs, **options) for _ in range(2))
        fuse(after)
        kinds = [n.op_type for n in after.graph if n.domain == DOMAIN]
        try:
            expected = run(before, shape)
        except Exception:  # what was made of the pattern here fits no shapes
            assert not kinds
            return []
        for a, b in zip(run(after, shape), expected, strict=True):
            assert a.shape == b.shape
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * np.abs(b).max())
    return kinds


@pytest.mark.parametrize("name", TAKEN)
def test_taken(name) -> None:
    body, kind = TAKEN[name]
    assert check(body, "r") == [kind]
    model = made(body, **options_of(body))
    fuse(model)
    left = [node for node in model.graph if facts.is_written(node)]
    assert len(left) <= 2  # what nobody reads is gone


@pytest.mark.parametrize("name", TAKEN)
def test_of_float16_they_are_at_least_as_exact(name) -> None:
    """Beside the same in double precision, of the same numbers."""
    body, kind = TAKEN[name]
    start, end = "shape = Shape(g)", "even = Div(one, least)"
    if start in body:  # the parser knows no tensors of float16
        body = body[: body.index(start)] + body[body.index(end) + len(end) :]
    options = options_of(body) | {"even": np.float32(0.25)}
    for shape in shapes_of(body):
        plain, fused = (made(body, kind="float16", **options) for _ in range(2))
        fuse(fused)
        assert [n.op_type for n in fused.graph if n.domain == DOMAIN] == [f"{kind}Float16"]
        (exact,) = run(made(body, kind="double", **options), shape, "double")
        (before,), (after,) = (run(m, shape, "float16") for m in (plain, fused))
        assert after.dtype == np.float16
        least = np.abs(exact).max() * 2.0**-11  # what rounding the result alone makes
        assert np.abs(after - exact).max() <= max(np.abs(before - exact).max(), least) * 1.05


@pytest.mark.parametrize("name", LEFT)
def test_left(name) -> None:
    body, options = LEFT[name]
    assert check(body, "r", **options) == []


@pytest.mark.parametrize("name", READ)
def test_what_others_read_stays(name) -> None:
    body, outputs, kind = READ[name]
    outputs_ = outputs.replace(" o", "") if "odd" in body else outputs  # a shape is no float
    assert check(body, outputs_) == [kind]


def test_a_scale_that_others_read_is_not_part_of_it() -> None:
    for body, outputs in itertools.product((LAYER, RMS, DETACHED), ("r", "r h")):
        model = made(body, outputs=outputs)
        fuse(model)
        (own,) = (n for n in model.graph if n.domain == DOMAIN)
        assert len(own.inputs) == (3 if outputs == "r" else 2)
