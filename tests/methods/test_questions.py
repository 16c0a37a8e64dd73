"""Methods ask for what they need, and nothing else is built."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx
import pytest
from kinds import ON_IMAGES, facts, made
from onnx import TensorProto, helper
from word_models import texts

import onnxplain as ox
from onnxplain.backward.program import build
from onnxplain.data import digits_model_path, digits_samples
from onnxplain.graph.facts import WRITTEN_KEY
from onnxplain.runtime import programs


@dataclass(frozen=True)
class LeaveOneOut(ox.Method):
    """As a user would write it, without reading more than the README."""

    name: ClassVar[str] = "leave_one_out"
    takes_baselines: ClassVar[bool] = True

    def needs(self) -> ox.Scores:
        return ox.Scores()

    def attribute(self, problem: ox.Problem) -> ox.Found:
        values = {}
        for name, x in problem.features.items():
            values[name] = np.zeros(x.shape, np.float32)
            for k in np.ndindex(x.shape[1:]):
                k, without = (slice(None), *k), x.copy()
                without[k] = problem.baselines[name][k]
                values[name][k] = problem.scores() - problem.scores({name: without})
        return ox.Found(values)


def trees() -> onnx.ModelProto:
    """2 trees over 3 columns, with both targets in the leaves."""
    node = helper.make_node(
        "TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", n_targets=2,
        nodes_treeids=[0, 0, 0, 1, 1, 1, 1, 1], nodes_nodeids=[0, 1, 2, 0, 1, 2, 3, 4],
        nodes_featureids=[2, 0, 0, 0, 0, 1, 0, 0],
        nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF", "BRANCH_LT", "LEAF", "BRANCH_GT", "LEAF", "LEAF"],
        nodes_values=[0.5, 0, 0, 0.0, 0, 1.0, 0, 0], nodes_truenodeids=[1, 0, 0, 1, 0, 3, 0, 0],
        nodes_falsenodeids=[2, 0, 0, 2, 0, 4, 0, 0],
        target_treeids=[0, 0, 1, 1, 1], target_nodeids=[1, 2, 1, 3, 4],
        target_ids=[0, 0, 0, 0, 1], target_weights=[1.0, 5.0, -2.0, 0.5, 3.0],
    )  # fmt: skip
    graph = helper.make_graph(
        [node], "trees", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 2])],
    )  # fmt: skip
    imports = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


@pytest.fixture
def written(monkeypatch) -> list[str]:
    """The nodes beyond the model's own in all programs that were built."""
    seen: list[str] = []

    def watch(source, question):
        program = build(source, question)
        nodes = list(program.model.graph.all_nodes())
        seen.extend(str(n.name) for n in nodes if WRITTEN_KEY in n.metadata_props)
        return program

    monkeypatch.setattr(programs, "build", watch)
    return seen


def cases(models):
    yield "cnn", digits_model_path(), digits_samples()[0][:2], 3
    yield "trees", trees(), np.array([[0.1, 2.0, 0.2], [-1.0, 0.0, 3.0]], np.float32), 0
    yield "texts", texts(), np.array([["red", "blue"], ["green", "unknown"]]), None
    text = "m (float[N, 3] x) => (float[N, 3] y) { a = Mul(x, c) h = Floor(a) y = MatMul(h, w) }"
    model = models.make(text, c=3.0, w=models.random(3, 3))
    yield "floor", model, models.random(2, 3, seed=1), 1


@pytest.mark.parametrize("method", [LeaveOneOut(), ox.FeatureAblation()])
def test_ablation_runs_on_anything_without_a_node_backward(method, models, written) -> None:
    for name, model, x, target in cases(models):
        explainer = ox.Explainer(model)
        if name == "cnn" and isinstance(method, LeaveOneOut):
            x = x[:1]
        result = explainer(x, target, method)
        assert result.values.shape == x.shape, name
        assert len(explainer._programs) == 1, name
        output = next(iter(explainer.predict(x).values())).reshape(len(x), -1)
        assert (result.predictions.reshape(output.shape) == output).all()
        for row in range(len(x)):
            for k in list(np.ndindex(x.shape[1:]))[:: max(1, x[0].size // 9)]:
                changed = x[row : row + 1].astype(object if name == "texts" else x.dtype)
                changed[0][k] = "" if name == "texts" else 0
                lost = (
                    explainer(x[row : row + 1], target, method).score
                    - explainer(changed, target, method).score
                )
                np.testing.assert_allclose(result.values[row][k], lost[0], rtol=1e-4, atol=1e-5)
    picking = {
        "Less",
        "Reshape",
        "ArgMax",
        "Where",
        "Unsqueeze",
        "Shape",
        "Squeeze",
        "Range",
        "Concat",
        "GatherElements",
    }
    assert {name.split("/")[1].split("_")[0] for name in written} <= {
        *picking,
        "Identity",
        "Constant",
        "Cast",
    }


def test_groups_leave_together(models) -> None:
    model, x = models.mlp(), models.random(3, 5, seed=2)
    explainer = ox.Explainer(model)
    result = explainer(x, 1, "feature_ablation", feature_mask=np.array([0, 7, 0, -1, 7]), baselines=0.5)
    without = x.copy()
    without[:, [0, 2]] = 0.5
    lost = result.score - explainer(without, 1, "feature_ablation").score
    np.testing.assert_allclose(result.values[:, 0], lost, rtol=1e-5)
    np.testing.assert_array_equal(result.values[:, 0], result.values[:, 2])
    np.testing.assert_array_equal(result.values[:, 1], result.values[:, 4])
    assert not result.values[:, 3].any(), "nobody's"
    each = np.array([[0, 0, 0, 0, 0], [0, 1, 2, 3, 4], [1, 1, 0, 0, 0]])
    apart = explainer(x, 1, "feature_ablation", feature_mask=each)
    for k in range(3):
        alone = explainer(x[k : k + 1], 1, "feature_ablation", feature_mask=each[k])
        np.testing.assert_allclose(apart.values[k], alone.values[0], rtol=1e-5, atol=1e-6)
    with pytest.raises(ox.errors.DataInputError, match=r"feature_mask of 'x'.*does not broadcast"):
        explainer(x, 1, "feature_ablation", feature_mask=np.arange(4))
    with pytest.raises(
        ox.errors.DataInputError, match=r"saliency.*no use for a feature_mask.*feature_ablation"
    ):
        explainer(x, 1, "saliency", feature_mask=np.arange(5))


@pytest.mark.parametrize(
    "method", ["integrated_gradients", "deep_lift", "feature_ablation", "deep_lift_shap"]
)
def test_a_background_is_averaged_over(method, models) -> None:
    x, rows = models.random(3, 5, seed=2), models.random(4, 5, seed=3)
    explainer = ox.Explainer(models.mlp())
    found = explainer(x, 1, method, baselines=ox.Background(rows))
    single = "deep_lift" if method == "deep_lift_shap" else method
    each = [explainer(x, 1, single, baselines=row) for row in rows]
    np.testing.assert_allclose(found.values, np.mean([e.values for e in each], 0), rtol=1e-4, atol=1e-5)
    if each[0].reference is not None:
        np.testing.assert_allclose(found.reference, np.mean([e.reference for e in each], 0), rtol=1e-4)
        assert found.relative_delta.max() < 5e-2


def test_a_weighted_sum_is_explained(models) -> None:
    x, w = models.random(3, 5, seed=2), np.array([0.5, -1.0, 2.0])
    explainer = ox.Explainer(models.mlp())
    parts = [explainer(x, k, ox.Saliency(abs=False)) for k in range(3)]
    found = explainer(x, ox.Weights(w), ox.Saliency(abs=False))
    np.testing.assert_allclose(
        found.values, sum(f * p.values for f, p in zip(w, parts, strict=True)), rtol=1e-4
    )
    np.testing.assert_allclose(
        found.score, sum(f * p.score for f, p in zip(w, parts, strict=True)), rtol=1e-4
    )
    each = np.eye(3)[[2, 0, 1]]
    mixed = explainer(x, ox.Weights(each), "lrp")
    plain = explainer(x, [2, 0, 1], "lrp")
    np.testing.assert_allclose(mixed.values, plain.values, rtol=1e-4, atol=1e-6)
    with pytest.raises(ox.errors.TargetError, match=r"weights of output 'y' have shape \(2,\)"):
        explainer(x, ox.Weights(np.ones(2)), "lrp")


@pytest.mark.parametrize("target", [1, "predicted"])
def test_sessions_of_a_call_are_counted(target, models) -> None:
    for name in ON_IMAGES:
        explainer = ox.Explainer(models.conv())
        explainer(models.random(2, 2, 8, 8), target, made(name))
        assert len(explainer._programs) == facts(name).sessions, name
    for inner in ("lrp", "deep_lift", "guided_backprop"):
        explainer = ox.Explainer(models.conv())
        explainer(models.random(2, 2, 8, 8), target, ox.SmoothGrad(inner, n_samples=3))
        assert len(explainer._programs) == 1, inner


def test_what_is_predicted_is_picked_in_the_graph(models) -> None:
    x = models.random(6, 2, 8, 8)
    explainer = ox.Explainer(models.conv())
    best = next(iter(explainer.predict(x).values())).argmax(1)
    for name in ("lrp", "integrated_gradients", "smooth_grad", "feature_ablation"):
        found = explainer(x, "predicted", name)
        assert found.target.ravel().tolist() == best.tolist()
        np.testing.assert_array_equal(found.values, explainer(x, best.tolist(), name).values)


@pytest.mark.parametrize("perm", [[0, 1, 2], [1, 0, 2], [1, 2, 0]])
def test_the_highest_entry_of_a_map_is_picked(perm, models) -> None:
    """Of outputs with several axes, wherever the samples lie."""
    model = models.make(
        f"m (float[N, 6] x) => (float[A, B, C] y) {{ a = Reshape(x, s) y = Transpose<perm = {perm}>(a) }}",
        s=np.array([-1, 2, 3]),
    )
    x = models.random(4, 6, seed=3)
    found = ox.explain(model, x, "predicted", method="input_x_gradient")
    np.testing.assert_array_equal(found.values, np.where(x == x.max(1, keepdims=True), x, 0))


def test_noise_is_for_floats(models) -> None:
    ids = {"ids": np.ones((2, 7), np.int64), "mask": np.ones((2, 7), np.int64)}
    with pytest.raises(ox.errors.DataInputError, match=r"noise.*floats only, and 'ids' holds int64"):
        ox.explain(models.tokens(), ids, 0, method=ox.SmoothGrad("feature_ablation"))
    found = ox.explain(models.tokens(), ids, 0, method=ox.SmoothGrad("feature_ablation"), wrt="e")
    assert found.values.shape[:2] == (2, 7)


def test_plans_are_data() -> None:
    for name, kind in ox.METHODS.items():
        plan = kind().plan()
        assert plan is None or repr(plan) == repr(kind().plan()), name
    assert ox.SmoothGrad("integrated_gradients").plan().question == ox.IntegratedGradients().plan()


@pytest.mark.parametrize("name", ["ig", "lrp", "deep_lift", "smooth_grad"])
def test_where_no_gradient_flows_nothing_runs(name, monkeypatch) -> None:
    explainer = ox.Explainer(trees())
    monkeypatch.setattr("onnxplain.runtime.driver.Driver.ask", lambda *_, **__: pytest.fail("ran"))
    with pytest.raises(ox.errors.NotExplainableError, match=r"TreeEnsembleRegressor.*tree_shap for trees"):
        explainer(np.zeros((1, 3), np.float32), 0, name)


def test_a_method_without_a_way_says_so(models) -> None:
    @dataclass(frozen=True)
    class Nothing(ox.Method):
        name: ClassVar[str] = "nothing"

    with pytest.raises(ox.errors.MethodError, match=r"Nothing has neither plan\(\) nor attribute\(\)"):
        ox.explain(models.mlp(), models.random(1, 5), 0, method=Nothing())
