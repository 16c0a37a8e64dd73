"""Several targets of one sample: the forward pass runs once, and its activations stand for all of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

import onnxplain as ox
from onnxplain.runtime import driver

TOKENS = """m (float[N, T, 6] x, float[N, T] mask) => (float[N, 4] y) {
    q = MatMul(x, wq) k = MatMul(x, wk) kt = Transpose<perm=[0, 2, 1]>(k) s = MatMul(q, kt)
    wide = Unsqueeze(mask, one) t = Add(s, wide) p = Softmax<axis=-1>(t) o = MatMul(p, x)
    h = LayerNormalization<axis=-1>(o, gamma, beta) c = ReduceMean<keepdims=0>(h, one)
    r = Shape<start=0, end=1>(x) to = Concat<axis=0>(r, six) f = Reshape(c, to) y = MatMul(f, w) }"""


def tokens(models) -> onnx.ModelProto:
    one, six, random = np.array([1]), np.array([6]), models.random
    return models.make(
        TOKENS, wq=random(6, 6), wk=random(6, 6, seed=1), w=random(6, 4), one=one, six=six, gamma=random(6),
        beta=random(6),
    )  # fmt: skip


def repeated(models, name: str) -> tuple[onnx.ModelProto, dict[str, Any], list[Any]]:
    """Return a model, four times the same sample, and four targets."""
    if name == "tokens":
        x, mask = models.random(1, 5, 6), models.random(1, 5, seed=2)
        return tokens(models), {"x": np.repeat(x, 4, 0), "mask": np.repeat(mask, 4, 0)}, [0, 3, 2, 0]
    targets: list[Any] = [(0, 1, 2), (2, 4, 4), (1, 0, 0), (1, 2, 3)] if name == "maps" else [0, 2, 1, 2]
    batch = {"batch": "1"} if name == "one by one" else {}
    model = getattr(models, {"one by one": "conv", "soft": "conv"}.get(name, name))(
        **batch, **({"softmax": True} if name == "soft" else {})
    )
    (given,) = model.graph.input
    dims = [d.dim_value for d in given.type.tensor_type.shape.dim]
    return model, {given.name: np.repeat(models.random(1, *dims[1:]), 4, 0)}, targets


def apart(monkeypatch, model, *arguments, **options) -> ox.Attribution:
    """Explain with a forward pass for each target."""
    explainer = model if isinstance(model, ox.Explainer) else ox.Explainer(model)
    with monkeypatch.context() as patched:
        patched.setattr(driver, "_MANY", 10**9)
        return explainer(*arguments, **options)


def equal(result: ox.Attribution, expected: ox.Attribution) -> None:
    for name, values in expected.arrays.items():
        assert np.abs(values).max() > 0
        np.testing.assert_allclose(result.arrays[name], values, rtol=0, atol=2e-6 * np.abs(values).max())
    np.testing.assert_allclose(result.score, expected.score, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(result.predictions, expected.predictions, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(result.target, expected.target)


CASES = (
    *((name, ox.Saliency(abs=False)) for name in ("mlp", "vgg", "maps", "channels_last", "one by one")),
    ("tokens", ox.Saliency(abs=False)),
    *((name, ox.LRP("epsilon")) for name in ("conv", "tokens")),
    *((name, ox.DeepLift()) for name in ("vgg", "tokens")),
    ("vgg", ox.LRP("epsilon_plus")), ("soft", ox.GuidedBackprop()), ("conv", ox.LRP()),
)  # fmt: skip


@pytest.mark.parametrize(("name", "method"), CASES, ids=lambda v: v if isinstance(v, str) else v.name)
def test_as_one_by_one(name, method, models, monkeypatch, fronts) -> None:
    model, inputs, targets = repeated(models, name)
    options = {"wrt": next(iter(inputs)), "through_softmax": name == "soft"}
    expected = apart(monkeypatch, model, inputs, targets, method, **options)
    fronts.clear()
    equal(ox.Explainer(model)(inputs, targets, method, **options), expected)
    assert len(fronts) == 1, "one forward pass"
    assert {shape[0] for shape in fronts[0].values()} == {1}, "of one row"


def test_one_sample_with_several_baselines(models, monkeypatch, fronts) -> None:
    model, inputs, targets = repeated(models, "conv")
    own = models.random(4, 2, 8, 8, seed=5)
    expected = apart(monkeypatch, model, inputs, targets, "deep_lift", baselines=own)
    fronts.clear()
    equal(ox.Explainer(model)(inputs, targets, "deep_lift", baselines=own), expected)
    assert [{shape[0] for shape in front.values()} for front in fronts] == [{4}]


def test_another_sample_is_seen(models, monkeypatch, fronts) -> None:
    plain, explainer = ox.Explainer(models.conv()), ox.Explainer(models.conv())
    x = np.repeat(models.random(1, 2, 8, 8), 3, 0)
    for k in range(3):
        equal(explainer(x, [0, 1, 2], "saliency"), apart(monkeypatch, plain, x, [0, 1, 2], "saliency"))
        x[:, 1, k, k] += 0.5
    x[1] += 1.0
    equal(explainer(x, [0, 1, 2], "saliency"), apart(monkeypatch, plain, x, [0, 1, 2], "saliency"))
    assert len(fronts) == 3, "samples that differ run together, as ever"


def test_rows_with_masks_of_their_own(models, monkeypatch) -> None:
    model, inputs, targets = repeated(models, "tokens")
    inputs["mask"][2] += 1.0
    options = {"wrt": "x"}
    equal(
        ox.Explainer(model)(inputs, targets, "saliency", **options),
        apart(monkeypatch, model, inputs, targets, "saliency", **options),
    )


def test_weights_as_targets(models, monkeypatch, fronts) -> None:
    model, inputs, _ = repeated(models, "conv")
    target = ox.Weights(models.random(4, 4))
    expected = apart(monkeypatch, model, inputs, target, "saliency")
    fronts.clear()
    equal(ox.Explainer(model)(inputs, target, "saliency"), expected)
    assert len(fronts) == 1


@pytest.mark.parametrize("accelerate", [True, False])
def test_memory_is_not_shared_by_lengths_of_one_name(models, accelerate) -> None:
    """One row stands for all where the graph has the same name for its length and for that of all rows."""
    model = models.make(
        """m (float[N, 3, 6, 6] x) => (float[N, 4] y) {
        a = Conv(x, w1) b = Add(a, one) r = Relu(b) c = Clip(r, zero, one) p = Mul(a, c) q = Div(p, half)
        s = Conv(q, w2) t = Softplus(s) g = GlobalAveragePool(t) f = Flatten(g) y = Gemm(f, v) }""",
        w1=models.random(20, 3, 3, 3), w2=models.random(3, 20, 1, 1), v=models.random(3, 4),
        zero=np.float32(0), one=np.float32(1), half=np.float32(0.5),
    )  # fmt: skip
    explainer = ox.Explainer(model, device="cpu", threads=1, accelerate=accelerate)
    x = models.random(1, 3, 6, 6)
    for wrt in (None, "r"):
        for method in ("deep_lift", "saliency", "lrp"):
            made = explainer(np.repeat(x, 4, 0), [3, 3, 1, 2], method, wrt=wrt).values
            expected = [explainer(x, t, method, wrt=wrt).values for t in (3, 3, 1, 2)]
            np.testing.assert_allclose(made, np.concatenate(expected), rtol=0, atol=2e-5 * np.abs(made).max())
