"""From an image file to what a model takes, with every step said in words."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np

from onnxplain.errors import DataInputError
from onnxplain.files import check_source
from onnxplain.preprocessing import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    MODES,
    PRESETS,
    Preprocessing,
    preprocessing_for,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from PIL import Image

__all__ = [
    "ENDINGS",
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "PRESETS",
    "LoadedImage",
    "Preprocessing",
    "load_for",
    "load_image",
    "load_pixels",
    "preprocessing_for",
]

#: What is taken for an image in a folder.
ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")


@dataclass(frozen=True)
class LoadedImage:
    """An image, ready for the model.

    Attributes
    ----------
    array
        (1, C, H, W) or (1, H, W, C), float32 or what a model's input takes.
    steps
        What was done, in words and in order.
    preprocessing
        The numbers behind it.
    """

    array: NDArray[Any]
    steps: tuple[str, ...]
    preprocessing: Preprocessing

    def filled(self, level: float) -> NDArray[np.float32]:
        """Make an input of the same shape from a plain grey image: 0 is black, 1 white."""
        plan = self.preprocessing
        last = self.array.shape if plan.layout == "NHWC" else np.moveaxis(self.array, 1, -1).shape
        return plan.arithmetic(np.full(last, 255.0 * level))


def load_image(
    path: str | os.PathLike[str] | BinaryIO,
    *,
    name: str | None = None,
    size: tuple[int, int] | None = None,
    layout: str = "NCHW",
    channels: int = 3,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    scale: float | None = None,
    preset: str | None = None,
) -> LoadedImage:
    """Read an image file and bring it into a model's form.

    Resizing is bilinear. The picture's own orientation mark is obeyed, transparency is laid over
    white (unless the model takes 4 channels), and 16-bit pixels are brought to 0..255.

    Parameters
    ----------
    path
        Anything that Pillow reads, or such a file that is open already.
    name
        What messages call it; by default its path.
    size
        (height, width); the image's own by default.
    layout
        ``"NCHW"`` or ``"NHWC"``.
    channels
        1, 3 or 4.
    mean, std
        One number, or one per channel, for the scaled values; 0 and 1 by default.
    scale
        What pixels of 0..255 are multiplied by; 1/255 by default.
    preset
        ``"imagenet"``: shorter side to 256, middle 224 x 224 (both in proportion to another ``size``),
        1/255, ImageNet's mean and standard deviation. Other arguments overrule it.

    Returns
    -------
    LoadedImage

    Raises
    ------
    DataInputError
        If the file is missing or no image, or an argument makes no sense.
    """
    plan = Preprocessing.named(
        preset, size=size, layout=layout, channels=channels, mean=mean, std=std, scale=scale
    )
    steps: list[str] = []
    image = _resize(_open(path, name, channels, steps), plan, steps)
    pixels = np.asarray(image, np.float64)
    array = plan.arithmetic(pixels.reshape(1, image.height, image.width, channels))
    steps.append(_arithmetic(plan))
    steps.append(f"{plan.layout} {' x '.join(map(str, array.shape))}")
    return LoadedImage(array, tuple(steps), plan)


def load_pixels(path: str | os.PathLike[str], channels: int) -> NDArray[np.uint8]:
    """Read an image file as it is, upright, with as many channels as are asked for.

    Returns
    -------
    array
        uint8, (1, H, W, C).

    Raises
    ------
    DataInputError
        If the file is missing or no image.
    """
    image = _open(path, None, channels, [])
    return np.asarray(image, np.uint8).reshape(1, image.height, image.width, channels)


def load_for(
    path: str | os.PathLike[str] | BinaryIO, entry: Any, options: Mapping[str, Any], name: str | None = None
) -> LoadedImage:
    """Read an image file for an input of a model.

    Parameters
    ----------
    path, name
        As :func:`load_image` takes them.
    entry
        The input, with ``name``, ``shape`` and ``dtype``.
    options
        ``size``, ``layout``, ``mean``, ``std``, ``scale`` and ``preset`` as :func:`load_image` takes them;
        None, or left out, where the input says it.

    Returns
    -------
    LoadedImage
        Its array has the input's dtype.

    Raises
    ------
    DataInputError
        If the file is missing or no image, the input takes none, or an option makes no sense.
    """
    if not hasattr(path, "read"):
        check_source(cast("str", path), "image", DataInputError)
    asked = {key: value for key, value in options.items() if key not in ("layout", "size")}
    layout, channels, size = preprocessing_for(entry.shape, options.get("layout"), options.get("size"))
    image = load_image(path, name=name, size=size, layout=layout, channels=channels, **asked)
    array: NDArray[Any] = image.array
    if np.issubdtype(entry.dtype, np.integer):
        if asked.get("scale") is None and asked.get("preset") is None:
            raise DataInputError(
                f"input '{entry.name}' takes whole numbers ({entry.dtype}): give --scale 1 for pixels "
                "of 0..255"
            )
        array = np.round(array)
    return replace(image, array=array.astype(entry.dtype, copy=False))


def _open(
    path: str | os.PathLike[str] | BinaryIO, name: str | None, channels: int, steps: list[str]
) -> Image.Image:
    from PIL import Image, ImageOps, UnidentifiedImageError

    if hasattr(path, "read"):
        file, shown = path, name or "image"
    else:
        file = Path(path)
        shown = name or file.name
        check_source(file, "image", DataInputError)
    told = name or str(path)
    try:
        with Image.open(file) as held:
            held.load()
            image: Image.Image = ImageOps.exif_transpose(held)
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        raise DataInputError(
            f"'{told}' cannot be read as an image ({error}); give a PNG or JPEG file, or an array as .npy"
        ) from error
    steps.append(f"{shown}: {image.height} x {image.width}")
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) / 257.0).round().astype(np.uint8))
        steps.append("16 bits to 8")
    elif image.mode in ("I", "F"):
        pixels = np.asarray(image, np.float64)
        if not bool(np.isfinite(pixels).all()):
            raise DataInputError(f"'{told}' holds pixels that are no numbers")
        if pixels.min() < 0 or pixels.max() > 255:
            if pixels.min() < 0 or pixels.max() > 65535:
                raise DataInputError(f"'{told}' holds pixels outside 0..65535; save it with 8 bits a channel")
            pixels = pixels / 257.0
            steps.append("16 bits to 8")
        image = Image.fromarray(pixels.round().astype(np.uint8))
    mode = MODES[channels]
    if channels != 4 and (image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info):
        transparent = image.convert("RGBA")
        image = Image.new("RGBA", image.size, "white")
        image.alpha_composite(transparent)
        steps.append("laid over white")
    if image.mode != mode:
        steps.append({"L": "to grey", "RGB": "to RGB", "RGBA": "to RGBA"}[mode])
        image = image.convert(mode)
    return image


def _resize(image: Image.Image, plan: Preprocessing, steps: list[str]) -> Image.Image:
    from PIL import Image

    if plan.size is None or (plan.crop is None and (image.height, image.width) == plan.size):
        return image
    height, width = plan.size
    if plan.crop is None:
        steps.append(f"resized to {height} x {width} (bilinear)")
        return image.resize((width, height), Image.Resampling.BILINEAR)
    # The shorter side for a square crop; for other crops the smallest picture that covers it.
    factor = max(height / image.height, width / image.width) * plan.crop / 224.0
    wide = max(width, round(image.width * factor))
    high = max(height, round(image.height * factor))
    left, top = (wide - width) // 2, (high - height) // 2
    steps.append(f"resized to {high} x {wide} (bilinear)")
    steps.append(f"middle {height} x {width}")
    return image.resize((wide, high), Image.Resampling.BILINEAR).crop((left, top, left + width, top + height))


def _arithmetic(plan: Preprocessing) -> str:
    def shown(numbers: tuple[float, ...]) -> str:
        return ", ".join(f"{number:g}" for number in numbers)

    inverse = 1.0 / plan.scale
    told = "pixels as they are"
    if plan.scale != 1.0:
        told = f"/ {inverse:g}" if abs(inverse - round(inverse)) < 1e-9 else f"* {plan.scale:g}"
    if any(plan.mean):
        told += f", minus mean ({shown(plan.mean)})"
    if any(number != 1.0 for number in plan.std):
        told += f", divided by std ({shown(plan.std)})"
    return told
