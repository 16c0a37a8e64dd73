"""Adam: steps along gradients, each number at a pace of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from onnxplain._types import FloatArray

__all__ = ["Adam"]


@dataclass
class Adam:
    """Adam (Kingma & Ba 2015): ``v - rate * m / (sqrt(s) + eps)``, with running means of g and g^2.

    Attributes
    ----------
    rate
        Of learning: about how far a number goes in a step.
    """

    rate: float
    steps: int = 0
    means: dict[str, FloatArray] = field(default_factory=dict)
    squares: dict[str, FloatArray] = field(default_factory=dict)

    def down(
        self, values: Mapping[str, FloatArray], gradients: Mapping[str, FloatArray]
    ) -> dict[str, FloatArray]:
        """Return values that are one step lower on what has these gradients."""
        self.steps += 1
        made: dict[str, FloatArray] = {}
        for name, g in gradients.items():
            mean = self.means[name] = 0.9 * self.means.get(name, np.zeros_like(g)) + 0.1 * g
            square = self.squares[name] = 0.999 * self.squares.get(name, np.zeros_like(g)) + 0.001 * g * g
            pace = np.sqrt(square / (1 - 0.999**self.steps)) + 1e-8
            made[name] = values[name] - self.rate * mean / (1 - 0.9**self.steps) / pace
        return made
