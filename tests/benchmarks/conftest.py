from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

ROOT = str(Path(__file__).resolve().parents[2])
if ROOT not in sys.path:
    sys.path.append(ROOT)  # last: the package that is installed is tested, not the one that lies there


@pytest.fixture(scope="session")
def command() -> ModuleType:
    """The module behind ``python -m benchmarks.compare``."""
    return import_module("benchmarks.compare.__main__")
