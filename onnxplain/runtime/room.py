"""How many rows are asked about at once: what fits, and what was found to be fastest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field

from onnxplain.backward.asks import Ask
from onnxplain.records import record

__all__ = ["Room"]


@record
class Room:
    """Rows that are asked about at once in one call.

    Attributes
    ----------
    usual
        How many, if nothing better is known.
    most
        How many fit.
    chosen
        How many were found to be fastest, by ask.
    """

    usual: Callable[[Ask], int]
    most: Callable[[Ask], int]
    chosen: dict[Ask, int] = field(default_factory=dict)

    def __call__(self, ask: Ask) -> int:
        """Return how many rows are asked about at once."""
        return self.chosen[ask] if ask in self.chosen else self.usual(ask)
