"""Files of what flows through layers and neurons along a path: loops, equal to the explainer."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest

import onnxplain as ox
from onnxplain.errors import MethodError, NotExplainableError, TargetError

#: A method, points at once, and what else both are told.
CASES = [
    (ox.InternalInfluence(layer="s", n_steps=9), 1, {}),
    (ox.InternalInfluence(layer=("s", "g"), n_steps=9), 4, {"baselines": 0.2}),
    (ox.LayerConductance(layer="s", n_steps=9), 1, {}),
    (ox.LayerConductance(layer="s", n_steps=9), 4, {"target": "predicted"}),
    (ox.LayerConductance(layer=("c2", "r3"), n_steps=5, method="riemann_trapezoid"), 3, {"baselines": 0.2}),
    (ox.LayerConductance(n_steps=9), 1, {}),
    (ox.NeuronConductance(neuron=("s", (1, 2, 1)), n_steps=9), 1, {}),
    (ox.NeuronConductance(neuron=("s", (1, 2, -1)), n_steps=9), 4, {"baselines": 0.2, "target": "predicted"}),
    (ox.NeuronConductance(neuron=("g", (3, 0, 0)), multiply_by_inputs=False, n_steps=9), 1, {}),
    (ox.NeuronConductance(n_steps=9), 1, {}),
]


def ran(made, feeds) -> dict[str, np.ndarray]:
    """Run a file in an onnxruntime that knows nothing of this package."""
    session = ort.InferenceSession(str(made.path), providers=["CPUExecutionProvider"])
    given = {k: v for k, v in feeds.items() if k in made.inputs}
    return dict(zip(made.outputs, session.run(None, given), strict=True))


@pytest.mark.parametrize(("method", "at_once", "options"), CASES)
def test_the_file_says_what_the_explainer_says(method, at_once, options, models, tmp_path) -> None:
    model, x, target = models.conv(softmax=True), models.random(3, 2, 8, 8), np.arange(3) % 4
    made = ox.export(model, tmp_path / "made.onnx", method=method, steps_at_once=at_once, **options)
    onnx.checker.check_model(onnx.load(made.path), full_check=True)
    found = ran(made, {"x": x, "target": target})
    options = dict(options)
    asked = options.pop("target", target.tolist())
    expected = ox.explain(model, x, asked, method=method, **options)
    for name, values in expected.arrays.items():
        assert np.abs(values).max() > 0
        scale = float(np.abs(values).max())
        np.testing.assert_allclose(found[f"attribution/{name}"], values, rtol=0, atol=1e-5 * scale)
    assert ("delta/y" in found) == (expected.delta is not None)
    if expected.delta is not None:
        scale = float(np.abs(expected.score).max())
        np.testing.assert_allclose(found["delta/y"], expected.delta, rtol=0, atol=1e-5 * scale)
    np.testing.assert_allclose(found["y"], expected.predictions, rtol=1e-5)


@pytest.mark.parametrize("at_once", [1, 3])
def test_layers_of_texts(at_once, models, tmp_path) -> None:
    """Of no fixed length, and explained at the embedding."""
    model = models.tokens()
    feeds = {
        "ids": np.array([[1, 2, 3, 4, 5], [3, 1, 4, 1, 5]]),
        "mask": np.array([[1] * 5, [1, 1, 1, 0, 0]]),
    }
    for method in (
        ox.LayerConductance(layer="masked", n_steps=5),
        ox.InternalInfluence(layer=("masked", "h"), n_steps=5),
        ox.NeuronConductance(neuron=("h", 3), n_steps=5),
    ):
        made = ox.export(model, tmp_path / "made.onnx", method=method, steps_at_once=at_once)
        found = ran(made, {**feeds, "target": np.array([1, 2])})
        expected = ox.explain(model, feeds, [1, 2], method=method)
        for name, values in expected.arrays.items():
            scale = float(np.abs(values).max())
            np.testing.assert_allclose(found[f"attribution/{name}"], values, rtol=0, atol=1e-5 * scale)


def test_refusals(models, tmp_path) -> None:
    path, model = tmp_path / "made.onnx", models.conv()
    for neuron, error, words in [
        (("s", (1, 2)), TargetError, "is no entry"),
        (("s", (99, 0, 0)), TargetError, "is no entry"),
        (("x", (0, 0, 0)), TargetError, "is an input"),
        (("nothing", 3), ox.errors.OnnxplainError, "nothing"),
    ]:
        with pytest.raises(error, match=words):
            ox.export(model, path, method=ox.NeuronConductance(neuron=neuron))
    aside = models.two_inputs()
    with pytest.raises(NotExplainableError):
        ox.export(aside, path, method=ox.NeuronConductance(neuron=("flat", 0)), wrt="table")
    with pytest.raises(MethodError, match="values inside"):
        ox.export(model, path, method=ox.SmoothGrad(ox.LayerConductance(layer="s"), n_samples=2))
