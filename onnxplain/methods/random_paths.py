"""Gradients along random paths from a background: expected gradients and GradientSHAP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from onnxplain.backward.asks import Walk
from onnxplain.methods.base import Method
from onnxplain.options import Count, Seed, Weight
from onnxplain.runtime.plans.combinations import Spread
from onnxplain.runtime.plans.plan import Plan
from onnxplain.runtime.plans.ways import Draws, Ways

__all__ = ["ExpectedGradients", "GradientShap"]


@dataclass(frozen=True)
class GradientShap(Method):
    """GradientSHAP (of Captum): gradients at random places between noisy inputs and random baselines.

    ``A = mean_k (x + noise_k - b_k) dS/dx at b_k + a_k (x + noise_k - b_k)``, with b_k a row of the
    background, drawn with replacement, and a_k uniform in [0, 1].  In expectation, and without noise, the
    attributions sum to ``S(x) - mean S(b)``.

    Parameters
    ----------
    n_samples
        Draws, one gradient each.
    stdevs
        Standard deviation of the Gaussian noise on the input, in its units.
    multiply_by_inputs
        False leaves the factor ``x + noise - b`` away (local attributions).
    seed
        Same seed, same bits.  All samples of a call get the same draws.

    Notes
    -----
    The result's ``extras["standard_error"]`` holds, by input, the standard error of the mean; from one sample
    none can be told: it is NaN.  Few samples mislead: look at the error before the picture.
    """

    name: ClassVar[str] = "gradient_shap"
    cost: ClassVar[str] = "n_samples forwards and backwards"
    sums_to: ClassVar[str] = "score - mean score of the background, in expectation"
    takes_baselines: ClassVar[bool] = True
    takes_background: ClassVar[bool] = True
    n_samples: Count = 5
    stdevs: Weight = 0.0
    multiply_by_inputs: bool = True
    seed: Seed = 0

    def plan(self) -> Plan:
        """Draw paths and places."""
        draws = Draws(self.n_samples, self.stdevs, self.seed)
        mean = Ways(draws) if self.multiply_by_inputs else Spread("mean")
        return Plan(draws, Walk(), mean, self.name)


@dataclass(frozen=True)
class ExpectedGradients(Method):
    """Expected gradients (Erion et al. 2021): integrated gradients, averaged over a background by sampling.

    ``A = mean_k (x - b_k) dS/dx at b_k + a_k (x - b_k)``, with b_k a row of the background, drawn with
    replacement, and a_k uniform in [0, 1].  In expectation the attributions sum to ``S(x) - mean S(b)``.
    ``IntegratedGradients`` with ``baselines=ox.Background(rows)`` computes the same without chance.

    Parameters
    ----------
    n_samples
        Draws, one gradient each.
    seed
        Same seed, same bits.  All samples of a call get the same draws.

    Notes
    -----
    The result's ``extras["standard_error"]`` holds, by input, the standard error of the mean.
    """

    name: ClassVar[str] = "expected_gradients"
    cost: ClassVar[str] = "n_samples forwards and backwards"
    sums_to: ClassVar[str] = "score - mean score of the background, in expectation"
    takes_baselines: ClassVar[bool] = True
    takes_background: ClassVar[bool] = True
    n_samples: Count = 200
    seed: Seed = 0

    def plan(self) -> Plan:
        """Draw rows of the background and places."""
        draws = Draws(self.n_samples, 0.0, self.seed)
        return Plan(draws, Walk(), Ways(draws), self.name)
