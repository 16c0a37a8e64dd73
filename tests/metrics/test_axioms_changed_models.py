"""Metrics that explain a changed model, where the right answer is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

import onnxplain as ox
from onnxplain.errors import DataInputError, MethodError
from onnxplain.metrics import (
    Dummy,
    ImplementationInvariance,
    InputInvariance,
    Linearity,
    SensitivityAxiom,
    Symmetry,
)


@pytest.fixture(scope="module")
def mlp(models) -> ox.Explainer:
    return ox.Explainer(models.mlp())


@pytest.fixture(scope="module")
def rows(models) -> np.ndarray:
    return models.random(3, 5, seed=7)


def relative(a: Any, b: Any) -> np.ndarray:
    """The largest difference of each row over the largest magnitude, as the metrics have it."""
    top = [max(np.abs(p).max(), np.abs(q).max()) for p, q in zip(a, b, strict=True)]
    return np.array([np.abs(p - q).max() / t for p, q, t in zip(a, b, top, strict=True)])


def test_input_invariance_is_its_formula(models, mlp, rows) -> None:
    """b' = b - W^T m in the first layer, as in the paper."""
    w, b = models.random(5, 8, seed=1), models.random(8, seed=3)
    other = models.mlp()
    for tensor in other.graph.initializer:
        if tensor.name == "b":
            tensor.raw_data = (b - 0.75 * w.sum(0)).astype(np.float32).tobytes()
            tensor.ClearField("float_data")
    for method in ("input_x_gradient", "integrated_gradients", "exact_shapley"):
        found = InputInvariance(shift=0.75)(mlp, rows, 1, method)
        ours = mlp(rows, 1, method).values
        theirs = ox.explain(other, rows + np.float32(0.75), 1, method).values
        np.testing.assert_allclose(found.values, relative(ours, theirs), rtol=1e-3)
        assert not found.extras["invariant"].any()
        assert found.notes == ("the shift is in the biases of its first layers",)


def test_input_invariance_at_its_extremes(models, mlp, rows) -> None:
    found = InputInvariance()(mlp, rows, 1, "saliency")
    assert (found.values < 1e-5).all()
    assert found.extras["invariant"].all()
    w, x = models.random(1, 4), np.ones((1, 4), np.float32)
    linear = ox.Explainer(models.linear(w))
    assert InputInvariance(shift=-2.0)(linear, x, 0, "input_x_gradient").values == pytest.approx([2.0])
    conv, images = ox.Explainer(models.conv()), models.random(2, 2, 8, 8)
    found = InputInvariance()(conv, images, 1, ox.Saliency())
    assert (found.values < 1e-5).all()
    assert found.notes == ("the shift is taken off where the inputs enter",)
    moving = {"explain_options": {"baselines": "mean"}}  # the baseline moves along
    assert (InputInvariance()(conv, images, 1, "integrated_gradients", **moving).values < 1e-3).all()
    assert (InputInvariance()(conv, images, 1, "integrated_gradients").values > 0.1).all()


def test_a_shift_that_rounding_does_not_survive(mlp, rows) -> None:
    found = InputInvariance(shift=1e9)(mlp, rows, 1, "saliency")
    assert np.isnan(found.values).all()
    assert "give a smaller shift" in found.notes[-1]


def test_implementation_invariance_of_one_rewriting(models, mlp, rows) -> None:
    """relu(v) as (v + |v|) / 2: the guided rules see no rectifier."""
    other = models.make(
        """m (float[N, 5] x) => (float[N, 3] y) {
          a = Gemm(x, w, b) p = Abs(a) q = Add(a, p) h = Mul(q, half) y = Gemm(h, v, c)
        }""",
        w=models.random(5, 8, seed=1), v=models.random(8, 3, seed=2),
        b=models.random(8, seed=3), c=models.random(3, seed=4), half=0.5,
    )  # fmt: skip
    metric = ImplementationInvariance(rewritings=("rectifiers",))
    for method, invariant in (("guided_backprop", False), ("saliency", True), ("deep_lift", True)):
        found = metric(mlp, rows, 1, method)
        ours, theirs = mlp(rows, 1, method).values, ox.explain(other, rows, 1, method).values
        np.testing.assert_allclose(found.values, relative(ours, theirs), atol=1e-5)
        assert (found.values < 1e-5).all() == invariant
        np.testing.assert_array_equal(found.extras["rectifiers"], found.values)


def test_implementation_invariance_is_the_worst_of_all(mlp, rows) -> None:
    found = ImplementationInvariance()(mlp, rows, 1, "lrp")
    np.testing.assert_array_equal(found.values, np.max(list(found.extras.values()), 0))
    assert set(found.extras) == {"halves", "negations", "permutations", "rectifiers", "scales", "signs"}
    same = ImplementationInvariance()(mlp, rows, 1, "exact_shapley")
    assert (same.values < 1e-4).all()


def test_what_has_no_other_form_says_so(models, rows) -> None:
    plain = ox.Explainer(models.make("m (float[N, 5] x) => (float[N, 5] y) { y = Sigmoid(x) }"))
    found = ImplementationInvariance()(plain, rows, 1, "saliency")
    assert np.isnan(found.values).all()
    assert found.notes[-1] == "the model has no other form to compare with"
    linear = ox.Explainer(models.linear(models.random(3, 5)))
    found = ImplementationInvariance()(linear, rows, 1, "linear_shap")
    assert any(n.startswith("signs: the method does not explain the rewritten graph") for n in found.notes)
    assert (found.values < 1e-5).all()


def test_dummy_elements(models, mlp, rows) -> None:
    for method in ("saliency", "integrated_gradients", "lrp", "exact_shapley", "feature_ablation"):
        assert not Dummy(width=3)(mlp, rows, 1, method).values.any(), method
    two = ox.Explainer(models.two_inputs())
    x = {"image": models.random(3, 2, 4), "table": models.random(3, 3, seed=1)}
    assert not Dummy()(two, x, 1, "deep_lift").values.any()
    rise = Dummy()(mlp, rows, 1, ox.RISE(n_masks=64))  # estimates from random masks
    assert (rise.values > 0.01).all()
    assert (rise.values <= 1).all()
    columns = Dummy()(mlp, rows, 1, "exact_shapley", explain_options={"feature_mask": "columns"})
    assert not columns.values.any()
    with pytest.raises(MethodError, match="inputs of another shape"):
        Dummy()(mlp, rows, 1, "exact_shapley", explain_options={"feature_mask": np.arange(5)})
    ids = {"ids": np.array([[1, 2, 3]]), "mask": np.ones((1, 3), np.int64)}
    assert not Dummy()(ox.Explainer(models.tokens()), ids, 0, "integrated_gradients").values.any()


def test_dummy_elements_where_samples_lie_along_the_last_axis(models) -> None:
    turned = ox.Explainer(models.batch_last())
    x = {"x": models.random(3, 5), "aside": models.random(5, 3, seed=9)}
    assert not Dummy(width=2)(turned, x, [0, 1, 2], "deep_lift").values.any()
    assert not Dummy()(turned, x, 1, "integrated_gradients", wrt="aside").values.any()


def test_dummy_of_a_map_that_is_spread_over_the_input(models) -> None:
    """Grad-CAM knows no elements: its map covers all of the input."""
    conv, images = ox.Explainer(models.conv()), models.random(2, 2, 8, 8)
    found = Dummy()(conv, images, [0, 3], "hi_res_cam")
    assert (found.values > 0.01).all()


def test_symmetry_of_twins(mlp, rows) -> None:
    for method in ("saliency", "integrated_gradients", "lrp", "exact_shapley"):
        assert (Symmetry()(mlp, rows, 1, method).values < 1e-5).all(), method
    drawn = Symmetry()(mlp, rows, 1, ox.ShapleyValueSampling(n_samples=1))
    assert (drawn.values > 0.01).all()
    starts = {"x": np.full(5, 0.5, np.float32)}
    found = Symmetry()(mlp, rows, 1, "exact_shapley", explain_options={"baselines": starts})
    assert (found.values < 1e-5).all()  # the twin starts where the input does
    with pytest.raises(MethodError, match="inputs of another shape"):
        Symmetry()(mlp, rows, 1, "exact_shapley", explain_options={"feature_mask": {"x": np.arange(5)}})


def test_linearity_is_its_formula(models, mlp, rows) -> None:
    both = models.make(
        """m (float[N, 5] x) => (float[N, 3] y) {
          a = Gemm(x, w, b) h = Relu(a) f = Gemm(h, v, c)
          d = Gemm(x, w, b) k = Relu(d) g = Gemm(k, v, c)
          one = Gather<axis = 1>(g, order)
          p = Mul(f, two) q = Mul(one, less) y = Add(p, q)
        }""",
        w=models.random(5, 8, seed=1), v=models.random(8, 3, seed=2), b=models.random(8, seed=3),
        c=models.random(3, seed=4), two=2.0, less=-0.5, order=np.array([1, 2, 0]),
    )  # fmt: skip
    for method in ("input_x_gradient", "guided_backprop", "saliency", "lrp"):
        found = Linearity()(mlp, rows, [0, 1, 2], method)
        f, g = (mlp(rows, t, method).values for t in ([0, 1, 2], [1, 2, 0]))
        h = ox.explain(both, rows, [0, 1, 2], method).values
        scale = np.maximum(np.abs(2 * f).max(1), np.abs(0.5 * g).max(1))
        expected = np.abs(h - (2 * f - 0.5 * g)).max(1) / scale
        np.testing.assert_allclose(found.values, expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("copied", [True, False])
def test_linearity_at_its_extremes(copied, models, mlp, rows) -> None:
    for method in ("integrated_gradients", "exact_shapley", "lime"):
        assert (Linearity(copied=copied)(mlp, rows, 1, method).values < 1e-4).all(), method
    assert (
        Linearity(copied=copied)(mlp, rows, 1, "saliency").values > 0.05
    ).all()  # magnitudes do not add up
    assert (Linearity(copied=copied)(mlp, rows, 1, ox.Saliency(abs=False)).values < 1e-5).all()
    soft = ox.Explainer(models.mlp(softmax=True))
    for through in (False, True):
        found = Linearity(copied=copied)(soft, rows, 1, "exact_shapley", through_softmax=through)
        assert (found.values < 1e-4).all()
    single = ox.Explainer(models.single())  # one score: the model twice
    assert (Linearity(copied=copied)(single, rows[:, :4], None, "exact_shapley").values < 1e-4).all()


def test_linearity_of_methods_that_look_at_one_layer(models) -> None:
    """Not of two copies, of which these would see one layer."""
    conv, images = ox.Explainer(models.conv()), models.random(2, 2, 8, 8, seed=11)
    for method in (ox.HiResCam(), ox.SmoothGrad(ox.HiResCam(), n_samples=2)):
        assert (Linearity()(conv, images, 1, method).values < 1e-4).all()
    assert (Linearity(copied=True)(conv, images, 1, "hi_res_cam").values > 0.1).any()


def test_linearity_with_another_model(models, mlp, rows) -> None:
    other = models.tanh().SerializeToString()
    for method in ("integrated_gradients", "input_x_gradient"):
        assert (Linearity(other=other)(mlp, rows, 1, method).values < 1e-4).all()
    assert (Linearity(other=other)(mlp, rows, 1, "excitation_backprop").values > 0.01).any()
    with pytest.raises(MethodError, match="leave it out where other="):
        Linearity(other=other, copied=False)
    with pytest.raises(MethodError, match="takes 'image'"):
        Linearity(other=models.two_inputs().SerializeToString())(mlp, rows, 1, "saliency")


def saturated(models) -> ox.Explainer:
    """1 - relu(1 - x1) + x2: flat for x1 above 1, and does not know x3."""
    return ox.Explainer(
        models.make(
            """m (float[N, 3] x) => (float[N, 1] y) {
              a = MatMul(x, first) b = Sub(one, a) r = Relu(b) c = Sub(one, r)
              d = MatMul(x, second) y = Add(c, d)
            }""",
            first=[[1.0], [0], [0]], second=[[0.0], [1], [0]], one=1.0,
        )
    )  # fmt: skip


def test_sensitivity_of_what_is_saturated(models) -> None:
    explainer, x = saturated(models), np.array([[2.0, 1, 1], [0.5, 1, 1], [0, 0, 3]], np.float32)
    found = SensitivityAxiom()(explainer, x, None, "saliency")
    np.testing.assert_array_equal(found.extras["differing"], [2, 2, 0])
    np.testing.assert_array_equal(found.extras["missed"], [1, 0, 0])
    np.testing.assert_array_equal(found.values, [0.5, 0.0, np.nan])
    assert found.notes == ("no feature alone changes the score of sample 2",)
    for method in ("integrated_gradients", "exact_shapley", "deep_lift", "feature_ablation"):
        assert not SensitivityAxiom()(explainer, x[:2], None, method).values.any(), method


def test_sensitivity_is_told_the_baselines(models) -> None:
    """From (2, 0, 0) on x1 changes nothing any more, and from (0.5, 0, 0) on it does."""
    explainer, x = saturated(models), np.array([[3.0, 1, 1]], np.float32)
    for start, count in ((2.0, 1), (0.5, 2)):
        starts = np.array([start, 0, 0], np.float32)
        found = SensitivityAxiom()(explainer, x, None, "integrated_gradients", baselines=starts)
        assert found.extras["differing"] == count
        assert not found.values.any()


def test_sensitivity_of_some_features_and_groups(models, mlp, rows) -> None:
    found = SensitivityAxiom(n_features=2)(mlp, rows, 1, "integrated_gradients")
    assert (found.extras["differing"] <= 2).all()
    grouped = SensitivityAxiom()(mlp, rows, 1, "exact_shapley", feature_mask=np.array([0, 0, 1, 1, -1]))
    assert not grouped.values.any()
    assert (grouped.extras["differing"] == 2).all()


def test_values_inside_are_refused(mlp, rows) -> None:
    for metric in (InputInvariance(), ImplementationInvariance(), Dummy(), Symmetry(), Linearity()):
        with pytest.raises(MethodError, match="value inside the model"):
            metric(mlp, rows, 1, "saliency", wrt="h")


def test_whole_inputs_that_are_one_sample(models) -> None:
    """Where the arrays are one sample, the changed models are explained as one."""
    model = models.make(
        """m (float[4, 3] x) => (float[2] y) {
          t = Transpose(x) p = MatMul(x, t) a = ReduceMean<keepdims = 0>(p, one) h = Relu(a) y = MatMul(h, v)
        }""",
        one=np.array([1]), v=models.random(4, 2),
    )  # fmt: skip
    explainer, x = ox.Explainer(model), models.random(4, 3, seed=1)
    for metric in (Dummy(), Symmetry(), Linearity(), ImplementationInvariance(rewritings=("halves",))):
        found = metric(explainer, x, 1, "input_x_gradient")
        assert (found.values < 1e-4).all(), metric
    assert SensitivityAxiom()(explainer, x, 1, "integrated_gradients").values.shape == (1,)


def test_text_and_integers_are_refused_where_floats_are_needed(models) -> None:
    tokens = ox.Explainer(models.tokens())
    ids = {"ids": np.array([[1, 2, 3]]), "mask": np.ones((1, 3), np.int64)}
    for metric in (Symmetry(), InputInvariance()):
        with pytest.raises(DataInputError, match="takes floats only"):
            metric(tokens, ids, 0, "saliency")


def test_linearity_of_models_that_read_texts() -> None:
    words = onnx.helper.make_node(
        "LabelEncoder",
        ["word"],
        ["c"],
        domain="ai.onnx.ml",
        keys_strings=["a", "b"],
        values_floats=[1.0, -3.0],
    )
    both = onnx.helper.make_node("Concat", ["c", "number"], ["f"], axis=1)
    kinds = {"word": onnx.TensorProto.STRING, "number": onnx.TensorProto.FLOAT}
    graph = onnx.helper.make_graph(
        [words, both, onnx.helper.make_node("Tanh", ["f"], ["y"])],
        "texts",
        [onnx.helper.make_tensor_value_info(name, kind, ["N", 1]) for name, kind in kinds.items()],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["N", 2])],
    )
    opsets = [onnx.helper.make_opsetid("", 18), onnx.helper.make_opsetid("ai.onnx.ml", 3)]
    explainer = ox.Explainer(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8))
    table = {"word": np.array(["a", "b"], object), "number": np.array([1, 2], np.float32)}
    options = {"baselines": {"word": "none", "number": 0.0}}
    assert (Linearity()(explainer, table, 1, "exact_shapley", explain_options=options).values < 1e-5).all()
