"""The integral that stays on a device, run on the CPU with stand-ins for its kernels; all else is real."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest

import onnxplain as ox
from onnxplain.kernels import path_batches
from onnxplain.runtime import session
from onnxplain.runtime.plans import on_gpu, run


class Stream:
    """Counts how often the host waits for it."""

    address = 1234
    waited = 0

    def synchronize(self) -> None:
        self.waited += 1


class Kernels:
    """What the CUDA kernels do, on OrtValues that lie on the CPU."""

    stream: Stream | None = None

    @classmethod
    def interpolate(
        cls, start: ort.OrtValue, end: ort.OrtValue, alphas: ort.OrtValue, out: ort.OrtValue, stream: object
    ) -> None:
        assert stream is cls.stream
        out.update_inplace(path_batches.interpolate(start.numpy(), end.numpy(), alphas.numpy()))

    @classmethod
    def accumulate(
        cls, total: ort.OrtValue, grads: ort.OrtValue, weights: ort.OrtValue, stream: object
    ) -> None:
        assert stream is cls.stream
        sums = total.numpy()
        path_batches.accumulate(sums, grads.numpy(), weights.numpy())
        total.update_inplace(sums)


@pytest.mark.parametrize("stream", [None, Stream()])
@pytest.mark.parametrize("size", [1, 3, 64])
@pytest.mark.parametrize("target", ["predicted", [0, 1, 2, 3]])
def test_the_integral_is_that_of_the_host(stream, size, target, models, monkeypatch) -> None:
    x = models.random(4, 2, 8, 8)
    method = ox.IntegratedGradients(n_steps=7)
    options = {"method": method, "baselines": 0.5, "internal_batch_size": size}
    host = ox.Explainer(models.conv())(x, target, **options)
    monkeypatch.setattr(on_gpu, "usable", lambda plan, problem: plan == method.plan())
    monkeypatch.setattr(on_gpu, "cuda", Kernels)
    monkeypatch.setattr(on_gpu, "_DEVICE", "cpu")
    monkeypatch.setattr(Kernels, "stream", stream)
    monkeypatch.setattr(session, "own_stream", lambda device: stream)
    waited = stream.waited if stream else 0
    monkeypatch.setattr(run, "_answers", lambda *_, **__: pytest.fail("gradients came back to the host"))
    device = ox.Explainer(models.conv())(x, target, **options)
    np.testing.assert_allclose(device.values, host.values, rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(device.score, host.score)
    np.testing.assert_allclose(device.reference, host.reference, rtol=1e-6)
    if stream:  # the host waits for rows that fit together once, not for each of the seven points
        assert stream.waited - waited == {1: 4, 3: 2, 64: 1}[size]
