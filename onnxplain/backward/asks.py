"""The three questions that a model can be asked: its score, values inside it, or a walk back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from onnxplain.backward.composites.composite import Composite
from onnxplain.backward.composites.presets import preset

__all__ = ["Ask", "Combine", "Probe", "Scores", "Walk"]

#: What becomes of a walk's result.
Combine = Literal["raw", "abs", "times_value", "times_difference"]


@dataclass(frozen=True)
class Scores:
    """The target's score: a forward pass, for any model at all (trees, strings, integers)."""

    @property
    def holds(self) -> int:
        """How many times the forward's activations are alive at once."""
        return 1


@dataclass(frozen=True)
class Walk:
    """A walk back from the score to the features: a gradient, or relevance.

    Attributes
    ----------
    composite
        Which rules to walk by; the plain gradient by default.
    combine
        What to make of the result: as it is, its magnitude, or its product with the value or with the
        value's difference from the reference.
    account
        Whether to say how much each node keeps of what arrives.
    """

    composite: Composite = field(default_factory=lambda: preset("gradient"))
    combine: Combine = "raw"
    account: bool = False

    @property
    def holds(self) -> int:
        """How many times the forward's activations are alive at once (their gradients are as large)."""
        return 2 * self.composite.holds


@dataclass(frozen=True)
class Probe:
    """Values inside the model, and the score's gradients there.

    Attributes
    ----------
    values
        Names of inner values.
    gradients
        Whether the gradients are asked for, too; without them any model will do.
    """

    values: tuple[str, ...] = ()
    gradients: bool = True

    @property
    def holds(self) -> int:
        """How many times the forward's activations are alive at once."""
        return 2 if self.gradients else 1


#: Any of the three.
Ask: TypeAlias = "Scores | Walk | Probe"
