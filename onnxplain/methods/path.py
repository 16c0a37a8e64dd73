"""Gradients summed along the way from a baseline to the input."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from onnxplain.backward.asks import Walk
from onnxplain.errors import MethodError
from onnxplain.methods.base import Method
from onnxplain.methods.quadrature import check_quadrature, quadrature
from onnxplain.options import Count, Positive
from onnxplain.runtime.plans.adaptive import integrate
from onnxplain.runtime.plans.combinations import Integral
from onnxplain.runtime.plans.guided import guided
from onnxplain.runtime.plans.importance import Importance
from onnxplain.runtime.plans.plan import Found, Plan
from onnxplain.runtime.plans.points import Path
from onnxplain.runtime.plans.scales import ScaleIntegral, Scales
from onnxplain.runtime.problem import Problem

__all__ = ["IDGI", "BlurIG", "GuidedIG", "IntegratedGradients"]

_Share = Annotated[float, Field(ge=0, le=1, description="a number from 0 to 1")]
_Width = Annotated[float, Field(ge=1e-6, le=1e4, description="a number from 1e-6 to 10,000")]
_Axes = int | tuple[int, ...] | None


@dataclass(frozen=True)
class IntegratedGradients(Method):
    """Integrated gradients (Sundararajan et al. 2017).

    ``A = (x - b) * integral over a in [0, 1] of dS/dx at b + a (x - b)``.  The attributions sum to
    ``S(x) - S(b)``, up to the error of the quadrature, which the result's ``delta`` states.  With
    ``baselines=ox.Background(rows)`` the attributions from all rows are averaged.

    Parameters
    ----------
    n_steps
        Points on the path; with ``tol``, at most so many.
    method
        The quadrature: ``"gausslegendre"`` (default), ``"riemann_left"``, ``"riemann_right"``,
        ``"riemann_middle"``, ``"riemann_trapezoid"`` (a true trapezoid: its weights sum to 1).
    multiply_by_inputs
        False leaves the factor ``x - b`` away (local attributions).
    tol
        Place points one after the other where the score says that the sum is known least, until what is
        missing is at most ``tol |S(x) - S(b)|`` (see :func:`onnxplain.runtime.plans.adaptive.integrate`), for
        each sample by itself.  It buys completeness with fewer gradients; the attribution of single pixels
        converges no faster than with evenly spaced points.

    Notes
    -----
    With ``tol``, the result's notes say what ended the search, and its extras by sample how many
    ``"gradients"`` were taken, and whether it ``"converged"``.

    Raises
    ------
    MethodError
        If the quadrature is unknown or ``n_steps`` too small, or ``tol`` stands beside a quadrature.
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
    tol: Positive | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_quadrature(self.method, self.n_steps)
        if self.tol is not None and self.method != "gausslegendre":
            raise MethodError(
                f"IntegratedGradients: tol places points itself, and method is '{self.method}'; give one of "
                "them"
            )
        if self.tol is not None and self.n_steps < 2:
            raise MethodError("IntegratedGradients: n_steps is 1, and tol needs both ends; give at least 2")

    def plan(self) -> Plan | None:
        """Sum gradients along the path, where the points are known before."""
        if self.tol is not None:
            return None
        alphas, weights = quadrature(self.method, self.n_steps)
        path, integral = Path(tuple(alphas)), Integral(tuple(weights), self.multiply_by_inputs)
        return Plan(path, Walk(), integral, "integrated gradients")

    def attribute(self, problem: Problem) -> Found:
        """Sum gradients along the path."""
        if self.tol is None:
            return super().attribute(problem)
        return integrate(problem, self.tol, self.n_steps, times_difference=self.multiply_by_inputs)


@dataclass(frozen=True)
class IDGI(Method):
    """Importance direction gradient integration (Yang et al. 2023), along the straight path.

    ``A = sum_k (S(x_k+1) - S(x_k)) g_k^2 / |g_k|^2`` with the points ``x_k = b + k (x - b) / n_steps`` and
    the gradients g_k there: each change of the score is shared out in the direction of the gradient, the only
    one in which it changes, and what the path does across it leaves no noise.  The attributions sum to
    ``S(x) - S(b)`` exactly, whatever ``n_steps``.

    Parameters
    ----------
    n_steps
        Steps on the path.

    Notes
    -----
    Where a gradient is 0 the next point's stands for it; only steps between two such points are missing from
    the sum.  On a linear model this is not ``w x`` but ``w^2 / |w|^2`` of the difference: an input that
    equals its baseline gets its part, too.
    """

    name: ClassVar[str] = "idgi"
    cost: ClassVar[str] = "n_steps + 1 forwards and backwards"
    sums_to: ClassVar[str] = "score - score of the baseline"
    takes_baselines: ClassVar[bool] = True
    n_steps: Count = 50

    def plan(self) -> Plan:
        """Ask at all points, both ends too."""
        path = Path(tuple(k / self.n_steps for k in range(self.n_steps + 1)))
        return Plan(path, Walk(), Importance(), self.name)


@dataclass(frozen=True)
class GuidedIG(Method):
    """Guided integrated gradients (Kapishnikov et al. 2021): a path that avoids steep places.

    From the baseline to the input in ``n_steps`` steps that shorten the L1 distance by as much; at each, the
    elements of the smallest gradients move first: ``A = sum_k g_k (x_k+1 - x_k)``.  The attributions sum to
    ``S(x) - S(b)``, up to the error of the sum, which the result's ``delta`` states.

    Parameters
    ----------
    n_steps
        Steps, one after the other: samples run side by side, steps cannot.
    fraction
        Which part of the elements moves at a time.
    max_dist
        How far an element may be from the straight line, as a part of its way: 0 keeps to the line
        (integrated gradients by left sums), 1 lets the path go anywhere between baseline and input.  These
        are the paper's anchors, moved along with every step, as in the authors' ``saliency`` package.

    Notes
    -----
    The path depends on the model, so two models that compute the same get the same, but the attributions of a
    sum of models are not the sum of theirs.
    """

    name: ClassVar[str] = "guided_ig"
    cost: ClassVar[str] = "n_steps + 1 forwards and backwards"
    sums_to: ClassVar[str] = "score - score of the baseline"
    takes_baselines: ClassVar[bool] = True
    n_steps: Count = 200
    fraction: _Share = 0.25
    max_dist: _Share = 0.02

    def attribute(self, problem: Problem) -> Found:
        """Walk from baselines to rows."""
        return guided(problem, self.n_steps, self.fraction, self.max_dist)


@dataclass(frozen=True)
class BlurIG(Method):
    """Blur integrated gradients (Xu et al. 2020): the path goes through the scales of an image.

    ``A = -sum_k (s_k+1 - s_k) dS/dx dx/ds`` at x blurred by a Gaussian of width s_k, from 0 to ``max_sigma``.
    The attributions sum to ``S(x) - S(x blurred by max_sigma)``, up to the error of the sum, which the
    result's ``delta`` states.

    Parameters
    ----------
    max_sigma
        The largest standard deviation, in pixels.
    n_steps
        Steps between the scales.
    grad_step
        The step of the difference quotient that stands for the derivative by s.
    sqrt
        Space scales by the square root: less at the sharp end.
    axes
        Which axes of the input are space; None: those of images and volumes that are neither samples nor
        channels.

    Notes
    -----
    Beyond the borders there is nothing (zeros), as in the authors' ``saliency`` package: the blurred image
    fades to 0 at its edges, and they may light up for it.
    """

    name: ClassVar[str] = "blur_ig"
    cost: ClassVar[str] = "n_steps + 1 forwards and backwards"
    sums_to: ClassVar[str] = "score - score of the blurred input"
    max_sigma: _Width = 50.0
    n_steps: Count = 100
    grad_step: _Width = 0.01
    sqrt: bool = False
    axes: _Axes = None

    def plan(self) -> Plan:
        """Ask at all scales, the last one for its score alone."""
        parts = (k / self.n_steps for k in range(self.n_steps + 1))
        if self.sqrt:
            sigmas = tuple(math.sqrt(part * self.max_sigma) for part in parts)
        else:
            sigmas = tuple(part * self.max_sigma for part in parts)
        weights = (*(b - a for a, b in pairwise(sigmas)), 0.0)
        scales = Scales(sigmas, self.axes)
        return Plan(scales, Walk(), ScaleIntegral(scales, weights, self.grad_step), self.name)
