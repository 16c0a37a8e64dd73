"""CUDA launchers with their threads run one after the other on the host: the bits of the CPU's kernels."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from native import needs_compiler

from onnxplain.kernels import grid_masks, masked_batches, moments, path_batches
from onnxplain.kernels.cuda import Stream
from onnxplain.kernels.device_array import DeviceArray, put, zeros

pytestmark = [needs_compiler, pytest.mark.usefixtures("host_gpu")]
seeds = st.integers(0, 2**31)
sizes = st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(0, 150))  # rows, steps, columns
some_examples = settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def same(found: DeviceArray, expected: np.ndarray) -> None:
    assert isinstance(found, DeviceArray)
    made = found.numpy()
    assert (made.dtype, made.shape, made.tobytes()) == (expected.dtype, expected.shape, expected.tobytes())


def normal(random, *shape, dtype="f4"):
    return random.standard_normal(shape).astype(dtype)


@given(seeds, sizes, st.sampled_from(["f4", "f8"]), st.booleans())
@some_examples
def test_paths(seed, size, dtype, one_start):
    rows, steps, cols = size
    random, stream = np.random.default_rng(seed), Stream()
    start, end = (normal(random, n, cols, dtype=dtype) for n in (1 if one_start else rows, rows))
    alphas, stdev = random.random(steps), random.random(rows)
    there = put(end, stream)
    points = path_batches.interpolate(start, end, alphas)
    same(path_batches.interpolate(put(start, stream), there, alphas), points)
    for alike in (False, True):
        expected = path_batches.noise(end, stdev, seed, 3, steps, substream=2, alike=alike)
        same(path_batches.noise(there, stdev, seed, 3, steps, substream=2, alike=alike), expected)
        if alike:
            for k in range(rows):
                alone = path_batches.noise(end[k : k + 1], stdev[k], seed, 3, steps, substream=2)
                assert alone.tobytes() == expected[k::rows].tobytes()
    for kind in {dtype, "f8"}:
        total, weights = normal(random, rows, cols, dtype=kind), random.random(steps)
        on_gpu = put(total, stream)
        path_batches.accumulate(on_gpu, put(points, stream), weights)
        path_batches.accumulate(total, points, weights)
        same(on_gpu, total)


@given(seeds, sizes, st.sampled_from(["f4", "f8"]))
@some_examples
def test_ways(seed, size, dtype):
    rows, steps, cols = size
    random, stream = np.random.default_rng(seed), Stream()
    start, end, values = (normal(random, steps * rows, cols, dtype=dtype) for _ in range(3))
    alphas = random.random(steps)
    first, last = put(start, stream), put(end, stream)
    same(path_batches.between(first, last, alphas), path_batches.between(start, end, alphas))
    same(path_batches.times_way(put(values, stream), first, last), path_batches.times_way(values, start, end))


@given(seeds, sizes, st.sampled_from(["?", "f2", "f4", "i8"]), st.booleans(), st.booleans(), st.booleans())
@some_examples
def test_choices(seed, size, dtype, own_ids, own_choices, from_background):
    rows, steps, cols = size
    random, stream = np.random.default_rng(seed), Stream()
    x = (10 * normal(random, rows, cols)).astype(dtype)
    instead = (10 * normal(random, *((4, 1) if from_background else (rows,)), cols)).astype(dtype)
    ids = random.integers(-1, 3, (rows if own_ids else 1, cols))
    kept = random.random((steps, rows if own_choices else 1, 3)) < 0.5
    which = random.integers(0, 4, steps) if from_background else None
    expected = masked_batches.choose(x, instead, ids, kept, None, which)
    out = put(np.zeros_like(expected), stream)
    made = masked_batches.choose(put(x, stream), put(instead, stream), ids, kept, out, which)
    same(made, expected)
    same(out, expected)


@given(seeds, sizes, st.lists(st.integers(1, 6), max_size=4), st.sampled_from(["?", "f2", "f4", "f8"]))
@some_examples
def test_boxes(seed, size, shape, dtype):
    rows, steps, _ = size
    random, stream = np.random.default_rng(seed), Stream()
    x, instead = (normal(random, rows, *shape).astype(dtype) for _ in range(2))
    axes = max(len(shape), 1)
    starts = random.integers(-2, 8, (steps, axes))
    window = tuple(random.integers(0, 5, axes).tolist())
    expected = masked_batches.cover(x, instead, starts, window)
    same(masked_batches.cover(put(x, stream), put(instead, stream), starts, window), expected)


@given(seeds, sizes, st.lists(st.integers(1, 6), max_size=3), st.sampled_from(["f4", "f8"]), st.data())
@some_examples
def test_fades(seed, size, shape, dtype, data):
    rows, steps, _ = size
    random, stream = np.random.default_rng(seed), Stream()
    x, baseline = normal(random, rows, *shape, dtype=dtype), normal(random, rows, *shape, dtype=dtype)
    x[random.random(x.shape) < 0.1] = np.nan
    first = data.draw(st.integers(0, len(shape)))
    last = data.draw(st.integers(first, len(shape)))
    each = [d if first <= k < last else 1 for k, d in enumerate(shape)]
    mask = random.random((steps, data.draw(st.sampled_from([1, rows])), *each)).astype(dtype)
    mask[random.random(mask.shape) < 0.3] = 1
    expected = masked_batches.fade(x, baseline, mask)
    same(masked_batches.fade(put(x, stream), put(baseline, stream), put(mask, stream)), expected)


@given(seeds, sizes, st.sampled_from(["f4", "f8"]), st.booleans())
@some_examples
def test_degrees(seed, size, dtype, own_ids):
    rows, steps, cols = size
    random, stream = np.random.default_rng(seed), Stream()
    x, baseline = normal(random, rows, cols, dtype=dtype), normal(random, rows, cols, dtype=dtype)
    x[random.random(x.shape) < 0.1] = np.nan
    ids, degrees = random.integers(-1, 3, (rows if own_ids else 1, cols)), random.random((steps, 3))
    degrees[random.random(degrees.shape) < 0.3] = 1
    expected = masked_batches.fade_players(x, baseline, ids, degrees)
    out = put(np.zeros_like(expected), stream)
    same(masked_batches.fade_players(put(x, stream), put(baseline, stream), ids, degrees, out), expected)
    same(out, expected)


@given(seeds, st.integers(1, 4), st.integers(1, 2), st.integers(1, 9), st.integers(1, 40), st.integers(1, 3))
@some_examples
def test_grids_are_drawn_and_drawn_out(seed, steps, before, cells, length, after):
    random, stream = np.random.default_rng(seed), Stream()
    places, lengths = length + 3, np.array([4, 1, 4])
    left = random.integers(0, cells, places)
    first, second = random.random((2, places)).astype(np.float32)
    words = (seed, 3, int(random.integers(0, 10**6)), steps, before * cells * after, 0.4, lengths)
    made, shifts = grid_masks.draw_cells(*words)
    there, far = grid_masks.draw_cells(*words, like=put(first, stream))
    same(there, made)
    same(far, shifts)
    kept, _ = grid_masks.draw_cells(*words, dtype=bool)
    same(grid_masks.draw_cells(*words, dtype=bool, like=put(first, stream))[0], kept)
    expected = grid_masks.stretch(
        made.reshape(steps, before, cells, after), left, first, second, shifts[0], length
    )
    grid = there.reshape(steps, before, cells, after)
    same(grid_masks.stretch(grid, left, first, second, far[:1].reshape(steps), length), expected)


@given(seeds, sizes, st.sampled_from(["f4", "f8"]), st.booleans(), st.integers(1, 4))
@some_examples
def test_sums(seed, size, dtype, squared, powers):
    rows, steps, cols = size
    random, stream = np.random.default_rng(seed), Stream()
    masks, scores = random.random((steps, cols)).astype("f4"), normal(random, steps, rows, dtype=dtype)
    first = normal(random, rows, dtype="f8")
    centred = moments.centred(scores, first)
    same(moments.centred(put(scores, stream), put(first, stream)), centred)
    same(moments.centred(put(scores, stream)), scores.astype(np.float64))
    sums = [np.zeros((1 + k * rows, cols)) for k in (1, 2)]
    there = [zeros(v.shape, put(masks, stream)) for v in sums]
    for block in (slice(0, 1), slice(1, None)):
        grid_masks.sum_masks(*sums, masks[block], centred[block], 0.5)
        grid_masks.sum_masks(*there, put(masks[block], stream), put(centred[block], stream), 0.5)
    same(there[0], sums[0])
    same(there[1], sums[1])

    samples, origin = normal(random, steps, cols, dtype=dtype), normal(random, cols, dtype="f8")
    total = normal(random, powers, cols, dtype="f8")
    on_gpu = put(total, stream)
    moments.add_powers(on_gpu, put(origin, stream), put(samples, stream), squared=squared)
    moments.add_powers(total, origin, samples, squared=squared)
    same(on_gpu, total)


def test_what_goes_up_may_be_changed_at_once(host_gpu):
    """More arrays than there are places to stage them, before any is copied on."""
    stream, array = Stream(), np.zeros(1000)
    made = []
    for k in range(50):
        array[:] = k
        made.append(put(array, stream))
    assert host_gpu.counts()[0] == (before := host_gpu.counts()[0])
    for k, there in enumerate(made):
        assert (there.numpy() == k).all()
    assert host_gpu.counts()[0] == before + 50


def test_memory_is_given_back(host_gpu):
    gc.collect()
    host_gpu.flush()
    before = host_gpu.counts()[2]
    stream = Stream()
    x = put(np.ones((3, 4), np.float32), stream)
    path_batches.noise(x, 1.0, 0, n_samples=5)
    assert host_gpu.counts()[2] > before
    del x, stream
    gc.collect()
    host_gpu.flush()
    assert host_gpu.counts()[2] == before


X = np.zeros((2, 3), np.float32)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x, s: path_batches.interpolate(X[:, :2], x, [0.5]), "start must be of the shape"),
        (lambda x, s: path_batches.accumulate(x, x, [1.0, 2.0]), "grads must be of the shape"),
        (lambda x, s: path_batches.interpolate(put(X.astype(float), s), x, [0.5]), "is float64, and must be"),
        (lambda x, s: path_batches.noise(x, -1.0, 0), "must not be negative"),
        (lambda x, s: masked_batches.fade_players(x, X, np.arange(3)[None], np.ones((1, 2))), "not below"),
        (lambda x, s: masked_batches.fade_players(x, X, np.array([[0]]), np.ones((1, 2))), "ids must be"),
        (lambda x, s: path_batches.between(x, x, np.zeros(3)), "2 rows are not as many for each of 3 steps"),
        (lambda x, s: path_batches.between(x[:1], x, np.zeros(2)), "start must be float32"),
        (lambda x, s: path_batches.times_way(x, x, put(X.astype(float), s)), "end must be float32"),
        (
            lambda x, s: masked_batches.choose(x, X, np.array([[0, 1, 2]]), np.ones((1, 1, 2), bool)),
            "not below the number",
        ),
        (
            lambda x, s: masked_batches.choose(x, X[:, :2], np.zeros((1, 3), int), np.ones((1, 1, 2), bool)),
            "instead has the wrong shape",
        ),
        (
            lambda x, s: masked_batches.choose(
                x, X, np.zeros((1, 3), int), np.ones((2, 1, 2), bool), None, np.array([0, 1])
            ),
            "which leads beyond",
        ),
        (lambda x, s: masked_batches.cover(x, X, np.zeros((1, 2), int), (1,)), "differ in axes"),
        (lambda x, s: masked_batches.fade(x, X, put(np.ones((1, 1, 2), "f4"), s)), "does not broadcast"),
        (lambda x, s: masked_batches.fade(put(X.astype(int), s), X, put(X[None], s)), "must be int64"),
        (lambda x, s: x.reshape(4), "cannot have the shape"),
        (lambda x, s: x.copy_from(x[:1]), "bytes do not fit"),
    ],
)  # fmt: skip
def test_refuses(call, message):
    stream = Stream()
    with pytest.raises(ValueError, match=message):
        call(put(X, stream), stream)
