"""Trained models with real inputs, for the tests marked ``models``.

``tools/fetch_models.py`` fetches the models; ``tools/real_inputs`` makes the inputs. A model that has not
been fetched, or whose input needs a package that is not installed, skips the test and says why.
"""

from __future__ import annotations

import pytest
from npm_modules import modules
from trained import real_inputs, real_model

__all__ = ["modules", "real_model"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for ``real_name`` once for every model."""
    if "real_name" in metafunc.fixturenames:
        metafunc.parametrize("real_name", real_inputs.NAMES)
