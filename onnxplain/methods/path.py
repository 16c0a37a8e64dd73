"""Integrated gradients: the gradient, summed along the way from a baseline to the input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from onnxplain._types import Arrays, FloatArray
from onnxplain.kernels import path_batches as kernels
from onnxplain.methods import device_path
from onnxplain.methods.base import Found, Method
from onnxplain.methods.problem import Problem
from onnxplain.methods.quadrature import check_quadrature, quadrature
from onnxplain.options import Count

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
    takes_baselines: ClassVar[bool] = True
    n_steps: Count = 50
    method: Literal[
        "gausslegendre", "riemann_left", "riemann_right", "riemann_middle", "riemann_trapezoid"
    ] = "gausslegendre"
    multiply_by_inputs: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_quadrature(self.method, self.n_steps)

    def attribute(self, problem: Problem) -> Found:
        """Sum gradients along the path, a block of rows and steps at a time."""
        alphas, weights = quadrature(self.method, self.n_steps)
        ends, starts = problem.scores(), problem.at(problem.baselines).scores()
        totals: Arrays = {k: np.zeros(v.shape, np.float64) for k, v in problem.features.items()}
        rows = list(problem.blocks(problem.batch_size))
        per_run = max(1, problem.batch_size // (rows[0].stop - rows[0].start))
        if device_path.usable(problem):
            for block in problem.bar(rows, len(rows), "integrated gradients"):
                part = device_path.sum_along_path(problem.take(block), alphas, weights, per_run)
                for k, total in part.items():
                    totals[k][block] = total
        else:
            _sum_on_host(problem, totals, rows, per_run, alphas, weights)
        values: Arrays = {}
        for k, x in problem.features.items():
            scaled = totals[k] * (x - problem.baselines[k]) if self.multiply_by_inputs else totals[k]
            values[k] = scaled.astype(x.dtype)
        reference = ends - starts if self.multiply_by_inputs else None
        return Found(values, ends, reference)


def _sum_on_host(
    problem: Problem,
    totals: Arrays,
    rows: Sequence[slice],
    per_run: int,
    alphas: FloatArray,
    weights: FloatArray,
) -> None:
    """Add ``sum_s w_s dS/dx`` along the path to the totals."""
    jobs = [(b, s) for b in rows for s in range(0, len(alphas), per_run)]
    for block, first in problem.bar(jobs, len(jobs), "integrated gradients"):
        part = problem.take(block)
        steps = slice(first, first + per_run)
        points: Arrays = {
            k: kernels.interpolate(part.baselines[k], x, alphas[steps]) for k, x in part.features.items()
        }
        walk = part.at(points, repeats=len(alphas[steps])).walk()
        for k, gradient in walk.values.items():
            kernels.accumulate(totals[k][block], gradient, weights[steps])
