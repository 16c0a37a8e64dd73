"""DeepLIFT, with one reference per sample or many."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Literal

from onnxplain.backward.asks import Combine, Walk
from onnxplain.backward.composites.composite import Composite
from onnxplain.backward.composites.presets import preset
from onnxplain.methods.base import Method, OnePass
from onnxplain.options import Weight
from onnxplain.runtime.plans.combinations import Mean
from onnxplain.runtime.plans.plan import Plan
from onnxplain.runtime.plans.points import Backgrounds

__all__ = ["DeepLift", "DeepLiftShap"]


@lru_cache(maxsize=64)
def _composite(rule: str, eps: float | None) -> Composite:
    """Return the composite of a rule."""
    return preset(f"deep_lift_{rule}", eps=eps)


@dataclass(frozen=True)
class DeepLift(OnePass):
    """DeepLIFT (Shrikumar et al. 2017): what the difference from a reference input does to the score.

    Multipliers ``m = (change of the score) / (x - b)`` are walked back like gradients, in one pass that also
    computes the activations at the baseline b; ``A = m (x - b)``.  The attributions sum to ``S(x) - S(b)``,
    exactly but for rounding; the result's ``delta`` states by how much they do not.  Steps, comparisons and
    choices by a condition take part; what cannot be followed (an index, a loop's number of iterations) is
    refused by name.

    Parameters
    ----------
    rule
        ``"rescale"`` (default): at a nonlinearity ``m_x = m_y (y - y0) / (x - x0)``.  ``"reveal_cancel"``:
        one multiplier each for what raises a nonlinearity's input and for what lowers it, so that effects
        that cancel are seen.
    eps
        Where ``|x - x0| <= eps (1 + |x|)`` and ``|y - y0| <= eps (|y| + |y0|)``, the gradient stands in for
        the quotient.  None (default): the square root of the precision, 3e-4 in float32.

    Raises
    ------
    MethodError
        If the rule is unknown, or eps negative.
    """

    name: ClassVar[str] = "deep_lift"
    steady: ClassVar[bool] = True
    cost: ClassVar[str] = "2 forwards, 1 backward"
    sums_to: ClassVar[str] = "score - score of the baseline"
    takes_baselines: ClassVar[bool] = True
    rule: Literal["rescale", "reveal_cancel"] = "rescale"
    eps: Weight | None = None

    def rules(self) -> Composite:
        """Return the rule's composite."""
        return _composite(self.rule, self.eps)

    def combination(self) -> Combine:
        """Multiply by the difference from the reference."""
        return "times_difference"


@dataclass(frozen=True)
class DeepLiftShap(Method):
    """DeepSHAP (Lundberg and Lee 2017): DeepLIFT averaged over many references.

    Every sample is explained against every reference of ``baselines``, an array (M, ...) (a dict of such by
    input name where several inputs are explained).  The attributions sum to ``S(x) - mean S(b)``, and are the
    Shapley values where the model is linear.

    Parameters
    ----------
    rule, eps
        As :class:`DeepLift` takes them.
    per_reference
        Keep the attributions against each reference, (n, M, ...), in the result's
        ``extras["per_reference"]``, by input.

    Raises
    ------
    MethodError
        If the rule is unknown, or eps negative.
    """

    name: ClassVar[str] = "deep_lift_shap"
    cost: ClassVar[str] = "2 forwards, 1 backward for each background row"
    sums_to: ClassVar[str] = "score - mean score of the background"
    takes_baselines: ClassVar[bool] = True
    takes_background: ClassVar[bool] = True
    rule: Literal["rescale", "reveal_cancel"] = "rescale"
    eps: Weight | None = None
    per_reference: bool = False

    def needs(self) -> Walk:
        """Ask for multipliers times differences."""
        return Walk(_composite(self.rule, self.eps), "times_difference")

    def plan(self) -> Plan:
        """Explain every sample against every reference."""
        return Plan(
            Backgrounds(), self.needs(), Mean("per_reference" if self.per_reference else None), self.name
        )
