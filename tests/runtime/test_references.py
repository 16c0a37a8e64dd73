"""Rules that compare with a reference: its activations are computed once, for one row, and kept."""

from __future__ import annotations

import gc
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import pytest

import onnxplain as ox
from onnxplain.runtime import programs

DYNAMIC = """m (float[N, C, 4] x) => (float[N, 3] y) {
    h = Conv(x, k) a = Sigmoid(h) shape = Shape(a) n = Gather(shape, first) rest = Constant<value_ints=[-1]>()
    to = Concat<axis=0>(n, rest) flat = Reshape(a, to) z = MatMul(flat, w) e = Exp(z)
    total = ReduceSum(e, last) y = Div(e, total) }"""
ATTENTION = """m (float[N, T, 6] x, float[N, T] mask) => (float[N, 3] y) {
    q = MatMul(x, wq) k = MatMul(x, wk) v = MatMul(x, wv) kt = Transpose<perm=[0, 2, 1]>(k) s = MatMul(q, kt)
    wide = Unsqueeze(mask, one) far = Mul(wide, low) t = Add(s, far) p = Softmax<axis=-1>(t) o = MatMul(p, v)
    g = Elu(o) h = LayerNormalization<axis=-1>(g, gamma, beta) c = ReduceMean<keepdims=0>(h, one)
    y = MatMul(c, w) }"""
LOOP = """m (float[N, 4] x) => (float[N, 3] y) {
    h = Tanh(x)
    s = Loop(times, on, h) <body = b (int64 i, bool go, float[N, 4] state) => (bool more, float[N, 4] next)
        { more = Identity(go) m = MatMul(state, k) next = Tanh(m) }>
    t = Reshape(s, to) y = MatMul(t, w) }"""
TIME = (
    "m (float[N, 4] x) => (float[N, 4] y) { h = Tanh(x) c = CumSum(h, zero) r = Sigmoid(c) y = MatMul(r, w) }"
)
MAXIMA = """m (float[N, 2, 9, 9] x) => (float[N, 3] y) {
    h = Conv<pads=[1, 1, 1, 1]>(x, k) r = Relu(h) p = MaxPool<kernel_shape=[3, 3], strides=[2, 2]>(r)
    c = Clip(p, zero, six) b = LeakyRelu(c) f = Flatten(b) y = MatMul(f, w) }"""
PRODUCTS = """m (float[N, 4] x) => (float[N, 3] y) {
    a = MatMul(x, k) b = Sigmoid(a) c = Mul(a, b) d = Softplus(c) e = ReduceMax<keepdims=1>(d, last)
    f = Div(c, e) g = Max(f, a) y = MatMul(g, w) }"""


def made(models, name: str) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """Return a model and three samples."""
    n, random = 3, models.random
    last, first, one = (np.array([k], np.int64) for k in (-1, 0, 1))
    if name in ("mlp", "tanh", "conv", "vgg", "channels_last", "maps"):
        model = getattr(models, name)()
        (given,) = model.graph.input
        dims = [
            d.dim_value or (n if d.dim_param in ("N", "B") else 8) for d in given.type.tensor_type.shape.dim
        ]
        return model, {given.name: random(*dims)}
    if name == "dynamic":
        return models.make(DYNAMIC, k=random(3, 2, 2), w=random(9, 3), first=first, last=last), {
            "x": random(n, 2, 4)
        }
    if name == "attention":
        matrices = {k: random(6, 6, seed=j) for j, k in enumerate(("wq", "wk", "wv"))}
        model = models.make(
            ATTENTION,
            **matrices,
            w=random(6, 3),
            one=one,
            low=np.float32(-9),
            gamma=random(6),
            beta=random(6),
        )
        return model, {"x": random(n, 5, 6), "mask": (random(n, 5, seed=4) > 0.5).astype(np.float32)}
    if name == "loop":
        more = {"times": np.array(3), "on": np.array(True), "to": np.array([-1, 4])}
        return models.make(LOOP, k=random(4, 4), w=random(4, 3), **more), {"x": random(n, 4)}
    if name == "time":
        return models.make(TIME, zero=np.array(0), w=random(4, 4)), {"x": random(n, 4)}
    if name == "maxima":
        ends = {"zero": np.float32(0), "six": np.float32(6)}
        return models.make(MAXIMA, k=random(3, 2, 3, 3), w=random(48, 3), **ends), {"x": random(n, 2, 9, 9)}
    assert name == "products"
    return models.make(PRODUCTS, k=random(4, 4), w=random(4, 3), last=last), {"x": random(n, 4)}


CASES = (
    *((k, ox.DeepLift()) for k in "mlp vgg maps dynamic attention loop time maxima products".split()),
    *((k, ox.DeepLift("reveal_cancel")) for k in ("conv", "products")),
    *((k, ox.DeepLiftShap()) for k in ("tanh", "channels_last")),
)


class Whole:
    """Explains by programs that are not cut."""

    def __init__(self, monkeypatch, model) -> None:
        self._patches, self._explainer = monkeypatch, ox.Explainer(model)

    def __call__(self, *arguments, **options) -> ox.Attribution:
        with self._patches.context() as patched:
            patched.setattr(programs, "cut", lambda *_: None)
            return self._explainer(*arguments, **options)


def equal(result: ox.Attribution, expected: ox.Attribution) -> None:
    for name, values in expected.arrays.items():
        scale = np.abs(values).max()
        assert scale > 0
        np.testing.assert_allclose(result.arrays[name], values, rtol=0, atol=2e-6 * scale)
    np.testing.assert_allclose(result.reference, expected.reference, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("name", "method"), CASES, ids=lambda v: v if isinstance(v, str) else v.name)
def test_in_parts_as_in_one(name, method, models, monkeypatch) -> None:
    model, inputs = made(models, name)
    explained = [k for k in inputs if k != "mask"]
    explainer, plain = ox.Explainer(model), Whole(monkeypatch, model)
    (x,) = (inputs[k] for k in explained)
    one = x[:1] * 0.5
    given = [np.repeat(one, len(x), 0), x[::-1] * 0.7, np.repeat(one, len(x), 0)]
    if method.takes_background:
        given = [np.concatenate([one, one * 0.3]), one]
    for baselines in given:
        options = {"baselines": baselines, "wrt": explained}
        result = explainer(inputs, "predicted", method, **options)
        equal(result, plain(inputs, "predicted", method, **options))


def test_one_row_stands_for_a_batch_and_is_computed_once(models, fronts) -> None:
    explainer = ox.Explainer(models.conv())
    x = models.random(5, 2, 8, 8)
    for k in range(3):
        explainer(x + k, [0, 1, 2, 0, 1], "deep_lift", baselines=0.5)
        explainer(x[:2] + k, 1, "deep_lift", baselines=0.5)
    assert [list(f.values()) for f in fronts] == [[(1, 2, 8, 8)]]
    own = models.random(5, 2, 8, 8, seed=3)
    for k in range(3):
        explainer(x + k, 1, "deep_lift", baselines=own)
    assert [list(f.values()) for f in fronts[1:]] == [[(5, 2, 8, 8)]]


def test_samples_that_are_not_apart_are_not_one_row(models, fronts, monkeypatch) -> None:
    model, inputs = made(models, "time")
    result = ox.Explainer(model)(inputs, (0, 1), "deep_lift", baselines=0.5)
    equal(result, Whole(monkeypatch, model)(inputs, (0, 1), "deep_lift", baselines=0.5))
    assert [list(f.values()) for f in fronts] == [[(3, 4)]]


def test_arrays_that_the_caller_writes_to_are_seen_anew(models, fronts, monkeypatch) -> None:
    model, x = models.conv(), models.random(2, 2, 8, 8)
    explainer, plain, baseline = ox.Explainer(model), Whole(monkeypatch, model), np.zeros_like(x)
    for k in range(4):
        result = explainer(x, 1, "deep_lift", baselines=baseline)
        equal(result, plain(x, 1, "deep_lift", baselines=baseline))
        baseline[k % 2, 0, 3, 4] += 0.25
    assert len(fronts) == 4
    baseline[:] = 0.0
    for _ in range(2):
        explainer(x, 1, "deep_lift", baselines=baseline)
        assert len(fronts) == 5
    baseline[:] = -0.0  # another number to a reciprocal
    explainer(x, 1, "deep_lift", baselines=baseline)
    assert len(fronts) == 6


def test_masks_that_are_shared_are_part_of_the_reference(models, fronts, monkeypatch) -> None:
    model, inputs = made(models, "attention")
    explainer, plain = ox.Explainer(model), Whole(monkeypatch, model)
    for k in range(3):
        inputs["mask"][:] = 0.0
        inputs["mask"][k] = 1.0
        options = {"baselines": 0.25, "wrt": "x"}
        result = explainer(inputs, 1, "deep_lift", **options)
        equal(result, plain(inputs, 1, "deep_lift", **options))
    assert len(fronts) == 3


def test_what_is_kept_fits_the_budget(models, fronts) -> None:
    x = models.random(1, 2, 8, 8)
    explainer = ox.Explainer(models.conv())
    held = explainer._programs.held
    for k in range(40):
        explainer(x, 1, "deep_lift", baselines=float(k))
        assert len(held) == 1, "what does not come again is not kept beside others"
    for k in range(40):
        explainer(x, 1, "deep_lift", baselines=float(k))
    assert 1 < len(held) < 40
    assert 0 < held.size <= explainer.memory_budget
    explainer(x, 1, "deep_lift", baselines=39.0)
    assert len(fronts) == 80, "the latest is there"
    tight = ox.Explainer(models.conv(), memory_budget=2000)
    for _ in range(2):
        tight(x, 1, "deep_lift")
    assert len(tight._programs.held) == 0
    assert len(fronts) == 82


def test_what_is_kept_goes_with_its_program(models) -> None:
    explainer, x = ox.Explainer(models.conv()), models.random(1, 2, 8, 8)
    explainer(x, 1, "deep_lift")
    held = explainer._programs.held
    assert held.size > 0
    explainer._programs._compiled.clear()
    gc.collect()
    assert held.size == 0


def test_threads_with_references_of_their_own(models, monkeypatch) -> None:
    model, x = models.conv(), models.random(2, 2, 8, 8)
    explainer, plain, levels = ox.Explainer(model), Whole(monkeypatch, model), [0.1 * k for k in range(12)]
    expected = [plain(x, 1, "deep_lift", baselines=b) for b in levels]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            for got, right in zip(
                pool.map(lambda b: explainer(x, 1, "deep_lift", baselines=b), levels), expected, strict=True
            ):
                equal(got, right)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_computes_its_own(models) -> None:
    explainer, x = ox.Explainer(models.conv()), models.random(2, 2, 8, 8)
    expected = explainer(x, 1, "deep_lift").values
    child = os.fork()
    if child == 0:
        status = 1
        try:
            assert len(explainer._programs.held) == 0
            np.testing.assert_array_equal(explainer(x, 1, "deep_lift").values, expected)
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    np.testing.assert_array_equal(explainer(x, 1, "deep_lift").values, expected)
