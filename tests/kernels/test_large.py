"""Batches of more than 2^31 elements: what lies beyond is right too.

Each needs some 9 GiB; ``pytest -m large tests/kernels tests/ort_ops``, in one process.
"""

from __future__ import annotations

import numpy as np
import pytest

from onnxplain.kernels import has_core, numpy_kernels, path_batches

pytestmark = [pytest.mark.large, pytest.mark.skipif(not has_core(), reason="NumPy's definition is slow")]

COLS = 2**26 + 3
STEPS = 33  # COLS * STEPS is more than 2^31
ENDS = [slice(0, 1000), slice(COLS // 2, COLS // 2 + 1000), slice(COLS - 1000, COLS)]


def ends() -> tuple[np.ndarray, np.ndarray]:
    start, end = np.arange(2 * COLS, dtype=np.float32).reshape(2, 1, COLS) % 8191
    return start, end


def test_interpolate() -> None:
    start, end = ends()
    alphas = np.linspace(0, 1, STEPS, dtype=np.float32)
    made = path_batches.interpolate(start, end, alphas)
    assert made.size > 2**31
    for at in ENDS:
        np.testing.assert_array_equal(
            made[:, at], numpy_kernels.interpolate(start[:, at], end[:, at], alphas)
        )


def test_accumulate() -> None:
    grads = np.empty((STEPS, COLS), np.float32)
    grads[...] = np.arange(STEPS, dtype=np.float32)[:, None]
    acc = np.zeros((1, COLS))
    path_batches.accumulate(acc, grads, np.ones(STEPS))
    assert (acc == STEPS * (STEPS - 1) / 2).all()


def test_noise() -> None:
    x = np.zeros((1, COLS), np.float32)
    made = path_batches.noise(x, 1.0, 3, n_samples=STEPS)
    for sample in (0, STEPS - 1):
        np.testing.assert_array_equal(
            made[sample : sample + 1, : ENDS[0].stop],
            numpy_kernels.noise(x[:, : ENDS[0].stop], np.ones(1), 3, sample, 1, 0, 0),
        )
        last = path_batches.noise(x, 1.0, 3, first_sample=sample)[0, ENDS[-1]]
        np.testing.assert_array_equal(made[sample, ENDS[-1]], last)
        assert abs(last.std() - 1) < 0.1
