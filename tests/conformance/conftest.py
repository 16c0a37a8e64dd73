from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import ModuleType


@pytest.fixture(scope="session")
def torch_networks() -> ModuleType:
    """The module ``networks.py``; skips where torch is missing."""
    pytest.importorskip("torch", reason="needs PyTorch: pip install 'onnxplain[conformance]'")
    path = Path(__file__).with_name("networks.py")
    spec = importlib.util.spec_from_file_location("conformance_networks", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
