"""Targets on the command line: boxes, regions, ImageNet's names; and what bounds the memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from command_line import MODEL, failure, run
from PIL import Image

import onnxplain as ox
from onnxplain.data import imagenet_classes


@pytest.fixture
def dense(models, folder: Path) -> str:
    """x (N, 1, 6, 6) to a map of 2 classes."""
    model = models.make(
        """m (float[N, 1, 6, 6] x) => (float[N, 2, 6, 6] y) {
          a = Conv<pads = [1, 1, 1, 1]>(x, w) y = Tanh(a)
        }""",
        w=models.random(2, 1, 3, 3),
    )
    onnx.save(model, folder / "dense.onnx")
    np.save(folder / "x.npy", models.random(1, 1, 6, 6, seed=1))
    mask = np.zeros((6, 6), np.uint8)
    mask[1:3, 2:5] = 255
    Image.fromarray(mask).save(folder / "mask.png")
    np.save(folder / "mask.npy", mask > 0)
    return "dense.onnx"


@pytest.fixture
def boxes(models, folder: Path) -> str:
    """x (N, 4) to the scores of 3 boxes that stand still."""
    model = models.make(
        """m (float[N, 4] x) => (float[N, 3, 2] scores, float[N, 3, 4] boxes) {
          a = MatMul(x, w) scores = Reshape(a, s) z = MatMul(x, o) r = Reshape(z, b) boxes = Add(r, corners)
        }""",
        w=models.random(4, 6), o=np.zeros((4, 12), np.float32), s=np.array([-1, 3, 2]),
        b=np.array([-1, 3, 4]),
        corners=np.array([[0, 0, 4, 4], [0, 0, 4, 5], [20, 20, 24, 24]], np.float32),
    )  # fmt: skip
    onnx.save(model, folder / "boxes.onnx")
    np.save(folder / "row.npy", models.random(1, 4, seed=1))
    return "boxes.onnx"


@pytest.mark.parametrize("mask", ["mask.png", "mask.npy"])
def test_a_region(mask: str, dense: str, folder: Path) -> None:
    run("explain", dense, "x.npy", "-m", "ig", "--region", mask, "--target", "1", "-o", "why.npz", "-q")
    found = ox.Attribution.load(folder / "why.npz")
    region = ox.Region(np.load("mask.npy"), 1)
    np.testing.assert_array_equal(
        found.values, ox.explain(dense, np.load("x.npy"), region, method="ig").values
    )


def test_a_box(boxes: str, folder: Path) -> None:
    arguments = ["-m", "ig", "--box", "0,0,4,4", "--detection", "iou=0.75", "--target", "1", "-q"]
    run("explain", boxes, "row.npy", *arguments, "-o", "why.npz")
    found = ox.Attribution.load(folder / "why.npz")
    box = ox.Detection((0, 0, 4, 4), 1, iou=0.75)
    np.testing.assert_array_equal(
        found.values, ox.explain(boxes, np.load("row.npy"), box, method="ig").values
    )


def test_targets_that_make_no_sense(dense: str, boxes: str) -> None:
    assert "the two corners x1,y1,x2,y2" in failure("explain", boxes, "row.npy", "--box", "0,0,4")
    assert "--box and --region" in failure(
        "explain", dense, "x.npy", "--box", "0,0,4,4", "--region", "mask.png"
    )
    assert "give --box" in failure("explain", boxes, "row.npy", "--detection", "iou=0.5")
    told = failure("explain", boxes, "row.npy", "--box", "0,0,4,4", "--detection", "io=0.5")
    assert "does not take 'io'" in told
    assert "did you mean 'iou'" in told
    Path("x.txt").write_text("none")
    assert "no picture of a region" in failure("explain", dense, "x.npy", "--region", "x.txt")


def test_names_of_imagenet(models, folder: Path) -> None:
    names = imagenet_classes()
    assert len(names) == 1000
    assert (names[0], names[285], names[999]) == ("tench", "Egyptian cat", "toilet tissue")
    text = """m (float[N, 3, 8, 8] x) => (float[N, {n}] y) {{
      p = GlobalAveragePool(x) f = Flatten(p) y = Gemm(f, w, b)
    }}"""
    for count, first in ((1000, 0), (1001, 1)):
        bias = np.zeros(count, np.float32)
        bias[285 + first] = 9
        onnx.save(models.make(text.format(n=count), w=0 * models.random(3, count), b=bias), "net.onnx")
        Image.new("RGB", (30, 40), "red").save("red.jpg")
        options = ["-m", "saliency", "--preset", "imagenet", "--size", "8x8", "-o", "a.npz"]
        said = run("explain", "net.onnx", "red.jpg", *options).stdout
        assert "Egyptian cat" in said
        said = run("explain", "net.onnx", "red.jpg", *options, "--target", "tabby").stdout
        assert f"explained    {281 + first} tabby" in said


@pytest.mark.parametrize("options", [["--internal-batch-size", "3"], ["--memory-budget", "64MB"]])
def test_bounds_change_nothing(options: list[str], folder: Path) -> None:
    plain = ["explain", MODEL, "digits.npy", "-m", "ig", "-p", "n_steps=9", "-q", "-o"]
    run(*plain, "a.npz")
    run(*plain, "b.npz", *options)
    first, second = (ox.Attribution.load(folder / f).values for f in ("a.npz", "b.npz"))
    np.testing.assert_allclose(first, second, rtol=1e-4, atol=1e-6)


def test_amounts_of_memory(folder: Path) -> None:
    for text in ("2 apples", "0", "-1GB"):
        assert "such as 512MB" in failure("explain", MODEL, "digits.npy", "--memory-budget", text)
