"""Peak memory of long explanations: the work grows tenfold or more, memory must not.

Each row is a process of its own, with 64 MiB of memory budget: what is asked, peak resident memory, what of
it is beyond the case's first row, seconds.  It ends after five minutes.

    python benchmarks/memory.py [--cases rise occlusion] [--seconds 300] [--json results/memory.json]
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx

import onnxplain as ox
from onnxplain.data import digits_model_path, digits_samples

_BUDGET = 1 << 26
_SIDE = 512


def _digits(
    rows: int, method: Any, background: int | None = None, mask: str | None = None
) -> Callable[[], Any]:
    explainer, x = ox.Explainer(digits_model_path(), memory_budget=_BUDGET), digits_samples()[0]
    many = np.resize(x, (rows, *x.shape[1:]))
    start = None if background is None else np.resize(x[::-1], (background, *x.shape[1:]))
    return lambda: explainer(many, "predicted", method, baselines=start, feature_mask=mask)


def _large_image(strides: int) -> Callable[[], Any]:
    """Windows of 64 x 64 over an image of 3 x 512 x 512."""
    model = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 18]>
        m (float[N, 3, H, W] x) => (float[N, 4] y) {
          c = Conv<kernel_shape = [4, 4], strides = [4, 4]>(x, w) h = Relu(c)
          g = GlobalAveragePool(h) y = Flatten(g)
        }"""
    )
    weights = np.random.default_rng(0).standard_normal((4, 3, 4, 4)).astype(np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(weights, "w"))
    explainer = ox.Explainer(model, memory_budget=_BUDGET)
    x = np.random.default_rng(1).standard_normal((1, 3, _SIDE, _SIDE)).astype(np.float32)
    return lambda: explainer(x, 1, ox.Occlusion(64, strides))


#: By name: what grows, its sizes, and what makes an explanation of a size.
CASES: dict[str, tuple[str, list[int], Callable[[int], Callable[[], Any]]]] = {
    "rise": ("masks", [1000, 10_000, 100_000], lambda n: _digits(1, ox.RISE(n))),
    "kernel_shap": (
        "rows of background", [10, 100, 500],
        lambda n: _digits(1, ox.KernelShap(n_samples=128), n, "grid"),
    ),
    "occlusion": ("windows of an image", [64, 32, 16, 8], _large_image),
    "feature_ablation": ("samples", [10, 100, 1000], lambda n: _digits(n, ox.FeatureAblation(), mask="grid")),
    "permutation_shapley": (
        "samples", [10, 100, 500],
        lambda n: _digits(n, ox.PermutationShapley(npermutations=1), mask="grid"),
    ),
    "hsic_indices": ("masks", [1 << 8, 1 << 11, 1 << 14], lambda n: _digits(1, ox.HSICIndices(n))),
    "sobol_indices": ("points", [1 << 5, 1 << 7, 1 << 10], lambda n: _digits(1, ox.SobolIndices(n))),
}  # fmt: skip


def one(case: str, size: int) -> None:
    """Explain, and print peak memory in MiB and seconds."""
    explain = CASES[case][2](size)
    start = time.perf_counter()
    explain()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(peak, time.perf_counter() - start)


def main() -> None:
    """Measure every case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", nargs=2, metavar=("CASE", "SIZE"))
    given = parser.parse_args()
    if given.one:
        one(given.one[0], int(given.one[1]))
        return
    began, rows = time.perf_counter(), []
    print("| method | what grows | peak memory, MiB | beyond the first | seconds |")
    print("|---|---|---|---|---|")
    for case in given.cases:
        what, sizes, _ = CASES[case]
        first = None
        for size in sizes:
            told = f"{what}, {size:,}"
            if case == "occlusion":
                told = f"{what}, {(-(-(_SIDE - 64) // size) + 1) ** 2:,}"
            left = given.seconds - (time.perf_counter() - began)
            command = [sys.executable, __file__, "--one", case, str(size)]
            try:
                done = subprocess.run(
                    command, capture_output=True, text=True, check=True, timeout=max(left, 0.1)
                )
            except subprocess.TimeoutExpired:
                print(f"| `{case}` | {told} | not within {given.seconds:g} s | | |", flush=True)
                break
            peak, seconds = map(float, done.stdout.split())
            first = peak if first is None else first
            rows.append({"method": case, "grows": told, "mib": round(peak), "seconds": round(seconds, 1)})
            print(f"| `{case}` | {told} | {peak:.0f} | {peak - first:+.0f} | {seconds:.1f} |", flush=True)
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
