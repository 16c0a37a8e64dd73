"""Exported files run in C++: the program of ``examples/cpp``, built against the wheel's own library.

Its headers are those of Debian's libonnxruntime-dev, or lie in the folder ``ONNXRUNTIME_INCLUDE``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from exported_digits import CASES, feeds, same, write
from runtimes import MissingRuntimeError, build_cpp, run_cpp, run_in_cpp

import onnxplain as ox
from onnxplain.kernels import operators_library

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the example is written for Linux and macOS")


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> Path:
    """Build the program once."""
    try:
        return build_cpp(tmp_path_factory.mktemp("cpp"))
    except MissingRuntimeError as missing:
        pytest.skip(str(missing))


@pytest.mark.parametrize("name", CASES)
def test_the_digits_explain_themselves(name, program, tmp_path) -> None:
    path, given = write(CASES[name], tmp_path), feeds()
    found, printed = run_in_cpp(program, path, given, tmp_path)
    same(CASES[name], given, found)
    for output, array in found.items():
        (line,) = (x for x in printed.splitlines() if x.startswith(f"{output} {list(array.shape)} "))
        total = float(line.split(" sum ")[1].split()[0])
        assert total == pytest.approx(array.sum(dtype=np.float64), rel=1e-4, abs=1e-5)


@pytest.mark.skipif(operators_library() is None, reason="the library of operators was not built here")
@pytest.mark.parametrize("method", ["lrp", "deep_lift"])
def test_operators_of_our_own(method, program, models, tmp_path) -> None:
    model, x = models.conv(), models.random(2, 2, 8, 8)
    path = ox.export(model, tmp_path / "fast.onnx", method=method, form="accelerated").path
    for name, array in {"x": x, "target": np.array([2, 1])}.items():
        np.save(tmp_path / f"{name}.npy", array)
    words = [path, f"x={tmp_path}/x.npy", f"target={tmp_path}/target.npy", "-o", tmp_path]
    done = run_cpp(program, *words, "-l", operators_library())
    assert done.returncode == 0, done.stderr
    expected = ox.explain(model, x, [2, 1], method=method, accelerate=False).values
    found = np.load(tmp_path / "attribution_x.npy")
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    done = run_cpp(program, *words)  # and without them it says what is missing
    assert done.returncode == 1
    assert "ai.onnxplain" in done.stderr


def test_zeros_stand_for_what_is_not_given(program, tmp_path) -> None:
    done = run_cpp(program, write(CASES["saliency"], tmp_path))
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
        done = run_cpp(program, path, word)
        assert done.returncode == 1
        assert said in done.stderr
    np.save(tmp_path / "target.npy", np.array([77]))
    done = run_cpp(program, path, f"target={tmp_path}/target.npy")
    assert "index = 77" in done.stderr
