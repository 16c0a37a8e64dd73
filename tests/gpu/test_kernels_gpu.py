"""The CUDA kernels against those in NumPy, bit by bit. Needs nothing but NumPy and a GPU."""

from __future__ import annotations

import numpy as np
import pytest

from onnxplain.kernels import (
    cuda_device_count,
    grid_masks,
    masked_batches,
    masked_numpy,
    moments,
    numpy_kernels,
    path_batches,
)
from onnxplain.kernels.cuda import Stream
from onnxplain.kernels.device_array import put, zeros

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(cuda_device_count() == 0, reason="no GPU, or onnxplain was built without CUDA"),
]

DTYPES = (np.float32, np.float64)
SHAPES = [(1, 1), (1, 3), (3, 5), (2, 3, 17, 19), (4, 3, 224, 224), (0, 4), (2, 0)]
both = pytest.mark.parametrize("dtype", DTYPES)
shapes = pytest.mark.parametrize("shape", SHAPES)


@pytest.fixture
def up():
    stream = Stream()
    return lambda array: put(array, stream)


def random(shape, dtype, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def flat(array):
    return array.reshape(array.shape[0], int(np.prod(array.shape[1:])))


def same(result, expected):
    made = result.numpy()
    assert made.dtype == expected.dtype
    assert made.tobytes() == expected.tobytes()


@both
@shapes
@pytest.mark.parametrize("one_start", [False, True])
def test_interpolate(up, dtype, shape, one_start):
    start = random((1, *shape[1:]) if one_start else shape, dtype, 1)
    end, alphas = random(shape, dtype, 2), random(7, dtype, 3)
    made = path_batches.interpolate(up(start), up(end), up(alphas))
    same(made, numpy_kernels.interpolate(flat(start), flat(end), alphas))


@shapes
@pytest.mark.parametrize(
    ("acc_type", "dtype"), [(np.float32,) * 2, (np.float64,) * 2, (np.float64, np.float32)]
)
def test_accumulate(up, acc_type, dtype, shape):
    acc, weights = random(shape, acc_type, 1), random(7, acc_type, 2)
    grads = random((7 * shape[0], *shape[1:]), dtype, 3)
    on_device = up(acc)
    path_batches.accumulate(on_device, up(grads), up(weights))
    expected = flat(acc.copy())
    numpy_kernels.accumulate(expected, flat(grads), weights)
    same(on_device, expected)


@both
@shapes
def test_ways(up, dtype, shape):
    start, end, values = (random((7 * shape[0], *shape[1:]), dtype, k) for k in range(3))
    alphas = random(7, np.float64, 3)
    first, last = up(start), up(end)
    same(path_batches.between(first, last, alphas), path_batches.between(start, end, alphas))
    same(path_batches.times_way(up(values), first, last), path_batches.times_way(values, start, end))


@both
@shapes
@pytest.mark.parametrize("one_stdev", [False, True])
@pytest.mark.parametrize("alike", [False, True])
def test_noise(up, dtype, shape, one_stdev, alike):
    x = random(shape, dtype, 1)
    stdev = np.abs(random(1 if one_stdev else shape[0], np.float64, 2))
    seed = 0x123456789ABCDEF0
    made = path_batches.noise(up(x), stdev, seed, 5, 3, substream=9, alike=alike)
    same(made, numpy_kernels.noise(flat(x), stdev, seed, 5, 3, 0, 9, alike=alike))


@shapes
@pytest.mark.parametrize("dtype", ["?", "f2", "f4", "i8"])
def test_choose(up, shape, dtype):
    x, background = (random(s, "f8", len(s)).astype(dtype) for s in (shape, (3, 1, *shape[1:])))
    draw = np.random.default_rng(3)
    ids, kept = draw.integers(-1, 5, (1, *shape[1:])), draw.random((7, 1, 5)) < 0.5
    which = draw.integers(0, 3, 7)
    made = masked_batches.choose(up(x), up(background), ids, kept, None, which)
    cols = flat(x).shape[1]
    expected = masked_numpy.choose(flat(x), background.reshape(3, 1, cols)[which], flat(ids), kept)
    same(made, np.ascontiguousarray(expected))


@shapes
@pytest.mark.parametrize("dtype", ["?", "f2", "f4", "i8"])
def test_cover(up, shape, dtype):
    x, other = (random(shape, "f8", k).astype(dtype) for k in (1, 2))
    starts = np.random.default_rng(3).integers(-3, max(shape), (7, len(shape) - 1))
    window = tuple(-(-d // 2) for d in shape[1:])
    made = masked_batches.cover(up(x), up(other), starts, window)
    same(made, masked_numpy.cover(flat(x), flat(other), starts, window, shape[1:]))


@both
@shapes
def test_fade(up, dtype, shape):
    x, other = random(shape, dtype, 1), random(shape, dtype, 2)
    mask = np.random.default_rng(3).random((7, 1, *(1,) * (len(shape) - 2), shape[-1])).astype(dtype)
    made = masked_batches.fade(up(x), up(other), up(mask))
    same(made, masked_numpy.fade(flat(x), flat(other), mask.reshape(7, 1, shape[-1]), 1))


@both
@shapes
def test_fade_players(up, dtype, shape):
    x, other = random(shape, dtype, 1), random(shape, dtype, 2)
    draw = np.random.default_rng(3)
    ids, degrees = draw.integers(-1, 5, (1, *shape[1:])), draw.random((7, 5))
    made = masked_batches.fade_players(up(x), up(other), ids, degrees)
    same(made, masked_batches.fade_players(x, other, ids, degrees))


@pytest.mark.parametrize("cells", [1, 49, 5000])
def test_draw_and_stretch(up, cells):
    lengths, words = np.array([3, 9]), (2**63 + 5, 2, 12345, 33, cells, 0.4)
    made, shifts = grid_masks.draw_cells(*words, lengths, like=up(np.zeros(1)))
    expected, far = masked_numpy.draw_cells(*words, lengths, np.dtype(np.float32))
    same(made, expected)
    same(shifts, far)
    left, first = np.minimum(np.arange(240) // 5, cells - 1), random(240, np.float32)
    wide = grid_masks.stretch(
        made.reshape(33, 1, cells, 1), left, first, 1 - first, shifts[:1].reshape(33), 224
    )
    grid = expected.reshape(33, 1, cells, 1)
    same(wide, masked_numpy.stretch(grid, left, first, 1 - first, far[0], 224))


@both
@pytest.mark.parametrize(("rows", "cols"), [(1, 1), (2, 50177), (0, 4), (3, 0)])
def test_sums(up, dtype, rows, cols):
    masks, scores = random((33, cols), np.float32, 1), random((33, rows), dtype, 2)
    first, sums = random(rows, np.float64, 3), (np.zeros((1 + rows, cols)), np.zeros((1 + 2 * rows, cols)))
    centred = moments.centred(up(scores), up(first))
    same(centred, scores.astype(np.float64) - first)
    there = [zeros(total.shape, centred) for total in sums]
    grid_masks.sum_masks(*there, up(masks), centred, 0.5)
    masked_numpy.sum_masks(*sums, masks, scores.astype(np.float64) - first, 0.5)
    for made, expected in zip(there, sums, strict=True):
        same(made, expected)
    samples, total = random((33, cols), dtype, 4), random((4, cols), np.float64, 5)
    origin, made = random(cols, np.float64, 6), up(total)
    moments.add_powers(made, up(origin), up(samples), squared=True)
    moments._add_powers(total, origin, samples, True)
    same(made, total)


def test_wrong_arguments_are_refused_before_anything_is_launched(up):
    x, y = up(np.zeros((2, 3), np.float32)), up(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="is float64, and must be float32"):
        path_batches.interpolate(y, x, [0.5])
    with pytest.raises(ValueError, match="out must be"):
        path_batches.interpolate(x, x, [0.5], up(np.zeros((3, 2), np.float32)))
