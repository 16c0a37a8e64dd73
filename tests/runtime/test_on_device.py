"""Plans whose points and sums stay on a GPU, on one that is on the host: what the CPU's loop finds."""

from __future__ import annotations

import gc
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from native import needs_compiler

import onnxplain as ox
from onnxplain.errors import NotFiniteError
from onnxplain.runtime.plans import on_device, run

pytestmark = needs_compiler

IMAGES = np.array([[0, 0, 1, 1, 2, 2, -1, 3]] * 8)
ODD = np.stack([IMAGES, np.where(IMAGES == 3, 0, IMAGES)])[:, None]
METHODS: dict[str, tuple[Any, dict[str, Any]]] = {
    "integrated gradients": (ox.IntegratedGradients(n_steps=7), {"baselines": 0.5}),
    "smooth grad": (ox.SmoothGrad(n_samples=7, seed=3), {}),
    "smooth grad, squares": (ox.SmoothGrad(n_samples=7, nt_type="smoothgrad_sq", stdevs=0.1), {}),
    "variance of gradients": (ox.SmoothGrad(n_samples=7, nt_type="vargrad"), {}),
    "gradient SHAP": (ox.GradientShap(n_samples=7, seed=2), {"baselines": 0.25}),
    "gradient SHAP, noise": (ox.GradientShap(n_samples=7, stdevs=0.1), {"background": 4}),
    "gradient SHAP, local": (ox.GradientShap(n_samples=7, stdevs=0.1, multiply_by_inputs=False), {}),
    "expected gradients": (ox.ExpectedGradients(n_samples=9, seed=4), {"background": 3}),
    "Sobol": (ox.SobolIndices(n_samples=4, grid_size=2), {"baselines": 0.25}),
    "Sobol, players of each sample": (ox.SobolIndices(n_samples=4), {"feature_mask": ODD}),
    "HSIC": (ox.HSICIndices(n_samples=16, grid_size=3), {"baselines": 0.25}),
    "occlusion": (ox.Occlusion((2, 3, 3), strides=(1, 2, 2)), {"baselines": 0.25}),
    "ablation": (ox.FeatureAblation(), {"feature_mask": IMAGES}),
    "ablation, players of each sample": (ox.FeatureAblation(), {"feature_mask": ODD}),
    "RISE": (ox.RISE(n_masks=37, grid_size=3, seed=5), {"baselines": 0.1}),
    "RISE, as in the paper": (ox.RISE(n_masks=37, grid_size=3, contrast=False), {}),
    "RISE, a cell for a pixel": (ox.RISE(n_masks=37, grid_size=8), {}),
    "RISE, along one axis": (ox.RISE(n_masks=37, grid_size=3, axes=(2,)), {}),
    "RISE, players": (ox.RISE(n_masks=37), {"feature_mask": IMAGES}),
    "kernel SHAP": (ox.KernelShap(n_samples=40), {"feature_mask": IMAGES}),
    "kernel SHAP, a background": (ox.KernelShap(n_samples=40), {"feature_mask": IMAGES, "background": 3}),
    "LIME": (ox.Lime(n_samples=40), {"feature_mask": IMAGES}),
}


def explained(models: Any, name: str, size: int = 5, **options: Any) -> Any:
    method, words = METHODS[name]
    x = models.random(2, 2, 8, 8)
    if "background" in words:
        rows = models.random(words["background"], 2, 8, 8, seed=9)
        words = {k: v for k, v in words.items() if k != "background"} | {"baselines": rows}
    explainer = ox.Explainer(models.conv(), accelerate=False, device="cpu")
    return explainer(x, "predicted", method, internal_batch_size=size, **{**words, **options})


def same(found: Any, expected: Any) -> None:
    """Numbers alike: only onnxruntime's may depend on where batches lie in memory."""
    for one, other in ((found.values, expected.values), (found.score, expected.score)):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)
    assert found.extras.keys() == expected.extras.keys()
    for key, value in expected.extras.items():
        if isinstance(value, np.ndarray):
            np.testing.assert_allclose(found.extras[key], value, rtol=1e-4, atol=1e-6)
    assert type(found.check) is type(expected.check)


@pytest.mark.parametrize("size", [1, 5, 64])
@pytest.mark.parametrize("name", METHODS)
def test_what_the_host_finds(name, size, models, host_launchers, monkeypatch) -> None:
    from host_gpu import install

    expected = explained(models, name, size)
    with monkeypatch.context() as patch:
        install(host_launchers, patch)
        patch.setattr(run, "_answers", lambda *_, **__: pytest.fail("answers came back to the host"))
        within: list[tuple[int, ...]] = []
        answer = on_device._Loop.answer

        def counted(self, steps):
            before = host_launchers.counts()[:2]
            made = answer(self, steps)
            within.append(tuple(np.subtract(host_launchers.counts()[:2], before)))
            return made

        patch.setattr(on_device._Loop, "answer", counted)
        ends: list[int] = []
        end = on_device._Loop.end
        patch.setattr(on_device._Loop, "end", lambda self: (ends.append(1), end(self))[1])
        waits = host_launchers.counts()[1]
        found = explained(models, name, size)
        assert within, "nothing ran on the device"
        assert set(within) == {(0, 0)}  # nothing comes down, and the host waits for nothing
        assert host_launchers.counts()[1] - waits == len(ends)  # but once for rows that fit together
    same(found, expected)
    assert found.notes == expected.notes


@pytest.mark.parametrize(
    "method",
    [
        ox.Occlusion(2),
        ox.RISE(n_masks=9, grid_size=2),
        ox.SmoothGrad(n_samples=5),
        ox.KernelShap(),
        ox.GradientShap(stdevs=0.1),
    ],
)
def test_two_inputs(method, models, host_launchers, monkeypatch) -> None:
    """Windows cover one, and the other is copied; every input has noise and masks of its own."""
    from host_gpu import install

    given = {"image": models.random(2, 2, 4, seed=1), "table": models.random(2, 3, seed=2)}

    def found() -> Any:
        explainer = ox.Explainer(models.two_inputs(), device="cpu", accelerate=False)
        return explainer(given, 0, method, internal_batch_size=6)

    expected = found()
    install(host_launchers, monkeypatch)
    monkeypatch.setattr(run, "_answers", lambda *_, **__: pytest.fail("answers came back to the host"))
    made = found()
    for name, values in expected.values.items():
        np.testing.assert_allclose(made.values[name], values, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("kind", ["float", "double", "float16", "int64", "int8", "uint8", "bool"])
def test_features_of_any_numbers(kind, models, host_launchers, monkeypatch) -> None:
    from host_gpu import install

    model = models.make(
        f"m ({kind}[N, 4] x) => (float[N, 1] y) {{ f = Cast<to = 1>(x) w = Mul(f, f) y = ReduceSum(w, a) }}",
        a=np.array([1], np.int64),
    )
    x = np.array([[1, 2, 3, 0], [0, 1, 1, 5]]).astype({"float": "f4", "double": "f8"}.get(kind, kind))

    def found() -> Any:
        return ox.Explainer(model, device="cpu", accelerate=False)(x, 0, ox.FeatureAblation()).values

    expected = found()
    install(host_launchers, monkeypatch)
    monkeypatch.setattr(run, "_answers", lambda *_, **__: pytest.fail("answers came back to the host"))
    np.testing.assert_array_equal(found(), expected)


@pytest.mark.parametrize("kind", ["float", "double", "float16"])
@pytest.mark.parametrize("method", [ox.GradientShap(stdevs=0.1), ox.ExpectedGradients(n_samples=5)], ids=str)
def test_ways_in_any_floats(method, kind, models, host_launchers, monkeypatch) -> None:
    """Where the walk's numbers are not the feature's, the host multiplies them."""
    from host_gpu import install

    model = models.make(
        f"m ({kind}[N, 4] x) => (float[N, 1] y) {{ f = Cast<to = 1>(x) w = Mul(f, f) y = ReduceSum(w, a) }}",
        a=np.array([1], np.int64),
    )
    x = models.random(3, 4).astype({"float": "f4", "double": "f8"}.get(kind, kind))

    def found() -> Any:
        return ox.Explainer(model, device="cpu", accelerate=False)(x, 0, method).values

    expected = found()
    install(host_launchers, monkeypatch)
    made = found()
    assert made.dtype == expected.dtype
    np.testing.assert_allclose(made, expected, rtol=1e-5 if kind != "float16" else 1e-3)


def test_threads_that_share_a_stream(models, host_gpu) -> None:
    """Each loop has arrays of its own, although what one ends with clears what others had put there."""
    explainer = ox.Explainer(models.conv(), accelerate=False, device="cpu")
    methods = [METHODS[name] for name in ("occlusion", "ablation", "RISE", "integrated gradients")]
    x = models.random(2, 2, 8, 8)

    def found(k: int) -> np.ndarray:
        method, options = methods[k % 4]
        return np.asarray(explainer(x, 1, method, internal_batch_size=6, **options).values)

    alone = [found(k) for k in range(4)]
    with ThreadPoolExecutor(3) as pool:
        for k, values in enumerate(pool.map(found, range(12))):
            np.testing.assert_allclose(values, alone[k % 4], rtol=1e-5, atol=1e-7)


def test_the_rules_of_a_walk_are_told(models, host_gpu) -> None:
    explainer = ox.Explainer(models.conv(), accelerate=False, device="cpu")
    x = models.random(1, 2, 8, 8)
    found = explainer(x, 0, ox.SmoothGrad("lrp", n_samples=3))
    assert found.rule_table == explainer(x, 0, "lrp").rule_table != ()


def test_where_numbers_are_not_finite_the_host_says_from_where(models, host_gpu) -> None:
    model = models.make(
        "m (float[N, 3] x) => (float[N, 1] y) { r = Log(x) y = ReduceSum<keepdims = 1>(r, a) }",
        a=np.array([1], np.int64),
    )
    x = np.array([[1.0, 2.0, 3.0]], np.float32)
    with pytest.raises(NotFiniteError):
        ox.Explainer(model, device="cpu", accelerate=False)(x, 0, ox.Occlusion(1), baselines=0.0)


@pytest.mark.parametrize(
    ("model", "method", "reason"),
    [
        ("conv", ox.RISE(n_masks=5, axes=(0, 2)), r"masks of 'x' .* along axes \(0, 2\)"),
        ("fixed", ox.Occlusion(1), "a fixed number of samples"),
    ],
)
def test_a_note_says_why_points_were_made_on_the_host(model, method, reason, models, host_gpu) -> None:
    made = models.conv() if model == "conv" else models.mlp(batch="2")
    x = models.random(2, 2, 8, 8) if model == "conv" else models.random(2, 5)
    found = ox.Explainer(made, device="cpu", accelerate=False)(x, 0, method)
    (note,) = (note for note in found.notes if note.startswith("points were made on the host"))
    assert re.search(reason, note)


def test_without_cuda_a_note_says_so(models, host_gpu, monkeypatch) -> None:
    monkeypatch.setattr(on_device.kernels, "built_with_cuda", lambda: False)
    found = explained(models, "occlusion")
    assert any("built without CUDA" in note for note in found.notes)
    same(found, explained(models, "occlusion"))


def test_an_error_in_the_loop_gives_memory_back(models, host_gpu, monkeypatch) -> None:
    def broken(self, *_: object) -> None:
        raise KeyboardInterrupt

    gc.collect()
    host_gpu.flush()
    before = host_gpu.counts()[2]
    monkeypatch.setattr(on_device, "viewed", broken)
    with pytest.raises(KeyboardInterrupt):
        explained(models, "RISE")
    gc.collect()
    host_gpu.flush()
    assert host_gpu.counts()[2] <= before
