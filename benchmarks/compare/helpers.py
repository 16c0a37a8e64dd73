"""What the tests know of the peers, for the benchmarks."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

__all__ = ["torch_networks"]


def torch_networks() -> ModuleType:
    """Import the tests' helpers for PyTorch and the toolboxes on it."""
    folder = str(Path(__file__).resolve().parents[2] / "tests" / "helpers")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return importlib.import_module("torch_networks")
