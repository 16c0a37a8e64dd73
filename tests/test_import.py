"""Importing the package: what it says without an engine, and what it never loads."""

from __future__ import annotations

import subprocess
import sys


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_without_onnxruntime_it_says_what_to_install() -> None:
    found = python(
        "import importlib.util as u; real = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'onnxruntime' else real(name, *rest)\n"
        "import onnxplain"
    )
    assert found.returncode == 1
    assert "ImportError" in found.stderr
    assert "pip install 'onnxplain[cpu]'" in found.stderr
    assert "pip install 'onnxplain[gpu]'" in found.stderr


def test_heavy_packages_are_not_loaded() -> None:
    found = python(
        "import sys, onnxplain\n"
        "heavy = ('torch', 'captum', 'matplotlib', 'sklearn', 'skimage', 'jinja2')\n"
        "print([m for m in heavy if m in sys.modules])"
    )
    assert found.stdout.strip() == "[]", found.stderr
