"""Pictures to try: written anew, so that nothing but their pixels is published."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from onnxplain.image_files import load_pixels

__all__ = ["write_pictures"]

#: Longer side of a picture on the page.
_SIDE = 1024


def write_pictures(
    paths: Iterable[str | os.PathLike[str]], channels: int, site: Path
) -> list[dict[str, str]]:
    """Put pictures into a site, as far as the model sees them: upright, in its channels.

    Parameters
    ----------
    paths
        Of anything that Pillow reads.
    channels
        1, 3 or 4.
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
    made = []
    for number, path in enumerate([paths] if isinstance(paths, (str, os.PathLike)) else paths):
        pixels = load_pixels(path, channels)[0]
        picture = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
        picture.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
        file = Path("examples", f"{number}.png")
        (site / file).parent.mkdir(exist_ok=True)
        picture.save(site / file, optimize=True)
        made.append({"file": file.as_posix(), "name": Path(path).stem.replace("_", " ")})
    return made
