"""The operators' C++: clean under the sanitizers, and of onnxruntime's own layout."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from native import ROOT, compiled, needs_compiler, run_sanitized

HERE = Path(__file__).parent
ROWS = ("half", "gelu_backward", "give_all", "row_backward", "sum_copies")
ELEMENTWISE = ("half", "elementwise", "elementwise_cpu", "elementwise_loops")
PLANES = ("half", "interleave", "max_pool_grad", "pool_rows", "sparse_conv_transpose", "surround")
PROGRAMS = {
    "stress": (*(f"csrc/kernels/{name}.cpp" for name in ELEMENTWISE), "csrc/ort_ops/elementwise_op.cpp"),
    "stress_rows": tuple(f"csrc/kernels/{name}.cpp" for name in ROWS),
    "stress_planes": tuple(f"csrc/kernels/{name}.cpp" for name in PLANES),
    "stress_thin": ("csrc/kernels/thin_transposed_conv.cpp",),
    "stress_winograd": ("csrc/kernels/winograd.cpp",),
}
THREADS = {  # what each needs of csrc/kernels
    "threads": (*ELEMENTWISE, "elementwise_threads"),
    "threads_elements": (
        "elementwise",
        "half",
        "elementwise_threads",
        "gelu_backward",
        "interleave",
        "interleave_threads",
        "max_pool_grad",
        "pool_rows",
        "surround",
    ),
    "threads_rows": ("elementwise", "elementwise_threads", "half", "row_backward"),
    "threads_sums": ("elementwise", "elementwise_threads", "give_all", "half", "sum_copies"),
}
FOLDERS = (
    os.environ.get("ONNXRUNTIME_INCLUDE", ""),
    "/usr/include/onnxruntime",
    "/usr/local/include/onnxruntime",
)

pytestmark = needs_compiler
undefined = pytest.param("address,undefined", marks=pytest.mark.sanitizers)


@pytest.mark.parametrize(
    ("sanitizer", "source"),
    [
        ("address,undefined", "stress"),
        ("thread", "stress"),
        ("address,undefined", "stress_rows"),
        pytest.param("thread", "stress_rows", marks=pytest.mark.sanitizers),
        pytest.param("address,undefined", "stress_planes", marks=pytest.mark.sanitizers),
        ("address,undefined", "stress_thin"),
        ("address,undefined", "stress_winograd"),
    ],
)
def test_the_sanitizers_find_nothing(sanitizer, source, tmp_path) -> None:
    sources = [HERE / f"{source}.cpp", *(ROOT / s for s in PROGRAMS[source])]
    run_sanitized(sanitizer, tmp_path / "stress", sources)


@pytest.mark.parametrize("sanitizer", ["address", undefined])
@pytest.mark.parametrize("threads", THREADS)
def test_threads_of_a_gpu_and_loops_of_the_cpu_make_the_same_bits(threads, sanitizer, tmp_path) -> None:
    """Run one after the other on the host: indices, places and steps are those of the CUDA kernels."""
    sources = [HERE / f"{threads}.cpp", *(ROOT / "csrc" / "kernels" / f"{s}.cpp" for s in THREADS[threads])]
    run_sanitized(sanitizer, tmp_path / "threads", sources, "the same\n")


@pytest.mark.parametrize("sanitizer", ["address,undefined"])
def test_steps_in_one_loop_make_the_bits_of_steps_one_by_one(sanitizer, tmp_path) -> None:
    sources = [HERE / "patterns.cpp", *(ROOT / "csrc" / "kernels" / f"{s}.cpp" for s in ELEMENTWISE)]
    run_sanitized(sanitizer, tmp_path / "patterns", sources, "the same\n")


def test_entries_and_layouts_are_the_official_ones(tmp_path) -> None:
    header = next((Path(f) for f in FOLDERS if f and (Path(f) / "onnxruntime_c_api.h").is_file()), None)
    if header is None:
        pytest.skip(
            "onnxruntime's headers are not installed (Debian: libonnxruntime-dev; or ONNXRUNTIME_INCLUDE)"
        )
    compiled(tmp_path / "official", "-Wno-invalid-offsetof", f"-I{header}", HERE / "official.cpp")
