"""Names of classes: the user's own, or those that come with a preset."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from onnxplain.data import imagenet_classes
from onnxplain.errors import DataInputError
from onnxplain.files import TEXT_BYTES, check_source

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from onnxplain.graph.interface import OutputInfo

__all__ = ["class_names", "read_labels"]


def class_names(
    path: Path | None, preset: str | None, outputs: Sequence[OutputInfo], output: str | None
) -> list[str] | None:
    """Return the names of classes, if they are known.

    Parameters
    ----------
    path
        Where the user's own are.
    preset
        Of image options: ``"imagenet"`` has names for outputs of 1,000 classes, or of 1,001 with the
        background in front.
    outputs, output
        The model's, and the name of the explained one (None: the first).
    """
    if path is not None:
        return read_labels(path)
    if preset != "imagenet":
        return None
    shapes = [o.shape for o in outputs if output in (None, o.name)]
    count = shapes[0][-1] if shapes and shapes[0] else None
    names = imagenet_classes()
    return {1000: names, 1001: ["background", *names]}.get(count) if isinstance(count, int) else None


def read_labels(path: str | os.PathLike[str]) -> list[str]:
    """Read class names: one a line, or a JSON list, or a JSON object with the numbers as keys.

    In a JSON object a value may be a list, of which the last entry is the name (ImageNet's own form).

    Raises
    ------
    DataInputError
        If the file is missing, empty or malformed.
    """
    file = Path(path)
    check_source(file, "list of labels", DataInputError, TEXT_BYTES)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataInputError(f"cannot read the labels '{file}': {error}") from error
    if file.suffix.lower() != ".json":
        labels = [line.strip() for line in text.rstrip().splitlines()]
    else:
        try:
            held = json.loads(text)
            if isinstance(held, dict):
                rows = [held[str(i)] for i in range(len(held))]
                held = [row[-1] if isinstance(row, list) else row for row in rows]
            labels = [str(label) for label in held]
        except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
            raise DataInputError(
                f"'{file}' is no list of labels ({error}); "
                "give a JSON list, or an object with the keys 0, 1, ..."
            ) from error
    if not labels:
        raise DataInputError(f"'{file}' holds no labels; write one name a line")
    return labels
