"""Pictures to try: written anew, so that nothing but their pixels is published."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from onnxplain._types import Array
from onnxplain.errors import DataInputError
from onnxplain.files import check_source

__all__ = ["picture_of", "write_pictures"]

#: Longer side of a picture on the page.
_SIDE = 1024


def write_pictures(paths: Iterable[str | os.PathLike[str]], site: Path) -> list[dict[str, str]]:
    """Put pictures into a site.

    Parameters
    ----------
    paths
        Of anything that Pillow reads.
    site
        Folder of the site.

    Returns
    -------
    list of dict
        ``file``, relative to the site, and ``name``.

    Raises
    ------
    DataInputError
        If one is missing, or no picture.
    """
    if isinstance(paths, (str, os.PathLike)):
        paths = [paths]
    made = []
    for number, path in enumerate(paths):
        picture = _read(path)
        picture.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
        folder = site / "examples"
        folder.mkdir(exist_ok=True)
        name = f"{number}.png"
        picture.save(folder / name, optimize=True)
        made.append({"file": f"examples/{name}", "name": Path(path).stem.replace("_", " ")})
    return made


def picture_of(path: Path, mode: str) -> Array:
    """Return the pixels of a picture of the site, uint8 (1, H, W, C), as the page makes them."""
    with Image.open(path) as picture:
        whole = picture.convert("RGBA")
        if mode != "RGBA":
            white = Image.new("RGBA", whole.size, "white")
            white.alpha_composite(whole)
            whole = white
        pixels: Array = np.asarray(whole.convert(mode))
    return pixels.reshape(1, *pixels.shape[:2], -1)


def _read(path: Any) -> Image.Image:
    check_source(path, "picture", DataInputError)
    try:
        with Image.open(path) as held:
            upright = ImageOps.exif_transpose(held)
            transparent = "A" in upright.mode or "transparency" in upright.info
            return upright.convert("RGBA" if transparent else "RGB")
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        raise DataInputError(
            f"'{path}' cannot be read as a picture ({error}); give a PNG or JPEG file"
        ) from error
