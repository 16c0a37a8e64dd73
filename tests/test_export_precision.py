"""Files of models in half precision: float16 at the border, float32 or float16 inside."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from command_line import failure, run
from half_models import half

import onnxplain as ox
from onnxplain.errors import DataInputError, MethodError

HALF, WIDE = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT
#: Methods, and whether products of their walks back are in float16.
METHODS = {
    "saliency": (ox.Saliency(), True),
    "input_x_gradient": (ox.InputXGradient(), True),
    "integrated_gradients": (ox.IntegratedGradients(n_steps=4), True),
    "smooth_grad": (ox.SmoothGrad(n_samples=3), False),  # a standard error is a root
    "grad_cam": (ox.GradCam(), True),
    "lrp": (ox.LRP(), False),
    "deep_lift": (ox.DeepLift(), True),  # but for its quotients
    "occlusion": (ox.Occlusion((2, 4, 4), (2, 4, 4)), False),
}
TOLERANCE = {None: 1e-5, "float16": 4e-3}


def stock(path, **feeds: np.ndarray) -> dict[str, np.ndarray]:
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, feeds), strict=True))


def dtypes(path) -> dict[str, int]:
    graph = onnx.load(path).graph
    return {v.name: v.type.tensor_type.elem_type for v in (*graph.input, *graph.output)}


def close(a: np.ndarray, b: np.ndarray, tolerance: float) -> None:
    assert np.isfinite(a).all()
    np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * float(np.abs(b).max()))


def network(models, scale: float = 1.0):
    return models.make(
        "m (float[N, 2, 8, 8] x) => (float[N, 4] y) { c = Conv<pads = [1, 1, 1, 1]>(x, w) r = Relu(c) "
        "d = Conv(r, u) s = Relu(d) p = GlobalAveragePool(s) f = Flatten(p) y = MatMul(f, v) }",
        w=scale * models.random(32, 2, 3, 3, seed=1), u=scale * models.random(16, 32, 3, 3, seed=2),
        v=scale * models.random(16, 4, seed=3),
    )  # fmt: skip


@pytest.mark.parametrize("precision", TOLERANCE)
@pytest.mark.parametrize("method", METHODS)
def test_files_equal_the_explainer(method, precision, models, tmp_path) -> None:
    model, (chosen, narrow) = half(network(models, 0.2)), METHODS[method]
    made = ox.export(model, tmp_path / "made.onnx", method=chosen, precision=precision)
    x, target = models.random(3, 2, 8, 8).astype(np.float16), np.array([1, 3, 0])
    found = stock(made.path, x=x, target=target)
    given = {k: v for k, v in dtypes(made.path).items() if not k.startswith("delta/")}
    assert given == {
        "x": HALF, "y": HALF, "target": onnx.TensorProto.INT64,
        **{k: WIDE for k in made.outputs if k != "y" and not k.startswith("delta/")},
    }  # fmt: skip
    expected = ox.explain(model, x, target, method=chosen)
    close(found["attribution/x"], expected.values, TOLERANCE[precision])
    close(found["y"].astype(np.float32), expected.predictions, 2e-3)
    assert (made.float16_products > 0) == (narrow and precision == "float16")
    checked = ox.verify(made.path, model, x, tolerance=TOLERANCE[precision])
    assert checked, checked.differences
    assert "half precision" in checked.notes[0]
    assert "'y' is" in checked.notes[1]


@pytest.mark.parametrize("precision", TOLERANCE)
@pytest.mark.parametrize("method", ["lrp", "deep_lift", ox.IntegratedGradients(n_steps=4)])
def test_nothing_overflows_or_vanishes(method, precision, models, tmp_path) -> None:
    x = models.random(2, 2, 8, 8).astype(np.float16)
    for scale in (40.0, 1e-3):  # scores of a million, gradients of 1e-10: float16 holds neither
        model = half(network(models, scale))
        made = ox.export(model, tmp_path / "made.onnx", method=method, precision=precision)
        found = stock(made.path, x=x, target=np.array([1, 2]))
        expected = ox.explain(model, x, [1, 2], method=method)
        close(found["attribution/x"], expected.values, TOLERANCE[precision])
        large = np.abs(expected.predictions) > 65520
        assert large.any() == (scale > 1)
        assert (np.isinf(found["y"]) == large).all()  # as in the model itself
        assert ox.verify(made.path, model, x, tolerance=TOLERANCE[precision])


def test_samples_do_not_share_a_scale(models, tmp_path) -> None:
    model = half(network(models, 0.2))
    made = ox.export(model, tmp_path / "made.onnx", method="saliency", precision="float16")
    x = models.random(2, 2, 8, 8)
    x[1] *= 1e-6
    x = x.astype(np.float16)
    both = stock(made.path, x=x, target=np.array([1, 1]))["attribution/x"]
    for k in range(2):
        alone = stock(made.path, x=x[k : k + 1], target=np.array([1]))["attribution/x"]
        np.testing.assert_allclose(both[k : k + 1], alone, rtol=0, atol=1e-3 * np.abs(alone).max())


@pytest.mark.parametrize("precision", TOLERANCE)
def test_weights_stay_in_half_precision(precision, models, tmp_path) -> None:
    model = models.make(
        "m (float[N, 200] x) => (float[N, 4] y) { a = MatMul(x, w) r = Relu(a) y = MatMul(r, v) }",
        w=models.random(200, 300), v=models.random(300, 4),
    )  # fmt: skip
    made = ox.export(half(model), tmp_path / "made.onnx", method="saliency", precision=precision)
    assert made.source_size == 2 * (200 * 300 + 300 * 4)
    assert made.size < 1.1 * made.source_size
    assert made.float16_products == (2 if precision == "float16" else 0)
    assert ox.verify(made.path, half(model), models.random(2, 200), tolerance=TOLERANCE[precision])


ATTENTION = """m (float[N, 5, 8] x) => (float[N, 3] y) {
    n = LayerNormalization<axis = -1>(x, g, h) q = MatMul(n, a) t = Transpose<perm = [0, 2, 1]>(n)
    s = MatMul(q, t) p = Softmax<axis = -1>(s) c = MatMul(p, n) d = MatMul(c, e) r = Relu(d)
    m = ReduceMean<keepdims = 0>(r, one) y = MatMul(m, v) }"""


@pytest.mark.parametrize("method", ["saliency", "lrp", "integrated_gradients"])
def test_attention(method, models, tmp_path) -> None:
    model = half(
        models.make(
            ATTENTION, a=models.random(8, 8), e=models.random(8, 16), v=models.random(16, 3),
            g=np.ones(8, np.float32), h=np.zeros(8, np.float32), one=np.array([1]),
        )
    )  # fmt: skip
    x = models.random(2, 5, 8)
    for precision in TOLERANCE:
        made = ox.export(model, tmp_path / "made.onnx", method=method, precision=precision)
        checked = ox.verify(made.path, model, x, tolerance=TOLERANCE[precision])
        assert checked, checked.differences
    assert (made.float16_products > 0) == (method != "lrp")


@pytest.mark.parametrize("options", [{"top_k": 2}, {"batch": 2, "form": "cpu", "target": "predicted"}])
@pytest.mark.parametrize("precision", TOLERANCE)
def test_with_other_options(options, precision, models, tmp_path) -> None:
    model, methods = half(network(models, 0.2)), ["lrp", "saliency", ox.IntegratedGradients(n_steps=3)]
    made = ox.export(model, tmp_path / "made.onnx", method=methods, precision=precision, **options)
    checked = ox.verify(made.path, model, models.random(2, 2, 8, 8), tolerance=TOLERANCE[precision])
    assert checked, checked.differences
    assert dtypes(made.path)["x"] == dtypes(made.path)["y"] == HALF


def test_images(models, tmp_path) -> None:
    model, plan = half(network(models, 0.2)), ox.Preprocessing(size=(8, 8), channels=1)
    with pytest.raises(DataInputError, match="2 channels"):
        ox.export(model, tmp_path / "made.onnx", preprocessing=plan)
    grey = models.make(
        "m (float[N, 1, 8, 8] x) => (float[N, 5] y) { c = Conv(x, w) r = Relu(c) p = GlobalAveragePool(r) "
        "y = Flatten(p) }", w=models.random(5, 1, 3, 3),
    )  # fmt: skip
    made = ox.export(half(grey), tmp_path / "made.onnx", method="lrp", preprocessing=plan)
    assert dtypes(made.path)["x"] == onnx.TensorProto.UINT8
    assert dtypes(made.path)["y"] == HALF
    images = np.random.default_rng(0).integers(0, 256, (2, 9, 12, 1), np.uint8)
    assert ox.verify(made.path, half(grey), images)


def test_half_precision_inside_alone(models, tmp_path) -> None:
    model = half(network(models, 0.2), keep=True)
    made = ox.export(model, tmp_path / "made.onnx", method="saliency", precision="float16")
    assert dtypes(made.path)["x"] == dtypes(made.path)["y"] == WIDE
    assert made.float16_products > 0
    assert ox.verify(made.path, model, models.random(2, 2, 8, 8), tolerance=4e-3)


def test_outputs_that_are_inputs(models, tmp_path) -> None:
    model = models.make(
        "m (float16[N, 4] x, float16[N, 3] s) => (float16[N, 3] y, float16[N, 3] s) "
        "{ a = MatMul(x, w) y = Add(a, s) }", w=models.random(4, 3).astype(np.float16),
    )  # fmt: skip
    made = ox.export(model, tmp_path / "made.onnx", method="saliency", wrt="x")
    found = dtypes(made.path)
    assert {k: found[k] for k in ("x", "s", "y", "s/output")} == dict.fromkeys(
        ("x", "s", "y", "s/output"), HALF
    )


def test_models_of_float32(models, tmp_path) -> None:
    with pytest.raises(MethodError, match="holds nothing in half precision; convert the model first"):
        ox.export(network(models), tmp_path / "made.onnx", precision="float16")
    with pytest.raises(MethodError, match="precision is 'half'; give 'float32', 'float16', 'model' or None"):
        ox.export(network(models), tmp_path / "made.onnx", precision="half")
    assert not list(tmp_path.iterdir())
    for precision, count in (("model", 2), ("float16", 2), ("float32", 0)):
        made = ox.export(
            half(network(models)), tmp_path / "made.onnx", method="saliency", precision=precision
        )
        assert made.float16_products == count
    made = ox.export(network(models), tmp_path / "made.onnx", method="saliency", precision="model")
    assert made.float16_products == 0
    assert set(dtypes(made.path).values()) == {WIDE, onnx.TensorProto.INT64}


def test_numbers_beyond_float16_are_refused(models, tmp_path) -> None:
    model = half(network(models))
    made = ox.export(model, tmp_path / "made.onnx", method="saliency")
    with pytest.raises(DataInputError, match="NaN or infinite"):
        ox.verify(made.path, model, np.full((1, 2, 8, 8), 1e6, np.float32))


def test_command(models, tmp_path) -> None:
    onnx.save(half(network(models, 0.2)), tmp_path / "model.onnx")
    model, out = str(tmp_path / "model.onnx"), str(tmp_path / "made.onnx")
    run("export", model, out, "--method", "saliency", "--precision", "float16")
    np.savez(tmp_path / "x.npz", x=models.random(2, 2, 8, 8))
    rest = ("--against", model, "--inputs", str(tmp_path / "x.npz"))
    assert "half precision" in run("verify", out, *rest, "--tolerance", "0.004").stdout
    assert "precision is 'double'" in failure("export", model, out, "--precision", "double")
