"""Files of activation maps that ask for a score per channel: loops over the channels of a layer."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest

import onnxplain as ox
from onnxplain.errors import MethodError

ABLATION, SCORE = ox.AblationCam(relu_attributions=False), ox.ScoreCam(relu_attributions=False)

#: A model, a method, points at once, and what else both are told.
CASES = [
    ("conv", ABLATION, 1, {}),
    ("conv", SCORE, 3, {"baselines": 0.3}),
    ("vgg", ABLATION, 4, {}),
    ("vgg", SCORE, 1, {}),
    ("channels_last", ABLATION, 1, {}),
    ("channels_last", SCORE, 1, {}),
    ("conv", ox.AblationCam(layer="s", interpolate_mode="nearest", relu_attributions=False), 1, {}),
    ("conv", ox.ScoreCam(layer="p1", interpolate_mode="nearest"), 1, {"target": "predicted"}),
    ("conv", ABLATION, 3, {"target": "predicted"}),
]
SHAPES = {"conv": (2, 8, 8), "vgg": (3, 8, 8), "channels_last": (8, 8, 2)}


@pytest.mark.parametrize(("which", "method", "at_once", "options"), CASES)
def test_the_file_says_what_the_explainer_says(which, method, at_once, options, models, tmp_path) -> None:
    model = models.conv(softmax=True) if which == "conv" else getattr(models, which)()
    x, target = models.random(3, *SHAPES[which]), np.arange(3) % 4
    made = ox.export(model, tmp_path / "made.onnx", method=method, steps_at_once=at_once, **options)
    onnx.checker.check_model(onnx.load(made.path), full_check=True)
    session = ort.InferenceSession(str(made.path), providers=["CPUExecutionProvider"])
    feeds = {k: v for k, v in {"x": x, "target": target}.items() if k in made.inputs}
    found = dict(zip(made.outputs, session.run(None, feeds), strict=True))
    options = dict(options)
    asked = options.pop("target", target.tolist())
    expected = ox.explain(model, x, asked, method=method, **options)
    pairs = [(found["attribution/x"], expected.values), (found["map/x"], expected.extras["map"]["x"])]
    for a, b in [*pairs, (found["y"], expected.predictions)]:
        assert np.abs(b).max() > 0
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * float(np.abs(b).max()))
    if "target" in found:
        np.testing.assert_array_equal(found["target"], expected.target[:, 0])


def test_an_input_without_a_map_stays_as_it_is(models, tmp_path) -> None:
    model = models.make(
        """m (float[N, 2, 6, 6] image, float[N, 3] row) => (float[N, 2] y) {
          c = Conv(image, w) r = Relu(c) f = Flatten(r)
          both = Concat<axis = 1>(f, row) h = MatMul(both, u) t = Tanh(h) y = MatMul(t, v)
        }""",
        w=models.random(3, 2, 3, 3, seed=1), u=models.random(51, 5, seed=2, scale=0.2),
        v=models.random(5, 2, seed=3),
    )  # fmt: skip
    feeds = {"image": models.random(2, 2, 6, 6), "row": models.random(2, 3, seed=1)}
    for method in (ABLATION, SCORE, ox.GradCam(relu_attributions=False)):
        made = ox.export(model, tmp_path / "made.onnx", method=method, steps_at_once=2)
        session = ort.InferenceSession(str(made.path), providers=["CPUExecutionProvider"])
        given = {**feeds, "target": np.array([0, 1])}
        found = dict(zip(made.outputs, session.run(None, given), strict=True))
        expected = ox.explain(model, feeds, [0, 1], method=method)
        assert not found["attribution/row"].any()
        for name, values in expected.arrays.items():
            scale = max(float(np.abs(values).max()), 1.0)
            np.testing.assert_allclose(found[f"attribution/{name}"], values, rtol=0, atol=1e-5 * scale)


def test_maps_drawn_by_others_are_refused(models, tmp_path) -> None:
    from dataclasses import dataclass
    from typing import ClassVar

    from onnxplain.methods.cams.base import GradientMap

    @dataclass(frozen=True)
    class Mine(GradientMap):
        name: ClassVar[str] = "mine"

        def drawn(self, a, g):
            return a.max(1)

    with pytest.raises(MethodError, match="Mine draws"):
        ox.export(models.conv(), tmp_path / "made.onnx", method=Mine())
