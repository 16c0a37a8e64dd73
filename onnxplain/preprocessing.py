"""How an image becomes what a model takes: numbers, and which of them a model's input tells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from onnxplain._types import Array
from onnxplain.errors import DataInputError

__all__ = ["IMAGENET_MEAN", "IMAGENET_STD", "MODES", "PRESETS", "Preprocessing", "preprocessing_for"]

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

    def __post_init__(self) -> None:
        if self.channels not in MODES:
            raise DataInputError(f"an image has 1, 3 or 4 channels, not {self.channels}")
        if self.layout not in LAYOUTS:
            raise DataInputError(f"layout must be NCHW or NHWC, not '{self.layout}'")
        if self.size is not None and min(self.size) < 1:
            raise DataInputError(f"size must be at least 1 x 1, not {self.size[0]} x {self.size[1]}")
        if not np.isfinite(self.scale) or self.scale == 0:
            raise DataInputError(f"scale must be a number other than 0, not {self.scale}")
        for name, numbers in (("mean", self.mean), ("std", self.std)):
            if len(numbers) not in (1, self.channels):
                raise DataInputError(
                    f"{name} has {len(numbers)} numbers; give one, or one for each of {self.channels} "
                    "channels"
                )
            if not bool(np.isfinite(numbers).all()) or (name == "std" and min(numbers) <= 0):
                raise DataInputError(f"{name} must hold finite numbers{', above 0' if name == 'std' else ''}")

    def apply(self, images: Array, what: str = "images") -> Array:
        """Make of images what a model takes, as an exported file with this preprocessing does.

        Parameters
        ----------
        images
            uint8 (N, H, W, C), of any height and width.
        what
            How errors call them.

        Returns
        -------
        array
            float32, (N, C, H, W) or (N, H, W, C) by ``layout``.

        Raises
        ------
        DataInputError
            If these are no such images.
        """
        given = np.asarray(images)
        if given.dtype != np.uint8 or given.ndim != 4 or given.shape[3] != self.channels or not given.size:
            raise DataInputError(
                f"{what} must be uint8 (N, H, W, {self.channels}), not {given.dtype} {given.shape}; give "
                "the images as they are read"
            )
        return self.arithmetic(given if self.size is None else self._resized(given, self.size))

    def arithmetic(self, pixels: Array) -> Array:
        """Scale, shift and lay out pixels, 0 to 255, (N, H, W, C), that have the right size; float32."""
        made = (pixels.astype(np.float64) * self.scale - np.asarray(self.mean)) / np.asarray(self.std)
        if self.layout == "NCHW":
            made = np.moveaxis(made, -1, 1)
        return np.ascontiguousarray(made, np.float32)

    def _resized(self, images: Array, size: tuple[int, int]) -> Array:
        """Resize (N, H, W, C), and cut out the middle where that is asked for."""
        lengths, whole, first = images.shape[1:3], size, (0, 0)
        if self.crop is not None:
            factor = max(w / n for w, n in zip(size, lengths, strict=True)) * self.crop / 224.0
            high, wide = (max(w, round(n * factor)) for w, n in zip(size, lengths, strict=True))
            whole, first = (high, wide), ((high - size[0]) // 2, (wide - size[1]) // 2)
        down, along = (_filter(*each) for each in zip(lengths, whole, first, size, strict=True))
        pixels = np.moveaxis(images, 3, 1).astype(np.float64)
        return np.moveaxis(_whole(down @ _whole(pixels @ along.T)), 1, 3)

    @classmethod
    def named(
        cls,
        preset: str | None = None,
        *,
        size: tuple[int, int] | None = None,
        layout: str = "NCHW",
        channels: int = 3,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        scale: float | None = None,
    ) -> Preprocessing:
        """Make it from a preset's numbers (``"imagenet"``), of which others take the place.

        Raises
        ------
        DataInputError
            If there is no such preset, or an argument makes no sense.
        """
        if preset not in (None, *PRESETS):
            raise DataInputError(f"there is no preset '{preset}'; known: {', '.join(PRESETS)}")
        imagenet = preset == "imagenet"
        if imagenet and channels != 3:
            raise DataInputError(f"the preset imagenet is for 3 channels, and this model takes {channels}")
        return cls(
            size=size or ((224, 224) if imagenet else None),
            layout=layout.upper(),
            channels=channels,
            mean=tuple(mean) if mean is not None else IMAGENET_MEAN if imagenet else (0.0,),
            std=tuple(std) if std is not None else IMAGENET_STD if imagenet else (1.0,),
            scale=scale if scale is not None else 1.0 / 255.0,
            crop=256 if imagenet else None,
        )


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


def _filter(before: int, after: int, first: int, length: int) -> Array:
    """Return the matrix, (length, before), that resizes a line to ``after``, from its place ``first`` on."""
    scale = before / after
    centres = (np.arange(length) + first + 0.5) * scale
    apart = np.abs(np.arange(before) + 0.5 - centres[:, None])
    near = np.maximum(1.0 - apart / max(scale, 1.0), 0.0)
    made: Array = near / near.sum(1, keepdims=True)
    return made


def _whole(pixels: Array) -> Array:
    """Return the nearest whole numbers; half-way ones go up, whatever order sums were taken in."""
    made: Array = np.clip(np.floor(pixels + (0.5 + 1e-9)), 0.0, 255.0)
    return made
