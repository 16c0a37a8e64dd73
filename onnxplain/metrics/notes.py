"""Of which samples a metric says nothing, and why."""

from __future__ import annotations

import numpy as np

from onnxplain._types import Array

__all__ = ["unsaid"]

_MOST = 8


def unsaid(where: Array, why: str) -> tuple[str, ...]:
    """Return the note that a metric says nothing of some samples; none where it says something of all.

    Parameters
    ----------
    where
        Bool (n,): of which samples.
    why
        The reason, a half sentence.
    """
    numbers = np.flatnonzero(where)
    if not numbers.size:
        return ()
    named = ", ".join(map(str, numbers[:_MOST])) + (", ..." if numbers.size > _MOST else "")
    plural = "s" if numbers.size > 1 else ""
    return (f"nothing is said of {numbers.size} of {len(where)} samples (number{plural} {named}): {why}",)
