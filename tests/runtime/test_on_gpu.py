"""The integral that stays on a device, run on the CPU with stand-ins for its kernels; all else is real."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest

import onnxplain as ox
from onnxplain.kernels import path_batches
from onnxplain.runtime.plans import on_gpu, run


class Kernels:
    """What the CUDA kernels do, on OrtValues that lie on the CPU."""

    @staticmethod
    def interpolate(start: ort.OrtValue, end: ort.OrtValue, alphas: ort.OrtValue, out: ort.OrtValue) -> None:
        out.update_inplace(path_batches.interpolate(start.numpy(), end.numpy(), alphas.numpy()))

    @staticmethod
    def accumulate(total: ort.OrtValue, grads: ort.OrtValue, weights: ort.OrtValue) -> None:
        sums = total.numpy()
        path_batches.accumulate(sums, grads.numpy(), weights.numpy())
        total.update_inplace(sums)

    @staticmethod
    def synchronize() -> None:
        pass


@pytest.mark.parametrize("size", [1, 3, 64])
@pytest.mark.parametrize("target", ["predicted", [0, 1, 2, 3]])
def test_the_integral_is_that_of_the_host(size, target, models, monkeypatch) -> None:
    x = models.random(4, 2, 8, 8)
    method = ox.IntegratedGradients(n_steps=7)
    options = {"method": method, "baselines": 0.5, "internal_batch_size": size}
    host = ox.Explainer(models.conv())(x, target, **options)
    monkeypatch.setattr(on_gpu, "usable", lambda plan, problem: plan == method.plan())
    monkeypatch.setattr(on_gpu, "cuda", Kernels)
    monkeypatch.setattr(on_gpu, "_DEVICE", "cpu")
    monkeypatch.setattr(run, "_answers", lambda *_, **__: pytest.fail("gradients came back to the host"))
    device = ox.Explainer(models.conv())(x, target, **options)
    np.testing.assert_allclose(device.values, host.values, rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(device.score, host.score)
    np.testing.assert_allclose(device.reference, host.reference, rtol=1e-6)
