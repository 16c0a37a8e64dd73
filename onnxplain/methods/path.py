"""Integrated gradients: the gradient, summed along the way from a baseline to the input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from onnxplain.backward.asks import Walk
from onnxplain.methods.base import Method
from onnxplain.methods.quadrature import check_quadrature, quadrature
from onnxplain.options import Count
from onnxplain.runtime.plans.combinations import Integral
from onnxplain.runtime.plans.plan import Plan
from onnxplain.runtime.plans.points import Path

__all__ = ["IntegratedGradients"]


@dataclass(frozen=True)
class IntegratedGradients(Method):
    """Integrated gradients (Sundararajan et al. 2017).

    ``A = (x - b) * integral over a in [0, 1] of dS/dx at b + a (x - b)``.  The attributions sum to
    ``S(x) - S(b)``, up to the error of the quadrature, which the result's ``delta`` states.

    Parameters
    ----------
    n_steps
        Points on the path.
    method
        The quadrature: ``"gausslegendre"`` (default), ``"riemann_left"``, ``"riemann_right"``,
        ``"riemann_middle"``, ``"riemann_trapezoid"`` (a true trapezoid: its weights sum to 1).
    multiply_by_inputs
        False leaves the factor ``x - b`` away (local attributions).

    Raises
    ------
    MethodError
        If the quadrature is unknown or ``n_steps`` too small.
    """

    name: ClassVar[str] = "integrated_gradients"
    cost: ClassVar[str] = "n_steps forwards and backwards, and 2 forwards"
    sums_to: ClassVar[str] = "score - score of the baseline"
    takes_baselines: ClassVar[bool] = True
    n_steps: Count = 50
    method: Literal[
        "gausslegendre", "riemann_left", "riemann_right", "riemann_middle", "riemann_trapezoid"
    ] = "gausslegendre"
    multiply_by_inputs: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_quadrature(self.method, self.n_steps)

    def plan(self) -> Plan:
        """Sum gradients along the path."""
        alphas, weights = quadrature(self.method, self.n_steps)
        path, integral = Path(tuple(alphas)), Integral(tuple(weights), self.multiply_by_inputs)
        return Plan(path, Walk(), integral, "integrated gradients")
