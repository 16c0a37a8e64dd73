"""The operators' C++: clean under the sanitizers, and of onnxruntime's own layout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PROGRAMS = {
    "stress": ("csrc/kernels/elementwise.cpp", "csrc/ort_ops/elementwise_op.cpp"),
    "stress_rows": ("csrc/kernels/row_backward.cpp", "csrc/kernels/sum_copies.cpp"),
}
FOLDERS = (
    os.environ.get("ONNXRUNTIME_INCLUDE", ""),
    "/usr/include/onnxruntime",
    "/usr/local/include/onnxruntime",
)

pytestmark = pytest.mark.skipif(
    sys.platform == "win32" or shutil.which("c++") is None, reason="there is no C++ compiler of Unix's kind"
)


def compiled(program: Path, *words: object) -> None:
    command = ["c++", "-std=c++20", "-pthread", f"-I{ROOT / 'csrc'}", f"-I{ROOT / 'csrc' / 'include'}"]
    done = subprocess.run(
        [*command, *map(str, words), "-o", str(program)],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    if "sanitize" in str(words) and ("cannot find" in done.stderr or "unsupported" in done.stderr):
        pytest.skip("this compiler has no such sanitizer")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("sanitizer", "source"),
    [("address,undefined", "stress"), ("thread", "stress"), ("address,undefined", "stress_rows")],
)
def test_the_sanitizers_find_nothing(sanitizer, source, tmp_path) -> None:
    program = tmp_path / "stress"
    flags = ("-O1", "-g", f"-fsanitize={sanitizer}", "-fno-sanitize-recover=all")
    compiled(program, *flags, HERE / f"{source}.cpp", *(ROOT / s for s in PROGRAMS[source]))
    done = subprocess.run([program], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == "clean\n"


def test_threads_of_a_gpu_and_loops_of_the_cpu_make_the_same_bits(tmp_path) -> None:
    """Run one after the other on the host: indices, places and steps are those of the CUDA kernel."""
    program = tmp_path / "threads"
    flags = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    sources = ("csrc/kernels/elementwise.cpp", "csrc/kernels/elementwise_threads.cpp")
    compiled(program, *flags, HERE / "threads.cpp", *(ROOT / s for s in sources))
    done = subprocess.run([program], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == "the same\n"


def test_entries_and_layouts_are_the_official_ones(tmp_path) -> None:
    header = next((Path(f) for f in FOLDERS if f and (Path(f) / "onnxruntime_c_api.h").is_file()), None)
    if header is None:
        pytest.skip(
            "onnxruntime's headers are not installed (Debian: libonnxruntime-dev; or ONNXRUNTIME_INCLUDE)"
        )
    compiled(tmp_path / "official", "-Wno-invalid-offsetof", f"-I{header}", HERE / "official.cpp")
