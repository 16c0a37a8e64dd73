"""Small networks whose explanations are known exactly."""

from __future__ import annotations

import numpy as np
import pytest

import onnxplain as ox
from onnxplain.backward.composites.presets import preset
from onnxplain.backward.rules import lrp
from onnxplain.methods.quadrature import QUADRATURES, quadrature

NET = "m (float[N, {n}] x) => (float[N, 1] y) {{ {body} }}"


def check(found, expected, tolerance: float = 1e-5) -> None:
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def test_gradient_methods_on_a_known_function(models) -> None:
    """y = 3 relu(x1) x2 at (2, 5): gradient (15, 6), times the input (30, 30); at (-2, 5) nothing flows."""
    body = "a, b = Split<axis = 1, num_outputs = 2>(x) r = Relu(a) p = Mul(r, b) y = Mul(p, three)"
    explainer = ox.Explainer(models.make(NET.format(n=2, body=body), three=3.0))
    x = np.array([[2.0, 5.0], [-2.0, 5.0]], np.float32)
    check(explainer(x, method="saliency").values, [[15, 6], [0, 0]])
    check(explainer(-x, method=ox.Saliency(abs=False)).values, [[0, 0], [-15, 6]])
    check(explainer(-x, method=ox.Saliency()).values, [[0, 0], [15, 6]])
    check(explainer(x, method="input_x_gradient").values, [[30, 30], [0, 0]])


def test_integrated_gradients_of_nested_relus(models) -> None:
    """relu(relu(x1) - 1 - relu(x2)) at (3, 1): the gradient is on for the last half of the path."""
    body = "r = Relu(x) d = MatMul(r, w) e = Sub(d, one) y = Relu(e)"
    model = models.make(NET.format(n=2, body=body), w=[[1.0], [-1.0]], one=1.0)
    x = np.array([[3.0, 1.0]], np.float32)
    found = ox.explain(model, x, method=ox.IntegratedGradients(n_steps=200))
    check(found.values, [[1.5, -0.5]], 1e-2)
    check(found.reference, [1.0])
    assert abs(found.delta[0]) < 1e-2
    half = ox.IntegratedGradients(n_steps=100, method="riemann_middle")  # no kink at a step: exact
    check(ox.explain(model, x, method=half).values, [[1.5, -0.5]])


def saturation(models):
    return models.make(
        NET.format(n=2, body="s = ReduceSum(x, axis) a = Sub(one, s) r = Relu(a) y = Sub(one, r)"),
        axis=np.array([1]), one=1.0,
    )  # fmt: skip


@pytest.mark.parametrize("method", ["saliency", "input_x_gradient", "guided_backprop"])
def test_saturation_blinds_the_gradient(method, models) -> None:
    """y = 1 - relu(1 - i1 - i2) at (1, 1)."""
    found = ox.explain(saturation(models), np.ones((1, 2), np.float32), method=method)
    assert not found.values.any()
    check(found.score, [1.0])


def test_integrated_gradients_see_through_saturation(models) -> None:
    ones = np.ones((1, 2), np.float32)
    found = ox.explain(saturation(models), ones, method=ox.IntegratedGradients(n_steps=100))
    check(found.values, [[0.5, 0.5]], 1e-2)


def test_simple_lrp_epsilon(models) -> None:
    x = np.array([[1.0, 2.0, 3.0]], np.float32)
    found = ox.explain(models.lrp_layers(), x, method=ox.LRP("epsilon"))
    check(found.values, [[18, 36, 54]])
    check(found.score, [108.0])
    check(found.delta, [0.0], 1e-3)


def test_simple_lrp_alpha1_beta0(models) -> None:
    x = np.array([[1.0, 2.0, 3.0]], np.float32)
    found = ox.explain(models.lrp_layers(w00=-2.0), x, method=ox.LRP("zplus"))
    check(found.values, [[12, 33.6, 50.4]])
    assert {row[2] for row in found.rule_table if row[1] == "Gemm"} == {"zplus"}


def test_residual_lrp_epsilon(models) -> None:
    """y = x + W x, W = 5 (2, 2), target 1, at (2, 3)."""
    graph = "m (float[N, 2] x) => (float[N, 2] y) { a = MatMul(x, w) y = Add(x, a) }"
    model = models.make(graph, w=[[5.0, 5], [5, 5]])
    found = ox.explain(model, np.array([[2.0, 3.0]], np.float32), 1, method=ox.LRP("epsilon"))
    check(found.values, [[10, 18]])


def test_lrp_0_is_gradient_times_input_without_biases(models) -> None:
    """On a network of ReLUs; 0 stands for a stabiliser that float32 does not see."""
    x = models.random(5, 2, 8, 8, seed=2)
    explainer = ox.Explainer(models.conv(bias=False))
    rules = tuple(
        (m, lrp.epsilon(1e-12) if r == lrp.epsilon() else r) for m, r in preset("epsilon", bias="keep").rules
    )
    relevance = explainer(x, target=2, method=ox.LRP(ox.Composite("zero", rules)))
    gradient = explainer(x, target=2, method="input_x_gradient")
    scale = np.abs(gradient.values).max()
    np.testing.assert_allclose(relevance.values, gradient.values, atol=2e-4 * scale)


def test_multilayer_gradients(models) -> None:
    """The four hidden units of the MultiLayer case at (20, 50, 30) are all on: y0 = 4 sum(x) - 8."""
    model = models.make(
        """m (float[N, 3] x) => (float[N, 2] y) {
          a = Gemm<transB = 1>(x, w, b)
          h = Relu(a)
          y = Gemm<transB = 1>(h, v, c)
        }""",
        w=np.ones((4, 3), np.float32), b=[-10.0, 1, 1, 1], v=np.ones((2, 4), np.float32), c=[-1.0, 1],
    )  # fmt: skip
    x = np.array([[20.0, 50.0, 30.0]], np.float32)
    explainer = ox.Explainer(model)
    check(explainer(x, target=0, method="saliency").values, [[4, 4, 4]])
    found = explainer(x, target=0, method=ox.IntegratedGradients(n_steps=100, method="riemann_middle"))
    check(found.values, [[78, 195, 117]])  # one unit sleeps for a tenth of the path
    check(found.reference, [390.0])


def test_guided_methods_at_one_rectifier(models) -> None:
    """y = v relu(x): gradient v [x > 0], guided v+ [x > 0], DeconvNet v+."""
    model = models.make(NET.format(n=4, body="r = Relu(x) y = MatMul(r, v)"), v=[[2.0], [-3], [2], [-3]])
    x = np.array([[1.0, 1.0, -1.0, -1.0]], np.float32)
    explainer = ox.Explainer(model)
    check(explainer(x, method=ox.Saliency(abs=False)).values, [[2, -3, 0, 0]])
    check(explainer(x, method="guided_backprop").values, [[2, 0, 0, 0]])
    check(explainer(x, method="deconvolution").values, [[2, 0, 2, 0]])


def test_a_node_used_twice_counts_twice(models) -> None:
    body = "r = Relu(x) s = Add(r, r) t = Mul(s, r) y = ReduceSum(t, axis)"
    model = models.make(NET.format(n=2, body=body), axis=np.array([1]))
    found = ox.explain(model, np.array([[3.0, -1.0]], np.float32), method="saliency")
    check(found.values, [[12, 0]])  # y = 2 r^2


@pytest.mark.parametrize("name", QUADRATURES)
@pytest.mark.parametrize("n", [2, 3, 10, 50])
def test_quadrature_weights_sum_to_one(name, n) -> None:
    points, weights = quadrature(name, n)
    assert points.shape == weights.shape == (n,)
    assert weights.sum() == pytest.approx(1, abs=1e-14)
    assert (points >= 0).all()
    assert (points <= 1).all()
    assert (np.diff(points) > 0).all()


#: Highest degree of polynomial that n points integrate exactly over [0, 1].
EXACT = {
    "gausslegendre": lambda n: 2 * n - 1,
    "riemann_left": lambda n: 0,
    "riemann_right": lambda n: 0,
    "riemann_middle": lambda n: 1,
    "riemann_trapezoid": lambda n: 1,
}


@pytest.mark.parametrize("name", QUADRATURES)
@pytest.mark.parametrize("n", [2, 3, 5])
def test_quadrature_is_exact_up_to_its_degree_and_no_further(name, n) -> None:
    points, weights = quadrature(name, n)
    degree = EXACT[name](n)
    for power in range(degree + 1):
        assert weights @ points**power == pytest.approx(1 / (power + 1), abs=1e-13)
    assert abs(weights @ points ** (degree + 1) - 1 / (degree + 2)) > 1e-9


@pytest.mark.parametrize("name", QUADRATURES)
@pytest.mark.parametrize("n", [2, 4])
def test_integrated_gradients_follow_their_quadrature(name, n, models) -> None:
    """y = x^4 from 1 to 3: what the sum over the quadrature's points gives, to the digit."""
    model = models.make(NET.format(n=1, body="a = Mul(x, x) y = Mul(a, a)"))
    x = np.array([[3.0]], np.float32)
    found = ox.explain(model, x, method=ox.IntegratedGradients(n_steps=n, method=name), baselines=1.0)
    points, weights = quadrature(name, n)
    expected = 2 * weights @ (4 * (1 + 2 * points) ** 3)
    check(found.values, [[expected]], 1e-5)
    check(found.reference, [80.0])
    check(found.delta, [expected - 80], 1e-3)
    if name == "gausslegendre":
        assert expected == pytest.approx(80)


def test_local_integrated_gradients(models) -> None:
    """Without the factor x - b: the mean gradient, and no promise about the sum."""
    model = models.make(NET.format(n=1, body="y = Mul(x, x)"))
    method = ox.IntegratedGradients(n_steps=3, multiply_by_inputs=False)
    found = ox.explain(model, np.array([[3.0]], np.float32), method=method)
    check(found.values, [[3.0]])
    assert found.delta is None
    assert found.relative_delta is None


def test_smoothgrad_family_on_a_parabola(models) -> None:
    """y = x^2: the gradient at x + e is 2 (x + e), so its mean is 2 x and its variance 4 stdev^2."""
    model = models.make(NET.format(n=1, body="y = Mul(x, x)"))
    x = np.array([[3.0]], np.float32)
    kinds = {
        kind: ox.explain(model, x, method=ox.SmoothGrad(n_samples=4096, stdevs=0.5, nt_type=kind))
        for kind in ("smoothgrad", "smoothgrad_sq", "vargrad")
    }
    error = float(kinds["smoothgrad"].extras["standard_error"]["x"][0, 0])
    assert error == pytest.approx(1.0 / 64, rel=0.05)
    assert abs(kinds["smoothgrad"].values[0, 0] - 6) < 4 * error
    assert kinds["vargrad"].values[0, 0] == pytest.approx(1.0, rel=0.1)
    difference = kinds["smoothgrad_sq"].values - kinds["smoothgrad"].values ** 2
    check(difference, kinds["vargrad"].values, 1e-4)


def test_smoothgrad_without_noise_is_the_method_inside(models) -> None:
    x = models.random(3, 5)
    explainer = ox.Explainer(models.mlp())
    for inner in (ox.Saliency(), ox.IntegratedGradients(n_steps=5), ox.LRP("epsilon")):
        smooth = explainer(x, target=1, method=ox.SmoothGrad(inner, n_samples=3, stdevs=0.0))
        check(smooth.values, explainer(x, target=1, method=inner).values)


def test_smoothgrad_seeds(models) -> None:
    x = models.random(3, 5)
    explainer = ox.Explainer(models.tanh())
    one, same, other = (explainer(x, target=1, method=ox.SmoothGrad(seed=s)).values for s in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 1e-3


def test_relevance_methods_print_what_is_not_a_default() -> None:
    assert repr(ox.LRP()) == "LRP(composite='conserving')"
    assert repr(ox.LRP("epsilon", 0.1, bias="keep")) == "LRP(composite='epsilon', epsilon=0.1, bias='keep')"
    assert repr(ox.LRP("deep_taylor")) == "LRP(composite='deep_taylor')"
    composite = ox.Composite("mine", ((ox.Match(), ox.rule("epsilon")),))
    assert repr(ox.LRP(composite)) == "LRP(composite=<Composite 'mine' with 1 rules>)"


def test_a_path_may_begin_where_the_slope_is_infinite(models) -> None:
    """The ends of a path are asked for their scores alone."""
    model = models.make(
        "m (float[N, 2] x) => (float[N, 1] y) { r = Sqrt(x) y = ReduceSum(r, one) }", one=np.array([1])
    )
    found = ox.explain(model, np.array([[4.0, 9.0]]), method=ox.IntegratedGradients(n_steps=200))
    np.testing.assert_allclose(found.reference, [5.0], rtol=1e-6)
    np.testing.assert_allclose(found.values, [[2.0, 3.0]], rtol=1e-2)
    with pytest.raises(ox.errors.NotFiniteError):
        ox.explain(model, np.array([[0.0, 9.0]]), method="saliency")
