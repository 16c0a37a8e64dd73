"""What a user types, turned into what an explainer takes."""

from __future__ import annotations

import ast
import dataclasses
import math
import re
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnxplain.archive import read_array, read_arrays
from onnxplain.automatic import AUTO
from onnxplain.errors import DataInputError, MethodError, OutputError
from onnxplain.files import check_destination, is_same_file
from onnxplain.image_files import LoadedImage, Preprocessing, load_for, preprocessing_for
from onnxplain.methods import METHODS, Method, method

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from onnxplain._types import Arrays

__all__ = [
    "amount",
    "baselines",
    "budget",
    "composite_options",
    "destinations",
    "feature_mask",
    "image_options",
    "make_method",
    "method_or_auto",
    "number",
    "numbers",
    "pair",
    "parameters",
    "read",
    "refuse_ids",
    "refuse_image_options",
    "refuse_two_baselines",
]

ENDINGS = (".png", ".svg", ".pdf", ".jpg", ".jpeg", ".npz", ".json", ".html", ".htm", ".csv")
LEVELS = {"black": 0.0, "white": 1.0}
MADE_OF_SAMPLES = ("blur", "mean", "uniform", "zero")


def parameters(texts: Sequence[str]) -> dict[str, Any]:
    """Read ``key=value`` pairs; values are Python literals (numbers with commas are a tuple), else text.

    Raises
    ------
    MethodError
        If a pair has no ``=`` or no name.
    """
    found: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        key = key.strip().replace("-", "_")
        if not equals or not key.isidentifier():
            raise MethodError(f"'--param {text}' is no key=value, such as n_steps=50")
        try:
            found[key] = ast.literal_eval(value.strip())
        except (ValueError, SyntaxError):
            found[key] = {"true": True, "false": False}.get(value.strip().lower(), value.strip())
    return found


def make_method(name: str, texts: Sequence[str], composite: str | None = None) -> Method:
    """Make a method from its name and ``key=value`` pairs.

    Parameters
    ----------
    name
        Of the method.
    texts
        Its parameters.
    composite
        Its parameter of that name, where it is given on its own.

    Raises
    ------
    MethodError
        If the name, a parameter or a value makes no sense.
    """
    given = parameters(texts)
    kind = type(method(name))
    if composite is not None:
        _refuse_composite(name, kind, composite, given)
        given["composite"] = composite
    return method(name, **given)


def method_or_auto(name: str, texts: Sequence[str], composite: str | None = None) -> str | Method:
    """Make a method as :func:`make_method` does; ``"auto"``, which takes nothing, stays a name.

    Raises
    ------
    MethodError
        If the name, a parameter or a value makes no sense.
    """
    if name != AUTO:
        return make_method(name, texts, composite)
    if texts or composite is not None:
        raise MethodError("method 'auto' takes neither --param nor --composite; name the method")
    return AUTO


def composite_options(texts: Sequence[str], composite: str | None) -> dict[str, Any]:
    """Read the options of a composite, as the method lrp takes them.

    Raises
    ------
    MethodError
        If there is no composite, or one of them makes no sense.
    """
    if composite is None:
        if texts:
            raise MethodError(f"--param {texts[0]}: for a composite; name one with --composite")
        return {}
    made = make_method("lrp", texts, composite)
    return {key: getattr(made, key) for key in parameters(texts)}


def _refuse_composite(name: str, kind: type[Method], composite: str, given: Mapping[str, Any]) -> None:
    """Refuse a composite that the method has no use for, or that is given twice."""
    if not _takes_composite(kind):
        others = ", ".join(key for key, other in METHODS.items() if _takes_composite(other))
        raise MethodError(
            f"--composite {composite}: method '{name}' takes no composite; use it with {others}"
        )
    if "composite" in given:
        raise MethodError(f"--composite {composite}: --param composite is given too; keep one of them")


def _takes_composite(kind: type[Method]) -> bool:
    return any(field.name == "composite" for field in dataclasses.fields(kind))  # type: ignore[arg-type]  # they are


def number(text: str, option: str) -> float:
    """Read a number or a fraction such as ``1/255``.

    Raises
    ------
    DataInputError
        If it is none.
    """
    try:
        value = float(Fraction(text.strip()))
    except (ValueError, ZeroDivisionError, OverflowError):
        value = math.nan
    if not math.isfinite(value):
        raise DataInputError(f"{option} {text}: give a number, such as 0.5 or 1/255")
    return value


def numbers(text: str, option: str) -> tuple[float, ...]:
    """Read numbers with commas between them."""
    return tuple(number(part, option) for part in text.split(","))


def budget(text: str | None) -> dict[str, Any]:
    """Read an amount of memory, such as 512MB or 2GB; nothing leaves it to the explainer.

    Raises
    ------
    DataInputError
        If it is none.
    """
    return {} if text is None else {"memory_budget": amount(text, "--memory-budget")}


def amount(text: str, option: str) -> int:
    """Read an amount of memory, such as 512MB or 2GB, in bytes.

    Raises
    ------
    DataInputError
        If it is none.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmg]?)i?b?\s*", text.casefold())
    if found is None or float(found[1]) == 0:
        raise DataInputError(f"{option} {text}: give an amount, such as 512MB or 2GB")
    return math.ceil(float(found[1]) * float(1024 ** " kmg".index(found[2] or " ")))


def pair(text: str) -> tuple[int, int]:
    """Read ``HxW``, or one number for a square.

    Raises
    ------
    DataInputError
        If it is neither.
    """
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.strip().isascii() and part.strip().isdigit() for part in parts):
        raise DataInputError(f"--size {text}: give height x width, such as 224x224")
    sides = [int(part) for part in parts]
    return sides[0], sides[-1]


def destinations(
    out: Sequence[Path] | None, source: Path, what: str, model: Path, ending: str = ".png"
) -> list[Path]:
    """Check the files to write before anything runs; by default one, SOURCE-WHAT with an ending.

    Raises
    ------
    DataInputError
        If an ending is unknown.
    OutputError
        If a file cannot be put there, or is what is read.
    """
    files = list(out or [Path(f"{source.stem}-{what}{ending}")])
    for file in files:
        if file.suffix.lower() not in ENDINGS:
            raise DataInputError(f"-o {file}: the ending says what to write; use one of {', '.join(ENDINGS)}")
        check_destination(file)
        if is_same_file(file, source) or is_same_file(file, model):
            raise OutputError(f"-o {file}: this file is read; give another to write")
    return files


def read(
    source: Path, inputs: Sequence[Any], name: str | None, image_options: Mapping[str, Any]
) -> tuple[Arrays, str | None, LoadedImage | None]:
    """Read the input file.

    Parameters
    ----------
    source
        An image, ``.npy`` or ``.npz``.
    inputs
        The model's inputs, with ``name`` and ``shape``.
    name
        Which of them a single array is for; for ``.npz``: which to explain.
    image_options
        Options of :func:`onnxplain.image_files.load_for`, None where not given.

    Returns
    -------
    arrays : dict
        By input name.
    wrt : str or None
        The input to explain, if one was named.
    image : LoadedImage or None
        If it was an image.

    Raises
    ------
    DataInputError
        If the file cannot be read, or does not say which input it is for.
    """
    known = [entry.name for entry in inputs]
    if name is not None and name not in known:
        raise DataInputError(f"the model has no input '{name}'; it has {', '.join(known)}")
    ending = source.suffix.lower()
    if ending in (".npy", ".npz"):
        refuse_image_options(image_options, ending)
        if ending == ".npz":
            return read_arrays(source), name, None
        held = read_array(source)
    if name is None and len(known) > 1:
        raise DataInputError(
            f"the model has {len(known)} inputs ({', '.join(known)}); give an .npz file with an array for "
            "each, or say with --input which one this is"
        )
    place = known.index(name) if name is not None else 0
    if ending == ".npy":
        return {known[place]: held}, None, None
    image = load_for(source, inputs[place], image_options)
    return {known[place]: image.array}, None, image


def refuse_image_options(options: Mapping[str, Any], ending: str) -> None:
    """Refuse options of images for what is none.

    Raises
    ------
    DataInputError
        If one is given.
    """
    unfit = [f"--{key}" for key, value in options.items() if value is not None]
    if unfit:
        raise DataInputError(f"{', '.join(unfit)}: for images only; {ending} files are used as they are")


def refuse_two_baselines(baseline: str | None, rows: str | None) -> None:
    """Refuse a baseline beside a background.

    Raises
    ------
    DataInputError
        If both are given.
    """
    if baseline is not None and rows is not None:
        raise DataInputError("--baseline and --background are both given; keep one of them")


def refuse_ids(ids: Sequence[str] | None) -> None:
    """Refuse columns of identifiers where there is no table.

    Raises
    ------
    DataInputError
        If there are some.
    """
    if ids:
        raise DataInputError(f"--id {ids[0]}: for tables only, .csv or .parquet")


def baselines(text: str | None, image: LoadedImage | None) -> Any:
    """Read a baseline: a number, a file, a colour of an image, or the name of what is made of each sample.

    Raises
    ------
    DataInputError
        If it is none of them.
    """
    if text is None:
        return None
    if text.lower() in LEVELS:
        if image is None:
            raise DataInputError(f"--baseline {text}: for images only; give a number or a file")
        return image.filled(LEVELS[text.lower()])
    if text.lower() in MADE_OF_SAMPLES:
        return text.lower()
    if _is_array(text):
        return _held(text)
    try:
        return number(text, "--baseline")
    except DataInputError:
        raise DataInputError(
            f"--baseline {text}: give a number, an .npy or .npz file, blur, mean or uniform, or black or "
            "white for an image"
        ) from None


def feature_mask(text: str | None) -> Any:
    """Read who plays: a name, or a file of integers."""
    return text if text is None or not _is_array(text) else _held(text)


def _is_array(text: str) -> bool:
    return text.lower().endswith((".npy", ".npz"))


def _held(text: str) -> Any:
    return read_arrays(text) if text.lower().endswith(".npz") else read_array(text)


def image_options(
    size: str | None, layout: str | None, mean: str | None, std: str | None, scale: str | None,
    preset: str | None,
) -> dict[str, Any]:  # fmt: skip
    """Read what is said of images: arguments of ``load_image``, None where not said.

    Raises
    ------
    DataInputError
        If one makes no sense.
    """
    return {
        "size": pair(size) if size else None,
        "layout": layout,
        "mean": numbers(mean, "--mean") if mean else None,
        "std": numbers(std, "--std") if std else None,
        "scale": number(scale, "--scale") if scale else None,
        "preset": preset,
    }


def preprocessing_of(model: Path, told: Mapping[str, Any]) -> Preprocessing:
    """Say how images become what a model's first explained input takes, by :func:`image_options`."""
    from onnxplain.inspection import inspect

    shapes = [i.shape or () for i in inspect(model).inputs]
    shape = next((s for s in shapes if len(s) == 4), shapes[0])
    layout, channels, fitting = preprocessing_for(shape, told["layout"], told["size"])
    others = {key: told[key] for key in ("preset", "mean", "std", "scale")}
    return Preprocessing.named(size=fitting, layout=layout, channels=channels, **others)
