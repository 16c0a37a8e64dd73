"""Real inputs for models that read text in pictures or cut objects out of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ._case import Outputs, RealModel, real_input
from .images import IMAGENET_MEAN, IMAGENET_STD, channels_first, photograph, resized

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

LINE = (slice(6, 34), slice(2, 300))  # the heading of scikit-image's page
HEADING = "Region-based segmentation"


def _half_range(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale 0..255 to -1..1 and put the channels first."""
    return channels_first(picture / 127.5 - 1)


@real_input("ocr_det")
def ocr_det(path: Path) -> RealModel:
    """Make scikit-image's page at twice its size (both sides multiples of 32)."""

    def inked(outputs: Outputs) -> float:
        # Mean over the heading minus mean over the empty strip below it.
        text = outputs["sigmoid_0.tmp_0"][0, 0]
        return float(text[41:47, 40:560].mean() - text[64:96, 40:560].mean())

    return RealModel(
        {"x": _half_range(resized(photograph("page"), 768, 384))},
        output="sigmoid_0.tmp_0",
        target=(0, 0, 44, 200),
        expected=1.0,
        tolerance=0.05,
        says="a photographed page: text where the heading is, none below it",
        read=inked,
    )


@real_input("ocr_rec")
def ocr_rec(path: Path) -> RealModel:
    """Cut the heading out of scikit-image's page, 48 pixels high."""
    import onnx

    line = photograph("page")[LINE]
    width = round(line.shape[1] * 48 / line.shape[0])
    properties = onnx.load(path).metadata_props
    letters = next(entry.value for entry in properties if entry.key == "character").splitlines()
    alphabet = ["", *letters, " "]

    def text(outputs: Outputs) -> str:
        best = outputs["softmax_11.tmp_0"][0].argmax(-1)
        kept = [now for now, before in zip(best, [0, *best[:-1]], strict=True) if now != before]
        return "".join(alphabet[letter] for letter in kept)

    return RealModel(
        {"x": _half_range(resized(line, width, 48))},
        output="softmax_11.tmp_0",
        target=(0, 2, alphabet.index("R")),
        expected=HEADING,
        top=True,
        says=f"a line of a photographed page: it reads {HEADING!r}",
        read=text,
    )


@real_input("ocr_cls")
def ocr_cls(path: Path) -> RealModel:
    """Cut the heading's start out of scikit-image's page, 48x192, upside down."""
    line = photograph("page")[LINE][:, :108]
    return RealModel(
        {"x": _half_range(resized(np.ascontiguousarray(line[::-1, ::-1]), 192, 48))},
        output="save_infer_model/scale_0.tmp_1",
        target=(0, 1),
        expected=1.0,
        tolerance=0.1,
        top=True,
        says="a line of text upside down: turned by 180 degrees",
    )


def _face_minus_corner(output: str, scale: float) -> Callable[[Outputs], float]:
    """Return a reader: mean of a 512-pixel matte over the astronaut's face minus mean over the top left."""

    def read(outputs: Outputs) -> float:
        matte = outputs[output][0, 0]
        face = matte[int(60 * scale) : int(160 * scale), int(180 * scale) : int(260 * scale)]
        return float(face.mean() - matte[: int(60 * scale), int(100 * scale) : int(140 * scale)].mean())

    return read


@real_input("yunet")
def yunet(path: Path) -> RealModel:
    """Make the astronaut in 640x640, blue green red, values 0 to 255; her face is one place of stride 32."""
    picture = resized(photograph("astronaut"), 640, 640)
    return RealModel(
        {"input": np.ascontiguousarray(channels_first(picture)[:, ::-1])},
        output="cls_32",
        target=(0, 88, 0),
        expected=0.9,
        tolerance=0.1,
        says="the portrait of an astronaut: a face, at the place where hers is",
    )


@real_input("u2netp")
def u2netp(path: Path) -> RealModel:
    """Make the astronaut in 320x320, ImageNet mean and deviation."""
    picture = resized(photograph("astronaut"), 320, 320, "BICUBIC")
    return RealModel(
        {"input.1": channels_first((picture / picture.max() - IMAGENET_MEAN) / IMAGENET_STD)},
        output="1959",
        target=(0, 0, 68, 137),
        expected=1.0,
        tolerance=0.1,
        says="the portrait of an astronaut: the face belongs to the object, the background does not",
        read=_face_minus_corner("1959", 320 / 512),
    )


@real_input("modnet")
def modnet(path: Path) -> RealModel:
    """Make the astronaut in 256x256, values -1 to 1."""
    return RealModel(
        {"input": _half_range(resized(photograph("astronaut"), 256, 256, "BICUBIC"))},
        output="output",
        target=(0, 0, 55, 110),
        expected=1.0,
        tolerance=0.1,
        says="the portrait of an astronaut: the face is foreground, the background is not",
        read=_face_minus_corner("output", 0.5),
    )
