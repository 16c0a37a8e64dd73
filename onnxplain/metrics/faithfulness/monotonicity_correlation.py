"""Monotonicity by correlation (Nguyen & Martínez 2020)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from onnxplain._types import Array, Arrays, FloatArray
from onnxplain.errors import MethodError
from onnxplain.kernels.uniform import uniforms
from onnxplain.metrics.base import Metric
from onnxplain.metrics.changes import changes
from onnxplain.metrics.notes import unsaid
from onnxplain.metrics.orders import ranks
from onnxplain.metrics.perturbations import refuse_all_but_floats
from onnxplain.metrics.result import Measured
from onnxplain.metrics.similarity import CONSTANT, Correlation, correlation
from onnxplain.metrics.subsets import Groups
from onnxplain.metrics.trial import Trial
from onnxplain.options import Count, Seed
from onnxplain.runtime.problem import Problem

__all__ = ["MonotonicityCorrelation"]


@dataclass(frozen=True)
class MonotonicityCorrelation(Metric):
    """Whether scores are less certain without features of higher attributions (Nguyen & Martínez 2020).

    With ``x_i`` the sample in which feature i is drawn uniformly, the value is the rank correlation over the
    features of ``|a_i|`` with ``E[(S(x_i) - S(x))^2]``.  (The paper divides by ``S(x)^2`` besides, which
    changes no correlation.)

    Parameters
    ----------
    n_samples
        How often each feature is drawn.
    features_in_step
        How many features are drawn at once: the ones of the lowest attributions, then the next.  Their
        attributions are summed.
    low, high
        Between what features are drawn, in the input's units.
    shared
        Whether all elements that are drawn at once get the same number; otherwise each has one of its own.
    similarity
        Which correlation: ``"pearson"``, ``"spearman"`` or ``"kendall_tau"``.
    seed
        Same seed, same numbers.
    absolute
        Whether to look at the attributions' magnitudes alone, as the paper does.
    normalise
        See :class:`~onnxplain.metrics.Metric`; a sample's scale changes no correlation.
    """

    name: ClassVar[str] = "monotonicity_correlation"
    higher_is_better: ClassVar[bool | None] = True
    removes: ClassVar[bool] = True
    unused: ClassVar[tuple[str, ...]] = ("baselines",)
    range: ClassVar[tuple[float, float]] = (-1.0, 1.0)

    n_samples: Count = 100
    features_in_step: Count = 1
    low: float = 0.0
    high: float = 1.0
    shared: bool = False
    similarity: Correlation = "spearman"
    seed: Seed = 0
    absolute: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.low >= self.high:
            raise MethodError(
                f"MonotonicityCorrelation: low is {self.low:g} and high {self.high:g}; give low below high"
            )

    def measure(self, trial: Trial) -> Measured:
        """Draw features anew.

        Raises
        ------
        DataInputError
            If inputs are not made of floats.
        """
        refuse_all_but_floats(trial.features, self.name)
        groups = Groups.of(trial, ranks(trial, descending=False), self.features_in_step)
        count = max(groups.count, 1)

        def make(problem: Problem, steps: slice) -> Arrays:
            draw, which = np.divmod(np.arange(steps.start, steps.stop), count)  # few draws in a block
            parts = [
                problem.players.chosen(
                    problem.features,
                    self._drawn(problem, int(k)),
                    ~groups.chosen(which[draw == k], problem.rows),
                )
                for k in np.unique(draw)
            ]
            return {name: np.concatenate([p[name] for p in parts]) for name in problem.features}

        lost = changes(trial, trial.at(self.n_samples * groups.count, make))
        spreads: FloatArray = np.square(lost.reshape(trial.n, self.n_samples, groups.count)).mean(1)
        values = correlation(self.similarity, groups.sums(trial.weights), spreads, groups.counts)
        return self.result(values, notes=unsaid(np.isnan(values), CONSTANT))

    def _drawn(self, problem: Problem, draw: int) -> Arrays:
        """Return one draw of all elements, (1, ...) by feature: the same for all samples."""
        made: Arrays = {}
        for stream, (name, x) in enumerate(problem.features.items()):
            size = 1 if self.shared else int(np.prod(x.shape[1:]))
            drawn = uniforms(self.seed, 0 if self.shared else stream, draw, 1, size)[0]
            numbers: Array = (self.low + (self.high - self.low) * drawn).astype(x.dtype)
            made[name] = np.broadcast_to(numbers, (1, x[0].size)).reshape(1, *x.shape[1:])
        return made
