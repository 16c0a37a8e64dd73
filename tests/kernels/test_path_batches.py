from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxplain.kernels import has_core, numpy_kernels, path_batches

DTYPES = (np.float32, np.float64)

dtypes = st.sampled_from(DTYPES)
sizes = st.tuples(st.integers(0, 5), st.integers(0, 2100), st.integers(0, 6))


def random(shape, dtype, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def bits(array):
    """Compare bits, not values: -0.0 is not 0.0, and a NaN equals itself."""
    return array.dtype, array.shape, array.tobytes()


# --- interpolate -----------------------------------------------------------------------------------


@given(sizes, dtypes, st.booleans())
@settings(deadline=None)
def test_interpolate_equals_numpy(size, dtype, one_start):
    rows, cols, steps = size
    start = random((1 if one_start else rows, cols), dtype, 1)
    end, alphas = random((rows, cols), dtype, 2), random(steps, dtype, 3)
    result = path_batches.interpolate(start, end, alphas)
    assert bits(result) == bits(numpy_kernels.interpolate(start, end, alphas))


def test_interpolate_orders_steps_first_and_meets_both_ends():
    start, end = np.zeros((2, 3), np.float32), np.array([[1, 2, 3], [4, 5, 6]], np.float32)
    result = path_batches.interpolate(start, end, [0.0, 0.5, 1.0])
    np.testing.assert_array_equal(result.reshape(3, 2, 3), [0 * end, 0.5 * end, end])


def test_interpolate_large_enough_for_several_threads():
    start, end = random((1, 3, 150, 150), np.float32, 1), random((4, 3, 150, 150), np.float32, 2)
    alphas = np.linspace(0, 1, 5, dtype=np.float32)
    result = path_batches.interpolate(start, end, alphas)
    assert result.shape == (20, 3, 150, 150)
    expected = numpy_kernels.interpolate(start.reshape(1, -1), end.reshape(4, -1), alphas)
    assert bits(result) == bits(expected.reshape(result.shape))


@pytest.mark.parametrize("dtype", DTYPES)
def test_interpolate_past_the_caches(dtype):
    """Results of 32 MiB or more are written in another way; rows begin anywhere."""
    start, end, alphas = random((2, 4099), dtype, 1), random((2, 4099), dtype, 2), random(1040, dtype, 3)
    result = path_batches.interpolate(start, end, alphas)
    assert result.nbytes >= 2**25
    assert bits(result) == bits(numpy_kernels.interpolate(start, end, alphas))


def test_interpolate_takes_views_and_leaves_them_alone():
    start, end = random((6, 8), np.float64, 1)[::2, ::2], random((4, 3), np.float64, 2).T
    before = bits(start), bits(end)
    result = path_batches.interpolate(start, end, [0.25])
    assert bits(result) == bits(start + 0.25 * (end - start))
    assert (bits(start), bits(end)) == before


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize(
    "make",
    [
        lambda x, out: path_batches.interpolate(x, 2 * x, [0.25, 0.5], out),
        lambda x, out: path_batches.noise(x, 0.5, 3, n_samples=2, out=out),
    ],
)
def test_batches_are_written_where_it_is_said(make, compiled, monkeypatch):
    if not compiled:
        monkeypatch.setattr(path_batches, "core", None)
    x, out = random((2, 5), np.float32), np.empty((4, 5), np.float32)
    assert make(x, out) is out
    assert bits(out) == bits(make(x, None))
    with pytest.raises(ValueError, match=r"out must be of float32 and have the shape \(4, 5\)"):
        make(x, out[:2])


F32 = np.zeros((2, 3), np.float32)


@pytest.mark.parametrize(
    ("start", "end", "alphas", "message"),
    [
        (F32.tolist(), F32, [0], "start must be a NumPy array, not list"),
        (F32, F32.astype(int), [0], "end must be float32 or float64, not int64"),
        (F32, F32.astype(float), [0], "same dtype, not float32 and float64"),
        (np.zeros((3, 3), np.float32), F32, [0], r"shape of end, \(2, 3\)"),
        (np.zeros((2, 4), np.float32), F32, [0], r"it has \(2, 4\)"),
        (np.zeros((), np.float32), F32, [0], "at least one axis"),
        (F32, F32, 0.5, "alphas must have one axis"),
        (F32, F32, [[0.5]], "alphas must have one axis"),
    ],
)
def test_interpolate_refuses(start, end, alphas, message):
    with pytest.raises(ValueError, match=message):
        path_batches.interpolate(start, end, alphas)


# --- accumulate ------------------------------------------------------------------------------------


@given(sizes, st.sampled_from([(np.float32,) * 2, (np.float64,) * 2, (np.float64, np.float32)]))
@settings(deadline=None)
def test_accumulate_equals_numpy(size, types):
    rows, cols, steps = size
    acc_type, type_ = types
    acc, weights = random((rows, cols), acc_type, 1), random(steps, acc_type, 2)
    grads = random((steps * rows, cols), type_, 3)
    expected = acc.copy()
    numpy_kernels.accumulate(expected, grads, weights)
    path_batches.accumulate(acc, grads, weights)
    assert bits(acc) == bits(expected)


def test_accumulate_in_portions_gives_the_same_bits():
    grads, weights = random((7 * 3, 40, 1000), np.float32, 1), random(7, np.float32, 2)
    at_once, in_parts = np.zeros((2, 3, 40, 1000), np.float32)
    path_batches.accumulate(at_once, grads, weights)
    for first, last in ((0, 2), (2, 3), (3, 7)):
        path_batches.accumulate(in_parts, grads[3 * first : 3 * last], weights[first:last])
    assert bits(at_once) == bits(in_parts)


def test_accumulate_in_float64_keeps_what_float32_loses():
    grads, weights = np.full((3, 1), 1e8, np.float32), [1.0, 1e-9, -1.0]
    narrow, wide = np.zeros((1, 1), np.float32), np.zeros((1, 1), np.float64)
    path_batches.accumulate(narrow, grads, weights)
    path_batches.accumulate(wide, grads, weights)
    assert narrow[0, 0] == 0.0
    assert wide[0, 0] == pytest.approx(0.1, rel=1e-6)


def test_accumulate_takes_gradients_that_are_a_view():
    acc, grads = np.ones((2, 3)), random((3, 4), np.float64).T
    path_batches.accumulate(acc, grads, [1.0, 2.0])
    np.testing.assert_array_equal(acc, 1.0 + grads[:2] + 2.0 * grads[2:])


def read_only(array):
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    ("acc", "grads", "weights", "message"),
    [
        (F32.copy(), np.zeros((4, 3)), [1, 1], "float64 or the dtype of grads"),
        (F32.copy(), np.zeros((4, 3), np.float32), [1], "1 weights times the rows"),
        (F32.copy(), np.zeros((4, 2), np.float32), [1, 1], "grads must have the shape"),
        (F32.copy(), np.zeros((4, 3), np.float16), [1, 1], "grads must be float32 or float64"),
        (F32.T, np.zeros((3, 2), np.float32), [1], "acc is written in place"),
        (read_only(F32.copy()), F32, [1], "acc is written in place"),
        (F32.copy(), F32, 1.0, "weights must have one axis"),
    ],
)
def test_accumulate_refuses(acc, grads, weights, message):
    with pytest.raises(ValueError, match=message):
        path_batches.accumulate(acc, grads, weights)


# --- noise -----------------------------------------------------------------------------------------

uint32 = st.integers(0, 2**32 - 10)


@given(sizes, dtypes, st.integers(0, 2**64 - 1), uint32, uint32)
@settings(deadline=None)
def test_noise_equals_numpy_bit_by_bit(size, dtype, seed, sample, substream):
    rows, cols, samples = size
    x, stdev = random((rows, cols), dtype, 1), np.abs(random(rows, np.float64, 2))
    result = path_batches.noise(x, stdev, seed, sample, samples, substream=substream)
    assert bits(result) == bits(numpy_kernels.noise(x, stdev, seed, sample, samples, 0, substream))


@pytest.mark.skipif(not has_core(), reason="the compiled module is not there")
@given(sizes, dtypes, uint32)
@settings(deadline=None)
def test_the_compiled_noise_counts_rows_from_any(size, dtype, row):
    from onnxplain.kernels import _core

    rows, cols, samples = size
    x, stdev = random((rows, cols), dtype, 1), np.abs(random(rows, np.float64, 2))
    out = np.empty((samples * rows, cols), dtype)
    _core.noise(x, stdev, 7, 5, row, 3, False, out)
    assert bits(out) == bits(numpy_kernels.noise(x, stdev, 7, 5, samples, row, 3))


@pytest.mark.parametrize("dtype", DTYPES)
def test_noise_in_portions_gives_the_same_bits(dtype):
    x, stdev = random((5, 3, 71, 83), dtype), np.linspace(0.1, 2.0, 5)
    whole = path_batches.noise(x, stdev, 7, n_samples=6).reshape(6, *x.shape)
    for samples in (slice(0, 1), slice(1, 4), slice(4, 6)):
        part = path_batches.noise(x, stdev, 7, samples.start, samples.stop - samples.start)
        assert bits(part.reshape(whole[samples].shape)) == bits(whole[samples])


@pytest.mark.parametrize("dtype", DTYPES)
def test_noise_is_standard_normal(dtype):
    z = path_batches.noise(np.zeros((1, 1_000_000), dtype), 1.0, seed=3)[0].astype(np.float64)
    error = 1e-3  # the standard deviation of the mean
    assert abs(z.mean()) < 4 * error
    assert abs(z.var() - 1.0) < 4 * np.sqrt(2) * error
    assert abs((z**3).mean()) < 4 * np.sqrt(15) * error
    assert abs((z**4).mean() - 3.0) < 4 * np.sqrt(96) * error
    for lag in range(1, 5):
        assert abs((z[lag:] * z[:-lag]).mean()) < 4 * error
    within = [np.mean(np.abs(z) < k) for k in (1, 2, 3)]
    np.testing.assert_allclose(within, [0.682689, 0.954500, 0.997300], atol=4 * error / 2)
    at = np.linspace(-4.5, 4.5, 2001)
    expected = [(1 + math.erf(a / math.sqrt(2))) / 2 for a in at]
    found = np.searchsorted(np.sort(z), at, side="right") / z.size
    assert np.abs(found - expected).max() < 1.95 * error  # Kolmogorov and Smirnov: one seed in a thousand


def test_noise_differs_with_every_part_of_its_counter():
    x = np.zeros((1, 8))
    first = path_batches.noise(x, 1.0, 1)
    others = [
        path_batches.noise(x, 1.0, 2),
        path_batches.noise(x, 1.0, 1 + 2**32),
        path_batches.noise(x, 1.0, 1, 1),
        path_batches.noise(np.zeros((2, 8)), 1.0, 1)[1:],
        path_batches.noise(x, 1.0, 1, substream=1),
        first[:, ::-1],
    ]
    for other in others:
        assert not np.any(first == other)


def test_noise_without_deviation_is_the_input():
    x = random((2, 9), np.float32)
    np.testing.assert_array_equal(path_batches.noise(x, [0.0, 0.0], 1), x)


def test_float32_noise_is_float64_noise_to_rounding():
    wide = path_batches.noise(np.zeros((2, 10_001)), 0.5, 11)
    narrow = path_batches.noise(np.zeros((2, 10_001), np.float32), 0.5, 11)
    np.testing.assert_allclose(narrow, wide, rtol=5e-7)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stdev": -1.0}, "must not be negative"),
        ({"stdev": float("nan")}, "must not be negative"),
        ({"stdev": [1.0, 1.0, 1.0]}, "one for each of the 2 examples"),
        ({"stdev": [[1.0, 1.0]]}, "one for each of the 2 examples"),
        ({"seed": -1}, "seed must be at least 0"),
        ({"seed": 2**64}, "seed must be at least 0"),
        ({"first_sample": 2**32}, "first_sample must be"),
        ({"first_sample": 2**32 - 1, "n_samples": 2}, "n_samples must be"),
        ({"n_samples": -1}, "n_samples must be"),
        ({"substream": -1}, "substream must be"),
        ({"x": np.zeros((2**32 + 1, 0))}, "the number of rows must be"),
        ({"x": np.zeros(3, int)}, "x must be float32 or float64"),
    ],
)
def test_noise_refuses(change, message):
    with pytest.raises(ValueError, match=message):
        path_batches.noise(**{"x": F32, "stdev": 1.0, "seed": 0, **change})


# --- the generator ---------------------------------------------------------------------------------

# The known answers that the authors of Philox publish with their library Random123.
KNOWN = [
    ((0, 0, 0, 0), 0, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    (
        (0xFFFFFFFF,) * 4,
        2**64 - 1,
        (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
    ),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        0x299F31D0A4093822,
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "seed", "words"), KNOWN)
def test_philox_known_answers(counter, seed, words):
    assert numpy_kernels.philox4x32(tuple(map(np.uint64, counter)), seed) == words
    if has_core():
        from onnxplain.kernels import _core

        assert _core.philox4x32(*counter, seed) == words


def test_box_muller_equals_the_library_functions():
    ends = [0, 1, 2, 2**30 - 1, 2**30, 2**31, 3 * 2**30, 2**32 - 2, 2**32 - 1]
    some = np.random.default_rng(0).integers(0, 2**32, 20_000, dtype=np.uint64)
    u, v = (np.concatenate([np.array(e, np.uint64), some]) for e in (ends, ends[::-1]))
    first, second = numpy_kernels.box_muller(u, v)
    radius = np.sqrt(-2 * (np.log1p(-(2.0**32 - 0.5 - u) / 2.0**32)))
    angle = (np.floor(v / 2.0**30) + (v % 2**30 + 0.5) / 2.0**30 - 0.5) * np.pi / 2
    np.testing.assert_allclose(first, radius * np.cos(angle), rtol=0, atol=1e-14)
    np.testing.assert_allclose(second, radius * np.sin(angle), rtol=0, atol=1e-14)
    np.testing.assert_allclose(np.hypot(first, second), radius, rtol=1e-15)


def test_float32_normals_keep_the_tails():
    """Words at both ends, at powers of two, and where the exponent changes: nothing is lost by rounding."""
    powers = np.concatenate([2 ** np.arange(32), np.sqrt(0.5) * 2.0 ** np.arange(4, 33)]).astype(np.int64)
    near = (powers[:, None] + np.arange(-20, 21)).ravel()
    u = np.concatenate([near, np.arange(3000), 2**32 - 1 - np.arange(3000)])
    u = np.unique(u[(u >= 0) & (u < 2**32)]).astype(np.uint64)
    v = np.random.default_rng(0).permutation(np.tile(u, 5))
    for wide, narrow in zip(
        numpy_kernels.box_muller(np.tile(u, 5), v),
        numpy_kernels.box_muller_float32(np.tile(u, 5), v),
        strict=True,
    ):
        assert narrow.dtype == np.float32
        np.testing.assert_allclose(narrow, wide, rtol=5e-7)


# --- all together ----------------------------------------------------------------------------------


def test_kernels_may_run_on_several_python_threads():
    x = random((2, 200_000), np.float32)

    def work(seed):
        noisy = path_batches.noise(x, 0.5, seed, n_samples=2)
        acc = np.zeros_like(x)
        path_batches.accumulate(acc, noisy, [0.5, 0.5])
        return bits(path_batches.interpolate(x, acc, [0.5]))

    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(work, range(16)))
    assert together == [work(seed) for seed in range(16)]
