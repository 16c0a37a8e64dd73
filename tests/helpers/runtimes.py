"""Exported files in other runtimes: Node, C++, OpenVINO, the reference; each is found or missing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx

__all__ = [
    "EXAMPLE", "NPM_VERSION",
    "MissingRuntimeError",
    "build_cpp",
    "npm_package",
    "plain",
    "run_cpp",
    "run_in_cpp",
    "run_in_node",
    "run_in_openvino",
    "run_in_reference",
]  # fmt: skip

#: Of onnxruntime-node and onnxruntime-web.
NPM_VERSION = "1.30.0"
_TESTS = Path(__file__).parents[1]
EXAMPLE = _TESTS.parent / "examples" / "cpp"
_HEADERS = ("/usr/include/onnxruntime", "/usr/local/include/onnxruntime")

Feeds = Mapping[str, np.ndarray]


class MissingRuntimeError(Exception):
    """A runtime is not here, and why."""


def npm_package(name: str, folder: Path, version: str = NPM_VERSION) -> Path:
    """Return the folder ``node_modules/<name>`` below a folder, installed there beside others if it is not.

    ``ONNXPLAIN_NODE_DIR`` names another folder.
    """
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise MissingRuntimeError("Node.js (node and npm) is not installed")
    folder = Path(os.environ.get("ONNXPLAIN_NODE_DIR", folder))
    found = folder / "node_modules" / name
    if not found.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "package.json").is_file():  # npm removes what no such file names
            (folder / "package.json").write_text('{"private": true}')
        flags = [] if name.endswith("-node") else ["--ignore-scripts"]
        command = ["npm", "install", "--no-audit", "--no-fund", "--save-exact", *flags, f"{name}@{version}"]
        environment = {**os.environ, "ONNXRUNTIME_NODE_INSTALL": "skip"}
        try:
            subprocess.run(
                command, cwd=folder, env=environment, capture_output=True, text=True, check=True, timeout=120
            )
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            raise MissingRuntimeError(f"npm cannot install {name} {version}: {error}") from error
    return found


def run_in_node(package: Path, model: Path, feeds: Sequence[Feeds], folder: Path) -> list[dict[str, Any]]:
    """Run a model in onnxruntime-node, once for each of the feeds."""
    source, target = folder / "feeds.json", folder / "outputs.json"
    source.write_text(json.dumps([plain(one) for one in feeds]))
    command = ["node", str(_TESTS / "node" / "run.mjs"), str(package.parents[1] / "node_modules")]
    done = subprocess.run(
        [*command, model, source, target], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return [
        {k: np.array(v["data"]).reshape(v["dims"]) for k, v in one.items()}
        for one in json.loads(target.read_text())
    ]


def plain(feeds: Feeds) -> dict[str, Any]:
    """Return arrays as JSON holds them; int64 as decimal strings."""
    return {
        k: {
            "type": str(a.dtype),
            "dims": list(a.shape),
            "data": [str(v) for v in a.ravel().tolist()] if a.dtype == np.int64 else a.ravel().tolist(),
        }
        for k, a in feeds.items()
    }


def build_cpp(folder: Path, example: Path = EXAMPLE) -> Path:
    """Build the program of ``examples/cpp`` (or what lies in a copy) against the wheel's library; return it.

    Its headers are those of Debian's libonnxruntime-dev, or lie in the folder ``ONNXRUNTIME_INCLUDE``.
    """
    if shutil.which("cmake") is None or shutil.which("c++") is None:
        raise MissingRuntimeError("cmake or a C++ compiler is not installed")
    named = os.environ.get("ONNXRUNTIME_INCLUDE")
    folders = [Path(f) for f in ([named] if named else _HEADERS)]
    headers = next((f for f in folders if (f / "onnxruntime_cxx_api.h").is_file()), None)
    if headers is None:
        raise MissingRuntimeError(
            "onnxruntime's headers are not installed (Debian: libonnxruntime-dev; or ONNXRUNTIME_INCLUDE)"
        )
    given = [f"-DONNXRUNTIME_INCLUDE={headers}", f"-DPython3_EXECUTABLE={sys.executable}"]
    for command in (["cmake", "-S", example, "-B", folder, *given], ["cmake", "--build", folder]):
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder / "explain"


def run_cpp(program: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """Run the program of ``examples/cpp``."""
    return subprocess.run(
        [program, *map(str, words)], capture_output=True, text=True, check=False, timeout=300
    )


def run_in_cpp(program: Path, model: Path, feeds: Feeds, folder: Path) -> tuple[dict[str, Any], str]:
    """Run a model in C++; return its outputs, and what the program printed."""
    words = []
    for key, array in feeds.items():
        np.save(folder / f"{key}.npy", array)
        words.append(f"{key}={folder / key}.npy")
    (folder / "out").mkdir(exist_ok=True)
    done = run_cpp(program, model, *words, "-o", folder / "out")
    assert done.returncode == 0, done.stderr
    names = [o.name for o in onnx.load(model, load_external_data=False).graph.output]
    return {n: np.load(folder / "out" / f"{n.replace('/', '_')}.npy") for n in names}, done.stdout


def run_in_openvino(model: Path, feeds: Feeds) -> dict[str, Any]:
    """Run a model in OpenVINO on the CPU, in float32 (some processors would take bfloat16)."""
    try:
        import openvino
    except ImportError as error:
        raise MissingRuntimeError("OpenVINO is not installed (pip install openvino)") from error
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(str(model)), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = compiled(dict(feeds))
    return {name: np.array(found[o]) for o in compiled.outputs for name in o.get_names()}


def run_in_reference(model: Path, feeds: Feeds) -> dict[str, Any]:
    """Run a model in ``onnx.reference``, as it comes."""
    from onnx.reference import ReferenceEvaluator

    session = ReferenceEvaluator(str(model))
    return dict(zip(session.output_names, session.run(None, dict(feeds)), strict=True))
