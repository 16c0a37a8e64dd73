"""What tests in a browser need of npm: fixtures, for the conftest of those that have them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from chromium import browser_here

from onnxplain.page.runtime import PACKAGE

__all__ = ["modules", "web"]

#: What visits sites, and what checks whether everybody can use them.
VISITORS = ("puppeteer-core@24.43.1", "axe-core@4.14.1")


@pytest.fixture(scope="session")
def modules(request) -> Path:
    """Folder ``node_modules`` with what comes from npm; installed once."""
    if browser_here() is None:
        pytest.skip("Chromium is not installed (Debian: chromium)")
    named = os.environ.get("ONNXPLAIN_NODE_DIR")
    folder = Path(named) if named else Path(request.config.cache.mkdir("onnxruntime-node"))
    wanted = [p for p in (PACKAGE, *VISITORS) if not (folder / "node_modules" / p.partition("@")[0]).is_dir()]
    if wanted:
        if shutil.which("npm") is None:
            pytest.skip("npm is not installed")
        folder.mkdir(parents=True, exist_ok=True)
        try:
            subprocess.run(
                ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", *wanted],
                cwd=folder, capture_output=True, text=True, check=True, timeout=180,
            )  # fmt: skip
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            pytest.skip(f"npm cannot install {', '.join(wanted)}: {error}")
    return folder / "node_modules"


@pytest.fixture(scope="session")
def web(modules) -> Path:
    """Folder with onnxruntime-web's files."""
    return modules / "onnxruntime-web" / "dist"
