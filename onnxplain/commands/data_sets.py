"""Many samples from files: arrays, tables, an image, or a folder of images; and the truth about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from onnxplain.archive import read_array, read_arrays
from onnxplain.commands import tables
from onnxplain.commands.arguments import read, refuse_ids, refuse_image_options
from onnxplain.errors import DataInputError
from onnxplain.files import check_source
from onnxplain.image_files import ENDINGS
from onnxplain.table_files import holds_table

if TYPE_CHECKING:
    from onnxplain._types import Array
    from onnxplain.explainer import Explainer
    from onnxplain.image_files import LoadedImage

__all__ = ["LoadedData", "load_data", "load_masks"]

_BRIGHT = 127


@dataclass(frozen=True, eq=False)
class LoadedData:
    """Samples from files.

    Attributes
    ----------
    inputs
        As explainers take them.
    n
        How many; None where that is for the explainer to tell.
    wrt
        The input to explain, if one was named.
    image
        The first picture, where they are pictures.
    files
        The pictures, in order.
    """

    inputs: Any
    n: int | None
    wrt: str | None = None
    image: LoadedImage | None = None
    files: tuple[Path, ...] = ()


def load_data(
    source: Path,
    explainer: Explainer,
    name: str | None,
    options: Mapping[str, Any],
    ids: Sequence[str],
    first: int | None,
) -> LoadedData:
    """Read samples.

    Parameters
    ----------
    source
        ``.npy``, ``.npz``, a table, an image, or a folder of images.
    explainer
        What they are for.
    name
        Which input a single array is for; for ``.npz``: which to explain.
    options
        Of images, None where not given.
    ids
        Columns of a table that only say which row is which.
    first
        How many samples to take, the first; None for all.

    Raises
    ------
    DataInputError
        If something cannot be read, or does not fit.
    """
    if source.is_dir():
        refuse_ids(ids)
        return _folder(source, explainer, name, options, first)
    if holds_table(source):
        refuse_image_options(options, source.suffix)
        table = tables.load_table(source, explainer, ids)
        columns = {k: v[:first] for k, v in table.columns.items()}
        return LoadedData(columns, len(next(iter(columns.values()))))
    refuse_ids(ids)
    inputs, wrt, image = read(source, explainer.inputs, name, options)
    if image is not None:
        return LoadedData(inputs, 1, wrt, image, (source,))
    lengths = {len(v) for v in inputs.values() if v.ndim}
    if len(lengths) != 1:  # some are no samples
        if first is not None:
            raise DataInputError(
                f"-n {first}: the arrays of '{source}' have {sorted(lengths)} rows, so it cannot be told "
                "which are samples; leave -n out"
            )
        return LoadedData(inputs, None, wrt)
    return LoadedData({k: v[:first] for k, v in inputs.items()}, min(lengths.pop(), first or 2**63), wrt)


def load_masks(path: Path | None, data: LoadedData) -> Any:
    """Read what should be found: arrays, a picture that is bright there, or a folder of such.

    Raises
    ------
    DataInputError
        If something cannot be read, or there is not one for each sample.
    """
    if path is None:
        return None
    ending = path.suffix.lower()
    if path.is_dir():
        return _masks(_pictures(path), data, path)
    if ending in (".npy", ".npz"):
        held = {"": read_array(path)} if ending == ".npy" else read_arrays(path)
        cut = {k: v[: data.n] if v.ndim and data.n is not None else v for k, v in held.items()}
        return cut[""] if ending == ".npy" else cut
    return _masks([path], data, path)


def _folder(
    source: Path, explainer: Explainer, name: str | None, options: Mapping[str, Any], first: int | None
) -> LoadedData:
    files = _pictures(source)[:first]
    parts: list[Mapping[str, Array]] = []
    image: LoadedImage | None = None
    for file in files:
        inputs, _, one = read(file, explainer.inputs, name, options)
        image = image or one
        parts.append(inputs)
        ((key, array),) = inputs.items()
        if array.shape != parts[0][key].shape:
            raise DataInputError(
                f"'{file}' becomes an array of shape {array.shape}, and '{files[0]}' one of "
                f"{parts[0][key].shape}; bring them to one size with --size"
            )
    joined = {k: np.concatenate([p[k] for p in parts]) for k in parts[0]}
    return LoadedData(joined, len(files), None, image, tuple(files))


def _pictures(folder: Path) -> list[Path]:
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in ENDINGS and not p.name.startswith("."))
    if not files:
        raise DataInputError(f"the folder '{folder}' holds no images ({', '.join(ENDINGS)})")
    return files


def _masks(files: Sequence[Path], data: LoadedData, path: Path) -> Array:
    """Read pictures of masks: of the samples' names where there are such, else in order."""
    if data.image is None:
        raise DataInputError(f"--masks {path}: pictures, and DATA are none; give .npy or .npz")
    by_name = {file.stem: file for file in files}
    named = [by_name.get(file.stem) for file in data.files]
    chosen = [file for file in named if file is not None]
    if len(chosen) < len(named):
        if len(files) != len(named):
            raise DataInputError(
                f"--masks {path}: {len(files)} pictures for {len(named)} samples, and none is called as "
                f"'{data.files[named.index(None)].name}' is; give one for each"
            )
        chosen = list(files)
    return np.stack([_mask(file, data.image) for file in chosen])


def _mask(file: Path, like: LoadedImage) -> Array:
    """Read a mask, and bring it to the size of the samples."""
    check_source(file, "mask", DataInputError)
    if like.preprocessing.crop is not None:
        raise DataInputError(
            f"--masks {file}: the preset cuts pictures out, and masks are not; give masks as .npy"
        )
    height, width = like.array.shape[2:] if like.preprocessing.layout == "NCHW" else like.array.shape[1:3]
    try:
        with Image.open(file) as picture:
            grey = picture.convert("L").resize((width, height), Image.Resampling.NEAREST)
    except OSError as error:
        raise DataInputError(f"'{file}' is no picture of a mask, and no .npy array: {error}") from None
    return np.asarray(grey) > _BRIGHT
