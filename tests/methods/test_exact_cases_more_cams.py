"""CAM, and the activation maps that need more than one gradient, beside plain NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cam_models import CASES
from halves import Halves, resized, turned

import onnxplain as ox
from onnxplain.errors import NotExplainableError

SIGNED = {"relu_attributions": False}

#: Ends of a network from r (N, 5, 4, 4) to y (N, 3), all the same but for the way in which they are written.
ENDS = {
    "pool": "g = GlobalAveragePool(r) f = Flatten(g) y = Gemm<transB = 1>(f, wt, b)",
    "mean": "g = ReduceMean<keepdims = 0>(r, hw) d = MatMul(g, w) y = Add(d, b)",
    "mean kept": "g = ReduceMean(r, hw) f = Reshape(g, rows) d = MatMul(f, w) y = Add(b, d)",
    "window": "g = AveragePool<kernel_shape = [4, 4]>(r) f = Squeeze(g, hw) y = Gemm(f, w, b)",
    "convolution": "g = GlobalAveragePool(r) c = Conv(g, wc, b) y = Flatten(c)",
    "one axis after the other": (
        "u = ReduceMean(r, wide) g = ReduceMean(u, high) f = Flatten(g) y = Gemm(f, w, b)"
    ),
    "channels last": (
        "t = Transpose<perm = [0, 2, 3, 1]>(r) g = ReduceMean<keepdims = 0>(t, middle) y = Gemm(f, w, b)"
    ),
    "sum": "g = ReduceSum<keepdims = 0>(r, hw) f = Div(g, count) y = Gemm(f, w, b)",
    "softmax": "g = GlobalAveragePool(r) f = Flatten(g) z = Gemm(f, w, b) y = Softmax(z)",
    "dropout": "g = GlobalAveragePool(r) f = Flatten(g) o = Dropout(f) y = Gemm(o, w, b)",
}


def ending(models: Any, end: str) -> Any:
    w = models.random(5, 3, seed=3)
    return models.make(
        f"""m (float[N, 2, 6, 6] x) => (float[N, 3] y) {{
          c0 = Conv(x, k) r = Relu(c0)
          {end.replace("y = Gemm(f, w, b)", "y = Gemm(g, w, b)") if "middle" in end else end}
        }}""",
        k=models.random(5, 2, 3, 3, seed=1), w=w, wt=np.ascontiguousarray(w.T), b=models.random(3, seed=4),
        wc=np.ascontiguousarray(w.T[:, :, None, None]), hw=np.array([2, 3]), middle=np.array([1, 2]),
        wide=np.array([3]), high=np.array([2]), rows=np.array([0, 5]), count=16.0,
    )  # fmt: skip


@pytest.mark.parametrize("end", ENDS)
def test_cam_however_the_end_is_written(end, models) -> None:
    model, x = ending(models, ENDS[end]), models.random(2, 2, 6, 6, seed=5)
    found = ox.explain(model, x, [2, 0], "cam")
    a = Halves(model, "r").activations(x)
    wanted = np.einsum("nc,nchw->nhw", models.random(5, 3, seed=3).T[[2, 0]], a)
    np.testing.assert_allclose(found.extras["map"]["x"], wanted, rtol=1e-4, atol=1e-5)
    for k in range(2):
        np.testing.assert_allclose(found.values[k, 1], resized(wanted[k], (6, 6)), rtol=1e-4, atol=1e-5)
    total = found.extras["map"]["x"].mean((1, 2)) + models.random(3, seed=4)[[2, 0]]
    np.testing.assert_allclose(total, found.score, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("end", "met"),
    [
        ("g = GlobalAveragePool(r) f = Flatten(g) h = MatMul(f, wide) s = Relu(h) y = MatMul(s, u)", "Relu"),
        ("g = GlobalMaxPool(r) f = Flatten(g) y = Gemm(f, w, b)", "GlobalMaxPool"),
        ("f = Flatten(r) y = MatMul(f, long)", "Relu"),
    ],
)
def test_cam_says_what_it_met(end, met, models) -> None:
    model = models.make(
        f"m (float[N, 2, 6, 6] x) => (float[N, 3] y) {{ c0 = Conv(x, k) r = Relu(c0) {end} }}",
        k=models.random(5, 2, 3, 3, seed=1), w=models.random(5, 3, seed=3), b=models.random(3, seed=4),
        wide=models.random(5, 4), u=models.random(4, 3), long=models.random(80, 3),
    )  # fmt: skip
    with pytest.raises(NotExplainableError, match=rf"global average pooling.*met {met} node.*grad_cam"):
        ox.explain(model, models.random(1, 2, 6, 6), 1, "cam")


def test_cam_does_not_explain_probabilities(models) -> None:
    model = ending(models, ENDS["softmax"])
    with pytest.raises(NotExplainableError, match="met Softmax node"):
        ox.explain(model, models.random(1, 2, 6, 6), 1, "cam", through_softmax=True)


@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize("case", ["convolutions", "signal", "class token"])
def test_eigen_cam(case, center, models) -> None:
    make, shape, layer, kind, grid = CASES[case]
    model, x = make(models), models.random(2, *shape, seed=5)
    halves = Halves(model, layer)
    found = ox.explain(model, x, 1, ox.EigenCam(center=center, **SIGNED)).extras["map"]["x"]
    for k in range(2):
        a = turned(halves.activations(x[k : k + 1]), kind).reshape(-1, int(np.prod(grid))).T
        a = a - a.mean(0) * center
        wanted = (a @ np.linalg.svd(a)[2][0]).reshape(grid)
        wanted *= np.sign(wanted.ravel()[np.abs(wanted).argmax()])
        np.testing.assert_allclose(found[k], wanted, rtol=0, atol=1e-4 * np.abs(wanted).max())


@pytest.mark.parametrize("case", ["convolutions", "signal", "channels last", "class token"])
def test_ablation_cam(case, models) -> None:
    make, shape, layer, kind, grid = CASES[case]
    model, x = make(models), models.random(2, *shape, seed=5)
    halves = Halves(model, layer)
    found = ox.explain(model, x, 1, ox.AblationCam(**SIGNED), internal_batch_size=3)
    a = halves.activations(x)
    axis = 1 if kind == "first" else a.ndim - 1
    score = halves.scores(x)[:, 1]
    wanted = np.zeros((2, *grid))
    for channel in range(a.shape[axis]):
        without = np.moveaxis(a.copy(), axis, 0)
        without[channel] = 0
        weight = (score - halves.scores(x, np.moveaxis(without, 0, axis))[:, 1]) / np.abs(score)
        for k in range(2):
            wanted[k] += weight[k] * turned(a[k : k + 1], kind)[channel].reshape(grid)
    np.testing.assert_allclose(found.extras["map"]["x"], wanted, rtol=0, atol=1e-4 * np.abs(wanted).max())


@pytest.mark.parametrize("case", ["convolutions", "signal", "channels last", "class token"])
def test_score_cam(case, models) -> None:
    make, shape, layer, kind, grid = CASES[case]
    model, x, start = make(models), models.random(2, *shape, seed=5), 0.3
    halves, explainer = Halves(model, layer), ox.Explainer(model)
    found = explainer(x, 1, "score_cam", baselines=start, internal_batch_size=3)
    channel = shape.index(3 if 3 in shape else 2)
    space = tuple(d for k, d in enumerate(shape) if k != channel)
    for k in range(2):
        a = turned(halves.activations(x[k : k + 1]), kind)
        a = a.reshape(len(a), *grid)
        scores = []
        for one in a:
            mask = resized(one, space)
            mask = np.expand_dims((mask - mask.min()) / (np.ptp(mask) + (np.ptp(mask) == 0)), channel)
            scores.append(halves.scores((start + mask * (x[k] - start))[None])[0, 1])
        weights = np.exp(scores) / np.exp(scores).sum()
        wanted = np.maximum(np.tensordot(weights, a, 1), 0)
        np.testing.assert_allclose(
            found.extras["map"]["x"][k], wanted, rtol=0, atol=1e-4 * np.abs(wanted).max()
        )
    assert not np.allclose(found.values, explainer(x, 1, "score_cam").values)


@pytest.mark.parametrize("case", ["signal", "channels last", "class token"])
def test_shapley_cam(case, models) -> None:
    """The product of the Hessian and the activations, by the gradient's derivative along them."""
    make, shape, layer, kind, grid = CASES[case]
    model, x = make(models), models.random(1, *shape, seed=5)
    halves = Halves(model, layer)
    a, h = halves.activations(x), 1e-3
    g = halves.gradients(x, 1)
    up, down = (halves.gradients(x, 1, at=a * (1 + sign * h)) for sign in (1, -1))
    w = turned(g - 0.5 * (up - down) / (2 * h), kind)
    wanted = np.tensordot(w.reshape(len(w), -1).mean(1), turned(a, kind), 1).reshape(grid)
    found = ox.explain(model, x, 1, ox.ShapleyCam(**SIGNED)).extras["map"]["x"][0]
    np.testing.assert_allclose(found, wanted, rtol=0, atol=2e-3 * np.abs(wanted).max())
    plain = ox.explain(model, x, 1, ox.GradCam(**SIGNED)).extras["map"]["x"][0]
    assert np.abs(found - plain).max() > 1e-2 * np.abs(plain).max(), "the Hessian counts"


def test_shapley_cam_is_grad_cam_before_a_linear_end(models) -> None:
    explainer, x = ox.Explainer(models.conv(softmax=True)), models.random(2, 2, 8, 8)
    for through, same in ((False, True), (True, False)):
        a, b = (explainer(x, 1, m(**SIGNED), through_softmax=through) for m in (ox.ShapleyCam, ox.GradCam))
        assert np.allclose(a.values, b.values, rtol=1e-3, atol=1e-5 * np.abs(b.values).max()) == same


@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
def test_guided_grad_cam_is_a_product(mode, models) -> None:
    explainer, x = ox.Explainer(models.vgg()), models.random(2, 3, 8, 8)
    found = explainer(x, [1, 3], ox.GuidedGradCam("relu2", interpolate_mode=mode))
    mask = explainer(x, [1, 3], ox.GradCam("relu2", interpolate_mode=mode))
    guided = explainer(x, [1, 3], "guided_backprop")
    assert mask.values.any()
    np.testing.assert_allclose(found.values, mask.values * guided.values, rtol=1e-5)
    np.testing.assert_array_equal(found.extras["map"]["x"], mask.extras["map"]["x"])


def test_scores_alone_explain_models_without_gradients(models) -> None:
    """Ablation-CAM and Eigen-CAM walk nowhere back, and take token numbers as they are."""
    model = models.make(
        """m (float[N, 1, 6, 6] x) => (float[N, 2] y) {
          c = Conv(x, k) r = Relu(c) g = GlobalAveragePool(r) f = Flatten(g) d = MatMul(f, w) y = Floor(d)
        }""",
        k=models.random(4, 1, 3, 3), w=10 * models.random(4, 2, seed=1),
    )  # fmt: skip
    for name in ("ablation_cam", "eigen_cam"):
        found = ox.explain(model, models.random(2, 1, 6, 6), 1, ox.method(name, **SIGNED))
        assert found.extras["map"]["x"].shape == (2, 4, 4)
    inputs = {"ids": np.array([[3, 4, 5], [7, 8, 9]]), "mask": np.ones((2, 3), np.int64)}
    found = ox.explain(models.tokens(), inputs, 1, ox.AblationCam(**SIGNED))
    np.testing.assert_allclose(found.arrays["ids"], found.extras["map"]["ids"], rtol=1e-5)
    assert found.arrays["ids"].all()


def test_maps_are_averaged_like_other_methods(models) -> None:
    explainer, x = ox.Explainer(models.conv()), models.random(2, 2, 8, 8)
    for name in ("grad_cam", "ablation_cam"):
        inner = ox.method(name, **SIGNED)
        same = explainer(x, 1, ox.SmoothGrad(inner, n_samples=2, stdevs=0.0))
        np.testing.assert_allclose(same.values, explainer(x, 1, inner).values, rtol=1e-4, atol=1e-6)
