"""Relative stability of explanations (Agarwal et al. 2022): against the input, and against the output."""

from __future__ import annotations

import abc
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from onnxplain._types import FloatArray
from onnxplain.backward.question import explained_value
from onnxplain.errors import MethodError
from onnxplain.metrics.neighbours import Nearby, UniformNoise
from onnxplain.metrics.robustness.base import Neighbourhood, Seen, WhenChanged
from onnxplain.metrics.similarity import euclidean
from onnxplain.metrics.trial import Trial
from onnxplain.options import Count, Positive, Seed

__all__ = ["RelativeInputStability", "RelativeOutputStability", "RelativeStability"]


@dataclass(frozen=True)
class RelativeStability(Neighbourhood):
    """What the three have in common: ``max_k |(A(x) - A(x_k)) / A(x)| / max(what else changes, eps_min)``.

    Parameters
    ----------
    n_samples, lower_bound, upper_bound, eps_min, seed, when_prediction_changes
        See :class:`RelativeInputStability`.

    Raises
    ------
    MethodError
        If ``lower_bound`` is not below ``upper_bound``.
    """

    says_nothing: ClassVar[str] = "no point near them says anything"

    n_samples: Count = 200
    lower_bound: float = 0.02
    upper_bound: float = 0.2
    eps_min: Positive = 1e-6
    seed: Seed = 0
    when_prediction_changes: WhenChanged = field(default="leave_out", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.lower_bound < self.upper_bound:
            raise MethodError(
                f"{type(self).__name__}: lower_bound is {self.lower_bound} and upper_bound "
                f"{self.upper_bound}; noise is drawn between them, so give a lower one that is lower"
            )

    def nearby(self) -> Nearby:
        """Draw uniform noise."""
        return UniformNoise(self.n_samples, self.lower_bound, self.upper_bound, self.seed)

    def change(self, here: Seen, there: Seen) -> FloatArray:
        """Return the relative change of explanations over that of what they explain."""
        besides = np.maximum(self.besides(here, there), self.eps_min)
        return self.relative(here.values, there.values) / besides

    @abc.abstractmethod
    def besides(self, here: Seen, there: Seen) -> FloatArray:
        """Return by how much something else changes, (m,)."""

    def relative(self, before: FloatArray, after: FloatArray) -> FloatArray:
        """Return ``|(before - after) / before|``, (m,); ``eps_min`` stands for a divisor of 0."""
        by = np.where(before == 0, self.eps_min, before)
        return euclidean(before / by, after / by)


@dataclass(frozen=True)
class RelativeInputStability(RelativeStability):
    """How much an explanation changes for what the input changes, both in proportion (Agarwal et al. 2022).

    ``max_k |(A(x) - A(x_k)) / A(x)| / max(|(x - x_k) / x|, eps_min)``, quotients by element and lengths
    Euclidean, with ``x_k = x + d_k`` and uniform ``d_k``, over the points at which the model predicts what it
    does at x.  Where something is divided by 0, it is by ``eps_min``: attributions of almost 0 make huge
    values, and pixels that are 0 tiny ones, so look at orders of magnitude.

    Parameters
    ----------
    n_samples
        Points near each sample.
    lower_bound, upper_bound
        Between which the noise lies, in the input's units; as in Quantus it is above 0 by default, which
        moves all elements to the same side (-0.05 and 0.05 are symmetric).
    eps_min
        The least that is divided by.
    seed
        Same seed, same bits.
    when_prediction_changes
        What becomes of points where the output's highest entry is another than at the sample:
        ``"leave_out"``, as in the paper, does not count them, ``"keep"`` counts them as all others, ``"nan"``
        makes the sample's value NaN, as Quantus does by default.
    absolute, normalise
        See :class:`~onnxplain.metrics.Metric`; the explanations near the samples are made so, too.

    Raises
    ------
    MethodError
        If ``lower_bound`` is not below ``upper_bound``.

    Notes
    -----
    ``extras["changes"]``, (N, n_samples), holds the quotient at each point.
    """

    name: ClassVar[str] = "relative_input_stability"

    def besides(self, here: Seen, there: Seen) -> FloatArray:
        """Return the relative change of the input."""
        return self.relative(here.features, there.features)


@dataclass(frozen=True)
class RelativeOutputStability(RelativeStability):
    """How much an explanation changes, in proportion, for what the scores change (Agarwal et al. 2022).

    ``max_k |(A(x) - A(x_k)) / A(x)| / max(|h(x) - h(x_k)|, eps_min)``, where h are all entries of the
    explained output: before a closing Softmax (logits), unless ``through_softmax`` explains what
    is behind it.

    Parameters
    ----------
    n_samples, lower_bound, upper_bound, eps_min, seed, when_prediction_changes
        See :class:`RelativeInputStability`.
    absolute, normalise
        See :class:`~onnxplain.metrics.Metric`; the explanations near the samples are made so, too.

    Raises
    ------
    MethodError
        If ``lower_bound`` is not below ``upper_bound``.

    Notes
    -----
    ``extras["changes"]``, (N, n_samples), holds the quotient at each point.
    """

    name: ClassVar[str] = "relative_output_stability"

    def inside(self, trial: Trial) -> tuple[str, ...]:
        """Name the scores."""
        driver = trial.problem.driver
        return (explained_value(driver.programs.source, driver.question),)

    def besides(self, here: Seen, there: Seen) -> FloatArray:
        """Return the distance of the scores."""
        return euclidean(here.inside, there.inside)
