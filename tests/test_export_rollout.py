"""Attention rollout in a file: equal to the explainer, for texts of any length and for images."""

from __future__ import annotations

import attention_models
import numpy as np
import onnxruntime as ort
import pytest

import onnxplain as ox
from onnxplain.errors import MethodError, NotExplainableError

METHODS = [
    ox.AttentionRollout(),
    ox.AttentionRollout(token=-1, head_fusion="max"),
    ox.AttentionRollout(discard_ratio=0.5, head_fusion="min"),
    ox.AttentionRollout(gradient=False),
    ox.AttentionRollout(gradient=False, discard_ratio=0.9, head_fusion="max", token=0),
    ox.AttentionRollout(discard_ratio=0.001),
]


def compared(model, tmp_path, feeds, target, method) -> None:
    """Compare attributions and the tokens' numbers."""
    made = ox.export(model, tmp_path / "made.onnx", method=method)
    session = ort.InferenceSession(str(made.path), providers=["CPUExecutionProvider"])
    given = {k: v for k, v in {**feeds, "target": np.array(target)}.items() if k in made.inputs}
    found = dict(zip(made.outputs, session.run(None, given), strict=True))
    expected = ox.explain(model, feeds, target, method=method)
    pairs = [(found[f"attribution/{k}"], v) for k, v in expected.arrays.items()]
    pairs += [(found[f"tokens/{k}"], v) for k, v in expected.extras["tokens"].items()]
    for a, b in pairs:
        assert np.abs(b).max() > 0
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * float(np.abs(b).max()))


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_tokens_of_a_fixed_number(method, models, tmp_path) -> None:
    x = models.random(2, 5, 8, seed=5)
    compared(attention_models.encoder(models), tmp_path, {"x": x}, [2, 0], method)


@pytest.mark.parametrize("method", METHODS[::2], ids=repr)
def test_text_with_padding(method, models, tmp_path) -> None:
    ids = np.random.default_rng(0).integers(0, 20, (3, 7))
    mask = np.ones_like(ids)
    mask[1, 4:] = 0
    compared(attention_models.text(models), tmp_path, {"ids": ids, "mask": mask}, [0, 1, 2], method)


def test_inputs_of_the_same_tokens(models, tmp_path) -> None:
    ids = np.random.default_rng(0).integers(0, 20, (2, 6))
    feeds = {"ids": ids, "mask": np.ones_like(ids), "kinds": ids % 2}
    model = attention_models.text(models, segments=True)
    compared(model, tmp_path, feeds, [0, 1], ox.AttentionRollout())


@pytest.mark.parametrize(("class_token", "last"), [(True, False), (False, True)])
def test_patches_of_an_image(class_token, last, models, tmp_path) -> None:
    x = models.random(2, 3, 8, 12, seed=6)
    given = np.ascontiguousarray(x.transpose(0, 2, 3, 1)) if last else x
    model = attention_models.vision(models, class_token=class_token, last=last)
    compared(model, tmp_path, {"x": given}, [1, 2], ox.AttentionRollout(token=0))


def test_heads_and_samples_on_one_axis(models, tmp_path) -> None:
    """Whose weights are whose is known of one sample alone."""
    x = models.random(1, 5, 8, seed=5)
    for layout in ("batch first", "heads first"):
        one = attention_models.encoder(models, layout=layout, batch="1")
        compared(one, tmp_path, {"x": x}, [2], ox.AttentionRollout())
        any_number = attention_models.encoder(models, layout=layout)
        with pytest.raises(MethodError, match="not known along which axis of 'A0'"):
            ox.export(any_number, tmp_path / "made.onnx", method="attention_rollout")


def test_refusals(models, tmp_path) -> None:
    with pytest.raises(NotExplainableError, match="no attention"):
        ox.export(models.conv(), tmp_path / "made.onnx", method="attention_rollout")
    with pytest.raises(MethodError, match="token is 9"):
        ox.export(
            attention_models.encoder(models), tmp_path / "made.onnx", method="attention_rollout", token=9
        )
