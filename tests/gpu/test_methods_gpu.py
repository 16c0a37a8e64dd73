"""Methods on a GPU against the same methods on the CPU."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest
from kinds import ON_IMAGES

import onnxplain as ox
from onnxplain import kernels
from onnxplain.data import digits_model_path, digits_samples

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        kernels.cuda_device_count() == 0 or "CUDAExecutionProvider" not in ort.get_available_providers(),
        reason="no GPU, or an onnxruntime without CUDA",
    ),
]


@pytest.mark.parametrize("name", ON_IMAGES)
def test_the_gpu_gives_what_the_cpu_gives(name):
    images, labels = digits_samples()
    on_cpu = ox.Explainer(digits_model_path(), device="cpu")(images, labels, name)
    on_gpu = ox.Explainer(digits_model_path(), device="cuda")(images, labels, name)
    scale = np.abs(on_cpu.values).max()
    np.testing.assert_allclose(on_gpu.values, on_cpu.values, atol=2e-3 * scale)
    np.testing.assert_allclose(on_gpu.score, on_cpu.score, rtol=1e-3)


@pytest.mark.parametrize("name", ["saliency", "deep_lift", "lrp"])
def test_what_is_computed_once_stays_on_the_device(name):
    images, _ = digits_samples()
    rows, targets = np.repeat(images[:1], 4, 0), [0, 3, 5, 8]
    expected = ox.Explainer(digits_model_path(), device="cpu")(rows, targets, name)
    explainer = ox.Explainer(digits_model_path(), device="cuda")
    for _ in range(2):
        found = explainer(rows, targets, name)
        np.testing.assert_allclose(found.values, expected.values, atol=2e-3 * np.abs(expected.values).max())
    (held,) = explainer._programs.latest._entries
    assert {value.device_name() for value in held.values.values()} == {"cuda"}
