"""Exported files of several methods, of the highest classes, and what they do of a wrong target."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest

import onnxplain as ox
from onnxplain.errors import MethodError

IDS = np.arange(64).reshape(1, 8, 8) // 4 % 16
IG = ox.IntegratedGradients(n_steps=3)


def stock(path, **feeds: np.ndarray) -> dict[str, np.ndarray]:
    """Run a file in an onnxruntime that knows nothing of this package."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, feeds), strict=True))


def close(a: np.ndarray, b: np.ndarray, rtol: float = 1e-5) -> None:
    np.testing.assert_allclose(a, b, rtol=0, atol=rtol * max(float(np.abs(b).max()), 1e-6))


@pytest.mark.parametrize("target", [None, "predicted"])
def test_several_methods_in_one_file(target, models, tmp_path) -> None:
    model, x = models.conv(softmax=True), models.random(3, 2, 8, 8)
    methods = {"few": IG, "lrp": "lrp", "shap": ox.KernelShap(n_samples=60), "saliency": "saliency"}
    options = {"baselines": 0.1, "feature_mask": IDS}
    made = ox.export(model, tmp_path / "made.onnx", method=methods, target=target, **options)
    onnx.checker.check_model(onnx.load(made.path), full_check=True)
    assert made.inputs == (("x",) if target else ("x", "target"))
    assert {f"attribution/{k}/x" for k in methods} < set(made.outputs)
    assert {"delta/few/y", "delta/shap/y"} < set(made.outputs)
    asked = target or [0, 1, 2]
    found = stock(made.path, x=x, **({} if target else {"target": np.array(asked)}))
    for label, method in methods.items():
        chosen = ox.method(method)
        own = {
            k: v
            for k, v in options.items()
            if (chosen.wants_baselines() if k == "baselines" else chosen.wants_players())
        }
        expected = ox.explain(model, x, asked, method=method, **own)
        close(found[f"attribution/{label}/x"], expected.values)
        close(found["y"], expected.predictions)
    if target:
        np.testing.assert_array_equal(found["target"], found["y"].argmax(1))


def test_walks_back_share_the_forward_pass(models, tmp_path) -> None:
    model = models.conv()
    own = sum(n.op_type == "Conv" for n in model.graph.node)
    many = ["saliency", "input_x_gradient", "guided_backprop", "deconvolution"]
    made = ox.export(model, tmp_path / "made.onnx", method=many)
    graph = onnx.load(made.path).graph
    assert sum(n.op_type == "Conv" for n in graph.node) == own
    one = ox.export(model, tmp_path / "one.onnx", method="saliency")
    assert made.path.stat().st_size < 3 * one.path.stat().st_size


def test_names_of_several_methods(models, tmp_path) -> None:
    for methods, said in (
        ([IG, ox.IntegratedGradients(n_steps=5)], "two methods 'integrated_gradients'"),
        ([], "no method"),
    ):
        with pytest.raises(MethodError, match=said):
            ox.export(models.conv(), tmp_path / "made.onnx", method=methods)
    with pytest.raises(MethodError, match="beside several methods"):
        ox.export(models.conv(), tmp_path / "made.onnx", method=["saliency", IG], n_steps=3)


@pytest.mark.parametrize(
    "methods", [["lrp"], [IG], ["saliency", ox.KernelShap(n_samples=60)], [ox.SmoothGrad(IG, n_samples=2)]]
)
def test_the_highest_classes(methods, models, tmp_path) -> None:
    model, x = models.conv(softmax=True), models.random(3, 2, 8, 8)
    mask = {"feature_mask": IDS} if len(methods) > 1 else {}
    made = ox.export(model, tmp_path / "made.onnx", method=methods, top_k=3, **mask)
    onnx.checker.check_model(onnx.load(made.path), full_check=True)
    assert made.inputs == ("x",)
    found = stock(made.path, x=x)
    order = np.argsort(-found["y"], axis=1, kind="stable")[:, :3]
    np.testing.assert_array_equal(found["target"], order)
    for method in map(ox.method, methods):
        name = f"attribution/{method.name}/x"
        assert found[name].shape == (3, 3, 2, 8, 8)
        for k in range(3):
            own = mask if method.wants_players() else {}
            expected = ox.explain(model, x, order[:, k].tolist(), method=method, **own)
            close(found[name][:, k], expected.values)
            close(found["y"], expected.predictions)


def test_equal_scores_are_each_explained_once(models, tmp_path) -> None:
    made = ox.export(models.mlp(softmax=True), tmp_path / "made.onnx", method="saliency", top_k=3)
    found = stock(made.path, x=1e4 * models.random(6, 5))  # probabilities of 1 and 0
    assert all(len(set(row)) == 3 for row in found["target"].tolist())


def test_where_there_are_no_classes_to_choose_of(models, tmp_path) -> None:
    for model, k, said in (
        (models.single(), 2, "top_k explains the highest classes"),
        (models.maps(), 2, "top_k explains the highest classes"),
        (models.conv(), 9, "top_k is 9"),
    ):
        with pytest.raises(MethodError, match=said):
            ox.export(model, tmp_path / "made.onnx", method="saliency", top_k=k)


@pytest.mark.parametrize("method", ["lrp", IG, ox.Occlusion(), ["deep_lift", IG]], ids=str)
@pytest.mark.parametrize("at_once", [1, 3])
def test_a_wrong_target_fails(method, at_once, models, tmp_path) -> None:
    path = ox.export(models.conv(), tmp_path / "made.onnx", method=method, steps_at_once=at_once).path
    for n, target in (
        (1, [7]), (1, [-1]), (1, [0, 1, 2]), (1, []), (2, [0, 4]), (2, [1]), (2, [0, -2]), (3, [0, 1]),
    ):  # fmt: skip
        x = models.random(n, 2, 8, 8)
        with pytest.raises(Exception, match=r"invalid ind|out of bounds|cannot be reshaped"):
            stock(path, x=x, target=np.array(target, np.int64))
    assert stock(path, x=x, target=np.array([3, 0, 1]))["y"].shape == (3, 4)


def test_a_wrong_index_of_a_map_fails(models, tmp_path) -> None:
    path = ox.export(models.maps(), tmp_path / "made.onnx", method="saliency").path
    for target in ([[0, 1, 9]], [[0, -1, 1]], [[0, 1, 1], [0, 1, 1]]):
        with pytest.raises(Exception, match=r"invalid ind|out of bounds|cannot be reshaped"):
            stock(path, x=models.random(1, 2, 5, 5), target=np.array(target))
