"""Importing the package: what it says without an engine, and what it never loads."""

from __future__ import annotations

import ast
import pkgutil
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from inspect import ismodule
from pathlib import Path

import pytest

import onnxplain


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


def imported(tree: ast.AST, modules: set[str]) -> set[str]:
    """Modules that code imports at any place, also inside functions and for types alone."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute here"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found.update(name if name in modules else str(node.module) for name in names)
    return found & modules


def test_modules_do_not_import_one_another_in_a_circle() -> None:
    root = Path(onnxplain.__file__).parent
    files = {".".join(p.relative_to(root.parent).with_suffix("").parts): p for p in root.rglob("*.py")}
    files = {name.removesuffix(".__init__"): path for name, path in files.items()}
    trees = {name: ast.parse(path.read_text("utf-8")) for name, path in files.items()}
    graph = {name: imported(tree, set(files)) - {name} for name, tree in trees.items()}
    assert len(graph["onnxplain"]) > 5, "imports are not found"
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(reversed(error.args[1])))


@pytest.mark.parametrize("name", ["", ".data", ".evaluation", ".metrics", ".plots", ".scale", ".testing"])
def test_no_public_name_hides_a_module(name) -> None:
    package = import_module(f"onnxplain{name}")
    inside = {module.name for module in pkgutil.iter_modules(package.__path__)}
    hidden = {n for n in inside & set(package.__all__) if not ismodule(getattr(package, n))}
    assert hidden == ({"export"} if package is onnxplain else set())  # a module since the first version
