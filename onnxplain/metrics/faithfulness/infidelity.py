"""Infidelity (Yeh et al. 2019)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from onnxplain._types import FloatArray
from onnxplain.metrics.base import Metric
from onnxplain.metrics.perturbations import (
    GrowingSquares,
    NoisyBaseline,
    Squares,
    products,
    refuse_all_but_floats,
)
from onnxplain.metrics.result import Measured
from onnxplain.metrics.trial import Trial
from onnxplain.options import Count, Seed, Weight
from onnxplain.runtime.plans.plan import Points
from onnxplain.runtime.plans.points import Noise

__all__ = ["Infidelity"]


@dataclass(frozen=True)
class Infidelity(Metric):
    r"""How wrongly attributions predict what a perturbation does to the score (Yeh et al. 2019).

    .. math:: E_I [(I \cdot a - (S(x) - S(x - I)))^2]

    Attributions that say what a unit of a feature does, such as gradients, are measured as they are.  Those
    that say what a feature adds as against its baseline (integrated gradients, input × gradient, Shapley
    values) hold a factor ``x - baseline``: say so with ``multiply_by_inputs=True``.

    Parameters
    ----------
    perturbation
        What ``I`` is:

        * ``"gaussian"``: noise; at ``x - I`` the sample is noisy;
        * ``"noisy_baseline"``: the sample less its baseline, which is noisy; at ``x - I`` that remains;
        * ``"square"``: the sample less its baseline in a square at a random place, and 0 elsewhere;
        * ``"growing_squares"``: the same in the first squares of a grid, row by row: in one, in two, until
          all is taken away.  Nothing is drawn, and ``n_samples`` has no say.
    n_samples
        How many perturbations are drawn.
    stdev
        Standard deviation of noise, in the input's units.  None: ``noise_level`` times the range (max - min)
        of each sample.
    noise_level
        See ``stdev``.
    patch_size
        Side of squares, in elements.
    multiply_by_inputs
        Whether attributions hold a factor ``x - baseline``.  They are divided by it, but where it is 0.
    rescale
        Whether attributions are multiplied, for each sample, by the number that makes the value least
        (Captum's ``normalize``): then their scale says nothing.
    seed
        Same seed, same bits.
    absolute, normalise
        See :class:`~onnxplain.metrics.Metric`.

    Notes
    -----
    ``extras["standard_error"]`` is that of each value, where perturbations are drawn; NaN of one.
    """

    name: ClassVar[str] = "infidelity"
    higher_is_better: ClassVar[bool | None] = False
    removes: ClassVar[bool] = True
    unused: ClassVar[tuple[str, ...]] = ("feature_mask",)
    range: ClassVar[tuple[float, float]] = (0.0, np.inf)

    perturbation: Literal["gaussian", "noisy_baseline", "square", "growing_squares"] = "gaussian"
    n_samples: Count = 100
    stdev: Weight | None = None
    noise_level: Weight = 0.2
    patch_size: Count = 4
    multiply_by_inputs: bool = False
    rescale: bool = False
    seed: Seed = 0

    def measure(self, trial: Trial) -> Measured:
        """Perturb samples.

        Raises
        ------
        DataInputError
            If inputs are not made of floats.
        """
        refuse_all_but_floats(trial.features, self.name)
        points = self._points()
        changes = trial.score[:, None] - trial.scores(points)
        predicted = products(points, trial.problem, self._slopes(trial))
        if self.rescale:
            squares = np.square(predicted).sum(1)
            fitting = (predicted * changes).sum(1) / np.where(squares > 0, squares, 1.0)
            predicted = predicted * fitting[:, None]
        errors = np.square(predicted - changes)
        extras = {} if self.perturbation == "growing_squares" else {"standard_error": _error(errors)}
        return self.result(errors.mean(1), extras=extras)

    def _points(self) -> Points:
        noise = Noise(self.n_samples, self.stdev, self.noise_level, self.seed)
        if self.perturbation == "gaussian":
            return noise
        if self.perturbation == "noisy_baseline":
            return NoisyBaseline(noise)
        if self.perturbation == "square":
            return Squares(self.n_samples, self.patch_size, self.seed)
        return GrowingSquares(self.patch_size)

    def _slopes(self, trial: Trial) -> dict[str, FloatArray]:
        """Return what attributions say that a unit of each element does."""
        if not self.multiply_by_inputs:
            return trial.values
        made: dict[str, FloatArray] = {}
        for name, values in trial.values.items():
            factor = trial.features[name].astype(np.float64) - trial.baselines[name]
            made[name] = values / np.where(factor != 0, factor, 1.0)
        return made


def _error(numbers: FloatArray) -> FloatArray:
    """Return the standard error of the mean of each row; NaN of one number."""
    n = numbers.shape[1]
    return numbers.std(1, ddof=1) / np.sqrt(n) if n > 1 else np.full(len(numbers), np.nan)
