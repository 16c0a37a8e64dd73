"""What a reader of the README has: models, pictures and tables, small ones, under the names that it uses."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from PIL import Image

import onnxplain as ox
from onnxplain.data import diabetes_model_path

__all__ = ["arrays", "write_files"]

_DATA = diabetes_model_path().parent
_SIDE, _STREET = 32, 40
_BOXES = np.array([[40, 50, 230, 300], [60, 70, 210, 310], [250, 10, 300, 60]], np.float32)
_COMPOSITE = """name = "mine"
extends = "epsilon_plus"

[[rules]]
rule = "flat"
layer = true
first = true
"""


def classifier(models: Any) -> onnx.ModelProto:
    """image (N, 3, 32, 32) to a thousand scores, by three layers called relu_1 to relu_3."""
    return models.make(
        f"m (float[N, 3, {_SIDE}, {_SIDE}] image) => (float[N, 1000] scores) {{ "
        "a = Conv<strides = [2, 2]>(image, w1) relu_1 = Relu(a) b = Conv<strides = [2, 2]>(relu_1, w2) "
        "relu_2 = Relu(b) c = Conv(relu_2, w3) relu_3 = Relu(c) p = GlobalAveragePool(relu_3) f = Flatten(p) "
        "scores = MatMul(f, v) }",
        w1=models.random(8, 3, 3, 3, seed=1, scale=0.3), w2=models.random(8, 8, 3, 3, seed=2, scale=0.2),
        w3=models.random(8, 8, 3, 3, seed=3, scale=0.2), v=models.random(8, 1000, seed=4),
    )  # fmt: skip


def segmenter(models: Any) -> onnx.ModelProto:
    """image (N, 3, 32, 32) to 21 classes at each place."""
    return models.make(
        f"m (float[N, 3, {_SIDE}, {_SIDE}] image) => (float[N, 21, {_SIDE}, {_SIDE}] classes) {{ "
        "a = Conv<pads = [1, 1, 1, 1]>(image, w1) r = Relu(a) classes = Conv<pads = [1, 1, 1, 1]>(r, w2) }",
        w1=models.random(8, 3, 3, 3, seed=1), w2=models.random(21, 8, 3, 3, seed=2),
    )  # fmt: skip


def detector(models: Any) -> onnx.ModelProto:
    """image (N, 3, 40, 40) to 20 scores of each of three boxes, and the boxes."""
    return models.make(
        f"m (float[N, 3, {_STREET}, {_STREET}] image) => (float[N, 3, 20] scores, float[N, 3, 4] boxes) {{ "
        "a = AveragePool<kernel_shape = [5, 5], strides = [5, 5]>(image) f = Flatten(a) "
        "s = MatMul(f, w) t = Tanh(s) scores = Reshape(t, to_scores) "
        "m = MatMul(f, u) k = Reshape(m, to_boxes) boxes = Add(k, corners) }",
        w=models.random(192, 60, seed=1, scale=0.1), u=models.random(192, 12, seed=2, scale=0.1),
        to_scores=np.array([-1, 3, 20]), to_boxes=np.array([-1, 3, 4]), corners=_BOXES,
    )  # fmt: skip


def write_files(folder: Path, models: Any) -> None:
    """Write the files that commands and Python read."""
    rng = np.random.default_rng(0)
    for name in ("model.onnx", "mobilenetv2.onnx"):
        onnx.save(classifier(models), folder / name)
    onnx.save(segmenter(models), folder / "segmenter.onnx")
    onnx.save(detector(models), folder / "detector.onnx")
    np.save(folder / "row.npy", arrays(models)["image"])
    np.savez(folder / "x.npz", image=arrays(models)["image"])
    (folder / "mine.toml").write_text(_COMPOSITE)
    (folder / "photos").mkdir()
    for place in ("cat.jpg", "street.jpg", "photos/1.jpg", "photos/2.jpg", "photos/3.jpg"):
        pixels = rng.integers(0, 256, (12, 16, 3), np.uint8)
        Image.fromarray(pixels).resize((320, 240)).save(folder / place)
    mask = np.zeros((_SIDE, _SIDE), np.uint8)
    mask[8:20, 8:24] = 255
    Image.fromarray(mask).save(folder / "mask.png")
    shutil.copy(diabetes_model_path(), folder / "table.onnx")
    for source, name in (("diabetes.csv", "table.csv"), ("diabetes_train.csv", "train.csv")):
        text = (_DATA / source).read_text()
        (folder / name).write_text("\n".join(text.replace("progression", "customer").splitlines()[:41]))
    (folder / "onnxplain").mkdir()
    shutil.copytree(_DATA, folder / "onnxplain" / "data")


def arrays(models: Any) -> dict[str, Any]:
    """Return what the Python of the README has by name."""
    mask = np.zeros((_SIDE, _SIDE), bool)
    mask[8:20, 8:24] = True
    return {
        "image": models.random(1, 3, _SIDE, _SIDE),
        "street": models.random(1, 3, _STREET, _STREET),
        "images": models.random(4, 3, _SIDE, _SIDE),
        "row": models.random(1, 5),
        "mask": mask,
        "regressor": ox.Explainer(models.linear(models.random(1, 5))),
        "table": ox.Explainer(models.mlp()),
        "segmenter": ox.Explainer(segmenter(models)),
        "detector": ox.Explainer(detector(models)),
    }
