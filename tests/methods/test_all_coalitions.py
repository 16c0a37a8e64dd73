"""Players beside all coalitions, asked of onnxruntime one by one: any inputs, any groups, any batch axis."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
import pytest

import onnxplain as ox

EXACT = ("exact_shapley", "kernel_shap", "regression_adjusted_shapley", "shapley_interactions")
#: By sample; some are absent in some.
GROUPS = np.array([[0, 0, 1, 2, 3], [0, 0, 0, 0, 0], [3, 3, 1, -1, 1], [2, 1, 0, -1, -1]])


def run(model: Any, **inputs: Any) -> Any:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, inputs)[0]


def shapley(value: Callable[[Any], float], groups: Any) -> Any:
    """Return elements' values; ``value`` is of who stays, by element; -1 always does."""
    own = sorted(set(groups) - {-1})
    places = [len(own) if g < 0 else own.index(g) for g in groups]
    game = {s: value(np.array([*s, True])[places]) for s in itertools.product([False, True], repeat=len(own))}
    made = np.zeros(len(own) + 1)
    for s, before in game.items():
        weight = 1 / (len(own) * math.comb(len(own) - 1, sum(s))) if sum(s) < len(own) else 0
        for i in np.flatnonzero(~np.array(s)):
            made[i] += weight * (game[(*s[:i], True, *s[i + 1 :])] - before)
    return made[places]


@pytest.mark.parametrize("name", EXACT)
def test_groups_of_each_sample(name, models) -> None:
    model, x, rows, targets = models.mlp(), models.random(4, 5), models.random(6, 5, seed=9), [0, 1, 2, 1]
    found = ox.explain(model, x, targets, name, baselines=rows, feature_mask=GROUPS)
    for k, target in enumerate(targets):
        own = x[k]
        expected = shapley(
            lambda stays, own=own, target=target: run(model, x=np.where(stays, own, rows))[:, target].mean(
                dtype=float
            ),
            GROUPS[k],
        )
        np.testing.assert_allclose(found.values[k], expected, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(found.delta, 0, atol=1e-5)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("name", EXACT)
def test_samples_along_the_last_axis(name, masked, models) -> None:
    model = models.make(
        "m (float[4, N] x) => (float[2, N] y) { a = MatMul(w, x) h = Relu(a) y = MatMul(v, h) }",
        w=models.random(6, 4), v=models.random(2, 6, seed=1),
    )  # fmt: skip
    x, mask = models.random(4, 3, seed=2), np.array([[0, 0, 1], [0, 1, 1], [1, 2, 0], [2, -1, 3]])
    found = ox.explain(model, x, 1, name, batch_axes=1, feature_mask=mask if masked else None)
    for k in range(3):
        expected = shapley(
            lambda stays, k=k: run(model, x=np.where(stays, x[:, k], 0)[:, None])[1, 0],
            mask[:, k] if masked else range(4),
        )
        np.testing.assert_allclose(found.values[:, k], expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", ["kernel_shap", "shapley_value_sampling", "partition_shap", "lime"])
def test_nothing_is_needed_to_compare_with_behind_other_axes(name, models) -> None:
    model = models.make(
        """m (float[3, 4, N] x) => (float[N, 2] y) {
          a = ReduceSum<keepdims = 0>(x, first) t = Transpose(a) y = MatMul(t, w)
        }""",
        first=np.array([0]), w=models.random(4, 2),
    )  # fmt: skip
    x = models.random(3, 4, 2, seed=1)
    found = ox.explain(model, x, 1, name, batch_axes=2, **({"alpha": 0.0} if name == "lime" else {}))
    np.testing.assert_allclose(found.values, x * models.random(4, 2)[:, 1][:, None], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", EXACT)
def test_texts_whole_numbers_and_floats_play_together(name, models) -> None:
    model = models.make(
        """m (string[N, 2] s, int64[N, 2] k, float[N, 2] z) => (float[N, 2] y) {
          e = ai.onnx.ml.LabelEncoder<keys_strings = ["a", "b"], values_floats = [1.0, -2.0],
            default_float = 0.5>(s)
          f = Cast<to = 1>(k) both = Concat<axis = 1>(e, f, z)
          a = MatMul(both, w) h = Relu(a) y = MatMul(h, v)
        }""",
        domain="ai.onnx.ml", w=models.random(6, 5), v=models.random(5, 2, seed=1),
    )  # fmt: skip
    model.opset_import[1].version = 3
    inputs = {
        "s": np.array([["a", "b"], ["c", ""]], object),
        "k": np.array([[1, 2], [0, 3]]),
        "z": models.random(2, 2, seed=2),
    }
    rows = {
        "s": np.array([["b", "b"], ["a", "x"]], object),
        "k": np.array([[5, 0], [0, 1]]),
        "z": models.random(2, 2, seed=3),
    }
    masks = {"s": np.array([0, 1]), "k": np.array([1, 2]), "z": np.array([2, -1])}
    found = ox.explain(model, inputs, 1, name, baselines=rows, feature_mask=masks)
    for k in range(2):

        def value(stays: Any, k: int = k) -> float:
            parts = np.split(stays, 3)
            fed = {
                n: np.where(part, v[k], rows[n]) for (n, v), part in zip(inputs.items(), parts, strict=True)
            }
            return run(model, **fed)[:, 1].mean(dtype=float)

        expected = shapley(value, [0, 1, 1, 2, 2, -1])
        got = np.concatenate([found.arrays[n][k] for n in inputs])
        np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("hierarchy", [((0, 1), (2, 3)), "correlation", "adjacent"])
def test_hierarchies_of_groups_that_differ_are_those_of_each_sample(hierarchy, models) -> None:
    """Who is absent leaves the hierarchy; what goes together is asked of each sample's own groups."""
    explainer, x, rows = ox.Explainer(models.mlp()), models.random(4, 5), models.random(6, 5, seed=9)
    groups = np.concatenate([GROUPS[:3], [[1, 1, 0, 2, 3]]])
    options = {"target": 1, "method": "partition_shap", "baselines": rows, "hierarchy": hierarchy}
    found = explainer(x, feature_mask=groups, **options)
    np.testing.assert_allclose(found.delta, 0, atol=1e-6)
    pruned = [((0, 1), (2, 3)), (0,), (0, 1), ((0, 1), (2, 3))]
    for k, own in enumerate(pruned):
        alone = options if isinstance(hierarchy, str) else options | {"hierarchy": own}
        one = explainer(x[k : k + 1], feature_mask=groups[k], **alone)
        np.testing.assert_allclose(found.values[k], one.values[0], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["rise", "sobol_indices"])
@pytest.mark.parametrize("missing", ["here", "there"])
def test_missing_numbers_under_soft_masks(name, missing, models) -> None:
    """Nothing lies between a number and NaN: one of both is there."""
    model = models.make(
        """m (float[N, 3] x) => (float[N, 1] y) { n = IsNaN(x) z = Where(n, c, x) y = MatMul(z, w) }""",
        c=np.float32(2), w=np.array([[2], [1], [-1]], np.float32),
    )  # fmt: skip
    x = np.array([[0.5, np.nan, 0.5]], np.float32)
    x, start = (x, 0.5) if missing == "here" else (np.full((1, 3), 0.5, np.float32), x)
    method = ox.RISE(n_masks=4000) if name == "rise" else ox.SobolIndices(n_samples=64)
    found = ox.explain(model, x, 0, method, baselines=start)
    if name == "sobol_indices":
        np.testing.assert_allclose(found.values, [[0, 1, 0]], atol=0.1)
        return
    expected = 1.5 if missing == "here" else -1.5
    np.testing.assert_allclose(found.values, [[0, expected, 0]], atol=0.1)
