"""All kernels of the core under the sanitizers: every size, several threads, several callers at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from native import ROOT, needs_compiler, run_sanitized

STRESS = Path(__file__).with_name("stress.cpp")
KERNELS = [
    ROOT / "csrc" / "kernels" / f"{k}.cpp" for k in ("path_batches", "trees", "tree_paths", "tree_values")
]


@needs_compiler
@pytest.mark.parametrize(
    "sanitizer", ["address,undefined", pytest.param("thread", marks=pytest.mark.sanitizers)]
)
def test_the_sanitizers_find_nothing(sanitizer, tmp_path) -> None:
    run_sanitized(sanitizer, tmp_path / "stress", [STRESS, *KERNELS])
