"""Attention rollout beside plain loops over a transformer in NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from attention_models import LAYOUTS, WORDS, block, encoder, forward, shapes, slopes, text, vision, weights

import onnxplain as ox
from onnxplain.methods.attention import AttentionRollout

GOLDEN = Path(__file__).parents[1] / "golden" / "attention.npz"


FUSE = {"mean": lambda a: sum(a) / len(a), "max": lambda a: np.maximum(a[0], a[1]),
        "min": lambda a: np.minimum(a[0], a[1])}  # fmt: skip


def naive(attention: Any, gradients: Any, method: AttentionRollout) -> np.ndarray:
    """Apply the definition, entry by entry."""
    length = attention[0].shape[-1]
    product = np.eye(length)
    for layer, gradient in zip(attention, gradients, strict=True):
        fused = FUSE[method.head_fusion](np.maximum(layer * gradient, 0) if method.gradient else layer)
        places = sorted(np.ndindex(fused.shape), key=lambda place: fused[place])
        for place in places[: int(length * length * method.discard_ratio)]:
            if place != (0, 0):
                fused[place] = 0
        if method.gradient:
            step = np.eye(length) + fused
        else:
            step = 0.5 * np.eye(length) + 0.5 * fused
            for row in step:
                row /= row.sum()
        product = step @ product
    if method.token is not None:
        return product[method.token]
    return (product - np.eye(length) * method.gradient).mean(0)


METHODS = [
    AttentionRollout(),
    AttentionRollout(token=0),
    AttentionRollout(token=-1, head_fusion="max"),
    AttentionRollout(head_fusion="min"),
    AttentionRollout(discard_ratio=0.5),
    AttentionRollout(gradient=False),
    AttentionRollout(gradient=False, token=2),
    AttentionRollout(gradient=False, discard_ratio=0.9, head_fusion="max", token=0),
]


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("end", ["mean", "class"])
@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_exact(method, end, layers, models) -> None:
    x, targets = models.random(2, 5, 8, seed=5, scale=0.5), [2, 0]
    result = ox.explain(encoder(models, layers, end=end), x, targets, method=method)
    w = weights(models, layers)
    assert result.values.shape == x.shape
    assert result.values.dtype == np.float32
    for sample, target, values, score in zip(x, targets, result.values, result.score, strict=True):
        scores, attention = forward(w, sample, end, {})
        gradients = [slopes(w, sample, end, target, k) for k in range(layers)]
        wanted = naive(attention, gradients, method)
        np.testing.assert_allclose(score, scores[target], rtol=1e-4)
        np.testing.assert_allclose(values.sum(1), wanted, rtol=0, atol=1e-4 * np.abs(wanted).max())
        np.testing.assert_allclose(values, np.tile(values[:, :1], 8), err_msg="even over the features")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("batch", ["N", "1", "3"])
@pytest.mark.parametrize("size", [None, 2])
def test_however_the_heads_lie_and_samples_run(layout, batch, size, models) -> None:
    x, targets = models.random(5, 5, 8, seed=5), [0, 1, 2, 0, 1]
    plain = ox.Explainer(encoder(models))
    wanted = np.concatenate(
        [plain(x[k : k + 1], targets[k], method=AttentionRollout()).values for k in range(5)]
    )
    explainer = ox.Explainer(encoder(models, layout=layout, batch=batch))
    result = explainer(x, targets, method=AttentionRollout(), internal_batch_size=size)
    assert np.abs(result.values - wanted).max() < 1e-5 * np.abs(wanted).max()
    assert result.extras["tokens"]["x"].shape == (5, 5)
    again = explainer(x, targets, method=AttentionRollout(), internal_batch_size=size)
    np.testing.assert_array_equal(again.values, result.values)


@pytest.mark.parametrize("gradient", [True, False])
def test_padding_gets_nothing_and_changes_nothing(gradient, models) -> None:
    ids = np.random.default_rng(0).integers(0, WORDS, (3, 7))
    mask = np.ones_like(ids)
    mask[1, 4:] = 0
    explainer = ox.Explainer(text(models))
    method = AttentionRollout(gradient=gradient)
    result = explainer({"ids": ids, "mask": mask}, [0, 1, 2], method=method)
    assert list(result.arrays) == ["ids"]
    assert result.values.shape == ids.shape
    assert not result.values[1, 4:].any()
    assert (result.values[mask == 1] > 0).all()
    alone = explainer({"ids": ids[1:2, :4], "mask": mask[1:2, :4]}, 1, method=method)
    np.testing.assert_allclose(result.values[1, :4], alone.values[0], rtol=1e-4)
    np.testing.assert_allclose(result.values, result.extras["tokens"]["ids"], rtol=1e-5)
    if not gradient:
        np.testing.assert_allclose(result.values.sum(1), 1, rtol=1e-5)


def test_inputs_of_the_same_tokens_get_the_same(models) -> None:
    ids = np.random.default_rng(0).integers(0, WORDS, (2, 6))
    inputs = {"ids": ids, "mask": np.ones_like(ids), "kinds": ids % 2}
    result = ox.explain(text(models, segments=True), inputs, 1, method=AttentionRollout())
    assert list(result.arrays) == ["ids", "kinds"]
    np.testing.assert_array_equal(result.arrays["ids"], result.arrays["kinds"])


def test_one_input_picked_twice_is_counted_once(models) -> None:
    ids = np.random.default_rng(0).integers(0, WORDS, (2, 6))
    proto = text(models, segments=True)
    for node in proto.graph.node:
        if "kinds" in node.input:
            node.input[1] = "ids"
    del proto.graph.input[2]
    result = ox.explain(proto, {"ids": ids, "mask": np.ones_like(ids)}, 1, method=AttentionRollout())
    assert list(result.extras["tokens"]) == ["ids"]
    np.testing.assert_allclose(result.values, result.extras["tokens"]["ids"], rtol=1e-5)


@pytest.mark.parametrize("class_token", [True, False])
@pytest.mark.parametrize("last", [False, True])
def test_patches_of_an_image(class_token, last, models) -> None:
    x = models.random(2, 3, 8, 12, seed=6)
    given = np.ascontiguousarray(x.transpose(0, 2, 3, 1)) if last else x
    proto = vision(models, class_token=class_token, last=last)
    result = ox.explain(proto, given, [1, 2], method=AttentionRollout(token=0))
    values = result.values.transpose(0, 3, 1, 2) if last else result.values
    tokens = result.extras["tokens"]["x"]
    assert values.shape == x.shape
    assert tokens.shape == (2, 6 + class_token)
    patches = values.reshape(2, 3, 2, 4, 3, 4).sum((1, 3, 5)).reshape(2, 6)
    np.testing.assert_allclose(patches, tokens[:, int(class_token) :], rtol=1e-5)
    for row, column in np.ndindex(2, 3):
        piece = values[:, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4].reshape(2, -1)
        np.testing.assert_allclose(piece, np.tile(piece[:, :1], 48), rtol=1e-6)
    assert len(np.unique(patches)) == 12


def test_inner_values_and_noise(models) -> None:
    x = models.random(2, 5, 8, seed=5)
    explainer = ox.Explainer(encoder(models))
    later = explainer(x, 1, AttentionRollout(token=0), wrt="h1")
    w = {k: v for k, v in weights(models, 2).items() if not k.endswith("0")}
    w = {k.replace("1", "0"): v for k, v in w.items()}
    for sample, values in zip(later.inputs["h1"], later.values, strict=True):
        attention = forward(w, sample, "mean", {})[1]
        wanted = naive(attention, [slopes(w, sample, "mean", 1, 0)], AttentionRollout(token=0))
        np.testing.assert_allclose(values.sum(1), wanted, rtol=0, atol=1e-4)
    still, noisy = (
        explainer(x, 1, ox.SmoothGrad(method=AttentionRollout(), stdevs=s, n_samples=3), wrt="h1")
        for s in (0.0, 0.3)
    )
    plain = explainer(x, 1, AttentionRollout(), wrt="h1").values
    np.testing.assert_allclose(still.values, plain, rtol=1e-5)
    assert noisy.extras["standard_error"]["h1"].max() > 0


def test_a_torch_export_beside_differences() -> None:
    """The weights come from the model as it is, the gradient from running the rest of it on others."""
    with np.load(GOLDEN) as content:
        model, x, targets = (content[k] for k in ("model", "x", "targets"))
    proto = onnx.load_from_string(model.tobytes())
    (softmax,) = [node for node in proto.graph.node if node.op_type == "Softmax"]
    shape = [len(x), 2, 4, 4]
    name = softmax.output[0]
    info = onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
    softmax.output[0] = "weights"
    proto.graph.input.append(info)
    proto.graph.output.append(onnx.helper.make_tensor_value_info("weights", onnx.TensorProto.FLOAT, shape))
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    (attention,) = session.run(["weights"], {"x": x, name: np.zeros(shape, np.float32)})
    gradients = np.zeros(shape)
    for place in np.ndindex(*shape[1:]):
        scores = []
        for step in (0.03, -0.03):
            bumped = attention.copy()
            bumped[(slice(None), *place)] += step
            scores.append(session.run(["y"], {"x": x, name: bumped})[0][np.arange(len(x)), targets])
        gradients[(slice(None), *place)] = (scores[0] - scores[1]) / 0.06
    result = ox.explain(model.tobytes(), x, targets, method=AttentionRollout())
    for values, layer, gradient in zip(result.values, attention, gradients, strict=True):
        wanted = naive([layer.astype(np.float64)], [gradient], AttentionRollout())
        np.testing.assert_allclose(values.sum(1), wanted, rtol=0, atol=1e-2 * wanted.max())


def test_a_model_without_attention(models) -> None:
    with pytest.raises(
        ox.errors.NotExplainableError, match=r"no attention lies between 'x' and the score 'y'.*Softmax"
    ):
        ox.explain(models.conv(softmax=False), models.random(1, 2, 8, 8), 0, method=AttentionRollout())


def test_attention_that_the_score_does_not_use(models) -> None:
    proto = encoder(models)
    with pytest.raises(ox.errors.NotExplainableError, match="no attention lies between 'h2'"):
        ox.explain(proto, models.random(1, 5, 8), 0, method=AttentionRollout(), wrt="h2")


def test_attention_to_other_tokens_is_refused(models) -> None:
    proto = models.make(
        """m (float[N, 5, 4] x, float[N, 3, 4] other) => (float[N, 4] y) {
          keys = Transpose<perm = [0, 2, 1]>(other) l = MatMul(x, keys) w = Softmax(l) m = MatMul(w, other)
          y = ReduceMean<keepdims = 0>(m, one)
        }""",
        one=np.array([1]),
    )  # fmt: skip
    inputs = {"x": models.random(2, 5, 4), "other": models.random(2, 3, 4, seed=1)}
    with pytest.raises(
        ox.errors.NotExplainableError, match=r"weights 'w' .*\(N, 5, 3\): as many queries as keys"
    ):
        ox.explain(proto, inputs, 0, method=AttentionRollout())


def test_tokens_that_do_not_fit_the_input(models) -> None:
    proto = models.make(
        f"""m (float[N, 40] x) => (float[N, 3] y) {{
          h0 = Reshape(x, tokens)
          {block(0)}
          p = ReduceMean<keepdims = 0>(h1, one)
          y = MatMul(p, end)
        }}""",
        **weights(models, 1), **shapes("apart", 5), tokens=np.array([-1, 5, 8]),
    )  # fmt: skip
    x = models.random(2, 40)
    with pytest.raises(
        ox.errors.NotExplainableError, match=r"'x' has shape \(2, 40\).* 5 tokens.*wrt="
    ) as raised:
        ox.explain(proto, x, 0, method=AttentionRollout())
    assert "square patches" in str(raised.value)
    assert ox.explain(proto, x, 0, method=AttentionRollout(), wrt="h0").values.shape == (2, 5, 8)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"head_fusion": "median"}, "head_fusion is 'median'; give 'mean', 'max' or 'min'"),
        ({"discard_ratio": 1.0}, "discard_ratio is 1.0"),
        ({"discard_ratio": -0.1}, "discard_ratio is -0.1"),
    ],
)
def test_parameters_without_sense(options, words) -> None:
    with pytest.raises(ox.errors.MethodError, match=words):
        AttentionRollout(**options)


@pytest.mark.parametrize("token", [5, -6])
def test_a_token_that_is_not_there(token, models) -> None:
    with pytest.raises(ox.errors.MethodError, match=f"token is {token}, but the model has 5 tokens"):
        ox.explain(encoder(models), models.random(1, 5, 8), 0, method=AttentionRollout(token=token))


def test_results_come_back_from_a_file(models, tmp_path) -> None:
    result = ox.explain(encoder(models), models.random(2, 5, 8), 0, method=AttentionRollout())
    result.save(tmp_path / "result.npz")
    again = ox.Attribution.load(tmp_path / "result.npz")
    np.testing.assert_array_equal(again.values, result.values)
    np.testing.assert_array_equal(again.extras["tokens"]["x"], result.extras["tokens"]["x"])
    assert again.method == AttentionRollout()
