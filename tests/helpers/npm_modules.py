"""What tests in a browser need of npm: fixtures, for the conftest of those that have them."""

from __future__ import annotations

from pathlib import Path

import pytest
from chromium import browser_here
from runtimes import NPM_VERSION, MissingRuntimeError, npm_package

__all__ = ["modules", "web"]

#: What runs models, what visits sites, and what checks whether everybody can use them.
_PACKAGES = {"onnxruntime-web": NPM_VERSION, "puppeteer-core": "24.43.1", "axe-core": "4.14.1"}


@pytest.fixture(scope="session")
def modules(request) -> Path:
    """Folder ``node_modules`` with what comes from npm; installed once."""
    if browser_here() is None:
        pytest.skip("Chromium is not installed (Debian: chromium)")
    folder = Path(request.config.cache.mkdir("onnxruntime-node"))
    try:
        (parent,) = {npm_package(name, folder, version).parent for name, version in _PACKAGES.items()}
    except MissingRuntimeError as missing:
        pytest.skip(str(missing))
    return parent


@pytest.fixture(scope="session")
def web(modules) -> Path:
    """Folder with onnxruntime-web's files."""
    return modules / "onnxruntime-web" / "dist"
