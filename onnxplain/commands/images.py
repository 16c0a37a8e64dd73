"""From an image file to what a model takes, with every step said in words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from onnxplain.errors import DataInputError
from onnxplain.files import check_source

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from PIL import Image

__all__ = ["LoadedImage", "Preprocessing", "load_image", "preprocessing_for"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
PRESETS = ("imagenet",)
LAYOUTS = ("NCHW", "NHWC")
MODES = {1: "L", 3: "RGB", 4: "RGBA"}


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes a model's input: ``(pixel * scale - mean) / std``.

    Attributes
    ----------
    size
        (height, width) to bring the image to; None keeps its own.
    layout
        ``"NCHW"`` (channels first) or ``"NHWC"`` (channels last).
    channels
        1 (grey), 3 (RGB) or 4 (RGBA).
    mean, std
        Per channel, or one for all; in the unit of the scaled values.
    scale
        What the pixels, 0 to 255, are multiplied by first.
    crop
        The shorter side is resized to this many pixels for each 224 of ``size`` and the middle cut
        out; None resizes straight to ``size``, whatever that does to the proportions.
    """

    size: tuple[int, int] | None = None
    layout: str = "NCHW"
    channels: int = 3
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    scale: float = 1.0 / 255.0
    crop: int | None = None


@dataclass(frozen=True)
class LoadedImage:
    """An image, ready for the model.

    Attributes
    ----------
    array
        float32, (1, C, H, W) or (1, H, W, C).
    steps
        What was done, in words and in order.
    preprocessing
        The numbers behind it.
    """

    array: NDArray[np.float32]
    steps: tuple[str, ...]
    preprocessing: Preprocessing

    def filled(self, level: float) -> NDArray[np.float32]:
        """Make an input of the same shape from a plain grey image: 0 is black, 1 white."""
        plan = self.preprocessing
        last = self.array.shape if plan.layout == "NHWC" else np.moveaxis(self.array, 1, -1).shape
        return _normalise(np.full(last, 255.0 * level), plan)


def load_image(
    path: str | os.PathLike[str],
    *,
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
        Anything that Pillow reads.
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
    if preset not in (None, *PRESETS):
        raise DataInputError(f"there is no preset '{preset}'; known: {', '.join(PRESETS)}")
    imagenet = preset == "imagenet"
    if imagenet and channels != 3:
        raise DataInputError(f"the preset imagenet is for 3 channels, and this model takes {channels}")
    plan = Preprocessing(
        size=size or ((224, 224) if imagenet else None),
        layout=layout.upper(),
        channels=channels,
        mean=tuple(mean) if mean is not None else IMAGENET_MEAN if imagenet else (0.0,),
        std=tuple(std) if std is not None else IMAGENET_STD if imagenet else (1.0,),
        scale=scale if scale is not None else 1.0 / 255.0,
        crop=256 if imagenet else None,
    )
    _check(plan)
    file = Path(path)
    steps: list[str] = []
    image = _resize(_open(file, channels, steps), plan, steps)
    pixels = np.asarray(image, np.float64)
    array = _normalise(pixels.reshape(1, image.height, image.width, channels), plan)
    steps.append(_arithmetic(plan))
    steps.append(f"{plan.layout} {' x '.join(map(str, array.shape))}")
    return LoadedImage(array, tuple(steps), plan)


def preprocessing_for(
    shape: Sequence[int | str | None], layout: str | None = None, size: tuple[int, int] | None = None
) -> tuple[str, int, tuple[int, int] | None]:
    """Tell from a model's input shape which layout, channels and size it takes.

    Parameters
    ----------
    shape
        Four axes; text or None where the length is free.
    layout
        Asked for by the user; None to guess: the axis of length 1, 3 or 4 holds the channels.
    size
        (height, width) asked for by the user; None for the model's own.

    Returns
    -------
    layout : str
    channels : int
    size : tuple of int, or None where the model leaves it free

    Raises
    ------
    DataInputError
        If the input is no image, or what the user asked for does not fit it.
    """
    shown = " x ".join(str(length) if length is not None else "?" for length in shape)
    if len(shape) != 4:
        raise DataInputError(f"the model's input ({shown}) is no image: give an .npy file instead")
    wanted = layout.upper() if layout else None
    if wanted not in (None, *LAYOUTS):
        raise DataInputError(f"layout must be NCHW or NHWC, not '{layout}'")
    if wanted is None:
        first, last = shape[1] in MODES, shape[3] in MODES
        wanted = "NHWC" if last and not first else "NCHW"
    found = shape[1] if wanted == "NCHW" else shape[3]
    sides = shape[2:] if wanted == "NCHW" else shape[1:3]
    channels = found if isinstance(found, int) else 3
    if channels not in MODES:
        raise DataInputError(
            f"read as {wanted}, the model's input ({shown}) has {channels} channels, and an image has 1, 3 "
            "or 4: try the other --layout, or give an .npy file"
        )
    fixed = [length if isinstance(length, int) and length > 0 else None for length in sides]
    if size is not None:
        for own, asked in zip(fixed, size, strict=True):
            if own is not None and own != asked:
                raise DataInputError(
                    f"the model takes images of {fixed[0] or '?'} x {fixed[1] or '?'} (height x width), "
                    f"not {size[0]} x {size[1]}: leave --size out"
                )
        return wanted, channels, size
    height, width = fixed
    return wanted, channels, (height, width) if height is not None and width is not None else None


def _open(file: Path, channels: int, steps: list[str]) -> Image.Image:
    from PIL import Image, ImageOps, UnidentifiedImageError

    check_source(file, "image", DataInputError)
    try:
        with Image.open(file) as held:
            held.load()
            image: Image.Image = ImageOps.exif_transpose(held)
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        raise DataInputError(
            f"'{file}' cannot be read as an image ({error}); give a PNG or JPEG file, or an array as .npy"
        ) from error
    steps.append(f"{file.name}: {image.height} x {image.width}")
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) / 257.0).round().astype(np.uint8))
        steps.append("16 bits to 8")
    elif image.mode in ("I", "F"):
        pixels = np.asarray(image, np.float64)
        if not bool(np.isfinite(pixels).all()):
            raise DataInputError(f"'{file}' holds pixels that are no numbers")
        if pixels.min() < 0 or pixels.max() > 255:
            if pixels.min() < 0 or pixels.max() > 65535:
                raise DataInputError(f"'{file}' holds pixels outside 0..65535; save it with 8 bits a channel")
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


def _normalise(pixels: NDArray[np.float64], plan: Preprocessing) -> NDArray[np.float32]:
    """Scale and shift (1, H, W, C), and bring it into the layout."""
    scaled = (pixels * plan.scale - np.asarray(plan.mean)) / np.asarray(plan.std)
    if plan.layout == "NCHW":
        scaled = np.moveaxis(scaled, -1, 1)
    return np.ascontiguousarray(scaled, dtype=np.float32)


def _check(plan: Preprocessing) -> None:
    if plan.channels not in MODES:
        raise DataInputError(f"an image has 1, 3 or 4 channels, not {plan.channels}")
    if plan.layout not in LAYOUTS:
        raise DataInputError(f"layout must be NCHW or NHWC, not '{plan.layout}'")
    if plan.size is not None and min(plan.size) < 1:
        raise DataInputError(f"size must be at least 1 x 1, not {plan.size[0]} x {plan.size[1]}")
    if not np.isfinite(plan.scale) or plan.scale == 0:
        raise DataInputError(f"scale must be a number other than 0, not {plan.scale}")
    for name, numbers in (("mean", plan.mean), ("std", plan.std)):
        if len(numbers) not in (1, plan.channels):
            raise DataInputError(
                f"{name} has {len(numbers)} numbers; give one, or one for each of {plan.channels} channels"
            )
        if not bool(np.isfinite(numbers).all()) or (name == "std" and min(numbers) <= 0):
            raise DataInputError(f"{name} must hold finite numbers{', above 0' if name == 'std' else ''}")


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
