"""What counts as linear, and its exact values."""

from __future__ import annotations

import numpy as np
import pytest

import onnxplain as ox
from onnxplain.errors import NotExplainableError

EXACT = 1e-9


def test_functions_of_single_inputs_are_added_up(models) -> None:
    """``y = W x + V relu(x)``: parts that are computed from one another."""
    w, v = models.random(3, 4), models.random(3, 4, seed=1)
    model = models.make(
        """m (float[N, 4] x) => (float[N, 3] y) {
          a = Gemm<transB = 1>(x, w) h = Relu(x) b = Gemm<transB = 1>(h, v) y = Add(a, b)
        }""",
        w=w, v=v,
    )  # fmt: skip
    x, background = models.random(5, 4, seed=2), models.random(7, 4, seed=3)
    found = ox.explain(model, x, 1, method="linear_shap", baselines=background)
    bent, usual = np.maximum(x, 0), np.maximum(background, 0).mean(0)
    expected = w[1] * (x - background.mean(0)) + v[1] * (bent - usual)
    np.testing.assert_allclose(found.values, expected, atol=1e-6)
    found.verify(1e-9, atol=EXACT)


def test_slopes_may_come_from_inputs_that_are_not_explained(models) -> None:
    model = models.make(
        """m (float[N, 3] x, float[N, 3] aside) => (float[N, 1] y) {
          a = Mul(x, aside) y = ReduceSum(a, axis)
        }""",
        axis=np.array([1]),
    )
    inputs = {"x": models.random(4, 3), "aside": models.random(4, 3, seed=1)}
    found = ox.explain(model, inputs, method="linear_shap", wrt="x", baselines=models.random(5, 3, seed=2))
    expected = inputs["aside"] * (inputs["x"] - models.random(5, 3, seed=2).mean(0))
    np.testing.assert_allclose(found.values, expected, atol=1e-6)
    with pytest.raises(NotExplainableError, match="Mul node"):
        ox.explain(model, inputs, method="linear_shap")


def test_a_batch_axis_that_is_not_the_first(models) -> None:
    model = models.make(
        "m (float[4, N] x) => (float[N, 2] y) { t = Transpose(x) y = MatMul(t, w) }",
        w=models.random(4, 2),
    )
    x = models.random(4, 5, seed=1)
    found = ox.explain(model, x, 1, method="linear_shap")
    np.testing.assert_allclose(found.values, models.random(4, 2)[:, 1:] * x, atol=1e-6)


@pytest.mark.parametrize("batch", ["1", "4"])
def test_models_with_a_fixed_batch(batch, models) -> None:
    w, x = models.random(3, 6), models.random(6, 6, seed=1)
    found = ox.explain(models.linear(w, batch=batch), x, 2, method="linear_shap")
    np.testing.assert_allclose(found.values, w[2] * x, atol=1e-6)


def test_a_network_is_refused_by_its_first_step_that_is_not_linear(models) -> None:
    with pytest.raises(NotExplainableError, match=r"Relu node .* is not linear.*integrated_gradients"):
        ox.explain(models.mlp(), models.random(2, 5), 1, method="linear_shap")


def test_images_of_a_linear_model(models) -> None:
    model = models.make(
        "m (float[N, 1, 3, 3] x) => (float[N, 2] y) { c = Conv(x, k) f = Flatten(c) y = MatMul(f, w) }",
        k=models.random(2, 1, 2, 2), w=models.random(8, 2, seed=1),
    )  # fmt: skip
    x = models.random(2, 1, 3, 3, seed=2)
    found = ox.explain(model, x, 0, method="linear_shap")
    known = ox.explain(model, x, 0, method="input_x_gradient")
    np.testing.assert_allclose(found.values, known.values, atol=1e-6)
