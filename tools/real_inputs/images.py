"""Real inputs for classifiers of pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ._case import RealModel, real_input, softmax

if TYPE_CHECKING:
    from numpy.typing import NDArray

DIGITS = Path(__file__).resolve().parents[2] / "onnxplain" / "data" / "digits_samples.npz"
IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
IMAGENET_STD = np.array([0.229, 0.224, 0.225], np.float32)


def photograph(name: str) -> NDArray[np.uint8]:
    """Return one of scikit-image's pictures, 0 to 255."""
    from skimage import data

    picture: NDArray[np.uint8] = getattr(data, name)()
    return picture


def resized(picture: NDArray[Any], width: int, height: int, how: str = "BILINEAR") -> NDArray[np.float32]:
    """Return an RGB picture in another size: (height, width, 3), float32, 0 to 255."""
    from PIL import Image

    scaled = Image.fromarray(picture).convert("RGB").resize((width, height), Image.Resampling[how])
    return np.asarray(scaled, np.float32)


def channels_first(picture: NDArray[Any]) -> NDArray[np.float32]:
    """Return (H, W, C) as a float32 batch of one, (1, C, H, W)."""
    return np.ascontiguousarray(picture.transpose(2, 0, 1)[None], np.float32)


@real_input("mobilenetv2")
def mobilenetv2(path: Path) -> RealModel:
    """Make scikit-image's cat, shorter side 256, the middle 224x224, ImageNet mean and deviation."""
    picture = resized(photograph("chelsea"), 384, 256)[16:240, 80:304]
    classes = json.loads(path.with_name("imagenet_classes.json").read_text(encoding="utf-8"))
    feeds = {"data": channels_first((picture / 255 - IMAGENET_MEAN) / IMAGENET_STD)}
    output = "mobilenetv20_output_flatten0_reshape0"
    return RealModel(
        feeds,
        output=output,
        target=(0, 285),
        expected=0.94,
        tolerance=0.03,
        top=True,
        says=f"a photograph of a cat: {classes[285]} (Egyptian cat)",
        read=lambda outputs: float(softmax(outputs[output])[0, 285]),
    )


def _digit(wanted: int) -> NDArray[np.float32]:
    """Return one handwritten digit, (28, 28), float32, 0 to 255."""
    with np.load(DIGITS) as samples:
        found: NDArray[np.float32] = samples["images"][samples["labels"] == wanted][0].astype(np.float32)
    return found


@real_input("mnist")
def mnist(path: Path) -> RealModel:
    """Make a handwritten 0 with raw values 0 to 255; the model's output is a log-probability."""
    return RealModel(
        {"input": _digit(0)[None, None]},
        output="output",
        target=(0, 0),
        expected=0.0,
        top=True,
        says="a handwritten 0: the class 0",
    )


@real_input("mnist_tf")
def mnist_tf(path: Path) -> RealModel:
    """Make a handwritten 1 with raw values 0 to 255, channels last."""
    return RealModel(
        {"conv2d_input": _digit(1)[None, :, :, None]},
        output="dense_1",
        target=(0, 1),
        expected=1.0,
        top=True,
        says="a handwritten 1: the class 1",
    )


@real_input("shapes")
def shapes(path: Path) -> RealModel:
    """Draw a dark triangle on a light ground, grey values 0 to 1, as in the training data."""
    from PIL import Image, ImageDraw

    drawing = Image.new("L", (64, 64), 204)
    ImageDraw.Draw(drawing).polygon([(24, 16), (22, 45), (49, 33)], fill=51)
    picture = np.asarray(drawing, np.float32) / 255
    return RealModel(
        {"input": picture[None, None]},
        output="output",
        target=(0, 1),
        expected=0.0,
        top=True,
        says="a dark triangle on a light ground: the class triangle (the other is circle)",
    )


@real_input("leafsnap")
def leafsnap(path: Path) -> RealModel:
    """Read the leaf of a red maple, 128x128, values 0 to 1."""
    from PIL import Image

    with Image.open(path.with_name("leafsnap_photo.jpg")) as file:
        picture = np.asarray(file.convert("RGB"), np.float32)
    return RealModel(
        {"input": channels_first(picture / 255)},
        output="output",
        target=(0, 3),
        expected=2.12,
        tolerance=0.2,
        top=True,
        says="a photograph of a red maple's leaf: the class acer_rubrum",
    )


@real_input("opennsfw")
def opennsfw(path: Path) -> RealModel:
    """Make the astronaut: 256x256, the middle 224x224, channels last and BGR, the mean taken off."""
    picture = resized(photograph("astronaut"), 256, 256)[16:240, 16:240, ::-1]
    return RealModel(
        {"input:0": np.ascontiguousarray(picture - np.array([104, 117, 123], np.float32))[None]},
        output="outputs",
        target=(0, 0),
        expected=0.98,
        top=True,
        says="the portrait of an astronaut: safe for work",
    )
