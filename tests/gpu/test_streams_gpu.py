"""Work on streams, at odd addresses, and past 2^31 numbers. Needs a GPU and the CUDA kernels."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

import onnxplain as ox
from onnxplain.data import digits_model_path, digits_samples
from onnxplain.kernels import cuda, cuda_device_count, numpy_kernels, path_batches
from onnxplain.kernels._native import core
from onnxplain.kernels.device_array import DeviceArray
from onnxplain.runtime.plans import on_device, run

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(cuda_device_count() == 0, reason="no GPU, or onnxplain was built without CUDA"),
]
with_provider = pytest.mark.skipif(
    "CUDAExecutionProvider" not in ort.get_available_providers(), reason="an onnxruntime without CUDA"
)


class At:
    """Numbers in the GPU's memory, `ahead` of them behind where it begins."""

    def __init__(self, array: np.ndarray, ahead: int, stream: cuda.Stream) -> None:
        flat = np.concatenate([np.zeros(ahead, array.dtype), array.ravel()]) if ahead else array.ravel()
        self.pointer = core.cuda.to_device(flat)
        address = self.pointer + ahead * array.dtype.itemsize
        self.array = DeviceArray(address, array.shape, array.dtype, stream, self)

    def numbers(self, first: int = 0, count: int | None = None) -> np.ndarray:
        """Copy numbers back, by the default stream."""
        array = self.array
        whole = np.empty(array.size if count is None else count, array.dtype)
        core.cuda.to_host(array.address + first * array.dtype.itemsize, whole)
        return whole.reshape(array.shape) if count is None else whole


@pytest.fixture
def at() -> Iterator[Any]:
    made: list[At] = []
    stream = cuda.Stream()

    def make(array: np.ndarray, ahead: int = 0) -> At:
        made.append(At(array, ahead, stream))
        return made[-1]

    yield make
    cuda.synchronize()
    for each in made:
        core.cuda.free(each.pointer)


def random(*shape: int, seed: int = 0, dtype: type = np.float32) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def room(gpu: int, host: int) -> None:
    """Skip where so many GB are not free."""
    command = ["nvidia-smi", "--query-gpu=memory.free", "--format=csv,noheader,nounits"]
    free = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[0])
    if free < gpu * 1000:
        pytest.skip(f"{gpu} GB of the GPU's memory are needed, {free} MB are free")
    lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    available = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    if available < host * 1_000_000:
        pytest.skip(f"{host} GB of memory are needed, {available // 1000} MB are free")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("ahead", [0, 1, 3])
@pytest.mark.parametrize("shape", [(3, 5), (1, 1), (4, 70001), (0, 4), (2, 0)])
def test_on_a_stream_and_at_odd_addresses(shape, ahead, dtype, at) -> None:
    """The copies back are made by the default stream, which waits for ours."""
    start, end, alphas = (
        random(*shape, seed=1, dtype=dtype),
        random(*shape, seed=2, dtype=dtype),
        random(7, seed=3, dtype=dtype),
    )
    out = at(np.zeros((7 * shape[0], shape[1]), dtype), ahead)
    path_batches.interpolate(*(at(array, ahead).array for array in (start, end, alphas)), out.array)
    np.testing.assert_array_equal(out.numbers(), numpy_kernels.interpolate(start, end, alphas))

    sums, weights = random(*shape, seed=4, dtype=np.float64), random(7, seed=5, dtype=np.float64)
    total = at(sums, ahead)
    path_batches.accumulate(total.array, out.array, at(weights, ahead).array)
    numpy_kernels.accumulate(sums, numpy_kernels.interpolate(start, end, alphas), weights)
    total.array.stream.synchronize()
    np.testing.assert_array_equal(total.numbers(), sums)


def test_a_chain_on_one_stream_is_in_order(at) -> None:
    """A thousand launches, of which each needs the one before; the host waits for none."""
    total, one = at(np.zeros((1, 1 << 20))), at(np.ones((1, 1 << 20), np.float32))
    weight = at(np.ones(1)).array
    for _ in range(1000):
        path_batches.accumulate(total.array, one.array, weight)
    assert (total.numbers() == 1000).all()


def test_interpolate_past_2_to_the_31(at) -> None:
    room(gpu=10, host=20)
    steps, columns = 33_000, 65_537
    start, end, alphas = random(1, columns, seed=1), random(1, columns, seed=2), random(steps, seed=3)
    out = at(np.zeros((steps, columns), np.float32))
    path_batches.interpolate(*(at(array).array for array in (start, end, alphas)), out.array)
    for step in (0, steps // 2, steps - 1):
        expected = numpy_kernels.interpolate(start, end, alphas[step : step + 1])[0]
        np.testing.assert_array_equal(out.numbers(step * columns, columns), expected)


@with_provider
@pytest.mark.parametrize(
    "method",
    [
        ox.IntegratedGradients(n_steps=64),
        ox.SmoothGrad(n_samples=64),
        ox.GradientShap(n_samples=64, stdevs=0.1),
        ox.RISE(n_masks=256),
        ox.Occlusion((1, 4, 4), strides=2),
        ox.KernelShap(n_samples=400),
    ],
    ids=lambda method: method.name,
)
def test_nothing_comes_down_before_the_end(method, monkeypatch) -> None:
    """The host waits once, and no copy is made while blocks are on their way."""
    images, labels = digits_samples()
    options = {"feature_mask": np.arange(784).reshape(28, 28) // 56} if method.takes_players else {}
    expected = ox.Explainer(digits_model_path(), device="cpu")(images[:2], labels[:2], method, **options)
    explainer = ox.Explainer(digits_model_path(), device="cuda")
    waits: list[int] = []
    wait, answer, ends = cuda.Stream.synchronize, on_device._Loop.answer, on_device._Loop.end
    monkeypatch.setattr(cuda.Stream, "synchronize", lambda self: waits.append(1) or wait(self))
    monkeypatch.setattr(cuda, "synchronize", lambda: pytest.fail("the host waits for the whole device"))
    monkeypatch.setattr(run, "_answers", lambda *_, **__: pytest.fail("answers came back to the host"))
    blocks: list[int] = []

    def alone(self: Any, steps: slice) -> Any:
        with monkeypatch.context() as patch:
            patch.setattr(DeviceArray, "numpy", lambda _: pytest.fail("an array came down"))
            blocks.append(steps.stop - steps.start)
            return answer(self, steps)

    loops: list[int] = []
    monkeypatch.setattr(on_device._Loop, "answer", alone)
    monkeypatch.setattr(on_device._Loop, "end", lambda self: loops.append(1) or ends(self))
    found = explainer(images[:2], labels[:2], method, internal_batch_size=8, **options)
    assert len(blocks) > len(loops) > 0
    assert len(waits) == len(loops)
    scale = np.abs(expected.values).max()
    np.testing.assert_allclose(found.values, expected.values, rtol=0, atol=2e-3 * scale)


@with_provider
def test_threads_that_share_a_session_find_the_same() -> None:
    images, labels = digits_samples()
    explainer = ox.Explainer(digits_model_path(), device="cuda")

    def explain(k: int) -> np.ndarray:
        method = ("integrated_gradients", "saliency", "deep_lift")[k % 3]
        return explainer(images[k % 5 : k % 5 + 2], labels[k % 5 : k % 5 + 2], method).values

    alone = [explain(k) for k in range(15)]
    with ThreadPoolExecutor(4) as pool:
        for k, found in zip(range(60), pool.map(lambda k: explain(k % 15), range(60)), strict=True):
            np.testing.assert_allclose(found, alone[k % 15], rtol=1e-5, atol=1e-7)
