"""Token ids that lie time first, or are flattened on the way to their embedding: a batch is its samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

import onnxplain as ox

#: How ids become rows h, (N, 4, 8), and the batch axis of the ids.
LAYOUTS = {
    "plain": ("N, 4", "e = Gather(table, ids) h = Tanh(e)", 0),
    "flat": ("N, 4", "f = Reshape(ids, flat) e = Gather(table, f) a = Tanh(e) h = Reshape(a, rows)", 0),
    "flat, one sample at a time": (
        "1, 4", "f = Reshape(ids, flat) e = Gather(table, f) a = Tanh(e) h = Reshape(a, rows)", 0,
    ),
    "time first": ("4, N", "e = Gather(table, ids) a = Tanh(e) h = Transpose<perm = [1, 0, 2]>(a)", 1),
    "time first, flat": (
        "4, N",
        "t = Transpose(ids) f = Reshape(t, flat) e = Gather(table, f) a = Tanh(e) h = Reshape(a, rows)", 1,
    ),
}  # fmt: skip


def reader(name: str, models: Any) -> onnx.ModelProto:
    dims, way, _ = LAYOUTS[name]
    batch = "1" if dims.startswith("1") else "N"
    return models.make(
        f"""m (int64[{dims}] ids) => (float[{batch}, 2] y) {{
          {way} k = Mul(h, place) s = ReduceSum<keepdims = 0>(k, one) u = Tanh(s) y = MatMul(u, out)
        }}""",
        table=models.random(20, 8), place=models.random(4, 8, seed=3), out=models.random(8, 2, seed=2),
        one=np.array([1]), flat=np.array([-1]), rows=np.array([-1, 4, 8]),
    )  # fmt: skip


def score(models: Any, ids: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Compute the score of each row of ids, (N, 4), in NumPy."""
    h = np.tanh(models.random(20, 8)[ids])
    y = np.tanh((h * models.random(4, 8, seed=3)).sum(1)) @ models.random(8, 2, seed=2)
    return np.asarray(y[np.arange(len(ids)), target])


IDS = np.array([[3, 1, 4, 1], [5, 9, 2, 6], [0, 7, 7, 2], [8, 8, 1, 3]])
#: Baselines as they are given, of ids laid out (N, 4), and what that means.
BASELINES = {
    "one sample's": (np.array([1, 2, 3, 4]), lambda n: np.tile([1, 2, 3, 4], (n, 1))),
    "each sample's": (IDS[::-1] + 1, lambda n: (IDS[::-1] + 1)[:n]),
    "a number": (11, lambda n: np.full((n, 4), 11)),
}


@pytest.mark.parametrize("n", [1, 3, 4])
@pytest.mark.parametrize("given", BASELINES)
@pytest.mark.parametrize("name", LAYOUTS)
def test_baselines_of_tokens_are_laid_out_like_the_tokens(name, given, n, models) -> None:
    explainer, axis = ox.Explainer(reader(name, models)), LAYOUTS[name][2]
    ids, target = IDS[:n], np.array([0, 1, 1, 0])[:n]
    baseline, meant = BASELINES[given]
    if given == "each sample's":
        baseline = np.moveaxis(baseline[:n], 0, axis)
    wanted = score(models, ids, target) - score(models, meant(n), target)
    for method in ("deep_lift", ox.IntegratedGradients(n_steps=30)):
        made = [
            explainer(
                np.moveaxis(ids, 0, axis),
                target.tolist(),
                method,
                baselines=baseline,
                internal_batch_size=size,
            )
            for size in (None, 1, 2)
        ]
        for found in made:
            np.testing.assert_allclose(found.reference, wanted, atol=1e-5)
            np.testing.assert_allclose(found.delta, 0, atol=2e-3)
            np.testing.assert_allclose(found.values, made[0].values, atol=1e-5)
        for k in range(n):
            alone = ids[k : k + 1]
            own = baseline if given != "each sample's" else np.take(baseline, [k], axis)
            lone = explainer(np.moveaxis(alone, 0, axis), [target[k]], method, baselines=own)
            np.testing.assert_allclose(np.take(made[0].values, [k], axis), lone.values, atol=1e-5)


@pytest.mark.parametrize("name", LAYOUTS)
def test_many_references_of_tokens(name, models) -> None:
    explainer, axis = ox.Explainer(reader(name, models)), LAYOUTS[name][2]
    references = np.arange(20).reshape(5, 4)
    found = explainer(
        np.moveaxis(IDS, 0, axis), 1, "deep_lift_shap", baselines=np.moveaxis(references, 0, axis)
    )
    ones = np.ones(4, np.int64)
    mean = score(models, references, np.ones(5, np.int64)).mean()
    np.testing.assert_allclose(found.reference, score(models, IDS, ones) - mean, atol=1e-5)
    np.testing.assert_allclose(found.delta, 0, atol=1e-5)


@pytest.mark.parametrize("method", ["lrp", "smooth_grad", "input_x_gradient", "guided_backprop"])
@pytest.mark.parametrize("name", LAYOUTS)
def test_a_batch_of_tokens_is_its_samples(name, method, models) -> None:
    explainer, axis = ox.Explainer(reader(name, models)), LAYOUTS[name][2]
    together = explainer(np.moveaxis(IDS, 0, axis), [0, 1, 1, 0], method)
    assert len(together) == 4
    for k, target in enumerate([0, 1, 1, 0]):
        lone = explainer(np.moveaxis(IDS[k : k + 1], 0, axis), target, method)
        np.testing.assert_allclose(np.take(together.values, [k], axis), lone.values, atol=1e-5)
