"""The command line: what it writes, and what it says."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from command_line import MODEL, failure, run, two_inputs
from PIL import Image

import onnxplain as ox
from onnxplain import METHODS, Attribution, Explainer, Probe, Scores, __version__, explain


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
    files = ["a.png", "a.svg", "a.pdf", "a.npz", "a.json", "a.html"]
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


@pytest.mark.parametrize("made", ["blur", "uniform"])
def test_baselines_made_of_the_sample(made: str, folder: Path) -> None:
    few = ("-p", "n_steps=4", "-t", "3")
    run("explain", MODEL, "three.png", "--baseline", made, *few, "-o", "a.npz", "-q")
    held = Attribution.load("a.npz")
    wanted = explain(MODEL, held.inputs["image"], 3, method="ig", n_steps=4, baselines=made)
    np.testing.assert_array_equal(held.values, wanted.values)


def test_the_method_may_be_left_to_the_model(folder: Path) -> None:
    result = run("explain", MODEL, "three.png", "-m", "auto", "-o", "a.npz")
    assert "method auto chose lrp" in result.stdout
    assert "'auto' takes neither" in failure("explain", MODEL, "three.png", "-m", "auto", "-p", "n_steps=4")


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


def test_export(folder: Path) -> None:
    assert "wrote        out.onnx" in run("export", MODEL, "out.onnx", "--method", "input_x_gradient").stdout
    told = run("export", MODEL, "old.onnx", "--method", "grad_cam", "--target-opset", "13").stdout
    assert "opset        13, IR version 7" in told
    session = ort.InferenceSession("out.onnx", providers=["CPUExecutionProvider"])
    outputs = [output.name for output in session.get_outputs()]
    made = session.run(None, {"image": np.load("digits.npy"), "target": np.array([2, 2])})
    run("explain", MODEL, "digits.npy", "-m", "input_x_gradient", "-t", "2", "-o", "a.npz")
    held = Attribution.load("a.npz")
    np.testing.assert_allclose(made[outputs.index("attribution/image")], held.values, rtol=1e-3, atol=1e-5)


def test_export_of_images(folder: Path) -> None:
    run("export", MODEL, "out.onnx", "-m", "saliency", "--top-k", "2", "--scale", "1", "--mean", "3")
    session = ort.InferenceSession("out.onnx", providers=["CPUExecutionProvider"])
    (image,) = session.get_inputs()
    assert image.type == "tensor(uint8)"
    pixels = np.random.default_rng(0).integers(0, 17, (2, 28, 28, 1), np.uint8)
    outputs = [output.name for output in session.get_outputs()]
    made = dict(zip(outputs, session.run(None, {image.name: pixels}), strict=True))
    x = np.moveaxis(pixels, -1, 1).astype(np.float32) - 3
    held = ox.explain(MODEL, x, made["target"][:, 0].tolist(), method="saliency")
    np.testing.assert_allclose(made["attribution/image"][:, 0], held.values, rtol=1e-4, atol=1e-6)
    run("export", MODEL, "out.onnx", "-m", "saliency", "--predicted")
    assert [i.name for i in ort.InferenceSession("out.onnx").get_inputs()] == ["image"]


def test_methods_are_listed() -> None:
    lines = run("methods").stdout.splitlines()
    for name, kind in METHODS.items():
        (line,) = [text for text in lines if text.split(" ")[0] == name]
        asks = kind().needs()
        forward = isinstance(asks, Scores) or (isinstance(asks, Probe) and not asks.gradients)
        assert forward or " gradients " in line
        assert kind.cost in line
        assert line.endswith(kind.sums_to or "-")


def test_who_leaves_together(folder: Path) -> None:
    mask = np.arange(28 * 28).reshape(28, 28) // 100
    np.save("mask.npy", mask)
    held = []
    for given in ("mask.npy", "grid"):
        run(
            "explain",
            MODEL,
            "digits.npy",
            "-m",
            "feature_ablation",
            "--feature-mask",
            given,
            "-q",
            "-o",
            "a.npz",
        )
        held.append(Attribution.load("a.npz").values)
    values = held[0][:, 0].reshape(2, -1)
    assert all(np.ptp(values[:, mask.ravel() == k], axis=1).max() == 0 for k in range(8))
    assert len(np.unique(held[1][0])) > 8
    assert "'nothing' is unknown; give 'elements'" in failure(
        "explain", MODEL, "digits.npy", "-m", "feature_ablation", "--feature-mask", "nothing"
    )
    assert "has no use for a feature_mask" in failure(
        "explain", MODEL, "digits.npy", "--feature-mask", "grid"
    )


def test_layers_and_neurons(folder: Path) -> None:
    relu = next(v for v in Explainer(MODEL)._normal.model.graph if v.op_type == "Relu").outputs[0].name
    result = run("explain", MODEL, "digits.npy", "-m", "saliency", "--layer", relu, "-o", "a.npz")
    assert Attribution.load("a.npz").inputs.keys() == {relu}
    assert "prediction 0 7" in result.stdout
    run("explain", MODEL, "digits.npy", "-m", "saliency", "--neuron", relu, "2,5,5", "-o", "a.npz")
    held = Attribution.load("a.npz")
    assert held.target.tolist() == [[2, 5, 5]] * 2
    np.testing.assert_array_equal(held.score, held.predictions[:, 2, 5, 5])
    said = failure("explain", MODEL, "digits.npy", "-m", "saliency", "--neuron", relu, "two", "-o", "a.npz")
    assert f"--neuron {relu} two: give a name and an index" in said
    said = failure("explain", MODEL, "digits.npy", "-m", "saliency", "--layer", f"{relu}x", "-o", "a.npz")
    assert f"did you mean '{relu}'" in said


def test_visualise(folder: Path) -> None:
    result = run("visualise", MODEL, "--unit", "3", "-p", "n_steps=20", "-o", "three.png", "-o", "three.npz")
    assert re.search(r"^activation +\S+ to \S+$", result.stdout, re.MULTILINE)
    assert re.search(r"^wrote +three.png$", result.stdout, re.MULTILINE)
    with Image.open("three.png") as picture:
        assert picture.size[0] > 500
    with np.load("three.npz") as held:
        assert held["image"].shape == (1, 1, 28, 28)
        assert held["activations"][-1] > held["activations"][0] + 1
    run("visualise", MODEL, "--unit", "3", "-p", "n_steps=2", "--mean", "0.5", "--std", "0.5", "-q")
    assert Path(f"{Path(MODEL).stem}-unit.png").exists()
    options = ["visualise", MODEL, "--unit"]
    assert "--unit three: give an index, such as 5 or 5,0,0" in failure(*options, "three")
    assert "unit 12 is out of range" in failure(*options, "12")
    assert "-o a.json: a visualisation is .png" in failure(*options, "1", "-o", "a.json")
    assert "--size 9xx: give lengths, such as 224x224" in failure(*options, "1", "--size", "9xx")
    assert "there is no preset 'cifar'; known: imagenet" in failure(*options, "1", "--preset", "cifar")
