"""Time the CPU kernels beside the same in NumPy.

    python benchmarks/kernels.py [--repeat N]

Both run in turn within one process, on the same arrays; the best of several runs counts. The ratio
says how many times faster the kernel is than that.
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

import numpy as np

from onnxplain.kernels import has_core, numpy_kernels, path_batches

if TYPE_CHECKING:
    from collections.abc import Callable

STEPS, ROWS, COLS = 16, 2, 3 * 224 * 224


def best(function: Callable[[], object], repeat: int) -> float:
    """Seconds of the fastest run; a first run warms up and is not counted."""
    function()
    times = []
    for _ in range(repeat):
        begin = time.perf_counter()
        function()
        times.append(time.perf_counter() - begin)
    return min(times)


def cases(dtype: type) -> dict[str, tuple[Callable[[], object], Callable[[], object]]]:
    """Name, kernel in C++, kernel in NumPy."""
    rng = np.random.default_rng(0)
    start, end = rng.standard_normal((2, ROWS, COLS)).astype(dtype)
    weights = rng.random(STEPS).astype(dtype)
    stdev = np.ones(1)
    batch = rng.standard_normal((STEPS * ROWS, COLS)).astype(dtype)
    acc = np.zeros_like(end)
    return {
        "path_batches.interpolate": (
            lambda: path_batches.interpolate(start, end, weights),
            lambda: numpy_kernels.interpolate(start, end, weights),
        ),
        "path_batches.accumulate": (
            lambda: path_batches.accumulate(acc, batch, weights),
            lambda: numpy_kernels.accumulate(acc, batch, weights),
        ),
        "path_batches.noise": (
            lambda: path_batches.noise(end, 1.0, 0, 0, STEPS),
            lambda: numpy_kernels.noise(end, stdev, 0, 0, STEPS, 0, 0),
        ),
    }


def main() -> None:
    """Print one line for each kernel and dtype."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=5)
    repeat = parser.parse_args().repeat
    if not has_core():
        raise SystemExit("The compiled module is not there: nothing to compare.")
    from onnxplain.kernels import _core

    print(f"{STEPS} steps of {ROWS} x {COLS} elements, up to {_core.num_threads()} threads")
    print(f"{'kernel':32}{'dtype':>9}{'kernel ms':>12}{'NumPy ms':>10}{'ratio':>8}")
    for dtype in (np.float32, np.float64):
        for name, (kernel, plain) in cases(dtype).items():
            fast, slow = best(kernel, repeat), best(plain, max(1, repeat // 2))
            print(f"{name:32}{np.dtype(dtype).name:>9}{1e3 * fast:12.2f}{1e3 * slow:10.2f}{slow / fast:8.1f}")


if __name__ == "__main__":
    main()
