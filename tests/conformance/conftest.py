from __future__ import annotations

import importlib.util
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from types import ModuleType


@pytest.fixture(scope="session")
def torch_networks() -> ModuleType:
    """The module of that name among the helpers; skips where torch is missing."""
    pytest.importorskip("torch", reason="needs PyTorch: pip install 'onnxplain[conformance]'")
    return import_module("torch_networks")


@pytest.fixture
def zennit(torch_networks: Any) -> Any:
    """The module zennit."""
    if importlib.util.find_spec("zennit") is None:
        pytest.skip("needs zennit: pip install 'onnxplain[conformance]'")
    return torch_networks.import_zennit()
