"""The programs of ``docs/embedding.md`` run as they stand there, and say what the explainer says."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from chromium import browser_here, page_says
from runtimes import EXAMPLE, MissingRuntimeError, build_cpp

import onnxplain as ox
from onnxplain.data import digits_model_path

PAGE = Path(__file__).parents[2] / "docs" / "embedding.md"


def program(language: str, holding: str = "") -> str:
    """Return the first program in a language on the page that holds a text."""
    blocks = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return next(b for b in blocks if holding in b)


def right(printed: str) -> None:
    expected = ox.explain(
        digits_model_path(), np.full((1, 1, 28, 28), 0.5, np.float32), 3, method="lrp"
    ).values
    found = np.array(printed.split(), np.float64).reshape(expected.shape)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * float(np.abs(expected).max()))


def ran(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with the file, as the page's first program writes it."""
    made = tmp_path_factory.mktemp("page")
    code = program("python", "ox.export").replace('"explained.onnx"', f'"{made / "explained.onnx"}"')
    exec(compile(code, "embedding.md", "exec"), {})
    return made


def test_python(folder) -> None:
    right(ran([sys.executable, "-c", program("python", "ort.InferenceSession")], folder))


def test_openvino(folder) -> None:
    pytest.importorskip("openvino", reason="OpenVINO is not installed (pip install openvino)")
    right(ran([sys.executable, "-c", program("python", "openvino.Core")], folder))


def test_cpp(folder, tmp_path) -> None:
    source = tmp_path / "source"
    shutil.copytree(EXAMPLE, source)
    (source / "explain.cpp").write_text(program("cpp"))
    try:
        built = build_cpp(tmp_path / "build", source)
    except MissingRuntimeError as missing:
        pytest.skip(str(missing))
    right(ran([str(built)], folder))


@pytest.mark.node
def test_node(folder, npm) -> None:
    package = npm("onnxruntime-node")
    (folder / "node_modules").symlink_to(package.parent)
    (folder / "explain.mjs").write_text(program("js"))
    right(ran(["node", "explain.mjs"], folder))


@pytest.mark.node
def test_browser(folder, npm) -> None:
    if browser_here() is None:
        pytest.skip("Chromium is not installed (Debian: chromium)")
    web = npm("onnxruntime-web")
    beside = {f"/node_modules/onnxruntime-web/dist/{f.name}": f for f in (web / "dist").iterdir()}
    right(page_says(program("html"), {"/explained.onnx": folder / "explained.onnx", **beside}))
