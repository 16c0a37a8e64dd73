"""The portable form asks for nothing that the model does not ask for itself and some runtimes do not have."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

import onnxplain as ox
from onnxplain.exported_file import OWN_LIMIT, limits_of

ALL = {name: ox.METHODS[name]() for name in ("saliency", "guided_backprop", "lrp", "deep_lift")}
ALL |= {"integrated_gradients": ox.IntegratedGradients(n_steps=3), "smooth_grad": ox.SmoothGrad(n_samples=2)}

WINDOWS = "kernel_shape = [3, 2], strides = [2, 1], pads = [1, 0, 1, 1]"


def pooled(models) -> onnx.ModelProto:
    """Return a network with overlapping windows, and some in a body."""
    return models.make(
        f"""m (float[N, 2, 8, 9] x, bool c) => (float[N, 3] y) {{
          a = Conv<pads = [1, 1, 1, 1]>(x, w)
          r = Relu(a)
          p = MaxPool<{WINDOWS}>(r)
          b = If (c) <
            then_branch = one () => (t) {{ t = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(p) }},
            else_branch = other () => (e) {{ e = AveragePool<kernel_shape = [2, 2], strides = [2, 2]>(p) }}
          >
          g = GlobalMaxPool(b)
          f = Flatten(g)
          y = MatMul(f, v)
        }}""",
        w=models.random(4, 2, 3, 3, seed=1),
        v=models.random(4, 3, seed=2),
    )


def broadcast(models) -> onnx.ModelProto:
    """Return a network whose open axes may broadcast."""
    return models.make(
        """m (float[N, A, 4] x, float[N, B, 4] z) => (float[N, 3] y) {
          s = Mul(x, z)
          t = Tanh(s)
          p = ReduceMean<keepdims = 0>(t, axis)
          y = MatMul(p, v)
        }""",
        axis=np.array([1], np.int64),
        v=models.random(4, 3, seed=2),
    )


def recurrent(models) -> onnx.ModelProto:
    """Return a GRU."""
    return models.make(
        """m (float[6, N, 4] x) => (float[N, 3] y) {
          all, h = GRU<hidden_size = 3>(x, w, r)
          s = Squeeze(h, axis)
          y = MatMul(s, v)
        }""",
        w=models.random(1, 9, 4, seed=1),
        r=models.random(1, 9, 3, seed=2),
        v=models.random(3, 3, seed=3),
        axis=np.array([0], np.int64),
    )


FEEDS = {
    "pooled": {"x": (2, 2, 8, 9), "c": np.array(True)},
    "broadcast": {"x": (2, 1, 4), "z": (2, 5, 4)},
    "recurrent": {"x": (6, 2, 4)},
}
ZOO = {"pooled": pooled, "broadcast": broadcast, "recurrent": recurrent}


def written(limits: tuple[str, ...]) -> list[str]:
    """Return what is not the model's own; recurrent layers are walked back through by Scan."""
    return [line for line in limits if not line.endswith(OWN_LIMIT) and "Scan" not in line]


CASES = [(name, method) for name in ZOO for method in ALL if (name, method) != ("broadcast", "smooth_grad")]


@pytest.mark.parametrize(("name", "method"), CASES)
def test_nothing_is_asked_for_that_runtimes_do_not_have(name, method, models, tmp_path) -> None:
    model = ZOO[name](models)
    made = ox.export(model, tmp_path / "made.onnx", method=ALL[method])
    assert not written(made.limits)
    feeds = {k: models.random(*v, seed=5) if isinstance(v, tuple) else v for k, v in FEEDS[name].items()}
    session = ort.InferenceSession(str(made.path), providers=["CPUExecutionProvider"])
    given = {**feeds, **({"target": np.arange(2)} if "target" in made.inputs else {})}
    found = dict(zip(made.outputs, session.run(list(made.outputs), given), strict=True))
    expected = ox.explain(model, feeds, [0, 1], method=ALL[method])
    for of, values in expected.arrays.items():
        assert np.isfinite(values).all()
        scale = max(float(np.abs(values).max()), 1e-6)
        np.testing.assert_allclose(found[f"attribution/{of}"], values, rtol=0, atol=1e-5 * scale)


BAD = {
    "Indices": "y, i = MaxPool<kernel_shape = [1]>(x) j = Cast<to = 1>(i) z = Add(y, j)",
    "NonZero": "n = NonZero(x) z = Cast<to = 1>(n)",
    "step": "z = HardSigmoid<alpha = 1e30, beta = 0.0>(x)",
    "axes known": "r = Shape(x) a = Slice(r, zero, one) b = Sub(a, a) z = ReduceSum<keepdims = 1>(x, b)",
    "Scan": "z = Scan<num_scan_inputs = 1, body = b (float[3] i) => (float[3] o) { o = Neg(i) }>(x)",
}


@pytest.mark.parametrize("what", BAD)
def test_what_runtimes_do_not_have_is_named(what, models) -> None:
    text = f"m (float[1, 2, 3] x) => (float[A, B, C] z) {{ {BAD[what]} }}"
    model = ir.from_proto(models.make(text, zero=np.array([0]), one=np.array([1])))
    plain = ir.from_proto(models.linear([[1.0]]))
    (line,) = limits_of(model, plain)
    assert what in line
    assert not line.endswith(OWN_LIMIT)
    assert limits_of(model, model) == (f"{line}, {OWN_LIMIT}",)
    assert limits_of(plain, plain) == ()


def test_steps_of_the_fast_form_are_named(models, tmp_path) -> None:
    model = models.conv()
    assert "as a step" in ox.export(model, tmp_path / "f.onnx", method="saliency", form="cpu").limits[0]
    assert ox.export(model, tmp_path / "p.onnx", method="saliency").limits == ()
