"""All kernels of the core under the sanitizers: every size, several threads, several callers at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from native import ROOT, needs_compiler, run_sanitized

HERE = Path(__file__).parent
STRESS = [HERE / "stress.cpp", HERE / "stress_masked.cpp"]
NAMES = ("masked_batches", "moments", "path_batches", "philox_blocks", "trees", "tree_paths", "tree_values")
KERNELS = [ROOT / "csrc" / "kernels" / f"{name}.cpp" for name in NAMES]


@needs_compiler
@pytest.mark.parametrize(
    "sanitizer", ["address,undefined", pytest.param("thread", marks=pytest.mark.sanitizers)]
)
def test_the_sanitizers_find_nothing(sanitizer, tmp_path) -> None:
    run_sanitized(sanitizer, tmp_path / "stress", [*STRESS, *KERNELS])
