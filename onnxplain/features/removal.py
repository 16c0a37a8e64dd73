"""What stands where a player is taken away, besides arrays and numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Background"]


@dataclass(frozen=True, eq=False)
class Background:
    """Rows that stand for what is usual: each is a baseline for all samples, and what comes out is averaged.

    Attributes
    ----------
    rows
        An array (M, ...), or a dict of such by input name.
    """

    rows: Any
