"""The command line: what it writes, what it says, and how it fails."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper
from PIL import Image
from typer.testing import CliRunner

from onnxplain import Attribution, __version__
from onnxplain.commands.cli import app
from onnxplain.data import digits_model_path, digits_samples

if TYPE_CHECKING:
    from click.testing import Result

MODEL = str(digits_model_path())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder with two digits as an array and one as a picture."""
    monkeypatch.chdir(tmp_path)
    images, _ = digits_samples()
    np.save("digits.npy", images[10:12])
    Image.fromarray((images[3, 0] * 255).astype(np.uint8)).resize((90, 90)).convert("RGB").save("three.png")
    return tmp_path


def run(*arguments: str, code: int = 0) -> Result:
    """Run the command line and check its exit code."""
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == code, (result.output, result.exception)
    return result


def failure(*arguments: str) -> str:
    """Run something that must fail, and return the one line it says."""
    result = run(*arguments, code=2)
    assert result.stdout == ""
    (line,) = [text for text in result.stderr.splitlines() if "%|" not in text]
    assert line.startswith("error: ")
    assert "Traceback" not in line
    return line


def test_version_and_help() -> None:
    assert run("--version").stdout.strip() == f"onnxplain {__version__}"
    assert "explain" in run().stdout
    assert "--preset" in run("explain", "--help", "-h").stdout


def test_image(folder: Path) -> None:
    result = run("explain", MODEL, "three.png", "--method", "lrp", "-o", "why.png")
    assert (
        "three.png: 90 x 90, to grey, resized to 28 x 28 (bilinear), / 255, NCHW 1 x 1 x 28 x 28"
        in result.stdout
    )
    assert re.search(r"^prediction +3 \(\d", result.stdout, re.MULTILINE)
    assert re.search(r"^explained +3, score ", result.stdout, re.MULTILINE)
    assert re.search(r"^check +sums to .* must be .*: off by ", result.stdout, re.MULTILINE)
    assert re.search(r"^wrote +why.png$", result.stdout, re.MULTILINE)
    with Image.open("why.png") as picture:
        assert picture.size[0] > 500


def test_default_file_name(folder: Path) -> None:
    run("explain", MODEL, "three.png", "-m", "saliency", "-q")
    assert (folder / "three-saliency.png").exists()


def test_arrays_and_all_kinds_of_files(folder: Path) -> None:
    files = ["a.png", "a.svg", "a.pdf", "a.npz", "a.html"]
    outs = [part for file in files for part in ("-o", file)]
    result = run("explain", MODEL, "digits.npy", "-m", "ig", "-p", "n_steps=20", "--target", "2", *outs)
    assert "IntegratedGradients(n_steps=20" in result.stdout
    assert "prediction 0 7 (50.8 %), 2 (49.2 %)" in result.stdout
    assert "explained 1  2, score" in result.stdout
    for file in ("a-0.png", "a-1.png", "a-0.svg", "a-1.pdf", "a.html"):
        assert (folder / file).stat().st_size > 1000, file
    held = Attribution.load("a.npz")
    assert held.values.shape == (2, 1, 28, 28)
    assert held.target.tolist() == [[2], [2]]


def test_labels_name_the_target(folder: Path) -> None:
    words = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    Path("labels.txt").write_text("\n".join(words))
    result = run(
        "explain", MODEL, "digits.npy", "-m", "saliency", "-t", "TWO", "--labels", "labels.txt", "-o", "a.npz"
    )
    assert "7 seven (50.8 %), 2 two (49.2 %)" in result.stdout
    assert "explained 0  2 two, score" in result.stdout
    assert Attribution.load("a.npz").target.tolist() == [[2], [2]]
    assert "none of the labels" in failure(
        "explain", MODEL, "digits.npy", "-t", "ten", "--labels", "labels.txt"
    )


def test_preprocessing_options_reach_the_model(folder: Path) -> None:
    options = ["--mean", "0.5", "--std", "0.25", "--scale", "1/255", "--layout", "NCHW", "--size", "28x28"]
    run("explain", MODEL, "three.png", "-m", "saliency", *options, "-o", "a.npz")
    run("explain", MODEL, "three.png", "-m", "saliency", "-o", "b.npz")
    shifted, plain = (Attribution.load(f).inputs["image"] for f in ("a.npz", "b.npz"))
    np.testing.assert_allclose(shifted, (plain - 0.5) / 0.25, atol=1e-5)


@pytest.mark.parametrize(
    ("baseline", "level"), [("black", 0.0), ("white", 1.0), ("0.25", 0.25), ("b.npy", 0.75)]
)
def test_baselines(baseline: str, level: float, folder: Path) -> None:
    np.save("b.npy", np.full((1, 1, 28, 28), 0.75, np.float32))
    run("explain", MODEL, "three.png", "-m", "ig", "--baseline", baseline, "-o", "a.npz", "-q")
    held = Attribution.load("a.npz")
    untouched = held.inputs["image"] == np.float32(level)
    assert not held.values[untouched].any()
    assert held.relative_delta is not None
    assert held.relative_delta.max() < 0.05


def test_methods_inside_methods(folder: Path) -> None:
    result = run(
        "explain",
        MODEL,
        "digits.npy",
        "-m",
        "smooth_grad",
        "-p",
        "method=lrp",
        "-p",
        "n_samples=2",
        "-o",
        "a.npz",
    )
    assert "SmoothGrad(method=LRP(" in result.stdout


def test_quiet_says_nothing(folder: Path) -> None:
    for arguments in (
        ("explain", MODEL, "digits.npy", "-q", "-p", "n_steps=4", "-o", "a.npz"),
        ("inspect", MODEL, "-q"),
        ("export", MODEL, "out.onnx", "-q"),
    ):
        result = run(*arguments)
        assert result.stdout == ""
        assert result.stderr == ""


def test_progress_goes_to_stderr(folder: Path) -> None:
    result = run("explain", MODEL, "digits.npy", "-m", "ig", "-o", "a.npz")
    assert "%|" in result.stderr
    assert "%|" not in result.stdout


def two_inputs(path: Path) -> None:
    """Write a model of two inputs: y = sum(2 a + b)."""
    graph = helper.make_graph(
        [
            helper.make_node("Add", ["a", "a"], ["aa"]),
            helper.make_node("Add", ["aa", "b"], ["c"]),
            helper.make_node("ReduceSum", ["c", "axes"], ["y"], keepdims=1),
        ],
        "two",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", 3]) for n in "ab"],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 1])],
        [helper.make_tensor("axes", TensorProto.INT64, [1], [1])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)


def test_several_inputs(folder: Path) -> None:
    two_inputs(folder / "two.onnx")
    a, b = np.array([[1.0, 2.0, 3.0]], np.float32), np.array([[5.0, 6.0, 7.0]], np.float32)
    np.savez("in.npz", a=a, b=b)
    np.save("a.npy", a)
    Path("names.txt").write_text("red\ngreen\nblue")
    result = run(
        "explain",
        "two.onnx",
        "in.npz",
        "-m",
        "input_x_gradient",
        "-o",
        "o.npz",
        "-o",
        "o.png",
        "--names",
        "names.txt",
    )
    assert "prediction   30" in result.stdout
    assert "the only score" in result.stdout
    held = Attribution.load("o.npz")
    np.testing.assert_allclose(held.arrays["a"], 2 * a)
    np.testing.assert_allclose(held.arrays["b"], b)
    assert (folder / "o-a.png").exists()
    assert (folder / "o-b.png").exists()
    run("explain", "two.onnx", "in.npz", "-m", "saliency", "--input", "b", "-o", "o.npz")
    assert list(Attribution.load("o.npz").arrays) == ["b"]
    assert "give an .npz file" in failure("explain", "two.onnx", "a.npy", "-m", "saliency")
    assert "no input 'z'" in failure("explain", "two.onnx", "in.npz", "--input", "z")


def test_inspect(folder: Path) -> None:
    text = run("inspect", MODEL).stdout
    assert "image: float32, N x 1 x 28 x 28" in text
    assert "probabilities: float32, N x 10" in text
    assert re.search(r"^ +Conv +4 +rule", text, re.MULTILINE)
    assert "nothing stands in the way" in text


COMPOSITE = """
extends = "epsilon"
[[rules]]
rule = "zplus"
ops = ["Conv"]
"""


def test_composites(folder: Path) -> None:
    """By name, from a file, and as a parameter: the same explanation."""
    Path("mine.toml").write_text(COMPOSITE)
    ways = {
        "a.npz": ["--composite", "epsilon_plus"],
        "b.npz": ["-c", "mine.toml"],
        "c.npz": ["-p", "composite=epsilon_plus"],
        "d.npz": ["-c", "epsilon"],
    }
    for file, way in ways.items():
        run("explain", MODEL, "digits.npy", "-m", "lrp", "-t", "2", *way, "-o", file)
    a, b, c, d = (Attribution.load(file) for file in ways)
    np.testing.assert_array_equal(a.values, b.values)
    np.testing.assert_array_equal(a.values, c.values)
    assert np.abs(a.values - d.values).max() > 1e-3


def test_composites_are_exported(folder: Path) -> None:
    run("export", MODEL, "out.onnx", "-m", "lrp", "-c", "epsilon")
    session = ort.InferenceSession("out.onnx", providers=["CPUExecutionProvider"])
    made = session.run(["attribution/image"], {"image": np.load("digits.npy"), "target": np.array([2, 2])})
    run("explain", MODEL, "digits.npy", "-m", "lrp", "-c", "epsilon", "-t", "2", "-o", "a.npz")
    np.testing.assert_allclose(made[0], Attribution.load("a.npz").values, rtol=1e-3, atol=1e-4)


def test_parameters_of_composites(folder: Path) -> None:
    """Bounds, one per channel (of one channel here); names of parameters; truth values."""
    options = ["-p", "low=-0.5,", "-p", "high=[1.5]", "-p", "zero_params=bias", "-p", "winner_take_all=false"]
    result = run(
        "explain", MODEL, "digits.npy", "-m", "lrp", "-c", "epsilon_gamma_box", *options, "-o", "a.npz"
    )
    assert "low=(-0.5,), high=(1.5,)" in result.stdout
    assert "zero_params=('bias',), winner_take_all=False" in result.stdout
    run(
        "explain", MODEL, "digits.npy", "-m", "lrp", "-c", "epsilon_gamma_box", "-p", "low=-0.5",
        "-p", "high=1.5", "-p", "zero_params=bias", "-p", "winner_take_all=false", "-o", "b.npz",
    )  # fmt: skip
    a, b = (Attribution.load(file).values for file in ("a.npz", "b.npz"))
    np.testing.assert_allclose(a, b, atol=1e-5 * np.abs(b).max())
    result = run("explain", MODEL, "digits.npy", "-m", "lrp", "-p", "zero_params=bias, weight", "-o", "a.npz")
    assert "zero_params=('bias', 'weight')" in result.stdout
    assert not Attribution.load("a.npz").values.any()


def test_inspect_shows_the_rule_of_each_node(folder: Path) -> None:
    text = run("inspect", MODEL, "--composite", "epsilon_plus_flat").stdout
    rows = text[text.index("rules of epsilon_plus_flat") :].splitlines()
    assert rows[1].split() == ["stem.conv", "Conv", "flat"]
    assert ["widen.conv", "Conv", "zplus"] in [row.split() for row in rows]
    assert ["classify.gemm", "Gemm", "epsilon"] in [row.split() for row in rows]
    assert all(row == row.rstrip() for row in rows)
    assert re.search(r"^ +Conv +4 +rule +flat, zplus$", text, re.MULTILINE)
    Path("mine.toml").write_text(COMPOSITE)
    assert re.search(
        r"stem.conv +Conv +zplus$", run("inspect", MODEL, "-c", "mine.toml").stdout, re.MULTILINE
    )
    gamma = run("inspect", MODEL, "-c", "zero_epsilon_gamma", "-p", "gamma=0.5").stdout
    assert re.search(r"stem.conv +Conv +gamma\(0.5\)$", gamma, re.MULTILINE)
    assert "rules of" not in run("inspect", MODEL).stdout


def test_inspect_says_that_a_composite_does_not_work(folder: Path) -> None:
    Path("bad.json").write_text('{"rules": [{"rule": "zplus", "ops": ["Relu"]}]}')
    result = run("inspect", MODEL, "-c", "bad.json", code=1)
    assert re.search(r"problem: LRP with bad does not work: .*'zplus'.*Relu node 'stem.relu'", result.stderr)
    assert "rules of" not in result.stdout
    two_inputs(folder / "two.onnx")
    result = run("inspect", "two.onnx", "-c", "visual_backprop", code=1)
    assert "for networks with Conv" in result.stderr


def test_inspect_shows_what_stops_an_explanation(folder: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Mystery", ["x"], ["y"], domain="nowhere", name="the_odd_one")],
        "odd",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("nowhere", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), "odd.onnx")
    result = run("inspect", "odd.onnx", code=1)
    assert "problem: " in result.stderr
    assert "the_odd_one" in result.stderr
    assert "nothing stands in the way" not in result.stdout
    assert "the_odd_one" in run("inspect", "odd.onnx", "-q", code=1).stderr


def test_export(folder: Path) -> None:
    assert "wrote        out.onnx" in run("export", MODEL, "out.onnx", "--method", "input_x_gradient").stdout
    session = ort.InferenceSession("out.onnx", providers=["CPUExecutionProvider"])
    outputs = [output.name for output in session.get_outputs()]
    made = session.run(None, {"image": np.load("digits.npy"), "target": np.array([2, 2])})
    run("explain", MODEL, "digits.npy", "-m", "input_x_gradient", "-t", "2", "-o", "a.npz")
    held = Attribution.load("a.npz")
    np.testing.assert_allclose(made[outputs.index("attribution/image")], held.values, rtol=1e-3, atol=1e-5)


def test_demo_is_quiet(folder: Path) -> None:
    result = run("demo", "-o", "shown", "-q")
    assert result.output == ""
    assert (folder / "shown" / "report.html").exists()


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
        (["explain", MODEL, "digits.npy", "-m", "magic"], "no method 'magic'"),
        (["explain", MODEL, "digits.npy", "-m", "lrp", "-p", "depth=3"], "no parameter 'depth'"),
        (["explain", MODEL, "digits.npy", "-p", "n_steps=many"], "n_steps is 'many'; give a whole number"),
        (["explain", MODEL, "digits.npy", "-p", "n_steps"], "no key=value"),
        (
            ["explain", MODEL, "digits.npy", "-p", "multiply_by_inputs=no"],
            "is .no.; give True or False",
        ),
        (["explain", MODEL, "digits.npy", "-c", "epsilon"], "takes no composite; use it with lrp"),
        (["export", MODEL, "out.onnx", "-c", "epsilon"], "'saliency' takes no composite"),
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
        (["export", MODEL, "out.onnx", "-m", "ig"], "many passes"),
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
    import subprocess

    done = subprocess.run(["onnxplain", "inspect", "none.onnx"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
