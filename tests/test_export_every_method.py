"""Every method: its file says what the explainer says, or it is refused with a reason."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest
from every_method import REFUSED, few, given
from names_twice import names_twice

import onnxplain as ox
from onnxplain.data import digits_model_path, digits_samples
from onnxplain.errors import OnnxplainError

#: Shown elsewhere, on models that have what it looks at.
ELSEWHERE = {"attention_rollout"}

FOUR = (np.arange(64).reshape(1, 8, 8) // 32 * 2 + np.arange(8) // 4).astype(np.int64)


@pytest.mark.parametrize("name", sorted(set(ox.METHODS) - ELSEWHERE))
def test_a_file_or_a_reason(name, models, tmp_path) -> None:
    model, x = models.conv(softmax=True), models.random(2, 2, 8, 8)
    relu = next(n.output[0] for n in model.graph.node if n.op_type == "Relu")
    method = few(name, **({"layer": relu} if name == "layer_activation" else {}))
    options = given(method, players=FOUR, rows=models.random(3, 2, 8, 8, seed=4))
    if name in REFUSED:
        with pytest.raises(OnnxplainError, match=REFUSED[name]):
            ox.export(model, tmp_path / "made.onnx", method=method, **options)
        assert not (tmp_path / "made.onnx").exists()
        return
    made = ox.export(model, tmp_path / "made.onnx", method=method, **options)
    assert names_twice(made.path) == set()
    session = ort.InferenceSession(str(made.path), providers=["CPUExecutionProvider"])
    feeds = {k: v for k, v in {"x": x, "target": np.array([0, 2])}.items() if k in made.inputs}
    found = dict(zip(made.outputs, session.run(list(made.outputs), feeds), strict=True))
    expected = ox.explain(model, x, [0, 2], method=method, **options)
    for of, values in expected.arrays.items():
        scale = max(float(np.abs(values).max()), 1e-6)
        np.testing.assert_allclose(found[f"attribution/{of}"], values, rtol=0, atol=1e-5 * scale)


#: Parameters that let a method look at answers, by itself or inside another.
LOOKING = [
    ox.IntegratedGradients(tol=0.01),
    ox.KernelShap(tol=0.1),
    ox.PermutationShapley(tol=0.1),
    ox.SmoothGrad(ox.IntegratedGradients(tol=0.01)),
    ox.SmoothGrad("guided_ig"),
]


@pytest.mark.parametrize("method", LOOKING, ids=repr)
def test_who_looks_at_answers_has_no_file(method, models, tmp_path) -> None:
    options = given(method, players=FOUR, rows=None)
    with pytest.raises(OnnxplainError, match="looks at answers before it chooses its next points"):
        ox.export(models.conv(), tmp_path / "made.onnx", method=method, **options)
    assert not (tmp_path / "made.onnx").exists()


def test_what_xrai_gathers_has_a_file(tmp_path) -> None:
    """Black and white, of images of a known range, are rows of a background; regions are made outside."""
    x, label = digits_samples()[0][:1], 4
    ends = np.stack([np.full(x.shape[1:], of(x), np.float32) for of in (np.min, np.max)])
    inner, rows = ox.IntegratedGradients(n_steps=5), ox.Background(ends)
    explainer, place = ox.Explainer(digits_model_path()), np.arange(28) // 7
    squares = place[:, None] * 4 + place
    whole = explainer(x, label, ox.XRAI(n_steps=5), feature_mask=squares).values
    gathered = explainer(x, label, ox.XRAI(method=inner), baselines=rows, feature_mask=squares).values
    np.testing.assert_allclose(gathered, whole, rtol=0, atol=1e-5 * float(np.abs(whole).max()))
    made = ox.export(digits_model_path(), tmp_path / "made.onnx", method=inner, baselines=rows)
    session = ort.InferenceSession(str(made.path), providers=["CPUExecutionProvider"])
    (found,) = session.run(["attribution/image"], {"image": x, "target": np.array([label])})
    expected = explainer(x, label, inner, baselines=rows).values
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * float(np.abs(expected).max()))
