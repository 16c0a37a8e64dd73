"""Exported files run in C++: the program of ``examples/cpp``, built against the wheel's own library.

Its headers are those of Debian's libonnxruntime-dev, or lie in the folder ``ONNXRUNTIME_INCLUDE``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from exported_digits import CASES, feeds, same, write

EXAMPLE = Path(__file__).parents[2] / "examples" / "cpp"
PLACES = ("/usr/include/onnxruntime", "/usr/local/include/onnxruntime")

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the example is written for Linux and macOS")


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> Path:
    """Build the program once."""
    if shutil.which("cmake") is None or shutil.which("c++") is None:
        pytest.skip("cmake or a C++ compiler is not installed")
    named = os.environ.get("ONNXRUNTIME_INCLUDE")
    folders = [Path(f) for f in ([named] if named else PLACES)]
    headers = next((f for f in folders if (f / "onnxruntime_cxx_api.h").is_file()), None)
    if headers is None:
        pytest.skip(
            "onnxruntime's headers are not installed (Debian: libonnxruntime-dev; or ONNXRUNTIME_INCLUDE)"
        )
    build = tmp_path_factory.mktemp("cpp")
    given = [f"-DONNXRUNTIME_INCLUDE={headers}", f"-DPython3_EXECUTABLE={sys.executable}"]
    for command in (["cmake", "-S", EXAMPLE, "-B", build, *given], ["cmake", "--build", build]):
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
    return build / "explain"


def ran(program: Path, *words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, *map(str, words)], capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize("name", CASES)
def test_the_digits_explain_themselves(name, program, tmp_path) -> None:
    path, given = write(CASES[name], tmp_path), feeds()
    words = []
    for key, array in given.items():
        np.save(tmp_path / f"{key}.npy", array)
        words.append(f"{key}={tmp_path / key}.npy")
    (tmp_path / "out").mkdir()
    done = ran(program, path, *words, "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    outputs = [o.name for o in onnx.load(path).graph.output]
    found = {name: np.load(tmp_path / "out" / f"{name.replace('/', '_')}.npy") for name in outputs}
    same(CASES[name], given, found)
    for output, array in found.items():
        (line,) = (x for x in done.stdout.splitlines() if x.startswith(f"{output} {list(array.shape)} "))
        total = float(line.split(" sum ")[1].split()[0])
        assert total == pytest.approx(array.sum(dtype=np.float64), rel=1e-4, abs=1e-5)


def test_zeros_stand_for_what_is_not_given(program, tmp_path) -> None:
    done = ran(program, write(CASES["saliency"], tmp_path))
    assert done.returncode == 0, done.stderr
    assert "attribution/image [1, 1, 28, 28]" in done.stdout


def test_what_is_wrong_is_said(program, tmp_path) -> None:
    path = write(CASES["saliency"], tmp_path)
    (tmp_path / "text.npy").write_text("no array")
    np.save(tmp_path / "half.npy", np.zeros((1, 1, 28, 28), np.float16))
    np.save(tmp_path / "small.npy", np.zeros((1, 1, 27, 28), np.float32))
    np.save(tmp_path / "turned.npy", np.zeros((28, 28, 1, 1), np.float32).T)
    for word, said in [
        ("picture=x.npy", "no input 'picture'"),
        (f"image={tmp_path}/text.npy", "no .npy file"),
        (f"image={tmp_path}/half.npy", "<f2"),
        (f"image={tmp_path}/turned.npy", "Fortran order"),
        (f"image={tmp_path}/small.npy", "imension"),
        (f"image={tmp_path}/none.npy", "no .npy file"),
    ]:
        done = ran(program, path, word)
        assert done.returncode == 1
        assert said in done.stderr
    np.save(tmp_path / "target.npy", np.array([77]))
    done = ran(program, path, f"target={tmp_path}/target.npy")
    assert "index = 77" in done.stderr
