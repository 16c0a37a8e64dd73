"""Layers and neurons: known answers, and what these methods are in the limit."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

import onnxplain as ox
from onnxplain.runtime.plans.inside import Conductance

X = np.array([[0, 100, 0]], np.float32)


@pytest.fixture(scope="module")
def multi_layer(models) -> ox.Explainer:
    """Captum's test network, as REFERENCES gives it: two dense layers of ones around a ReLU, h."""
    return ox.Explainer(
        models.make(
            """m (float[N, 3] x) => (float[N, 2] y) {
              a = Gemm<transB = 1>(x, w, b) h = Relu(a) y = Gemm<transB = 1>(h, v, c)
            }""",
            w=np.ones((4, 3), np.float32), b=[-10.0, 1.0, 1.0, 1.0],
            v=np.ones((2, 4), np.float32), c=[-1.0, 1.0],
        )
    )  # fmt: skip


@pytest.mark.parametrize("quadrature", ["gausslegendre", "riemann_left", "riemann_trapezoid"])
@pytest.mark.parametrize("size", [None, 1, 4])
def test_conductance_of_the_relu_layer(quadrature, size, multi_layer) -> None:
    method = ox.LayerConductance(n_steps=9, method=quadrature)
    found = multi_layer(X, 0, method, layer="h", internal_batch_size=size)
    assert found.values.tolist() == [[90, 100, 100, 100]]
    assert found.reference.tolist() == [390]
    assert found.delta.tolist() == [0]
    assert found.inputs["h"].tolist() == [[90, 101, 101, 101]]


def test_what_a_layer_computes_and_its_gradient(multi_layer) -> None:
    assert multi_layer(X, method="layer_activation", layer="h").values.tolist() == [[90, 101, 101, 101]]
    times = multi_layer(np.array([[20, 50, 30]]), 1, "layer_gradient_x_activation", layer="a")
    assert times.values.tolist() == [[90, 101, 101, 101]]
    gradient = multi_layer(X * 0, 1, ox.LayerGradientXActivation(layer="a", multiply_by_inputs=False))
    assert gradient.values.tolist() == [[0, 1, 1, 1]]
    influence = multi_layer(X, 0, ox.InternalInfluence(n_steps=10, method="riemann_middle"), layer="a")
    np.testing.assert_allclose(influence.values, [[0.9, 1, 1, 1]], rtol=1e-6)


def test_neurons(multi_layer) -> None:
    found = multi_layer(X, 0, ox.NeuronConductance(n_steps=10, method="riemann_middle"), neuron=("h", 0))
    np.testing.assert_allclose(found.values, [[0, 90, 0]], rtol=1e-6)
    assert found.reference is None
    assert multi_layer(X, method="neuron_gradient", neuron=("h", 0)).values.tolist() == [[1, 1, 1]]
    assert multi_layer(X, method="ig", neuron=("a", 0)).values.tolist() == [[0, 100, 0]]
    np.testing.assert_allclose(
        multi_layer(X, method="deep_lift", neuron=("h", 1), baselines=1.0).values, [[-1, 99, -1]]
    )


@pytest.fixture(scope="module")
def smooth(models) -> ox.Explainer:
    return ox.Explainer(
        models.make(
            """m (float[N, 5] x) => (float[N, 3] y) {
              a = MatMul(x, w) h = Tanh(a) b = MatMul(h, v) k = Sigmoid(b) y = MatMul(k, u)
            }""",
            w=models.random(5, 8, seed=1), v=models.random(8, 6, seed=2), u=models.random(6, 3, seed=3),
        )
    )  # fmt: skip


def test_the_error_of_conductance_falls_with_the_square_of_the_steps(smooth, models) -> None:
    x = models.random(4, 5, seed=7)
    exact = smooth(x, 1, ox.LayerConductance(layer="h", n_steps=2000)).values
    errors = [
        np.abs(smooth(x, 1, ox.LayerConductance(layer="h", n_steps=n)).values - exact).max() for n in (10, 40)
    ]
    assert 8 < errors[0] / errors[1] < 30


def test_layers_in_a_row_hand_on_the_same_sum(smooth, models) -> None:
    x, start = models.random(4, 5, seed=7), models.random(4, 5, seed=8)
    for layer in ("a", "h", "b", "k"):
        found = smooth(x, 2, ox.LayerConductance(layer=layer, n_steps=200), baselines=start)
        np.testing.assert_allclose(found.values.sum(1), found.reference, rtol=1e-3, atol=1e-3)


def test_a_neuron_has_its_share_of_its_layer(smooth, models) -> None:
    x = models.random(4, 5, seed=7)
    layer = smooth(x, 1, ox.LayerConductance(layer="h", n_steps=400)).values
    parts = [smooth(x, 1, ox.NeuronConductance(neuron=("h", k), n_steps=100)).values for k in range(8)]
    np.testing.assert_allclose(np.stack([p.sum(1) for p in parts], 1), layer, rtol=1e-3, atol=1e-4)
    whole = smooth(x, 1, ox.IntegratedGradients(n_steps=100)).values
    np.testing.assert_allclose(sum(parts), whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("quadrature", ["gausslegendre", "riemann_right", "riemann_trapezoid"])
def test_without_a_layer_it_is_the_input(quadrature, smooth, models) -> None:
    x = models.random(4, 5, seed=7)
    options = {"n_steps": 12, "method": quadrature}
    expected = smooth(x, 1, ox.IntegratedGradients(**options)).values
    found = smooth(x, 1, ox.LayerConductance(**options))
    np.testing.assert_allclose(found.values, expected, rtol=1e-4, atol=1e-6)
    assert any("no layer is named" in note for note in found.notes)
    np.testing.assert_allclose(smooth(x, 1, ox.NeuronConductance(**options)).values, expected, rtol=1e-6)
    influence = smooth(x, 1, ox.InternalInfluence(**options)).values
    np.testing.assert_allclose(influence * x, expected, rtol=1e-4, atol=1e-6)


def test_cells_meet_between_their_points() -> None:
    flow = Conductance.along(np.array([0.25, 0.75]), np.array([0.4, 0.6]), whole=True)
    np.testing.assert_allclose(flow.shares, (0, 0, 0.3, 1))


def test_a_way_past_the_layer_promises_nothing(models) -> None:
    explainer, x = ox.Explainer(models.conv()), models.random(2, 2, 8, 8)
    for layer, whole in (("p1", True), ("r2", False), (("r2", "p1"), False), ("s", True)):
        found = explainer(x, 1, "layer_conductance", layer=layer)
        assert (found.reference is not None) == whole, layer
        assert any("flows past" in note for note in found.notes) != whole
    both = explainer(x, 1, ox.LayerConductance(layer=("r2", "p1"), n_steps=7))
    assert {k: v.shape for k, v in both.arrays.items()} == {"r2": (2, 6, 4, 4), "p1": (2, 6, 4, 4)}
    alone = explainer(x, 1, ox.LayerConductance(layer="r2", n_steps=7))
    np.testing.assert_allclose(both.arrays["r2"], alone.values, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "method",
    [
        ox.LayerActivation(layer="r2"), ox.LayerGradientXActivation(layer="r2"),
        ox.LayerConductance(layer="r2", n_steps=5), ox.InternalInfluence(layer="r2", n_steps=5),
        ox.NeuronConductance(neuron=("r2", (-1, 1, 2)), n_steps=5),
        ox.SmoothGrad(ox.LayerGradientXActivation(layer="r2"), n_samples=3),
    ],
    ids=lambda m: m.name,
)  # fmt: skip
@pytest.mark.parametrize(("batch", "n"), [("1", 3), ("4", 6), ("N", 6)])
def test_samples_in_batches_of_any_kind(method, batch, n, models, tmp_path) -> None:
    x, targets = models.random(n, 2, 8, 8, seed=3), [k % 4 for k in range(n)]
    found = ox.explain(models.conv(batch=batch), x, targets, method=method, internal_batch_size=5)
    assert found.values.shape == ((n, 2, 8, 8) if method.name == "neuron_conductance" else (n, 6, 4, 4))
    for k in range(n):
        alone = ox.explain(models.conv(), x[k : k + 1], targets[k], method=method)
        np.testing.assert_allclose(found.values[k], alone.values[0], rtol=1e-4, atol=1e-5)
    found.save(tmp_path / "found.npz")
    again = ox.Attribution.load(tmp_path / "found.npz")
    assert again.method == found.method
    np.testing.assert_array_equal(again.values, found.values)


def test_samples_that_lie_last_in_the_layer(models) -> None:
    model = models.make(
        """m (float[N, 5] x) => (float[N, 3] y) {
          a = MatMul(x, w) t = Transpose(a) h = Tanh(t) u = Transpose(h) y = MatMul(u, v)
        }""",
        w=models.random(5, 4), v=models.random(4, 3, seed=1),
    )  # fmt: skip
    x = models.random(6, 5, seed=2)
    for method in (
        ox.LayerConductance(n_steps=40), ox.InternalInfluence(), ox.LayerActivation(),
        ox.LayerGradientXActivation(),
    ):  # fmt: skip
        found = ox.explain(model, x, [0, 1, 2, 0, 1, 2], method, layer="h")
        assert found.values.shape == (4, 6)
        assert found.sample_axes == {"h": 1}
        before = ox.explain(model, x, [0, 1, 2, 0, 1, 2], method, layer="u").values
        np.testing.assert_allclose(found.values.T, before, rtol=1e-5, atol=1e-6)
    neuron = ox.NeuronConductance(neuron=("h", 3), n_steps=9)
    after = ox.NeuronConductance(neuron=("u", 3), n_steps=9)
    np.testing.assert_allclose(
        ox.explain(model, x, 1, neuron).values, ox.explain(model, x, 1, after).values, rtol=1e-5, atol=1e-6
    )


def test_any_model_shows_what_a_layer_computes(models) -> None:
    ids = {"ids": np.arange(14).reshape(2, 7), "mask": np.ones((2, 7), np.int64)}
    found = ox.explain(models.tokens(), ids, method="layer_activation", layer="e")
    np.testing.assert_array_equal(found.values, models.random(20, 6, seed=1)[ids["ids"]])
    conductance = ox.explain(models.tokens(), ids, 1, method="layer_conductance", layer="h")
    assert conductance.values.shape == (2, 8)
    assert conductance.relative_delta.max() < 1e-3


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"method": "layer_activation"}, ox.errors.MethodError, r"name one \(layer=...\)"),
        ({"method": "layer_conductance", "layer": "r22"}, ox.errors.DataInputError, "did you mean 'r2'"),
        ({"method": ox.LayerConductance(layer="r2"), "layer": "p1"}, ox.errors.MethodError, "one of them"),
        ({"method": "neuron_conductance", "neuron": ("q", 1)}, ox.errors.DataInputError, "'q'"),
        (
            {"method": "neuron_conductance", "neuron": ("r2", (1, 2))}, ox.errors.TargetError,
            r"\(1, 2\) is no entry of 'r2', which has shape \(6, 4, 4\)",
        ),
        ({"method": "neuron_conductance", "neuron": ("r2", (6, 0, 0))}, ox.errors.TargetError, "no entry"),
        ({"method": "neuron_conductance", "neuron": ("x", (0, 0, 0))}, ox.errors.TargetError, "is an input"),
        ({"method": "neuron_conductance", "neuron": ("r2", 0.5)}, ox.errors.MethodError, "neuron is"),
        (
            {"method": "neuron_conductance", "neuron": ("p1", (1, 2, 3)), "wrt": "r2"},
            ox.errors.NotExplainableError, "depend",
        ),
    ],
)  # fmt: skip
def test_mistakes_are_named_before_anything_runs(options, error, match, models, monkeypatch) -> None:
    explainer = ox.Explainer(models.conv())
    monkeypatch.setattr("onnxplain.runtime.driver.Driver.ask", lambda *_, **__: pytest.fail("ran"))
    with pytest.raises(error, match=match):
        explainer(models.random(1, 2, 8, 8), 1, **options)


def test_float64_models_keep_their_digits(models) -> None:
    model = models.make(
        "m (double[N, 3] x) => (double[N, 2] y) { a = MatMul(x, w) h = Tanh(a) y = MatMul(h, v) }",
        w=models.random(3, 4).astype(np.float64), v=models.random(4, 2).astype(np.float64),
    )  # fmt: skip
    onnx.checker.check_model(model)
    found = ox.explain(model, np.ones((1, 3)), 1, method="layer_conductance", layer="h")
    assert found.values.dtype == np.float64
