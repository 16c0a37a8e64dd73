"""NaN and infinite numbers are refused, with the node that makes them; so is what would be ignored."""

from __future__ import annotations

import numpy as np
import pytest
from kinds import ON_IMAGES, made

import onnxplain as ox
from onnxplain.backward.composites.composite import Composite, Match
from onnxplain.backward.rules import lrp
from onnxplain.backward.rules.base import Pass
from onnxplain.backward.rules.stabilizer import Stabilizer
from onnxplain.errors import DataInputError, MethodError, NotFiniteError

STEEP = "m (float[N, 3] x) => (float[N, 3] y) { t = Add(x, one) r = Sqrt(t) z = Neg(r) y = Mul(z, two) }"


@pytest.fixture
def steep(models) -> ox.Explainer:
    return ox.Explainer(models.make(STEEP, one=1.0, two=2.0))


@pytest.mark.parametrize("size", [None, 1, 2])
@pytest.mark.parametrize("method", ["saliency", "input_x_gradient", "guided_backprop"])
def test_the_node_and_the_sample_are_named(method, size, steep) -> None:
    x = np.zeros((4, 3), np.float32)
    assert np.isfinite(steep(x, 1, method, internal_batch_size=size).values).all()
    x[2, 1] = -1
    words = r"sample 2 holds NaN or infinite numbers; the first .* walk back through 'node_1' \(Div"
    with pytest.raises(NotFiniteError, match=words):
        steep(x, 1, method, internal_batch_size=size)
    assert np.isfinite(steep(x, 0, method).values).all(), "another score does not depend on it"


def test_points_of_a_path_count_too(steep) -> None:
    """A baseline at the pole: the walk at the first point is infinite."""
    method = ox.IntegratedGradients(n_steps=3, method="riemann_left")
    with pytest.raises(NotFiniteError, match=r"sample 0 .* walk back through 'node_1'"):
        steep(np.zeros((1, 3), np.float32), 1, method, baselines=-1.0)


def test_the_model_itself_may_be_the_first(models) -> None:
    model = models.make("m (float[N, 3] x) => (float[N, 3] y) { l = Log(x) e = Mul(l, l) y = Mul(e, x) }")
    with pytest.raises(
        NotFiniteError, match="the first to make such numbers is Log node 'node' of the model"
    ):
        ox.explain(model, np.zeros((1, 3), np.float32), 1, method="saliency")


def test_fixed_batches_and_side_inputs(models) -> None:
    model = models.make(
        "m (float[2, 3] x, float[2, 3] s) => (float[2, 3] y) { r = Sqrt(x) y = Mul(r, s) }"
    )  # fmt: skip
    feeds = {"x": np.ones((3, 3), np.float32), "s": np.ones((3, 3), np.float32)}
    feeds["x"][1] = 0
    with pytest.raises(NotFiniteError, match=r"sample 1 .* 'node'"):
        ox.explain(model, feeds, 1, method="saliency", wrt="x")


@pytest.mark.parametrize("method", ["integrated_gradients", "deep_lift", "deep_lift_shap"])
@pytest.mark.parametrize("start", [1e300, np.float64(-1e39), np.full((1, 5), 4e38)])
def test_baselines_that_the_dtype_cannot_hold(method, start, models) -> None:
    with pytest.raises(DataInputError, match="too large for float32"):
        ox.explain(models.mlp(), models.random(2, 5), 1, method=method, baselines=start)


@pytest.mark.parametrize("name", [*ON_IMAGES, "attention_rollout"])
def test_baselines_are_used_or_refused(name, models) -> None:
    method, explainer, x = (
        made(name),
        ox.Explainer(models.conv(bias=False)),
        models.random(2, 2, 8, 8),
    )
    if not method.wants_baselines():
        with pytest.raises(DataInputError, match=rf"'{name}' has no baselines.*integrated_gradients"):
            explainer(x, 1, method, baselines=0.0)
        return
    before, after = explainer(x, 1, method), explainer(x, 1, method, baselines=0.5)
    assert np.abs(before.values - after.values).max() > 1e-3


def test_smoothgrad_wants_what_its_method_wants(models) -> None:
    x = models.random(2, 5)
    with pytest.raises(DataInputError, match="has no baselines"):
        ox.explain(models.mlp(), x, 1, method=ox.SmoothGrad(), baselines=0.5)
    inner = ox.SmoothGrad(ox.IntegratedGradients(n_steps=4), n_samples=2)
    found = [ox.explain(models.mlp(), x, 1, method=inner, baselines=b).values for b in (0.0, 0.5)]
    assert np.abs(found[0] - found[1]).max() > 1e-3


@pytest.mark.parametrize("epsilon", [1e-46, 1e-40, 1e300])
def test_stabilisers_that_float32_cannot_hold(epsilon, models) -> None:
    rule = lrp.epsilon(Stabilizer(epsilon))
    composite = Composite("mine", ((Match(ops=("Gemm",)), rule), (Match(), Pass())))
    with pytest.raises(MethodError, match=r"epsilon is .*float32 cannot hold"):
        ox.explain(models.mlp(), models.random(2, 5), 1, method=ox.LRP(composite))


@pytest.mark.parametrize("epsilon", [1e-46, 1e-40, 1e300])
def test_epsilon_as_an_option(epsilon, models) -> None:
    with pytest.raises(MethodError, match="epsilon"):
        ox.explain(models.mlp(), models.random(2, 5), 1, method="lrp", composite="epsilon", epsilon=epsilon)


@pytest.mark.parametrize("number", [1e300, 4e38])
@pytest.mark.parametrize("rule", [lambda v: lrp.gamma(v), lambda v: lrp.zbox(-v, v)], ids=["gamma", "zbox"])
def test_other_numbers_of_rules(rule, number, models) -> None:
    """Refused by name, or right: never NaN."""
    with pytest.raises((MethodError, NotFiniteError)):  # noqa: PT012 (the rule itself may refuse)
        composite = Composite("mine", ((Match(ops=("Gemm",)), rule(number)), (Match(), Pass())))
        ox.explain(models.mlp(), models.random(2, 5), 1, method=ox.LRP(composite))


@pytest.mark.parametrize("method", ["guided_backprop", "smooth_grad", "saliency", "input_x_gradient"])
def test_sums_that_are_rounding_are_told(method, models) -> None:
    """Before a normalisation the gradient of a token's numbers sums to 0."""
    model = models.make(
        """m (int64[N, L] ids) => (float[N, 3] y) {
          e = Gather(table, ids) n = LayerNormalization(e, scale) t = Tanh(n)
          p = ReduceMean<keepdims = 0>(t, middle) y = MatMul(p, w)
        }""",
        table=models.random(9, 8, seed=1), scale=np.ones(8, np.float32), middle=np.array([1]),
        w=models.random(8, 3, seed=2),
    )  # fmt: skip
    result = ox.explain(model, np.array([[1, 4, 2], [3, 3, 8]]), [0, 1], method=method)
    told = any("sums are rounding" in note for note in result.notes)
    assert told == (method in ("guided_backprop", "smooth_grad"))
