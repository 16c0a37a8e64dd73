"""A nearest resize moves values: relevance goes through it as through the same copies by Gather."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest

import onnxplain as ox
from onnxplain.backward.adjoint import needs_body
from onnxplain.backward.registry import Category, lookup
from onnxplain.graph.load import load
from onnxplain.graph.normalize import normalize

#: Attributes of Resize, and the scales or sizes of 6 x 6 images.
RESIZES = {
    "twice": ('coordinate_transformation_mode = "asymmetric", nearest_mode = "floor"', [2.0, 2.0]),
    "half pixel": ("", [2.0, 3.0]),
    "one and a half": ('nearest_mode = "ceil"', [1.5, 1.5]),
    "down": ("", [0.5, 0.5]),
    "down and up": ('coordinate_transformation_mode = "pytorch_half_pixel"', [0.4, 2.0]),
    "corners": ('coordinate_transformation_mode = "align_corners"', [1.4, 0.8]),
}
METHODS = {
    "epsilon": {"composite": "epsilon"},
    "zplus": {"composite": "zplus"},
    "epsilon_plus_flat": {"composite": "epsilon_plus_flat"},
    "epsilon_alpha2_beta1_flat": {"composite": "epsilon_alpha2_beta1_flat"},
    "box": {"composite": "epsilon_gamma_box", "low": -3.0, "high": 3.0},
}


def pair(models, name):
    """Return a network with a resize, and one with the copies by Gather that onnxruntime's resize makes."""
    attributes, scales = RESIZES[name]
    head = "m (float[N, 2, 6, 6] x) => (float[N, 3] y) { c = Conv<pads = [1, 1, 1, 1]>(x, w) r = Relu(c) "
    tail = " d = Conv(u, v) s = Relu(d) g = GlobalAveragePool(s) f = Flatten(g) y = MatMul(f, k) }"
    weights = {
        "w": models.random(4, 2, 3, 3), "v": models.random(5, 4, 2, 2, seed=1),
        "k": models.random(5, 3, seed=2),
    }  # fmt: skip
    comma = ", " if attributes else ""
    resize = f'u = Resize<mode = "nearest"{comma}{attributes}>(r, , scales)'
    one = models.make(head + resize + tail, **weights, scales=np.array([1, 1, *scales], np.float32))
    alone = models.make(
        "m (float[1, 1, 6, 6] r) => (float[1, 1, A, B] u) { " + resize + " }",
        scales=np.array([1, 1, *scales], np.float32),
    )
    plain = ort.InferenceSession(alone.SerializeToString(), providers=["CPUExecutionProvider"])
    grid = np.arange(36, dtype=np.float32).reshape(1, 1, 6, 6)
    made = plain.run(None, {"r": grid})[0][0, 0].astype(np.int64)
    copies = "a = Gather<axis = 2>(r, rows) u = Gather<axis = 3>(a, columns)"
    other = models.make(head + copies + tail, **weights, rows=made[:, 0] // 6, columns=made[0] % 6)
    return one, other


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", RESIZES)
def test_as_the_same_copies_by_gather(name, method, models) -> None:
    one, other = pair(models, name)
    x = models.random(3, 2, 6, 6, seed=7)
    found, expected = (ox.explain(m, x, 1, method="lrp", **METHODS[method]) for m in (one, other))
    np.testing.assert_allclose(found.predictions, expected.predictions, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        found.values, expected.values, rtol=0, atol=1e-5 * np.abs(expected.values).max()
    )


@pytest.mark.parametrize("method", ["saliency", "deep_lift", "integrated_gradients"])
@pytest.mark.parametrize("name", RESIZES)
def test_gradients_and_differences_too(name, method, models) -> None:
    one, other = pair(models, name)
    x = models.random(2, 2, 6, 6, seed=8)
    found, expected = (ox.explain(m, x, 1, method=method) for m in (one, other))
    np.testing.assert_allclose(
        found.values, expected.values, rtol=0, atol=1e-4 * np.abs(expected.values).max()
    )


def test_nothing_is_lost_at_zero_activations(models) -> None:
    """The flat rule gives relevance to zeros, too; a nearest resize below it hands all of it on."""
    model = models.make(
        """m (float[N, 1, 2, 2] x) => (float[N, 1] y) {
          u = Resize<mode = "nearest">(x, , scales) c = Conv(u, w) y = Flatten(c)
        }""",
        scales=np.array([1, 1, 2, 2], np.float32), w=np.ones((1, 1, 4, 4), np.float32),
    )  # fmt: skip
    x = np.array([[[[0.0, 0.0], [0.0, 3.0]]]], np.float32)
    found = ox.explain(model, x, method="lrp", composite="epsilon_plus_flat")
    np.testing.assert_allclose(found.values, np.full((1, 1, 2, 2), 3.0), rtol=1e-4)
    np.testing.assert_allclose(found.delta, 0, atol=1e-3)


@pytest.mark.parametrize(("mode", "category"), [
    ("nearest", Category.STRUCTURAL), ("linear", Category.LINEAR), ("cubic", Category.LINEAR),
])  # fmt: skip
def test_only_nearest_moves(mode, category, models) -> None:
    model = models.make(
        f'm (float[1, 1, 4, 4] x) => (float[1, 1, 8, 8] y) {{ y = Resize<mode = "{mode}">(x, , s) }}',
        s=np.array([1, 1, 2, 2], np.float32),
    )
    normal = normalize(load(model), expand=needs_body)
    (node,) = normal.model.graph
    assert lookup(node).category is category


@pytest.mark.parametrize("attributes", [
    'mode = "linear", coordinate_transformation_mode = "align_corners"',
    'mode = "cubic", coordinate_transformation_mode = "align_corners"',
    'mode = "cubic"', 'mode = "linear", antialias = 1',
    'mode = "nearest", coordinate_transformation_mode = "align_corners"',
])  # fmt: skip
def test_the_gradient_is_that_of_onnxruntimes_resize(attributes, models) -> None:
    """By scales that give no whole sizes, onnxruntime differs from the standard's reference."""
    model = models.make(
        f"m (float[N, 1, 5, 7] x) => (float[N, 1, A, B] u) {{ u = Resize<{attributes}>(x, , s) }}",
        s=np.array([1, 1, 0.7, 0.6], np.float32),
    )
    plain = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    each = plain.run(None, {"x": np.eye(35, dtype=np.float32).reshape(35, 1, 5, 7)})[0]
    rows, columns = each.shape[2:]
    x = models.random(1, 1, 5, 7)
    explainer = ox.Explainer(model)
    for target in ((0, 0, 0), (0, rows - 1, columns - 1), (0, 1, 2)):
        found = explainer(x, target, ox.Saliency(abs=False)).values
        np.testing.assert_allclose(found.ravel(), each[:, target[0], target[1], target[2]], atol=1e-5)
