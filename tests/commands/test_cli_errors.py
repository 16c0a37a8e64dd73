"""How the command line fails: in one line."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from command_line import MODEL, failure, run


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["explain", "none.onnx", "digits.npy"], "none.onnx"),
        (["explain", "broken.onnx", "digits.npy"], "broken.onnx"),
        (["inspect", "broken.onnx"], "broken.onnx"),
        (["explain", MODEL, "none.png"], "there is no file 'none.png'"),
        (["explain", MODEL, "none.npy"], "there is no file 'none.npy'"),
        (["explain", MODEL, "broken.npy"], "cannot be read as NumPy arrays"),
        (["explain", MODEL, "pickled.npy"], "cannot be read as NumPy arrays"),
        (["explain", MODEL, "broken.onnx"], "cannot be read as an image"),
        (["explain", MODEL, "flat.npy"], "flat|axes|shape"),
        (["explain", MODEL, "other.npz"], "no input 'other'"),
        (["explain", MODEL], "Missing argument 'INPUT'; '.* explain --help' says what it takes"),
        (["explain", MODEL, "digits.npy", "--boks", "1"], "--boks.*--box.*; '.* explain --help' says"),
        (["explain", MODEL, "digits.npy", "-m", "magic"], "no method 'magic'"),
        (
            ["explain", MODEL, "digits.npy", "-m", "lrp", "-p", "depth=3"],
            "method 'lrp' does not take 'depth'",
        ),
        (["explain", MODEL, "digits.npy", "-p", "n_steps=many"], "n_steps is 'many'; give a whole number"),
        (["explain", MODEL, "digits.npy", "-p", "n_steps"], "no key=value"),
        (
            ["explain", MODEL, "digits.npy", "-p", "multiply_by_inputs=no"],
            "is .no.; give True or False",
        ),
        (["explain", MODEL, "digits.npy", "-c", "epsilon"], "takes no composite; use it with lrp"),
        (["export", MODEL, "out.onnx", "-m", "saliency", "-c", "epsilon"], "'saliency' takes no composite"),
        (["export", MODEL, "out.onnx", "--target-opset", "9"], "give a whole number from 11 to"),
        (["explain", MODEL, "digits.npy", "-m", "lrp", "-c", "zplus", "-p", "composite=zero"], "given too"),
        (["explain", MODEL, "digits.npy", "-m", "lrp", "-c", "zminus"], "no composite 'zminus'; choose"),
        (["explain", MODEL, "digits.npy", "-m", "lrp", "-c", "none.toml"], "there is no file 'none.toml'"),
        (
            ["explain", MODEL, "digits.npy", "-m", "lrp", "-p", "gamma=1"],
            "'conserving' does not take 'gamma'",
        ),
        (["explain", MODEL, "digits.npy", "-m", "lrp", "-p", "gamma=big"], "gamma is 'big'; give a number"),
        (
            ["explain", MODEL, "digits.npy", "-m", "lrp", "-p", "epsilon=big"],
            "epsilon .*'big'; give a number",
        ),
        (
            ["explain", MODEL, "digits.npy", "-m", "lrp", "-p", "zero_params=biases"],
            "'bias' or 'weight'",
        ),
        (["explain", MODEL, "digits.npy", "-m", "lrp", "-p", "winner_take_all=no"], "give True or False"),
        (["explain", MODEL, "digits.npy", "-m", "lrp", "-c", "epsilon_gamma_box"], "needs low and high"),
        (
            [
                "explain",
                MODEL,
                "digits.npy",
                "-m",
                "lrp",
                "-c",
                "deep_taylor",
                "-p",
                "low=black",
                "-p",
                "high=1",
            ],
            "low is .*'black'.*; give a number, or one per channel",
        ),
        (
            [
                "explain",
                MODEL,
                "digits.npy",
                "-m",
                "lrp",
                "-c",
                "deep_taylor",
                "-p",
                "low=0,0",
                "-p",
                "high=1",
            ],
            "low and high have 2 values, but the input of Conv node 'stem.conv' has 1 channel",
        ),
        (["inspect", MODEL, "-c", "zminus"], "no composite 'zminus'"),
        (["inspect", MODEL, "-c", "epsilon", "-p", "gamma=1"], "does not take 'gamma'"),
        (["inspect", MODEL, "-p", "gamma=1"], "name one with --composite"),
        (["inspect", MODEL, "--output-name", "z"], "no output 'z'"),
        (["explain", MODEL, "digits.npy", "-t", "10"], "out of range"),
        (["explain", MODEL, "digits.npy", "-t", "seven"], "labels need --labels FILE"),
        (["explain", MODEL, "digits.npy", "-t", "1,2"], "target"),
        (["explain", MODEL, "digits.npy", "--output-name", "z"], "no output 'z'"),
        (["explain", MODEL, "digits.npy", "--device", "abacus"], "device 'abacus'"),
        (["explain", MODEL, "digits.npy", "--size", "28"], "--size: for images only"),
        (["explain", MODEL, "digits.npy", "--baseline", "black"], "for images only"),
        (["explain", MODEL, "digits.npy", "--baseline", "red"], "give a number"),
        (["explain", MODEL, "digits.npy", "--labels", "none.txt"], "there is no file 'none.txt'"),
        (["explain", MODEL, "digits.npy", "-o", "a.doc"], "the ending says"),
        (["explain", MODEL, "digits.npy", "-o", "no/where/a.png"], "there is no folder"),
        (["explain", MODEL, "three.png", "--size", "32"], "takes images of 28 x 28"),
        (["explain", MODEL, "three.png", "--size", "big"], "height x width"),
        (["explain", MODEL, "three.png", "--mean", "a,b"], "give a number"),
        (["explain", MODEL, "three.png", "--scale", "1/0"], "give a number"),
        (["explain", MODEL, "three.png", "--layout", "HWC"], "layout must be"),
        (["explain", MODEL, "three.png", "--preset", "imagenet"], "for 3 channels"),
        (["explain", MODEL, "three.png", "--preset", "coco"], "no preset 'coco'"),
        (["explain", MODEL, "three.png", "--bogus"], "[Nn]o such option.*--bogus"),
        (["explain", MODEL], "[Mm]issing argument"),
        (["frobnicate"], "[Nn]o such command"),
        (["export", MODEL, "no/where/out.onnx"], "there is no folder"),
        (["export", MODEL, "."], "this is a folder"),
        (["export", MODEL, "/dev/null"], "a pipe, a socket or a device"),
        (["export", "mine.onnx", "mine.onnx"], "the model itself lies there"),
        (["explain", MODEL, "three.png", "-o", "three.png"], "this file is read"),
        (["explain", MODEL, "three.png", "-o", "folder.png"], "this is a folder"),
        (["explain", MODEL, "damaged.npz"], "cannot be read as NumPy arrays"),
        (["explain", MODEL, "/dev/zero"], "a pipe, a socket or a device"),
        (["explain", "/dev/zero", "digits.npy"], "a pipe, a socket or a device"),
        (["explain", "pipe", "digits.npy"], "a pipe, a socket or a device"),
        (["explain", MODEL, "pipe"], "a pipe, a socket or a device"),
        (["explain", MODEL, "digits.npy", "--labels", "pipe"], "a pipe, a socket or a device"),
        (["explain", MODEL, "digits.npy", "-m", "lrp", "-c", "pipe.toml"], "a pipe, a socket or a device"),
        (["explain", MODEL, "digits.npy", "--baseline", "pipe.npy"], "a pipe, a socket or a device"),
        (["export", MODEL, "out.onnx", "-m", "guided_ig"], "looks at answers"),
        (["demo", "-o", "digits.npy"], "digits.npy"),
    ],
)
def test_errors_take_one_line(arguments: list[str], words: str, folder: Path) -> None:
    Path("broken.onnx").write_bytes(Path(MODEL).read_bytes()[:5000])
    Path("broken.npy").write_bytes(b"nothing")
    np.save("pickled.npy", np.array([{}, None], dtype=object))
    np.save("flat.npy", np.zeros(5, np.float32))
    np.savez("other.npz", other=np.zeros(5))
    Path("damaged.npz").write_bytes(Path("other.npz").read_bytes()[:-60])
    shutil.copy(MODEL, "mine.onnx")
    Path("folder.png").mkdir()
    for name in ("pipe", "pipe.npy", "pipe.toml"):
        os.mkfifo(name)
    before = sorted(path.name for path in folder.iterdir())
    assert re.search(words, failure(*arguments))
    assert sorted(path.name for path in folder.iterdir()) == before


def test_debug_shows_the_traceback(folder: Path) -> None:
    result = run("explain", "none.onnx", "digits.npy", "--debug", code=2)
    assert "Traceback" in result.stderr
    assert result.stderr.strip().splitlines()[-1].startswith("error: ")


def test_the_program_is_installed() -> None:
    if shutil.which("onnxplain") is None:
        pytest.skip("the package is not installed, only on the path")
    done = subprocess.run(["onnxplain", "inspect", "none.onnx"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
