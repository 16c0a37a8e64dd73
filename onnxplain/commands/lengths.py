"""Lengths as a user types them: a number of samples, shapes of inputs, axes by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from onnxplain.errors import DataInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["batch", "shapes"]


def batch(text: str | None) -> Any:
    """Read a number of samples, or ``any``.

    Raises
    ------
    DataInputError
        If it is neither.
    """
    if text is None or text == "any":
        return text
    found = _lengths(text)
    if len(found) != 1:
        raise DataInputError(f"--batch {text}: give a number of samples, or any")
    return found[0]


def shapes(texts: Sequence[str] | None) -> dict[str, Any] | None:
    """Read lengths, ``input=1,3,224,224`` or ``axis=128``.

    Raises
    ------
    DataInputError
        If there are none, or a name stands twice.
    """
    found: dict[str, Any] = {}
    for text in texts or ():
        name, _, lengths = text.rpartition("=")
        whole = _lengths(lengths)
        if not name or not whole:
            raise DataInputError(
                f"--shape {text}: give an input with its shape, such as x=1,3,224,224, or an axis, as T=128"
            )
        if name in found:
            raise DataInputError(f"--shape {text}: {name} is given twice; keep one")
        found[name] = whole if len(whole) > 1 else whole[0]
    return found or None


def _lengths(text: str) -> tuple[int, ...]:
    """Read whole numbers with commas between them; empty where they are none."""
    parts = [part.strip() for part in text.split(",")]
    plain = all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts)
    return tuple(map(int, parts)) if plain else ()
