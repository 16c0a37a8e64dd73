"""Explained files in other runtimes: how far each one's numbers are from onnxruntime's."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from chromium import browser_here, run_in_browser
from runtimes import (
    NPM_VERSION,
    MissingRuntimeError,
    build_cpp,
    npm_package,
    run_in_cpp,
    run_in_node,
    run_in_openvino,
)

__all__ = ["RUNTIMES", "File", "Said"]

ROOT = Path(__file__).resolve().parents[2]
#: Called once a file has an answer: what it is of, and how far the numbers are off, or what stopped them.
Said = Callable[[str, "float | str"], None]


@dataclass(frozen=True)
class File:
    """An explained file, and what onnxruntime makes of it.

    Attributes
    ----------
    key
        What it is of.
    path, feeds
        The file, and what it is fed.
    outputs
        By name.
    """

    key: str
    path: Path
    feeds: dict[str, np.ndarray]
    outputs: dict[str, np.ndarray]

    def distance(self, found: dict[str, Any]) -> float:
        """Return how far attributions are off, as a share of the largest."""
        apart = [
            np.abs(np.asarray(found[name], np.float64).reshape(right.shape) - right).max()
            / np.abs(right).max()
            for name, right in self.outputs.items()
            if name.startswith("attribution/")
        ]
        return float(np.max(apart))  # NaN stays NaN


def _each(files: Sequence[File], said: Said, run: Callable[[File, Path], dict[str, Any]]) -> None:
    for file in files:
        with tempfile.TemporaryDirectory() as folder:
            try:
                said(file.key, file.distance(run(file, Path(folder))))
            except MissingRuntimeError:
                raise
            except Exception as error:  # whatever a runtime raises is what the table tells
                lines = str(error).strip().splitlines()
                said(file.key, lines[-1][:200] if lines else type(error).__name__)


def _cpp(files: Sequence[File], said: Said) -> str:
    with tempfile.TemporaryDirectory() as folder:
        program = build_cpp(Path(folder))
        _each(files, said, lambda file, where: run_in_cpp(program, file.path, file.feeds, where)[0])
    return f"the library of onnxruntime {version('onnxruntime')}"


def _node(files: Sequence[File], said: Said) -> str:
    package = npm_package("onnxruntime-node", ROOT / "build" / "node")
    _each(files, said, lambda file, where: run_in_node(package, file.path, [file.feeds], where)[0])
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    return f"onnxruntime-node {NPM_VERSION}, Node {node.lstrip('v')}"


def _chromium(files: Sequence[File], said: Said) -> str:
    browser = browser_here()
    if browser is None:
        raise MissingRuntimeError("Chromium is not installed (Debian: chromium)")
    web = npm_package("onnxruntime-web", ROOT / "build" / "node") / "dist"
    for start in range(0, len(files), 12):
        some = files[start : start + 12]
        answers = run_in_browser(web, [(f.path, [f.feeds]) for f in some], timeout=400)
        for file, answer in zip(some, answers, strict=True):
            stopped = answer.get("error")
            said(file.key, stopped[:200] if stopped else file.distance(answer["results"][0]))
    told = subprocess.run([browser, "--version"], capture_output=True, text=True, check=True).stdout
    return f"onnxruntime-web {NPM_VERSION} (wasm), {' '.join(told.split()[:2])}"


def _openvino(files: Sequence[File], said: Said) -> str:
    _each(files, said, lambda file, where: run_in_openvino(file.path, file.feeds))
    return f"OpenVINO {version('openvino')}, CPU, f32"


def _reference(files: Sequence[File], said: Said) -> str:
    """Give each file a process, which may be stopped: loops take NumPy long."""
    program = (
        "import sys, numpy as np; from pathlib import Path; from runtimes import run_in_reference;"
        "feeds = dict(np.load(sys.argv[2]));"
        "found = run_in_reference(Path(sys.argv[1]), feeds);"
        "np.savez(sys.argv[3], **{k.replace('/', ':'): v for k, v in found.items()})"
    )

    def run(file: File, where: Path) -> dict[str, Any]:
        np.savez(where / "feeds.npz", **file.feeds)
        command = [sys.executable, "-c", program, file.path, where / "feeds.npz", where / "out.npz"]
        try:
            done = subprocess.run(
                command, cwd=ROOT / "tests" / "helpers", capture_output=True, text=True, check=False,
                timeout=60,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise RuntimeError("takes more than a minute") from None
        if done.returncode:
            raise RuntimeError(done.stderr)
        with np.load(where / "out.npz") as kept:
            return {k.replace(":", "/"): v for k, v in kept.items()}

    _each(files, said, run)
    return f"onnx.reference of onnx {version('onnx')}"


#: By column of the table: runs files, and returns on which versions.
RUNTIMES: dict[str, Callable[[Sequence[File], Said], str]] = {
    "C++": _cpp,
    "Node": _node,
    "Chromium": _chromium,
    "OpenVINO": _openvino,
    "onnx.reference": _reference,
}
