"""Whether two attributions are the same answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

__all__ = ["Alike", "Compared", "compared"]

#: How answers are compared: ``"equal"`` by their differences; ``"points"`` of one integral by different
#: points, by correlation and size; ``"draws"`` of one expectation by different random numbers, and ``"map"``
#: of a low resolution drawn out by different programs, by correlation.
Alike = Literal["equal", "points", "draws", "map"]

#: The largest difference, or that of all together, over the largest value or all values.
_LARGEST, _TOGETHER = 0.02, {"equal": 0.01, "points": 0.25, "draws": np.inf, "map": np.inf}
_CORRELATION = {"equal": 0.9999, "points": 0.98, "draws": 0.8, "map": 0.99}


@dataclass(frozen=True)
class Compared:
    """How far two answers are apart.

    Attributes
    ----------
    difference
        The largest, over the largest value.
    correlation
        Pearson's.
    same
        Whether they pass for the same answer.
    """

    difference: float
    correlation: float
    same: bool


def compared(found: Any, wanted: Any, alike: Alike) -> Compared:
    """Compare what two tools found.

    A single unit at a kink (a rectifier at 0, a tie of a pooling), where rounding decides, moves the largest
    difference and hardly that of all together: answers that are equal but for these pass.

    Parameters
    ----------
    found, wanted
        Of the same shape.
    alike
        How they are compared.
    """
    a, b = (np.asarray(v, np.float64) for v in (found, wanted))
    if a.shape != b.shape:
        raise ValueError(f"attributions of shapes {a.shape} and {b.shape} cannot be compared")
    largest = float(np.abs(b).max())
    difference = float(np.abs(a - b).max()) / largest if largest > 0 else float(np.abs(a).max() > 0)
    flat = a.std() == 0 or b.std() == 0
    correlation = float(difference == 0) if flat else float(np.corrcoef(a.ravel(), b.ravel())[0, 1])
    near = np.linalg.norm(a - b) <= _TOGETHER[alike] * np.linalg.norm(b)
    same = (bool(near) and correlation >= _CORRELATION[alike]) or (
        alike == "equal" and difference <= _LARGEST
    )
    return Compared(difference, correlation, same)
