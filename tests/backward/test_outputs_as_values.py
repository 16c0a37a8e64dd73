"""Explaining values that are outputs too: features beside scores, the scores before a Softmax."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest
from kinds import GENERAL, errors, facts, made

import onnxplain as ox

#: Features h and scores y, both exported.
BOTH = """m (float[N, 5] x) => (float[N, 8] h, float[N, 3] y) {
  a = Gemm(x, w, b) h = Relu(a) y = Gemm(h, v, c)
}"""


def weights(models) -> dict[str, np.ndarray]:
    return {
        "w": models.random(5, 8, seed=1), "v": models.random(8, 3, seed=2),
        "b": models.random(8, seed=3), "c": models.random(3, seed=4),
    }  # fmt: skip


@pytest.mark.parametrize("name", GENERAL)
def test_features_that_are_an_output_too(name, models) -> None:
    both = ox.Explainer(models.make(BOTH, **weights(models)))
    inner = ox.Explainer(models.make(BOTH.replace("float[N, 8] h, ", ""), **weights(models)))
    x = models.random(3, 5)
    options = {"output": "y", "wrt": "h", "method": made(name)}
    found, expected = both(x, [0, 2, 1], **options), inner(x, [0, 2, 1], **options)
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.predictions, expected.predictions, rtol=1e-5)
    np.testing.assert_allclose(found.inputs["h"], expected.inputs["h"], rtol=1e-5)
    if name == "saliency":
        np.testing.assert_allclose(found.values, np.abs(weights(models)["v"].T[[0, 2, 1]]), rtol=1e-5)


@pytest.mark.parametrize("name", GENERAL)
def test_the_other_output_may_follow_from_what_is_cut(name, models) -> None:
    """Explaining h, an output on the way to y, leaves y out of the program."""
    explainer = ox.Explainer(models.make(BOTH, **weights(models)))
    x = models.random(2, 5)
    found = explainer(x, 4, output="h", wrt="a", method=made(name))
    alone = ox.explain(models.make(BOTH.replace(", float[N, 3] y", "").replace("y = Gemm(h, v, c)", ""),
                                   **{k: v for k, v in weights(models).items() if k in "wb"}),
                       x, 4, wrt="a", method=made(name))  # fmt: skip
    np.testing.assert_allclose(found.values, alone.values, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", GENERAL)
@pytest.mark.parametrize("also", [True, False])
def test_the_score_itself(name, also, models) -> None:
    """The score before a closing Softmax as what is explained: its gradient is 1 at the target."""
    outputs = "float[N, 3] z, float[N, 3] y" if also else "float[N, 3] y"
    text = f"m (float[N, 5] x) => ({outputs}) {{ z = Gemm(x, w, c) y = Softmax(z) }}"
    model = models.make(text, w=models.random(5, 3, seed=2), c=models.random(3, seed=4))
    explainer, x = ox.Explainer(model), models.random(2, 5)
    found = explainer(x, [2, 0], output="y", wrt="z", method=made(name))
    z = x @ models.random(5, 3, seed=2) + models.random(3, seed=4)
    picked = np.zeros((2, 3), np.float32)
    picked[[0, 1], [2, 0]] = 1
    gradients = ("saliency", "guided_backprop", "deconvolution", "beta_smooth", "smooth_grad",
                 "excitation_backprop", "internal_influence", "neuron_gradient")  # fmt: skip
    if not facts(name).amounts:
        assert (found.values.argmax(1) == [2, 0]).all()
        return
    expected = picked if name in gradients else picked * z
    assert (np.abs(found.values - expected) <= 1e-5 + 1e-4 * np.abs(expected) + errors(found)["z"]).all()
    np.testing.assert_allclose(found.score, z[[0, 1], [2, 0]], rtol=1e-5)


@pytest.mark.parametrize("name", GENERAL)
def test_the_explained_output_itself(name, models) -> None:
    explainer, x = ox.Explainer(models.mlp()), models.random(2, 5)
    found = explainer(x, 1, wrt="y", method=made(name))
    y = explainer.predict(x)["y"]
    assert found.values.shape == y.shape
    error = errors(found)["y"]
    assert (np.abs(found.values) <= errors(found, 0.1)["y"])[:, [0, 2]].all()
    np.testing.assert_allclose(found.score, y[:, 1], rtol=1e-5)
    np.testing.assert_allclose(found.predictions, y, rtol=1e-5)
    assert (found.values[:, 1] == found.values.max(1)).all() or facts(name).amounts
    wanted = (1.0, *y[:, 1], *(() if facts(name).amounts else found.values[:, 1]))
    for k in range(2):
        assert any(np.isclose(found.values[k, 1], w, rtol=1e-4, atol=error[k, 1]) for w in wanted)


@pytest.mark.parametrize("name", ["saliency", "lrp", "integrated_gradients"])
def test_what_lies_behind_the_score_is_refused_by_name(name, models) -> None:
    explainer = ox.Explainer(models.mlp(softmax=True))
    with pytest.raises(ox.errors.NotExplainableError, match=r"'z'.*'y'"):
        explainer(models.random(2, 5), 1, wrt="y", method=made(name))
    through = explainer(models.random(2, 5), 1, wrt="y", method="saliency", through_softmax=True)
    np.testing.assert_array_equal(through.values, [[0, 1, 0]] * 2)


@pytest.mark.parametrize("name", ["saliency", "lrp", "deep_lift"])
def test_exported_files_explain_features_that_are_an_output(name, models, tmp_path) -> None:
    model, x = models.make(BOTH, **weights(models)), models.random(2, 5)
    ox.export(model, tmp_path / "m.onnx", method=name, output="y", wrt="h")
    session = ort.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    answers = dict(zip([o.name for o in session.get_outputs()],
                    session.run(None, {"x": x, "target": np.array([2, 0])}), strict=True))  # fmt: skip
    explainer = ox.Explainer(model)
    np.testing.assert_allclose(answers["h"], explainer.predict(x)["h"], rtol=1e-5)
    expected = explainer(x, [2, 0], output="y", wrt="h", method=made(name)).values
    np.testing.assert_allclose(answers["attribution/h"], expected, rtol=1e-4, atol=1e-5)


def test_names_that_a_cut_might_take(models) -> None:
    text = "m (float[N, 3] x) => (float[N, 3] y) { h = Relu(x) k = Exp(h) y = Add(h, k) }"
    model = models.make(text.replace("k =", "hc =").replace("k)", "hc)"))
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = ["h/computed" if n == "hc" else n for n in names]
    x = models.random(2, 3)
    found = ox.explain(model, x, 1, wrt="h", method=ox.Saliency())
    np.testing.assert_allclose(found.values[:, 1], 1 + np.exp(np.maximum(x[:, 1], 0)), rtol=1e-5)
