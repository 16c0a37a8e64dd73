"""What a user types about values inside a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from onnxplain.commands.arguments import target
from onnxplain.errors import TargetError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onnxplain.methods import Method

__all__ = ["neuron", "target_beside"]


def neuron(given: tuple[str, str] | None) -> tuple[str, int | tuple[int, ...]] | None:
    """Read the name of a value and an index of its entries.

    Raises
    ------
    TargetError
        If the index is none.
    """
    if given is None:
        return None
    name, text = given
    try:
        index = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise TargetError(f"--neuron {name} {text}: give a name and an index, such as 5 or 5,0,0") from None
    return name, index[0] if len(index) == 1 else index


def target_beside(
    given: tuple[str, str] | None, method: str | Method, text: str | None, labels: Sequence[str] | None
) -> Any:
    """Read a target; a neuron that is the score itself leaves none to choose."""
    if given is not None and text is None and not hasattr(method, "neuron"):
        return None
    return target(text, labels)
