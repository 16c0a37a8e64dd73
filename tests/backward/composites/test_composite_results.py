"""What relevance comes out beside common layers: scattered sums, spectra, attention, what exporters write."""

from __future__ import annotations

import numpy as np
import pytest

import onnxplain as ox
from onnxplain.backward.composites.composite import Composite, Match
from onnxplain.backward.rules import lrp
from onnxplain.errors import UnsupportedRuleError

PIECEWISE_LINEAR = {
    "computed bias": """k = MatMul(x, u) r = Relu(k) a = Gemm<beta = -0.5>(x, w, r) y = Relu(a)""",
    "scatter": """h = MatMul(x, w) r = Relu(h) f = Flatten<axis = 0>(h) g = Flatten<axis = 0>(r)
        t = Transpose(f) q = Transpose(g) c = Slice(q, two, six)
        z = ScatterND<reduction = "add">(t, rows, c) p = Reshape(z, shape) y = Relu(p)""",
    "scatter elements": """h = MatMul(x, w) r = Relu(h) i = Shape(x) o = Expand(index, i)
        z = ScatterElements<axis = 1, reduction = "add">(h, o, r) y = Relu(z)""",
}


@pytest.mark.parametrize("case", PIECEWISE_LINEAR)
def test_lrp_zero_is_gradient_times_input_where_all_is_piecewise_linear(case, models) -> None:
    """Whatever is added takes part, where it comes in by another way than Add too."""
    model = models.make(
        f"m (float[2, 4] x) => (float[2, 4] y) {{ {PIECEWISE_LINEAR[case]} }}",
        w=models.random(4, 4, seed=1), u=models.random(4, 4, seed=2), two=np.array([2]), six=np.array([6]),
        rows=np.array([[1], [3], [1], [7]]), shape=np.array([2, 4]), index=np.array([[1, 1, 0, 3]]),
    )  # fmt: skip
    explainer = ox.Explainer(model)
    x = models.random(2, 4, seed=3)
    target = (0, 1) if case == "scatter" else 1  # which lets rows meet, so that they are one sample
    wanted = explainer(x, target, "input_x_gradient").values
    assert np.abs(wanted).max() > 0.1
    np.testing.assert_allclose(explainer(x, target, ox.LRP("zero")).values, wanted, rtol=1e-4, atol=1e-5)


def test_updates_that_multiply_are_refused(models) -> None:
    """They are products, of which the gradient would give the whole to both factors."""
    model = models.make(
        """m (float[N, 4] x) => (float[N, 4] y) {
          i = Shape(x) o = Expand(index, i) r = Sigmoid(x)
          y = ScatterElements<axis = 1, reduction = "mul">(x, o, r)
        }""",
        index=np.array([[1, 1, 0, 3]]),
    )
    with pytest.raises(UnsupportedRuleError, match="no rule for ScatterElements node"):
        ox.explain(model, models.random(2, 4), 1, method="lrp")


def test_spectra_and_regions_of_interest_conserve(models) -> None:
    spectrum = models.make(
        """m (float[N, 32, 1] x) => (float[N] y) {
          s = STFT(x, step, window) r = Relu(s) y = ReduceSum<keepdims = 0>(r, axes)
        }""",
        step=np.array(8), window=np.hanning(16).astype(np.float32), axes=np.array([1, 2, 3]),
    )  # fmt: skip
    regions = models.make(
        "m (float[1, 2, 6, 6] x) => (float[1, 8] y) "
        "{ p = MaxRoiPool<pooled_shape = [2, 2]>(x, rois) y = Flatten(p) }",
        rois=[[0, 0, 0, 4, 4]],
    )
    for model, shape, target in ((spectrum, (2, 32, 1), None), (regions, (1, 2, 6, 6), 3)):
        found = ox.explain(model, models.random(*shape, seed=1), target, method=ox.LRP("epsilon"))
        assert np.abs(found.values).max() > 0
        assert found.relative_delta.max() < 1e-4


def test_a_spectrum_of_a_signal_without_an_axis_of_its_own(models) -> None:
    """PyTorch writes (N, time) where the standard has (N, time, 1), and onnxruntime runs both."""
    text = """m (float[N, 32%s] x) => (float[N, 3, 9, 2] s) { s = STFT(x, step, window) }"""
    constants = {"step": np.array(8), "window": np.hanning(16).astype(np.float32)}
    flat, full = (models.make(text % axis, **constants) for axis in ("", ", 1"))
    x = models.random(2, 32, seed=2)
    for method in (ox.Saliency(abs=False), ox.LRP("epsilon"), "deep_lift"):
        found = ox.explain(flat, x, (1, 3, 0), method=method)
        wanted = ox.explain(full, x[..., None], (1, 3, 0), method=method)
        assert np.abs(found.values).max() > 0
        np.testing.assert_allclose(found.values, wanted.values[..., 0], rtol=1e-4, atol=1e-5)


def test_attention_weights_are_constant_however_values_are_mixed(models) -> None:
    """attention_cp conserves: what goes to the weights would be lost in the softmax."""
    mixes = {
        "MatMul": "t = Transpose<perm = [0, 2, 1]>(k) s = MatMul(q, t) p = Softmax(s) o = MatMul(p, u)",
        "Einsum": """s = Einsum<equation = "nid,njd->nij">(q, k) p = Softmax(s)
            o = Einsum<equation = "nij,njd->nid">(p, u)""",
    }
    x = models.random(2, 4, 6, seed=4)
    found = []
    for mix in mixes.values():
        model = models.make(
            f"""m (float[N, 4, 6] x) => (float[N, 6] y) {{
              q = MatMul(x, a) k = MatMul(x, b) u = MatMul(x, c) {mix} y = ReduceMean<keepdims = 0>(o, axis)
            }}""",
            a=models.random(6, 6, seed=1), b=models.random(6, 6, seed=2), c=models.random(6, 6, seed=3),
            axis=np.array([1]),
        )  # fmt: skip
        found.append(ox.explain(model, x, 1, method=ox.LRP("attention_cp")))
    assert all(f.relative_delta.max() < 1e-4 for f in found)
    np.testing.assert_allclose(found[0].values, found[1].values, rtol=1e-3, atol=1e-5)


def test_bounds_of_weights_on_the_left_go_along_their_columns(models) -> None:
    w = models.random(3, 4, seed=1)
    low, high = (-1.0, -2.0, -3.0, -4.0), (1.0, 0.5, 2.0, 1.5)
    x = np.clip(models.random(4, 1, seed=2), -1, 0.5)
    left = models.make("m (float[4, N] x) => (float[3, N] y) { y = MatMul(w, x) }", w=w)
    right = models.make("m (float[N, 4] x) => (float[N, 3] y) { y = MatMul(x, v) }", v=w.T.copy())
    method = ox.LRP(Composite("box", ((Match(), lrp.zbox(low, high)),)))
    a = ox.explain(left, x, 1, method=method).values
    b = ox.explain(right, x.T.copy(), 1, method=method).values
    np.testing.assert_allclose(a.T, b, rtol=1e-5, atol=1e-6)


def test_proportional_pooling_of_what_exporters_write(models) -> None:
    """They say dilations even where they are 1, which averages know since opset 19 only."""
    text = """m (float[N, 1, 6, 6] x) => (float[N, 3] y) {
      p = MaxPool<kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 0, 0], dilations = [1, 1],
        ceil_mode = 0, storage_order = 0>(x)
      f = Flatten(p) y = MatMul(f, v)
    }"""
    x, method = np.abs(models.random(2, 1, 6, 6)), ox.LRP("epsilon", winner_take_all=False)
    plain, without = text, text.replace("dilations = [1, 1],", "")
    found = [
        ox.explain(models.make(t, opset=opset, v=models.random(9, 3)), x, 1, method=method).values
        for t, opset in ((plain, 18), (without, 18), (plain, 20))
    ]
    assert np.abs(found[0]).max() > 0
    np.testing.assert_allclose(found[0], found[1])
    np.testing.assert_allclose(found[0], found[2], rtol=1e-6)
    dilated = models.make(
        """m (float[N, 1, 6, 6] x) => (float[N, 1] y) {
          p = MaxPool<kernel_shape = [3, 3], dilations = [2, 2]>(x) y0 = GlobalAveragePool(p) y = Flatten(y0)
        }"""
    )
    with pytest.raises(UnsupportedRuleError, match="needs opset 19 for MaxPool node"):
        ox.explain(dilated, x, method=method)
