"""The smooth model parameter randomisation test (Hedström et al. 2024)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from onnxplain._types import FloatArray
from onnxplain.explainer import Explainer
from onnxplain.graph.redraw import Order
from onnxplain.metrics.randomisation.mprt import MPRT
from onnxplain.metrics.result import Measured
from onnxplain.metrics.trial import Trial
from onnxplain.options import Count, Weight
from onnxplain.runtime.plans.points import Noise

__all__ = ["SmoothMPRT"]

#: Numbers of inputs that are explained at once.
_MOST_AT_ONCE = 1 << 24


@dataclass(frozen=True)
class SmoothMPRT(MPRT):
    """As :class:`MPRT`, of explanations that are averaged over noisy copies (Hedström et al. 2024).

    ``mean_k e(x + noise_k)`` takes the place of ``e(x)``, before and after the draws, with the same noise:
    what differs is then the model, and not the shattered gradients.  The last copy is the sample itself.

    Parameters
    ----------
    n_samples
        Copies.
    noise_magnitude
        Standard deviation of the Gaussian noise, as a part of each sample's range (max - min).
    layer_order, similarity, value, skip_layers, redraw, draw, seed, absolute, normalise
        See :class:`MPRT`.

    Raises
    ------
    MethodError
        If a parameter makes no sense.
    DataInputError
        If the inputs are no floats.
    """

    name: ClassVar[str] = "smooth_mprt"

    layer_order: Order = "bottom_up"
    n_samples: Count = 50
    noise_magnitude: Weight = 0.1

    def measure(self, trial: Trial) -> Measured:
        """Explain noisy copies by each of the models."""
        self._noise.count(trial.problem)  # refuses what is no float
        return super().measure(trial)

    def first(self, trial: Trial) -> dict[str, FloatArray]:
        """Return the model's own explanations, averaged."""
        return self.explained(trial, trial.explainer)

    def explained(self, trial: Trial, explainer: Explainer) -> dict[str, FloatArray]:
        """Return a model's explanations, averaged over noisy copies, as they are compared."""
        rows = np.arange(trial.n)
        size = sum(x.size for x in trial.features.values())
        each = max(1, _MOST_AT_ONCE // max(size, 1))
        sums = trial.explained_by(explainer, {}, rows, trial.targets(rows))
        for first in range(0, self.n_samples - 1, each):
            steps = slice(first, min(first + each, self.n_samples - 1))
            copies = steps.stop - steps.start
            near = np.tile(rows, copies)
            points = self._noise.at(trial.problem, steps).features
            found = trial.explained_by(explainer, points, near, trial.targets(near))
            for name, values in found.items():
                sums[name] = sums[name] + values.reshape(copies, trial.n, *values.shape[1:]).sum(0)
        return self.prepare({k: v / self.n_samples for k, v in sums.items()})

    @property
    def _noise(self) -> Noise:
        return Noise(self.n_samples, None, self.noise_magnitude, self.seed)
